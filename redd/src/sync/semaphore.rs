//! A counting semaphore with owned and borrowed permits: [`Semaphore`].
//!
//! The counting and the line of waiters are in `permits`; here are the types that give permits back when dropped.
//!
//! # Invariants
//! - `given-back-once`: a permit object returns its count on drop; `forget`, `merge` and `split` move the count out of
//!   one object before another has it.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use super::blocking::block_thread_on;
use super::permits::{Permits, TryAcquireError};
use crate::observe::resources::{Resource, ResourceKind};
use crate::observe::waiting::WaitKind;
use crate::primitives::const_fn;

/// The ways to permits: waiting, without waiting, and blocking the thread, for one and for many. `$permit` makes what who
/// has got them gets.
macro_rules! acquire_methods {
    (
        $this:ident: $Self:ty => $permit:ident -> $Permit:ty, $how:literal;
        $one:ident, $many:ident, $try_one:ident, $try_many:ident, $block_one:ident, $block_many:ident
    ) => {
        #[doc = concat!("Waits for one permit", $how, ".")]
        ///
        /// # Cancel safety
        /// Dropping the future gives the place in line away.
        ///
        /// # Errors
        /// [`AcquireError`] if the semaphore is closed, also while waiting.
        #[track_caller]
        pub fn $one($this: $Self) -> impl Future<Output = Result<$Permit, AcquireError>> {
            $this.$many(1)
        }

        #[doc = concat!("Waits for `n` permits", $how, ", and gets them together.")]
        ///
        /// # Cancel safety
        /// Dropping the future gives the place in line away; what was collected for it goes to the next.
        ///
        /// # Errors
        /// [`AcquireError`] if the semaphore is closed, also while waiting.
        #[track_caller]
        pub fn $many($this: $Self, n: u32) -> impl Future<Output = Result<$Permit, AcquireError>> {
            let location = Some(Location::caller());
            let owner = $this.permits.owner.clone();
            owner.instrument(concat!("Semaphore::", stringify!($many)), "poll_acquire", async move {
                if !$this.permits.acquire_at_once(n as usize) {
                    let acquired = $this.permits.acquire(n as usize, WaitKind::Semaphore, location).await;
                    acquired.map_err(|_closed| AcquireError(()))?;
                }
                Ok($this.$permit(n))
            })
        }

        #[doc = concat!("Takes one permit", $how, ", if one is free and nobody waits for it.")]
        ///
        /// # Errors
        /// [`TryAcquireError::Closed`] or [`TryAcquireError::NoPermits`].
        pub fn $try_one($this: $Self) -> Result<$Permit, TryAcquireError> {
            $this.$try_many(1)
        }

        #[doc = concat!("Takes `n` permits", $how, ", if they are free and nobody waits for them.")]
        ///
        /// # Errors
        /// [`TryAcquireError::Closed`] or [`TryAcquireError::NoPermits`].
        pub fn $try_many($this: $Self, n: u32) -> Result<$Permit, TryAcquireError> {
            $this.permits.try_acquire(n as usize)?;
            Ok($this.$permit(n))
        }

        #[doc = concat!("Blocks the thread until it has one permit", $how, ".")]
        ///
        /// # Panics
        /// On a thread that runs tasks.
        ///
        /// # Errors
        /// [`AcquireError`] if the semaphore is closed, also while waiting.
        #[track_caller]
        pub fn $block_one($this: $Self) -> Result<$Permit, AcquireError> {
            block_thread_on(concat!("Semaphore::", stringify!($block_one)), $this.$one())
        }

        #[doc = concat!("Blocks the thread until it has `n` permits", $how, ".")]
        ///
        /// # Panics
        /// On a thread that runs tasks.
        ///
        /// # Errors
        /// [`AcquireError`] if the semaphore is closed, also while waiting.
        #[track_caller]
        pub fn $block_many($this: $Self, n: u32) -> Result<$Permit, AcquireError> {
            block_thread_on(concat!("Semaphore::", stringify!($block_many)), $this.$many(n))
        }
    };
}

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

    /// A semaphore with this many permits.
    ///
    /// # Panics
    /// If `permits` exceeds [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[track_caller]
    pub fn new(permits: usize) -> Self {
        Self { permits: Permits::part_of(Resource::new(ResourceKind::Semaphore), permits, []) }
    }

    const_fn! {
        /// The same as [`new`](Self::new), for statics; not among the resources in tokio-console.
        ///
        /// # Panics
        /// If `permits` exceeds [`MAX_PERMITS`](Self::MAX_PERMITS).
        #[track_caller]
        pub const fn const_new(permits: usize) -> Self {
            Self {
                permits: Permits::new(permits),
            }
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
        self.permits.report(|| []);
    }

    /// Removes up to `n` free permits for good, and returns how many it removed.
    pub fn forget_permits(&self, n: usize) -> usize {
        let forgotten = self.permits.forget(n);
        self.permits.report(|| []);
        forgotten
    }

    acquire_methods! {
        self: &Self => borrowed -> SemaphorePermit<'_>, "";
        acquire, acquire_many, try_acquire, try_acquire_many, blocking_acquire, blocking_acquire_many
    }

    acquire_methods! {
        self: Arc<Self> => owned -> OwnedSemaphorePermit, ", with a share of the semaphore's ownership";
        acquire_owned, acquire_many_owned, try_acquire_owned, try_acquire_many_owned,
        blocking_acquire_owned, blocking_acquire_many_owned
    }

    // The two are called by who has just got so many permits.

    fn borrowed(&self, count: u32) -> SemaphorePermit<'_> {
        let permit = SemaphorePermit { semaphore: self, count: count as usize };
        self.permits.report(|| []);
        permit
    }

    fn owned(self: Arc<Self>, count: u32) -> OwnedSemaphorePermit {
        let permit = OwnedSemaphorePermit { semaphore: self, count: count as usize };
        permit.semaphore.permits.report(|| []);
        permit
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

debug_struct!([] Semaphore as "Semaphore", self => { permits: self.available_permits() });

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
            // `given-back-once`, here and below.

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
                assert!(
                    std::ptr::eq(&*self.semaphore, &*other.semaphore),
                    "`merge` was called with a permit of a different semaphore; merge only permits that were acquired \
                     from the same one"
                );
                self.count += std::mem::take(&mut other.count);
            }

            /// Splits `n` permits off. `None`, and no change, if there are fewer.
            pub fn split(&mut self, n: usize) -> Option<Self> {
                self.count = self.count.checked_sub(n)?;
                Some(Self { semaphore: self.semaphore.clone(), count: n })
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
