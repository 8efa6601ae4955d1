//! An event count: several threads sleep on it. Each ring wakes one of them, and returns whether it did.
//!
//! Called by `scheduler::seats`.
//!
//! # Invariants
//! - `heard-before-looking`: a thread that is about to sleep reads the bell before it announces that and checks for work
//!   a last time. A ring since then keeps it awake.
//! - `ring-vs-sleep`: the fence between "rang" and "is a thread asleep?" on one side, and between "asleep" and "did it ring?" on
//!   the other.
//!
//! # Why not otherwise
//! A `Parker` per thread would need a list of sleeping threads, under a lock. The kernel already keeps such a list.

#[cfg(not(loom))]
use super::atomic::{AtomicU32, Ordering, fence};
use std::time::Duration;

/// How often it was rung, as a sleeper remembers it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard(u32);

/// See the module page.
#[cfg(not(loom))]
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rings: AtomicU32,
    /// The number of threads that sleep or are about to. If it is zero, a ring is one load.
    sleepers: AtomicU32,
}

#[cfg(not(loom))]
impl Bell {
    /// `heard-before-looking`
    pub(crate) fn listen(&self) -> Heard {
        // Acquire: a thread that reads a ring sees everything before it. Pairs with the Release in `ring`.
        Heard(self.rings.load(Ordering::Acquire))
    }

    /// Sleeps until a ring after `heard`, at most for `timeout`. True if a ring woke this thread, which no other thread
    /// was then; it may also return early for nothing.
    pub(crate) fn sleep(&self, heard: Heard, timeout: Option<Duration>) -> bool {
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        // Fence `ring-vs-sleep` (sleep side; the other is in `Bell::ring`): the system sees the ring, or the ringer us.
        fence(Ordering::SeqCst);
        let was_woken = super::system::futex_wait(&self.rings, heard.0, timeout);
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
        was_woken
    }

    pub(crate) fn has_rung_since(&self, heard: Heard) -> bool {
        self.listen().0 != heard.0
    }

    /// True if it woke a thread.
    pub(crate) fn ring(&self) -> bool {
        // Release: pairs with the Acquire in `listen`.
        self.rings.fetch_add(1, Ordering::Release);
        // Fence `ring-vs-sleep` (ring side; the other is in `Bell::sleep`).
        fence(Ordering::SeqCst);
        self.has_sleepers() && super::system::futex_wake_one(&self.rings)
    }

    pub(crate) fn has_sleepers(&self) -> bool {
        self.sleepers.load(Ordering::Relaxed) > 0
    }
}

/// The same for models, in which no wait times out.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct Bell {
    inner: loom::sync::Mutex<Inner>,
    changed: loom::sync::Condvar,
}

#[cfg(loom)]
#[derive(Debug, Default)]
struct Inner {
    rings: u32,
    sleepers: u32,
    /// Wake-ups that a sleeper has yet to notice.
    woken: u32,
}

#[cfg(loom)]
impl Default for Bell {
    fn default() -> Self {
        Self { inner: loom::sync::Mutex::new(Inner::default()), changed: loom::sync::Condvar::new() }
    }
}

#[cfg(loom)]
impl Bell {
    fn lock(&self) -> loom::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics under this lock")
    }

    pub(crate) fn listen(&self) -> Heard {
        Heard(self.lock().rings)
    }

    pub(crate) fn sleep(&self, heard: Heard, _timeout: Option<Duration>) -> bool {
        let mut inner = self.lock();
        if inner.rings != heard.0 {
            return false;
        }
        inner.sleepers += 1;
        while inner.woken == 0 {
            inner = self.changed.wait(inner).expect("nothing panics under this lock");
        }
        inner.woken -= 1;
        true
    }

    pub(crate) fn has_rung_since(&self, heard: Heard) -> bool {
        self.listen().0 != heard.0
    }

    pub(crate) fn ring(&self) -> bool {
        let mut inner = self.lock();
        inner.rings += 1;
        let wakes = inner.sleepers > 0;
        if wakes {
            inner.sleepers -= 1;
            inner.woken += 1;
            self.changed.notify_all();
        }
        wakes
    }

    pub(crate) fn has_sleepers(&self) -> bool {
        self.lock().sleepers > 0
    }
}
