//! Synchronization between tasks: locks, semaphores, notifications and channels.
//!
//! | to | use |
//! |---|---|
//! | pass work to a task | [`mpsc`], bounded or unbounded |
//! | get one result from a task | [`oneshot`] |
//! | publish the latest value, such as a configuration | [`watch`] |
//! | send every message to every receiver | [`broadcast`] |
//! | share a value that is used across an `await` | [`Mutex`], [`RwLock`] |
//! | limit how many tasks do something at a time | [`Semaphore`] |
//! | wake a task without a value | [`Notify`] |
//! | let tasks wait for each other | [`Barrier`] |
//! | initialize a value once | [`OnceCell`], [`SetOnce`] |
//!
//! - All of them work on any executor, and between threads. Inside a redd task they use the task's budget.
//! - Waiters are served first come, first served.
//! - A waiting future may be dropped at any time. Its place in the queue is lost, and what was granted to it goes to the
//!   next waiter.
//! - The `blocking_*` methods block the thread, for code that is not asynchronous. They panic on a thread that runs
//!   tasks.
//!
//! # Examples
//! Tasks send their results over a channel, and a semaphore limits how many run at a time:
//! ```
//! use redd::sync::{Semaphore, mpsc};
//! use std::sync::Arc;
//!
//! # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let (results, mut receiver) = mpsc::channel(16);
//! let limit = Arc::new(Semaphore::new(4));
//! for number in 1..=10 {
//!     let (results, limit) = (results.clone(), limit.clone());
//!     redd::spawn(async move {
//!         let _permit = limit.acquire().await.unwrap();
//!         results.send(number * number).await.unwrap();
//!     });
//! }
//! drop(results); // so that the channel ends with the last task
//! let mut sum = 0;
//! while let Some(square) = receiver.recv().await {
//!     sum += square;
//! }
//! assert_eq!(sum, 385);
//! # });
//! ```

// Locks, permits, notifications.
mod barrier;
pub(crate) mod blocking;
mod guard;
mod last_taken;
#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/sync_waiting.rs"]
mod models;
mod mutex;
pub(crate) mod notify;
mod once;
mod once_cell;
pub(crate) mod permits;
mod rwlock;
mod semaphore;
mod set_once;
mod wait_cell;
pub(crate) mod wait_list;

// Channels.
pub mod broadcast;
#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/sync_channels.rs"]
mod channel_models;
pub mod mpsc;
pub mod oneshot;
mod senders;
pub(crate) mod wait_until;
pub(crate) mod waits;
pub(crate) mod waker_cell;
pub mod watch;

pub use barrier::{Barrier, BarrierWaitResult};
pub use mutex::{MappedMutexGuard, Mutex, MutexGuard, OwnedMappedMutexGuard, OwnedMutexGuard, TryLockError};
pub use notify::Notify;
pub use once_cell::{OnceCell, SetError};
pub use permits::TryAcquireError;
pub use rwlock::{
    OwnedRwLockMappedWriteGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, RwLockMappedWriteGuard,
    RwLockReadGuard, RwLockWriteGuard,
};
pub use semaphore::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
pub use set_once::{SetOnce, SetOnceError};

pub mod futures {
    //! The futures of this module that have names.

    pub use super::notify::{Notified, OwnedNotified};
}

/// Single polls, for the unit tests of this room.
#[cfg(test)]
pub(crate) mod testing {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    /// Polls once with a waker that does nothing.
    #[allow(dead_code, reason = "the models use it")]
    pub(crate) fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Counts how often its waker is woken.
    #[derive(Debug, Default)]
    pub(crate) struct Wakes(AtomicUsize);

    impl Wakes {
        pub(crate) fn new() -> (Arc<Self>, Waker) {
            let wakes = Arc::new(Self::default());
            (Arc::clone(&wakes), Waker::from(wakes))
        }

        pub(crate) fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
