//! The report of a shutdown in phases: how long each phase took, and what was left in it.
//!
//! Called by user code. Made by `phases_core`.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::observe::report::{Count, Printable, ShortLocation};
use crate::observe::task_info::TaskInfo;
use crate::task::Id;

/// What a shutdown in [`Phases`](super::Phases) has done. `{}` prints it as text.
///
/// # Examples
/// ```
/// use redd::group::{Phases, TaskGroup};
/// use redd::time::Duration;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let phases = Phases::new().then("requests", Duration::from_secs(20)).then("flush", Duration::from_secs(2));
/// let requests = TaskGroup::discarding().name("requests").in_phase(&phases, "requests").start();
/// requests.spawn(std::future::pending());
/// phases.start("the update is installed");
/// let report = phases.finished().await;
/// assert_eq!(report.reason(), "the update is installed");
/// assert!(!report.is_clean());
/// let [requests, flush] = report.phases() else { panic!("two phases") };
/// assert_eq!((requests.took().as_secs(), requests.left().len()), (20, 1));
/// assert_eq!((flush.took().as_secs(), flush.left().len()), (0, 0));
/// println!("{report}");
/// # });
/// ```
#[derive(Clone)]
pub struct Report(Arc<ReportInner>);

struct ReportInner {
    reason: Cow<'static, str>,
    ended_early: Option<Cow<'static, str>>,
    took: Duration,
    phases: Vec<PhaseReport>,
}

impl Report {
    pub(super) fn new(
        reason: Cow<'static, str>,
        ended_early: Option<Cow<'static, str>>,
        took: Duration,
        phases: Vec<PhaseReport>,
    ) -> Self {
        Self(Arc::new(ReportInner { reason, ended_early, took, phases }))
    }

    /// Returns why the shutdown was started: the text that [`Phases::start`](super::Phases::start) got, or the name of the signal.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// Returns why the phases did not get all of their time: the name of the second signal, the text that
    /// [`Phases::end_now`](super::Phases::end_now) got, or that the runtime was shut down. `None` if they did.
    pub fn ended_early(&self) -> Option<&str> {
        self.0.ended_early.as_deref()
    }

    /// Returns how long the shutdown took.
    pub fn took(&self) -> Duration {
        self.0.took
    }

    /// Returns the phases, in their order.
    pub fn phases(&self) -> &[PhaseReport] {
        &self.0.phases
    }

    /// Returns what was left in any phase.
    pub fn left(&self) -> impl Iterator<Item = &Left> {
        self.0.phases.iter().flat_map(PhaseReport::left)
    }

    /// Returns whether nothing was left in any phase.
    pub fn is_clean(&self) -> bool {
        self.left().next().is_none()
    }
}

/// What happened in one phase of a shutdown. Part of a [`Report`]. `{}` prints it as text.
///
/// # Examples
/// ```
/// use redd::group::Phases;
/// use redd::time::Duration;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let phases = Phases::new().then("requests", Duration::from_secs(20));
/// phases.start("shutdown");
/// let report = phases.finished().await;
/// let requests = &report.phases()[0];
/// assert_eq!((requests.name(), requests.allowed().as_secs()), ("requests", 20));
/// assert_eq!(requests.to_string(), "requests: 0s of 20s");
/// # });
/// ```
#[derive(Debug)]
pub struct PhaseReport {
    name: Arc<str>,
    took: Duration,
    allowed: Duration,
    left: Vec<Left>,
}

impl PhaseReport {
    /// `left` is from the end of the phase, and `present` from the end of the shutdown.
    pub(super) fn new(
        name: Arc<str>,
        took: Duration,
        allowed: Duration,
        mut left: Vec<Left>,
        present: Vec<Left>,
    ) -> Self {
        let keys = |left: &[Left]| -> HashSet<LeftKey> { left.iter().map(Left::key).collect() };
        // A clean-up that has begun since then is listed as the task that it is now.
        let is_begun = |left: &&Left| left.clean_up.is_some() && left.id().is_some();
        let begun: HashSet<_> = present.iter().filter(is_begun).map(Left::key).collect();
        left.retain(|left| !begun.contains(&left.key()));
        let (at_end, before) = (keys(&present), keys(&left));
        for left in &mut left {
            left.has_ended = !at_end.contains(&left.key());
        }
        left.extend(present.into_iter().filter(|left| !before.contains(&left.key())));
        left.sort_by_key(|left| std::cmp::Reverse(left.age()));
        Self { name, took, allowed, left }
    }

