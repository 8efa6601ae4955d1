//! What goes wrong in a world, and the panic by which a failed world ends a `block_on`.
//!
//! Called by `world`, by the runtimes of a world, and by `sim`.

use std::panic;
use std::time::Duration;

/// What went wrong in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// The function of a host has panicked, or returned an error.
    Host,
    /// A task or closure has panicked, and its `JoinHandle` was not awaited.
    UnjoinedPanic,
    /// A test has ended before a task that it has spawned.
    LeftTask,
    /// All threads wait, and no deadline is left that could wake one.
    NothingCanHappen,
    /// The limit of virtual time was reached.
    Limit,
    /// A thread that does not belong to the world has woken a task or a thread of it.
    ForeignThread,
    /// A closure of [`World::always`](crate::sim::World::always) has found that its invariant does not hold. The world stops.
    Invariant,
    /// A closure of [`World::at`](crate::sim::World::at) or `every` has panicked. The world stops.
    Script,
    /// A tape that was to be replayed does not fit the program.
    Tape,
}

/// A failure of a world: its kind and a text for people.
#[derive(Clone, Debug)]
pub(crate) struct WorldFailure {
    pub(crate) kind: FailureKind,
    pub(crate) text: String,
    pub(crate) at: Duration,
}

/// The payload of the panic by which the future of a `block_on` ends when its world has failed. The panic hook does not see it.
#[derive(Debug)]
pub(crate) struct WorldEnded;

impl WorldEnded {
    /// On a thread that unwinds already, this returns: a second panic in a destructor would end the process. What the destructor
    /// waits for may then never come, and the thread is left behind.
    pub(crate) fn unwind_unless_panicking() {
        if !std::thread::panicking() {
            panic::resume_unwind(Box::new(Self));
        }
    }
}
