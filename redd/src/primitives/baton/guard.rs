//! Access to the state of a world, and to what all worlds share.
//!
//! Called by `world`, and by `member` and `foreign` for their statics.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys::outside::Outside;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No user code runs under these locks. A poisoned one means that a thread has panicked on a broken invariant, with a message.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A lock of a world. While it is held, the thread gets the real functions of the C library: the others would turn to the world,
/// which is locked.
pub(super) struct OutsideGuard<'a, T> {
    // Dropped first: the unlock may wake a thread, which is such a function.
    guard: MutexGuard<'a, T>,
    _outside: Outside,
}

impl<'a, T> OutsideGuard<'a, T> {
    pub(super) fn lock(mutex: &'a Mutex<T>) -> Self {
        let _outside = Outside::begin();
        Self { guard: lock(mutex), _outside }
    }
}

impl<T> Deref for OutsideGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for OutsideGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}
