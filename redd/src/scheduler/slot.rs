//! One worker as the other threads see it.
//!
//! Read by searchers, by the monitor and by metrics; written by the worker itself, but for its state and its stolen tasks.

use super::counters::WorkerCounters;
use super::rescue::poll_mark::PollMark;
use super::run_queue::RunQueue;
use super::worker_states::WorkerState;
use crate::primitives::atomic::{AtomicU32, AtomicU64};
use crate::primitives::{Mutex, thread};
use crate::task::cell::Header;

/// One worker as the others see it: its queue and its counters.
#[derive(Debug)]
pub(crate) struct WorkerSlot {
    pub(crate) queue: RunQueue<Header>,
    pub(crate) mark: PollMark<Header>,
    /// Whether its thread runs tasks; if not, others look after its next-slot and its wheel.
    pub(crate) state: WorkerState,
    /// The system's number of its thread; 0 if it has none.
    pub(crate) thread: AtomicU32,
    pub(crate) parks: AtomicU64,
    pub(crate) unparks: AtomicU64,
    pub(crate) busy_ns: AtomicU64,
    pub(crate) counters: WorkerCounters,
    /// The thread that is the worker, or was last.
    pub(crate) thread_id: Mutex<Option<thread::PublicId>>,
}

impl WorkerSlot {
    pub(super) fn new() -> Self {
        Self {
            queue: RunQueue::new(),
            mark: PollMark::new(),
            state: WorkerState::new(),
            thread: AtomicU32::new(0),
            parks: AtomicU64::new(0),
            unparks: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
            counters: WorkerCounters::new(),
            thread_id: Mutex::new(None),
        }
    }

    /// Whether a thief may find something: in the ring, or in the next-slot of a worker that does not get to it.
    pub(crate) fn has_tasks_for_others(&self) -> bool {
        !self.queue.is_ring_empty() || (!self.state.is_active() && self.queue.has_next())
    }
}
