//! The queue of a `JoinSet`: the indices of entries whose tasks have ended, in the order in which they ended.
//!
//! Called by `entry_waker` (push, on the thread where a task ends) and by `join_set` (take).
//!
//! # Invariants
//! - `once-in-ready`: the index of an entry is pushed once, when its task has ended. The entry leaves the set when the
//!   index is taken out.

use std::collections::VecDeque;
use std::mem;
use std::panic::Location;
use std::sync::{Arc, Weak};
use std::task::Waker;

use crate::observe::unjoined::{self, FinishedTasks, LISTED_MIN};
use crate::primitives::Mutex;
use crate::primitives::atomic::{AtomicUsize, Ordering};

/// The entries whose tasks have ended, and the waker of the task that waits for the next one.
pub(super) struct ReadyQueue {
    inner: Mutex<QueueAndWaker>,
    /// The number of entries that have left the set, and `usize::MAX` at the end. Written only by the owner of the set.
    joined: AtomicUsize,
    /// The line that created the set.
    pub(super) created_at: &'static Location<'static>,
}

struct QueueAndWaker {
    queue: VecDeque<usize>,
    waker: Option<Waker>,
    /// The number of entries that were ever in the queue.
    pushed: usize,
    /// While `pushed` is less than this, the set has fewer than `LISTED_MIN` finished tasks. `usize::MAX`: dumps know of it.
    list_at: usize,
}

impl ReadyQueue {
    pub(super) fn new(created_at: &'static Location<'static>) -> Arc<Self> {
        let inner = QueueAndWaker { queue: VecDeque::new(), waker: None, pushed: 0, list_at: LISTED_MIN };
        Arc::new(Self { inner: Mutex::new(inner), joined: AtomicUsize::new(0), created_at })
    }

    /// Adds an entry and wakes the waiting task. `once-in-ready`: a task ends once, so its waker is called once.
    pub(super) fn push(self: &Arc<Self>, index: usize) {
        let (waker, becomes_large) = {
            let mut inner = self.inner.lock();
            inner.queue.push_back(index);
            inner.pushed += 1;
            let becomes_large = inner.pushed >= inner.list_at && self.becomes_large(&mut inner);
            (inner.waker.take(), becomes_large)
        };
        if becomes_large {
            self.list();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether dumps have to know of this set from now on. Otherwise they need not before some more entries were pushed.
    #[cold]
    fn becomes_large(&self, inner: &mut QueueAndWaker) -> bool {
        let finished = self.finished_of(inner.pushed);
        let is_large = finished >= LISTED_MIN;
        // More entries leave the set, so this comes too early, and never too late.
        inner.list_at = if is_large { usize::MAX } else { inner.pushed + (LISTED_MIN - finished) };
        is_large
    }

    #[cold]
    fn list(self: &Arc<Self>) {
        let set: Weak<Self> = Arc::downgrade(self);
        unjoined::list(set);
    }

    /// An entry has left the set. Called only by the owner of the set.
    #[inline]
    pub(super) fn count_joined(&self) {
        // Only one thread writes, so no read-modify-write is needed.
        self.joined.store(self.joined.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// All entries have left the set. Called only by its owner, as the last call.
    pub(super) fn close(&self) {
        self.joined.store(usize::MAX, Ordering::Relaxed);
    }

    /// A number that may be old by now. An entry may be counted as joined before its push is seen.
    fn finished_of(&self, pushed: usize) -> usize {
        pushed.saturating_sub(self.joined.load(Ordering::Relaxed))
    }

    /// Moves all entries to `ended`, which is empty.
    pub(super) fn take_into(&self, ended: &mut VecDeque<usize>) {
        mem::swap(ended, &mut self.inner.lock().queue);
    }

    /// As [`take_into`](Self::take_into). If there is no entry, the next [`push`](Self::push) calls `waker`.
    pub(super) fn take_or_register(&self, ended: &mut VecDeque<usize>, waker: &Waker) {
        {
            let mut inner = self.inner.lock();
            mem::swap(ended, &mut inner.queue);
            if !ended.is_empty() || inner.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
                return;
            }
        }
        // A waker is user code: it is cloned and dropped without the lock. A task may end meanwhile.
        let waker = waker.clone();
        let mut inner = self.inner.lock();
        mem::swap(ended, &mut inner.queue);
        let unused = if ended.is_empty() { inner.waker.replace(waker) } else { Some(waker) };
        drop(inner);
        drop(unused);
    }
}

impl FinishedTasks for ReadyQueue {
    fn created_at(&self) -> &'static Location<'static> {
        self.created_at
    }

    fn finished(&self) -> usize {
        let pushed = self.inner.lock().pushed;
        self.finished_of(pushed)
    }
}
