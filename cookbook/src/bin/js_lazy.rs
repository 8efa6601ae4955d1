//! A future runs when it is awaited. A task runs from its spawn.

use redd::task::yield_now;

async fn say(text: &str) {
    println!("{text}");
}

#[redd::main(flavor = "current_thread")]
async fn main() {
    let first = say("3: the future, since it is awaited now");
    println!("1: nothing was awaited yet");
    let task = redd::spawn(say("2: the task, as soon as the thread is free"));
    yield_now().await;
    first.await;
    task.await.expect("it does not panic");
}
