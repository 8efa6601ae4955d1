//! One thread sleeps until another hands it a token. Used where no driver is parked in: `block_on` of a
//! multi-thread runtime, the blocking pool, `blocking_*` methods.
//!
//! # Invariants
//! - `token-kept`: an `unpark` before a `park` makes that `park` return at once.
//!
//! # Why not otherwise
//! `std::thread::park` has one token a thread, and user code inside a `block_on` may use it for itself.

use super::atomic::{AtomicU32, Ordering};
use super::baton;
use std::time::Duration;

/// A token for one sleeper; any number of threads may `unpark`.
#[derive(Debug, Default)]
pub(crate) struct Parker {
    word: AtomicU32,
}

const EMPTY: u32 = 0;
const TOKEN: u32 = 1;
const PARKED: u32 = u32::MAX;

impl Parker {
    pub(crate) const fn new() -> Self {
        Self { word: AtomicU32::new(EMPTY) }
    }

    /// Sleeps until a token is available, and takes it.
    pub(crate) fn park(&self) {
        while !self.park_for(None) {}
    }

    /// As [`park`](Self::park). Returns without a token if the calling thread belongs to a host of a simulated world that has crashed.
    pub(crate) fn park_unless_dead(&self) {
        while !self.park_for(None) {
            if baton::is_dead() {
                return;
            }
        }
    }

    /// Sleeps until a token is available or `timeout` has passed. True if a token was taken. May return false early
    /// only when `timeout` is given; the caller checks its own deadline.
    pub(crate) fn park_timeout(&self, timeout: Duration) -> bool {
        self.park_for(Some(timeout))
    }

    /// As [`park`](Self::park), but may return early. True if a token was taken.
    pub(crate) fn park_once(&self) -> bool {
        self.park_for(None)
    }

    /// Takes the token, if there is one. Called when no other thread uses the parker.
    pub(crate) fn reset(&self) {
        self.word.store(EMPTY, Ordering::Relaxed);
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
            let _ = super::futex::futex_wait(&self.word, PARKED, timeout);
        }
        // Acquire: as above, pairs with Release in `unpark`.
        self.word.swap(EMPTY, Ordering::Acquire) == TOKEN
    }

    /// Leaves a token, and wakes the sleeper if it sleeps.
    pub(crate) fn unpark(&self) {
        // Release: publishes what this thread did. Pairs with Acquire in `Parker::park_for`.
        if self.word.swap(TOKEN, Ordering::Release) == PARKED {
            let _ = super::futex::futex_wake_one(&self.word);
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::sync::Arc;

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
