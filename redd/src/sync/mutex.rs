//! A lock that may be held across an `await`: [`Mutex`].
//!
//! One permit of `permits` is the lock; the guards give it back.
//!
//! # Invariants
//! - `one-guard`: the permit is held by one guard, mapped or not, or by nobody; only its holder reaches the value.

#![expect(unsafe_code, reason = "the value is reached through its guard")]

use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::sync::Arc;

use super::blocking::block_on_parker;
use super::guard::{Lender, guard_deref_mut, guard_map, guard_traits, map_methods};
use super::permits::Permits;
use super::wait_list::Place;
use crate::observe::waiting::WaitKind;
use crate::primitives::cell::UnsafeCell;
use crate::primitives::const_fn;
use crate::runtime::context::forbid_blocking;

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
    const_fn! {
        /// An unlocked mutex with this value.
        pub const fn new(value: T) -> Self {
            Self {
                permits: Permits::new(1),
                data: UnsafeCell::new(value),
            }
        }
    }

    const_fn! {
        /// The same as [`new`](Self::new), for statics.
        pub const fn const_new(value: T) -> Self {
            Self::new(value)
        }
    }

    /// The value. Nobody can hold a guard.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock.
    ///
    /// # Cancel safety
    /// Dropping the future gives the place in line away.
    #[track_caller]
    pub fn lock(&self) -> impl Future<Output = MutexGuard<'_, T>> {
        self.lock_from(Some(Location::caller()))
    }

    /// As [`lock`](Self::lock), with a guard that shares the ownership of the mutex.
    ///
    /// # Cancel safety
    /// As for [`lock`](Self::lock).
    #[track_caller]
    pub fn lock_owned(self: Arc<Self>) -> impl Future<Output = OwnedMutexGuard<T>> {
        self.lock_owned_from(Some(Location::caller()))
    }

    #[inline]
    async fn lock_from(&self, place: Place) -> MutexGuard<'_, T> {
        self.acquire(place).await;
        MutexGuard { held: Held { lender: self } }
    }

    #[inline]
    async fn lock_owned_from(self: Arc<Self>, place: Place) -> OwnedMutexGuard<T> {
        self.acquire(place).await;
        OwnedMutexGuard { held: Held { lender: self } }
    }

    #[inline]
    async fn acquire(&self, place: Place) {
        if self.permits.acquire_at_once(1) {
            return;
        }
        let acquired = self.permits.acquire(1, WaitKind::Mutex, place).await;
        debug_assert!(acquired.is_ok(), "nobody closes a mutex");
    }

    /// Takes the lock if nobody holds it or waits for it.
    ///
    /// # Errors
    /// [`TryLockError`] if somebody does.
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        match self.permits.try_acquire(1) {
            Ok(()) => Ok(MutexGuard { held: Held { lender: self } }),
            Err(_) => Err(TryLockError(())),
        }
    }

    /// As [`try_lock`](Self::try_lock), with a guard that shares the ownership of the mutex.
    ///
    /// # Errors
    /// [`TryLockError`] if somebody holds the lock or waits for it.
    pub fn try_lock_owned(self: Arc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        match self.permits.try_acquire(1) {
            Ok(()) => Ok(OwnedMutexGuard { held: Held { lender: self } }),
            Err(_) => Err(TryLockError(())),
        }
    }

    /// Blocks the thread until it has the lock.
    ///
    /// # Panics
    /// On a thread that runs tasks.
    #[track_caller]
    pub fn blocking_lock(&self) -> MutexGuard<'_, T> {
        forbid_blocking("Mutex::blocking_lock");
        block_on_parker(self.lock())
    }

    /// As [`blocking_lock`](Self::blocking_lock), with a guard that shares the ownership of the mutex.
    ///
    /// # Panics
    /// On a thread that runs tasks.
    #[track_caller]
    pub fn blocking_lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        forbid_blocking("Mutex::blocking_lock_owned");
        block_on_parker(self.lock_owned())
    }

    /// The value, without locking: the exclusive borrow shows that nobody else can.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: borrowed exclusively, so there is no guard.
        self.data.with_mut(|data| unsafe { &mut *data })
    }

    /// The address of the value, for the holder of the permit (`one-guard`).
    #[inline]
    fn pointer(&self) -> *mut T {
        self.data.with_mut(|data| data)
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(guard) => out.field("data", &&*guard),
            Err(_) => out.field("data", &format_args!("<locked>")),
        };
        out.finish()
    }
}

/// The permit, given back when this is dropped (`one-guard`), and before a share of the ownership goes.
struct Held<L: Lender> {
    lender: L,
}

impl<L: Lender> Drop for Held<L> {
    #[inline]
    fn drop(&mut self) {
        self.lender.permits().release(1);
    }
}

impl<'a, T: ?Sized> Held<&'a Mutex<T>> {
    /// The same permit, for a guard that does not know the mutex.
    fn of_permits(self) -> Held<&'a Permits> {
        // `one-guard`: the new one gives the permit back instead.
        let this = ManuallyDrop::new(self);
        Held { lender: &this.lender.permits }
    }
}

