//! What a task waits on: recorded by the leaf future that returns `Pending`, kept with the task until its next poll.
//!
//! Every leaf of `sync`, `time`, `driver` and `group` calls [`note`] just before it returns `Poll::Pending`. `task::poll`
//! reads the note when the poll ends.
//!
//! # Invariants
//! - `note-is-cheap`: recording is a plain store to a thread-local, without atomics and allocations.

use crate::primitives::thread_local;
use std::cell::Cell;
use std::panic::Location;

/// Declares the enum, and the conversion from its numbers.
macro_rules! wait_kinds {
    ($($(#[$doc:meta])* $ResourceKind:ident = $number:literal,)+) => {
        /// The kinds of things a task can wait on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum WaitKind {
            $($(#[$doc])* $ResourceKind = $number,)+
        }

        impl WaitKind {
            pub(crate) fn from_u8(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$ResourceKind),)+
                    _ => None,
                }
            }
        }
    };
}

wait_kinds! {
    /// A timer: `sleep`, `interval`, `timeout`.
    Timer = 1,
    /// A semaphore's permits.
    Semaphore = 2,
    /// A mutex.
    Mutex = 3,
    /// A read or write lock of an `RwLock`.
    RwLock = 4,
    /// A `Notify`.
    Notify = 5,
    /// The value of a oneshot channel.
    Oneshot = 6,
    /// A message of an mpsc channel.
    MpscReceive = 7,
    /// Room in a bounded mpsc channel.
    MpscSend = 8,
    /// A message of a broadcast channel.
    Broadcast = 9,
    /// A change of the value of a watch channel.
    Watch = 10,
    /// The completion of another task.
    Join = 11,
    /// A descriptor that is ready to read or to accept from.
    Readable = 12,
    /// A descriptor that is ready to write to.
    Writable = 13,
    /// The other tasks of a barrier.
    Barrier = 14,
    /// A `OnceCell` that another task initializes.
    OnceCell = 15,
    /// The exit of a process.
    Process = 16,
    /// A signal.
    Signal = 17,
}

/// A note: the kind of wait, and its location in the program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) kind: WaitKind,
    pub(crate) place: Option<&'static Location<'static>>,
}

thread_local! {
    /// `note-is-cheap`: a plain cell, without a destructor.
    static LAST: Cell<Option<Waiting>> = const { Cell::new(None) };
}

/// Records that the current task is about to wait. `place` is the location of the user's call, if known.
#[inline]
pub(crate) fn note(kind: WaitKind, place: Option<&'static Location<'static>>) {
    LAST.set(Some(Waiting { kind, place }));
}

/// Takes the last note of this poll. Called before a poll starts and after it ends, so that no note is left over.
#[inline]
pub(crate) fn take() -> Option<Waiting> {
    LAST.take()
}
