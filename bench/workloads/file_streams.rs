//! Files in the page cache that are read as a stream: by lines, or copied.

use std::net::SocketAddr;

use super::scratch::{LINE, MEGABYTE, Scratch, drain};
use super::{Measure, Row, measure, on_worker, workers};
use rt::fs::File;
use rt::io::{AsyncBufReadExt, BufReader};

/// `floors` has the same rows for a loop on one thread, without a runtime.
pub const ROWS: &[Row] = &[
    ("file_lines_1m", 100, |n| on_worker(&workers(2), n, lines)),
    ("file_copy_1m_sink", 200, |n| on_worker(&workers(2), n, copy_to_sink)),
    ("file_copy_1m_tcp", 200, |n| copy_to_socket(n, drain())),
];

/// An operation is a file of a megabyte, with lines of 64 bytes.
async fn lines(n: u64) {
    let scratch = Scratch::new(MEGABYTE);
    for _ in 0..n {
        let mut lines = BufReader::new(File::open(&scratch.0).await.expect("it is there")).lines();
        let mut count = 0;
        while let Some(line) = lines.next_line().await.expect("it can be read") {
            assert_eq!(line.len(), LINE - 1);
            count += 1;
        }
        assert_eq!(count, MEGABYTE / LINE);
    }
}

async fn copy_to_sink(n: u64) {
    let scratch = Scratch::new(MEGABYTE);
    for _ in 0..n {
        let mut file = File::open(&scratch.0).await.expect("it is there");
        let copied = rt::io::copy(&mut file, &mut rt::io::sink()).await.expect("it can be read");
        assert_eq!(copied, MEGABYTE as u64);
    }
}

/// All files go into one connection.
fn copy_to_socket(n: u64, to: SocketAddr) -> Measure {
    let runtime = workers(2);
    let task = runtime.spawn(async move {
        let scratch = Scratch::new(MEGABYTE);
        let mut stream = rt::net::TcpStream::connect(to).await.expect("the receiver listens");
        let mut copies = async |n: u64| {
            for _ in 0..n {
                let mut file = File::open(&scratch.0).await.expect("it is there");
                let copied = rt::io::copy(&mut file, &mut stream).await.expect("the receiver reads");
                assert_eq!(copied, MEGABYTE as u64);
            }
        };
        copies(n / 10 + 1).await;
        measure(n, copies(n)).await
    });
    runtime.block_on(task).expect("does not panic")
}
