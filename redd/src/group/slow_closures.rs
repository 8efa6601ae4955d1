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
use super::group_state::GroupState;
use crate::observe::overdue::{Overdue, OverdueKind};
use crate::primitives::clock;
use crate::task::AbortHandle;
use crate::time::sleep::sleep_on;

/// As long as a shutdown waits before it reports what it waits for.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is known at one look.
struct Seen {
    is_waited_for: bool,
    /// The closures, unless something else is left, too.
    closures: Vec<AbortHandle>,
}

impl<T: Send + 'static> GroupState<T> {
    /// The group has stopped. Looks at it each second, until its closures have ended or are reported.
    pub(super) fn watch_closures(self: &Arc<Self>) {
        let state: Weak<Self> = Arc::downgrade(self);
        let stopped_at = clock::now();
        let mut waits_since = self.see().is_some_and(|seen| seen.is_waited_for).then_some(stopped_at);
        let looks = async move {
            loop {
                let timer = state.upgrade().map(|state| sleep_on(&state.runtime.shared.parts.timers, PATIENCE));
                let Some(timer) = timer else { return };
                timer.await;
                let now = clock::now();
                let Some(state) = state.upgrade() else { return };
                let Some(Seen { is_waited_for, closures }) = state.see() else { return };
                waits_since = is_waited_for.then(|| waits_since.unwrap_or(now));
                // `no-false-report`
                let has_waited = waits_since.is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE);
                if has_waited && !closures.is_empty() {
                    return state.report(&closures, now.saturating_duration_since(stopped_at));
                }
            }
        };
        self.watch(looks, self.scope.created_at, |_, ()| {});
    }

    /// `None` if nothing is to be reported any more.
    fn see(&self) -> Option<Seen> {
        let inner = self.inner.lock();
        if inner.is_abandoned || inner.unfinished == 0 {
            return None;
        }
        let (mut closures, mut has_others) = (Vec::new(), false);
        for entry in &inner.entries {
            match entry {
                GroupEntry::Task { handle, is_blocking: true, .. } => closures.push(handle.abort_handle()),
                GroupEntry::Task { .. } | GroupEntry::Reserved { .. } => has_others = true,
                GroupEntry::Free(_) | GroupEntry::Watcher(_) | GroupEntry::CleanUp(_) => {}
            }
        }
        let is_waited_for = inner.phase == GroupPhase::Closing || inner.waits & (NEXT | DONE) != 0;
        Some(Seen { is_waited_for, closures: if has_others { Vec::new() } else { closures } })
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
