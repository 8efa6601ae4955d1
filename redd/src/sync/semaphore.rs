//! A counting semaphore with owned and borrowed permits: [`Semaphore`].
//!
//! The counting and the line of waiters are in `permits`; here are the types that give permits back when dropped.
//!
//! # Invariants
//! - `given-back-once`: a permit object returns its count on drop; `forget`, `merge` and `split` move the count out of
//!   one object before another has it.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use super::blocking::block_on_parker;
use super::permits::{Permits, Refusal};
use super::wait_list::Place;
use crate::observe::waiting::WaitKind;
use crate::primitives::const_fn;
use crate::runtime::context::forbid_blocking;

/// Hands out a limited number of permits, first come, first served.
///
/// - Who asks for many is not overtaken by those behind who ask for few: free permits are collected for the first in
///   line until it has all.
/// - Permits may be added and forgotten at any time. Closing refuses all who wait and all who come.
/// - While nobody waits, taking and giving back a permit is one atomic operation each.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use redd::sync::Semaphore;
///
/// let slots = Semaphore::new(2);
/// let first = slots.acquire().await.unwrap();
/// let _second = slots.acquire().await.unwrap();
/// assert!(slots.try_acquire().is_err());
/// drop(first);
/// assert_eq!(slots.available_permits(), 1);
/// # });
/// ```
pub struct Semaphore {
    permits: Permits,
}

impl Semaphore {
    /// The most permits a semaphore can have: `usize::MAX >> 3`.
    pub const MAX_PERMITS: usize = Permits::MAX;

    const_fn! {
        /// A semaphore with this many permits.
        ///
        /// # Panics
        /// If `permits` exceeds [`MAX_PERMITS`](Self::MAX_PERMITS).
        #[track_caller]
        pub const fn new(permits: usize) -> Self {
            Self {
                permits: Permits::new(permits),
            }
        }
    }

    const_fn! {
        /// The same as [`new`](Self::new), for statics.
        ///
        /// # Panics
        /// If `permits` exceeds [`MAX_PERMITS`](Self::MAX_PERMITS).
        #[track_caller]
        pub const fn const_new(permits: usize) -> Self {
            Self::new(permits)
        }
    }

    /// How many permits are free now.
    pub fn available_permits(&self) -> usize {
        self.permits.available()
    }

    /// Adds `n` permits; those who wait get them first.
    ///
    /// # Panics
    /// If more than [`MAX_PERMITS`](Self::MAX_PERMITS) would be free.
    #[track_caller]
    pub fn add_permits(&self, n: usize) {
        self.permits.release(n);
    }

    /// Removes up to `n` free permits for good, and returns how many it removed.
    pub fn forget_permits(&self, n: usize) -> usize {
        self.permits.forget(n)
    }

    /// Waits for one permit.
    ///
    /// # Cancel safety
    /// Dropping the future gives the place in line away; no permit is lost.
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed, also while waiting.
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<SemaphorePermit<'_>, AcquireError>> {
        self.acquire_from(1, Some(Location::caller()))
    }

    /// Waits for `n` permits, and gets them together.
    ///
    /// # Cancel safety
    /// Dropping the future gives the place in line away; what was collected for it goes to the next.
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed, also while waiting.
    #[track_caller]
    pub fn acquire_many(&self, n: u32) -> impl Future<Output = Result<SemaphorePermit<'_>, AcquireError>> {
        self.acquire_from(n, Some(Location::caller()))
    }

    /// As [`acquire`](Self::acquire), with a permit that shares the ownership of the semaphore.
    ///
    /// # Cancel safety
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed, also while waiting.
    #[track_caller]
    pub fn acquire_owned(self: Arc<Self>) -> impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>> {
        self.acquire_owned_from(1, Some(Location::caller()))
    }

    /// As [`acquire_many`](Self::acquire_many), with a permit that shares the ownership of the semaphore.
    ///
    /// # Cancel safety
    /// As for [`acquire_many`](Self::acquire_many).
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed, also while waiting.
    #[track_caller]
    pub fn acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>> {
        self.acquire_owned_from(n, Some(Location::caller()))
    }

    #[inline]
    async fn acquire_from(&self, n: u32, place: Place) -> Result<SemaphorePermit<'_>, AcquireError> {
        if self.permits.acquire_at_once(n as usize) {
            return Ok(SemaphorePermit { semaphore: self, count: n as usize });
        }
        match self.permits.acquire(n as usize, WaitKind::Semaphore, place).await {
            Ok(()) => Ok(SemaphorePermit { semaphore: self, count: n as usize }),
            Err(_) => Err(AcquireError(())),
        }
    }

    #[inline]
    async fn acquire_owned_from(self: Arc<Self>, n: u32, place: Place) -> Result<OwnedSemaphorePermit, AcquireError> {
        if self.permits.acquire_at_once(n as usize) {
            return Ok(OwnedSemaphorePermit { semaphore: self, count: n as usize });
        }
        match self.permits.acquire(n as usize, WaitKind::Semaphore, place).await {
            Ok(()) => Ok(OwnedSemaphorePermit { semaphore: self, count: n as usize }),
            Err(_) => Err(AcquireError(())),
        }
    }

    /// Takes one permit if one is free and nobody waits for it.
    ///
    /// # Errors
    /// [`TryAcquireError::Closed`] or [`TryAcquireError::NoPermits`].
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes `n` permits if they are free and nobody waits for them.
    ///
    /// # Errors
    /// [`TryAcquireError::Closed`] or [`TryAcquireError::NoPermits`].
    pub fn try_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.permits.try_acquire(n as usize)?;
        Ok(SemaphorePermit { semaphore: self, count: n as usize })
    }

    /// As [`try_acquire`](Self::try_acquire), with a permit that shares the ownership of the semaphore.
    ///
    /// # Errors
    /// [`TryAcquireError::Closed`] or [`TryAcquireError::NoPermits`].
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// As [`try_acquire_many`](Self::try_acquire_many), with a permit that shares the ownership of the semaphore.
    ///
    /// # Errors
    /// [`TryAcquireError::Closed`] or [`TryAcquireError::NoPermits`].
    pub fn try_acquire_many_owned(self: Arc<Self>, n: u32) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.permits.try_acquire(n as usize)?;
        Ok(OwnedSemaphorePermit { semaphore: self, count: n as usize })
    }

    /// Blocks the thread until it has one permit.
    ///
    /// # Panics
    /// On a thread that runs tasks.
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed, also while waiting.
    #[track_caller]
    pub fn blocking_acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        forbid_blocking("Semaphore::blocking_acquire");
        block_on_parker(self.acquire())
    }

    /// Blocks the thread until it has `n` permits.
    ///
    /// # Panics
    /// On a thread that runs tasks.
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed, also while waiting.
    #[track_caller]
    pub fn blocking_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        forbid_blocking("Semaphore::blocking_acquire_many");
        block_on_parker(self.acquire_many(n))
    }

    /// Blocks the thread until it has one permit that shares the ownership of the semaphore.
    ///
    /// # Panics
    /// On a thread that runs tasks.
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed, also while waiting.
    #[track_caller]
    pub fn blocking_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        forbid_blocking("Semaphore::blocking_acquire_owned");
        block_on_parker(self.acquire_owned())
    }

    /// Blocks the thread until it has `n` permits that share the ownership of the semaphore.
    ///
    /// # Panics
    /// On a thread that runs tasks.
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed, also while waiting.
    #[track_caller]
    pub fn blocking_acquire_many_owned(self: Arc<Self>, n: u32) -> Result<OwnedSemaphorePermit, AcquireError> {
        forbid_blocking("Semaphore::blocking_acquire_many_owned");
        block_on_parker(self.acquire_many_owned(n))
    }

    /// Refuses from now on: all who wait and all who come get an error. Permits that are held stay valid.
    pub fn close(&self) {
        self.permits.close();
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("permits", &self.available_permits()).finish()
    }
}

