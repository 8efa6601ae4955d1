//! A job each second. It never overlaps with itself, it does not drift, and a run that takes too long skips ticks.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

const PERIOD: Duration = Duration::from_secs(1);

/// Takes 300 ms, and the third run 2.5 s.
async fn job(run: usize) {
    sleep(Duration::from_millis(if run == 2 { 2500 } else { 300 })).await;
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let start = Instant::now();
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut starts = Vec::new();
    for run in 0..6 {
        ticks.tick().await;
        starts.push(start.elapsed().as_secs_f64());
        job(run).await;
    }
    println!("interval, Skip:    {starts:?}");

    let start = Instant::now();
    let mut ticks = interval(PERIOD);
    let mut starts = Vec::new();
    for run in 0..6 {
        ticks.tick().await;
        starts.push(start.elapsed().as_secs_f64());
        job(run).await;
    }
    println!("interval, Burst:   {starts:?}");

    let start = Instant::now();
    let mut starts = Vec::new();
    for run in 0..6 {
        starts.push(start.elapsed().as_secs_f64());
        job(run).await;
        sleep(PERIOD).await;
    }
    println!("sleep in a loop:   {starts:?}");
}
