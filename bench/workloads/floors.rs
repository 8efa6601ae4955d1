//! The floors of the rows of `files`: the same system calls in a loop on one thread, without a runtime.
//!
//! The row's name is the same. A row with 16 tasks has one thread here, which takes the 16 files in turn.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileExt;

use super::costs::Costs;
use super::row::{Measure, Row};
use super::scratch::{COLD, LINE, MEGABYTE, PIECE, Scratch, WRITES, drain, place};

pub const ROWS: &[Row] = &[
    ("file_read_4k", 20_000, |n| read(n, PIECE)),
    ("file_read_1m", 400, |n| read(n, MEGABYTE)),
    ("file_read_4k_16_tasks", 20_000, |n| read(n, PIECE)),
    ("file_seek_read_4k", 100_000, |n| read_at(n, 1)),
    ("file_seek_read_4k_16_tasks", 100_000, |n| read_at(n, 16)),
    ("file_open_read_4k", 20_000, open_and_read),
    ("file_metadata", 50_000, metadata),
    ("file_write_64_flush", 500, write),
    ("file_lines_1m", 100, lines),
    ("file_copy_1m_sink", 200, copy_to_sink),
    ("file_copy_1m_tcp", 200, |n| copy_to_socket(n, drain())),
    ("file_cold_sequential", 4096, |n| cold(n, |number| number * PIECE as u64)),
    ("file_cold_random", 1024, |n| cold(n, |number| place(number, COLD))),
];

/// A tenth first, to warm up.
fn measured(n: u64, mut work: impl FnMut(u64)) -> Measure {
    (0..n / 10 + 1).for_each(&mut work);
    let before = Costs::now();
    (0..n).for_each(work);
    Measure { operations: n, costs: Costs::now().since(&before), bytes: 0.0, values: Vec::new() }
}

fn open(scratch: &Scratch) -> File {
    File::open(&scratch.0).expect("it is there")
}

fn read(n: u64, length: usize) -> Measure {
    let scratch = Scratch::new(length);
    measured(n, |_| assert_eq!(std::fs::read(&scratch.0).expect("it is there").len(), length))
}

fn read_at(n: u64, files: usize) -> Measure {
    let scratch: Vec<Scratch> = (0..files).map(|number| Scratch::numbered(MEGABYTE, number)).collect();
    let open: Vec<File> = scratch.iter().map(open).collect();
    let mut buffer = vec![0; PIECE];
    measured(n, |number| {
        let file = &open[number as usize % files];
        file.read_exact_at(&mut buffer, place(number / files as u64, MEGABYTE)).expect("it is long enough");
    })
}

fn open_and_read(n: u64) -> Measure {
    let scratch = Scratch::new(PIECE);
    let mut buffer = vec![0; PIECE];
    measured(n, |_| open(&scratch).read_exact(&mut buffer).expect("it is long enough"))
}

fn metadata(n: u64) -> Measure {
    let scratch = Scratch::new(PIECE);
    measured(n, |_| assert_eq!(std::fs::metadata(&scratch.0).expect("it is there").len(), PIECE as u64))
}

fn write(n: u64) -> Measure {
    let scratch = Scratch::new(WRITES * PIECE);
    let mut file = File::options().write(true).open(&scratch.0).expect("it is there");
    let piece = vec![7; PIECE];
    measured(n, |_| {
        file.seek(SeekFrom::Start(0)).expect("a file can do it");
        for _ in 0..WRITES {
            file.write_all(&piece).expect("the disk has room");
        }
    })
}

fn lines(n: u64) -> Measure {
    let scratch = Scratch::new(MEGABYTE);
    measured(n, |_| {
        let mut count = 0;
        for line in BufReader::new(open(&scratch)).lines() {
            assert_eq!(line.expect("it can be read").len(), LINE - 1);
            count += 1;
        }
        assert_eq!(count, MEGABYTE / LINE);
    })
}

/// Reads of 8 KB, as std's and the runtimes' `copy` do.
fn copy_to_sink(n: u64) -> Measure {
    let scratch = Scratch::new(MEGABYTE);
    let mut buffer = vec![0; 8192];
    measured(n, |_| {
        let (mut file, mut copied) = (open(&scratch), 0);
        loop {
            match file.read(&mut buffer).expect("it can be read") {
                0 => break,
                length => copied += length,
            }
        }
        assert_eq!(copied, MEGABYTE);
    })
}

/// std's `copy` uses `sendfile` here.
fn copy_to_socket(n: u64, to: SocketAddr) -> Measure {
    let scratch = Scratch::new(MEGABYTE);
    let mut stream = TcpStream::connect(to).expect("the receiver listens");
    measured(n, |_| {
        let copied = std::io::copy(&mut open(&scratch), &mut stream).expect("the receiver reads");
        assert_eq!(copied, MEGABYTE as u64);
    })
}

fn cold(n: u64, place: fn(u64) -> u64) -> Measure {
    let scratch = Scratch::new(COLD);
    scratch.cool();
    let before = Costs::now();
    let file = open(&scratch);
    let mut buffer = vec![0; PIECE];
    for number in 0..n {
        file.read_exact_at(&mut buffer, place(number)).expect("it is long enough");
    }
    let costs = Costs::now().since(&before);
    let wall = costs.wall().as_secs_f64() * 1e6 / n as f64;
    Measure { operations: n, costs, bytes: 0.0, values: vec![("wall_us", wall)] }
}
