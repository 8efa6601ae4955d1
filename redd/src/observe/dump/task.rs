//! One task of a dump, and all of them by their ids.
//!
//! Made by `join`; read by the other files of the room and by user code.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::wait::Wait;
use crate::observe::WaitKind;
use crate::observe::task_info::TaskInfo;
use crate::task::Id;

/// The tasks and blocking closures of a [`Dump`](super::Dump), in the order of their ids.
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
    /// Sorted by their ids.
    pub(super) tasks: Vec<Task>,
}

impl Tasks {
    /// Iterates over the tasks.
    pub fn iter(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter()
    }

    /// Returns the task with this id. `None` if it had ended, or belongs to another runtime.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::Handle;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let waiting = redd::task::Builder::new().name("idle").spawn(std::future::pending::<()>()).unwrap();
    /// let dump = Handle::current().snapshot();
    /// assert_eq!(dump.tasks().get(waiting.id()).unwrap().name(), Some("idle"));
    /// # waiting.abort(); });
    /// ```
    pub fn get(&self, id: Id) -> Option<&Task> {
        let index = self.tasks.binary_search_by_key(&id, Task::id).ok()?;
        Some(&self.tasks[index])
    }
}

/// One task of a dump, or a closure of [`spawn_blocking`](crate::task::spawn_blocking).
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
    pub(super) trace: Trace,
}

impl Task {
    /// The task's id.
    pub fn id(&self) -> Id {
        self.trace.info.id
    }

    /// The task's name, if it was spawned with one.
    pub fn name(&self) -> Option<&str> {
        self.trace.info.name.as_deref()
    }

    /// The location in the program that spawned it.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.trace.info.location
    }

    /// The time since it was spawned, to about one turn of its worker.
    pub fn age(&self) -> Duration {
        self.trace.info.age
    }

    /// Returns the task or closure that spawned it, which may have ended. `None` if it was spawned outside of tasks: by the
    /// future of `block_on`, or by a thread.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::Handle;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let outer = redd::spawn(async { redd::spawn(std::future::pending::<()>()) });
    /// let id = outer.id();
    /// let inner = outer.await.unwrap();
    /// let dump = Handle::current().snapshot();
    /// assert_eq!(dump.tasks().get(inner.id()).unwrap().parent(), Some(id));
    /// assert!(dump.tasks().get(id).is_none(), "it has ended");
    /// # inner.abort(); });
    /// ```
    pub fn parent(&self) -> Option<Id> {
        self.trace.info.parent
    }

    /// Returns how often the task was polled, a poll that runs included. It wraps around after 2³² polls.
    pub fn polls(&self) -> u32 {
        self.trace.info.polls
    }

    /// Returns the time since its last poll began; for a task that runs, the time that this poll has taken so far. `None` if it
    /// was never polled.
    pub fn since_polled(&self) -> Option<Duration> {
        self.trace.info.since_polled
    }

    /// Returns whether it is a closure of [`spawn_blocking`](crate::task::spawn_blocking).
    pub fn is_blocking(&self) -> bool {
        self.trace.info.is_blocking
    }

    /// Returns the system's id of the thread that runs it. `None` if it does not run, or if that is not known.
    pub fn thread(&self) -> Option<u32> {
        self.trace.info.thread
    }

    /// Returns what the task does.
    pub fn state(&self) -> TaskState {
        match &self.trace.info {
            info if info.is_running => TaskState::Running,
            info if info.is_queued => TaskState::Queued,
            info => {
                let (noted, first) = (info.waiting, self.trace.waits.first());
                let wait = first.map(|wait| noted.unwrap_or((wait.kind, wait.location)));
                TaskState::Waiting { on: wait.map(|(kind, _)| kind), at: wait.and_then(|(_, at)| at) }
            }
        }
    }

    /// Returns every wait of the task, each with the line that waits.
    ///
    /// - Empty for a task in [`TaskState::Waiting`] that waits only on something outside of redd.
    /// - A task that runs or is queued may still have waits from earlier polls.
    pub fn waits(&self) -> &[Wait] {
        &self.trace.waits
    }

    /// Returns the task group that it belongs to.
    ///
    /// # Examples
    /// ```
    /// use redd::group::TaskGroup;
    /// use redd::runtime::Handle;
    /// use redd::runtime::dump::Role;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let group = TaskGroup::<()>::limit(1).start();
    /// group.spawn(std::future::pending());
    /// let queued = group.spawn(std::future::pending());
    /// let dump = Handle::current().snapshot();
    /// let membership = dump.tasks().get(queued.id()).unwrap().group().unwrap();
    /// assert_eq!(membership.node, dump.nodes()[0].number());
    /// assert!(matches!(membership.role, Role::Queued { before: 0, .. }));
    /// # });
    /// ```
    pub fn group(&self) -> Option<&Membership> {
        self.trace.membership.as_ref()
    }

    /// Returns the [shields](crate::group::shield()) that it waits in. They are not among its waits.
    pub fn shields(&self) -> &[InShield] {
        &self.trace.shields
    }

    /// Returns the task's waits, to be printed.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }
}

