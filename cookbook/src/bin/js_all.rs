//! Three requests at once, and the results in their order.

use redd::group::{TaskError, TaskGroup};
use redd::time::{Duration, sleep};

async fn load(name: String, ms: u64) -> String {
    sleep(Duration::from_millis(ms)).await;
    name
}

#[redd::main]
async fn main() -> Result<(), TaskError> {
    // A fixed number: `join!` runs them inside of this task, without a spawn.
    let (user, cart) = redd::join!(load("user".into(), 30), load("cart".into(), 10));
    println!("{user} {cart}");

    // A list: a task for each.
    let mut group = TaskGroup::new();
    group.extend([30, 10, 20].into_iter().enumerate().map(|(i, ms)| load(format!("page {i}"), ms)));
    let pages = group.in_order().close().await?;
    println!("{}", pages.join(", "));
    Ok(())
}
