//! A guest: a thread that is not a worker, and uses a cache that is reserved for such threads.
//!
//! Called by `runtime::block_on`. The invariants are those of the slab, above all `cache-owner`.

#![expect(unsafe_code, reason = "a cache is entered by its owner only")]

use std::cell::{Cell, OnceCell};
use std::marker::PhantomPinned;
use std::mem;
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use super::central::{Central, Remains};
use super::task_slab::{CacheGuard, EnterLate, Entered, TaskSlab};
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

/// A thread that becomes a guest of `slab` when it first spawns a task there, until this is dropped.
pub(crate) struct LateGuest<'a> {
    slab: &'a Arc<TaskSlab>,
    index: usize,
    /// Set by the first spawn; `None` if another guest uses the cache.
    guest: OnceCell<Option<GuestGuard<'a>>>,
    /// What was entered before, if it is registered.
    before: Cell<Option<Entered>>,
    _pinned: PhantomPinned,
}

impl<'a> LateGuest<'a> {
    pub(crate) fn new(slab: &'a Arc<TaskSlab>, index: usize) -> Self {
        Self { slab, index, guest: OnceCell::new(), before: Cell::new(None), _pinned: PhantomPinned }
    }

    /// From now on, the first spawn of this thread enters the cache.
    pub(crate) fn register(self: Pin<&Self>) {
        let late: NonNull<dyn EnterLate + '_> = NonNull::from(self.get_ref());
        // SAFETY: it is used until the drop only, which comes before the end of the lifetime.
        let late = unsafe { mem::transmute::<NonNull<dyn EnterLate + '_>, NonNull<dyn EnterLate + 'static>>(late) };
        // SAFETY: it is pinned, so it is not moved, and its drop restores the result.
        self.before.set(Some(unsafe { Entered::replace_late(late) }));
    }

    /// As [`GuestGuard::flush`], if the thread is a guest.
    pub(crate) fn flush(&self) {
        self.guest.get().and_then(Option::as_ref).iter().for_each(|guest| guest.flush());
    }
}

impl EnterLate for LateGuest<'_> {
    fn enter(&self, slab: &TaskSlab) {
        if ptr::eq(&raw const **self.slab, slab) {
            self.guest.get_or_init(|| self.slab.enter_as_guest(self.index));
        }
    }
}

impl Drop for LateGuest<'_> {
    #[inline]
    fn drop(&mut self) {
        // `late-in-order`
        drop(self.guest.take());
        if let Some(before) = self.before.get() {
            before.restore();
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails says where")]

    use super::*;
    use crate::runtime::Builder;
    use crate::task::block_in_place;

    #[test]
    fn a_guest_enters_at_its_first_spawn_and_not_inside_of_the_loop_of_another_runtime() {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let other = Builder::new_current_thread().build().unwrap();
        let (handle, slab) = (runtime.handle(), Arc::clone(&runtime.handle().shared.slab));
        let guest = || slab.central.lock().guest;
        handle.block_on(async {
            assert_eq!(guest(), None);
            block_in_place(|| {
                other.block_on(async {
                    handle.spawn(async {}).await.unwrap();
                    assert_eq!(guest(), None, "`late-in-order`");
                    crate::spawn(async {}).await.unwrap();
                });
            });
            handle.spawn(async {}).await.unwrap();
            assert_eq!(guest(), Some(1));
            block_in_place(|| other.block_on(async { crate::spawn(async {}).await.unwrap() }));
            handle.spawn(async {}).await.unwrap();
            assert_eq!(guest(), Some(1));
        });
        assert_eq!(guest(), None);
        handle.block_on(async {});
        assert_eq!(guest(), None);
    }
}
