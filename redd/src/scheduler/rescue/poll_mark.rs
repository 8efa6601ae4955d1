//! The poll mark of a slot: how many polls its worker has begun and ended, and which task it polls.
//!
//! Called by the worker loop (`begin`, `end`), by the stall detector and by metrics.
//!
//! # Invariants
//! - `flag-while-polling`: `polls` is odd exactly while a task of the worker is being polled; only the worker writes.
//! - `right-task-or-none`: a reader takes three steps. It reads the task's address, takes a reference to the live task there,
//!   and checks that the poll is still the same. Then it has that poll's task: while it holds the reference, no other task can
//!   use the memory.

use crate::primitives::atomic::{AtomicPtr, AtomicU64, Ordering};
use crate::task::header::Header;

/// The mark of one worker.
#[derive(Debug)]
pub(crate) struct PollMark {
    polls: AtomicU64,
    /// Polls of this worker that ended in a panic. A hint for reports.
    panics: AtomicU64,
    /// An address to look up, not to dereference.
    pub(super) task: AtomicPtr<Header>,
}

impl PollMark {
    pub(crate) fn new() -> Self {
        Self { polls: AtomicU64::new(0), panics: AtomicU64::new(0), task: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// The worker is about to poll this task. The result is for [`end`](Self::end).
    #[inline]
    pub(crate) fn begin(&self, task: *mut Header) -> u64 {
        let polls = self.polls.load(Ordering::Relaxed);
        debug_assert!(!is_polling(polls), "`flag-while-polling`");
        // Release: a thread that sees this task sees that the poll before has ended. Pairs with the Acquire in `task_of`.
        self.task.store(task, Ordering::Release);
        // Release: a thread that sees the poll sees its task. Pairs with the Acquire in `polls`.
        self.polls.store(polls.wrapping_add(1), Ordering::Release);
        polls
    }

    /// The poll that began with `polls` has ended.
    #[inline]
    pub(crate) fn end(&self, polls: u64) {
        // Release: as in `begin`; and it pairs with the Acquire in `task_of`.
        self.polls.store(polls.wrapping_add(2), Ordering::Release);
    }

    /// The current poll of this worker has panicked. Called before the poll ends, so a thread that sees its end sees this too.
    pub(crate) fn record_panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// How many polls have panicked.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// The number of polls begun plus the number of polls ended.
    pub(crate) fn polls(&self) -> u64 {
        // Acquire: pairs with the Release in `begin`.
        self.polls.load(Ordering::Acquire)
    }

    /// The task of the poll with the number `polls`. `keep` takes a reference to the live task at the address, if there is one.
    pub(crate) fn task_of<R>(&self, polls: u64, keep: impl FnOnce(*mut Header) -> Option<R>) -> Option<R> {
        // Acquire: pairs with the Release in `begin`: if this is the task of a later poll, `polls` is later too.
        let kept = keep(self.task.load(Ordering::Acquire))?;
        // Acquire: pairs with the Release in `end`. `right-task-or-none`.
        (self.polls.load(Ordering::Acquire) == polls).then_some(kept)
    }
}

#[inline]
pub(crate) fn is_polling(polls: u64) -> bool {
    polls % 2 == 1
}
