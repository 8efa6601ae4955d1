//! One source, many subscribers. A subscriber that falls behind is dropped, and delays no other one.

use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::time::sleep;

/// Returns why it ended.
async fn subscriber(mut prices: broadcast::Receiver<u32>, pause: Duration) -> String {
    let mut received = 0;
    loop {
        match prices.recv().await {
            Ok(_) => received += 1,
            Err(broadcast::error::RecvError::Closed) => return format!("got all {received}"),
            // The buffer has moved on. A subscriber that can do without some messages would go on here.
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                return format!("got {received}, had missed {missed}, and was dropped");
            }
        }
        sleep(pause).await;
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    // The 16 newest messages are kept for subscribers that are slower than the others.
    let (prices, _) = broadcast::channel(16);
    let subscribers = [("fast", 0), ("slower", 25), ("slow", 100)]
        .map(|(name, pause)| (name, tokio::spawn(subscriber(prices.subscribe(), Duration::from_millis(pause)))));

    // For those that need the newest value only.
    let (newest, mut dashboard) = watch::channel(0);
    let dashboard = tokio::spawn(async move {
        let mut seen = 0;
        while dashboard.changed().await.is_ok() {
            let _price = *dashboard.borrow_and_update();
            seen += 1;
            sleep(Duration::from_millis(100)).await;
        }
        format!("looked {seen} times, last at {}", *dashboard.borrow())
    });

    for price in 1..=50 {
        sleep(Duration::from_millis(20)).await;
        let _ = prices.send(price); // An error means that there is no subscriber.
        newest.send_replace(price);
    }
    println!("{} subscribers are left", prices.receiver_count());
    drop((prices, newest));
    for (name, task) in subscribers {
        println!("{name}: {}", task.await.expect("it does not panic"));
    }
    println!("dashboard: {}", dashboard.await.expect("it does not panic"));
}
