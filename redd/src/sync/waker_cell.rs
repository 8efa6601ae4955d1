//! A cell for the waker of one waiter.
//!
//! Called by the waiter (`register`) and by any number of wakers (`wake`, `take`), from any thread.
//!
//! 1. The waiter registers, and then checks its condition.
//! 2. The other thread makes the condition true, and then wakes.
//!
//! So whichever comes second sees what the other did.
//!
//! ```text
//!  EMPTY ─┐                     ┌──> SET ── take ──> SET|WOKEN ──> EMPTY    (the taker moves the waker out)
//!  WOKEN ─┼── register: LOCKED ─┤
//!  SET   ─┘                     └──> LOCKED|WOKEN ──> EMPTY    (woken meanwhile: `register` wakes)
//! ```
//! `take` on EMPTY leaves WOKEN, so that it needs only one step. `register` treats WOKEN as EMPTY.
//!
//! # Invariants
//! - `cell-owner`: only two threads access the waker: the thread that set LOCKED, and the thread whose `take` turned
//!   SET into SET|WOKEN. Each may do so until it stores another state.
//! - `one-chain`: every step is a read-modify-write. So what a thread did before `wake` is visible after the next
//!   `register`, even if another thread did the waking in between.

#![expect(unsafe_code, reason = "a waker is moved in and out under a lock in the state word")]

use std::task::Waker;

use crate::collections::wake_list::wake_guarded;
use crate::primitives::atomic::{AtomicU8, Ordering};
use crate::primitives::cell::UnsafeCell;
use crate::primitives::const_fn;
use crate::primitives::thread::spin_loop;

const EMPTY: u8 = 0;
const SET: u8 = 1;
const LOCKED: u8 = 2;
const WOKEN: u8 = 4;

/// See the module page.
pub(crate) struct WakerCell {
    state: AtomicU8,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: `cell-owner`: one thread at a time accesses the waker, and a `Waker` may be sent.
unsafe impl Send for WakerCell {}
// SAFETY: as above.
unsafe impl Sync for WakerCell {}

impl WakerCell {
    const_fn! {
        /// Makes a cell without a waker.
        pub(crate) const fn new() -> Self {
            Self {
                state: AtomicU8::new(EMPTY),
                waker: UnsafeCell::new(None),
            }
        }
    }

    /// Stores `waker` in place of the last one. The caller checks its condition again afterwards.
    ///
    /// Meant for one waiter: if two threads register at the same time, the later waker is woken at once and not stored.
    /// The same happens during a `take`.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut seen = self.state.load(Ordering::Relaxed);
        loop {
            if seen & LOCKED != 0 || seen == SET | WOKEN {
                // Poll again soon. This spins through the scheduler, while the other thread makes a few steps.
                waker.wake_by_ref();
                spin_loop();
                return;
            }
            // Acquire: sees what was done before a `wake` that found no waker (`one-chain`), and the move of the last
            // `take`. Pairs with Release in `WakerCell::take`.
            match self.state.compare_exchange_weak(seen, LOCKED, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        // The clone is user code: if it panics, the lock is released with the old waker in place.
        let unlock = Unlock(self);
        let old = self.waker.with_mut(|slot| {
            // SAFETY: `cell-owner`: this call set LOCKED above. The clone may call `wake` on this cell, which does not
            // access the waker, or `register`, which sees LOCKED.
            let stored = unsafe { &*slot };
            if stored.as_ref().is_some_and(|stored| stored.will_wake(waker)) {
                return None;
            }
            let new = waker.clone();
            // SAFETY: `cell-owner`, as above; the shared borrow has ended.
            unsafe { (*slot).replace(new) }
        });
        drop(unlock);
        drop(old);
    }

    /// Wakes the registered waker, if there is one, and forgets it.
    pub(crate) fn wake(&self) {
        wake_guarded(self.take());
    }

    /// Takes the registered waker out.
    pub(crate) fn take(&self) -> Option<Waker> {
        // Release: publishes what the caller did before. Pairs with Acquire in `WakerCell::register`.
        // Acquire: sees the stored waker. Pairs with Release in `Unlock::drop`.
        if self.state.fetch_or(WOKEN, Ordering::AcqRel) != SET {
            return None;
        }
        // SAFETY: `cell-owner`: this call turned SET into SET|WOKEN.
        let waker = self.waker.with_mut(|slot| unsafe { (*slot).take() });
        // AcqRel: passes on what threads did that found SET|WOKEN (`one-chain`). Pairs with Acquire in
        // `WakerCell::register`.
        self.state.swap(EMPTY, Ordering::AcqRel);
        waker
    }
}

/// Releases the lock of [`WakerCell::register`].
struct Unlock<'a>(&'a WakerCell);

impl Drop for Unlock<'_> {
    fn drop(&mut self) {
        let Self(cell) = self;
        // SAFETY: `cell-owner`: the lock is held until the exchange below.
        let is_set = cell.waker.with(|slot| unsafe { (*slot).is_some() });
        let state = if is_set { SET } else { EMPTY };
        // Release: publishes the waker. Pairs with Acquire in `WakerCell::take`.
        if cell.state.compare_exchange(LOCKED, state, Ordering::Release, Ordering::Relaxed).is_ok() {
            return;
        }
        // Another thread called `wake` while the lock was held, and left the waking to this thread.
        // SAFETY: `cell-owner`: the lock is held until the swap below.
        let waker = cell.waker.with_mut(|slot| unsafe { (*slot).take() });
        // AcqRel: passes on what that thread did (`one-chain`). Pairs with Acquire in `WakerCell::register`.
        cell.state.swap(EMPTY, Ordering::AcqRel);
        wake_guarded(waker);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::super::testing::Wakes;
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::task::{RawWaker, RawWakerVTable};

    #[test]
    fn a_registered_waker_is_woken_once_and_forgotten() {
        let (wakes, waker) = Wakes::new();
        let cell = WakerCell::new();
        cell.wake();
        cell.register(&waker);
        assert_eq!(wakes.count(), 0, "an earlier wake is not a token");
        cell.wake();
        cell.wake();
        assert_eq!(wakes.count(), 1);
        assert_eq!(Arc::strong_count(&wakes), 2, "the cell has forgotten it");
        cell.register(&waker);
        cell.register(Waker::noop());
        assert_eq!(Arc::strong_count(&wakes), 2, "a new waker replaces the last one");
        assert!(cell.take().is_some());
        assert!(cell.take().is_none());
    }

    #[test]
    fn a_waker_whose_clone_panics_leaves_the_cell_usable() {
        const PANICKING: RawWakerVTable =
            RawWakerVTable::new(|_| panic!("a clone that panics"), |_| {}, |_| {}, |_| {});
        // SAFETY: the table ignores its data.
        let bad = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &PANICKING)) };
        let (wakes, waker) = Wakes::new();
        let cell = WakerCell::new();
        assert!(catch_unwind(AssertUnwindSafe(|| cell.register(&bad))).is_err());
        cell.register(&waker);
        assert!(catch_unwind(AssertUnwindSafe(|| cell.register(&bad))).is_err());
        cell.wake();
        assert_eq!(wakes.count(), 1, "the old waker stayed");
    }
}
