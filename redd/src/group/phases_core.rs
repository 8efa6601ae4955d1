//! What the clones of a `Phases` share: which phase the shutdown is in, and what each phase waits for.
//!
//! Called by `phases`, `phases_hold` and `phases_drive`, and by the groups that are in a phase (`group_state`, `group_end`).
//!
//! ```text
//!   Waiting ──start──▶ Running(0) ──▶ … ──▶ Running(last) ──▶ Settling ──▶ Over
//!                          └──────────────── interrupt ──────────────────▶ Over
//! ```
//! `start` makes the first step, on any thread. The task of `phases_drive` makes the others. If its runtime ends before it does, the
//! phases are interrupted.
//!
//! # Invariants
//! - `seen-or-notified`: the driver reads `version`, then looks whether something is left, and waits for another version. A group
//!   or a hold first ends and then increases `version`, under the lock. So the driver sees the end, or its wait does.
//! - `no-lock-inside`: no lock is taken, no user code is called and no member is dropped while the lock is held. A waiter's
//!   condition takes the lock inside of its list's, so no list is notified under the lock.
//! - `one-report`: the report is made once, by the task that drives or by its drop.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::Location;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::phases_report::{HoldInfo, Left, PhaseReport, Report};
use super::scope::Reason;
use crate::observe::nodes::PhaseInfo;
use crate::observe::waiting::WaitKind;
use crate::primitives::Mutex;
use crate::runtime::Handle;
use crate::sync::wait_list::{CallSite, WaitList};
use crate::sync::wait_until::wait_until;

/// A group that is in a phase.
pub(super) trait PhaseMember: Send + Sync {
    /// Whether a task or a clean-up is left, or a group inside that closes.
    fn is_busy(&self) -> bool;

    /// Describes the tasks and clean-ups that are left.
    fn left(&self) -> Vec<Left>;

    /// Cancels the tasks.
    fn end(self: Arc<Self>, reason: Reason);
}

pub(super) struct PhasesCore {
    inner: Mutex<Inner>,
    /// What waits for a stage, for the end of a phase or for the report.
    waiters: WaitList,
    /// The driver, when it waits for something to end.
    changed: WaitList,
}

struct Inner {
    phases: Vec<Phase>,
    stage: PhasesStage,
    /// Why the shutdown was started.
    reason: Option<Cow<'static, str>>,
    /// Why the rest of the time was taken away.
    ended_early: Option<Cow<'static, str>>,
    /// The runtime for the driver: that of the first call in one.
    home: Option<Handle>,
    started_at: Option<&'static Location<'static>>,
    has_driver: bool,
    /// `seen-or-notified`
    version: u64,
    next_key: u64,
    report: Option<Report>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PhasesStage {
    Waiting,
    Running(usize),
    /// All phases are over. Groups that were cancelled get the rest of the time.
    Settling,
    Over,
}

impl PhasesStage {
    /// Whether this phase has begun. If it is interrupted, all phases count as begun.
    fn has_begun(self, index: usize) -> bool {
        match self {
            Self::Waiting => false,
            Self::Running(current) => current >= index,
            Self::Settling | Self::Over => true,
        }
    }
}

struct Phase {
    name: Arc<str>,
    within: Duration,
    begun: Option<Instant>,
    took: Duration,
    /// From now on no group and no hold gets into it.
    is_over: bool,
    groups: BTreeMap<u64, Weak<dyn PhaseMember>>,
    holds: BTreeMap<u64, HoldInfo>,
    left: Vec<Left>,
}

impl Phase {
    fn add_left(&mut self, left: Left) {
        if !self.left.iter().any(|listed| listed.is_same(&left)) {
            self.left.push(left);
        }
    }
}

/// A driver that has to be spawned.
#[must_use]
pub(super) struct DriverStart {
    pub(super) runtime: Handle,
    pub(super) location: &'static Location<'static>,
}

impl PhasesCore {
    pub(super) fn new() -> Arc<Self> {
        let inner = Inner {
            phases: Vec::new(),
            stage: PhasesStage::Waiting,
            reason: None,
            ended_early: None,
            home: None,
            started_at: None,
            has_driver: false,
            version: 0,
            next_key: 0,
            report: None,
        };
        Arc::new(Self { inner: Mutex::new(inner), waiters: WaitList::new(()), changed: WaitList::new(()) })
    }

