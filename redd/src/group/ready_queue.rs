//! The queue of a `JoinSet`: the indices of entries whose tasks have ended, in the order in which they ended.
//!
//! Called by `entry_waker` (push, on the thread where a task ends) and by `join_set` (take).
//!
//! # Invariants
//! - `once-in-ready`: the index of an entry is pushed once, when its task has ended. The entry leaves the set when the
//!   index is taken out.

use std::collections::VecDeque;
use std::mem;
use std::task::Waker;

use crate::primitives::Mutex;

/// The entries whose tasks have ended, and the waker of the task that waits for the next one.
#[derive(Default)]
pub(super) struct ReadyQueue {
    inner: Mutex<QueueAndWaker>,
}

#[derive(Default)]
struct QueueAndWaker {
    queue: VecDeque<usize>,
    waker: Option<Waker>,
}

impl ReadyQueue {
    /// Adds an entry and wakes the waiting task. `once-in-ready`: a task ends once, so its waker is called once.
    pub(super) fn push(&self, index: usize) {
        let waker = {
            let mut inner = self.inner.lock();
            inner.queue.push_back(index);
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
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
