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
use super::guard::{guard_deref_mut, guard_traits};
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
        MutexGuard { mutex: self }
    }

    #[inline]
    async fn lock_owned_from(self: Arc<Self>, place: Place) -> OwnedMutexGuard<T> {
        self.acquire(place).await;
        OwnedMutexGuard { held: OwnedHeld { mutex: self } }
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
            Ok(()) => Ok(MutexGuard { mutex: self }),
            Err(_) => Err(TryLockError(())),
        }
    }

    /// As [`try_lock`](Self::try_lock), with a guard that shares the ownership of the mutex.
    ///
    /// # Errors
    /// [`TryLockError`] if somebody holds the lock or waits for it.
    pub fn try_lock_owned(self: Arc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        match self.permits.try_acquire(1) {
            Ok(()) => Ok(OwnedMutexGuard { held: OwnedHeld { mutex: self } }),
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

/// The lock of a [`Mutex`] is held while this lives.
#[clippy::has_significant_drop]
#[must_use = "the mutex is unlocked when this is dropped"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
}

// SAFETY: a shared guard gives shared access to the value, from any thread.
unsafe impl<T: ?Sized + Send + Sync> Sync for MutexGuard<'_, T> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// Narrows the guard to a part of the value. An associated function, as `T` may have a method `map`.
    pub fn map<U: ?Sized, F>(mut this: Self, f: F) -> MappedMutexGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        let data: *mut U = f(&mut *this);
        // `one-guard`: the mapped guard gives the permit back instead.
        let this = ManuallyDrop::new(this);
        MappedMutexGuard { permits: &this.mutex.permits, data }
    }

    /// Narrows the guard to a part of the value, if `f` finds it; else returns the guard as it was.
    ///
    /// # Errors
    /// The guard, if `f` returned `None`.
    pub fn try_map<U: ?Sized, F>(mut this: Self, f: F) -> Result<MappedMutexGuard<'a, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        let Some(data) = f(&mut *this) else {
            return Err(this);
        };
        let data: *mut U = data;
        // `one-guard`: the mapped guard gives the permit back instead.
        let this = ManuallyDrop::new(this);
        Ok(MappedMutexGuard { permits: &this.mutex.permits, data })
    }

    /// The mutex that this guard locks.
    pub fn mutex(this: &Self) -> &'a Mutex<T> {
        this.mutex
    }

    #[inline]
    fn pointer(&self) -> *mut T {
        self.mutex.pointer()
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.permits.release(1);
    }
}

guard_traits!(['a, T: ?Sized] MutexGuard<'a, T> => T);
guard_deref_mut!(['a, T: ?Sized] MutexGuard<'a, T> => T);

/// A [`MutexGuard`] for a part of the value. Made by [`MutexGuard::map`].
#[clippy::has_significant_drop]
#[must_use = "the mutex is unlocked when this is dropped"]
pub struct MappedMutexGuard<'a, T: ?Sized> {
    permits: &'a Permits,
    data: *mut T,
}

// SAFETY: the guard is as the `&mut T` that it gives out.
unsafe impl<'a, T: ?Sized + Send + 'a> Send for MappedMutexGuard<'a, T> {}
// SAFETY: a shared guard gives out `&T` only.
unsafe impl<'a, T: ?Sized + Sync + 'a> Sync for MappedMutexGuard<'a, T> {}

impl<'a, T: ?Sized> MappedMutexGuard<'a, T> {
    /// As [`MutexGuard::map`].
    pub fn map<U: ?Sized, F>(mut this: Self, f: F) -> MappedMutexGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        let data: *mut U = f(&mut *this);
        // `one-guard`
        let this = ManuallyDrop::new(this);
        MappedMutexGuard { permits: this.permits, data }
    }

    /// As [`MutexGuard::try_map`].
    ///
    /// # Errors
    /// The guard, if `f` returned `None`.
    pub fn try_map<U: ?Sized, F>(mut this: Self, f: F) -> Result<MappedMutexGuard<'a, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        let Some(data) = f(&mut *this) else {
            return Err(this);
        };
        let data: *mut U = data;
        // `one-guard`
        let this = ManuallyDrop::new(this);
        Ok(MappedMutexGuard { permits: this.permits, data })
    }

    #[inline]
    fn pointer(&self) -> *mut T {
        self.data
    }
}