    /// Returns the name of the phase.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how long the phase took.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Returns how long the phase was allowed to take.
    pub fn allowed(&self) -> Duration {
        self.allowed
    }

    /// Returns what was left in the phase, the oldest first:
    /// - what had not ended when the time of the phase was over. In a phase without time, that are only the futures of
    ///   [`wait_for`](super::Phases::wait_for) that were dropped: tasks are cancelled there on purpose;
    /// - what had not ended when the whole shutdown was over, such as a shield or a clean-up of a cancelled group.
    pub fn left(&self) -> &[Left] {
        &self.left
    }
}

/// What a [`Left`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeftKind {
    /// A task of a group.
    Task,
    /// A closure of [`TaskGroup::spawn_blocking`](super::TaskGroup::spawn_blocking).
    Blocking,
    /// A clean-up of a group; see [`TaskGroup::defer`](super::TaskGroup::defer).
    CleanUp,
    /// A [`Hold`](super::Hold), or the future of [`Phases::wait_for`](super::Phases::wait_for).
    Hold,
}

/// What was left in a phase of a shutdown: a task, a clean-up or a hold. `{}` prints what is known of it.
///
/// # Examples
/// ```
/// use redd::group::{LeftKind, Phases, TaskGroup};
/// use redd::time::{Duration, sleep};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let phases = Phases::new().then("requests", Duration::from_secs(20));
/// let requests = TaskGroup::discarding().name("GET /slow").in_phase(&phases, "requests").start();
/// requests.spawn(sleep(Duration::from_secs(3600)));
/// phases.start("shutdown");
/// let report = phases.finished().await;
/// let left = report.left().next().unwrap();
/// assert_eq!((left.kind(), left.name()), (LeftKind::Task, Some("GET /slow")));
/// assert!(left.has_ended(), "it was cancelled");
/// println!("{left}, spawned in {}", left.spawned_at().file());
/// # });
/// ```
#[derive(Debug)]
pub struct Left {
    what: What,
    /// Which clean-up it is.
    clean_up: Option<usize>,
    has_ended: bool,
}

#[derive(Debug)]
enum What {
    Task(TaskInfo),
    /// It waits for the end of its group.
    Deferred {
        name: Option<Arc<str>>,
        location: &'static Location<'static>,
    },
    Hold {
        key: u64,
        hold: HoldInfo,
        age: Duration,
    },
}

/// A hold, as the report shows it.
#[derive(Clone, Debug)]
pub(super) struct HoldInfo {
    pub(super) name: Arc<str>,
    pub(super) location: &'static Location<'static>,
    pub(super) since: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum LeftKey {
    Task(Id),
    CleanUp(usize),
    Hold(u64),
}

impl Left {
    /// `clean_up`: if it is one, the key that it had before it has begun.
    pub(super) fn of_task(task: TaskInfo, clean_up: Option<usize>) -> Self {
        Self { what: What::Task(task), clean_up, has_ended: false }
    }

    /// A clean-up that has not begun. `key` is another one for each.
    pub(super) fn of_deferred(key: usize, name: Option<Arc<str>>, location: &'static Location<'static>) -> Self {
        Self { what: What::Deferred { name, location }, clean_up: Some(key), has_ended: false }
    }

    pub(super) fn of_hold(key: u64, hold: HoldInfo) -> Self {
        let age = crate::time::clock::real_now().saturating_duration_since(hold.since);
        Self { what: What::Hold { key, hold, age }, clean_up: None, has_ended: false }
    }

    fn key(&self) -> LeftKey {
        match (&self.what, self.clean_up) {
            (_, Some(key)) => LeftKey::CleanUp(key),
            (What::Task(task), None) => LeftKey::Task(task.id),
            (What::Hold { key, .. }, None) => LeftKey::Hold(*key),
            (What::Deferred { .. }, None) => unreachable!("`of_deferred` gives it a key"),
        }
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.key() == other.key()
    }

    /// Returns what it is.
    pub fn kind(&self) -> LeftKind {
        match &self.what {
            What::Hold { .. } => LeftKind::Hold,
            What::Deferred { .. } => LeftKind::CleanUp,
            What::Task(_) if self.clean_up.is_some() => LeftKind::CleanUp,
            What::Task(task) if task.is_blocking => LeftKind::Blocking,
            What::Task(_) => LeftKind::Task,
        }
    }

