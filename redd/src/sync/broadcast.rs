//! A channel in which every receiver gets every message: a ring of the last messages.
//!
//! - A receiver that falls behind by more than the capacity loses the oldest messages, and is told how many.
//! - Senders never wait for receivers.
//!
//! Positions count up for ever; position `p` lives in slot `p & mask`. The tail's lock orders senders; a receiver that
//! finds its message takes only the slot's lock.
//!
//! # Invariants
//! - `tail-before-slot`: who holds a slot's lock takes no other. A slot's position changes only under the tail's lock.
//! - `unseen-counts`: a message's `unseen` is the number of receivers that were there when it was sent and have not yet
//!   taken it, skipped it or gone. The one who brings it to zero takes the message out, and drops it without a lock.
//! - `clone-alone`: a message is cloned under its slot's lock, one receiver at a time, because `T` need not be `Sync`. It
//!   is the one place where foreign code runs under a lock: a `clone` that uses the same channel may wait for itself.

use std::fmt;
use std::future::Future;
use std::panic::Location;

use self::error::{RecvError, SendError, TryRecvError};
use super::wait_list::WaitList;
use super::wait_until::wait_until;
use crate::observe::waiting::WaitKind;
use crate::primitives::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::primitives::{Arc, Mutex};
use crate::task::coop::cooperative;

/// Makes a channel that keeps the last `capacity` messages, rounded up to a power of two.
///
/// # Panics
/// If `capacity` is zero, or more than half of the address space.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sender, mut first) = redd::sync::broadcast::channel(16);
/// let mut second = sender.subscribe();
/// sender.send("hello").unwrap();
/// assert_eq!(first.recv().await, Ok("hello"));
/// assert_eq!(second.recv().await, Ok("hello"));
/// # });
/// ```
#[track_caller]
pub fn channel<T: Clone>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(capacity);
    let receiver = sender.subscribe();
    (sender, receiver)
}

struct Shared<T> {
    slots: Box<[Slot<T>]>,
    /// The number of slots less one; the number is a power of two.
    mask: u64,
    tail: WaitList<Tail>,
    senders: AtomicUsize,
    weak_senders: AtomicUsize,
    /// Senders that wait for the last receiver to go.
    on_last_receiver: WaitList,
}

struct Tail {
    /// The position of the next message.
    position: u64,
    receivers: usize,
    /// All senders are gone.
    is_closed: bool,
}

struct Slot<T> {
    /// The position of the message; changed under both locks, read without as a hint.
    position: AtomicU64,
    message: Mutex<Message<T>>,
}

struct Message<T> {
    value: Option<T>,
    /// See `unseen-counts`.
    unseen: usize,
}

impl<T> Shared<T> {
    fn slot(&self, position: u64) -> &Slot<T> {
        &self.slots[(position & self.mask) as usize]
    }

    /// Calls `look` with the message, if it is still or already there, and counts it as seen (`unseen-counts`).
    fn see<R>(&self, position: u64, look: impl FnOnce(Option<&T>) -> R) -> Option<R> {
        /// Counts also when `look` panics.
        struct Seen<'a, T>(crate::primitives::MutexGuard<'a, Message<T>>);
        impl<T> Seen<'_, T> {
            fn count(&mut self) -> Option<T> {
                self.0.unseen -= 1;
                if self.0.unseen == 0 { self.0.value.take() } else { None }
            }
        }
        struct OnPanic<'a, 'b, T>(&'a mut Seen<'b, T>);
        impl<T> Drop for OnPanic<'_, '_, T> {
            fn drop(&mut self) {
                drop(self.0.count());
            }
        }
        let slot = self.slot(position);
        if slot.position.load(Ordering::Relaxed) != position {
            return None;
        }
        let mut seen = Seen(slot.message.lock());
        // Under the slot's lock this is exact.
        if slot.position.load(Ordering::Relaxed) != position {
            return None;
        }
        let on_panic = OnPanic(&mut seen);
        let result = look(on_panic.0.0.value.as_ref());
        std::mem::forget(on_panic);
        let last = seen.count();
        drop(seen);
        drop(last);
        Some(result)
    }
}
