//! Reports the closures for which a cancelled group is waited for.
//!
//! Called by `group_state` when a group stops whose closures have begun. A closure cannot be stopped from outside, so it may keep
//! `close` waiting for as long as it runs.
//!
//! # Invariants
//! - `no-false-report`: a group is reported if its closures are all that is left of it, and something has waited for the group for a
//!   second since it stopped. So is one that is waited for later. A group that was not cancelled may be busy for as long as it
//!   likes. If a clock of the runtime is moved by hand, real time counts.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::group_inner::{DONE, GroupEntry, GroupPhase, NEXT};
use super::group_state::{GroupState, STEPS_PER_LOCK};
use crate::observe::overdue::{Overdue, OverdueKind};
use crate::primitives::clock;
use crate::task::AbortHandle;
use crate::time::sleep::sleep_on;

/// As long as a shutdown waits before it reports what it waits for.
const PATIENCE: Duration = Duration::from_secs(1);

impl<T: Send + 'static> GroupState<T> {
    /// The group has stopped. Looks at it each second, until its closures have ended or are reported.
    pub(super) fn watch_closures(self: &Arc<Self>) {
        let state: Weak<Self> = Arc::downgrade(self);
        let stopped_at = clock::now();
        let mut waits_since = (self.is_waited_for() == Some(true)).then_some(stopped_at);
        let looks = async move {
            loop {
                let timer = state.upgrade().map(|state| sleep_on(&state.runtime.shared.parts.timers, PATIENCE));
                let Some(timer) = timer else { return };
                timer.await;
                let now = clock::now();
                let Some(state) = state.upgrade() else { return };
                let Some(is_waited_for) = state.is_waited_for() else { return };
                waits_since = is_waited_for.then(|| waits_since.unwrap_or(now));
                // `no-false-report`
                let has_waited = waits_since.is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE);
                let closures = if has_waited { state.only_closures() } else { Vec::new() };
                if !closures.is_empty() {
                    return state.report(&closures, now.saturating_duration_since(stopped_at));
                }
            }
        };
        self.watch(looks, self.scope.created_at, |_, ()| {});
    }

    /// Whether something waits for a task or for the end. `None` if nothing is to be reported any more.
    fn is_waited_for(&self) -> Option<bool> {
        let inner = self.inner.lock();
        let is_over = inner.is_abandoned || inner.unfinished == 0;
        (!is_over).then(|| inner.phase == GroupPhase::Closing || inner.waits & (NEXT | DONE) != 0)
    }

    /// The closures that are left. None if a task is left, too.
    fn only_closures(&self) -> Vec<AbortHandle> {
        let mut closures = Vec::new();
        for first in (0..).step_by(STEPS_PER_LOCK) {
            let inner = self.inner.lock();
            let Some(entries) = inner.entries.get(first..).filter(|entries| !entries.is_empty()) else { break };
            for entry in entries.iter().take(STEPS_PER_LOCK) {
                match entry {
                    GroupEntry::Task { handle, is_blocking: true, .. } => closures.push(handle.abort_handle()),
                    GroupEntry::Task { .. } | GroupEntry::Reserved { .. } => return Vec::new(),
                    GroupEntry::Free(_) | GroupEntry::Watcher(_) | GroupEntry::CleanUp(_) => {}
                }
            }
        }
        closures
    }

    fn report(&self, closures: &[AbortHandle], since: Duration) {
        let Some(first) = closures.iter().map(AbortHandle::info).min_by_key(|info| info.id) else { return };
        self.deliver(OverdueKind::Closures {
            first: first.id,
            spawned_at: first.location,
            age: first.age,
            others: closures.len() - 1,
            since,
        });
    }

    /// Reports what took longer than it may. No lock is held.
    fn deliver(&self, kind: OverdueKind) {
        let config = &self.runtime.shared.config;
        self.overdue(kind).deliver(config.on_overdue.as_ref(), config.name.as_deref());
    }

    pub(super) fn overdue(&self, kind: OverdueKind) -> Overdue {
        Overdue { kind, group: self.options.name.clone(), group_created_at: self.scope.created_at }
    }
}
