//! `TaskSlab`: the caches, the central lists, and the scheduler of their tasks.
//!
//! Called by `cell` (allocate, free), by `waker` and `poll` (the owner), and by the scheduler (one [`Cache`] per worker). The
//! invariants are those of the slab.

#![expect(unsafe_code, reason = "slots are raw memory")]

use std::alloc::{Layout, alloc, handle_alloc_error};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Weak};

use super::cache::{Cache, NEXT_ID, bump};
use super::central::{Central, Remains};
use super::chunk::{CLASSES, Chunk, FreeList, LARGE, free_large, large_layout};
use super::sizes::MAGAZINE;
use crate::observe::coarse;
use crate::observe::hooks::TaskHooks;
use crate::primitives::atomic::{AtomicU64, Ordering};
use crate::primitives::cell::UnsafeCell;
use crate::primitives::{Mutex, MutexGuard, thread_local};
use crate::task::header::{Header, VTable};
use crate::task::id::Id;
use crate::task::runnable::Schedule;

/// `NEVER`: nothing to do. `SOON`: memory is idle, but the clock has not been read yet.
pub(super) const NEVER: u64 = u64::MAX;
pub(super) const SOON: u64 = 0;

/// The memory of one scheduler's tasks.
pub(crate) struct TaskSlab {
    pub(super) central: Mutex<Central>,
    pub(super) caches: Box<[Cache]>,
    owner: UnsafeCell<Option<Arc<dyn Schedule>>>,
    pub(crate) hooks: TaskHooks,
    spawned: AtomicU64,
    completed: AtomicU64,
    /// Names given with `task::Builder`.
    pub(crate) names: Mutex<BTreeMap<Id, Arc<str>>>,
    /// See [`next_trim_at`](Self::next_trim_at). Written under the lock of `central`.
    pub(super) tending: AtomicU64,
    me: Weak<TaskSlab>,
}

// SAFETY: chunks and slots are shared under the invariants above; `owner` is written before the first task exists
// and taken after the last slot is free.
unsafe impl Send for TaskSlab {}
// SAFETY: as above.
unsafe impl Sync for TaskSlab {}

