//! A lock for many readers or one writer, which may be held across an `await`: [`RwLock`].
//!
//! A reader holds one permit of a [`Permits`], a writer all of them. So readers and writers wait in one queue, first
//! come, first served, and later readers wait behind a waiting writer. Called by user code.
//!
//! Long because the lock and its six guards construct each other: in two files, each would import the other.
//!
//! # Invariants
//! - `all-or-one`: a write guard holds all permits, a read guard one. The count alone keeps a writer apart from all
//!   others.
//! - `held-moves`: mapping and downgrading move the held permits from guard to guard, so they are returned once.

#![expect(unsafe_code, reason = "the value is reached through its guards")]

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::Arc;

use super::blocking::block_thread_on;
use super::guard::{PermitOwner, guard_fmt};
use super::mutex::TryLockError;
use super::permits::Permits;
use crate::observe::resources::{Resource, ResourceKind};
use crate::observe::waiting::WaitKind;
use crate::primitives::cell::UnsafeCell;
use crate::primitives::const_fn;

/// The most readers of any lock. Tokio's value.
const MAX_READERS: u32 = u32::MAX >> 3;

/// A lock for many readers or one writer, whose guards may be held across an `await`.
///
/// - **A task that holds a read guard must not acquire a second one.** Later readers do not overtake a waiting writer.
///   So if a writer has come in between, the task waits forever.
/// - It does not poison. After a panic with a write guard held, the value is as the panic left it.
/// - For a value that is never locked across an `await`, `std::sync::RwLock` is cheaper.
///
/// # Examples
/// ```
/// use redd::sync::RwLock;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let names = RwLock::new(vec!["ann"]);
/// names.write().await.push("bob");
/// let (one, two) = (names.read().await, names.read().await); // two readers at the same time
/// assert_eq!(one.len() + two.len(), 4);
/// # });
/// ```
pub struct RwLock<T: ?Sized> {
    max_readers: u32,
    permits: Permits,
    data: UnsafeCell<T>,
}

// SAFETY: `all-or-one`: one thread at a time changes the value (so `Send`). Many read it at a time, only while none
// changes it (so `Sync`).
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

