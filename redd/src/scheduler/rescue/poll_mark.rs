//! The mark that a worker leaves at its slot: how many polls it has begun and ended, and which task it polls.
//!
//! Called by the worker loop (`begin`, `end`), by the watch and by metrics.
//!
//! # Invariants
//! - `flag-while-polling`: `polls` is odd exactly while a task of the worker is being polled; only the worker writes.
//! - `right-task-or-none`: whoever reads the task's address, gets a reference to what is alive there, and then sees that the
//!   poll still is the one it asked about, has that poll's task: with the reference its memory cannot become another's.

use crate::primitives::atomic::{AtomicPtr, AtomicU64, Ordering};

/// See the module page.
#[derive(Debug)]
pub(crate) struct PollMark<T> {
    polls: AtomicU64,
    /// Polls of this worker that ended in a panic. A hint for reports.
    panics: AtomicU64,
    /// An address to look for, not to follow.
    pub(super) task: AtomicPtr<T>,
}

impl<T> PollMark<T> {
    pub(crate) fn new() -> Self {
        Self { polls: AtomicU64::new(0), panics: AtomicU64::new(0), task: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// The worker is about to poll this task. The answer is for [`end`](Self::end).
    #[inline]
    pub(crate) fn begin(&self, task: *mut T) -> u64 {
        let polls = self.polls.load(Ordering::Relaxed);
        debug_assert!(!is_polling(polls), "`flag-while-polling`");
        // Release: whoever sees this task sees that the poll before has ended. Pairs with the Acquire in `task_of`.
        self.task.store(task, Ordering::Release);
        // Release: whoever sees the poll sees its task. Pairs with the Acquire in `polls`.
        self.polls.store(polls.wrapping_add(1), Ordering::Release);
        polls
    }

    /// The poll is over that began with `polls`.
    #[inline]
    pub(crate) fn end(&self, polls: u64) {
        // Release: as in `begin`; and it pairs with the Acquire in `task_of`.
        self.polls.store(polls.wrapping_add(2), Ordering::Release);
    }

    /// The current poll of this worker has panicked. Called before the poll ends, so who sees its end sees this too.
    pub(crate) fn note_panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// How many polls have panicked.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Polls begun and polls ended, added up.
    pub(crate) fn polls(&self) -> u64 {
        // Acquire: pairs with the Release in `begin`.
        self.polls.load(Ordering::Acquire)
    }

    /// The task of the poll that `polls` stood for. `keep` gets a reference to what is alive at the address, if anything.
    pub(crate) fn task_of<R>(&self, polls: u64, keep: impl FnOnce(*mut T) -> Option<R>) -> Option<R> {
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
