//! A worker that writes batches. Its channel has room for four lines, so producers wait while it is busy.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, sleep, timeout};

/// Ends when each sender is gone and the channel is empty.
async fn write_batches(mut lines: mpsc::Receiver<String>) -> usize {
    let (mut batch, mut written) = (Vec::new(), 0);
    while lines.recv_many(&mut batch, 4).await > 0 {
        sleep(Duration::from_millis(100)).await; // The disk, or a database.
        written += batch.len();
        batch.clear();
    }
    written
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (sender, receiver) = mpsc::channel(4);
    let worker = tokio::spawn(write_batches(receiver));

    let start = Instant::now();
    let producers = ["a", "b", "c"].map(|name| {
        let sender = sender.clone();
        tokio::spawn(async move {
            for number in 0..8 {
                // Waits for room. An error means that the worker is gone.
                sender.send(format!("{name}{number}")).await.expect("the worker runs until the last sender is gone");
            }
        })
    });
    for producer in producers {
        producer.await?;
    }
    println!("24 lines were sent in {} ms, as fast as the worker takes them", start.elapsed().as_millis());

    while sender.try_send("more".to_owned()).is_ok() {}
    match sender.try_send("too much".to_owned()) {
        Err(TrySendError::Full(line)) => println!("try_send returns a line that does not fit: {line}"),
        other => unreachable!("the channel is full: {other:?}"),
    }

    drop(sender); // The clean end: no flag and no abort.
    let written = timeout(Duration::from_secs(10), worker).await??;
    println!("the worker has written {written} lines and has ended");
    Ok(())
}
