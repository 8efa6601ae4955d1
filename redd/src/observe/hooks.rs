//! The hooks that a program sets for the life of its tasks, and the description of a task that hooks get.
//!
//! Called by `runtime::Builder` (sets them) and by `task::describe` (calls them). Every call goes through
//! `user_code::guarded`. If a hook panics, its caller continues as if the hook had returned.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::report::{self, ReportKind};
use super::task_info::TaskInfo;
use crate::primitives::user_code::guarded;
use crate::task::Id;

/// A hook that gets a description of the task. It runs on the thread of the event, and must not block.
pub(crate) type TaskHook = Arc<dyn Fn(&TaskMeta<'_>) + Send + Sync>;

/// The hooks of one runtime.
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

/// The description of a task that hooks get, such as [`Builder::on_task_spawn`](crate::runtime::Builder::on_task_spawn).
///
/// # Examples
/// ```
/// use redd::runtime::Builder;
/// use std::sync::{Arc, Mutex};
///
/// let names = Arc::new(Mutex::new(Vec::new()));
/// let seen = Arc::clone(&names);
/// let runtime = Builder::new_current_thread()
///     .on_task_spawn(move |task| seen.lock().unwrap().push(task.name().map(str::to_owned)))
///     .build()?;
/// let task = redd::task::Builder::new().name("fetch").spawn_on(async {}, runtime.handle())?;
/// runtime.block_on(task)?;
/// assert_eq!(*names.lock().unwrap(), [Some("fetch".to_owned())]);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct TaskMeta<'a> {
    pub(crate) id: Id,
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) name: Option<&'a str>,
    pub(crate) schedule_latency: Option<Duration>,
    #[allow(dead_code, reason = "only for the spans of the feature `tracing`")]
    pub(crate) future_bytes: usize,
    /// The size of a future that was boxed when its task was spawned. Only the hook for spawns gets it.
    #[allow(dead_code, reason = "only for the spans of the feature `tracing`")]
    pub(crate) original_bytes: Option<usize>,
}

impl TaskMeta<'_> {
    /// Returns the task's id.
    pub fn id(&self) -> Id {
        self.id
    }

    /// Returns the location in the program that spawned the task.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.spawned_at
    }

    /// Returns how long the task was queued before this poll.
    ///
    /// Returns `None` outside of the hooks around polls, and unless the runtime tracks it:
    /// [`Builder::track_task_schedule_latency`](crate::runtime::Builder::track_task_schedule_latency).
    pub fn schedule_latency(&self) -> Option<Duration> {
        self.schedule_latency
    }

    /// Returns the task's name, if it was spawned with one.
    pub fn name(&self) -> Option<&str> {
        self.name
    }
}

/// A hook that gets a panic that was not joined.
pub(crate) type PanicHook = Arc<dyn Fn(&UnjoinedPanic<'_>) + Send + Sync>;

/// A panic of a task or blocking closure that was not joined: its `JoinHandle` was dropped without having been awaited.
///
/// Its `Display` is the line that is printed by default.
///
/// # Examples
/// ```
/// use redd::runtime::Builder;
/// use std::sync::mpsc;
///
/// let (sender, receiver) = mpsc::channel();
/// let runtime = Builder::new_current_thread()
///     .on_unhandled_panic(move |panic| sender.send(panic.message().map(str::to_owned)).unwrap())
///     .build()?;
/// runtime.block_on(async {
///     drop(redd::spawn(async { panic!("a bug") }));
///     redd::task::yield_now().await;
/// });
/// assert_eq!(receiver.recv().unwrap().as_deref(), Some("a bug"));
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct UnjoinedPanic<'a> {
    pub(crate) task: &'a TaskInfo,
    pub(crate) message: Option<&'a str>,
}

impl UnjoinedPanic<'_> {
    /// Returns the task's id.
    pub fn id(&self) -> Id {
        self.task.id
    }

    /// Returns the task's name, if it was spawned with one.
    pub fn name(&self) -> Option<&str> {
        self.task.name.as_deref()
    }

    /// Returns the location in the program that spawned it.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.task.location
    }

    /// Returns the time since it was spawned, to about one turn of its worker.
    pub fn age(&self) -> Duration {
        self.task.age
    }

    /// Returns whether it was a closure of `spawn_blocking`.
    pub fn is_blocking(&self) -> bool {
        self.task.is_blocking
    }

    /// Returns the panic's message, if it is text.
    pub fn message(&self) -> Option<&str> {
        self.message
    }

    /// Calls the hook, or prints the line.
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
            ", and its `JoinHandle` was not awaited. Await the handle to get the panic, or set a hook with \
             `Builder::on_unhandled_panic`.",
        )
    }
}
