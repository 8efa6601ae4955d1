//! Every line of a log names its request, also from tasks and closures that the request has started.

use redd::group::{TaskError, TaskGroup};
use redd::task::spawn_blocking;

redd::task_local! {
    /// The request that the current code works for.
    #[inherited]
    static REQUEST: u32;
}

fn log(text: &str) {
    println!("[request {}] {text}", REQUEST.get());
}

/// Knows nothing of requests, and is given nothing.
async fn answer() -> Result<(), TaskError> {
    let parts = TaskGroup::limit(1).start();
    parts.spawn(async { log("reads the database") });
    parts.spawn(async { spawn_blocking(|| log("renders the page")).await.expect("it does not panic") });
    parts.close().await.map(drop)
}

#[redd::main(flavor = "current_thread")]
async fn main() -> Result<(), TaskError> {
    for number in 1..=2 {
        // The spawn is inside of the scope, so the task inherits the number.
        let request = REQUEST.sync_scope(number, || redd::spawn(answer()));
        request.await.expect("it does not panic")?;
    }
    Ok(())
}