impl TaskSlab {
    pub(crate) fn new(caches: usize, hooks: TaskHooks) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            central: Mutex::new(Central::new()),
            caches: (0..caches).map(|_| Cache::new()).collect(),
            owner: UnsafeCell::new(None),
            hooks,
            spawned: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            names: Mutex::default(),
            tending: AtomicU64::new(NEVER),
            me: me.clone(),
        })
    }

    /// Sets the scheduler of this slab's tasks.
    ///
    /// # Safety
    /// Called once, before the first task is spawned and before the slab is shared.
    pub(crate) unsafe fn set_owner(&self, owner: Arc<dyn Schedule>) {
        // SAFETY: no other thread has the slab yet.
        self.owner.with_mut(|slot| unsafe { *slot = Some(owner) });
    }

    /// The scheduler of this slab's tasks.
    ///
    /// # Safety
    /// The caller has a reference to a task of this slab (`slab-outlives-slots`), or has the owner by other means.
    pub(crate) unsafe fn owner(&self) -> &dyn Schedule {
        // SAFETY: by the safety contract.
        unsafe { self.owner_if_open() }.expect("an owner is set before the first task is spawned")
    }

    /// As [`owner_if_open`](Self::owner_if_open), with a reference that keeps nothing alive.
    ///
    /// # Safety
    /// As for `owner`.
    pub(crate) unsafe fn weak_owner_if_open(&self) -> Option<Weak<dyn Schedule>> {
        // SAFETY: written before the first task, taken after the last slot is free; the caller holds a slot.
        self.owner.with(|owner| unsafe { (*owner).as_ref().map(Arc::downgrade) })
    }

    /// As [`owner`](Self::owner). `None` for a task that was spawned after the slab had been closed.
    ///
    /// # Safety
    /// As for `owner`.
    pub(crate) unsafe fn owner_if_open(&self) -> Option<&dyn Schedule> {
        // SAFETY: written before the first task, taken after the last slot is free; the caller holds a slot.
        self.owner.with(|owner| unsafe { (*owner).as_deref() })
    }

    /// The slab that a task belongs to.
    ///
    /// # Safety
    /// The caller has a reference to the task, and does not use the slab longer than that.
    pub(crate) unsafe fn of<'a>(task: NonNull<Header>) -> &'a Self {
        // SAFETY: by the safety contract the header is alive.
        let vtable = unsafe { (*task.as_ptr()).vtable() };
        let slab = if vtable.class == LARGE {
            // SAFETY: `allocate` wrote the slab's address just before a large task.
            unsafe { task.cast::<*const Self>().sub(1).read() }
        } else {
            // SAFETY: the slot of a live task is in a chunk (`type-stable`).
            unsafe { Chunk::of(task).as_ref() }.slab.cast()
        };
        // SAFETY: `slab-outlives-slots`.
        unsafe { &*slab }
    }

    /// Called when the scheduler has ended, so no cache is entered any more, except a guest's.
    ///
    /// Slots that are still out keep the slab, for example those of a `JoinHandle` that outlives the runtime. The last one
    /// frees it.
    pub(crate) fn close(self: &Arc<Self>) {
        drop(self.end());
    }

    fn end(&self) -> Remains {
        let mut central = self.central.lock();
        // Without chunks there are no slots.
        let caches = if central.chunks.is_empty() { &[][..] } else { &self.caches };
        for (index, cache) in caches.iter().enumerate() {
            // A guest empties its own when it leaves.
            if central.guest != Some(index) {
                cache.flush(&mut central);
            }
        }
        central.is_closed = true;
        if central.out > 0 {
            self.pin_if_closed(&mut central);
        }
        self.finish_if_closed(central)
    }

    /// The calling thread's cache, if it has entered this slab.
    #[inline]
    fn my_cache(&self) -> Option<&Cache> {
        let entered = ENTERED.get();
        // SAFETY: set by `enter` for as long as its guard lives, and the guard's owner keeps the slab.
        ptr::eq(entered.slab, self).then(|| unsafe { &*entered.cache })
    }

    /// Whether this thread has entered the slab. Then it keeps the owner alive (see [`enter`](Self::enter)).
    #[inline]
    pub(crate) fn is_entered_here(&self) -> bool {
        ptr::eq(ENTERED.get().slab, self)
    }

    /// Makes this thread the owner of cache `index` while the guard lives.
    ///
    /// # Safety
    /// `cache-owner`: no other thread uses this cache meanwhile. This thread keeps the slab and its owner alive for longer
    /// than the guard.
    pub(crate) unsafe fn enter(&self, index: usize) -> CacheGuard {
        let entered = Entered { slab: self, cache: &raw const self.caches[index], late: None };
        CacheGuard { before: ENTERED.replace(entered) }
    }

    /// The cache of a thread that has none, if it is to enter one when it first spawns (`late-in-order`).
    #[cold]
    fn enter_late(&self) -> Option<&Cache> {
        // SAFETY: the guard that registered it removes it in its drop.
        unsafe { ENTERED.get().late?.as_ref() }.enter(self);
        self.my_cache()
    }

    /// Allocates a free slot (state 0) and an id for a task with this table. The caller moves the task in and publishes it.
    pub(crate) fn allocate(&self, vtable: &'static VTable) -> (NonNull<Header>, Id) {
        let cache = match self.my_cache() {
            Some(cache) => Some(cache),
            None => self.enter_late(),
        };
        let id = match cache {
            Some(cache) => cache.id(),
            None => {
                // A `LocalSet` has no cache. It spawns on the thread that runs it.
                if !self.caches.is_empty() {
                    coarse::refresh(); // `coarse-is-close`
                }
                NEXT_ID.fetch_add(1, Ordering::Relaxed)
            }
        };
        match cache {
            _ if vtable.is_blocking => {}
            Some(cache) => bump(&cache.spawned),
            None => {
                self.spawned.fetch_add(1, Ordering::Relaxed);
            }
        }
        let slot = match cache {
            _ if vtable.class == LARGE => self.allocate_large(vtable.layout, id),
            Some(cache) => cache.allocate(vtable.class, || self.take_magazine(&mut self.central.lock(), vtable.class)),
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
    pub(crate) unsafe fn free_to_cache(&self, slot: NonNull<Header>, class: u8) -> bool {
        if class == LARGE {
            return false;
        }
        let Some(cache) = self.my_cache() else { return false };
        // SAFETY: by the safety contract the slot was just freed, so no other thread has it.
        unsafe { cache.free(class, slot, |full| self.give_magazine(class, full)) };
        true
    }

    #[inline]
    pub(crate) fn count_completed(&self, vtable: &VTable) {
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

    /// Returns this thread's free slots to the central lists. Called before the thread parks while memory is idle.
    pub(crate) fn flush_cache(&self) {
        if let Some(cache) = self.my_cache() {
            let mut central = self.central.lock();
            if cache.flush(&mut central) {
                self.record_idle();
            }
        }
    }

    /// Frees a slot.
    ///
    /// # Safety
    /// The slot belongs to this slab, its state counts no reference and is marked free, its body is dropped. The caller
    /// must not use the slab after it has dropped the result, unless it owns a reference of its own.
    #[inline(never)]
    pub(crate) unsafe fn free(&self, slot: NonNull<Header>, class: u8, layout: Layout) -> Remains {
        if class == LARGE {
            let mut central = self.central.lock();
            central.large.remove(&slot);
            central.out -= 1;
            // SAFETY: made by `allocate_large` with the same layout; no walker can reach it any more (`zero-is-free`,
            // and it has left the set that walkers read under this lock).
            unsafe { free_large(slot, layout) };
            self.finish_if_closed(central)
        } else {
            let mut central = self.central.lock();
            let is_much = central.put_back(class as usize, 1);
            let notify = self.scheduler_to_notify(&central, is_much);
            let mut loose = central.loose[class as usize];
            if loose.len == MAGAZINE {
                central.magazines[class as usize].push(loose);
                loose = FreeList::EMPTY;
            }
            // SAFETY: the slot was just freed, so no other thread has it.
            unsafe { loose.push(slot) };
            central.loose[class as usize] = loose;
            self.finish_if_closed(central).notifying(notify)
        }
    }

    /// Records that much memory is idle. Returns the scheduler to notify, if that was not recorded before.
    ///
    /// The result owns a reference, because the slab may close after the lock is released.
    pub(super) fn scheduler_to_notify(&self, central: &Central, is_much: bool) -> Option<Arc<dyn Schedule>> {
        if !is_much || central.is_closed || !self.record_idle() {
            return None;
        }
        // SAFETY: written before the first task; taken under the lock, which we hold, of a slab that is closed.
        self.owner.with(|owner| unsafe { (*owner).clone() })
    }

    #[cold]
    fn give_magazine(&self, class: u8, list: FreeList) {
        let mut central = self.central.lock();
        if central.put_back(class as usize, list.len as usize) {
            // This thread is a worker and checks by itself before it sleeps.
            self.record_idle();
        }
        central.magazines[class as usize].push(list);
        debug_assert!(!central.is_closed || central.out > 0 || central.pinned.is_some());
    }

    #[cold]
    fn take_magazine(&self, central: &mut Central, class: u8) -> FreeList {
        let list = match central.magazines[class as usize].pop() {
            Some(list) => {
                central.take_out(class as usize, list.len as usize);
                list
            }
            None => {
                let list = central.carve(ptr::from_ref(self).cast(), class);
                central.out += list.len as usize;
                list
            }
        };
        self.pin_if_closed(central);
        list
    }

    fn allocate_large(&self, layout: Layout, id: u64) -> NonNull<Header> {
        let (whole, offset) = large_layout(layout);
        // SAFETY: the layout is not empty.
        let Some(start) = NonNull::new(unsafe { alloc(whole) }) else { handle_alloc_error(whole) };
        // SAFETY: the offset leaves at least 64 bytes before the task, and the layout has room for it behind.
        let slot = unsafe {
            let slot = start.add(offset).cast::<Header>();
            slot.cast::<*const Self>().sub(1).write(self);
            Header::initialise_free(slot);
            slot
        };
        let mut central = self.central.lock();
        central.large.insert(slot, id);
        central.out += 1;
        self.pin_if_closed(&mut central);
        slot
    }

    /// `slab-outlives-slots`: called after `out` grew.
    pub(super) fn pin_if_closed(&self, central: &mut Central) {
        if central.is_closed && central.pinned.is_none() {
            central.pinned = self.me.upgrade().map(|slab| slab as Arc<dyn Send + Sync>);
        }
    }

    /// Called after `out` shrank. If no slot is out any more, the caller gets the memory.
    pub(super) fn finish_if_closed(&self, mut central: MutexGuard<'_, Central>) -> Remains {
        if !central.is_closed || central.out > 0 {
            return Remains::default();
        }
        let areas = std::mem::take(&mut central.areas);
        if !areas.is_empty() {
            (central.chunks, central.record.spare) = (Vec::new(), Vec::new());
            central.magazines = std::array::from_fn(|_| Vec::new());
            central.loose = [FreeList::EMPTY; CLASSES.len()];
        }
        // SAFETY: all slots are free and the slab is closed, so the owner is not used any more.
        let owner = self.owner.with_mut(|owner| unsafe { (*owner).take() });
        Remains { notify: None, owner, pinned: central.pinned.take(), areas }
    }

    /// The time in milliseconds at which `maybe_trim` is to be called; `u64::MAX` for never.
    #[inline]
    pub(crate) fn next_trim_at(&self) -> u64 {
        self.tending.load(Ordering::Relaxed)
    }

    /// Records that free memory has grown. The caller holds the lock. Returns true if it was not recorded before.
    pub(super) fn record_idle(&self) -> bool {
        let is_new = self.tending.load(Ordering::Relaxed) == NEVER;
        if is_new {
            self.tending.store(SOON, Ordering::Relaxed);
        }
        is_new
    }
}

impl Drop for TaskSlab {
    fn drop(&mut self) {
        // A slab that was never closed (its runtime could not be built) has no tasks.
        drop(self.end());
    }
}

thread_local! {
    static ENTERED: Cell<Entered> =
        const { Cell::new(Entered { slab: ptr::null(), cache: ptr::null(), late: None }) };
}

/// The cache that a thread has entered, with its slab. Null: none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entered {
    slab: *const TaskSlab,
    cache: *const Cache,
    /// What a thread without a cache enters when it first spawns.
    late: Option<NonNull<dyn EnterLate>>,
}

/// A thread that enters a cache when it first spawns.
pub(super) trait EnterLate {
    /// Enters the cache, if it is one of `slab`.
    fn enter(&self, slab: &TaskSlab);
}

impl Entered {
    /// What is entered now, and `late` at the first spawn.
    ///
    /// # Safety
    /// The caller restores the result before `late` ends, or is moved.
    pub(super) unsafe fn replace_late(late: NonNull<dyn EnterLate>) -> Self {
        let before = ENTERED.get();
        ENTERED.set(Self { late: Some(late), ..before });
        before
    }

    pub(super) fn restore(self) {
        ENTERED.set(self);
    }
}

/// Makes this thread allocate from and free to one cache, until it is dropped.
#[derive(Debug)]
pub(crate) struct CacheGuard {
    before: Entered,
}

impl Drop for CacheGuard {
    fn drop(&mut self) {
        self.before.restore();
    }
}
