//! A task may have a name, for reports.

use redd::task::{Builder, try_id};

#[redd::main]
async fn main() {
    let task = Builder::new()
        .name("greeter")
        .spawn(async { try_id().is_some() })
        .expect("spawning is an `io::Result` as in Tokio, and does not fail today");
    println!("has an id inside: {}", task.await.expect("it does not panic"));
    println!("has an id in `main`, which is no task: {}", try_id().is_some());
}
