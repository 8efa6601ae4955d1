//! Exercise 3: collect what ends within 100 ms, and cancel the rest.

use redd::task::JoinSet;
use redd::time::{Duration, Instant, sleep, timeout_at};

#[redd::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let mut tasks = JoinSet::new();
    for ms in [250, 20, 90, 110, 60] {
        tasks.spawn(async move {
            sleep(Duration::from_millis(ms)).await;
            ms
        });
    }
    let deadline = Instant::now() + Duration::from_millis(100);
    let mut in_time = Vec::new();
    while let Ok(Some(joined)) = timeout_at(deadline, tasks.join_next()).await {
        in_time.push(joined.expect("no task panics"));
    }
    println!("in time: {in_time:?}, cancelled: {}", tasks.len());
    tasks.shutdown().await;
}