    /// Adds a phase. Returns why that is not possible.
    pub(super) fn add(&self, name: &str, within: Duration) -> Result<(), &'static str> {
        let mut inner = self.inner.lock();
        if inner.stage != PhasesStage::Waiting {
            return Err("the shutdown has started. Add all phases before");
        }
        if inner.phases.iter().any(|phase| *phase.name == *name) {
            return Err("there is a phase with this name. Give each phase a name of its own");
        }
        inner.phases.push(Phase {
            name: Arc::from(name),
            within,
            begun: None,
            took: Duration::ZERO,
            is_over: false,
            groups: BTreeMap::new(),
            holds: BTreeMap::new(),
            left: Vec::new(),
        });
        Ok(())
    }

    /// Returns the index of a phase, or the names of all.
    pub(super) fn find(&self, name: &str) -> Result<usize, Vec<Arc<str>>> {
        let inner = self.inner.lock();
        let found = inner.phases.iter().position(|phase| *phase.name == *name);
        found.ok_or_else(|| inner.phases.iter().map(|phase| Arc::clone(&phase.name)).collect())
    }

    pub(super) fn phases(&self) -> usize {
        self.inner.lock().phases.len()
    }

    pub(super) fn name(&self, index: usize) -> Arc<str> {
        Arc::clone(&self.inner.lock().phases[index].name)
    }

    /// Why the tasks of this phase are cancelled.
    pub(super) fn reason_of(&self, index: usize) -> Reason {
        Reason::Phase(self.name(index).to_string().into())
    }

