//! The future that `block_on` runs beside the tasks of a current-thread runtime, as the worker loop sees it, and its waker.
//!
//! [`Root`] is implemented by `runtime::block_on`, which has the invariant `core-or-waiting`.

use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use super::local;
use super::shared::{RootWaker, RootWakers, Shared};
use crate::primitives::atomic::{AtomicBool, Ordering};
use crate::primitives::parker::Parker;
use crate::task::coop;

/// The future that `block_on` runs beside the tasks.
pub(crate) trait Root {
    /// Whether a poll of it may panic; then the loop ends with that panic.
    const MAY_PANIC: bool;
    /// Polls it if it was woken. Returns true once it is ready.
    fn poll_if_woken(&mut self) -> bool;
    /// Whether its waker was called since the last poll.
    fn is_woken(&self) -> bool;
}

/// The root of a worker thread, which has none.
pub(super) struct NoRoot;

impl Root for NoRoot {
    const MAY_PANIC: bool = false;

    fn poll_if_woken(&mut self) -> bool {
        false
    }
    fn is_woken(&self) -> bool {
        false
    }
}

impl RootWakers {
    // Not inlined, so that all wakers have the same table.
    #[inline(never)]
    pub(crate) fn new(shared: Weak<Shared>) -> Self {
        let woken = Arc::new(RootWaker { shared, is_woken: AtomicBool::new(true), parker: Parker::new() });
        let waker = Waker::from(Arc::clone(&woken));
        coop::set_root_waker(&waker);
        Self { waker, woken }
    }

    /// Whether these two are the only references. Then no other code can make a third.
    pub(crate) fn is_unshared(&self) -> bool {
        Arc::strong_count(&self.woken) == 2
    }
}

impl Wake for RootWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // AcqRel: publishes what this thread did. Pairs with the swap in `RootPoll::poll_if_woken`.
        if self.is_woken.swap(true, Ordering::AcqRel) {
            return;
        }
        // `core-or-waiting`: this root may wait without the core, even when a task wakes it on the thread that has the core.
        // If no thread is parked, this is one swap.
        self.parker.unpark();
        // On the thread that runs the core, the loop checks the flag itself.
        if !local::runs_here(self.shared.as_ptr()) {
            // If the runtime is gone, so is the root.
            if let Some(shared) = self.shared.upgrade() {
                shared.wake_worker_after_publish();
                if let Some(baton) = &shared.config.baton {
                    baton.note_root_wake();
                }
            }
        }
    }
}
