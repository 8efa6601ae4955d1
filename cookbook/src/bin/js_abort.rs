//! Nothing is passed. A group cancels its tasks, and a cancelled task is dropped where it waits.

use redd::group::TaskGroup;
use redd::time::{Duration, sleep};

struct CleanUp;

impl Drop for CleanUp {
    fn drop(&mut self) {
        println!("cleaned up");
    }
}

async fn work() {
    let _clean_up = CleanUp;
    loop {
        sleep(Duration::from_millis(20)).await;
    }
}

#[redd::main]
async fn main() {
    let group = TaskGroup::new();
    group.spawn(work());
    group.cancel_when(sleep(Duration::from_millis(50)), "the user has left");
    if let Err(error) = group.close().await {
        println!("aborted: {}", error.reason().expect("it was cancelled"));
    }
}