    pub(super) fn reason(&self) -> Option<Cow<'static, str>> {
        self.inner.lock().reason.clone()
    }

    pub(super) fn is_started(&self) -> bool {
        self.inner.lock().stage != PhasesStage::Waiting
    }

    /// Starts the shutdown, unless it has started. The caller calls `driver` afterwards.
    pub(super) fn start(&self, reason: Cow<'static, str>, location: &'static Location<'static>) {
        {
            let mut inner = self.inner.lock();
            if inner.stage != PhasesStage::Waiting {
                return;
            }
            inner.stage = PhasesStage::Running(0);
            (inner.reason, inner.started_at) = (Some(reason), Some(location));
        }
        self.waiters.lock().notify_all();
    }

    /// Takes away the time that is left.
    pub(super) fn end_now(&self, reason: Cow<'static, str>) {
        {
            let mut inner = self.inner.lock();
            if inner.ended_early.is_some() || inner.stage == PhasesStage::Over {
                return;
            }
            inner.ended_early = Some(reason);
            inner.version += 1;
        }
        self.changed.lock().notify_all();
    }

    /// The current runtime, if there is one, is that of the phases from now on, unless they have one. Returns a driver that is to be
    /// spawned.
    pub(super) fn driver(&self) -> Option<DriverStart> {
        let current = Handle::try_current().ok();
        let unused;
        let start = {
            let mut inner = self.inner.lock();
            let has_ended = inner.home.as_ref().is_none_or(|home| home.shared.is_closed());
            unused = if has_ended && current.is_some() { std::mem::replace(&mut inner.home, current) } else { current };
            let location = inner.started_at.filter(|_| !inner.has_driver);
            let start = location.and_then(|location| Some(DriverStart { runtime: inner.home.clone()?, location }));
            inner.has_driver |= start.is_some();
            start
        };
        drop(unused);
        start
    }

    // Members.

    /// A key for a group or a hold.
    pub(super) fn new_key(&self) -> u64 {
        let mut inner = self.inner.lock();
        inner.next_key += 1;
        inner.next_key
    }

    /// Adds a group to a phase. Returns false if the phase is over.
    fn add_group(&self, index: usize, key: u64, group: Weak<dyn PhaseMember>) -> bool {
        let mut inner = self.inner.lock();
        let phase = &mut inner.phases[index];
        if phase.is_over {
            drop(inner);
            // `no-lock-inside`
            drop(group);
            return false;
        }
        phase.groups.insert(key, group);
        true
    }

    fn remove_group(&self, index: usize, key: u64) {
        let removed = self.inner.lock().phases[index].groups.remove(&key);
        if removed.is_some() {
            self.something_ended(index);
        }
    }

    /// Adds a hold. Returns its key, or `None` if the phase is over.
    pub(super) fn add_hold(&self, index: usize, hold: HoldInfo) -> Option<u64> {
        let mut inner = self.inner.lock();
        inner.next_key += 1;
        let key = inner.next_key;
        let phase = &mut inner.phases[index];
        if phase.is_over {
            return None;
        }
        phase.holds.insert(key, hold);
        Some(key)
    }

    pub(super) fn remove_hold(&self, index: usize, key: u64) {
        let removed = {
            let mut inner = self.inner.lock();
            let phase = &mut inner.phases[index];
            (phase.holds.remove(&key), phase.holds.is_empty())
        };
        if removed.1 {
            self.something_ended(index);
        }
    }

    /// The future of a hold was dropped because the phase is over: it is left, also in a phase without time.
    pub(super) fn cut_hold(&self, index: usize, key: u64) {
        let mut inner = self.inner.lock();
        let phase = &mut inner.phases[index];
        if let Some(hold) = phase.holds.get(&key) {
            phase.add_left(Left::of_hold(key, hold.clone()));
        }
    }

    /// In this phase, a group has become empty, or the last hold has ended (`seen-or-notified`).
    fn something_ended(&self, index: usize) {
        {
            let mut inner = self.inner.lock();
            match inner.stage {
                PhasesStage::Running(current) if current == index => {}
                PhasesStage::Settling => {}
                PhasesStage::Waiting | PhasesStage::Running(_) | PhasesStage::Over => return,
            }
            inner.version += 1;
        }
        self.changed.lock().notify_all();
    }

    // What the driver asks.

    fn version(&self) -> u64 {
        self.inner.lock().version
    }

    /// Waits until `is_done`.
    pub(super) async fn until(&self, is_done: impl Fn() -> bool) {
        loop {
            // `seen-or-notified`
            let seen = self.version();
            if is_done() {
                return;
            }
            self.another_version(seen).await;
        }
    }

    pub(super) fn is_ended_early(&self) -> bool {
        self.inner.lock().ended_early.is_some()
    }

    /// Waits for a version other than `seen`.
    fn another_version(&self, seen: u64) -> impl Future<Output = ()> + Send {
        let is_other = move || (self.version() != seen).then_some(());
        wait_until(&self.changed, WaitKind::Notify, None, is_other, move |_| is_other())
    }

    /// The time that the phases have together.
    pub(super) fn total(&self) -> Duration {
        self.inner.lock().phases.iter().fold(Duration::ZERO, |sum, phase| sum.saturating_add(phase.within))
    }

    /// Whether a hold of one of these phases has not ended.
    pub(super) fn has_holds(&self, phases: std::ops::Range<usize>) -> bool {
        self.inner.lock().phases[phases].iter().any(|phase| !phase.holds.is_empty())
    }

    /// Whether a group of one of these phases is busy.
    pub(super) fn has_busy_group(&self, phases: std::ops::Range<usize>) -> bool {
        phases.into_iter().any(|index| {
            let mut after = 0;
            while let Some((key, group)) = self.next_group(index, after) {
                if group.is_some_and(|group| group.is_busy()) {
                    return true;
                }
                after = key;
            }
            false
        })
    }

    /// The group of a phase that follows the one with that key.
    fn next_group(&self, index: usize, after: u64) -> Option<(u64, Option<Arc<dyn PhaseMember>>)> {
        let inner = self.inner.lock();
        let (key, group) = inner.phases[index].groups.range(after + 1..).next()?;
        Some((*key, group.upgrade()))
    }

    fn groups(&self, index: usize) -> Vec<Arc<dyn PhaseMember>> {
        self.inner.lock().phases[index].groups.values().filter_map(Weak::upgrade).collect()
    }

    /// What has not ended in a phase.
    fn present(&self, index: usize) -> Vec<Left> {
        let holds: Vec<_> = {
            let inner = self.inner.lock();
            inner.phases[index].holds.iter().map(|(key, hold)| (*key, hold.clone())).collect()
        };
        let mut present: Vec<_> = holds.into_iter().map(|(key, hold)| Left::of_hold(key, hold)).collect();
        for group in self.groups(index) {
            present.extend(group.left());
        }
        present.sort_by_key(|left| std::cmp::Reverse(left.age()));
        present
    }

    /// A phase begins. Returns its time.
    pub(super) fn begin(&self, index: usize, now: Instant) -> Duration {
        let within = {
            let mut inner = self.inner.lock();
            inner.stage = PhasesStage::Running(index);
            let phase = &mut inner.phases[index];
            phase.begun = Some(now);
            phase.within
        };
        self.waiters.lock().notify_all();
        within
    }

    /// A phase is over: what is left is recorded, and its groups are cancelled.
    pub(super) fn end(&self, index: usize, now: Instant) {
        let is_listed = {
            let mut inner = self.inner.lock();
            let ended_early = inner.ended_early.is_some();
            let phase = &mut inner.phases[index];
            phase.is_over = true;
            phase.took = phase.begun.map_or(Duration::ZERO, |begun| now.saturating_duration_since(begun));
            // In a phase without time, everything is cancelled when it begins. That loses nothing.
            !phase.within.is_zero() || ended_early
        };
        let left = if is_listed { self.present(index) } else { Vec::new() };
        {
            let mut inner = self.inner.lock();
            let phase = &mut inner.phases[index];
            let before = std::mem::replace(&mut phase.left, left);
            before.into_iter().for_each(|left| phase.add_left(left));
        }
        for group in self.groups(index) {
            group.end(self.reason_of(index));
        }
        // Holds learn of it.
        self.waiters.lock().notify_all();
    }

    pub(super) fn settle(&self) {
        self.inner.lock().stage = PhasesStage::Settling;
    }

    /// The end, when all phases are over; or, with `interruption`, before (`one-report`).
    pub(super) fn finish(&self, now: Instant, interruption: Option<&'static str>) {
        if self.inner.lock().report.is_some() {
            return;
        }
        let phases: Vec<_> = (0..self.phases()).map(|index| self.report_of(index, now)).collect();
        {
            let mut inner = self.inner.lock();
            if let Some(interruption) = interruption {
                inner.ended_early = Some(interruption.into());
            }
            inner.stage = PhasesStage::Over;
            let (reason, ended_early) = (inner.reason.clone().unwrap_or_default(), inner.ended_early.clone());
            let begun = inner.phases.iter().find_map(|phase| phase.begun);
            let took = begun.map_or(Duration::ZERO, |begun| now.saturating_duration_since(begun));
            inner.report = Some(Report::new(reason, ended_early, took, phases));
        }
        self.waiters.lock().notify_all();
    }

    fn report_of(&self, index: usize, now: Instant) -> PhaseReport {
        let present = self.present(index);
        let mut inner = self.inner.lock();
        let phase = &mut inner.phases[index];
        if let Some(begun) = phase.begun.filter(|_| !phase.is_over) {
            phase.took = now.saturating_duration_since(begun);
        }
        let left = std::mem::take(&mut phase.left);
        let (name, took, allowed) = (Arc::clone(&phase.name), phase.took, phase.within);
        drop(inner);
        PhaseReport::new(name, took, allowed, left, present)
    }

    // What users wait for.

    /// Waits until the phase has begun.
    pub(super) fn wait_begun(&self, index: usize, location: CallSite) -> impl Future<Output = ()> + Send {
        let has_begun = move || self.inner.lock().stage.has_begun(index).then_some(());
        wait_until(&self.waiters, WaitKind::Notify, location, has_begun, move |_| has_begun())
    }

    /// Whether the phase is over. If it was interrupted, that is never so.
    pub(super) fn is_over(&self, index: usize) -> bool {
        self.inner.lock().phases[index].is_over
    }

    /// Waits until the phase is over.
    pub(super) fn wait_over(&self, index: usize, location: CallSite) -> impl Future<Output = ()> + Send {
        let is_over = move || self.is_over(index).then_some(());
        wait_until(&self.waiters, WaitKind::Notify, location, is_over, move |_| is_over())
    }

    pub(super) fn wait_report(&self, location: CallSite) -> impl Future<Output = Report> + Send {
        let report = move || self.inner.lock().report.clone();
        wait_until(&self.waiters, WaitKind::Notify, location, report, move |_| report())
    }
}

