//! Models of the scheduler's parts: every interleaving, within loom's bounds.
//!
//! Beside each model stands a seeded mistake that it must catch, so that we know that it looks.

#![expect(unsafe_code, reason = "nodes are read after a queue has handed them out")]

#[path = "scheduler_active.rs"]
mod active_word;
#[path = "scheduler_idle.rs"]
mod idle_word;
#[path = "scheduler_queues.rs"]
mod queues;
#[path = "scheduler_start.rs"]
mod starts;

use std::ptr::NonNull;

use super::injector::testing::Node;

/// The numbers that came out, once each and none missing.
#[track_caller]
fn assert_each_once(mut seen: Vec<usize>, count: usize) {
    seen.sort_unstable();
    assert_eq!(seen, Vec::from_iter(0..count), "each task comes out exactly once");
}

/// The end of a node: its number. It is not freed, so that a mistake that hands it out twice is found by the
/// assertion above and not by the allocator.
fn take(node: NonNull<Node>) -> usize {
    // SAFETY: never freed.
    unsafe { node.as_ref() }.number
}
