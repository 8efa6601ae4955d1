//! The memory of tasks: chunks of equal slots, which are also the registry of live tasks.
//!
//! Called by `cell` (allocate, free), by `runtime::shutdown` and the dump (walk), and by the scheduler (one [`Cache`] per
//! worker). A [`TaskSlab`] belongs to one runtime or one `LocalSet`.
//!
//! | file | noun |
//! |---|---|
//! | `chunk` | chunks, their slots, lists of free slots |
//! | `cache` | a worker's free slots, ids and counters |
//! | `central` | the lists behind the lock, and what a slab lets go of |
//! | `trim` | giving idle memory back to the system |
//!
//! # Invariants
//! - `zero-is-free`: a slot holds a task exactly while its state word counts references. The word is always accessed
//!   atomically, also when a task moves in. So a walker may read the word of any slot at any time.
//! - `body-needs-ref`: a thread without a reference touches only the state word of a slot. The owner of a free list also
//!   touches `next`.
//! - `type-stable`: a chunk stays a chunk until all its slots are free and either the slab is closed or the chunk is
//!   trimmed, which happens while no walker is active (`trim`'s `walkers-pin`).
//! - `cache-owner`: a `Cache` is used only by the thread that entered it, one thread at a time. A guest's cache goes from
//!   one thread to the next under the lock of the central lists, and is empty then.
//! - `slab-outlives-slots`: while a closed slab has slots out, it owns a reference to itself, and it has its owner. So a
//!   thread that has a reference to a task may use the slab and its owner.
//! - `no-suicide`: no method of a slab drops what may be the last reference to it, its owner or its memory. They return
//!   it as [`Remains`], which the caller drops where no reference to the slab is an argument any more.
//!
//! # Why not otherwise
//! `malloc` and a sharded list of live tasks cost 60-90 ns a task: two locks and three read-modify-writes. Here a spawn takes
//! no lock. A freed slot goes to the freeing worker's own list, which needs no atomics either.

#![expect(unsafe_code, reason = "slots are raw memory")]

mod cache;
mod central;
mod chunk;
mod trim;

use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Arc, Weak};

use super::header::Header;
use super::hooks::TaskHooks;
use super::id::Id;
use super::runnable::{Schedule, TaskRef};
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
    /// Milliseconds since the slab was created, updated when workers read the clock.
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
    pub(super) unsafe fn owner(&self) -> &dyn Schedule {
        // SAFETY: by the safety contract.
        unsafe { self.owner_if_open() }.expect("an owner is set before the first task is spawned")
    }

    /// As [`owner`](Self::owner). `None` for a task that was spawned after the slab had been closed.
    ///
    /// # Safety
    /// As for `owner`.
    pub(super) unsafe fn owner_if_open(&self) -> Option<&dyn Schedule> {
        // SAFETY: written before the first task, taken after the last slot is free; the caller holds a slot.
        self.owner.with(|owner| unsafe { (*owner).as_deref() })
    }

    /// The slab that a task belongs to.
    ///
    /// # Safety
    /// The caller has a reference to the task, and does not use the slab longer than that.
    pub(super) unsafe fn of<'a>(task: NonNull<Header>) -> &'a Self {
        // SAFETY: by the safety contract the header is alive.
        let vtable = unsafe { (*task.as_ptr()).vtable() };
        let slab = if vtable.class == LARGE {
            // SAFETY: `allocate` wrote the slab's address just before a large task.
            unsafe { task.cast::<*const Self>().sub(1).read() }
        } else {
            // SAFETY: the slot of a live task is in a chunk (`type-stable`).
            unsafe { Chunk::of(task).as_ref() }.slab
        };
        // SAFETY: `slab-outlives-slots`.
        unsafe { &*slab }
    }

    /// Calls `visit` with a reference to each live task. No lock is held during `visit`. Tasks that are spawned meanwhile may
    /// or may not be visited.
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

    /// Returns a reference to the task at `address`, if there is a live one.
    ///
    /// The address may be stale: it need only have been a task of this slab once, as `Runnable::as_ptr` returns it. Its chunk
    /// may have slots of another size by now.
    pub(crate) fn ref_at(&self, address: *mut Header) -> Option<TaskRef> {
        let task = NonNull::new(address)?;
        // Under this lock no chunk and no large task is freed.
        let central = self.central.lock();
        let chunk = Chunk::of(task);
        let is_slot = || {
            let known = central.chunks.iter().find(|known| **known == chunk);
            known.is_some_and(|known| Chunk::has_slot(*known, task))
        };
        // SAFETY: `zero-is-free`: the word of a slot that was handed out once may be read while the slot or its chunk is in
        // the lists above. No more is touched without a reference.
        (central.large.contains(&task) || is_slot()).then(|| unsafe { try_ref(task) })?
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
}

impl Drop for TaskSlab {
    fn drop(&mut self) {
        // A slab that was never closed (its runtime could not be built) has no tasks.
        drop(self.end());
    }
}

/// Returns a reference to the task in this slot, if there is a live one.
///
/// # Safety
/// The slot was handed out once and its memory is still there (`zero-is-free`); no more than its word is touched without
/// the reference (`body-needs-ref`).
unsafe fn try_ref(slot: NonNull<Header>) -> Option<TaskRef> {
    // SAFETY: by the safety contract; the reference was counted by `try_ref`.
    unsafe { (*slot.as_ptr()).state.try_ref().then(|| TaskRef::from_raw(slot)) }
}
