//! The start of tasks and closures that have waited for a place of their group's limit.
//!
//! Called by `group_state`.

use std::mem;

use super::group_inner::{Queued, QueuedClosure};
use super::group_state::GroupState;
use crate::blocking::task::Urgency;
use crate::primitives::atomic::Ordering;
use crate::scheduler::closures;

impl<T: Send + 'static> GroupState<T> {
    /// Starts what has got a place.
    pub(super) fn start_queued(&self, queued: Queued) {
        match queued {
            Queued::Task(task) => task.wake(),
            Queued::Closure(closure) => self.start_closure(closure),
        }
    }

    fn start_closure(&self, QueuedClosure { runnable, refusal }: QueuedClosure) {
        // The place is free because the runtime has cancelled a task. The pool may still accept closures.
        if self.runtime.shared.is_closed() {
            runnable.cancel();
            return;
        }
        if let Err((runnable, error)) = closures::start(&self.runtime.shared, runnable, Urgency::Usual) {
            let _ = refusal.set(error);
            // It panics, and so it ends here.
            let _ = runnable.run();
        }
    }

    /// As [`start_queued`](Self::start_queued), for what was in an entry.
    pub(super) fn start_granted(&self, granted: Option<Queued>) {
        match granted {
            None => {}
            Some(Queued::Task(task)) => task.wake(),
            Some(Queued::Closure(closure)) => self.start_granted_closure(closure),
        }
    }

    /// Without recursion: a closure that the pool refuses ends here, and the next one gets its place.
    fn start_granted_closure(&self, closure: QueuedClosure) {
        {
            let mut inner = self.inner.lock();
            inner.granted_closures.push_back(closure);
            if mem::replace(&mut inner.is_starting, true) {
                // The call that has set it starts this one, too.
                return;
            }
        }
        while let Some(closure) = self.next_granted_closure() {
            self.start_closure(closure);
            self.closures_are_started(1);
        }
    }

    fn next_granted_closure(&self) -> Option<QueuedClosure> {
        let mut inner = self.inner.lock();
        let closure = inner.granted_closures.pop_front();
        inner.is_starting = closure.is_some();
        closure
    }

    /// Ends closures that were in entries, without calling them.
    pub(super) fn cancel_queued(&self, queued: Vec<Queued>) {
        let count = queued.len();
        for queued in queued {
            if let Queued::Closure(closure) = queued {
                closure.runnable.cancel();
            }
        }
        self.closures_are_started(count);
    }

    /// Closures that were in entries are in the pool, or have ended.
    fn closures_are_started(&self, count: usize) {
        // Release: a drain that sees it sees the closures in the pool. Pairs with Acquire in `is_quiet`.
        self.runtime.shared.due_in_groups.fetch_sub(count, Ordering::Release);
    }
}
