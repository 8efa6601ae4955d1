//! A bare future does nothing until it is awaited; a task runs on its own.

use redd::task::yield_now;

async fn say(text: &str) {
    println!("{text}");
}

#[redd::main(flavor = "current_thread")]
async fn main() {
    let bare = say("2: the bare future, when it is awaited");
    let task = redd::spawn(say("1: the task, as soon as we let go of the thread"));

    yield_now().await;
    bare.await;
    task.await.expect("`say` does not panic");
}
