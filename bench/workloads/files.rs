//! Files that are in the page cache.

use std::io::SeekFrom;
use std::sync::Arc;

use super::scratch::{MEGABYTE, PIECE, Scratch, WRITES, place};
use super::{Row, on_worker, workers};
use rt::fs::{File, OpenOptions};
use rt::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

/// `floors` has the same rows for a loop on one thread, without a runtime.
pub const ROWS: &[Row] = &[
    ("file_read_4k", 5_000, |n| on_worker(&workers(2), n, |n| read(n, PIECE))),
    ("file_read_1m", 400, |n| on_worker(&workers(2), n, |n| read(n, MEGABYTE))),
    ("file_read_4k_16_tasks", 20_000, |n| on_worker(&workers(2), n, read_in_tasks)),
    ("file_seek_read_4k", 10_000, |n| on_worker(&workers(2), n, seek_and_read)),
    ("file_seek_read_4k_16_tasks", 20_000, |n| on_worker(&workers(2), n, seek_and_read_in_tasks)),
    ("file_open_read_4k", 5_000, |n| on_worker(&workers(2), n, open_and_read)),
    ("file_metadata", 10_000, |n| on_worker(&workers(2), n, metadata)),
    ("file_write_64_flush", 500, |n| on_worker(&workers(2), n, write_and_flush)),
];

async fn read(n: u64, length: usize) {
    let file = Scratch::new(length);
    for _ in 0..n {
        assert_eq!(rt::fs::read(&file.0).await.expect("it is there").len(), length);
    }
}

async fn read_in_tasks(n: u64) {
    let file = Arc::new(Scratch::new(PIECE));
    in_16_tasks(|_| {
        let file = file.clone();
        async move {
            for _ in 0..n / 16 {
                assert_eq!(rt::fs::read(&file.0).await.expect("it is there").len(), PIECE);
            }
        }
    })
    .await;
}

async fn in_16_tasks<F: Future<Output = ()> + Send + 'static>(program: impl Fn(usize) -> F) {
    let tasks: Vec<_> = (0..16).map(|number| rt::spawn(program(number))).collect();
    for task in tasks {
        task.await.expect("does not panic");
    }
}

/// Another piece of one open file each time.
async fn seek_and_read(n: u64) {
    let scratch = Scratch::new(MEGABYTE);
    let mut file = File::open(&scratch.0).await.expect("it is there");
    pieces(&mut file, n).await;
}

async fn pieces(file: &mut File, n: u64) {
    let mut buffer = vec![0; PIECE];
    for number in 0..n {
        file.seek(SeekFrom::Start(place(number, MEGABYTE))).await.expect("a file can do it");
        file.read_exact(&mut buffer).await.expect("it is long enough");
    }
}

/// Each task has a file of its own.
async fn seek_and_read_in_tasks(n: u64) {
    in_16_tasks(|number| async move {
        let scratch = Scratch::numbered(MEGABYTE, number);
        let mut file = File::open(&scratch.0).await.expect("it is there");
        pieces(&mut file, n / 16).await;
    })
    .await;
}

async fn open_and_read(n: u64) {
    let scratch = Scratch::new(PIECE);
    let mut buffer = vec![0; PIECE];
    for _ in 0..n {
        let mut file = File::open(&scratch.0).await.expect("it is there");
        file.read_exact(&mut buffer).await.expect("it is long enough");
    }
}

async fn metadata(n: u64) {
    let scratch = Scratch::new(PIECE);
    for _ in 0..n {
        assert_eq!(rt::fs::metadata(&scratch.0).await.expect("it is there").len(), PIECE as u64);
    }
}

/// An operation is a seek to the start, 64 writes and a flush.
async fn write_and_flush(n: u64) {
    let scratch = Scratch::new(WRITES * PIECE);
    let mut file = OpenOptions::new().write(true).open(&scratch.0).await.expect("it is there");
    let piece = vec![7; PIECE];
    for _ in 0..n {
        file.seek(SeekFrom::Start(0)).await.expect("a file can do it");
        for _ in 0..WRITES {
            file.write_all(&piece).await.expect("the disk has room");
        }
        file.flush().await.expect("the disk has room");
    }
}
