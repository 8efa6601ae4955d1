//! A long list, at most eight at once, and the results in the order of the list.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redd::group::{TaskError, TaskGroup};
use tokio::time::{Instant, sleep};

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Stands for a request that takes 10 to 50 ms.
async fn measure(number: u64) -> (u64, u64) {
    PEAK.fetch_max(NOW.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
    let length = 10 + 10 * (number % 5);
    sleep(Duration::from_millis(length)).await;
    NOW.fetch_sub(1, Ordering::Relaxed);
    (number, length)
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), TaskError> {
    let start = Instant::now();
    let mut group = TaskGroup::limit(8).start();
    group.extend((0..1000).map(measure));

    let mut results = group.in_order();
    let (mut next, mut sum) = (0, 0);
    while let Some(result) = results.next().await {
        let (number, length) = result?;
        assert_eq!(number, next, "the order is that of the list");
        next += 1;
        sum += length;
    }
    println!("{next} results in order, at most {} at once", PEAK.load(Ordering::Relaxed));
    println!("one after the other: {sum} ms");
    println!("eight at once:       {} ms", start.elapsed().as_millis());
    Ok(())
}
