//! Work that computes runs on the blocking pool, on as many threads as there are CPUs. The other tasks go on.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use redd::group::{TaskError, TaskGroup, is_cancelled};
use tokio::sync::oneshot;
use tokio::time::interval;

static BEATS: AtomicU32 = AtomicU32::new(0);

/// Counts primes, and gives up between two numbers if nobody wants the result any longer.
fn count_primes(range: std::ops::Range<u32>) -> Option<usize> {
    let mut count = 0;
    for number in range {
        if number % 1000 == 0 && is_cancelled() {
            return None;
        }
        count += usize::from(number > 1 && (2..).take_while(|d| d * d <= number).all(|d| number % d != 0));
    }
    Some(count)
}

#[tokio::main]
async fn main() -> Result<(), TaskError> {
    tokio::spawn(async {
        let mut ticks = interval(Duration::from_millis(1));
        loop {
            ticks.tick().await;
            BEATS.fetch_add(1, Ordering::Relaxed);
        }
    });

    let threads = available_parallelism().map_or(2, usize::from);
    let group = TaskGroup::limit(threads).start();
    for start in (0..200_000).step_by(25_000) {
        group.spawn_blocking(move || count_primes(start..start + 25_000));
    }
    let counts = group.close().await?;
    println!("{} primes below 200,000", counts.into_iter().flatten().sum::<usize>());
    println!("other tasks ran meanwhile: {}", BEATS.load(Ordering::Relaxed) > 2);

    let group = TaskGroup::new();
    let (start, started) = oneshot::channel();
    group.spawn_blocking(|| {
        let _ = start.send(());
        count_primes(0..u32::MAX)
    });
    started.await.expect("the closure runs");
    group.cancel("the user has closed the page");
    let closed = group.next().await.expect("there is one closure")?;
    println!("a closure that is asked to stop returns {closed:?}");
    Ok(())
}