#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/group_phases.rs"]
mod models;

/// A group's place in a phase. The group owns it.
pub(super) struct InPhase {
    core: Arc<PhasesCore>,
    index: usize,
    key: u64,
}

impl InPhase {
    pub(super) fn new(core: &Arc<PhasesCore>, index: usize) -> Self {
        Self { core: Arc::clone(core), index, key: core.new_key() }
    }

    /// The group has started. If its phase is over, this returns why it is cancelled.
    pub(super) fn enter(&self, group: Weak<dyn PhaseMember>) -> Option<Reason> {
        let has_entered = self.core.add_group(self.index, self.key, group);
        (!has_entered).then(|| self.core.reason_of(self.index))
    }

    /// Describes the phase, for dumps.
    pub(super) fn describe(&self) -> PhaseInfo {
        let inner = self.core.inner.lock();
        let phase = &inner.phases[self.index];
        let has_begun = inner.stage.has_begun(self.index);
        PhaseInfo { name: Arc::clone(&phase.name), has_begun, is_over: phase.is_over }
    }

    /// The last task of the group has ended.
    pub(super) fn emptied(&self) {
        self.core.something_ended(self.index);
    }

    /// The group is done.
    pub(super) fn leave(&self) {
        self.core.remove_group(self.index, self.key);
    }
}

impl Drop for InPhase {
    fn drop(&mut self) {
        self.leave();
    }
}
