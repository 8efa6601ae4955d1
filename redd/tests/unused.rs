//! What a Tokio program may leave unused causes no warning with redd: crates that deny warnings must compile.
//!
//! Called by `cargo test -p redd`.

#![deny(unused_must_use)]

use std::sync::Arc;

use redd::sync::{Barrier, Mutex, RwLock, oneshot};

fn receiver() -> oneshot::Receiver<()> {
    oneshot::channel().1
}

#[redd::test]
async fn unused_guards_and_receivers_cause_no_warning() {
    receiver();
    Arc::new(Mutex::new(0)).lock_owned().await;
    let lock = Arc::new(RwLock::new(0));
    lock.clone().read_owned().await;
    lock.clone().write_owned().await;
    Barrier::new(1).wait().await.is_leader();
    redd::io::empty();
    redd::io::sink();
    assert!(lock.try_write().is_ok(), "what was not used is dropped at once");
}
