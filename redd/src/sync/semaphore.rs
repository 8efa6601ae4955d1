//! A counting semaphore with borrowed and owned permits: [`Semaphore`].
//!
//! The count and the queue of waiters are in `permits`. This file has the types that return permits when they are
//! dropped.
//!
//! Called by user code.
//!
//! # Invariants
//! - `returned-once`: a permit object returns its count on drop. `forget`, `merge` and `split` move the count out of one
//!   object before another object has it.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use super::blocking::block_thread_on;
use super::permits::{Permits, TryAcquireError};
use crate::observe::resources::{Resource, ResourceKind};
use crate::observe::waiting::WaitKind;
use crate::primitives::const_fn;

/// A counting semaphore: it hands out a limited number of permits, first come, first served.
///
/// - A waiter for many permits is not overtaken by a later waiter for few. Free permits are collected for the first
///   waiter until it has all of them.
/// - Permits can be added and removed at any time. [`close`](Self::close) makes all waiters and all later calls fail.
/// - While no task waits, taking and returning a permit is one atomic operation each.
///
/// # Examples
/// At most two downloads run at a time:
/// ```
/// use redd::sync::Semaphore;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let limit = Arc::new(Semaphore::new(2));
/// let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
/// let mut downloads = redd::task::JoinSet::new();
/// for _ in 0..10 {
///     let (limit, running, most) = (limit.clone(), running.clone(), most.clone());
///     downloads.spawn(async move {
///         let _permit = limit.acquire().await.unwrap();
///         let now = running.fetch_add(1, Ordering::Relaxed) + 1;
///         most.fetch_max(now, Ordering::Relaxed);
///         redd::task::yield_now().await; // the download
///         running.fetch_sub(1, Ordering::Relaxed);
///     });
/// }
/// downloads.join_all().await;
/// assert_eq!(most.load(Ordering::Relaxed), 2);
/// # });
/// ```
pub struct Semaphore {
    permits: Permits,
}

impl Semaphore {
    /// The most permits a semaphore can have: `usize::MAX >> 3`.
    pub const MAX_PERMITS: usize = Permits::MAX;

    /// Makes a semaphore with this many permits.
    ///
    /// # Panics
    /// If `permits` exceeds [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[track_caller]
    pub fn new(permits: usize) -> Self {
        Self { permits: Permits::new(permits).with_resource(Resource::new(ResourceKind::Semaphore { permits })) }
    }

    const_fn! {
        /// Makes a semaphore for a `static`. It does not appear among the resources in tokio-console.
        ///
        /// # Panics
        /// If `permits` exceeds [`MAX_PERMITS`](Self::MAX_PERMITS).
        ///
        /// # Examples
        /// ```
        /// use redd::sync::Semaphore;
        ///
        /// static CONNECTIONS: Semaphore = Semaphore::const_new(100);
        ///
        /// let _permit = CONNECTIONS.try_acquire().unwrap();
        /// assert_eq!(CONNECTIONS.available_permits(), 99);
        /// ```
        #[track_caller]
        pub const fn const_new(permits: usize) -> Self {
            Self {
                permits: Permits::new(permits),
            }
        }
    }

    /// Returns how many permits are free now.
    pub fn available_permits(&self) -> usize {
        self.permits.available()
    }

    /// Adds `n` permits. Waiters get them first.
    ///
    /// # Panics
    /// If more than [`MAX_PERMITS`](Self::MAX_PERMITS) would be free.
    ///
    /// # Examples
    /// A token bucket: a used token is forgotten, and a timer would add new ones.
    /// ```
    /// use redd::sync::Semaphore;
    ///
    /// let bucket = Semaphore::new(1);
    /// bucket.try_acquire().unwrap().forget();
    /// assert!(bucket.try_acquire().is_err());
    /// bucket.add_permits(1);
    /// assert!(bucket.try_acquire().is_ok());
    /// ```
    #[track_caller]
    pub fn add_permits(&self, n: usize) {
        self.permits.release(n);
        self.permits.record_available();
    }

    /// Removes up to `n` free permits permanently, and returns how many it removed.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::Semaphore;
    ///
    /// let slots = Semaphore::new(5);
    /// let _permit = slots.try_acquire_many(3).unwrap();
    /// assert_eq!(slots.forget_permits(4), 2, "only two were free");
    /// assert_eq!(slots.available_permits(), 0);
    /// ```
    pub fn forget_permits(&self, n: usize) -> usize {
        let forgotten = self.permits.forget(n);
        self.permits.record_available();
        forgotten
    }