impl<T: ?Sized> Lender for &Mutex<T> {
    #[inline]
    fn permits(&self) -> &Permits {
        &self.permits
    }
}

impl<T: ?Sized> Lender for Arc<Mutex<T>> {
    #[inline]
    fn permits(&self) -> &Permits {
        &self.permits
    }
}

/// The lock of a [`Mutex`] is held while this lives.
#[clippy::has_significant_drop]
#[must_use = "the mutex is unlocked when this is dropped"]
pub struct MutexGuard<'a, T: ?Sized> {
    held: Held<&'a Mutex<T>>,
}

// SAFETY: a shared guard gives shared access to the value, from any thread.
unsafe impl<T: ?Sized + Send + Sync> Sync for MutexGuard<'_, T> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    map_methods!(mut mut, T => MappedMutexGuard<'a, V>, [V: ?Sized, F]; of_permits);

    /// The mutex that this guard locks.
    pub fn mutex(this: &Self) -> &'a Mutex<T> {
        this.held.lender
    }

    #[inline]
    fn pointer(&self) -> *mut T {
        self.held.lender.pointer()
    }
}

guard_traits!(['a, T: ?Sized] MutexGuard<'a, T> => T);
guard_deref_mut!(['a, T: ?Sized] MutexGuard<'a, T> => T);

/// A [`MutexGuard`] for a part of the value. Made by [`MutexGuard::map`].
#[clippy::has_significant_drop]
#[must_use = "the mutex is unlocked when this is dropped"]
pub struct MappedMutexGuard<'a, T: ?Sized> {
    held: Held<&'a Permits>,
    data: *mut T,
}

// SAFETY: the guard is as the `&mut T` that it gives out.
unsafe impl<'a, T: ?Sized + Send + 'a> Send for MappedMutexGuard<'a, T> {}
// SAFETY: a shared guard gives out `&T` only.
unsafe impl<'a, T: ?Sized + Sync + 'a> Sync for MappedMutexGuard<'a, T> {}

impl<'a, T: ?Sized> MappedMutexGuard<'a, T> {
    guard_map!(mut mut, T => MappedMutexGuard<'a, V>, [V: ?Sized, F]);
}

guard_traits!(['a, T: ?Sized] MappedMutexGuard<'a, T> => T);
guard_deref_mut!(['a, T: ?Sized] MappedMutexGuard<'a, T> => T);

/// The lock of a shared [`Mutex`] is held while this lives. Made by [`Mutex::lock_owned`].
#[clippy::has_significant_drop]
pub struct OwnedMutexGuard<T: ?Sized> {
    held: Held<Arc<Mutex<T>>>,
}

// SAFETY: a shared guard gives shared access to the value, from any thread.
unsafe impl<T: ?Sized + Send + Sync> Sync for OwnedMutexGuard<T> {}

impl<T: ?Sized> OwnedMutexGuard<T> {
    map_methods!(mut mut, T => OwnedMappedMutexGuard<T, V>, [V: ?Sized, F]);

    /// The mutex that this guard locks.
    pub fn mutex(this: &Self) -> &Arc<Mutex<T>> {
        &this.held.lender
    }

    #[inline]
    fn pointer(&self) -> *mut T {
        self.held.lender.pointer()
    }
}

guard_traits!([T: ?Sized] OwnedMutexGuard<T> => T);
guard_deref_mut!([T: ?Sized] OwnedMutexGuard<T> => T);

/// An [`OwnedMutexGuard`] for a part of the value. Made by [`OwnedMutexGuard::map`].
#[clippy::has_significant_drop]
#[must_use = "the mutex is unlocked when this is dropped"]
pub struct OwnedMappedMutexGuard<T: ?Sized, U: ?Sized = T> {
    held: Held<Arc<Mutex<T>>>,
    data: *mut U,
}

// SAFETY: the guard owns a share of the mutex, which may go to another thread if `T` may, and is as an `&mut U`.
unsafe impl<T: ?Sized + Send, U: ?Sized + Send> Send for OwnedMappedMutexGuard<T, U> {}
// SAFETY: a shared guard gives out `&U` only.
unsafe impl<T: ?Sized + Send + Sync, U: ?Sized + Send + Sync> Sync for OwnedMappedMutexGuard<T, U> {}

impl<T: ?Sized, U: ?Sized> OwnedMappedMutexGuard<T, U> {
    guard_map!(mut mut, U => OwnedMappedMutexGuard<T, V>, [V: ?Sized, F]);
}

guard_traits!([T: ?Sized, U: ?Sized] OwnedMappedMutexGuard<T, U> => U);
guard_deref_mut!([T: ?Sized, U: ?Sized] OwnedMappedMutexGuard<T, U> => U);

/// The lock could not be taken without waiting. Given by the `try_*` methods of [`Mutex`] and
/// [`RwLock`](super::RwLock).
#[derive(Debug)]
pub struct TryLockError(pub(super) ());

error_texts! {
    [] TryLockError,
    _ => "operation would block",
}
