//! Models of the scheduler's parts: every interleaving, within loom's bounds.
//!
//! Beside each model is a seeded mistake that the model must catch. This shows that the model checks what it claims.

#![expect(unsafe_code, reason = "nodes are read after a queue has handed them out")]

#[path = "scheduler_core.rs"]
pub(crate) mod core;
#[path = "scheduler_idle.rs"]
mod idle_word;
#[path = "scheduler_queues.rs"]
mod queues;
#[path = "scheduler_running_loops.rs"]
mod running_loops_word;
#[path = "scheduler_start.rs"]
mod starts;

use std::ptr::NonNull;

use super::injector::testing::Node;

/// Asserts that each number was returned once and that none is missing.
#[track_caller]
fn assert_each_once(mut seen: Vec<usize>, count: usize) {
    seen.sort_unstable();
    assert_eq!(seen, Vec::from_iter(0..count), "each task is returned exactly once");
}

/// Returns the number of a node, and does not free it. So the assertion above finds a node that is returned twice, not the
/// allocator.
fn take(node: NonNull<Node>) -> usize {
    // SAFETY: never freed.
    unsafe { node.as_ref() }.number
}