impl<T> RwLock<T> {
    /// Makes an unlocked lock with this value.
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self::with_max_readers(value, MAX_READERS)
    }

    /// Makes a lock that at most `max_readers` tasks read at a time.
    ///
    /// # Panics
    /// If `max_readers` is 0 or exceeds `u32::MAX >> 3`.
    ///
    /// # Examples
    /// ```
    /// let lock = redd::sync::RwLock::with_max_readers((), 1);
    /// let _reader = lock.try_read().unwrap();
    /// assert!(lock.try_read().is_err());
    /// ```
    #[track_caller]
    pub fn with_max_readers(value: T, max_readers: u32) -> Self {
        let this = Self::const_with_max_readers(value, max_readers);
        let resource = Resource::new(ResourceKind::RwLock { max_readers });
        Self { permits: this.permits.with_resource(resource), ..this }
    }

    const_fn! {
        /// Makes a lock for a `static`. It does not appear among the resources in tokio-console.
        ///
        /// # Examples
        /// ```
        /// use redd::sync::RwLock;
        ///
        /// static LEVEL: RwLock<&str> = RwLock::const_new("info");
        ///
        /// *LEVEL.try_write().unwrap() = "debug";
        /// assert_eq!(*LEVEL.try_read().unwrap(), "debug");
        /// ```
        pub const fn const_new(value: T) -> Self {
            Self::const_with_max_readers(value, MAX_READERS)
        }

        /// Makes a lock for a `static` that at most `max_readers` tasks read at a time.
        ///
        /// - It does not appear among the resources in tokio-console.
        ///
        /// # Panics
        /// If `max_readers` is 0 or exceeds `u32::MAX >> 3`.
        #[track_caller]
        pub const fn const_with_max_readers(value: T, max_readers: u32) -> Self {
            assert!(
                max_readers <= MAX_READERS,
                "a RwLock may not be created with more readers than it can count; use at most `u32::MAX >> 3`"
            );
            assert!(
                max_readers > 0,
                "a RwLock may not be created with 0 readers, because no task could ever read it; use at least 1"
            );
            Self {
                max_readers,
                permits: Permits::new(max_readers as usize),
                data: UnsafeCell::new(value),
            }
        }
    }

    /// Returns the value. There is no guard, because guards borrow or share the lock.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits for read access.
    ///
    /// - A task that already holds a read guard may wait forever, if a writer has come in between.
    ///
    /// # Cancel safety
    /// If the future is dropped, its place in the queue is lost.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::RwLock;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let config = RwLock::new("debug");
    /// let (one, two) = (config.read().await, config.read().await);
    /// assert_eq!(*one, *two);
    /// # });
    /// ```
    #[track_caller]
    pub fn read(&self) -> impl Future<Output = RwLockReadGuard<'_, T>> {
        let location = Some(Location::caller());
        self.permits.resource.instrument("RwLock::read", async move {
            if !self.permits.acquire_at_once(1) {
                let acquired = self.permits.acquire(1, WaitKind::RwLock, location).await;
                debug_assert!(acquired.is_ok(), "the permits of a lock are never closed");
            }
            self.read_guard()
        })
    }

    /// Takes read access if it is free.
    ///
    /// # Errors
    /// [`TryLockError`] if a writer has the lock or waits for it, or the lock has its maximum of readers.
    ///
    /// # Examples
    /// ```
    /// let lock = redd::sync::RwLock::new(1);
    /// let reader = lock.try_read().unwrap();
    /// assert!(lock.try_read().is_ok(), "readers share the lock");
    /// assert!(lock.try_write().is_err());
    /// # drop(reader);
    /// ```
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError> {
        match self.permits.try_acquire(1) {
            Ok(()) => Ok(self.read_guard()),
            Err(_) => Err(TryLockError(())),
        }
    }

    /// Blocks the thread until it has read access.
    ///
    /// # Panics
    /// On a thread that runs tasks: await [`read`](Self::read) there.
    #[track_caller]
    pub fn blocking_read(&self) -> RwLockReadGuard<'_, T> {
        block_thread_on("`RwLock::blocking_read`", self.read())
    }

    /// Waits for write access.
    ///
    /// # Cancel safety
    /// If the future is dropped, its place in the queue is lost.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::RwLock;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let config = RwLock::new("debug");
    /// *config.write().await = "release";
    /// assert_eq!(*config.read().await, "release");
    /// # });
    /// ```
    #[track_caller]
    pub fn write(&self) -> impl Future<Output = RwLockWriteGuard<'_, T>> {
        let location = Some(Location::caller());
        self.permits.resource.instrument("RwLock::write", async move {
            if !self.permits.acquire_at_once(self.max_readers as usize) {
                let acquired = self.permits.acquire(self.max_readers as usize, WaitKind::RwLock, location).await;
                debug_assert!(acquired.is_ok(), "the permits of a lock are never closed");
            }
            self.write_guard()
        })
    }

    /// Takes write access if it is free.
    ///
    /// # Errors
    /// [`TryLockError`] if another task has access or waits for it.
    ///
    /// # Examples
    /// ```
    /// let lock = redd::sync::RwLock::new(1);
    /// let mut writer = lock.try_write().unwrap();
    /// *writer += 1;
    /// assert!(lock.try_read().is_err());
    /// drop(writer);
    /// assert_eq!(*lock.try_read().unwrap(), 2);
    /// ```
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryLockError> {
        match self.permits.try_acquire(self.max_readers as usize) {
            Ok(()) => Ok(self.write_guard()),
            Err(_) => Err(TryLockError(())),
        }
    }

    /// Blocks the thread until it has write access.
    ///
    /// # Panics
    /// On a thread that runs tasks: await [`write`](Self::write) there.
    ///
    /// # Examples
    /// ```
    /// let count = redd::sync::RwLock::new(0);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| *count.blocking_write() += 1);
    /// });
    /// assert_eq!(*count.blocking_read(), 1);
    /// ```
    #[track_caller]
    pub fn blocking_write(&self) -> RwLockWriteGuard<'_, T> {
        block_thread_on("`RwLock::blocking_write`", self.write())
    }

    /// Waits for read access. The guard owns a reference to the lock, so that it can move into a task.
    ///
    /// # Cancel safety
    /// If the future is dropped, its place in the queue is lost.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::RwLock;
    /// use std::sync::Arc;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let routes = Arc::new(RwLock::new(vec!["/", "/health"]));
    /// let guard = routes.clone().read_owned().await;
    /// let count = redd::spawn(async move { guard.len() }).await.unwrap();
    /// assert_eq!(count, 2);
    /// # });
    /// ```
    #[track_caller]
    pub fn read_owned(self: Arc<Self>) -> impl Future<Output = OwnedRwLockReadGuard<T>> {
        let location = Some(Location::caller());
        let resource = self.permits.resource.clone();
        resource.instrument("RwLock::read_owned", async move {
            if !self.permits.acquire_at_once(1) {
                let acquired = self.permits.acquire(1, WaitKind::RwLock, location).await;
                debug_assert!(acquired.is_ok(), "the permits of a lock are never closed");
            }
            self.owned_read_guard()
        })
    }

    /// Takes read access, with a reference to the lock, if it is free.
    ///
    /// # Errors
    /// [`TryLockError`] if a writer has the lock or waits for it, or the lock has its maximum of readers.
    pub fn try_read_owned(self: Arc<Self>) -> Result<OwnedRwLockReadGuard<T>, TryLockError> {
        match self.permits.try_acquire(1) {
            Ok(()) => Ok(self.owned_read_guard()),
            Err(_) => Err(TryLockError(())),
        }
    }

    /// Waits for write access. The guard owns a reference to the lock, so that it can move into a task.
    ///
    /// # Cancel safety
    /// If the future is dropped, its place in the queue is lost.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::RwLock;
    /// use std::sync::Arc;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let routes = Arc::new(RwLock::new(vec!["/"]));
    /// let mut guard = routes.clone().write_owned().await;
    /// redd::spawn(async move { guard.push("/health") }).await.unwrap();
    /// assert_eq!(routes.read().await.len(), 2);
    /// # });
    /// ```
    #[track_caller]
    pub fn write_owned(self: Arc<Self>) -> impl Future<Output = OwnedRwLockWriteGuard<T>> {
        let location = Some(Location::caller());
        let resource = self.permits.resource.clone();
        resource.instrument("RwLock::write_owned", async move {
            if !self.permits.acquire_at_once(self.max_readers as usize) {
                let acquired = self.permits.acquire(self.max_readers as usize, WaitKind::RwLock, location).await;
                debug_assert!(acquired.is_ok(), "the permits of a lock are never closed");
            }
            self.owned_write_guard()
        })
    }

    /// Takes write access, with a reference to the lock, if it is free.
    ///
    /// # Errors
    /// [`TryLockError`] if another task has access or waits for it.
    pub fn try_write_owned(self: Arc<Self>) -> Result<OwnedRwLockWriteGuard<T>, TryLockError> {
        match self.permits.try_acquire(self.max_readers as usize) {
            Ok(()) => Ok(self.owned_write_guard()),
            Err(_) => Err(TryLockError(())),
        }
    }

    /// Returns the value without locking: the exclusive borrow shows that there is no guard.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: borrowed exclusively, so there is no guard.
        self.data.with_mut(|data| unsafe { &mut *data })
    }

    // The caller of these four has just acquired the permits (`all-or-one`).

    fn read_guard(&self) -> RwLockReadGuard<'_, T> {
        let held = HeldPermits::new(&self.permits, 1);
        RwLockReadGuard { data: self.data.with(|data| data), held, marker: PhantomData }
    }

    fn write_guard(&self) -> RwLockWriteGuard<'_, T> {
        let held = HeldPermits::new(&self.permits, self.max_readers);
        RwLockWriteGuard { data: self.data.with_mut(|data| data), held }
    }

    fn owned_read_guard(self: Arc<Self>) -> OwnedRwLockReadGuard<T> {
        let data = self.data.with(|data| data);
        OwnedRwLockReadGuard { data, held: HeldPermits::new(self, 1) }
    }

    fn owned_write_guard(self: Arc<Self>) -> OwnedRwLockWriteGuard<T> {
        let (data, count) = (self.data.with_mut(|data| data), self.max_readers);
        OwnedRwLockWriteGuard { data, held: HeldPermits::new(self, count) }
    }
}

