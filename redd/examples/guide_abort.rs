//! Aborting a task drops its future at the await point where it waits.

use std::time::Duration;

struct Connection;

impl Drop for Connection {
    fn drop(&mut self) {
        println!("the connection is closed");
    }
}

#[redd::main(flavor = "current_thread")]
async fn main() {
    let task = redd::spawn(async {
        let _connection = Connection;
        redd::time::sleep(Duration::from_secs(3600)).await;
    });
    redd::task::yield_now().await;

    task.abort();
    let error = task.await.expect_err("it was aborted");
    println!("is_cancelled: {}", error.is_cancelled());
}
