//! Memory of tasks: chunks of equal slots, which are also the registry of live tasks.
//!
//! Called by `cell` (allocate, free), by `runtime::shutdown` and the dump (walk), by the scheduler (one [`Cache`] per
//! worker). A [`TaskSlab`] belongs to one runtime or one `LocalSet`.
//!
//! # Invariants
//! - `zero-is-free`: a slot holds a task exactly while its state word counts references. The word is only ever accessed
//!   atomically, also when a task moves in, so a walker may look at any slot at any time.
//! - `body-needs-ref`: nothing of a slot but the word (and, for the owner of the free list, `next`) is touched without
//!   a reference.
//! - `type-stable`: a chunk stays a chunk until all its slots are free and either the heap is closed or the chunk is
//!   trimmed, which happens while nobody walks (`trim`'s `walkers-pin`).
//! - `cache-owner`: a `Cache` is used only by the thread that entered it, one thread at a time. A guest's cache goes from
//!   one thread to the next under the lock of the central lists, and is empty then.
//! - `slab-outlives-slots`: while a closed heap has slots out, it owns a reference to itself, and it has its owner. So a
//!   thread that has a reference to a task may use the heap and its owner.
//! - `no-suicide`: no method of a heap drops what may be the last reference to it, its owner or its memory. They return
//!   it as [`Remains`], which the caller drops where no reference to the heap is an argument any more.
//!
//! # Why not otherwise
//! `malloc` and a sharded list of live tasks cost 60-90 ns a task (two locks, three read-modify-writes); here a spawn
//! takes no lock, and freeing goes to the freeing worker's own list, which needs no atomics either.

#![expect(unsafe_code, reason = "slots are raw memory")]

mod cache;
mod central;
mod chunk;
mod trim;

use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Arc, Weak};

use super::Id;
use super::cell::{Header, TaskRef};
use super::hooks::TaskHooks;
use super::runnable::Schedule;
use crate::primitives::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::primitives::{Mutex, cell::UnsafeCell};
use cache::Cache;
pub(crate) use cache::GuestGuard;
use central::{Central, Remains};
use chunk::Chunk;
pub(super) use chunk::{LARGE, class_of};
use trim::{NEVER, Walker};