impl<T: ?Sized> PermitOwner for RwLock<T> {
    #[inline]
    fn permits(&self) -> &Permits {
        &self.permits
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) => out.field("data", &&*guard),
            Err(_) => out.field("data", &format_args!("<locked>")),
        };
        out.finish()
    }
}

/// Permits. Dropping this returns them (`held-moves`), and drops a reference to the lock only afterwards.
struct HeldPermits<L: Deref<Target: PermitOwner>> {
    owner: L,
    count: u32,
}

impl<L: Deref<Target: PermitOwner>> HeldPermits<L> {
    /// The caller has just acquired that many permits (`all-or-one`).
    fn new(owner: L, count: u32) -> Self {
        let held = Self { owner, count };
        held.owner.permits().record_held(0, count as usize);
        held
    }

    /// Keeps one permit and returns the others: the writer becomes a reader, and no writer gets in between.
    fn downgrade(mut self) -> Self {
        let before = std::mem::replace(&mut self.count, 1) as usize;
        let permits = self.owner.permits();
        permits.release(before - 1);
        permits.record_held(before, 1);
        self
    }
}

impl<L: Deref<Target: PermitOwner>> Drop for HeldPermits<L> {
    #[inline]
    fn drop(&mut self) {
        self.owner.permits().release(self.count as usize);
        self.owner.permits().record_held(self.count as usize, 0);
    }
}

