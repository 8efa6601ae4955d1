//! Later, not at all, and again and again.

use redd::time::{Duration, interval, sleep};

#[redd::main]
async fn main() {
    let later = redd::spawn(async {
        sleep(Duration::from_millis(10)).await;
        println!("later");
    });
    let never = redd::spawn(async {
        sleep(Duration::from_millis(1000)).await;
        println!("never");
    });
    never.abort();
    let mut timer = interval(Duration::from_millis(30));
    timer.tick().await; // The first tick is at once. That of `setInterval` is after 30 ms.
    for _ in 0..3 {
        timer.tick().await;
    }
    later.await.expect("it does not panic"); // Without this, the program would not wait for it.
    println!("3 ticks");
}