/// What a task is to the [`TaskGroup`](crate::group::TaskGroup) that it belongs to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Membership {
    /// The number of the group's [`Node`](super::Node).
    pub node: u32,
    /// The name of the group.
    pub name: Option<Arc<str>>,
    /// What the task does there.
    pub role: Role,
}

/// What a task does in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// It was spawned by [`TaskGroup::spawn`](crate::group::TaskGroup::spawn) or the like, and runs.
    Task,
    /// It was spawned, and waits for a place.
    #[non_exhaustive]
    Queued {
        /// The number of tasks that get a place before it.
        before: usize,
    },
    /// It cancels the group, after a time or when a future completes.
    Watcher,
    /// It is a clean-up of the group.
    CleanUp,
}

/// A shield that a task waits in.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct InShield {
    /// The line that called [`shield`](crate::group::shield()).
    pub made_at: &'static Location<'static>,
    /// The time that is left. `None` as long as the group is not cancelled: then it does not pass.
    pub remaining: Option<Duration>,
}

/// The future of a `block_on` that has not returned.
///
/// # Examples
/// ```
/// use redd::runtime::Builder;
///
/// let runtime = Builder::new_current_thread().enable_all().build()?;
/// runtime.block_on(async {
///     let dump = runtime.handle().snapshot();
///     assert_eq!(dump.roots()[0].called_at().file(), file!());
/// });
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Root {
    pub(super) trace: Trace,
}

impl Root {
    /// Returns the line that called `block_on`.
    pub fn called_at(&self) -> &'static Location<'static> {
        self.trace.info.location
    }

    /// Returns the time since then.
    pub fn age(&self) -> Duration {
        self.trace.info.age
    }

    /// Returns whether it is known that it is being polled.
    pub fn is_running(&self) -> bool {
        self.trace.info.is_running
    }

    /// Returns the wait of the part that was polled last. If it has others, they are in [`Dump::outside`](super::Dump::outside): its
    /// waits have no id that tells them from those of other threads.
    pub fn waits(&self) -> &[Wait] {
        &self.trace.waits
    }
}

/// What a task of a dump does.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TaskState {
    /// It is being polled.
    Running,
    /// It waits for a worker, or as a closure for a thread.
    Queued,
    /// It waits to be woken.
    #[non_exhaustive]
    Waiting {
        /// One of the things that it waits on: that of the future which was polled last, if this is known. [`Task::waits`] has
        /// all of them. `None` if the task waits only on something outside of redd.
        on: Option<WaitKind>,
        /// The line that made that future, usually that of its `await`. `None` for a poll function called
        /// by hand, which does not know it.
        at: Option<&'static Location<'static>>,
    },
}

/// Where a task is: the lines that wait and the one that spawned it. Differs from Tokio: there are no calls in between.
#[derive(Debug)]
pub struct Trace {
    pub(super) info: TaskInfo,
    pub(super) waits: Vec<Wait>,
    pub(super) membership: Option<Membership>,
    pub(super) shields: Vec<InShield>,
}
