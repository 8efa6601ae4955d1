//! What a task waits on: recorded by the leaf future that returns `Pending`, and kept with the task until its next
//! poll.
//!
//! Every leaf of `sync`, `time`, `driver` and `group` calls [`record`] just before it returns `Poll::Pending`.
//! `task::poll` takes the note when the poll ends.
//!
//! A leaf that the program polls by hand (`poll_read`) does not know the location that waits. The future that the user
//! awaits knows it: it adds its own location when its inner poll returns `Pending`.
//!
//! # Invariants
//! - `note-is-cheap`: recording is a plain store to a thread-local, without atomics and allocations.
//! - `ready-is-free`: a location is added only on `Pending`, so a poll that completes costs nothing more.
//! - `user-line`: a public future that waits inside of redd overwrites the location of that wait with its own. A public
//!   future over a user's type keeps a location that was recorded already, because that is in the user's code and more
//!   exact.
//!
//! # Why not otherwise
//! The location could be stored before the inner poll, for the leaf to record. That would cost a store on every poll,
//! and a second one to restore the outer location.

use crate::primitives::thread_local;
use pin_project_lite::pin_project;
use std::cell::Cell;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Declares the enum, and the conversion from its numbers.
macro_rules! wait_kinds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal,)+) => {
        /// The kinds of things a task can wait on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum WaitKind {
            $($(#[$doc])* $kind = $number,)+
        }

        impl WaitKind {
            pub(crate) fn from_u8(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$kind),)+
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
    pub(crate) location: Option<&'static Location<'static>>,
}

thread_local! {
    /// `note-is-cheap`: a plain cell, without a destructor.
    static LAST: Cell<Option<Waiting>> = const { Cell::new(None) };
}

/// Records that the current task is about to wait. `location` is that of the user's call, if known.
#[inline]
pub(crate) fn record(kind: WaitKind, location: Option<&'static Location<'static>>) {
    LAST.set(Some(Waiting { kind, location }));
}

/// Takes the last note of this poll. It is called before a poll starts and after it ends, so that no note is left for
/// the next poll.
#[inline]
pub(crate) fn take() -> Option<Waiting> {
    LAST.take()
}

/// Holds the last note of a task while the task polls other tasks. Its drop restores the note.
#[derive(Debug)]
pub(crate) struct Kept(Option<Waiting>);

impl Kept {
    pub(crate) fn take() -> Self {
        Self(take())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        LAST.set(self.0);
    }
}

/// Adds `location` to the last note, if `polled` is pending and the leaf had no location (`user-line`).
#[inline]
pub(crate) fn locate<T>(polled: Poll<T>, location: &'static Location<'static>) -> Poll<T> {
    // `ready-is-free`
    if polled.is_pending() {
        if let Some(waiting @ Waiting { location: None, .. }) = LAST.get() {
            LAST.set(Some(Waiting { location: Some(location), ..waiting }));
        }
    }
    polled
}

/// Returns a future that waits at the caller's line, whatever it awaits inside of redd (`user-line`).
///
/// A method that waits is a `#[track_caller] fn` that returns this, because an `async fn` cannot see its caller.
#[track_caller]
#[inline]
pub(crate) fn located<F: Future>(future: F) -> Located<F> {
    Located { future, location: Location::caller() }
}

pin_project! {
    /// The future of [`located`].
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is awaited"]
    pub(crate) struct Located<F> {
        #[pin]
        future: F,
        location: &'static Location<'static>,
    }
}

impl<F: Future> Future for Located<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let polled = this.future.poll(cx);
        // `ready-is-free`
        if polled.is_pending() {
            if let Some(waiting) = LAST.get() {
                LAST.set(Some(Waiting { location: Some(this.location), ..waiting }));
            }
        }
        polled
    }
}
