//! Between tasks: locks, permits, notices and channels.
//!
//! Everything here works with any executor: it needs a `Waker` and, inside a redd task, takes part in the task's
//! budget. No part of it looks for a runtime, except the `blocking_*` methods, which refuse to block one.
//!
//! Every primitive keeps its waiters in first-come order, and every waiting future may be dropped at any await: its
//! place in the queue is lost, and what was already granted to it goes to the next waiter.

// Locks, permits, notices.
mod barrier;
pub(crate) mod blocking;
mod guard;
#[cfg(all(test, any(loom, shuttle)))]
mod models;
mod mutex;
pub(crate) mod notify;
mod once;
mod once_cell;
pub(crate) mod permits;
mod rwlock;
mod semaphore;
mod set_once;
pub(crate) mod wait_list;

// Channels.
pub mod broadcast;
#[cfg(all(test, any(loom, shuttle)))]
mod channel_models;
pub mod mpsc;
pub mod oneshot;
mod senders;
pub(crate) mod wait_until;
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
    //! Named futures of this module.

    pub use super::notify::{Notified, OwnedNotified};
}

/// Hand-made polls for the unit tests of this room.
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

    /// A waker that counts.
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
