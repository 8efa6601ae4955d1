//! The start of tasks and closures that have waited for a place of their group's limit.
//!
//! Called by `group_state`.

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
            Queued::Closure(QueuedClosure { runnable, refusal }) => {
                if let Err((runnable, error)) = closures::start(&self.runtime.shared, runnable, Urgency::Usual) {
                    let _ = refusal.set(error);
                    // It panics, and so it ends here.
                    let _ = runnable.run();
                }
            }
        }
    }

    /// As [`start_queued`](Self::start_queued), for what was in an entry.
    pub(super) fn start_granted(&self, granted: Option<Queued>) {
        let Some(granted) = granted else { return };
        let was_due = matches!(granted, Queued::Closure(_));
        self.start_queued(granted);
        if was_due {
            self.closures_are_started(1);
        }
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