/// The memory of one scheduler's tasks.
pub(crate) struct TaskSlab {
    central: Mutex<Central>,
    caches: Box<[Cache]>,
    owner: UnsafeCell<Option<Arc<dyn Schedule>>>,
    pub(crate) hooks: TaskHooks,
    spawned: AtomicU64,
    completed: AtomicU64,
    /// Names given with `task::Builder`.
    pub(super) names: Mutex<BTreeMap<Id, Arc<str>>>,
    /// Milliseconds since the heap was made, updated when workers look at the clock.
    pub(crate) coarse_ms: AtomicU32,
    /// See [`next_trim_at`](Self::next_trim_at). Written under the lock of `central`.
    tending: AtomicU64,
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
            coarse_ms: AtomicU32::new(0),
            tending: AtomicU64::new(NEVER),
            me: me.clone(),
        })
    }

    /// Says who schedules the tasks of this slab.
    ///
    /// # Safety
    /// Called once, before the first task is spawned and before the heap is shared.
    pub(crate) unsafe fn set_owner(&self, owner: Arc<dyn Schedule>) {
        // SAFETY: nobody else has the heap yet.
        self.owner.with_mut(|slot| unsafe { *slot = Some(owner) });
    }

    /// Who schedules the tasks.
    ///
    /// # Safety
    /// The caller has a reference to a task of this heap (`slab-outlives-slots`), or has the owner by other means.
    pub(super) unsafe fn owner(&self) -> &dyn Schedule {
        // SAFETY: by this function's duty.
        unsafe { self.owner_if_open() }.expect("an owner is set before the first task is spawned")
    }

    /// As [`owner`](Self::owner); `None` for a task that was born after the heap had been closed.
    ///
    /// # Safety
    /// As for `owner`.
    pub(super) unsafe fn owner_if_open(&self) -> Option<&dyn Schedule> {
        // SAFETY: written before the first task, taken after the last slot is free; the caller holds a slot.
        self.owner.with(|owner| unsafe { (*owner).as_deref() })
    }

    /// The heap of a task.
    ///
    /// # Safety
    /// The caller has a reference to the task; it is not used longer than that.
    pub(super) unsafe fn of<'a>(task: NonNull<Header>) -> &'a Self {
        // SAFETY: by this function's duty the header is alive.
        let vtable = unsafe { (*task.as_ptr()).vtable() };
        let slab = if vtable.class == LARGE {
            // SAFETY: `allocate` wrote the heap's address just before a large task.
            unsafe { task.cast::<*const Self>().sub(1).read() }
        } else {
            // SAFETY: the slot of a task that is alive is in a chunk (`type-stable`).
            unsafe { Chunk::of(task).as_ref() }.slab
        };
        // SAFETY: `slab-outlives-slots`.
        unsafe { &*slab }
    }

    /// Calls `visit` with a reference to each task that is alive now. No lock is held during `visit`; tasks spawned
    /// meanwhile may or may not be visited.
    pub(super) fn for_each_live(self: &Arc<Self>, mut visit: impl FnMut(TaskRef)) {
        let (chunks, large): (Vec<_>, Vec<_>) = {
            let mut central = self.central.lock();
            central.record.walkers += 1;
            central.out += 1;
            self.pin_if_closed(&mut central);
            // SAFETY: in the set, so allocated; freeing needs this lock.
            let live = central.large.iter().filter_map(|slot| unsafe { try_ref(*slot) });
            (central.chunks.clone(), live.collect())
        };
        let _walker = Walker(self);
        for chunk in chunks {
            // Acquire: the words of the slots below are initialised. Pairs with Release in `carve`.
            let used = Chunk::at(chunk).used.load(Ordering::Acquire);
            debug_assert_ne!(used, trim::GONE, "`walkers-pin`");
            for index in 0..used {
                // SAFETY: `zero-is-free`: it was handed out.
                if let Some(task) = unsafe { try_ref(Chunk::slot(chunk, index)) } {
                    visit(task);
                }
            }
        }
        large.into_iter().for_each(visit);
    }

    /// A reference to the task at `address`, if one is alive there now. The address may be stale: it need only have been
    /// a task of this heap once, as `Runnable::as_ptr` gives it. Its chunk may have other slots by now.
    pub(crate) fn ref_at(&self, address: *mut Header) -> Option<TaskRef> {
        let task = NonNull::new(address)?;
        // Under this lock no chunk and no large task is freed.
        let central = self.central.lock();
        let chunk = Chunk::of(task);
        let is_slot = || {
            let known = central.chunks.iter().find(|known| **known == chunk);
            known.is_some_and(|known| Chunk::has_slot(*known, task))
        };
        // SAFETY: `zero-is-free`: a slot that was handed out once may be looked at while its chunk or itself is in the
        // lists above; no more is touched without a reference.
        (central.large.contains(&task) || is_slot()).then(|| unsafe { try_ref(task) })?
    }

    /// The scheduler has ended: no cache is entered any more, but for a guest's. Slots that are still out (a `JoinHandle` or a waker
    /// outlives the runtime) keep the slab; the last one frees it.
    pub(crate) fn close(self: &Arc<Self>) {
        drop(self.end());
    }

    fn end(&self) -> Remains {
        let mut central = self.central.lock();
        // Without chunks no slot is anywhere.
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
}

impl Drop for TaskSlab {
    fn drop(&mut self) {
        // A heap that was never closed (its runtime could not be built) has no tasks.
        drop(self.end());
    }
}

/// A reference to the task in this slot, if one is alive there now.
///
/// # Safety
/// The slot was handed out once and its memory is still there (`zero-is-free`); no more than its word is touched without
/// the reference (`body-needs-ref`).
unsafe fn try_ref(slot: NonNull<Header>) -> Option<TaskRef> {
    // SAFETY: by this function's duty; the reference was counted by `try_ref`.
    unsafe { (*slot.as_ptr()).state.try_ref().then(|| TaskRef::from_raw(slot)) }
}
