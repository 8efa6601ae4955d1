//! One worker's cache of free slots, ids and counters: the fast path of a spawn and of a task's end.
//!
//! Called by `cell` (allocate, free), by the scheduler (enter, flush) and by `block_on` (as a guest). It exchanges magazines
//! with the central lists. The invariants are those of the slab, above all `cache-owner`.

#![expect(unsafe_code, reason = "slots are raw memory")]

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use super::TaskSlab;
use super::central::{Central, Remains};
use super::chunk::{CLASSES, FreeList, LARGE, MAGAZINE};
use crate::primitives::atomic::{AtomicU64, Ordering, fixed};
use crate::primitives::thread_local;
use crate::task::header::{Header, VTable};
use crate::task::id::Id;
use crate::task::runnable::Schedule;

/// The number of ids that a cache takes at once.
pub(super) const ID_BLOCK: u64 = 1024;

/// One worker's free slots, block of ids and counters. See `cache-owner`.
pub(crate) struct Cache {
    current: [Cell<FreeList>; CLASSES.len()],
    previous: [Cell<FreeList>; CLASSES.len()],
    next_id: Cell<u64>,
    end_id: Cell<u64>,
    spawned: AtomicU64,
    completed: AtomicU64,
}

// SAFETY: `cache-owner`; the counters are atomics and may be read by any thread.
unsafe impl Sync for Cache {}

// SAFETY: free slots belong to no thread.
unsafe impl Send for Cache {}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            current: std::array::from_fn(|_| Cell::new(FreeList::EMPTY)),
            previous: std::array::from_fn(|_| Cell::new(FreeList::EMPTY)),
            next_id: Cell::new(0),
            end_id: Cell::new(0),
            spawned: AtomicU64::new(0),
            completed: AtomicU64::new(0),
        }
    }

    /// Returns all free slots to the central lists. Returns true if those should be checked for idle memory.
    pub(super) fn flush(&self, central: &mut Central) -> bool {
        let mut is_much = false;
        for class in 0..CLASSES.len() {
            for list in [self.current[class].take(), self.previous[class].take()] {
                if list.len > 0 {
                    is_much |= central.put_back(class, list.len as usize);
                    central.magazines[class].push(list);
                }
            }
        }
        is_much
    }

    pub(super) fn allocate(&self, slab: &TaskSlab, class: u8) -> NonNull<Header> {
        let (current, previous) = (&self.current[class as usize], &self.previous[class as usize]);
        let mut list = current.get();
        if list.head.is_null() {
            list = previous.replace(FreeList::EMPTY);
            if list.head.is_null() {
                list = slab.take_magazine(&mut slab.central.lock(), class);
            }
        }
        let slot = list.pop().expect("a magazine holds at least one slot");
        current.set(list);
        slot
    }

    pub(super) fn free(&self, slab: &TaskSlab, class: u8, slot: NonNull<Header>) {
        let (current, previous) = (&self.current[class as usize], &self.previous[class as usize]);
        let mut list = current.get();
        if list.len == MAGAZINE {
            let full = previous.replace(list);
            if full.len > 0 {
                slab.give_magazine(class, full);
            }
            list = FreeList::EMPTY;
        }
        // SAFETY: the slot was just freed, so no other thread has it.
        unsafe { list.push(slot) };
        current.set(list);
    }

    pub(super) fn id(&self) -> u64 {
        let mut id = self.next_id.get();
        if id == self.end_id.get() {
            id = NEXT_ID.fetch_add(ID_BLOCK, Ordering::Relaxed);
            self.end_id.set(id + ID_BLOCK);
        }
        self.next_id.set(id + 1);
        id
    }
}

/// Increments a counter that only its owner writes, without a read-modify-write.
pub(super) fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// The next id for threads without a cache. Ids start at 1, and each is handed out once in the process.
pub(super) static NEXT_ID: fixed::AtomicU64 = fixed::AtomicU64::new(1);

thread_local! {
    /// The cache that this thread has entered, with its slab.
    static ENTERED: Cell<(*const TaskSlab, *const Cache)> = const { Cell::new((ptr::null(), ptr::null())) };
}

impl TaskSlab {
    /// The calling thread's cache, if it has entered this slab.
    #[inline]
    pub(super) fn my_cache(&self) -> Option<&Cache> {
        let (slab, cache) = ENTERED.get();
        // SAFETY: set by `enter` for as long as its guard lives, and the guard's owner keeps the slab.
        ptr::eq(slab, self).then(|| unsafe { &*cache })
    }

