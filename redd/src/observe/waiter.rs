//! One wait of a task, as dumps show it.
//!
//! Made by the rooms that keep waiters (`sync`, `time`, `driver`, `task`), and read by `dump`. A task may have several:
//! `select!`, `join!` and `timeout` poll more than one leaf.

use std::panic::Location;
use std::time::Duration;

use super::report::is_in_redd;
use super::waiting::WaitKind;

/// A waiter: a timer, a node of a wait list, the registration of a descriptor, a join.
#[derive(Clone, Debug)]
pub(crate) struct WaiterInfo {
    /// The id of the task that registered it. 0 if that was no task.
    pub(crate) task: u64,
    pub(crate) kind: WaitKind,
    /// The line of the program that waits.
    pub(crate) location: Option<&'static Location<'static>>,
    /// When it began to wait, on the coarse clock of the process.
    pub(crate) since_ms: u32,
    /// It is known that the waiter has the waker of its task, and not that of a set of futures inside the task.
    pub(crate) is_direct: bool,
    pub(crate) subject: Subject,
}

impl WaiterInfo {
    /// Removes locations inside of redd: they mean nothing to the program's author, and the note of the task's last poll may have the
    /// line that does.
    pub(crate) fn hide_internal_lines(&mut self) {
        let hide = |location: &mut Option<&'static Location<'static>>| {
            *location = location.filter(|location| !is_in_redd(location.file()));
        };
        hide(&mut self.location);
        if let Subject::Permits { taken: Some(taken), .. } = &mut self.subject {
            hide(&mut taken.location);
        }
    }
}

/// What a waiter waits for.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// Nothing more is known than the kind.
    Unknown,
    /// Permits of a lock or semaphore.
    Permits {
        /// Tells this object from others while it lives.
        object: usize,
        /// The last acquisition. `None` if no permit was taken by a task or none is out.
        taken: Option<Taken>,
        /// The number of permits that are out, if the object has a fixed number.
        out: Option<usize>,
        /// The number of tasks in the wait list, this one included.
        waiting: usize,
    },
    /// The end of the task with this id.
    Task(u64),
    /// A point in time.
    Deadline { remaining: Duration },
    /// An event of a descriptor. `about`: its addresses, or what kind of file it is.
    Descriptor { fd: i32, about: Option<Box<str>> },
    /// A channel.
    Channel { object: usize, senders: usize, receivers: usize, length: usize },
    /// The exit of the process with this id.
    Process(u32),
    /// A signal.
    Signal(i32),
    /// No wait: permits were granted to the waiter, and its future has not been polled since.
    Granted(Granted),
}

/// A grant of permits that the future has not noticed, for lack of a poll.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Granted {
    /// As in [`Subject::Permits`].
    pub(crate) object: usize,
    /// The id of the task that polled the future last. 0 if that was no task.
    pub(crate) task: u64,
    pub(crate) kind: WaitKind,
    pub(crate) location: Option<&'static Location<'static>>,
    /// On the coarse clock of the process.
    pub(crate) at_ms: u32,
    /// The id of the task that released the permits. 0 if that was no task.
    pub(crate) by: u64,
    /// The grant woke that task itself, or the future of `block_on`, and not a set of futures in between.
    pub(crate) is_woken_directly: bool,
    /// The number of tasks that wait for the same object.
    pub(crate) waiting: usize,
}

/// An acquisition of permits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    /// The id of the task that acquired them. 0 if that was no task.
    pub(crate) task: u64,
    pub(crate) location: Option<&'static Location<'static>>,
    /// On the coarse clock of the process.
    pub(crate) at_ms: u32,
    /// The guard owns the lock, or may own it, so it need not be in that task any longer.
    pub(crate) is_owned: bool,
}
