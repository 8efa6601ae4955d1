//! A service that stops without losing a request, and says goodbye.

use redd::group::{TaskGroup, shield};
use redd::sync::{mpsc, oneshot};
use redd::time::{Duration, sleep};

/// Answers one request. A request that was accepted is answered, also while the service stops.
async fn answer(number: u32, reply: oneshot::Sender<u32>) {
    shield(Duration::from_secs(5), async {
        sleep(Duration::from_millis(100)).await;
        let _ = reply.send(2 * number);
    })
    .await;
}

/// Accepts requests until it is asked to stop.
async fn serve(mut requests: mpsc::Receiver<(u32, oneshot::Sender<u32>)>, stop: oneshot::Receiver<()>) {
    let answers = TaskGroup::discarding().name("answers").limit(64).start();
    answers.defer(Duration::from_secs(1), async { println!("goodbye") });
    answers.cancel_when(stop, "the service stops");
    let scope = answers.scope();
    loop {
        redd::select! {
            _ = scope.cancelled() => break,
            request = requests.recv() => match request {
                Some((number, reply)) => drop(answers.spawn(answer(number, reply))),
                None => break,
            },
        }
    }
    println!("{} answers are on their way", answers.len());
    // It waits for the shields and the clean-up.
    let _ = answers.close().await;
}

#[redd::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let (sender, requests) = mpsc::channel(16);
    let (stop, stopped) = oneshot::channel();
    let service = redd::spawn(serve(requests, stopped));
    let mut replies = Vec::new();
    for number in 1..=3 {
        let (reply, replied) = oneshot::channel();
        sender.send((number, reply)).await.expect("the service runs");
        replies.push(replied);
    }
    sleep(Duration::from_millis(50)).await;
    stop.send(()).expect("the service runs");
    for reply in replies {
        println!("answer: {}", reply.await.expect("an accepted request is answered"));
    }
    service.await.expect("it does not panic");
}
