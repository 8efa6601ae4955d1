//! A lock that may be held across an `await`: [`Mutex`].
//!
//! The lock is the one permit of a [`Permits`]; the guards return it. Called by user code.
//!
//! Long because the mutex and its four guards construct each other: in two files, each would import the other.
//!
//! # Invariants
//! - `one-guard`: the permit is free or held by exactly one guard, mapped or not. Only this guard reaches the value.

#![expect(unsafe_code, reason = "the value is reached through its guard")]

use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::Arc;

use super::blocking::block_thread_on;
use super::guard::{PermitOwner, guard_fmt};
use super::permits::Permits;
use crate::observe::resources::{Resource, ResourceKind};
use crate::observe::waiting::WaitKind;
use crate::primitives::cell::UnsafeCell;
use crate::primitives::const_fn;

/// A mutual exclusion lock whose guard may be held across an `await`.
///
/// - Tasks get the lock first come, first served: it is handed directly to the task that has waited longest.
/// - It does not poison. After a panic with the guard held, the value is as the panic left it.
/// - For a value that is never locked across an `await`, `std::sync::Mutex` is cheaper.
///
/// # Examples
/// Two tasks share one connection, and each sends its request as a whole:
/// ```
/// use redd::io::AsyncWriteExt;
/// use redd::sync::Mutex;
/// use std::sync::Arc;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let connection = Arc::new(Mutex::new(Vec::new())); // stands for a `TcpStream`
/// let mut clients = redd::task::JoinSet::new();
/// for _ in 0..2 {
///     let connection = connection.clone();
///     clients.spawn(async move {
///         let mut connection = connection.lock().await;
///         connection.write_all(b"GET ").await.unwrap();
///         redd::task::yield_now().await; // the other task runs, and waits for the lock
///         connection.write_all(b"/; ").await.unwrap();
///     });
/// }
/// clients.join_all().await;
/// assert_eq!(*connection.lock().await, b"GET /; GET /; ");
/// # });
/// ```
pub struct Mutex<T: ?Sized> {
    permits: Permits,
    data: UnsafeCell<T>,
}

