//! A loop that computes: it comes to no `.await`, and its worker does nothing else.

use std::hint::black_box;
use std::time::Duration;

use tokio::time::{interval, sleep};

/// Sums the divisors of each number below `limit` by trying them all.
fn sum_of_divisors(limit: u64) -> u64 {
    let mut sum = 0;
    for number in 1..limit {
        sum += (1..=number).filter(|divisor| number % divisor == 0).sum::<u64>(); // culprit: the loop
    }
    sum
}

async fn yearly_report() -> u64 {
    sleep(Duration::from_millis(10)).await;
    sum_of_divisors(black_box(1_000_000_000))
}

async fn heartbeat() {
    let mut beats = interval(Duration::from_millis(100));
    loop {
        beats.tick().await;
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    demos::report_soon();
    tokio::spawn(heartbeat());
    let report = tokio::spawn(yearly_report()); // culprit: spawned
    println!("{:?}", report.await);
}
