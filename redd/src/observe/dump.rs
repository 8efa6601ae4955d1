//! Every live task of a runtime: its name, and what it waits on. Created by
//! [`Handle::dump`](crate::runtime::Handle::dump).
//!
//! # Why not otherwise
//! Tokio polls each task once more and takes a backtrace at the leaf that would wait. redd's leaves record what they
//! wait on at each wait. So a dump polls no task, wakes no task, and can be taken on any thread at any time. It
//! contains the location that waits, and not the calls above it.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::observe::WaitKind;
use crate::observe::task_info::TaskInfo;
use crate::task::Id;

/// The tasks of a runtime at one moment. Each may have changed since.
///
/// `Display` prints one line for each task.
///
/// # Examples
/// ```
/// use redd::runtime::Handle;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let waiting = redd::spawn(std::future::pending::<()>());
/// redd::task::yield_now().await;
/// let dump = Handle::current().dump().await;
/// assert_eq!(dump.tasks().iter().count(), 1);
/// println!("{dump}");
/// # waiting.abort(); });
/// ```
#[derive(Debug)]
pub struct Dump {
    tasks: Tasks,
}

impl Dump {
    pub(crate) fn new(infos: Vec<TaskInfo>) -> Self {
        let live = infos.into_iter().filter(|info| !info.is_blocking && !info.is_complete);
        let tasks = live.map(|info| Task { trace: Trace { info } });
        Self { tasks: Tasks { tasks: tasks.collect() } }
    }

    /// Returns the tasks.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tasks.iter().try_for_each(|task| writeln!(f, "{}", task.trace.info))
    }
}

/// The tasks of a [`Dump`].
///
/// # Examples
/// ```
/// use redd::runtime::Handle;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let waiting = redd::spawn(std::future::pending::<()>());
/// let dump = Handle::current().dump().await;
/// assert!(dump.tasks().iter().any(|task| task.id() == waiting.id()));
/// # waiting.abort(); });
/// ```
#[derive(Debug)]
pub struct Tasks {
    tasks: Vec<Task>,
}

impl Tasks {
    /// Iterates over the tasks.
    pub fn iter(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter()
    }
}

/// One task of a dump.
///
/// # Examples
/// ```
/// use redd::runtime::Handle;
/// use redd::runtime::dump::TaskState;
/// use std::sync::Arc;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let notify = Arc::new(redd::sync::Notify::new());
/// let waiting = redd::spawn({
///     let notify = notify.clone();
///     async move { notify.notified().await }
/// });
/// redd::task::yield_now().await;
/// let dump = Handle::current().dump().await;
/// let task = dump.tasks().iter().next().expect("one task waits");
/// assert!(matches!(task.state(), TaskState::Waiting { on: Some(_), .. }));
/// assert_eq!(task.spawned_at().file(), file!());
/// # notify.notify_one(); waiting.await.unwrap(); });
/// ```
#[derive(Debug)]
pub struct Task {
    trace: Trace,
}

impl Task {
    /// Returns the task's id.
    pub fn id(&self) -> Id {
        self.trace.info.id
    }

    /// Returns the task's name, if it was spawned with one.
    pub fn name(&self) -> Option<&str> {
        self.trace.info.name.as_deref()
    }

    /// Returns the location in the program that spawned the task.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.trace.info.location
    }

    /// Returns the time since the task was spawned, to about one turn of its worker.
    pub fn age(&self) -> Duration {
        self.trace.info.age
    }

    /// Returns what the task does.
    pub fn state(&self) -> TaskState {
        match &self.trace.info {
            info if info.is_running => TaskState::Running,
            info if info.is_queued => TaskState::Queued,
            info => {
                TaskState::Waiting { on: info.waiting.map(|(kind, _)| kind), at: info.waiting.and_then(|(_, at)| at) }
            }
        }
    }

    /// Returns the locations of the task, for printing.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }
}

/// What a task of a dump does.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TaskState {
    /// It is being polled.
    Running,
    /// It waits for a worker.
    Queued,
    /// It waits to be woken.
    #[non_exhaustive]
    Waiting {
        /// What it waits for. `None` if it waits for something outside of redd.
        on: Option<WaitKind>,
        /// The location that created the future that waits, usually that of its `await`. `None` for a direct call of a
        /// poll function, which has no such location.
        at: Option<&'static Location<'static>>,
    },
}

/// The location at which a task waits, and the one that spawned it. Differs from Tokio: the calls in between are
/// missing.
#[derive(Debug)]
pub struct Trace {
    info: TaskInfo,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.info)
    }
}
