//! A mutex that does not poison, and a read-write lock of the same kind.
//!
//! User code never runs, and so never panics, while one of redd's locks is held. A poisoned lock could only mean that
//! redd itself is broken, and then the data is used anyway. The read-write lock is for `sync::watch`, which handles the
//! panics of the closures that it runs.
//!
//! [`ShortMutex`] is for sections of some ten instructions that every operation of a hot path goes through.
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

#[cfg(all(test, loom))]
use loom::sync as imp;
#[cfg(all(test, shuttle))]
use shuttle::sync as imp;
#[cfg(not(all(test, any(loom, shuttle))))]
use std::sync as imp;

use std::sync::PoisonError;

use super::atomic::{AtomicBool, Ordering};
use super::cell::UnsafeCell;
use super::lock_wait::LockWait;
use super::thread;

#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/primitives_lock.rs"]
mod models;

/// Takes a lock, poisoned or not.
macro_rules! take {
    ($lock:expr, $take:ident, $try_take:ident) => {{
        #[cfg(not(redd_tsan))]
        {
            $lock.$take().unwrap_or_else(PoisonError::into_inner)
        }
        // ThreadSanitizer does not see how std's compiled code takes a contended lock; it sees `try_lock`, which is
        // inlined.
        #[cfg(redd_tsan)]
        loop {
            match $lock.$try_take() {
                Ok(guard) => break guard,
                Err(imp::TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                Err(imp::TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
    }};
}

/// See the module page.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T: ?Sized>(imp::Mutex<T>);

/// The lock is held while this lives.
pub(crate) type MutexGuard<'a, T> = imp::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    super::const_fn! {
        pub(crate) const fn new(value: T) -> Self {
            Self(imp::Mutex::new(value))
        }
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: ?Sized> Mutex<T> {
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        // A model has no monitor, and a checker would try the orders of one more step.
        #[cfg(not(any(redd_tsan, all(test, any(loom, shuttle)))))]
        match self.0.try_lock() {
            Ok(guard) => return guard,
            Err(imp::TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(imp::TryLockError::WouldBlock) => {}
        }
        #[cfg(not(any(redd_tsan, all(test, any(loom, shuttle)))))]
        let _waits = LockWait::begin();
        take!(self.0, lock, try_lock)
    }
}

/// A lock for many readers or one writer.
#[derive(Debug, Default)]
pub(crate) struct RwLock<T: ?Sized>(imp::RwLock<T>);

/// The lock is held for reading while this lives.
pub(crate) type RwLockReadGuard<'a, T> = imp::RwLockReadGuard<'a, T>;

/// The lock is held for writing while this lives.
pub(crate) type RwLockWriteGuard<'a, T> = imp::RwLockWriteGuard<'a, T>;

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(imp::RwLock::new(value))
    }

    #[inline]
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        take!(self.0, read, try_read)
    }

    #[inline]
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        take!(self.0, write, try_write)
    }
}

/// A mutex for sections of a few instructions. In models it is the checker's, which knows the waiters; `SpinMutex` has its own.
#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) type ShortMutex<T> = SpinMutex<T>;
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) type ShortMutex<T> = Mutex<T>;

/// The lock is held while this lives.
#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) type ShortMutexGuard<'a, T> = SpinGuard<'a, T>;
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) type ShortMutexGuard<'a, T> = MutexGuard<'a, T>;

/// See the module page.
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
