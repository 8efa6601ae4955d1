//! A channel that never closes: its receiver ends when all senders are gone, and keeps one itself.

use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::sleep;

#[derive(Debug)]
struct Mail {
    address: String,
    attempts: u32,
}

/// Delivers until all senders are gone. What fails goes to the end of the queue.
async fn deliver(mut queue: Receiver<Mail>, retry: Sender<Mail>) -> usize {
    let mut delivered = 0;
    loop {
        let Some(mut mail) = queue.recv().await else { return delivered }; // culprit: waits
        mail.attempts += 1;
        if send(&mail).await {
            delivered += 1;
        } else {
            retry.send(mail).await.expect("the receiver is here");
        }
    }
}

/// The first attempt fails for some.
async fn send(mail: &Mail) -> bool {
    sleep(Duration::from_millis(5)).await;
    mail.attempts > 1 || !mail.address.starts_with('b')
}

#[tokio::main]
async fn main() {
    demos::report_soon();
    let (outbox, queue) = mpsc::channel(16);
    let delivering = tokio::spawn(deliver(queue, outbox.clone()));
    for name in ["ada", "bob", "eve"] {
        let mail = Mail { address: format!("{name}@example.com"), attempts: 0 };
        outbox.send(mail).await.expect("`deliver` receives");
    }
    // The last sender, so it seems.
    drop(outbox);
    println!("delivered: {}", delivering.await.expect("`deliver` does not panic"));
}