// SAFETY: `one-guard`: the value is used by one thread at a time, so it need not be `Sync`.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// Makes an unlocked mutex with this value.
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self {
            permits: Permits::fixed(1).with_resource(Resource::new(ResourceKind::Mutex)),
            data: UnsafeCell::new(value),
        }
    }

    const_fn! {
        /// Makes a mutex for a `static`. It does not appear among the resources in tokio-console.
        ///
        /// # Examples
        /// ```
        /// use redd::sync::Mutex;
        ///
        /// static NAMES: Mutex<Vec<&str>> = Mutex::const_new(Vec::new());
        ///
        /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        /// NAMES.lock().await.push("ann");
        /// assert_eq!(*NAMES.lock().await, ["ann"]);
        /// # });
        /// ```
        pub const fn const_new(value: T) -> Self {
            Self {
                permits: Permits::fixed(1),
                data: UnsafeCell::new(value),
            }
        }
    }

    /// Returns the value. There is no guard, because guards borrow or share the mutex.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::Mutex;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let sum = Mutex::new(0);
    /// *sum.lock().await += 5;
    /// assert_eq!(sum.into_inner(), 5);
    /// # });
    /// ```
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock.
    ///
    /// - A task that holds the guard and calls `lock` again waits forever.
    ///
    /// # Cancel safety
    /// If the future is dropped, its place in the queue is lost.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::Mutex;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let count = Mutex::new(0);
    /// *count.lock().await += 1;
    /// assert_eq!(*count.lock().await, 1);
    /// # });
    /// ```
    #[track_caller]
    pub fn lock(&self) -> impl Future<Output = MutexGuard<'_, T>> {
        let location = Location::caller();
        self.permits.resource.instrument("Mutex::lock", async move {
            if !self.permits.acquire_all_at_once(1) {
                let acquired = self.permits.acquire(1, WaitKind::Mutex, Some(location)).await;
                debug_assert!(acquired.is_ok(), "the permits of a lock are never closed");
            }
            self.guard(location)
        })
    }

    /// Takes the lock if it is free and no task waits for it.
    ///
    /// # Errors
    /// [`TryLockError`] if the lock is held, or another task is about to get it.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::Mutex;
    ///
    /// let log = Mutex::new(String::new());
    /// let mut guard = log.try_lock().unwrap();
    /// guard.push_str("started");
    /// assert!(log.try_lock().is_err());
    /// drop(guard);
    /// assert_eq!(*log.try_lock().unwrap(), "started");
    /// ```
    #[track_caller]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        if self.permits.try_acquire_all(1) { Ok(self.guard(Location::caller())) } else { Err(TryLockError(())) }
    }

    /// Blocks the thread until it has the lock.
    ///
    /// # Panics
    /// On a thread that runs tasks: await [`lock`](Self::lock) there.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::Mutex;
    ///
    /// let count = Mutex::new(0);
    /// std::thread::scope(|scope| {
    ///     for _ in 0..2 {
    ///         scope.spawn(|| *count.blocking_lock() += 1);
    ///     }
    /// });
    /// assert_eq!(count.into_inner(), 2);
    /// ```
    #[track_caller]
    pub fn blocking_lock(&self) -> MutexGuard<'_, T> {
        block_thread_on("`Mutex::blocking_lock`", self.lock())
    }

    /// Waits for the lock. The guard owns a reference to the mutex, so that it can move into a task.
    ///
    /// # Cancel safety
    /// If the future is dropped, its place in the queue is lost.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::Mutex;
    /// use std::sync::Arc;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let state = Arc::new(Mutex::new("starting"));
    /// let mut guard = state.clone().lock_owned().await;
    /// let task = redd::spawn(async move { *guard = "ready" });
    /// assert_eq!(*state.lock().await, "ready"); // waits for the task
    /// # task.await.unwrap();
    /// # });
    /// ```
    #[track_caller]
    pub fn lock_owned(self: Arc<Self>) -> impl Future<Output = OwnedMutexGuard<T>> {
        let location = Location::caller();
        let resource = self.permits.resource.clone();
        resource.instrument("Mutex::lock_owned", async move {
            if !self.permits.acquire_all_at_once(1) {
                let acquired = self.permits.acquire_owned(1, WaitKind::Mutex, Some(location)).await;
                debug_assert!(acquired.is_ok(), "the permits of a lock are never closed");
            }
            self.owned_guard(location)
        })
    }

    /// Takes the lock, with a reference to the mutex, if the lock is free and no task waits for it.
    ///
    /// # Errors
    /// [`TryLockError`] if the lock is held, or another task is about to get it.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::Mutex;
    /// use std::sync::Arc;
    ///
    /// let mutex = Arc::new(Mutex::new(0));
    /// let guard = mutex.clone().try_lock_owned().unwrap();
    /// assert!(mutex.clone().try_lock_owned().is_err());
    /// drop(guard);
    /// assert!(mutex.try_lock_owned().is_ok());
    /// ```
    #[track_caller]
    pub fn try_lock_owned(self: Arc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        if self.permits.try_acquire_all(1) { Ok(self.owned_guard(Location::caller())) } else { Err(TryLockError(())) }
    }

    /// Blocks the thread until it has the lock. The guard owns a reference to the mutex.
    ///
    /// # Panics
    /// On a thread that runs tasks: await [`lock_owned`](Self::lock_owned) there.
    #[track_caller]
    pub fn blocking_lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        block_thread_on("`Mutex::blocking_lock_owned`", self.lock_owned())
    }

    /// Returns the value without locking: the exclusive borrow shows that there is no guard.
    ///
    /// # Examples
    /// ```
    /// let mut count = redd::sync::Mutex::new(0);
    /// *count.get_mut() += 1;
    /// assert_eq!(count.into_inner(), 1);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: borrowed exclusively, so there is no guard.
        self.data.with_mut(|data| unsafe { &mut *data })
    }

    // The caller of these two has just acquired the permit (`one-guard`), at `location`.

    #[inline]
    fn guard(&self, location: &'static Location<'static>) -> MutexGuard<'_, T> {
        self.permits.record_taken(location, false, false);
        MutexGuard { held: HeldPermits::new(self) }
    }

    #[inline]
    fn owned_guard(self: Arc<Self>, location: &'static Location<'static>) -> OwnedMutexGuard<T> {
        self.permits.record_taken(location, false, true);
        OwnedMutexGuard { held: HeldPermits::new(self) }
    }

    /// Returns the address of the value, for the holder of the permit (`one-guard`).
    #[inline]
    fn pointer(&self) -> *mut T {
        self.data.with_mut(|data| data)
    }
}

