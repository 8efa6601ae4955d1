//! The same downloads from a `TaskGroup`.

use redd::group::{TaskError, TaskGroup};
use redd::time::{Duration, sleep};

async fn download(number: u64) -> u64 {
    sleep(Duration::from_secs(number)).await;
    number
}

#[redd::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), TaskError> {
    let group = TaskGroup::limit(2).deadline(Duration::from_secs(8)).start();
    for number in 1..=5 {
        group.spawn(download(number));
    }
    while let Some(result) = group.next().await {
        match result {
            Ok(number) => println!("downloaded {number}"),
            Err(error) if error.is_cancelled() => println!("stopped"),
            Err(error) => println!("failed: {error}"),
        }
    }
    group.close().await.map(drop)
}
