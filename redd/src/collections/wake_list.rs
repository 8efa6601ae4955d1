//! A batch of wakers, collected under a lock or while the driver reads events, and woken outside of it.
//!
//! Called by `sync`, `driver`, `time` and `scheduler`.
//!
//! # Invariants
//! - `user-code-outside`: wakers are user code. They run only in [`WakeList::wake_all`], whose caller holds no lock.
//! - `one-panic-one-waker`: if a waker panics, the panic is printed and the other wakers are woken.

use std::task::Waker;

/// How many wakers are collected before the lock is released: 512 bytes of stack.
const CAPACITY: usize = 32;

/// See the module page.
#[derive(Debug, Default)]
pub(crate) struct WakeList {
    wakers: [Option<Waker>; CAPACITY],
    len: usize,
    /// Looks at each waker before it is called, until the answer is false.
    before_wake: Option<fn(&Waker) -> bool>,
}

impl WakeList {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Returns whether another waker fits.
    pub(crate) fn has_room(&self) -> bool {
        self.len < CAPACITY
    }

    /// Adds a waker, if there is one. The caller has checked [`has_room`](Self::has_room).
    #[inline]
    pub(crate) fn push(&mut self, waker: impl Into<Option<Waker>>) {
        if let Some(waker) = waker.into() {
            self.wakers[self.len] = Some(waker);
            self.len += 1;
        }
    }

    /// From now on `look` is called with each waker of a batch before any is woken, until it returns false.
    pub(crate) fn set_before_wake(&mut self, look: fn(&Waker) -> bool) {
        self.before_wake = Some(look);
    }

    /// Wakes all in order. The list is empty afterwards. The caller holds no lock (`user-code-outside`).
    pub(crate) fn wake_all(&mut self) {
        let len = std::mem::take(&mut self.len);
        if let Some(look) = self.before_wake {
            if !self.wakers[..len].iter().flatten().all(look) {
                self.before_wake = None;
            }
        }
        for slot in &mut self.wakers[..len] {
            wake_guarded(slot.take());
        }
    }
}

/// Wakes `waker`, if there is one. The panic hook prints its panic, which ends here (`one-panic-one-waker`).
#[inline]
pub(crate) fn wake_guarded(waker: impl Into<Option<Waker>>) {
    if let Some(waker) = waker.into() {
        wake_caught(waker);
    }
}

fn wake_caught(waker: Waker) {
    // The payload's own drop may panic too. Forgetting the payload would leak it, so its drop is guarded in the same way.
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
    fn each_waker_is_checked_before_the_batch_is_woken_until_a_check_fails() {
        static LOOKS: AtomicUsize = AtomicUsize::new(0);
        let counting = Arc::new(Counting(AtomicUsize::new(0)));
        let mut list = WakeList::new();
        list.set_before_wake(|_| LOOKS.fetch_add(1, Ordering::Relaxed) < 2);
        for (wakers, looks) in [(2, 2), (3, 3), (4, 3)] {
            (0..wakers).for_each(|_| list.push(Waker::from(Arc::clone(&counting))));
            list.wake_all();
            assert_eq!(LOOKS.load(Ordering::Relaxed), looks);
        }
        assert_eq!(counting.0.load(Ordering::Relaxed), 9);
    }

    #[test]
    fn a_panicking_waker_does_not_stop_the_others() {
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
