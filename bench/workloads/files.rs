//! Files, in the page cache.

use super::{Row, on_worker, workers};

pub const ROWS: &[Row] = &[
    ("file_read_4k", 5_000, |n| on_worker(&workers(2), n, |n| read(n, 4 * 1024))),
    ("file_read_1m", 400, |n| on_worker(&workers(2), n, |n| read(n, 1024 * 1024))),
    ("file_read_4k_16_tasks", 20_000, |n| on_worker(&workers(2), n, read_in_tasks)),
];

/// A file that is removed when this value is dropped.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(length: usize) -> Scratch {
        let path = std::env::temp_dir().join(format!("redd-bench-{}-{length}", std::process::id()));
        std::fs::write(&path, vec![7; length]).expect("there is a folder for temporary files");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

async fn read(n: u64, length: usize) {
    let file = Scratch::new(length);
    for _ in 0..n {
        assert_eq!(rt::fs::read(&file.0).await.expect("it is there").len(), length);
    }
}

async fn read_in_tasks(n: u64) {
    let file = Scratch::new(4096);
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let path = file.0.clone();
            rt::spawn(async move {
                for _ in 0..n / 16 {
                    assert_eq!(rt::fs::read(&path).await.expect("it is there").len(), 4096);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("does not panic");
    }
}
