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

#![expect(unsafe_code, reason = "a reference in a plain thread-local")]

use crate::primitives::atomic::{AtomicPtr, Ordering};
use crate::primitives::thread_local;
use pin_project_lite::pin_project;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::ptr;
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
    /// A place in a task group with a limit.
    GroupPlace = 18,
    /// The end of one of the tasks of a task group.
    GroupTask = 19,
    /// The end of a task group: of all its tasks and clean-ups.
    GroupEnd = 20,
    /// The cancellation of a task group, or of the one that a task belongs to.
    Cancelled = 21,
    /// The end of the time of a shield. The task waits for something else, too.
    Shield = 22,
}

/// A note: the kind of wait, and its location in the program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) kind: WaitKind,
    pub(crate) location: Option<&'static Location<'static>>,
}

/// Keeps waiters that get a location afterwards.
pub(crate) trait Locate: Sync + fmt::Debug {
    /// The waiter with this number, if it is still there, waits at `location`.
    fn locate(&self, number: u64, location: &'static Location<'static>);
}

/// The note of a thread. In one thread-local, because the address of each is computed on its own.
struct Note {
    last: Cell<Option<Waiting>>,
    /// The cell for the location of the waiter that the leaf of the last note has left; null if there is none. It means
    /// nothing if there is no note.
    cell: Cell<*const AtomicPtr<Location<'static>>>,
    /// The waiter of the last note is the one with this number.
    numbered: Cell<Option<(&'static dyn Locate, u64)>>,
}

thread_local! {
    /// `note-is-cheap`: plain cells, without a destructor.
    static NOTE: Note =
        const { Note { last: Cell::new(None), cell: Cell::new(ptr::null()), numbered: Cell::new(None) } };
}

/// Its address in `Note::cell`: see `Note::numbered`.
static IS_NUMBERED: u64 = 0;

/// Records that the current task is about to wait. `location` is that of the user's call, if known.
#[inline]
pub(crate) fn record(kind: WaitKind, location: Option<&'static Location<'static>>) {
    NOTE.with(|note| {
        note.last.set(Some(Waiting { kind, location }));
        note.cell.set(ptr::null());
    });
}

/// The leaf that has recorded the wait, and does not know the location of the user's call, has left a waiter with this cell
/// for it.
#[inline]
pub(crate) fn left_waiter(cell: &'static AtomicPtr<Location<'static>>) {
    NOTE.with(|note| note.cell.set(cell));
}

/// As [`left_waiter`], for a waiter without a cell of its own.
pub(crate) fn left_numbered(waiters: &'static dyn Locate, number: u64) {
    NOTE.with(|note| {
        note.numbered.set(Some((waiters, number)));
        note.cell.set(numbered());
    });
}

#[inline]
fn numbered() -> *const AtomicPtr<Location<'static>> {
    ptr::from_ref(&IS_NUMBERED).cast()
}

/// The last note of this poll is for a wait of this kind, which its leaf did not know.
pub(crate) fn rename(kind: WaitKind, location: Option<&'static Location<'static>>) {
    NOTE.with(|note| {
        if note.last.get().is_none() {
            return record(kind, location);
        }
        note.last.set(Some(Waiting { kind, location: None }));
        if let Some(location) = location {
            note.set_location(kind, location);
        }
    });
}

impl Note {
    /// Sets the location of the last note, which is of this kind, and of its waiter.
    #[inline]
    fn set_location(&self, kind: WaitKind, location: &'static Location<'static>) {
        self.last.set(Some(Waiting { kind, location: Some(location) }));
        let cell = self.cell.get();
        if cell == numbered() {
            self.locate_numbered(location);
        } else {
            // SAFETY: it is null or comes from a `&'static`.
            if let Some(cell) = unsafe { cell.as_ref() } {
                // Relaxed: it is only shown.
                cell.store(ptr::from_ref(location).cast_mut(), Ordering::Relaxed);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn locate_numbered(&self, location: &'static Location<'static>) {
        if let Some((waiters, number)) = self.numbered.get() {
            waiters.locate(number, location);
        }
    }
}

/// Returns the last note of this poll.
#[inline]
pub(crate) fn last() -> Option<Waiting> {
    NOTE.with(|note| note.last.get())
}

/// Takes the last note of this poll. It is called before a poll starts and after it ends, so that no note is left for
/// the next poll.
#[inline]
pub(crate) fn take() -> Option<Waiting> {
    NOTE.with(|note| note.last.take())
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
        NOTE.with(|note| note.last.set(self.0));
    }
}

/// Adds `location` to the last note, if `polled` is pending and the leaf had no location (`user-line`).
#[inline]
pub(crate) fn locate<T>(polled: Poll<T>, location: &'static Location<'static>) -> Poll<T> {
    // `ready-is-free`
    if polled.is_pending() {
        NOTE.with(|note| {
            if let Some(Waiting { kind, location: None }) = note.last.get() {
                note.set_location(kind, location);
            }
        });
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
            NOTE.with(|note| {
                if let Some(Waiting { kind, .. }) = note.last.get() {
                    note.set_location(kind, this.location);
                }
            });
        }
        polled
    }
}
