//! Waits for the first of several events, with a time limit, and looks without waiting.

use redd::sync::mpsc;
use redd::time::{Duration, sleep};

#[redd::main]
async fn main() {
    let (sender, mut results) = mpsc::channel(1);
    match results.try_recv() {
        Ok(r) => println!("got {r}"),
        Err(_) => println!("nothing yet"),
    }
    let keeps_it_open = sender.clone();
    redd::spawn(async move { sender.send("a result").await });
    for _ in 0..2 {
        redd::select! {
            Some(r) = results.recv() => println!("got {r}"),
            () = sleep(Duration::from_millis(200)) => println!("nothing for 200 ms"),
        }
    }
    drop(keeps_it_open);
}