/// Read access to the value of an [`RwLock`], while this lives. Made by [`RwLock::read`].
///
/// # Examples
/// ```
/// use redd::sync::RwLock;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let lock = RwLock::new(String::from("text"));
/// let guard = lock.read().await;
/// assert_eq!(guard.len(), 4);
/// assert!(lock.try_write().is_err());
/// drop(guard);
/// assert!(lock.try_write().is_ok());
/// # });
/// ```
#[clippy::has_significant_drop]
#[must_use = "the lock is released when this is dropped"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    data: *const T,
    held: HeldPermits<&'a Permits>,
    marker: PhantomData<&'a T>,
}

// SAFETY: the guard is as the `&T` that it gives out.
unsafe impl<T: ?Sized + Sync> Send for RwLockReadGuard<'_, T> {}
// SAFETY: as above; we also require `Send`, as Tokio does.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLockReadGuard<'_, T> {}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    /// Narrows the guard to a part of the value.
    ///
    /// - This is an associated function, because the value may have a method `map`.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::{RwLock, RwLockReadGuard};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let user = RwLock::new(("ann", 31));
    /// let age = RwLockReadGuard::map(user.read().await, |user| &user.1);
    /// assert_eq!(*age, 31);
    /// # });
    /// ```
    pub fn map<F, V: ?Sized>(this: Self, f: F) -> RwLockReadGuard<'a, V>
    where
        F: FnOnce(&T) -> &V,
    {
        let data: *const V = f(&*this);
        RwLockReadGuard { data, held: this.held, marker: PhantomData }
    }

    /// Narrows the guard to a part of the value, if `f` finds it.
    ///
    /// # Errors
    /// The guard, if `f` returned `None`.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::{RwLock, RwLockReadGuard};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let lines = RwLock::new(vec!["one", "two"]);
    /// let second = RwLockReadGuard::try_map(lines.read().await, |lines| lines.get(1)).unwrap();
    /// assert_eq!(*second, "two");
    /// # });
    /// ```
    pub fn try_map<F, V: ?Sized>(this: Self, f: F) -> Result<RwLockReadGuard<'a, V>, Self>
    where
        F: FnOnce(&T) -> Option<&V>,
    {
        let Some(data) = f(&*this) else {
            return Err(this);
        };
        let data: *const V = data;
        Ok(RwLockReadGuard { data, held: this.held, marker: PhantomData })
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `all-or-one`: no task changes the value while the guard holds a permit, and the result borrows the
        // guard.
        unsafe { &*self.data }
    }
}

guard_fmt!([T: ?Sized] RwLockReadGuard<'_, T> => T);

/// Write access to the value of an [`RwLock`], while this lives. Made by [`RwLock::write`].
///
/// # Examples
/// ```
/// use redd::sync::RwLock;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let lock = RwLock::new(String::from("text"));
/// let mut guard = lock.write().await;
/// guard.push('s');
/// assert!(lock.try_read().is_err());
/// drop(guard);
/// assert_eq!(*lock.read().await, "texts");
/// # });
/// ```
#[clippy::has_significant_drop]
#[must_use = "the lock is released when this is dropped"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    data: *mut T,
    held: HeldPermits<&'a Permits>,
}

