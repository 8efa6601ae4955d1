//! A mutex that does not poison: a panic of user code never runs while one of redd's locks is held,
//! so a poisoned lock could only mean that redd itself is broken, and then the data is looked at anyway.
//! And a read-write lock of the same kind, for `sync::watch`, which handles the panics of the closures it runs.

#[cfg(loom)]
use loom::sync as imp;
#[cfg(not(loom))]
use std::sync as imp;

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
        match self.0.into_inner() {
            Ok(value) => value,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}

impl<T: ?Sized> Mutex<T> {
    #[inline]
    #[cfg(not(redd_tsan))]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self.0.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// ThreadSanitizer does not see how std's compiled code takes a contended lock; it sees `try_lock`, which is inlined.
    #[cfg(redd_tsan)]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        use imp::TryLockError;
        loop {
            match self.0.try_lock() {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
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
    #[cfg(not(redd_tsan))]
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        match self.0.read() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    #[inline]
    #[cfg(not(redd_tsan))]
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        match self.0.write() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// As for `Mutex::lock`.
    #[cfg(redd_tsan)]
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        use imp::TryLockError;
        loop {
            match self.0.try_read() {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
    }

    /// As for `Mutex::lock`.
    #[cfg(redd_tsan)]
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        use imp::TryLockError;
        loop {
            match self.0.try_write() {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
    }
}
