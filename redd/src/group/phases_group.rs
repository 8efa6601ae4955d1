//! A group as a phase of a shutdown sees it.
//!
//! Called by `phases_core`, by way of the trait.

use std::sync::Arc;

use super::group_inner::{DeferSlot, GroupPhase};
use super::group_state::GroupState;
use super::phases_core::PhaseMember;
use super::phases_report::Left;
use super::scope::{CancelTarget, Reason};

impl<T: Send + 'static> PhaseMember for GroupState<T> {
    fn is_busy(&self) -> bool {
        let deferred = {
            let inner = self.inner.lock();
            let closes_inside = inner.closing_inside.values().any(|inner| !inner.is_in_phase);
            if inner.unfinished > 0 || inner.phase == GroupPhase::Closing || closes_inside {
                return true;
            }
            inner.deferred.clone()
        };
        // The group is open. Its owner has to close it, so that these run.
        deferred.iter().any(|slot| is_due(slot))
    }

    fn left(&self) -> Vec<Left> {
        let (mut left, mut inside) = self.left_here();
        // Without recursion, as in `cancel_all`.
        while let Some(group) = inside.pop() {
            let (left_inside, further) = group.left_here();
            left.extend(left_inside);
            inside.extend(further);
        }
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