// SAFETY: the guard is as the `&mut T` that it gives out; downgraded, as the `&T`.
unsafe impl<T: ?Sized + Send + Sync> Send for RwLockWriteGuard<'_, T> {}
// SAFETY: a shared guard gives out `&T` only.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLockWriteGuard<'_, T> {}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Narrows the guard to a part of the value.
    ///
    /// - This is an associated function, because the value may have a method `map`.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::{RwLock, RwLockWriteGuard};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let user = RwLock::new(("ann", 31));
    /// let mut age = RwLockWriteGuard::map(user.write().await, |user| &mut user.1);
    /// *age += 1;
    /// drop(age);
    /// assert_eq!(*user.read().await, ("ann", 32));
    /// # });
    /// ```
    pub fn map<F, V: ?Sized>(mut this: Self, f: F) -> RwLockMappedWriteGuard<'a, V>
    where
        F: FnOnce(&mut T) -> &mut V,
    {
        let data: *mut V = f(&mut *this);
        RwLockMappedWriteGuard { data, held: this.held }
    }

    /// Narrows the guard to a part of the value, if `f` finds it.
    ///
    /// # Errors
    /// The guard, if `f` returned `None`.
    pub fn try_map<F, V: ?Sized>(mut this: Self, f: F) -> Result<RwLockMappedWriteGuard<'a, V>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut V>,
    {
        let Some(data) = f(&mut *this) else {
            return Err(this);
        };
        let data: *mut V = data;
        Ok(RwLockMappedWriteGuard { data, held: this.held })
    }

    /// Returns the guard of the whole value in the type of a mapped one.
    pub fn into_mapped(this: Self) -> RwLockMappedWriteGuard<'a, T> {
        RwLockMappedWriteGuard { data: this.data, held: this.held }
    }

    /// Turns write access into read access, without letting another writer in between.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::RwLock;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let value = RwLock::new(1);
    /// let mut writer = value.write().await;
    /// *writer += 1;
    /// let reader = writer.downgrade();
    /// assert_eq!(*value.read().await, 2, "other readers have access again");
    /// assert_eq!(*reader, 2);
    /// # });
    /// ```
    pub fn downgrade(self) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard { data: self.data, held: self.held.downgrade(), marker: PhantomData }
    }

    /// Turns write access into read access to a part of the value, without letting another writer in between.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::{RwLock, RwLockWriteGuard};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let user = RwLock::new((String::from("ann"), 1));
    /// let mut writer = user.write().await;
    /// writer.0.push_str("abel");
    /// let name = RwLockWriteGuard::downgrade_map(writer, |user| user.0.as_str());
    /// assert_eq!(&*name, "annabel");
    /// # });
    /// ```
    pub fn downgrade_map<F, U: ?Sized>(this: Self, f: F) -> RwLockReadGuard<'a, U>
    where
        F: FnOnce(&T) -> &U,
    {
        let data: *const U = f(&*this);
        RwLockReadGuard { data, held: this.held.downgrade(), marker: PhantomData }
    }

    /// Turns write access into read access to a part of the value, if `f` finds it.
    ///
    /// - No other writer gets in between.
    ///
    /// # Errors
    /// The guard, if `f` returned `None`.
    pub fn try_downgrade_map<F, U: ?Sized>(this: Self, f: F) -> Result<RwLockReadGuard<'a, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
    {
        let Some(data) = f(&*this) else {
            return Err(this);
        };
        let data: *const U = data;
        Ok(RwLockReadGuard { data, held: this.held.downgrade(), marker: PhantomData })
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `all-or-one`: no task changes the value while the guard holds a permit, and the result borrows the
        // guard.
        unsafe { &*self.data }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: `all-or-one`: the guard holds all permits, so it is the only one, and the result borrows it
        // exclusively.
        unsafe { &mut *self.data }
    }
}

