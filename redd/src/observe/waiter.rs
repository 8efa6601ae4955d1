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
}

/// An acquisition of permits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    /// The id of the task that acquired them. 0 if that was no task.
    pub(crate) task: u64,
    pub(crate) location: Option<&'static Location<'static>>,
    /// On the coarse clock of the process.
    pub(crate) at_ms: u32,
}