impl<T: ?Sized> PermitOwner for Mutex<T> {
    #[inline]
    fn permits(&self) -> &Permits {
        &self.permits
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

/// The permit. Dropping this returns it (`one-guard`), and drops a reference to the mutex only afterwards.
struct HeldPermits<L: Deref<Target: PermitOwner>> {
    owner: L,
}

impl<L: Deref<Target: PermitOwner>> HeldPermits<L> {
    /// The caller has just acquired the permit (`one-guard`).
    #[inline]
    fn new(owner: L) -> Self {
        let held = Self { owner };
        held.owner.permits().record_held(0, 1);
        held
    }
}

impl<L: Deref<Target: PermitOwner>> Drop for HeldPermits<L> {
    #[inline]
    fn drop(&mut self) {
        self.owner.permits().release_all(1);
        self.owner.permits().record_held(1, 0);
    }
}

impl<'a, T: ?Sized> HeldPermits<&'a Mutex<T>> {
    /// Returns the same permit, for a guard that does not know the type of the mutex.
    fn into_permits(self) -> HeldPermits<&'a Permits> {
        // `one-guard`: the result returns the permit, so this value must not.
        let this = ManuallyDrop::new(self);
        HeldPermits { owner: &this.owner.permits }
    }
}

/// Holds the lock of a [`Mutex`] and gives access to its value. Dropping it unlocks the mutex.
///
/// # Examples
/// ```
/// use redd::sync::{Mutex, MutexGuard};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let names = Mutex::new(vec!["ann"]);
/// let mut guard = names.lock().await;
/// guard.push("bob"); // a method of the value
/// let mutex = MutexGuard::mutex(&guard); // an associated function of the guard
/// assert!(mutex.try_lock().is_err());
/// drop(guard);
/// assert!(mutex.try_lock().is_ok());
/// # });
/// ```
#[clippy::has_significant_drop]
#[must_use = "the mutex is unlocked when this is dropped"]
pub struct MutexGuard<'a, T: ?Sized> {
    held: HeldPermits<&'a Mutex<T>>,
}

// SAFETY: a shared guard gives shared access to the value, from any thread.
unsafe impl<T: ?Sized + Send + Sync> Sync for MutexGuard<'_, T> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// Narrows the guard to a part of the value.
    ///
    /// - This is an associated function, because the value may have a method `map`.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::{Mutex, MutexGuard};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let account = Mutex::new(("ann", 100));
    /// let mut balance = MutexGuard::map(account.lock().await, |account| &mut account.1);
    /// *balance -= 30;
    /// drop(balance);
    /// assert_eq!(*account.lock().await, ("ann", 70));
    /// # });
    /// ```
    pub fn map<V: ?Sized, F>(mut this: Self, f: F) -> MappedMutexGuard<'a, V>
    where
        F: FnOnce(&mut T) -> &mut V,
    {
        let data: *mut V = f(&mut *this);
        MappedMutexGuard { data, held: this.held.into_permits() }
    }

    /// Narrows the guard to a part of the value, if `f` finds it.
    ///
    /// # Errors
    /// The guard, if `f` returned `None`.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::{Mutex, MutexGuard};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let queue = Mutex::new(vec![1, 2]);
    /// let first = MutexGuard::try_map(queue.lock().await, |queue| queue.first_mut()).unwrap();
    /// assert_eq!(*first, 1);
    /// drop(first);
    /// let whole = MutexGuard::try_map(queue.lock().await, |queue| queue.get_mut(9)).unwrap_err();
    /// assert_eq!(whole.len(), 2);
    /// # });
    /// ```
    pub fn try_map<V: ?Sized, F>(mut this: Self, f: F) -> Result<MappedMutexGuard<'a, V>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut V>,
    {
        let Some(data) = f(&mut *this) else {
            return Err(this);
        };
        let data: *mut V = data;
        Ok(MappedMutexGuard { data, held: this.held.into_permits() })
    }

    /// Returns the mutex that this guard locks.
    pub fn mutex(this: &Self) -> &'a Mutex<T> {
        this.held.owner
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `one-guard`: the guard holds the lock for as long as the result borrows the guard.
        unsafe { &*self.held.owner.pointer() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: `one-guard`: this is the only guard, and the result borrows it exclusively.
        unsafe { &mut *self.held.owner.pointer() }
    }
}

