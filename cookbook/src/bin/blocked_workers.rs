//! Each worker is blocked for half a second, and a heartbeat goes on. No line of this program knows of redd.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

static BEATS: AtomicU32 = AtomicU32::new(0);

#[tokio::main(worker_threads = 2)]
async fn main() {
    tokio::spawn(async {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            BEATS.fetch_add(1, Ordering::Relaxed);
        }
    });
    tokio::time::sleep(Duration::from_millis(30)).await;

    let blockers = [1, 2].map(|_| {
        tokio::spawn(async {
            let before = BEATS.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(500)); // A query by a client that blocks.
            BEATS.load(Ordering::Relaxed) - before
        })
    });
    for blocker in blockers {
        let beats = blocker.await.expect("it does not panic");
        println!("more than five beats while it was blocked: {}", beats > 5);
    }
}
