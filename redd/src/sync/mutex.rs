//! A lock that may be held across an `await`: [`Mutex`].
//!
//! One permit of `permits` is the lock; the guards give it back.
//!
//! # Invariants
//! - `one-guard`: the permit is held by one guard, mapped or not, or by nobody; only its holder reaches the value.

#![expect(unsafe_code, reason = "the value is reached through its guard")]

use std::future::Future;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;

use super::blocking::block_thread_on;
use super::guard::{PermitOwner, guard_map, guard_traits, lock_face, lock_methods, map_methods};
use super::permits::Permits;
use crate::observe::resources::{Resource, ResourceKind, Update};
use crate::observe::waiting::WaitKind;
use crate::primitives::cell::UnsafeCell;
use crate::primitives::const_fn;

/// A lock whose guard may be held across an `await`.
///
/// - The lock is granted first come, first served, and handed to the next in line directly.
/// - It does not poison: after a panic with the guard held, the value is as the panic left it.
/// - For a value that is never locked across an `await`, `std::sync::Mutex` is cheaper.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let count = redd::sync::Mutex::new(0);
/// *count.lock().await += 1;
/// assert_eq!(*count.lock().await, 1);
/// # });
/// ```
pub struct Mutex<T: ?Sized> {
    permits: Permits,
    data: UnsafeCell<T>,
}

// SAFETY: `one-guard`: the value is used by one thread at a time, so it need not be `Sync`.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// An unlocked mutex with this value.
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self {
            permits: Permits::part_of(Resource::new(ResourceKind::Mutex), 1, [Update::Locked(false)]),
            data: UnsafeCell::new(value),
        }
    }

    const_fn! {
        /// The same as [`new`](Self::new), for statics; not among the resources in tokio-console.
        pub const fn const_new(value: T) -> Self {
            Self {
                permits: Permits::new(1),
                data: UnsafeCell::new(value),
            }
        }
    }
}

impl<T: ?Sized> Mutex<T> {
    lock_methods! {
        Mutex, "the lock", 1;
        self: &Self => guard -> MutexGuard<'_, T>;
        lock, try_lock, blocking_lock
    }

    lock_methods! {
        Mutex, "the lock, with a guard that shares the ownership of the mutex", 1;
        self: Arc<Self> => owned_guard -> OwnedMutexGuard<T>;
        lock_owned, try_lock_owned, blocking_lock_owned
    }

    // The two are called by who has just got the permit (`one-guard`).

    #[inline]
    fn guard(&self) -> MutexGuard<'_, T> {
        let guard = MutexGuard { held: HeldPermits { owner: self } };
        report_locked(&self.permits);
        guard
    }

    #[inline]
    fn owned_guard(self: Arc<Self>) -> OwnedMutexGuard<T> {
        let guard = OwnedMutexGuard { held: HeldPermits { owner: self } };
        report_locked(guard.held.owner.permits());
        guard
    }

    /// The address of the value, for the holder of the permit (`one-guard`).
    #[inline]
    fn pointer(&self) -> *mut T {
        self.data.with_mut(|data| data)
    }
}

lock_face!(Mutex, try_lock);

/// Tells whether the one permit is taken.
#[inline(always)]
fn report_locked(permits: &Permits) {
    permits.report(|| [Update::Locked(permits.available() == 0)]);
}

/// The permit, given back when this is dropped (`one-guard`), and before a share of the ownership goes.
struct HeldPermits<L: Deref<Target: PermitOwner>> {
    owner: L,
}

impl<L: Deref<Target: PermitOwner>> Drop for HeldPermits<L> {
    #[inline]
    fn drop(&mut self) {
        self.owner.permits().release(1);
        report_locked(self.owner.permits());
    }
}

impl<'a, T: ?Sized> HeldPermits<&'a Mutex<T>> {
    /// The same permit, for a guard that does not know the mutex.
    fn of_permits(self) -> HeldPermits<&'a Permits> {
        // `one-guard`: the new one gives the permit back instead.
        let this = ManuallyDrop::new(self);
        HeldPermits { owner: &this.owner.permits }
    }
}

