//! How a group ends: it is closed or dropped, then its tasks, inner groups and watchers end, and its clean-ups run.
//!
//! Called by `group_state`, which has the invariants that are named here, and by `group_results`.

use std::mem;
use std::sync::{Arc, Weak};

use super::entry_waker::EntryWakers;
use super::group_inner::{EndedTask, GroupEntry, GroupPhase};
use super::group_state::GroupState;
use super::result_queue::ResultQueue;
use super::scope::{CancelTarget, ClosingInside, InnerKey, Reason};
use crate::primitives::atomic::Ordering;
use crate::primitives::user_code::drop_guarded;
use crate::task::AbortHandle;

impl<T: Send + 'static> GroupState<T> {
    /// No task is spawned from now on: when all have ended, the clean-ups run.
    pub(super) fn close(self: &Arc<Self>) {
        // Only the owner closes a group, so it stays open until the lock below.
        if self.inner.lock().phase == GroupPhase::Open {
            // `inner-groups-count`. Before it closes: its last task may end from then on, on another thread.
            if let Some(outer) = self.scope.outer() {
                let group: Weak<Self> = Arc::downgrade(self);
                let inner = ClosingInside { group, is_in_phase: self.options.in_phase.is_some() };
                outer.inner_closes(self.scope.inner_key(), inner);
            }
            let mut inner = self.inner.lock();
            inner.phase = GroupPhase::Closing;
            // `clean-ups-are-due`. Relaxed: the caller's task has not ended, which orders it.
            self.runtime.shared.due_in_groups.fetch_add(1, Ordering::Relaxed);
        }
        self.advance();
    }

    /// The `TaskGroup` is dropped: its tasks are, too, and the clean-ups run.
    pub(super) fn abandon(self: &Arc<Self>) {
        let (results, is_done) = {
            let mut inner = self.inner.lock();
            inner.is_abandoned = true;
            (mem::replace(&mut inner.ended, ResultQueue::new()), inner.phase == GroupPhase::Done)
        };
        drop_results(results);
        if !is_done {
            self.cancel(&Reason::Dropped);
            self.close();
        }
    }

    /// Does the next step of a group that is closing, and of those around it for which it was the last.
    pub(super) fn advance(self: &Arc<Self>) {
        // Without recursion, as in `cancel_all`.
        let mut outer = self.advance_alone();
        while let Some((group, done)) = outer {
            outer = group.inner_is_done(done);
        }
    }

    /// When it is done, returns the group around it, and what to tell that one.
    pub(super) fn advance_alone(self: &Arc<Self>) -> Option<(Arc<dyn CancelTarget>, InnerKey)> {
        loop {
            let mut inner = self.inner.lock();
            let waits = inner.unfinished > 0 || !inner.closing_inside.is_empty() || inner.cleaning_up.is_some();
            if inner.phase != GroupPhase::Closing || waits {
                return None;
            }
            if inner.watchers > 0 {
                if mem::replace(&mut inner.are_watchers_aborted, true) {
                    return None;
                }
                let watchers = inner.entries.iter().filter_map(|entry| match entry {
                    GroupEntry::Watcher(handle) => Some(handle.abort_handle()),
                    GroupEntry::Free(_)
                    | GroupEntry::Reserved { .. }
                    | GroupEntry::Task { .. }
                    | GroupEntry::CleanUp(_) => None,
                });
                let watchers: Vec<_> = watchers.collect();
                drop(inner);
                watchers.iter().for_each(AbortHandle::abort);
                return None;
            }
            if let Some(slot) = inner.deferred.pop() {
                inner.cleaning_up = Some(Arc::clone(&slot));
                drop(inner);
                let deferral = slot.0.lock().take();
                match deferral {
                    Some(deferral) => self.clean_up(deferral),
                    None => self.inner.lock().cleaning_up = None,
                }
                continue;
            }
            inner.phase = GroupPhase::Done;
            // `wakers-go-last`
            let wakers = mem::replace(&mut inner.wakers, EntryWakers::new());
            let failed = if inner.is_abandoned { inner.failed_clean_up.take() } else { None };
            inner.waits = 0;
            inner.notify_all();
            drop_guarded((wakers, failed));
            if let Some(phase) = &self.options.in_phase {
                phase.leave();
            }
            // Release: what the clean-ups did is visible to a drain. Pairs with Acquire in `is_quiet`.
            self.runtime.shared.due_in_groups.fetch_sub(1, Ordering::Release);
            return self.scope.outer().map(|outer| (outer, self.scope.inner_key()));
        }
    }
}

/// Drops results that the program has not taken, outside of the lock.
fn drop_results<T>(mut results: ResultQueue<EndedTask<T>>) {
    while let Some(task) = results.pop() {
        drop_guarded(task);
    }
}