    /// Waits for one permit.
    ///
    /// # Cancel safety
    /// If the future is dropped, its place in the queue is lost.
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed, also while waiting.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::Semaphore;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let slots = Semaphore::new(2);
    /// let permit = slots.acquire().await?;
    /// assert_eq!(slots.available_permits(), 1);
    /// drop(permit);
    /// assert_eq!(slots.available_permits(), 2);
    /// # Ok::<(), redd::sync::AcquireError>(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<SemaphorePermit<'_>, AcquireError>> {
        self.acquire_many(1)
    }

    /// Waits for `n` permits, and returns them together.
    ///
    /// - It waits forever if the semaphore never has that many permits.
    ///
    /// # Cancel safety
    /// If the future is dropped, its place in the queue is lost. The permits it had collected go to the next waiter.
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed, also while waiting.
    ///
    /// # Examples
    /// A query takes as many permits as it needs memory:
    /// ```
    /// use redd::sync::Semaphore;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let megabytes = Semaphore::new(512);
    /// let query = megabytes.acquire_many(300).await?;
    /// assert_eq!(query.num_permits(), 300);
    /// assert!(megabytes.try_acquire_many(300).is_err());
    /// # Ok::<(), redd::sync::AcquireError>(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn acquire_many(&self, n: u32) -> impl Future<Output = Result<SemaphorePermit<'_>, AcquireError>> {
        let location = Location::caller();
        self.permits.resource.instrument("Semaphore::acquire_many", async move {
            if !self.permits.acquire_at_once(n as usize) {
                let acquired = self.permits.acquire(n as usize, WaitKind::Semaphore, Some(location)).await;
                acquired.map_err(|_closed| AcquireError(()))?;
            }
            Ok(self.permit(n, location))
        })
    }

    /// Takes one permit if one is free and no task waits for it.
    ///
    /// # Errors
    /// [`TryAcquireError::NoPermits`] or [`TryAcquireError::Closed`].
    ///
    /// # Examples
    /// A server that refuses work instead of queueing it:
    /// ```
    /// use redd::sync::{Semaphore, TryAcquireError};
    ///
    /// let slots = Semaphore::new(1);
    /// let _request = slots.try_acquire().unwrap();
    /// assert_eq!(slots.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    /// ```
    #[track_caller]
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes `n` permits if that many are free and no task waits for them.
    ///
    /// # Errors
    /// [`TryAcquireError::NoPermits`] or [`TryAcquireError::Closed`].
    #[track_caller]
    pub fn try_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.permits.try_acquire(n as usize)?;
        Ok(self.permit(n, Location::caller()))
    }

    /// Blocks the thread until it has one permit.
    ///
    /// # Panics
    /// On a thread that runs tasks: await [`acquire`](Self::acquire) there.
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed, also while waiting.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::Semaphore;
    ///
    /// let slots = Semaphore::new(0);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| slots.add_permits(1));
    ///     let permit = slots.blocking_acquire().unwrap();
    ///     assert_eq!(permit.num_permits(), 1);
    /// });
    /// ```
    #[track_caller]
    pub fn blocking_acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        block_thread_on("`Semaphore::blocking_acquire`", self.acquire())
    }

    /// Blocks the thread until it has `n` permits.
    ///
    /// # Panics
    /// On a thread that runs tasks: await [`acquire_many`](Self::acquire_many) there.
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed, also while waiting.
    #[track_caller]
    pub fn blocking_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        block_thread_on("`Semaphore::blocking_acquire_many`", self.acquire_many(n))
    }

    /// Waits for one permit that owns a reference to the semaphore, so that it can move into a task.
    ///
    /// # Cancel safety
    /// If the future is dropped, its place in the queue is lost.
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed, also while waiting.
    ///
    /// # Examples
    /// An accept loop that has at most 100 connections open:
    /// ```
    /// use redd::sync::Semaphore;
    /// use std::sync::Arc;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let connections = Arc::new(Semaphore::new(100));
    /// let permit = connections.clone().acquire_owned().await?; // before the connection is accepted
    /// let task = redd::spawn(async move {
    ///     let _permit = permit; // returned when the task ends
    /// });
    /// task.await.unwrap();
    /// assert_eq!(connections.available_permits(), 100);
    /// # Ok::<(), redd::sync::AcquireError>(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn acquire_owned(self: Arc<Self>) -> impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>> {
        self.acquire_many_owned(1)
    }

    /// Waits for `n` permits, and returns them together, with a reference to the semaphore.
    ///
    /// - It waits forever if the semaphore never has that many permits.
    ///
    /// # Cancel safety
    /// If the future is dropped, its place in the queue is lost. The permits it had collected go to the next waiter.
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed, also while waiting.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::Semaphore;
    /// use std::sync::Arc;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let slots = Arc::new(Semaphore::new(3));
    /// let mut permits = slots.clone().acquire_many_owned(3).await?;
    /// let one = permits.split(1).unwrap();
    /// redd::spawn(async move { drop(one) }).await.unwrap();
    /// assert_eq!(slots.available_permits(), 1);
    /// # Ok::<(), redd::sync::AcquireError>(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>> {
        let location = Location::caller();
        let resource = self.permits.resource.clone();
        resource.instrument("Semaphore::acquire_many_owned", async move {
            if !self.permits.acquire_at_once(n as usize) {
                let acquired = self.permits.acquire(n as usize, WaitKind::Semaphore, Some(location)).await;
                acquired.map_err(|_closed| AcquireError(()))?;
            }
            Ok(self.owned_permit(n, location))
        })
    }

    /// Takes one permit, with a reference to the semaphore, if one is free and no task waits for it.
    ///
    /// # Errors
    /// [`TryAcquireError::NoPermits`] or [`TryAcquireError::Closed`].
    #[track_caller]
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// Takes `n` permits, with a reference to the semaphore, if that many are free and no task waits for them.
    ///
    /// # Errors
    /// [`TryAcquireError::NoPermits`] or [`TryAcquireError::Closed`].
    #[track_caller]
    pub fn try_acquire_many_owned(self: Arc<Self>, n: u32) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.permits.try_acquire(n as usize)?;
        Ok(self.owned_permit(n, Location::caller()))
    }

    /// Blocks the thread until it has one permit, with a reference to the semaphore.
    ///
    /// # Panics
    /// On a thread that runs tasks: await [`acquire_owned`](Self::acquire_owned) there.
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed, also while waiting.
    #[track_caller]
    pub fn blocking_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        block_thread_on("`Semaphore::blocking_acquire_owned`", self.acquire_owned())
    }

    /// Blocks the thread until it has `n` permits, with a reference to the semaphore.
    ///
    /// # Panics
    /// On a thread that runs tasks: await [`acquire_many_owned`](Self::acquire_many_owned) there.
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed, also while waiting.
    #[track_caller]
    pub fn blocking_acquire_many_owned(self: Arc<Self>, n: u32) -> Result<OwnedSemaphorePermit, AcquireError> {
        block_thread_on("`Semaphore::blocking_acquire_many_owned`", self.acquire_many_owned(n))
    }

    /// Makes all waiters and all later calls fail with an error. Permits that are held stay valid.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::{Semaphore, TryAcquireError};
    /// use std::sync::Arc;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let slots = Arc::new(Semaphore::new(0));
    /// let waiter = redd::spawn(slots.clone().acquire_owned());
    /// redd::task::yield_now().await;
    /// slots.close();
    /// assert!(waiter.await.unwrap().is_err());
    /// assert_eq!(slots.try_acquire().unwrap_err(), TryAcquireError::Closed);
    /// # });
    /// ```
    pub fn close(&self) {
        self.permits.close();
    }

    /// Returns whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }

    // The caller of these two has just acquired `count` permits, at `location`.

    #[inline]
    fn permit(&self, count: u32, location: &'static Location<'static>) -> SemaphorePermit<'_> {
        self.permits.record_taken(location, false, false);
        let permit = SemaphorePermit { semaphore: self, count: count as usize };
        self.permits.record_available();
        permit
    }

    #[inline]
    fn owned_permit(self: Arc<Self>, count: u32, location: &'static Location<'static>) -> OwnedSemaphorePermit {
        self.permits.record_taken(location, false, true);
        let permit = OwnedSemaphorePermit { semaphore: self, count: count as usize };
        permit.semaphore.permits.record_available();
        permit
    }
}

