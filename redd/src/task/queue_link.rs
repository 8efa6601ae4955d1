//! `QueueLink`: the link through which a task is in an intrusive queue.
//!
//! Called by `scheduler::injector` and `scheduler::run_queue`, whose nodes implement it.

#![expect(unsafe_code, reason = "the link of a node behind a raw pointer")]

use std::ptr::NonNull;

use crate::primitives::atomic::AtomicPtr;

/// A node that can be in a queue. It has one link, which belongs to the queue that owns the node.
///
/// # Safety
/// `next` gives the same link for the same node each time, and only the owner of the node stores to it.
pub(crate) unsafe trait QueueLink: Sized {
    /// # Safety
    /// `node` is alive for as long as the link is used.
    unsafe fn next<'a>(node: NonNull<Self>) -> &'a AtomicPtr<Self>;
}
