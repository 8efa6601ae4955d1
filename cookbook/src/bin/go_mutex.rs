//! A hundred tasks count, under a mutex. The map is inside of it, so no code can forget to lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use redd::group::{TaskError, TaskGroup};

#[redd::main]
async fn main() -> Result<(), TaskError> {
    let counts = Arc::new(Mutex::new(HashMap::new()));
    let group = TaskGroup::new();
    for i in 0..100 {
        let counts = Arc::clone(&counts);
        group.spawn(async move {
            let key = if i % 2 == 0 { "even" } else { "odd" };
            *counts.lock().expect("no task panics").entry(key).or_insert(0) += 1;
        });
    }
    group.close().await?;
    let counts = counts.lock().expect("no task panics");
    println!("even: {} odd: {}", counts["even"], counts["odd"]);
    Ok(())
}
