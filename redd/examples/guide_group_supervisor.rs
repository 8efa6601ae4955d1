//! Three tasks that should not end. One fails twice, and the task that depends on it is started again with it.

use redd::group::{Exhausted, Supervisor, cancelled};
use redd::time::{Duration, sleep};

async fn store() {
    println!("the store is open");
    cancelled().await;
    println!("the store is closed");
}

async fn ingest(run: u32) -> Result<(), &'static str> {
    println!("ingest runs");
    sleep(Duration::from_secs(5)).await;
    if run <= 2 {
        return Err("the connection is lost");
    }
    std::future::pending().await
}

async fn index() {
    println!("the index is built");
    sleep(Duration::from_secs(3600)).await;
}

#[redd::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Exhausted> {
    let mut runs = 0;
    let supervisor = Supervisor::rest_for_one()
        .intensity(3, Duration::from_secs(60))
        .backoff(Duration::from_millis(100)..Duration::from_secs(10))
        .child("store", store)
        .stop_within(Duration::from_secs(2))
        .child("ingest", move || {
            runs += 1;
            ingest(runs)
        })
        .child("index", index)
        .on_restart(|restart| println!("{} starts again: {}", restart.child, restart.failure));
    // A service passes a signal, or `phases.reached("background")`.
    supervisor.run_until(sleep(Duration::from_secs(30))).await
}