debug_struct!([] Semaphore as "Semaphore", self => {
    permits: self.available_permits(),
    has_waiters: self.permits.has_waiters(),
    is_closed: self.is_closed(),
});

/// Permits of a [`Semaphore`]. Returned when this is dropped.
///
/// # Examples
/// ```
/// use redd::sync::Semaphore;
///
/// let slots = Semaphore::new(4);
/// {
///     let mut permits = slots.try_acquire_many(3).unwrap();
///     permits.split(1).unwrap().forget(); // one slot fewer, permanently
///     assert_eq!(permits.num_permits(), 2);
/// }
/// assert_eq!(slots.available_permits(), 3);
/// ```
#[must_use = "dropping it returns the permits at once"]
#[derive(Debug)]
#[clippy::has_significant_drop]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    count: usize,
}

impl<'a> SemaphorePermit<'a> {
    /// Returns the semaphore that the permits belong to.
    pub fn semaphore(&self) -> &'a Semaphore {
        self.semaphore
    }

    /// Drops this without returning the permits. The semaphore has that many fewer from now on.
    ///
    /// # Examples
    /// ```
    /// let slots = redd::sync::Semaphore::new(3);
    /// slots.try_acquire_many(2).unwrap().forget();
    /// assert_eq!(slots.available_permits(), 1);
    /// ```
    pub fn forget(mut self) {
        // `returned-once`
        self.count = 0;
    }

    /// Adds the permits of `other` to this.
    ///
    /// # Panics
    /// If they belong to different semaphores.
    ///
    /// # Examples
    /// ```
    /// let slots = redd::sync::Semaphore::new(3);
    /// let mut permits = slots.try_acquire().unwrap();
    /// permits.merge(slots.try_acquire_many(2).unwrap());
    /// assert_eq!(permits.num_permits(), 3);
    /// ```
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            std::ptr::eq(self.semaphore, other.semaphore),
            "`merge` was called with a permit of a different semaphore; merge only permits that were acquired from the \
             same one"
        );
        // `returned-once`
        self.count += std::mem::take(&mut other.count);
    }

    /// Splits `n` permits off. Returns `None`, and changes nothing, if there are fewer.
    ///
    /// # Examples
    /// ```
    /// let slots = redd::sync::Semaphore::new(3);
    /// let mut permits = slots.try_acquire_many(3).unwrap();
    /// drop(permits.split(2));
    /// assert_eq!((permits.num_permits(), slots.available_permits()), (1, 2));
    /// assert!(permits.split(2).is_none());
    /// ```
    pub fn split(&mut self, n: usize) -> Option<Self> {
        // `returned-once`
        self.count = self.count.checked_sub(n)?;
        Some(Self { semaphore: self.semaphore, count: n })
    }

    /// Returns how many permits this holds.
    pub fn num_permits(&self) -> usize {
        self.count
    }
}

