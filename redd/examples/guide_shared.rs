//! Tasks share what an `Arc` points to. What they change is protected by a lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use redd::task::JoinSet;

#[redd::main]
async fn main() {
    let counts = Arc::new(Mutex::new(BTreeMap::new()));
    let mut tasks = JoinSet::new();
    for word in ["redd", "salmon", "redd", "river", "redd"] {
        let counts = Arc::clone(&counts);
        tasks.spawn(async move {
            // A std lock is right here: it is held briefly, and never across an `.await`.
            *counts.lock().expect("no task panics with the lock").entry(word).or_insert(0) += 1;
        });
    }
    tasks.join_all().await;
    println!("{:?}", counts.lock().expect("as above"));
}
