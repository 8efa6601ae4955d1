//! `Overdue`: what of a task group took longer than it may, and no call returns as an error.
//!
//! Made by `group`, and reported through the hook of the runtime or on standard error.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::report::{Count, Printable, ReportKind, ShortLocation, report};
use crate::primitives::user_code::guarded;
use crate::task::Id;

pub(crate) type OverdueHook = Arc<dyn Fn(&Overdue) + Send + Sync>;

/// A closure, a clean-up or a shield of a [`TaskGroup`](crate::group::TaskGroup) that took longer than it may, where no call returns
/// that as an error. See [`Builder::on_overdue`](crate::runtime::Builder::on_overdue).
///
/// `Display` prints what it is, its line, and how to fix it.
///
/// # Examples
/// ```
/// use redd::group::TaskGroup;
/// use redd::observe::{Overdue, OverdueKind};
/// use redd::runtime::Builder;
/// use redd::time::Duration;
/// use std::sync::mpsc;
///
/// let (report, reports) = mpsc::channel();
/// let runtime = Builder::new_current_thread()
///     .enable_all()
///     .start_paused(true)
///     .on_overdue(move |overdue: &Overdue| drop(report.send(overdue.clone())))
///     .build()?;
/// runtime.block_on(async {
///     let group = TaskGroup::<()>::new();
///     group.defer(Duration::from_secs(2), std::future::pending());
///     drop(group); // So no `close` returns the error.
///     redd::time::sleep(Duration::from_secs(3)).await;
/// });
/// let overdue = reports.try_recv().unwrap();
/// assert!(matches!(overdue.kind, OverdueKind::CleanUp { .. }));
/// assert!(overdue.to_string().contains("did not end within 2s"));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Overdue {
    /// What it is.
    pub kind: OverdueKind,
    /// The name of the group.
    pub group: Option<Arc<str>>,
    /// The line that created the group.
    pub group_created_at: &'static Location<'static>,
}

/// What is [`Overdue`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum OverdueKind {
    /// The group is waited for, and all that it waits for are closures of
    /// [`TaskGroup::spawn_blocking`](crate::group::TaskGroup::spawn_blocking). They run although the group was cancelled a second ago.
    #[non_exhaustive]
    Closures {
        /// The oldest of them.
        first: Id,
        /// The line that spawned it.
        spawned_at: &'static Location<'static>,
        /// The time since it was spawned.
        age: Duration,
        /// The number of others.
        others: usize,
        /// The time since they should have ended.
        since: Duration,
    },
    /// A clean-up did not end within its time, and was dropped.
    #[non_exhaustive]
    CleanUp {
        /// The line that called [`defer`](crate::group::TaskGroup::defer).
        deferred_at: &'static Location<'static>,
        /// Its time.
        within: Duration,
    },
    /// The future in a shield did not end within its time, and was dropped.
    #[non_exhaustive]
    Shield {
        /// Its task.
        task: Option<Id>,
        /// The line that called [`shield`](crate::group::shield()).
        made_at: &'static Location<'static>,
        /// Its time.
        within: Duration,
    },
}

impl Overdue {
    /// Calls the hook, or writes a line. A panic of the hook is caught. No lock may be held.
    pub(crate) fn deliver(&self, hook: Option<&OverdueHook>, runtime: Option<&str>) {
        guarded(|| match (hook, runtime) {
            (Some(hook), _) => hook(self),
            (None, Some(name)) => {
                report(ReportKind::Overdue, format_args!("runtime `{}`: {self}", Printable(name)));
            }
            (None, None) => report(ReportKind::Overdue, format_args!("{self}")),
        });
    }
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = GroupName(self);
        match &self.kind {
            OverdueKind::Closures { first, spawned_at, age, others, since } => {
                write!(f, "{group} has waited for {since:.1?} since it was cancelled, for closure {first}")?;
                write!(f, " (spawned at {}, {age:.1?} old)", ShortLocation(spawned_at))?;
                if *others > 0 {
                    write!(f, " and {}", Count(*others as u64, "other", "others"))?;
                }
                f.write_str(
                    ". A closure cannot be stopped from outside: let it call `redd::group::is_cancelled` between two parts of its \
                     work, and return if that is true.",
                )
            }
            OverdueKind::CleanUp { deferred_at, within } => write!(
                f,
                "a clean-up of {group} (deferred at {}) did not end within {within:?} and was dropped. No call returns this error. \
                 Give `defer` more time, or let the clean-up do less.",
                ShortLocation(deferred_at)
            ),
            OverdueKind::Shield { task, made_at, within } => {
                write!(f, "a shield (made at {})", ShortLocation(made_at))?;
                if let Some(task) = task {
                    write!(f, " of task {task}")?;
                }
                write!(
                    f,
                    " in {group} did not end within {within:?} of the cancellation, and its future was dropped. What it did is \
                     incomplete. Give `shield` more time, or let the future do less."
                )
            }
        }
    }
}

/// The group as a report names it.
struct GroupName<'a>(&'a Overdue);

impl fmt::Display for GroupName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a task group")?;
        if let Some(name) = &self.0.group {
            write!(f, " `{}`", Printable(name))?;
        }
        write!(f, " (created at {})", ShortLocation(self.0.group_created_at))
    }
}
