//! A guest: a thread that is not a worker, and uses a cache that is reserved for such threads.
//!
//! Called by `runtime::block_on`. The invariants are those of the slab, above all `cache-owner`.

#![expect(unsafe_code, reason = "a cache is entered by its owner only")]

use std::sync::Arc;

use super::central::{Central, Remains};
use super::task_slab::{CacheGuard, TaskSlab};
use crate::primitives::MutexGuard;
use crate::task::runnable::Schedule;

impl TaskSlab {
    /// As `enter`, for a thread that is not a worker, with a cache reserved for guests.
    ///
    /// Returns `None` if another guest uses that cache, or if the slab is closed.
    pub(crate) fn enter_as_guest(self: &Arc<Self>, index: usize) -> Option<GuestGuard<'_>> {
        let mut central = self.central.lock();
        if central.guest.is_some() || central.is_closed {
            return None;
        }
        central.guest = Some(index);
        // A guest may wake tasks without a reference to them: the owner stays alive until the guest leaves.
        central.out += 1;
        // SAFETY: `cache-owner`: the entry above is ours until the guard's drop, which the borrow of the slab outlives.
        Some(GuestGuard { slab: self, entered: Some(unsafe { self.enter(index) }), index })
    }
}

/// As [`CacheGuard`], for a guest.
pub(crate) struct GuestGuard<'a> {
    slab: &'a Arc<TaskSlab>,
    /// `Some` until the drop.
    entered: Option<CacheGuard>,
    index: usize,
}

impl GuestGuard<'_> {
    /// Returns all free slots to the central lists. Called by a guest that is about to sleep for an unknown time.
    pub(crate) fn flush(&self) {
        let (central, notify) = self.flush_locked();
        drop(central);
        drop(Remains::default().notifying(notify));
    }

    fn flush_locked(&self) -> (MutexGuard<'_, Central>, Option<Arc<dyn Schedule>>) {
        let mut central = self.slab.central.lock();
        // `cache-owner`: this thread has entered it.
        let is_much = self.slab.caches[self.index].flush(&mut central);
        let notify = self.slab.scheduler_to_notify(&central, is_much);
        (central, notify)
    }
}

impl Drop for GuestGuard<'_> {
    fn drop(&mut self) {
        drop(self.entered.take());
        let (mut central, notify) = self.flush_locked();
        central.guest = None;
        central.out -= 1;
        drop(self.slab.finish_if_closed(central).notifying(notify));
    }
}
