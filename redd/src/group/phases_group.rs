//! A group as a phase of a shutdown sees it.
//!
//! Called by `phases_core`, by way of the trait.

use std::sync::Arc;

use super::group_inner::{DeferSlot, GroupEntry, GroupPhase};
use super::group_state::GroupState;
use super::phases_core::PhaseMember;
use super::phases_report::Left;
use super::scope::Reason;
use crate::observe::coarse;

impl<T: Send + 'static> PhaseMember for GroupState<T> {
    fn is_busy(&self) -> bool {
        let deferred = {
            let inner = self.inner.lock();
            if inner.unfinished > 0 || inner.phase == GroupPhase::Closing {
                return true;
            }
            inner.deferred.clone()
        };
        // The group is open. Its owner has to close it, so that these run.
        deferred.iter().any(|slot| is_due(slot))
    }

    fn left(&self) -> Vec<Left> {
        let (handles, deferred) = {
            let inner = self.inner.lock();
            let handles = inner.entries.iter().filter_map(|entry| match entry {
                GroupEntry::Task { handle, .. } => Some((handle.abort_handle(), false)),
                GroupEntry::CleanUp(handle) => Some((handle.abort_handle(), true)),
                GroupEntry::Free(_) | GroupEntry::Reserved { .. } | GroupEntry::Watcher(_) => None,
            });
            (handles.collect::<Vec<_>>(), inner.deferred.clone())
        };
        if !handles.is_empty() {
            coarse::refresh();
        }
        let unfinished = handles.into_iter().filter(|(handle, _)| !handle.is_finished());
        let mut left: Vec<_> =
            unfinished.map(|(handle, is_clean_up)| Left::of_task(handle.info(), is_clean_up)).collect();
        left.extend(deferred.iter().filter_map(|slot| {
            let location = slot.0.lock().as_ref()?.location;
            Some(Left::of_deferred(Arc::as_ptr(slot).addr(), self.options.name.clone(), location))
        }));
        left
    }

    fn end(self: Arc<Self>, reason: Reason) {
        self.cancel(&reason);
    }
}

/// Whether the clean-up was not dismissed, and has not run.
fn is_due(slot: &DeferSlot) -> bool {
    slot.0.lock().is_some()
}