/// The lock of a [`Mutex`] is held while this lives.
#[clippy::has_significant_drop]
#[must_use = "the mutex is unlocked when this is dropped"]
pub struct MutexGuard<'a, T: ?Sized> {
    held: HeldPermits<&'a Mutex<T>>,
}

// SAFETY: a shared guard gives shared access to the value, from any thread.
unsafe impl<T: ?Sized + Send + Sync> Sync for MutexGuard<'_, T> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    map_methods!(mut mut, T => MappedMutexGuard<'a, V>, [V: ?Sized, F]; of_permits);

    /// The mutex that this guard locks.
    pub fn mutex(this: &Self) -> &'a Mutex<T> {
        this.held.owner
    }

    #[inline]
    fn pointer(&self) -> *mut T {
        self.held.owner.pointer()
    }
}

guard_traits!(mut ['a, T: ?Sized] MutexGuard<'a, T> => T);

/// A [`MutexGuard`] for a part of the value. Made by [`MutexGuard::map`].
#[clippy::has_significant_drop]
#[must_use = "the mutex is unlocked when this is dropped"]
pub struct MappedMutexGuard<'a, T: ?Sized> {
    held: HeldPermits<&'a Permits>,
    data: *mut T,
}

// SAFETY: the guard is as the `&mut T` that it gives out.
unsafe impl<'a, T: ?Sized + Send + 'a> Send for MappedMutexGuard<'a, T> {}
// SAFETY: a shared guard gives out `&T` only.
unsafe impl<'a, T: ?Sized + Sync + 'a> Sync for MappedMutexGuard<'a, T> {}

impl<'a, T: ?Sized> MappedMutexGuard<'a, T> {
    guard_map!(mut mut, T => MappedMutexGuard<'a, V>, [V: ?Sized, F]);
}

guard_traits!(mut ['a, T: ?Sized] MappedMutexGuard<'a, T> => T);

/// The lock of a shared [`Mutex`] is held while this lives. Made by [`Mutex::lock_owned`].
#[clippy::has_significant_drop]
pub struct OwnedMutexGuard<T: ?Sized> {
    held: HeldPermits<Arc<Mutex<T>>>,
}

// SAFETY: a shared guard gives shared access to the value, from any thread.
unsafe impl<T: ?Sized + Send + Sync> Sync for OwnedMutexGuard<T> {}

impl<T: ?Sized> OwnedMutexGuard<T> {
    map_methods!(mut mut, T => OwnedMappedMutexGuard<T, V>, [V: ?Sized, F]);

    /// The mutex that this guard locks.
    pub fn mutex(this: &Self) -> &Arc<Mutex<T>> {
        &this.held.owner
    }

    #[inline]
    fn pointer(&self) -> *mut T {
        self.held.owner.pointer()
    }
}

guard_traits!(mut [T: ?Sized] OwnedMutexGuard<T> => T);

/// An [`OwnedMutexGuard`] for a part of the value. Made by [`OwnedMutexGuard::map`].
#[clippy::has_significant_drop]
#[must_use = "the mutex is unlocked when this is dropped"]
pub struct OwnedMappedMutexGuard<T: ?Sized, U: ?Sized = T> {
    held: HeldPermits<Arc<Mutex<T>>>,
    data: *mut U,
}

// SAFETY: the guard owns a share of the mutex, which may go to another thread if `T` may, and is as an `&mut U`.
unsafe impl<T: ?Sized + Send, U: ?Sized + Send> Send for OwnedMappedMutexGuard<T, U> {}
// SAFETY: a shared guard gives out `&U` only.
unsafe impl<T: ?Sized + Send + Sync, U: ?Sized + Send + Sync> Sync for OwnedMappedMutexGuard<T, U> {}

impl<T: ?Sized, U: ?Sized> OwnedMappedMutexGuard<T, U> {
    guard_map!(mut mut, U => OwnedMappedMutexGuard<T, V>, [V: ?Sized, F]);
}

guard_traits!(mut [T: ?Sized, U: ?Sized] OwnedMappedMutexGuard<T, U> => U);

/// The lock could not be taken without waiting. Given by the `try_*` methods of [`Mutex`] and
/// [`RwLock`](super::RwLock).
#[derive(Debug)]
pub struct TryLockError(pub(super) ());

error_texts! {
    [] TryLockError,
    _ => "operation would block",
}