    /// Returns the name of the task's group, if it has one, or that of the hold.
    pub fn name(&self) -> Option<&str> {
        match &self.what {
            What::Task(task) => task.name.as_deref(),
            What::Deferred { name, .. } => name.as_deref(),
            What::Hold { hold, .. } => Some(&hold.name),
        }
    }

    /// Returns the id of the task. A hold, and a clean-up that has not begun, have none.
    pub fn id(&self) -> Option<Id> {
        match &self.what {
            What::Task(task) => Some(task.id),
            What::Deferred { .. } | What::Hold { .. } => None,
        }
    }

    /// Returns the location in the program that spawned the task, added the clean-up or made the hold.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        match &self.what {
            What::Task(task) => task.location,
            What::Deferred { location, .. } => location,
            What::Hold { hold, .. } => hold.location,
        }
    }

    /// Returns how old it was then, in real time. Zero for a clean-up that has not begun.
    pub fn age(&self) -> Duration {
        match &self.what {
            What::Task(task) => task.age,
            What::Deferred { .. } => Duration::ZERO,
            What::Hold { age, .. } => *age,
        }
    }

    /// Returns whether it had ended when the shutdown was over: because it was cancelled, or by itself but too late. If not, it may
    /// still run.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Task(task) => {
                f.write_str(if self.clean_up.is_some() { "clean-up, " } else { "" })?;
                task.fmt(f)?;
            }
            What::Deferred { name, location, .. } => {
                f.write_str("clean-up")?;
                if let Some(name) = name {
                    write!(f, " `{}`", Printable(name))?;
                }
                write!(f, " (added at {}), which waits until its group is closed", ShortLocation(location))?;
            }
            What::Hold { hold, age, .. } => {
                let (name, location) = (Printable(&hold.name), ShortLocation(hold.location));
                write!(f, "hold `{name}` (made at {location}, {} old)", Took(*age))?;
            }
        }
        f.write_str(if self.has_ended { "" } else { ", has not ended" })
    }
}

/// A time as the report shows it. It is that of timers, whose resolution is a millisecond.
struct Took(Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.as_millis() == 0 { f.write_str("0s") } else { write!(f, "{:.1?}", self.0) }
    }
}

/// At most so many lines are printed of a phase, one for each location.
const LINES_MAX: usize = 20;

impl fmt::Display for PhaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, took, allowed, left } = self;
        write!(f, "{}: {} of ", Printable(name), Took(*took))?;
        // Not rounded, since the program wrote it, but zero has the unit of the others.
        if allowed.is_zero() {
            f.write_str("0s")?;
        } else {
            write!(f, "{allowed:?}")?;
        }
        if left.is_empty() {
            return Ok(());
        }
        write!(f, ", {} left", left.len())?;
        let mut shown = HashSet::new();
        for first in left {
            let alike = |left: &Left| (left.kind(), left.name(), left.spawned_at(), left.has_ended) == first.likeness();
            if !shown.insert(first.likeness()) {
                continue;
            }
            if shown.len() > LINES_MAX {
                return f.write_str("\n    and more");
            }
            write!(f, "\n    {first}")?;
            let others = left.iter().filter(|left| alike(left)).count() - 1;
            if others > 0 {
                write!(f, ", and {} like it", Count(others as u64, "other", "others"))?;
            }
        }
        Ok(())
    }
}

impl Left {
    fn likeness(&self) -> (LeftKind, Option<&str>, &'static Location<'static>, bool) {
        (self.kind(), self.name(), self.spawned_at(), self.has_ended)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReportInner { reason, ended_early, took, phases } = &*self.0;
        let left: usize = phases.iter().map(|phase| phase.left.len()).sum();
        write!(f, "shutdown ({}) took {}", Printable(reason), Took(*took))?;
        if let Some(ended_early) = ended_early {
            write!(f, ", ended early ({})", Printable(ended_early))?;
        }
        if left == 0 {
            f.write_str(", nothing was left")?;
        } else {
            write!(f, ", {left} left")?;
        }
        for phase in phases {
            write!(f, "\n  {phase}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReportInner { reason, ended_early, took, phases } = &*self.0;
        f.debug_struct("Report")
            .field("reason", reason)
            .field("ended_early", ended_early)
            .field("took", took)
            .field("phases", phases)
            .finish()
    }
}