impl<T: ?Sized> Drop for MappedMutexGuard<'_, T> {
    fn drop(&mut self) {
        self.permits.release(1);
    }
}

guard_traits!(['a, T: ?Sized] MappedMutexGuard<'a, T> => T);
guard_deref_mut!(['a, T: ?Sized] MappedMutexGuard<'a, T> => T);

/// The permit of a shared mutex; gives it back when dropped, and only then its share of the ownership.
struct OwnedHeld<T: ?Sized> {
    mutex: Arc<Mutex<T>>,
}

impl<T: ?Sized> Drop for OwnedHeld<T> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.permits.release(1);
    }
}

/// The lock of a shared [`Mutex`] is held while this lives. Made by [`Mutex::lock_owned`].
#[clippy::has_significant_drop]
pub struct OwnedMutexGuard<T: ?Sized> {
    held: OwnedHeld<T>,
}

// SAFETY: a shared guard gives shared access to the value, from any thread.
unsafe impl<T: ?Sized + Send + Sync> Sync for OwnedMutexGuard<T> {}

impl<T: ?Sized> OwnedMutexGuard<T> {
    /// As [`MutexGuard::map`].
    pub fn map<U: ?Sized, F>(mut this: Self, f: F) -> OwnedMappedMutexGuard<T, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        let data: *mut U = f(&mut *this);
        OwnedMappedMutexGuard { held: this.held, data }
    }

    /// As [`MutexGuard::try_map`].
    ///
    /// # Errors
    /// The guard, if `f` returned `None`.
    pub fn try_map<U: ?Sized, F>(mut this: Self, f: F) -> Result<OwnedMappedMutexGuard<T, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        let Some(data) = f(&mut *this) else {
            return Err(this);
        };
        let data: *mut U = data;
        Ok(OwnedMappedMutexGuard { held: this.held, data })
    }

    /// The mutex that this guard locks.
    pub fn mutex(this: &Self) -> &Arc<Mutex<T>> {
        &this.held.mutex
    }

    #[inline]
    fn pointer(&self) -> *mut T {
        self.held.mutex.pointer()
    }
}

guard_traits!([T: ?Sized] OwnedMutexGuard<T> => T);
guard_deref_mut!([T: ?Sized] OwnedMutexGuard<T> => T);

/// An [`OwnedMutexGuard`] for a part of the value. Made by [`OwnedMutexGuard::map`].
#[clippy::has_significant_drop]
#[must_use = "the mutex is unlocked when this is dropped"]
pub struct OwnedMappedMutexGuard<T: ?Sized, U: ?Sized = T> {
    held: OwnedHeld<T>,
    data: *mut U,
}

// SAFETY: the guard owns a share of the mutex, which may go to another thread if `T` may, and is as an `&mut U`.
unsafe impl<T: ?Sized + Send, U: ?Sized + Send> Send for OwnedMappedMutexGuard<T, U> {}
// SAFETY: a shared guard gives out `&U` only.
unsafe impl<T: ?Sized + Send + Sync, U: ?Sized + Send + Sync> Sync for OwnedMappedMutexGuard<T, U> {}

impl<T: ?Sized, U: ?Sized> OwnedMappedMutexGuard<T, U> {
    /// As [`MutexGuard::map`].
    pub fn map<S: ?Sized, F>(mut this: Self, f: F) -> OwnedMappedMutexGuard<T, S>
    where
        F: FnOnce(&mut U) -> &mut S,
    {
        let data: *mut S = f(&mut *this);
        OwnedMappedMutexGuard { held: this.held, data }
    }

    /// As [`MutexGuard::try_map`].
    ///
    /// # Errors
    /// The guard, if `f` returned `None`.
    pub fn try_map<S: ?Sized, F>(mut this: Self, f: F) -> Result<OwnedMappedMutexGuard<T, S>, Self>
    where
        F: FnOnce(&mut U) -> Option<&mut S>,
    {
        let Some(data) = f(&mut *this) else {
            return Err(this);
        };
        let data: *mut S = data;
        Ok(OwnedMappedMutexGuard { held: this.held, data })
    }

    #[inline]
    fn pointer(&self) -> *mut U {
        self.data
    }
}

guard_traits!([T: ?Sized, U: ?Sized] OwnedMappedMutexGuard<T, U> => U);
guard_deref_mut!([T: ?Sized, U: ?Sized] OwnedMappedMutexGuard<T, U> => U);

