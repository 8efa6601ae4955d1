//! A worker gets 50 ms. It has no parameter for that: its future is dropped where it waits.

use redd::time::{Duration, sleep, timeout};

struct CleanUp;

impl Drop for CleanUp {
    fn drop(&mut self) {
        println!("the worker has cleaned up");
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
    let result = timeout(Duration::from_millis(50), work()).await;
    println!("the time is over: {}", result.is_err());
}
