//! A task that blocks its thread. The other tasks go on, on another thread.

use std::sync::atomic::{AtomicU32, Ordering};

use redd::time::{Duration, interval, sleep};

static BEATS: AtomicU32 = AtomicU32::new(0);

#[redd::main]
async fn main() {
    redd::spawn(async {
        let mut heart = interval(Duration::from_millis(5));
        loop {
            heart.tick().await;
            BEATS.fetch_add(1, Ordering::Relaxed);
        }
    });
    let blocks = redd::spawn(async {
        sleep(Duration::from_millis(20)).await;
        let before = BEATS.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(300));
        BEATS.load(Ordering::Relaxed) > before + 1
    });
    println!("the heart beat meanwhile: {}", blocks.await.expect("it does not panic"));
}
