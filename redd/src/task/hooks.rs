//! What a program asked to be told about tasks, and the description it gets.
//!
//! # Invariants
//! - `hooks-are-guarded`: a panic of a hook is printed by the usual hook of panics and ends in [`guarded`]. Whoever calls
//!   a hook goes on as if it had returned.

use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};

use super::runnable::TaskInfo;
use super::{Id, cell};
use crate::observe::report::{self, ReportKind};
use std::sync::Arc;

/// Called with a description of the task; runs on the thread where it happens, and must not block.
pub(crate) type TaskHook = Arc<dyn Fn(&TaskMeta<'_>) + Send + Sync>;

/// What happens to tasks, and who wants to know.
#[derive(Clone, Default)]
pub(crate) struct TaskHooks {
    pub(crate) on_spawn: Option<TaskHook>,
    pub(crate) on_terminate: Option<TaskHook>,
    pub(crate) before_poll: Option<TaskHook>,
    pub(crate) after_poll: Option<TaskHook>,
    pub(crate) on_unjoined_panic: Option<PanicHook>,
}

impl TaskHooks {
    #[inline]
    pub(crate) fn has_poll_hooks(&self) -> bool {
        self.before_poll.is_some() || self.after_poll.is_some()
    }
}

/// Calls foreign code (`hooks-are-guarded`); `None` if it panics. A panic of the payload's own drop ends here too.
pub(crate) fn guarded<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(answer) => Some(answer),
        Err(payload) => {
            cell::drop_guarded(payload);
            None
        }
    }
}

/// A task, as hooks see it.
#[derive(Debug)]
pub struct TaskMeta<'a> {
    pub(crate) id: Id,
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) name: Option<&'a str>,
    pub(crate) schedule_latency: Option<std::time::Duration>,
    #[allow(dead_code, reason = "for the spans of tasks, where there are any")]
    pub(crate) future_bytes: usize,
}

impl TaskMeta<'_> {
    /// The task's id.
    pub fn id(&self) -> Id {
        self.id
    }

    /// The place in the program that spawned it.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.spawned_at
    }

    /// How long the task was queued before this poll. `None` outside of the hooks of polls, and unless the runtime tracks
    /// it: [`Builder::track_task_schedule_latency`](crate::runtime::Builder::track_task_schedule_latency).
    pub fn schedule_latency(&self) -> Option<std::time::Duration> {
        self.schedule_latency
    }

    /// Its name, if it was spawned with one.
    pub fn name(&self) -> Option<&str> {
        self.name
    }
}

/// Called with a panic that nobody joined.
pub(crate) type PanicHook = Arc<dyn Fn(&UnjoinedPanic<'_>) + Send + Sync>;

/// A panic of a task or blocking closure that nobody joined: its `JoinHandle` was dropped without having been awaited.
///
/// Its `Display` is the line that is printed by default.
#[derive(Debug)]
pub struct UnjoinedPanic<'a> {
    pub(super) task: &'a TaskInfo,
    pub(super) message: Option<&'a str>,
}

impl UnjoinedPanic<'_> {
    task_info_methods!(self => self.task);

    /// Whether it was a closure of `spawn_blocking`.
    pub fn is_blocking(&self) -> bool {
        self.task.is_blocking
    }

    /// The panic's message, if it is text.
    pub fn message(&self) -> Option<&str> {
        self.message
    }

    /// Tells the hook, or prints the line.
    pub(crate) fn report(&self, hook: Option<&PanicHook>) {
        match hook {
            Some(hook) => drop(guarded(|| hook(self))),
            None => report::report(ReportKind::Panic, format_args!("{self}")),
        }
    }
}

impl fmt::Display for UnjoinedPanic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} panicked", self.task)?;
        if let Some(message) = self.message {
            write!(f, " with {message:?}")?;
        }
        f.write_str(
            ", and nobody joined it. Await its `JoinHandle` to handle the panic, or have it told to \
             `Builder::on_unhandled_panic`.",
        )
    }
}