guard_fmt!([T: ?Sized] RwLockWriteGuard<'_, T> => T);

/// An [`RwLockWriteGuard`] for a part of the value. Made by [`RwLockWriteGuard::map`].
///
/// # Examples
/// ```
/// use redd::sync::{RwLock, RwLockMappedWriteGuard, RwLockWriteGuard};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let config = RwLock::new(("redd".to_owned(), 8080));
/// {
///     let name = RwLockWriteGuard::map(config.write().await, |config| &mut config.0);
///     let mut text = RwLockMappedWriteGuard::map(name, |name| name.as_mut_str());
///     text.make_ascii_uppercase();
/// }
/// assert_eq!(config.read().await.0, "REDD");
/// # });
/// ```
#[clippy::has_significant_drop]
pub struct RwLockMappedWriteGuard<'a, T: ?Sized> {
    data: *mut T,
    held: HeldPermits<&'a Permits>,
}

// SAFETY: the guard is as the `&mut T` that it gives out.
unsafe impl<T: ?Sized + Send + Sync> Send for RwLockMappedWriteGuard<'_, T> {}
// SAFETY: a shared guard gives out `&T` only.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLockMappedWriteGuard<'_, T> {}

impl<'a, T: ?Sized> RwLockMappedWriteGuard<'a, T> {
    /// Narrows the guard to a part of the value.
    ///
    /// - This is an associated function, because the value may have a method `map`.
    pub fn map<F, V: ?Sized>(mut this: Self, f: F) -> RwLockMappedWriteGuard<'a, V>
    where
        F: FnOnce(&mut T) -> &mut V,
    {
        let data: *mut V = f(&mut *this);
        RwLockMappedWriteGuard { data, held: this.held }
    }

    /// Narrows the guard to a part of the value, if `f` finds it.
    ///
    /// # Errors
    /// The guard, if `f` returned `None`.
    pub fn try_map<F, V: ?Sized>(mut this: Self, f: F) -> Result<RwLockMappedWriteGuard<'a, V>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut V>,
    {
        let Some(data) = f(&mut *this) else {
            return Err(this);
        };
        let data: *mut V = data;
        Ok(RwLockMappedWriteGuard { data, held: this.held })
    }
}

impl<T: ?Sized> Deref for RwLockMappedWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `all-or-one`: no task changes the value while the guard holds a permit, and the result borrows the
        // guard.
        unsafe { &*self.data }
    }
}

impl<T: ?Sized> DerefMut for RwLockMappedWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: `all-or-one`: the guard holds all permits, so it is the only one, and the result borrows it
        // exclusively.
        unsafe { &mut *self.data }
    }
}

guard_fmt!([T: ?Sized] RwLockMappedWriteGuard<'_, T> => T);

/// Read access to the value of an [`RwLock`], with a reference to the lock. Made by [`RwLock::read_owned`].
///
/// # Examples
/// ```
/// use redd::sync::{OwnedRwLockReadGuard, RwLock};
/// use std::sync::Arc;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let names = Arc::new(RwLock::new(vec!["ann", "bob"]));
/// let first = OwnedRwLockReadGuard::map(names.clone().read_owned().await, |names| &names[0]);
/// let length = redd::spawn(async move { first.len() }).await.unwrap();
/// assert_eq!(length, 3);
/// # });
/// ```
#[clippy::has_significant_drop]
pub struct OwnedRwLockReadGuard<T: ?Sized, U: ?Sized = T> {
    data: *const U,
    held: HeldPermits<Arc<RwLock<T>>>,
}

// SAFETY: the guard owns a reference to the lock, which may go to another thread if `T` may, and is as a `&U`.
unsafe impl<T: ?Sized + Send + Sync, U: ?Sized + Sync> Send for OwnedRwLockReadGuard<T, U> {}
// SAFETY: a shared guard gives out `&U` only.
unsafe impl<T: ?Sized + Send + Sync, U: ?Sized + Send + Sync> Sync for OwnedRwLockReadGuard<T, U> {}

impl<T: ?Sized, U: ?Sized> OwnedRwLockReadGuard<T, U> {
    /// Narrows the guard to a part of the value.
    ///
    /// - This is an associated function, because the value may have a method `map`.
    pub fn map<F, V: ?Sized>(this: Self, f: F) -> OwnedRwLockReadGuard<T, V>
    where
        F: FnOnce(&U) -> &V,
    {
        let data: *const V = f(&*this);
        OwnedRwLockReadGuard { data, held: this.held }
    }

    /// Narrows the guard to a part of the value, if `f` finds it.
    ///
    /// # Errors
    /// The guard, if `f` returned `None`.
    pub fn try_map<F, V: ?Sized>(this: Self, f: F) -> Result<OwnedRwLockReadGuard<T, V>, Self>
    where
        F: FnOnce(&U) -> Option<&V>,
    {
        let Some(data) = f(&*this) else {
            return Err(this);
        };
        let data: *const V = data;
        Ok(OwnedRwLockReadGuard { data, held: this.held })
    }

    /// Returns the lock that this guard belongs to.
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        &this.held.owner
    }
}

