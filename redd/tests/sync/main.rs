//! `redd::sync` as programs use it, polled by hand and compared with plain queues.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "threads of no runtime, in a test that fails if the system refuses one")]

mod channels;
mod mutex;
mod notify;
mod once;
mod rwlock;
mod semaphore;
#[path = "../support/mod.rs"]
mod support;
