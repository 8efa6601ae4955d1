//! Between tasks: locks, permits, notices and channels.
//!
//! Everything here works with any executor: it needs a `Waker` and, inside a redd task, takes part in the task's
//! budget. No part of it looks for a runtime, except the `blocking_*` methods, which refuse to block one.
//!
//! Every primitive keeps its waiters in first-come order, and every waiting future may be dropped at any await: its
//! place in the queue is lost, and what was already granted to it goes to the next waiter.

pub(crate) mod blocking;
pub(crate) mod permits;
pub(crate) mod wait_list;
pub(crate) mod wait_until;
pub(crate) mod waker_cell;

pub mod mpsc;
pub mod oneshot;

#[cfg(all(test, loom))]
mod channel_models;