impl Drop for SemaphorePermit<'_> {
    #[inline]
    fn drop(&mut self) {
        // `returned-once`
        self.semaphore.permits.release(self.count);
        self.semaphore.permits.record_available();
    }
}

/// Permits of a [`Semaphore`], with a reference to it. Returned when this is dropped.
///
/// # Examples
/// A connection that keeps its permit for as long as it lives:
/// ```
/// use redd::sync::{OwnedSemaphorePermit, Semaphore};
/// use std::sync::Arc;
///
/// struct Connection {
///     _permit: OwnedSemaphorePermit,
/// }
///
/// let limit = Arc::new(Semaphore::new(1));
/// let connection = Connection { _permit: limit.clone().try_acquire_owned().unwrap() };
/// assert!(limit.clone().try_acquire_owned().is_err());
/// drop(connection);
/// assert!(limit.try_acquire_owned().is_ok());
/// ```
#[must_use = "dropping it returns the permits at once"]
#[derive(Debug)]
#[clippy::has_significant_drop]
pub struct OwnedSemaphorePermit {
    semaphore: Arc<Semaphore>,
    count: usize,
}

impl OwnedSemaphorePermit {
    /// Returns the semaphore that the permits belong to.
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }

    /// Drops this without returning the permits. The semaphore has that many fewer from now on.
    pub fn forget(mut self) {
        // `returned-once`
        self.count = 0;
    }

    /// Adds the permits of `other` to this.
    ///
    /// # Panics
    /// If they belong to different semaphores.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            Arc::ptr_eq(&self.semaphore, &other.semaphore),
            "`merge` was called with a permit of a different semaphore; merge only permits that were acquired from the \
             same one"
        );
        // `returned-once`
        self.count += std::mem::take(&mut other.count);
    }

    /// Splits `n` permits off. Returns `None`, and changes nothing, if there are fewer.
    pub fn split(&mut self, n: usize) -> Option<Self> {
        // `returned-once`
        self.count = self.count.checked_sub(n)?;
        Some(Self { semaphore: Arc::clone(&self.semaphore), count: n })
    }

    /// Returns how many permits this holds.
    pub fn num_permits(&self) -> usize {
        self.count
    }
}

impl Drop for OwnedSemaphorePermit {
    #[inline]
    fn drop(&mut self) {
        // `returned-once`
        self.semaphore.permits.release(self.count);
        self.semaphore.permits.record_available();
    }
}

/// The semaphore is closed. Returned by the waiting methods of [`Semaphore`].
#[derive(Debug)]
pub struct AcquireError(());

error_texts! {
    [] AcquireError,
    _ => "semaphore closed",
}
