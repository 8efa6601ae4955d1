//! A mutex that does not poison: a panic of user code never runs while one of redd's locks is held,
//! so a poisoned lock could only mean that redd itself is broken, and then the data is looked at anyway.
//! And a read-write lock of the same kind, for `sync::watch`, which handles the panics of the closures it runs.

#[cfg(loom)]
use loom::sync as imp;
#[cfg(not(loom))]
use std::sync as imp;

use std::sync::PoisonError;

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