impl<T: ?Sized, U: ?Sized> Deref for OwnedRwLockReadGuard<T, U> {
    type Target = U;

    #[inline]
    fn deref(&self) -> &U {
        // SAFETY: `all-or-one`: no task changes the value while the guard holds a permit, and the result borrows the
        // guard.
        unsafe { &*self.data }
    }
}

guard_fmt!([T: ?Sized, U: ?Sized] OwnedRwLockReadGuard<T, U> => U);

/// Write access to the value of an [`RwLock`], with a reference to the lock. Made by [`RwLock::write_owned`].
///
/// # Examples
/// ```
/// use redd::sync::{OwnedRwLockWriteGuard, RwLock};
/// use std::sync::Arc;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let point = Arc::new(RwLock::new([1, 2]));
/// let mut y = OwnedRwLockWriteGuard::map(point.clone().write_owned().await, |point| &mut point[1]);
/// *y = 7;
/// drop(y);
/// assert_eq!(*point.read().await, [1, 7]);
/// # });
/// ```
#[clippy::has_significant_drop]
pub struct OwnedRwLockWriteGuard<T: ?Sized> {
    data: *mut T,
    held: HeldPermits<Arc<RwLock<T>>>,
}

// SAFETY: the guard owns a reference to the lock, and is as an `&mut T`.
unsafe impl<T: ?Sized + Send + Sync> Send for OwnedRwLockWriteGuard<T> {}
// SAFETY: a shared guard gives out `&T` only.
unsafe impl<T: ?Sized + Send + Sync> Sync for OwnedRwLockWriteGuard<T> {}

impl<T: ?Sized> OwnedRwLockWriteGuard<T> {
    /// Narrows the guard to a part of the value.
    ///
    /// - This is an associated function, because the value may have a method `map`.
    pub fn map<F, V: ?Sized>(mut this: Self, f: F) -> OwnedRwLockMappedWriteGuard<T, V>
    where
        F: FnOnce(&mut T) -> &mut V,
    {
        let data: *mut V = f(&mut *this);
        OwnedRwLockMappedWriteGuard { data, held: this.held }
    }

    /// Narrows the guard to a part of the value, if `f` finds it.
    ///
    /// # Errors
    /// The guard, if `f` returned `None`.
    pub fn try_map<F, V: ?Sized>(mut this: Self, f: F) -> Result<OwnedRwLockMappedWriteGuard<T, V>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut V>,
    {
        let Some(data) = f(&mut *this) else {
            return Err(this);
        };
        let data: *mut V = data;
        Ok(OwnedRwLockMappedWriteGuard { data, held: this.held })
    }

    /// Returns the guard of the whole value in the type of a mapped one.
    pub fn into_mapped(this: Self) -> OwnedRwLockMappedWriteGuard<T> {
        OwnedRwLockMappedWriteGuard { data: this.data, held: this.held }
    }

    /// Turns write access into read access, without letting another writer in between.
    pub fn downgrade(self) -> OwnedRwLockReadGuard<T> {
        OwnedRwLockReadGuard { data: self.data, held: self.held.downgrade() }
    }

    /// Turns write access into read access to a part of the value, without letting another writer in between.
    pub fn downgrade_map<F, U: ?Sized>(this: Self, f: F) -> OwnedRwLockReadGuard<T, U>
    where
        F: FnOnce(&T) -> &U,
    {
        let data: *const U = f(&*this);
        OwnedRwLockReadGuard { data, held: this.held.downgrade() }
    }

    /// Turns write access into read access to a part of the value, if `f` finds it.
    ///
    /// - No other writer gets in between.
    ///
    /// # Errors
    /// The guard, if `f` returned `None`.
    pub fn try_downgrade_map<F, U: ?Sized>(this: Self, f: F) -> Result<OwnedRwLockReadGuard<T, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
    {
        let Some(data) = f(&*this) else {
            return Err(this);
        };
        let data: *const U = data;
        Ok(OwnedRwLockReadGuard { data, held: this.held.downgrade() })
    }

