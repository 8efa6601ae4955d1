//! One thread sleeps until another hands it a token. Used where no driver is parked in: `block_on` of a
//! multi-thread runtime, the blocking pool, `blocking_*` methods.
//!
//! # Invariants
//! - `token-kept`: an `unpark` before a `park` makes that `park` return at once.
//!
//! # Why not otherwise
//! `std::thread::park` has one token a thread, and user code inside a `block_on` may use it for itself.

#[cfg(not(all(test, loom)))]
use super::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{RawWakerVTable, Wake, Waker};
use std::time::Duration;

/// A token for one sleeper; any number of threads may `unpark`.
#[cfg(not(all(test, loom)))]
#[derive(Debug, Default)]
pub(crate) struct Parker {
    word: AtomicU32,
}

#[cfg(not(all(test, loom)))]
const EMPTY: u32 = 0;
#[cfg(not(all(test, loom)))]
const TOKEN: u32 = 1;
#[cfg(not(all(test, loom)))]
const PARKED: u32 = u32::MAX;

#[cfg(not(all(test, loom)))]
impl Parker {
    pub(crate) const fn new() -> Self {
        Self { word: AtomicU32::new(EMPTY) }
    }

    /// Sleeps until a token is there, and takes it.
    pub(crate) fn park(&self) {
        while !self.park_for(None) {}
    }

    /// Sleeps until a token is there or `timeout` has passed. True if a token was taken. May return false early
    /// only when `timeout` is given; the caller looks at its own deadline.
    pub(crate) fn park_timeout(&self, timeout: Duration) -> bool {
        self.park_for(Some(timeout))
    }

    /// Whether the next `park` returns at once.
    pub(crate) fn has_token(&self) -> bool {
        self.word.load(Ordering::Relaxed) == TOKEN
    }

    fn park_for(&self, timeout: Option<Duration>) -> bool {
        // Acquire: what the unparking thread wrote before the token is visible. Pairs with Release in `unpark`.
        if self.word.swap(EMPTY, Ordering::Acquire) == TOKEN {
            return true;
        }
        // `token-kept`: a token that arrived since the swap above makes this exchange fail.
        if self.word.compare_exchange(EMPTY, PARKED, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let _ = super::system::futex_wait(&self.word, PARKED, timeout);
        }
        // Acquire: as above, pairs with Release in `unpark`.
        self.word.swap(EMPTY, Ordering::Acquire) == TOKEN
    }

    /// Leaves a token, and wakes the sleeper if it sleeps.
    pub(crate) fn unpark(&self) {
        // Release: publishes what this thread did. Pairs with Acquire in `Parker::park_for`.
        if self.word.swap(TOKEN, Ordering::Release) == PARKED {
            let _ = super::system::futex_wake_one(&self.word);
        }
    }
}

/// The same token for models.
#[cfg(all(test, loom))]
#[derive(Debug)]
pub(crate) struct Parker {
    token: loom::sync::Mutex<bool>,
    changed: loom::sync::Condvar,
}

#[cfg(all(test, loom))]
impl Default for Parker {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, loom))]
impl Parker {
    pub(crate) fn new() -> Self {
        Self { token: loom::sync::Mutex::new(false), changed: loom::sync::Condvar::new() }
    }

    pub(crate) fn park(&self) {
        let mut token = self.token.lock().expect("no panic under this lock");
        while !*token {
            token = self.changed.wait(token).expect("no panic under this lock");
        }
        *token = false;
    }

    /// In a model time does not pass: it takes a token that is there, and otherwise reports a timeout.
    pub(crate) fn park_timeout(&self, _timeout: Duration) -> bool {
        let mut token = self.token.lock().expect("no panic under this lock");
        std::mem::take(&mut *token)
    }

    pub(crate) fn has_token(&self) -> bool {
        *self.token.lock().expect("no panic under this lock")
    }

    pub(crate) fn unpark(&self) {
        *self.token.lock().expect("no panic under this lock") = true;
        self.changed.notify_one();
    }
}

/// The parker as a waker. `std::sync::Arc`, because `Wake` requires it.
impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.unpark();
    }
}

/// A waker that unparks. Not inlined: the compiler makes one table of functions for each place where this is done, and
/// [`is_of_parker`] has to know the table.
#[inline(never)]
pub(crate) fn waker(parker: Arc<Parker>) -> Waker {
    Waker::from(parker)
}

/// Whether this comes from [`waker`], and so runs no user code.
pub(crate) fn is_of_parker(waker: &Waker) -> bool {
    static TABLE: OnceLock<&RawWakerVTable> = OnceLock::new();
    std::ptr::eq(waker.vtable(), *TABLE.get_or_init(|| self::waker(Arc::new(Parker::new())).vtable()))
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_waker_of_a_parker_is_told_from_others() {
        assert!(is_of_parker(&waker(Arc::new(Parker::new()))));
        assert!(!is_of_parker(Waker::noop()));
    }

    #[test]
    fn a_token_left_before_parking_is_kept() {
        let parker = Parker::new();
        parker.unpark();
        parker.unpark();
        parker.park();
        assert!(!parker.park_timeout(Duration::from_millis(1)), "two unparks leave one token");
    }

    #[test]
    fn a_sleeper_is_woken_by_another_thread() {
        let parker = Arc::new(Parker::new());
        let other = Arc::clone(&parker);
        let thread = super::super::thread::spawn_named("unparker".into(), None, move || other.unpark())
            .expect("a test may start a thread");
        parker.park();
        thread.join().expect("the unparker does not panic");
    }
}
