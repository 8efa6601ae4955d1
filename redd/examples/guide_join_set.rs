//! A `JoinSet` returns results in the order in which tasks end.

use redd::task::JoinSet;
use redd::time::{Duration, sleep};

#[redd::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let mut runners = JoinSet::new();
    for (name, seconds) in [("tortoise", 30), ("hare", 3), ("snail", 300)] {
        runners.spawn(async move {
            sleep(Duration::from_secs(seconds)).await;
            name
        });
    }
    while let Some(arrived) = runners.join_next().await {
        println!("{} arrives", arrived.expect("no task panics"));
    }
}
