//! A mutex for sections of some ten instructions that every operation of a hot path goes through.
//!
//! Called through `lock::ShortMutex`.
//!
//! # Invariants
//! - `locked-means-mine`: the thread that changed `is_locked` from false to true owns the value until it stores false.
//!
//! # Why not otherwise
//! Unlocking a lock whose waiters can sleep must check whether one sleeps: a second read-modify-write. Here unlocking is
//! a store, and a waiter retries: it spins, then yields, then sleeps for short times. So a holder of lower priority gets
//! to run. Decision 0007.

#![expect(unsafe_code, reason = "a lock hands out its value")]

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use super::atomic::{AtomicBool, Ordering};
use super::cell::UnsafeCell;
use super::lock_wait::LockWait;
use super::thread;

#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/primitives_lock.rs"]
mod models;

/// The mutex; the module documentation describes it.
#[derive(Default)]
pub(crate) struct SpinMutex<T> {
    is_locked: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `locked-means-mine`: one thread at a time has the value.
unsafe impl<T: Send> Sync for SpinMutex<T> {}

impl<T> std::panic::UnwindSafe for SpinMutex<T> {}
impl<T> std::panic::RefUnwindSafe for SpinMutex<T> {}

/// Holds the lock while it lives. It is dropped on the thread that took the lock.
#[derive(Debug)]
pub(crate) struct SpinGuard<'a, T>(&'a SpinMutex<T>, PhantomData<*mut ()>);

// SAFETY: a shared guard gives shared access to the value.
unsafe impl<T: Sync> Sync for SpinGuard<'_, T> {}

impl<T> SpinMutex<T> {
    super::const_fn! {
        pub(crate) const fn new(value: T) -> Self {
            Self { is_locked: AtomicBool::new(false), value: UnsafeCell::new(value) }
        }
    }

    #[inline]
    pub(crate) fn lock(&self) -> SpinGuard<'_, T> {
        if !self.try_lock() {
            self.wait();
        }
        SpinGuard(self, PhantomData)
    }

    /// Takes the lock, unless that takes more than `turns` waits (`thread::spin`).
    pub(crate) fn lock_within(&self, turns: u32) -> Option<SpinGuard<'_, T>> {
        let mut waits = 0;
        while !self.try_lock() {
            if waits == turns {
                return None;
            }
            thread::spin(waits);
            waits += 1;
        }
        Some(SpinGuard(self, PhantomData))
    }

    #[inline]
    fn try_lock(&self) -> bool {
        // Acquire: what the last holder did is visible. Pairs with Release in `SpinGuard::drop`.
        self.is_locked.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[cold]
    fn wait(&self) {
        let mut turns = 0;
        let mut waits = None;
        while self.is_locked.load(Ordering::Relaxed) || !self.try_lock() {
            if turns == thread::SPINS {
                waits = Some(LockWait::begin());
            }
            thread::spin(turns);
            turns = turns.saturating_add(1);
        }
        drop(waits);
    }
}

debug_struct!([T] SpinMutex<T> as "SpinMutex", self => { .. });

impl<T> Deref for SpinGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `locked-means-mine`, and the result borrows the guard.
        self.0.value.with(|value| unsafe { &*value })
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: `locked-means-mine`, and the result borrows the guard alone.
        self.0.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T> Drop for SpinGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Release: publishes what was done under the lock. Pairs with Acquire in `SpinMutex::try_lock`.
        self.0.is_locked.store(false, Ordering::Release);
    }
}
