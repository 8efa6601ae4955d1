//! The locks of the checkers, which know which thread waits for which lock.

use crate::primitives::const_fn;
use std::sync::PoisonError;

#[cfg(loom)]
use loom::sync;
#[cfg(shuttle)]
use shuttle::sync;

#[derive(Debug, Default)]
pub(crate) struct Mutex<T: ?Sized>(sync::Mutex<T>);

pub(crate) type MutexGuard<'a, T> = sync::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    const_fn! {
        pub(crate) const fn new(value: T) -> Self {
            Self(sync::Mutex::new(value))
        }
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: ?Sized> Mutex<T> {
    /// One step. The product tries to take the lock first, to record a wait for its monitor: that is a second step, and
    /// the models have no monitor.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok()
    }

    /// As [`lock`](Self::lock): that it takes too long is a matter of time, which no model has.
    #[expect(clippy::unnecessary_wraps, reason = "the product's may fail")]
    pub(crate) fn lock_within(&self, _turns: u32) -> Option<MutexGuard<'_, T>> {
        Some(self.lock())
    }
}

#[derive(Debug, Default)]
pub(crate) struct RwLock<T: ?Sized>(sync::RwLock<T>);

pub(crate) type RwLockReadGuard<'a, T> = sync::RwLockReadGuard<'a, T>;

pub(crate) type RwLockWriteGuard<'a, T> = sync::RwLockWriteGuard<'a, T>;

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(sync::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The checker's lock: if waiters retried, a schedule would have endless steps. `SpinMutex` has models of its own.
pub(crate) type ShortMutex<T> = Mutex<T>;

pub(crate) type ShortMutexGuard<'a, T> = MutexGuard<'a, T>;
