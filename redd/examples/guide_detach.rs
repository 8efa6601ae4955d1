//! Dropping the handle detaches the task: it runs on.

use redd::sync::oneshot;

#[redd::main]
async fn main() {
    let (done, wait) = oneshot::channel();
    drop(redd::spawn(async move {
        // Nobody holds the handle any more, and still this runs.
        done.send("the detached task ran").expect("`main` waits");
    }));
    println!("{}", wait.await.expect("the task sends before it ends"));
}