/// The lock could not be taken without waiting. Given by the `try_*` methods of [`Mutex`] and
/// [`RwLock`](super::RwLock).
#[derive(Debug)]
pub struct TryLockError(pub(super) ());

impl fmt::Display for TryLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("operation would block")
    }
}

impl std::error::Error for TryLockError {}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::testing::{Wakes, poll_once, poll_with};
    use super::*;
    use std::cell::Cell;
    use std::task::Poll;

    #[test]
    fn auto_traits_are_those_of_tokio() {
        fn send<T: Send>(_: &T) {}
        fn sync<T: Sync>(_: &T) {}
        fn unpin<T: Unpin>(_: &T) {}
        let mutex = Arc::new(Mutex::new(Cell::new(1)));
        sync(&mutex);
        let (lock, lock_owned) = (mutex.lock(), Arc::clone(&mutex).lock_owned());
        send(&lock);
        sync(&lock);
        send(&lock_owned);
        sync(&lock_owned);
        let guard = mutex.try_lock().expect("free");
        send(&guard);
        unpin(&guard);
        let guard = MutexGuard::map(guard, |cell| cell);
        send(&guard);
    }

    #[test]
    fn the_lock_is_handed_to_who_waited_longest() {
        let mutex = Mutex::new(0);
        let guard = mutex.try_lock().expect("free");
        let (wakes, waker) = Wakes::new();
        let (mut one, mut two) = (Box::pin(mutex.lock()), Box::pin(mutex.lock()));
        assert!(poll_with(one.as_mut(), &waker).is_pending());
        assert!(poll_with(two.as_mut(), &waker).is_pending());
        drop(guard);
        assert_eq!(wakes.count(), 1);
        assert!(mutex.try_lock().is_err(), "it belongs to the first in line");
        assert!(poll_with(two.as_mut(), &waker).is_pending());
        drop(one);
        let Poll::Ready(guard) = poll_once(two.as_mut()) else {
            panic!("a grant that is dropped goes to the next");
        };
        assert_eq!(format!("{mutex:?} {guard:?} {guard}"), "Mutex { data: <locked> } 0 0");
        drop(guard);
        assert_eq!(format!("{mutex:?}"), "Mutex { data: 0 }");
    }

    #[test]
    fn mapped_guards_keep_the_lock_and_let_it_go_once() {
        let mutex = Arc::new(Mutex::new((1, [2, 3])));
        let guard = mutex.try_lock().expect("free");
        let guard = MutexGuard::try_map(guard, |_| None::<&mut i32>).expect_err("as it was");
        let mut mapped = MutexGuard::map(guard, |pair| &mut pair.1);
        mapped[0] = 20;
        let mapped = MappedMutexGuard::map(mapped, |array| &mut array[..]);
        let mapped = MappedMutexGuard::try_map(mapped, |slice| slice.first_mut()).expect("two");
        assert_eq!(*mapped, 20);
        assert!(mutex.try_lock().is_err());
        drop(mapped);

        let guard = Arc::clone(&mutex).try_lock_owned().expect("free");
        let mapped = OwnedMutexGuard::map(guard, |pair| &mut pair.1[..]);
        let mapped = OwnedMappedMutexGuard::try_map(mapped, |slice| slice.get_mut(9));
        let mapped = OwnedMappedMutexGuard::map(mapped.expect_err("only two"), |slice| &mut slice[1]);
        assert_eq!(*mapped, 3);
        assert!(mutex.try_lock().is_err());
        drop(mapped);
        assert_eq!(mutex.try_lock().expect("let go once").0, 1);
    }

    #[test]
    fn a_panic_in_map_lets_the_lock_go() {
        let mutex = Mutex::new(1);
        let guard = mutex.try_lock().expect("free");
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            drop(MutexGuard::map(guard, |_| -> &mut i32 { panic!("in map") }));
        }));
        assert!(panicked.is_err());
        assert!(mutex.try_lock().is_ok());
    }

    #[test]
    fn unsized_values_can_be_locked() {
        let mutex: Arc<Mutex<dyn std::fmt::Debug + Send>> = Arc::new(Mutex::new(5));
        assert_eq!(format!("{:?}", mutex.blocking_lock()), "5");
        assert_eq!(format!("{:?}", Arc::clone(&mutex).blocking_lock_owned()), "5");
    }
}