guard_fmt!([T: ?Sized] MutexGuard<'_, T> => T);

/// A [`MutexGuard`] for a part of the value. Made by [`MutexGuard::map`].
///
/// # Examples
/// ```
/// use redd::sync::{MappedMutexGuard, Mutex, MutexGuard};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let config = Mutex::new(("redd".to_owned(), 8080));
/// {
///     let name = MutexGuard::map(config.lock().await, |config| &mut config.0);
///     let mut first = MappedMutexGuard::map(name, |name| name.as_mut_str());
///     first.make_ascii_uppercase();
/// }
/// assert_eq!(config.lock().await.0, "REDD");
/// # });
/// ```
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
    /// Narrows the guard to a part of the value.
    ///
    /// - This is an associated function, because the value may have a method `map`.
    pub fn map<V: ?Sized, F>(mut this: Self, f: F) -> MappedMutexGuard<'a, V>
    where
        F: FnOnce(&mut T) -> &mut V,
    {
        let data: *mut V = f(&mut *this);
        MappedMutexGuard { data, held: this.held }
    }

    /// Narrows the guard to a part of the value, if `f` finds it.
    ///
    /// # Errors
    /// The guard, if `f` returned `None`.
    pub fn try_map<V: ?Sized, F>(mut this: Self, f: F) -> Result<MappedMutexGuard<'a, V>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut V>,
    {
        let Some(data) = f(&mut *this) else {
            return Err(this);
        };
        let data: *mut V = data;
        Ok(MappedMutexGuard { data, held: this.held })
    }
}

impl<T: ?Sized> Deref for MappedMutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `one-guard`: the guard holds the lock for as long as the result borrows the guard.
        unsafe { &*self.data }
    }
}

impl<T: ?Sized> DerefMut for MappedMutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: `one-guard`: this is the only guard, and the result borrows it exclusively.
        unsafe { &mut *self.data }
    }
}

guard_fmt!([T: ?Sized] MappedMutexGuard<'_, T> => T);

/// Holds the lock of a [`Mutex`] and owns a reference to it. Made by [`Mutex::lock_owned`].
///
/// # Examples
/// A guard that a struct keeps, without a lifetime:
/// ```
/// use redd::sync::{Mutex, OwnedMutexGuard};
/// use std::sync::Arc;
///
/// struct Transaction {
///     table: OwnedMutexGuard<Vec<u32>>,
/// }
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let table = Arc::new(Mutex::new(vec![1]));
/// let mut transaction = Transaction { table: table.clone().lock_owned().await };
/// transaction.table.push(2);
/// assert!(table.try_lock().is_err());
/// drop(transaction);
/// assert_eq!(*table.lock().await, [1, 2]);
/// # });
/// ```
#[clippy::has_significant_drop]
pub struct OwnedMutexGuard<T: ?Sized> {
    held: HeldPermits<Arc<Mutex<T>>>,
}

// SAFETY: a shared guard gives shared access to the value, from any thread.
unsafe impl<T: ?Sized + Send + Sync> Sync for OwnedMutexGuard<T> {}

impl<T: ?Sized> OwnedMutexGuard<T> {
    /// Narrows the guard to a part of the value.
    ///
    /// - This is an associated function, because the value may have a method `map`.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::{Mutex, OwnedMutexGuard};
    /// use std::sync::Arc;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let point = Arc::new(Mutex::new([1, 2]));
    /// let mut x = OwnedMutexGuard::map(point.clone().lock_owned().await, |point| &mut point[0]);
    /// redd::spawn(async move { *x = 7 }).await.unwrap();
    /// assert_eq!(*point.lock().await, [7, 2]);
    /// # });
    /// ```
    pub fn map<V: ?Sized, F>(mut this: Self, f: F) -> OwnedMappedMutexGuard<T, V>
    where
        F: FnOnce(&mut T) -> &mut V,
    {
        let data: *mut V = f(&mut *this);
        OwnedMappedMutexGuard { data, held: this.held }
    }

    /// Narrows the guard to a part of the value, if `f` finds it.
    ///
    /// # Errors
    /// The guard, if `f` returned `None`.
    pub fn try_map<V: ?Sized, F>(mut this: Self, f: F) -> Result<OwnedMappedMutexGuard<T, V>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut V>,
    {
        let Some(data) = f(&mut *this) else {
            return Err(this);
        };
        let data: *mut V = data;
        Ok(OwnedMappedMutexGuard { data, held: this.held })
    }

    /// Returns the mutex that this guard locks.
    pub fn mutex(this: &Self) -> &Arc<Mutex<T>> {
        &this.held.owner
    }
}

impl<T: ?Sized> Deref for OwnedMutexGuard<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `one-guard`: the guard holds the lock for as long as the result borrows the guard.
        unsafe { &*self.held.owner.pointer() }
    }
}