    /// Whether this thread has entered the slab. Then it keeps the owner alive (see [`enter`](Self::enter)).
    #[inline]
    pub(in crate::task) fn is_entered_here(&self) -> bool {
        ptr::eq(ENTERED.get().0, self)
    }

    /// Makes this thread the owner of cache `index` while the guard lives.
    ///
    /// # Safety
    /// `cache-owner`: no other thread uses this cache meanwhile. This thread keeps the slab and its owner alive for longer
    /// than the guard.
    pub(crate) unsafe fn enter(&self, index: usize) -> CacheGuard {
        CacheGuard { before: ENTERED.replace((ptr::from_ref(self), &raw const self.caches[index])) }
    }

    /// As [`enter`](Self::enter), for a thread that is not a worker, with a cache reserved for guests.
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

    /// Allocates a free slot (state 0) and an id for a task with this table. The caller moves the task in and publishes it.
    pub(in crate::task) fn allocate(&self, vtable: &'static VTable) -> (NonNull<Header>, Id) {
        let cache = self.my_cache();
        let id = match cache {
            Some(cache) => cache.id(),
            None => NEXT_ID.fetch_add(1, Ordering::Relaxed),
        };
        match cache {
            _ if vtable.is_blocking => {}
            Some(cache) => bump(&cache.spawned),
            None => {
                self.spawned.fetch_add(1, Ordering::Relaxed);
            }
        }
        let slot = match cache {
            _ if vtable.class == LARGE => self.allocate_large(vtable.layout),
            Some(cache) => cache.allocate(self, vtable.class),
            None => {
                let (mut central, class) = (self.central.lock(), vtable.class as usize);
                if central.loose[class].head.is_null() {
                    let magazine = self.take_magazine(&mut central, vtable.class);
                    // Nothing to report: the slots were free before, or the memory is about to be used.
                    let _ = central.put_back(class, magazine.len as usize);
                    central.loose[class] = magazine;
                }
                let slot = central.loose[class].pop().expect("a magazine holds at least one slot");
                central.take_out(class, 1);
                self.pin_if_closed(&mut central);
                slot
            }
        };
        (slot, Id(id))
    }

    /// Frees a slot into this thread's cache. Returns false if it has none, or if the slot is large: then call
    /// [`free`](Self::free).
    ///
    /// # Safety
    /// As for `free`.
    #[inline]
    pub(in crate::task) unsafe fn free_to_cache(&self, slot: NonNull<Header>, class: u8) -> bool {
        if class == LARGE {
            return false;
        }
        let Some(cache) = self.my_cache() else { return false };
        cache.free(self, class, slot);
        true
    }

    pub(in crate::task) fn count_completed(&self, vtable: &VTable) {
        match self.my_cache() {
            _ if vtable.is_blocking => {}
            Some(cache) => bump(&cache.completed),
            None => {
                self.completed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The number of tasks that were spawned and have not completed. A snapshot: other threads continue meanwhile.
    pub(crate) fn alive(&self) -> usize {
        // Completed first: a task counted there was counted as spawned before, so the difference is not negative
        // by more than what is in flight.
        let completed = self.completed.load(Ordering::Relaxed)
            + self.caches.iter().map(|cache| cache.completed.load(Ordering::Relaxed)).sum::<u64>();
        self.spawned_total().saturating_sub(completed) as usize
    }

    /// The number of tasks ever spawned here.
    pub(crate) fn spawned_total(&self) -> u64 {
        self.spawned.load(Ordering::Relaxed)
            + self.caches.iter().map(|cache| cache.spawned.load(Ordering::Relaxed)).sum::<u64>()
    }

    /// Returns this thread's free slots to the central lists. Called before it sleeps while memory lies idle.
    pub(crate) fn flush_cache(&self) {
        if let Some(cache) = self.my_cache() {
            let mut central = self.central.lock();
            if cache.flush(&mut central) {
                self.record_idle();
            }
        }
    }
}

/// Makes this thread allocate from and free to one cache, until it is dropped.
#[derive(Debug)]
pub(crate) struct CacheGuard {
    before: (*const TaskSlab, *const Cache),
}

impl Drop for CacheGuard {
    fn drop(&mut self) {
        ENTERED.set(self.before);
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

    pub(super) fn flush_locked(&self) -> (crate::primitives::MutexGuard<'_, Central>, Option<Arc<dyn Schedule>>) {
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
