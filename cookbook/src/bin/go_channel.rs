//! A producer, a channel with room for two, and a consumer that ends with the channel.

use redd::sync::mpsc;

#[redd::main]
async fn main() {
    let (sender, mut numbers) = mpsc::channel(2);
    redd::spawn(async move {
        for i in 1..=5 {
            if sender.send(i).await.is_err() {
                return; // The receiver is gone. In Go this would wait forever.
            }
        }
    }); // Here `sender` is dropped, which closes the channel.
    let mut sum = 0;
    while let Some(n) = numbers.recv().await {
        sum += n;
    }
    println!("sum: {sum}");
}
