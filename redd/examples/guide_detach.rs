//! Dropping the handle detaches the task, which continues to run.

use redd::sync::oneshot;

#[redd::main]
async fn main() {
    let (done, wait) = oneshot::channel();
    drop(redd::spawn(async move {
        // The handle is dropped, and the task still runs.
        done.send("the detached task ran").expect("`main` waits");
    }));
    println!("{}", wait.await.expect("the task sends before it ends"));
}
