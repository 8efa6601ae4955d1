//! One worker as the other threads see it.
//!
//! Read by searchers, by the monitor and by metrics. Only the worker writes, except that searchers take tasks and the monitor
//! marks the state.

use std::sync::OnceLock;

use super::rescue::poll_mark::PollMark;
use super::run_queue::RunQueue;
use super::worker_states::WorkerState;
use crate::observe::counters::WorkerCounters;
use crate::primitives::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::primitives::{Mutex, thread};
use crate::task::header::Header;

/// The queue, the state and the counters of one worker.
#[derive(Debug)]
pub(crate) struct WorkerSlot {
    pub(crate) queue: RunQueue<Header>,
    pub(crate) mark: PollMark,
    /// Whether its thread runs tasks. If not, other workers take tasks from its LIFO slot and fire its timers.
    pub(crate) state: WorkerState,
    /// The system's id of its thread; 0 if it has none.
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

    /// Whether a searcher may find a task here: in the ring, or in the LIFO slot of a worker that is not active.
    pub(crate) fn has_tasks_for_others(&self) -> bool {
        !self.queue.is_ring_empty() || (!self.state.is_active() && self.queue.has_lifo_task())
    }
}

/// The slots of a runtime: first those of its workers, then those of spares, which are made when they are first used.
#[derive(Debug)]
pub(super) struct WorkerSlots {
    workers: Box<[WorkerSlot]>,
    spares: OnceLock<Box<[OnceLock<Box<WorkerSlot>>]>>,
    spares_max: usize,
    used: AtomicUsize,
}

impl WorkerSlots {
    pub(super) fn new(workers: Box<[WorkerSlot]>, spares_max: usize) -> Self {
        let used = AtomicUsize::new(workers.len());
        Self { workers, spares: OnceLock::new(), spares_max, used }
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> &WorkerSlot {
        match self.workers.get(index) {
            Some(slot) => slot,
            None => self.spare(index - self.workers.len()),
        }
    }

    #[cold]
    fn spare(&self, index: usize) -> &WorkerSlot {
        let room = || (0..self.spares_max).map(|_| OnceLock::new()).collect();
        self.spares.get_or_init(room)[index].get_or_init(|| Box::new(WorkerSlot::new()))
    }

    pub(super) fn spares_max(&self) -> usize {
        self.spares_max
    }

    /// The slots that are in use or were in use before.
    pub(super) fn used(&self) -> impl ExactSizeIterator<Item = &WorkerSlot> {
        // Acquire: pairs with the Release in `enable`.
        let used = self.used.load(Ordering::Acquire);
        (0..used).map(|index| self.get(index))
    }

    /// Makes the slot visible to searchers and to the monitor.
    pub(super) fn enable(&self, index: usize) -> &WorkerSlot {
        let slot = self.get(index);
        // Release: publishes the slot. Pairs with the Acquire in `used`.
        self.used.fetch_max(index + 1, Ordering::Release);
        slot
    }
}
