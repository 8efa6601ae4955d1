//! Several threads sleep by the same bell; each notify_one wakes one of them, and says whether it did.
//!
//! Called by `scheduler::seats`.
//!
//! # Invariants
//! - `key-before-looking`: who is about to sleep reads the bell before it says so and looks a last time. A notify_one since
//!   then keeps it awake.
//! - `notify_one-vs-sleep`: the fence between "I rang" and "does anyone sleep?" on one side, "I sleep" and "did it notify_one?" on the
//!   other.
//!
//! # Why not otherwise
//! A `Parker` per thread asks for a list of who sleeps, under a lock. The kernel keeps one already.

#[cfg(not(all(test, loom)))]
use super::atomic::{AtomicU32, Ordering, fence};
use std::time::Duration;

/// How often it was rung, as a sleeper remembers it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitKey(u32);

/// See the module page.
#[cfg(not(all(test, loom)))]
#[derive(Debug, Default)]
pub(crate) struct EventCount {
    notified: AtomicU32,
    /// Who sleeps or is about to: with nobody here, a notify_one is one load.
    waiters: AtomicU32,
}

#[cfg(not(all(test, loom)))]
impl EventCount {
    /// `key-before-looking`
    pub(crate) fn prepare_wait(&self) -> WaitKey {
        // Acquire: who hears a notify_one sees what was done before it. Pairs with the Release in `notify_one`.
        WaitKey(self.notified.load(Ordering::Acquire))
    }

    /// Sleeps until a notify_one after `key`, at most for `timeout`. True if a notify_one woke this thread, which no other thread
    /// was then; it may also return early for nothing.
    pub(crate) fn wait(&self, key: WaitKey, timeout: Option<Duration>) -> bool {
        self.waiters.fetch_add(1, Ordering::Relaxed);
        // Fence `notify_one-vs-sleep` (sleep side; the other is in `EventCount::notify_one`): the system sees the notify_one, or the ringer us.
        fence(Ordering::SeqCst);
        let was_woken = super::system::futex_wait(&self.notified, key.0, timeout);
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        was_woken
    }

    pub(crate) fn is_notified_since(&self, key: WaitKey) -> bool {
        self.prepare_wait().0 != key.0
    }

    /// True if it woke a thread.
    pub(crate) fn notify_one(&self) -> bool {
        // Release: pairs with the Acquire in `prepare_wait`.
        self.notified.fetch_add(1, Ordering::Release);
        // Fence `notify_one-vs-sleep` (notify_one side; the other is in `EventCount::sleep`).
        fence(Ordering::SeqCst);
        self.has_waiters() && super::system::futex_wake_one(&self.notified)
    }

    pub(crate) fn has_waiters(&self) -> bool {
        self.waiters.load(Ordering::Relaxed) > 0
    }
}

/// The same for models. Nobody's time is up.
#[cfg(all(test, loom))]
#[derive(Debug)]
pub(crate) struct EventCount {
    inner: loom::sync::Mutex<Inner>,
    changed: loom::sync::Condvar,
}

#[cfg(all(test, loom))]
#[derive(Debug, Default)]
struct Inner {
    notified: u32,
    waiters: u32,
    /// Wake-ups that a sleeper has yet to notice.
    woken: u32,
}

#[cfg(all(test, loom))]
impl Default for EventCount {
    fn default() -> Self {
        Self { inner: loom::sync::Mutex::new(Inner::default()), changed: loom::sync::Condvar::new() }
    }
}

#[cfg(all(test, loom))]
impl EventCount {
    fn lock(&self) -> loom::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics under this lock")
    }

    pub(crate) fn prepare_wait(&self) -> WaitKey {
        WaitKey(self.lock().notified)
    }

    pub(crate) fn wait(&self, key: WaitKey, _timeout: Option<Duration>) -> bool {
        let mut inner = self.lock();
        if inner.notified != key.0 {
            return false;
        }
        inner.waiters += 1;
        while inner.woken == 0 {
            inner = self.changed.wait(inner).expect("nothing panics under this lock");
        }
        inner.woken -= 1;
        true
    }

    pub(crate) fn is_notified_since(&self, key: WaitKey) -> bool {
        self.prepare_wait().0 != key.0
    }

    pub(crate) fn notify_one(&self) -> bool {
        let mut inner = self.lock();
        inner.notified += 1;
        let wakes = inner.waiters > 0;
        if wakes {
            inner.waiters -= 1;
            inner.woken += 1;
            self.changed.notify_all();
        }
        wakes
    }

    pub(crate) fn has_waiters(&self) -> bool {
        self.lock().waiters > 0
    }
}
