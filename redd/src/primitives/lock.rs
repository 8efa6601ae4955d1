//! A mutex that does not poison: a panic of user code never runs while one of redd's locks is held,
//! so a poisoned lock could only mean that redd itself is broken, and then the data is looked at anyway.

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
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self.0.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// `None` if someone else holds it right now.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}