    /// Returns the lock that this guard belongs to.
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        &this.held.owner
    }
}

impl<T: ?Sized> Deref for OwnedRwLockWriteGuard<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `all-or-one`: no task changes the value while the guard holds a permit, and the result borrows the
        // guard.
        unsafe { &*self.data }
    }
}

impl<T: ?Sized> DerefMut for OwnedRwLockWriteGuard<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: `all-or-one`: the guard holds all permits, so it is the only one, and the result borrows it
        // exclusively.
        unsafe { &mut *self.data }
    }
}

guard_fmt!([T: ?Sized] OwnedRwLockWriteGuard<T> => T);

/// An [`OwnedRwLockWriteGuard`] for a part of the value. Made by [`OwnedRwLockWriteGuard::map`].
///
/// # Examples
/// ```
/// use redd::sync::{OwnedRwLockMappedWriteGuard, OwnedRwLockWriteGuard, RwLock};
/// use std::sync::Arc;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let list = Arc::new(RwLock::new(vec![1, 2, 3]));
/// let items = OwnedRwLockWriteGuard::map(list.clone().write_owned().await, Vec::as_mut_slice);
/// let mut last = OwnedRwLockMappedWriteGuard::try_map(items, |items| items.last_mut()).expect("the list is not empty");
/// *last = 30;
/// drop(last);
/// assert_eq!(*list.read().await, [1, 2, 30]);
/// # });
/// ```
#[clippy::has_significant_drop]
pub struct OwnedRwLockMappedWriteGuard<T: ?Sized, U: ?Sized = T> {
    data: *mut U,
    held: HeldPermits<Arc<RwLock<T>>>,
}

// SAFETY: the guard owns a reference to the lock, and is as an `&mut U`.
unsafe impl<T: ?Sized + Send + Sync, U: ?Sized + Send + Sync> Send for OwnedRwLockMappedWriteGuard<T, U> {}
// SAFETY: a shared guard gives out `&U` only.
unsafe impl<T: ?Sized + Send + Sync, U: ?Sized + Send + Sync> Sync for OwnedRwLockMappedWriteGuard<T, U> {}

impl<T: ?Sized, U: ?Sized> OwnedRwLockMappedWriteGuard<T, U> {
    /// Narrows the guard to a part of the value.
    ///
    /// - This is an associated function, because the value may have a method `map`.
    pub fn map<F, V: ?Sized>(mut this: Self, f: F) -> OwnedRwLockMappedWriteGuard<T, V>
    where
        F: FnOnce(&mut U) -> &mut V,
    {
        let data: *mut V = f(&mut *this);
        OwnedRwLockMappedWriteGuard { data, held: this.held }
    }

    /// Narrows the guard to a part of the value, if `f` finds it.
    ///
    /// # Errors
    /// The guard, if `f` returned `None`.
    pub fn try_map<F, V: ?Sized>(mut this: Self, f: F) -> Result<OwnedRwLockMappedWriteGuard<T, V>, Self>
    where
        F: FnOnce(&mut U) -> Option<&mut V>,
    {
        let Some(data) = f(&mut *this) else {
            return Err(this);
        };
        let data: *mut V = data;
        Ok(OwnedRwLockMappedWriteGuard { data, held: this.held })
    }

    /// Returns the lock that this guard belongs to.
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        &this.held.owner
    }
}

impl<T: ?Sized, U: ?Sized> Deref for OwnedRwLockMappedWriteGuard<T, U> {
    type Target = U;

    #[inline]
    fn deref(&self) -> &U {
        // SAFETY: `all-or-one`: no task changes the value while the guard holds a permit, and the result borrows the
        // guard.
        unsafe { &*self.data }
    }
}

impl<T: ?Sized, U: ?Sized> DerefMut for OwnedRwLockMappedWriteGuard<T, U> {
    #[inline]
    fn deref_mut(&mut self) -> &mut U {
        // SAFETY: `all-or-one`: the guard holds all permits, so it is the only one, and the result borrows it
        // exclusively.
        unsafe { &mut *self.data }
    }
}

guard_fmt!([T: ?Sized, U: ?Sized] OwnedRwLockMappedWriteGuard<T, U> => U);
