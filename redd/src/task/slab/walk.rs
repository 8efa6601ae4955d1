//! The slab as the registry of live tasks: visiting all of them, and finding one by its address.
//!
//! Called by `poll` (shutdown), `describe` (dumps) and `scheduler::rescue` (`ref_at`). The invariants are those of the slab,
//! above all `zero-is-free` and `body-needs-ref`.

#![expect(unsafe_code, reason = "slots are raw memory")]

use std::ptr::NonNull;
use std::sync::Arc;

use super::chunk::{Chunk, GONE};
use super::task_slab::TaskSlab;
use crate::primitives::atomic::Ordering;
use crate::task::header::Header;
use crate::task::runnable::TaskRef;

impl TaskSlab {
    /// Calls `visit` with a reference to each live task. No lock is held during `visit`. Tasks that are spawned meanwhile may
    /// or may not be visited.
    ///
    /// The order follows from the order of earlier calls on the slab, and not from addresses: a simulated world cancels tasks in it.
    pub(crate) fn for_each_live(self: &Arc<Self>, mut visit: impl FnMut(TaskRef)) {
        let (chunks, large): (Vec<_>, Vec<_>) = {
            let mut central = self.central.lock();
            central.record.walkers += 1;
            central.out += 1;
            self.pin_if_closed(&mut central);
            // SAFETY: in the map, so allocated; freeing needs this lock.
            let live = central.large.iter().filter_map(|(slot, id)| Some((*id, unsafe { try_ref(*slot) }?)));
            let mut live: Vec<_> = live.collect();
            live.sort_unstable_by_key(|(id, _)| *id);
            (central.chunks.clone(), live)
        };
        let _walker = Walker(self);
        for chunk in chunks {
            // Acquire: the words of the slots below are initialised. Pairs with Release in `carve`.
            let used = Chunk::at(chunk).used.load(Ordering::Acquire);
            debug_assert_ne!(used, GONE, "`walkers-pin`");
            for index in 0..used {
                // SAFETY: `zero-is-free`: it was handed out.
                if let Some(task) = unsafe { try_ref(Chunk::slot(chunk, index)) } {
                    visit(task);
                }
            }
        }
        large.into_iter().for_each(|(_, task)| visit(task));
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
        // the lists above. The rest of the slot is accessed only with a reference.
        (central.large.contains_key(&task) || is_slot()).then(|| unsafe { try_ref(task) })?
    }
}

/// An active walker. It pins all chunks (`walkers-pin`), and counts as a slot that is out, so that a closing slab keeps them
/// too.
struct Walker<'a>(&'a Arc<TaskSlab>);

impl Drop for Walker<'_> {
    fn drop(&mut self) {
        let mut central = self.0.central.lock();
        central.record.walkers -= 1;
        central.out -= 1;
        // The walker has a reference to the slab, so this is not the last one.
        drop(self.0.finish_if_closed(central));
    }
}

/// Returns a reference to the task in this slot, if there is a live one.
///
/// # Safety
/// The slot was handed out once and its memory is still there (`zero-is-free`); only its word is accessed without
/// the reference (`body-needs-ref`).
unsafe fn try_ref(slot: NonNull<Header>) -> Option<TaskRef> {
    // SAFETY: by the safety contract; the reference was counted by `try_ref`.
    unsafe { (*slot.as_ptr()).state.try_ref().then(|| TaskRef::from_raw(slot)) }
}