impl<T: ?Sized> DerefMut for OwnedMutexGuard<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: `one-guard`: this is the only guard, and the result borrows it exclusively.
        unsafe { &mut *self.held.owner.pointer() }
    }
}

guard_fmt!([T: ?Sized] OwnedMutexGuard<T> => T);

/// An [`OwnedMutexGuard`] for a part of the value. Made by [`OwnedMutexGuard::map`].
///
/// # Examples
/// ```
/// use redd::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard};
/// use std::sync::Arc;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let list = Arc::new(Mutex::new(vec![1, 2, 3]));
/// let items = OwnedMutexGuard::map(list.clone().lock_owned().await, Vec::as_mut_slice);
/// let mut last = OwnedMappedMutexGuard::try_map(items, |items| items.last_mut()).expect("the list is not empty");
/// *last = 30;
/// drop(last);
/// assert_eq!(*list.lock().await, [1, 2, 30]);
/// # });
/// ```
#[clippy::has_significant_drop]
#[must_use = "the mutex is unlocked when this is dropped"]
pub struct OwnedMappedMutexGuard<T: ?Sized, U: ?Sized = T> {
    held: HeldPermits<Arc<Mutex<T>>>,
    data: *mut U,
}

// SAFETY: the guard owns a reference to the mutex, which may go to another thread if `T` may, and is as an `&mut U`.
unsafe impl<T: ?Sized + Send, U: ?Sized + Send> Send for OwnedMappedMutexGuard<T, U> {}
// SAFETY: a shared guard gives out `&U` only.
unsafe impl<T: ?Sized + Send + Sync, U: ?Sized + Send + Sync> Sync for OwnedMappedMutexGuard<T, U> {}

impl<T: ?Sized, U: ?Sized> OwnedMappedMutexGuard<T, U> {
    /// Narrows the guard to a part of the value.
    ///
    /// - This is an associated function, because the value may have a method `map`.
    pub fn map<V: ?Sized, F>(mut this: Self, f: F) -> OwnedMappedMutexGuard<T, V>
    where
        F: FnOnce(&mut U) -> &mut V,
    {
        let data: *mut V = f(&mut *this);
        OwnedMappedMutexGuard { data, held: this.held }
    }

    /// Narrows the guard to a part of the value, if `f` finds it.
    ///
    /// # Errors
    /// The guard, if `f` returned `None`.
    pub fn try_map<V: ?Sized, F>(mut this: Self, f: F) -> Result<OwnedMappedMutexGuard<T, V>, Self>
    where
        F: FnOnce(&mut U) -> Option<&mut V>,
    {
        let Some(data) = f(&mut *this) else {
            return Err(this);
        };
        let data: *mut V = data;
        Ok(OwnedMappedMutexGuard { data, held: this.held })
    }
}

impl<T: ?Sized, U: ?Sized> Deref for OwnedMappedMutexGuard<T, U> {
    type Target = U;

    #[inline]
    fn deref(&self) -> &U {
        // SAFETY: `one-guard`: the guard holds the lock for as long as the result borrows the guard.
        unsafe { &*self.data }
    }
}

impl<T: ?Sized, U: ?Sized> DerefMut for OwnedMappedMutexGuard<T, U> {
    #[inline]
    fn deref_mut(&mut self) -> &mut U {
        // SAFETY: `one-guard`: this is the only guard, and the result borrows it exclusively.
        unsafe { &mut *self.data }
    }
}

guard_fmt!([T: ?Sized, U: ?Sized] OwnedMappedMutexGuard<T, U> => U);

/// The lock could not be taken without waiting. Returned by the `try_*` methods of [`Mutex`] and
/// [`RwLock`](super::RwLock).
#[derive(Debug)]
pub struct TryLockError(pub(super) ());

error_texts! {
    [] TryLockError,
    _ => "operation would block",
}
