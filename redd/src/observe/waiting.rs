//! What a task waits on: noted by the leaf that answers `Pending`, kept with the task until its next poll.
//!
//! Called by every leaf of `sync`, `time`, `driver` and `group` just before it returns `Poll::Pending`; read by
//! `task::poll` when the poll ends.
//!
//! # Invariants
//! - `note-is-cheap`: a note is plain stores to thread-locals, no atomics, no allocation.

use crate::primitives::thread_local;
use std::cell::Cell;
use std::panic::Location;

/// Declares the enum, and how to get a kind back from its number.
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
    /// A reader's or writer's turn at a lock.
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
    /// A change of a watched value.
    Watch = 10,
    /// Another task's end.
    Join = 11,
    /// A descriptor that can be read or accepted from.
    Readable = 12,
    /// A descriptor that can be written to.
    Writable = 13,
    /// The other tasks of a barrier.
    Barrier = 14,
    /// A cell that another task initialises.
    OnceCell = 15,
    /// A process's end.
    Process = 16,
    /// A signal.
    Signal = 17,
}

/// A note: what, which one, and the place in the program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) kind: WaitKind,
    pub(crate) place: Option<&'static Location<'static>>,
}

thread_local! {
    /// `note-is-cheap`: a plain cell, without a destructor.
    static LAST: Cell<Option<Waiting>> = const { Cell::new(None) };
}

/// The current task is about to wait on something of this kind; `place` is where the program asked for it, if known.
#[inline]
pub(crate) fn note(kind: WaitKind, place: Option<&'static Location<'static>>) {
    LAST.set(Some(Waiting { kind, place }));
}

/// Takes the last note of this poll; called with `None` left behind before a poll starts and after it ends.
#[inline]
pub(crate) fn take() -> Option<Waiting> {
    LAST.take()
}