/// Moves `n` out of `count`, if so many are there (`given-back-once`).
fn take(count: &mut usize, n: usize) -> Option<usize> {
    *count = count.checked_sub(n)?;
    Some(n)
}

/// Panics: permits were merged that belong to different semaphores.
#[cold]
#[track_caller]
fn foreign_merge() -> ! {
    panic!(
        "`merge` was called with a permit of a different semaphore; merge only permits that were acquired from the same one"
    )
}

/// Permits of a [`Semaphore`], given back when this is dropped.
#[must_use = "dropping it gives the permits back at once"]
#[derive(Debug)]
#[clippy::has_significant_drop]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    count: usize,
}

impl<'a> SemaphorePermit<'a> {
    /// The semaphore that they are from.
    pub fn semaphore(&self) -> &'a Semaphore {
        self.semaphore
    }
}

/// Permits of a shared [`Semaphore`], given back when this is dropped.
#[must_use = "dropping it gives the permits back at once"]
#[derive(Debug)]
#[clippy::has_significant_drop]
pub struct OwnedSemaphorePermit {
    semaphore: Arc<Semaphore>,
    count: usize,
}

impl OwnedSemaphorePermit {
    /// The semaphore that they are from.
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }
}

/// What both kinds of permits do alike.
macro_rules! permit_methods {
    ($Permit:ty) => {
        impl $Permit {
            /// Drops this without giving the permits back: the semaphore has that many fewer from now on.
            pub fn forget(mut self) {
                self.count = 0;
            }

            /// Puts the permits of `other` into this.
            ///
            /// # Panics
            /// If they are from different semaphores.
            #[track_caller]
            pub fn merge(&mut self, mut other: Self) {
                if !std::ptr::eq(&*self.semaphore, &*other.semaphore) {
                    foreign_merge();
                }
                self.count += std::mem::take(&mut other.count);
            }

            /// Splits `n` permits off. `None`, and no change, if there are fewer.
            pub fn split(&mut self, n: usize) -> Option<Self> {
                let count = take(&mut self.count, n)?;
                Some(Self { semaphore: self.semaphore.clone(), count })
            }

            /// How many permits this holds.
            pub fn num_permits(&self) -> usize {
                self.count
            }
        }

        impl Drop for $Permit {
            fn drop(&mut self) {
                self.semaphore.permits.release(self.count);
            }
        }
    };
}

permit_methods!(SemaphorePermit<'_>);
permit_methods!(OwnedSemaphorePermit);

/// The semaphore is closed. Given by the waiting methods of [`Semaphore`].
#[derive(Debug)]
pub struct AcquireError(());

error_texts! {
    [] AcquireError,
    _ => "semaphore closed",
}

/// Why a `try_acquire` gave no permit.
#[derive(Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// The semaphore is closed.
    Closed,
    /// Too few permits are free, or others wait for them.
    NoPermits,
}

impl From<Refusal> for TryAcquireError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Closed => Self::Closed,
            Refusal::NoPermits => Self::NoPermits,
        }
    }
}

error_texts! {
    [] TryAcquireError,
    Self::Closed => "semaphore closed",
    Self::NoPermits => "no permits available",
}
