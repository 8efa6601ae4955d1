//! A batch of wakers, collected under a lock or in a driver turn and woken outside of it.
//!
//! # Invariants
//! - `user-code-outside`: wakers are foreign code; they run only in [`WakeList::wake_all`], whose caller holds no lock.
//! - `one-panic-one-waker`: a waker that panics is reported and the rest is woken all the same.

use std::task::Waker;

/// How many wakers are collected before the lock is let go; as many as fit a kilobyte of stack with room to spare.
const CAPACITY: usize = 32;

/// See the module page.
#[derive(Debug, Default)]
pub(crate) struct WakeList {
    wakers: [Option<Waker>; CAPACITY],
    len: usize,
}

impl WakeList {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Whether another waker fits.
    pub(crate) fn has_room(&self) -> bool {
        self.len < CAPACITY
    }

    /// Adds a waker, if there is one; the caller has asked [`has_room`](Self::has_room).
    #[inline]
    pub(crate) fn push(&mut self, waker: impl Into<Option<Waker>>) {
        if let Some(waker) = waker.into() {
            self.wakers[self.len] = Some(waker);
            self.len += 1;
        }
    }

    /// Wakes all, in order, and is empty afterwards. The caller holds no lock (`user-code-outside`).
    pub(crate) fn wake_all(&mut self) {
        let len = std::mem::take(&mut self.len);
        for slot in &mut self.wakers[..len] {
            wake_guarded(slot.take());
        }
    }
}

/// Wakes, if there is a waker; its panic is printed by the usual hook and ends here (`one-panic-one-waker`).
#[inline]
pub(crate) fn wake_guarded(waker: impl Into<Option<Waker>>) {
    if let Some(waker) = waker.into() {
        wake_caught(waker);
    }
}

fn wake_caught(waker: Waker) {
    // The payload's own drop may panic too; forgetting it would leak, so it is dropped under the same guard.
    if let Err(payload) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake())) {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(payload)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct Counting(AtomicUsize);
    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    struct Panicking;
    impl Wake for Panicking {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }

    #[test]
    fn a_panicking_waker_does_not_keep_the_others_from_waking() {
        let counting = Arc::new(Counting(AtomicUsize::new(0)));
        let mut list = WakeList::new();
        list.push(Waker::from(Arc::clone(&counting)));
        list.push(Waker::from(Arc::new(Panicking)));
        list.push(Waker::from(Arc::clone(&counting)));
        list.wake_all();
        assert_eq!(counting.0.load(Ordering::Relaxed), 2);
        assert!(list.has_room());
    }
}
