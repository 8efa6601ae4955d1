//! What dumps show of a group: its counts, its stage, and which tasks are its own.
//!
//! Called by the registry of the runtime (`observe::nodes`), on the thread that takes a dump.
//!
//! # Invariants
//! - `read-in-parts`: the lock of a group is not held for longer than it takes to read a few of its tasks. So a task that ends
//!   meanwhile may be missing, and so may one that is spawned.

use std::sync::Arc;

use super::group_inner::{GroupEntry, GroupPhase};
use super::group_state::{GroupState, STEPS_PER_LOCK};
use super::phases_core::InPhase;
use super::scope::Scope;
use crate::observe::nodes::{CleanUpInfo, DescribeNode, GroupInfo, Member, MemberRole, NodeContent, NodeInfo};
use crate::primitives::thread;

impl<T: Send + 'static> DescribeNode for GroupState<T> {
    fn describe(&self) -> Option<NodeInfo> {
        let members = self.members();
        let (ended, phase, is_left, clean_up, clean_ups_left, watchers) = {
            let inner = self.inner.lock();
            let (ended, left) = (inner.ended.len(), inner.deferred.len());
            (ended, inner.phase, inner.is_abandoned, inner.clean_up, left, inner.watchers)
        };
        if phase == GroupPhase::Done {
            return None;
        }
        let deadline_left = self.deadline_at.map(|at| {
            let now = self.runtime.shared.parts.timers.clock().now();
            at.saturating_duration_since(now)
        });
        let address = |scope: &Arc<Scope>| Arc::as_ptr(scope).addr();
        let group = GroupInfo {
            waits_in: self.inner.object(),
            child: self.options.child_of.map(|(_, index)| index),
            limit: Some(self.options.limit).filter(|limit| *limit < usize::MAX),
            ended,
            deadline_left,
            is_closing: phase == GroupPhase::Closing,
            is_left,
            cancelled: self.scope.describe_request(),
            clean_up: clean_up.map(|(location, within)| CleanUpInfo { location, within }),
            clean_ups_left,
            has_other_cancel: watchers > 0 || self.scope.is_handed_out(),
            in_phase: self.options.in_phase.as_ref().map(InPhase::describe),
            members,
        };
        Some(NodeInfo {
            address: address(&self.scope),
            around: match self.options.child_of {
                Some((supervisor, _)) => supervisor,
                None => self.scope.parent().map_or(0, address),
            },
            creator: self.origin.creator,
            created_at: self.scope.created_at,
            created_ms: self.origin.created_ms,
            name: self.options.name.clone(),
            content: NodeContent::Group(Box::new(group)),
        })
    }

    fn queued(&self) -> usize {
        if self.options.limit == usize::MAX {
            return 0;
        }
        let (mut first, mut queued) = (0, 0);
        loop {
            pause();
            let inner = self.inner.lock();
            if first >= inner.queued.len() {
                return queued;
            }
            // A task that has ended without a place is still in the queue.
            let of_part = inner.queued.iter().skip(first).take(STEPS_PER_LOCK);
            queued += of_part.filter(|(number, index)| inner.is_queued(*number, *index)).count();
            first += STEPS_PER_LOCK;
        }
    }
}

/// The lock is free for as long as a thread that waits for it may pause between two attempts.
fn pause() {
    (0..thread::SPINS).for_each(thread::spin);
}

impl<T: Send + 'static> GroupState<T> {
    /// The tasks of the group (`read-in-parts`).
    fn members(&self) -> Vec<Member> {
        let is_limited = self.options.limit < usize::MAX;
        let mut members = Vec::new();
        // The numbers of those without a place, and where they are in `members`.
        let mut queued = Vec::new();
        for first in (0..).step_by(STEPS_PER_LOCK) {
            pause();
            // No allocation under the lock.
            members.reserve(STEPS_PER_LOCK);
            queued.reserve(if is_limited { STEPS_PER_LOCK } else { 0 });
            let inner = self.inner.lock();
            let Some(entries) = inner.entries.get(first..).filter(|entries| !entries.is_empty()) else { break };
            for entry in entries.iter().take(STEPS_PER_LOCK) {
                let (task, role) = match entry {
                    GroupEntry::Free(_) | GroupEntry::Reserved { .. } => continue,
                    GroupEntry::Task { handle, number, has_place, .. } => {
                        if is_limited && !has_place {
                            queued.push((*number, members.len()));
                        }
                        (handle.id(), MemberRole::Task)
                    }
                    GroupEntry::Watcher(handle) => (handle.id(), MemberRole::Watcher),
                    GroupEntry::CleanUp(handle) => (handle.id(), MemberRole::CleanUp),
                };
                members.push(Member { task: task.number(), role });
            }
        }
        queued.sort_unstable();
        for (before, (_, index)) in queued.into_iter().enumerate() {
            members[index].role = MemberRole::Queued { before };
        }
        members
    }
}
