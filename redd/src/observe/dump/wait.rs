//! One wait of a task: its kind, its line, and what it waits for.
//!
//! Made by `join`; read by the other files of the room and by user code.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::observe::WaitKind;
use crate::task::Id;

/// One wait of a task.
///
/// A task that polls several futures (`select!`, `join!`, `timeout`, a set of futures) has several waits.
///
/// # Examples
/// ```
/// use redd::observe::WaitKind;
/// use redd::runtime::Handle;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (sender, receiver) = redd::sync::oneshot::channel::<()>();
/// let task = redd::spawn(receiver);
/// redd::task::yield_now().await;
/// let dump = Handle::current().snapshot();
/// let wait = &dump.tasks().get(task.id()).unwrap().waits()[0];
/// assert_eq!(wait.kind(), WaitKind::Oneshot);
/// assert_eq!(wait.location().unwrap().file(), file!());
/// # drop(sender); });
/// ```
#[derive(Clone, Debug)]
pub struct Wait {
    pub(super) kind: WaitKind,
    pub(super) location: Option<&'static Location<'static>>,
    pub(super) since: Option<Duration>,
    /// See `WaiterInfo`.
    pub(super) is_direct: bool,
    /// The line that spawned the joined task.
    pub(super) joined_at: Option<&'static Location<'static>>,
    pub(super) what: What,
}

impl Wait {
    /// Returns the kind of thing that the task waits on.
    pub fn kind(&self) -> WaitKind {
        self.kind
    }

    /// Returns the line of the program that made the future which waits, usually that of its `await`. `None` if only a poll
    /// function was called, which does not know it.
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.location
    }

    /// Returns how long it has waited, in milliseconds rounded to a turn of a worker. `None` if that was not recorded.
    pub fn since(&self) -> Option<Duration> {
        self.since
    }

    /// Returns what it waits for.
    pub fn what(&self) -> &What {
        &self.what
    }
}

/// What a [`Wait`] waits for.
///
/// The number of an `object` tells it from the others of the same dump. It has no meaning beyond that.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// Nothing more is known than the kind.
    Unknown,
    /// A lock, a semaphore, or another object with a list of waiting tasks.
    #[non_exhaustive]
    Lock {
        /// The number of the lock in this dump.
        object: u32,
        /// The last acquisition. `None` if the lock is free or its acquisitions are not recorded.
        taken: Option<Taken>,
        /// The number of permits that are out, if the object has a fixed number.
        out: Option<usize>,
        /// The number of tasks in its list, this one included.
        waiting: usize,
    },
    /// The end of the task with this id.
    Task(Id),
    /// A point in time, and the time until then.
    Deadline(Duration),
    /// An event of a file descriptor.
    #[non_exhaustive]
    Descriptor {
        /// The number of the descriptor.
        fd: i32,
        /// What it is: `tcp 127.0.0.1:52100 to 127.0.0.1:80`, `tcp listener 0.0.0.0:80`, `pipe:[1234]`. Empty if that is not known.
        about: String,
    },
    /// A channel.
    #[non_exhaustive]
    Channel {
        /// The number of the channel in this dump.
        object: u32,
        /// The senders that are alive.
        senders: usize,
        /// The receivers that are alive.
        receivers: usize,
        /// The messages in the channel.
        length: usize,
    },
    /// A task group: a place in it, the end of one of its tasks, or its own end.
    #[non_exhaustive]
    Group {
        /// The number of the group's [`Node`](super::Node).
        node: u32,
        /// Its name.
        name: Option<Arc<str>>,
        /// The number of tasks that get a place before this one, if it was spawned and has none.
        before: Option<usize>,
    },
    /// The exit of the process with this id.
    Process(u32),
    /// The signal with this number.
    Signal(i32),
}

/// An acquisition of a lock or of a semaphore's permits.
///
/// It tells where permits were *taken*: a guard may have moved to another task since. For a mutex or a write lock this is
/// the acquisition that has not been released. For a read lock or a semaphore it is the last of possibly several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Taken {
    /// The task that took it. `None` if that was no task: the future of `block_on`, or a thread.
    pub by: Option<Id>,
    /// The line that took it.
    pub location: Option<&'static Location<'static>>,
    /// The time since then.
    pub ago: Duration,
    /// Whether it is the only acquisition that has not been released: that of a mutex or a write lock.
    pub is_only: bool,
    /// Whether its guard owns the lock, or may own it. Such a guard may be in another task by now.
    pub is_owned: bool,
}
