//! The counters of one worker, and how a thread adds to a counter that only it writes.

use crate::primitives::atomic::{AtomicU64, Ordering};

/// Counters of one worker. Only the worker writes them; other threads read them for metrics.
#[derive(Debug)]
pub(crate) struct WorkerCounters {
    /// Tasks that it queued in its own queue.
    pub(crate) local_schedules: AtomicU64,
    /// How often its queue was full, and how many tasks went to the injector because of that.
    pub(crate) overflows: AtomicU64,
    pub(crate) overflowed_tasks: AtomicU64,
    /// How often it stole, and how many tasks.
    pub(crate) steals: AtomicU64,
    pub(crate) stolen_tasks: AtomicU64,
    /// How often it parked again without a poll since the last park.
    pub(crate) noops: AtomicU64,
    /// Tasks in the list of a current-thread runtime.
    pub(crate) fifo_len: AtomicU64,
    /// The smoothed time of a poll.
    pub(crate) poll_ns: AtomicU64,
}

impl WorkerCounters {
    pub(crate) fn new() -> Self {
        Self {
            local_schedules: AtomicU64::new(0),
            overflows: AtomicU64::new(0),
            overflowed_tasks: AtomicU64::new(0),
            steals: AtomicU64::new(0),
            stolen_tasks: AtomicU64::new(0),
            noops: AtomicU64::new(0),
            fifo_len: AtomicU64::new(0),
            poll_ns: AtomicU64::new(0),
        }
    }
}

/// Adds to a count that only this thread writes: no read-modify-write is needed.
#[inline]
pub(crate) fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}
