//! An event count: several threads sleep on it. Each `notify_one` wakes one of them, and returns whether it did.
//!
//! Called by `scheduler::parking`.
//!
//! # Invariants
//! - `key-before-check`: a thread that is about to sleep takes a key before it announces that and checks for work a last
//!   time. A notification since then keeps it awake.
//! - `notify-vs-wait`: the notifier counts its notification, then checks for waiters. The waiter counts itself, then
//!   checks for a notification. The fence between the two steps on each side makes one of them see the other.
//!
//! # Why not otherwise
//! A `Parker` per thread would need a list of sleeping threads, under a lock. The kernel already keeps such a list.

use super::atomic::{AtomicU32, Ordering, fence};
use std::time::Duration;

/// The number of notifications when a thread prepared to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitKey(u32);

/// An event count; the module documentation describes it.
#[derive(Debug, Default)]
pub(crate) struct EventCount {
    notified: AtomicU32,
    /// The number of threads that sleep or are about to. If it is zero, `notify_one` makes no system call.
    waiters: AtomicU32,
}

impl EventCount {
    /// Returns the key for [`wait`](Self::wait) (`key-before-check`).
    pub(crate) fn prepare_wait(&self) -> WaitKey {
        // Acquire: a thread that sees a notification sees everything before it. Pairs with the Release in `notify_one`.
        WaitKey(self.notified.load(Ordering::Acquire))
    }

    /// Sleeps until a notification after `key`, at most for `timeout`. Returns true if a notification woke this thread;
    /// it then woke no other thread. May also return early without a notification.
    pub(crate) fn wait(&self, key: WaitKey, timeout: Option<Duration>) -> bool {
        self.waiters.fetch_add(1, Ordering::Relaxed);
        // Fence `notify-vs-wait` (wait side; the other is in `EventCount::notify_one`): the system sees the notification,
        // or the notifier sees us.
        fence(Ordering::SeqCst);
        let was_woken = super::futex::futex_wait(&self.notified, key.0, timeout);
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        was_woken
    }

    pub(crate) fn is_notified_since(&self, key: WaitKey) -> bool {
        self.prepare_wait().0 != key.0
    }

    /// Wakes one waiting thread. Returns whether there was one.
    pub(crate) fn notify_one(&self) -> bool {
        // Release: pairs with the Acquire in `prepare_wait`.
        self.notified.fetch_add(1, Ordering::Release);
        // Fence `notify-vs-wait` (notify side; the other is in `EventCount::wait`).
        fence(Ordering::SeqCst);
        self.has_waiters() && super::futex::futex_wake_one(&self.notified)
    }

    pub(crate) fn has_waiters(&self) -> bool {
        self.waiters.load(Ordering::Relaxed) > 0
    }
}
