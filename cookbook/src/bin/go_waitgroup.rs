//! A task for each number, and a group that waits for all of them.

use redd::group::{TaskError, TaskGroup};

#[redd::main]
async fn main() -> Result<(), TaskError> {
    let group = TaskGroup::new();
    for i in 1..=4 {
        group.spawn(async move { i * i });
    }
    let squares = group.close().await?;
    println!("sum: {}", squares.iter().sum::<i64>());
    Ok(())
}
