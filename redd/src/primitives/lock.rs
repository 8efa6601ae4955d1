//! A mutex that does not poison, and a read-write lock of the same kind.
//!
//! User code never runs, and so never panics, while one of redd's locks is held. A poisoned lock could only mean that
//! redd itself is broken, and then the data is used anyway. The read-write lock is for `sync::watch`, which handles the
//! panics of the closures that it runs.

use std::fmt;
use std::sync::{self, PoisonError};

use super::lock_wait::LockWait;
use super::spin_mutex::{SpinGuard, SpinMutex};

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
                Err(sync::TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                Err(sync::TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
    }};
}

/// A lock for one owner at a time.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T: ?Sized>(sync::Mutex<T>);

/// The lock is held while this lives.
pub(crate) type MutexGuard<'a, T> = sync::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: ?Sized> Mutex<T> {
    /// `None` if the lock is taken.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(sync::TryLockError::WouldBlock) => None,
        }
    }

    // Without `always` the compiler does not inline it everywhere. That costs a system call's check of readiness about 90 instructions.
    #[inline(always)]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        #[cfg(not(redd_tsan))]
        match self.0.try_lock() {
            Ok(guard) => return guard,
            Err(sync::TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(sync::TryLockError::WouldBlock) => {}
        }
        #[cfg(not(redd_tsan))]
        let _waits = LockWait::begin();
        take!(self.0, lock, try_lock)
    }
}

/// A lock for many readers or one writer.
#[derive(Default)]
pub(crate) struct RwLock<T: ?Sized>(sync::RwLock<T>);

/// Shows the value, and does not wait for the lock.
impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.try_read() {
            Ok(value) => value.fmt(f),
            Err(sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner().fmt(f),
            Err(sync::TryLockError::WouldBlock) => f.write_str("<locked>"),
        }
    }
}

/// The lock is held for reading while this lives.
pub(crate) type RwLockReadGuard<'a, T> = sync::RwLockReadGuard<'a, T>;

/// The lock is held for writing while this lives.
pub(crate) type RwLockWriteGuard<'a, T> = sync::RwLockWriteGuard<'a, T>;

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(sync::RwLock::new(value))
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

/// A mutex for sections of a few instructions. In models it is the checker's, which knows the waiters.
pub(crate) type ShortMutex<T> = SpinMutex<T>;

/// The lock is held while this lives.
pub(crate) type ShortMutexGuard<'a, T> = SpinGuard<'a, T>;
