//! The central lists of a slab: slots that are in no cache, and the memory that they are carved from.
//!
//! Called by `cache` (a magazine at a time), by threads without a cache (a slot at a time), by `trim` and by the slab itself.
//! The invariants are those of the slab, above all `slab-outlives-slots` and `no-suicide`.

#![expect(unsafe_code, reason = "slots are raw memory")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::collections::BTreeSet;
use std::ptr::NonNull;
use std::sync::Arc;

use super::TaskSlab;
use super::chunk::{CHUNK, CHUNK_HEADER, CLASSES, Chunk, FreeList, LARGE, MAGAZINE, free_large, large_layout};
use super::trim::Record;
use crate::primitives::atomic::{AtomicU32, Ordering};
use crate::task::header::Header;
use crate::task::runnable::Schedule;

/// The smallest number of chunks that are allocated at once. A slab doubles its chunks, so that allocations stay few: the
/// alignment costs an allocator a chunk of addresses and two pages each time.
pub(super) const AREA_MIN: usize = 16;
/// The largest number of chunks that are allocated at once.
pub(super) const AREA_MAX: usize = 1024;

/// Slots that are in no cache.
pub(super) struct Central {
    /// The allocations that chunks are taken from.
    pub(super) areas: Vec<(NonNull<u8>, Layout)>,
    pub(super) chunks: Vec<NonNull<Chunk>>,
    pub(super) magazines: [Vec<FreeList>; CLASSES.len()],
    /// Freed one by one, by threads without a cache.
    pub(super) loose: [FreeList; CLASSES.len()],
    pub(super) large: BTreeSet<NonNull<Header>>,
    /// The number of slots that are in caches or hold a task, plus one for each walker and one for a guest.
    pub(super) out: usize,
    pub(super) is_closed: bool,
    /// `slab-outlives-slots`
    pub(super) pinned: Option<Arc<TaskSlab>>,
    /// The index of the cache that a guest has entered.
    pub(super) guest: Option<usize>,
    pub(super) record: Record,
}

impl Central {
    pub(super) fn new() -> Self {
        Self {
            areas: Vec::new(),
            chunks: Vec::new(),
            magazines: std::array::from_fn(|_| Vec::new()),
            loose: [FreeList::EMPTY; CLASSES.len()],
            large: BTreeSet::new(),
            out: 0,
            is_closed: false,
            pinned: None,
            guest: None,
            record: Record::new(),
        }
    }

    /// Allocates an area and returns its first chunk. The others become spare.
    pub(super) fn new_area(&mut self) -> NonNull<Chunk> {
        let count = self.chunks.len().clamp(AREA_MIN, AREA_MAX);
        let layout = Layout::from_size_align(count * CHUNK, CHUNK).expect("a power of two is a valid alignment");
        // SAFETY: the layout is not empty.
        let Some(area) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        self.areas.push((area, layout));
        // SAFETY: inside the area.
        let chunk = |index| unsafe { area.add(index * CHUNK) }.cast();
        self.record.spare.extend((1..count).rev().map(chunk));
        area.cast()
    }
}

/// What a method of a slab releases, for its caller to drop (`no-suicide`).
#[derive(Default)]
#[must_use = "dropped where no reference to the slab is an argument"]
pub(crate) struct Remains {
    /// The scheduler to notify of idle memory.
    notify: Option<Arc<dyn Schedule>>,
    /// These three are released when the last slot of a closed slab is free.
    _owner: Option<Arc<dyn Schedule>>,
    _pinned: Option<Arc<TaskSlab>>,
    areas: Vec<(NonNull<u8>, Layout)>,
}

impl Remains {
    pub(super) fn notifying(mut self, notify: Option<Arc<dyn Schedule>>) -> Self {
        self.notify = notify;
        self
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        for (area, layout) in self.areas.drain(..) {
            // SAFETY: allocated by `new_area`; all slots of its chunks are free and in no list.
            unsafe { dealloc(area.as_ptr(), layout) };
        }
        if let Some(owner) = self.notify.take() {
            // No lock is held: this may end the runtime, which closes the slab.
            owner.request_trim();
        }
    }
}

impl TaskSlab {
    /// Frees a slot.
    ///
    /// # Safety
    /// The slot belongs to this slab, its state counts no reference and is marked free, its body is dropped. The caller
    /// must not use the slab after it has dropped the result, unless it owns a reference of its own.
    #[inline(never)]
    pub(in crate::task) unsafe fn free(&self, slot: NonNull<Header>, class: u8, layout: Layout) -> Remains {
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

    /// Records that much memory lies idle. Returns the scheduler to notify, if that was not recorded before.
    ///
    /// The result owns a reference, because the slab may close after the lock is released.
    pub(super) fn scheduler_to_notify(&self, central: &Central, is_much: bool) -> Option<Arc<dyn Schedule>> {
        if !is_much || central.is_closed || !self.record_idle() {
            return None;
        }
        // SAFETY: written before the first task; taken under the lock, which we hold, of a slab that is closed.
        self.owner.with(|owner| unsafe { (*owner).clone() })
    }

    pub(super) fn give_magazine(&self, class: u8, list: FreeList) {
        let mut central = self.central.lock();
        if central.put_back(class as usize, list.len as usize) {
            // This thread is a worker and checks by itself before it sleeps.
            self.record_idle();
        }
        central.magazines[class as usize].push(list);
        debug_assert!(!central.is_closed || central.out > 0 || central.pinned.is_some());
    }

    pub(super) fn take_magazine(&self, central: &mut Central, class: u8) -> FreeList {
        let list = match central.magazines[class as usize].pop() {
            Some(list) => {
                central.take_out(class as usize, list.len as usize);
                list
            }
            None => {
                let list = self.carve(central, class);
                central.out += list.len as usize;
                list
            }
        };
        self.pin_if_closed(central);
        list
    }

    /// Takes slots that were never used, from the newest chunk of the class or from a new one.
    pub(super) fn carve(&self, central: &mut Central, class: u8) -> FreeList {
        let size = CLASSES[class as usize];
        let capacity = (CHUNK - CHUNK_HEADER) as u32 / size;
        let has_room = |chunk: &NonNull<Chunk>| {
            let chunk = Chunk::at(*chunk);
            chunk.slot_size == size && chunk.used() < capacity
        };
        // The newest chunks are at the end, so a chunk with room is found at once or not at all.
        let chunk = match central.chunks.iter().rev().take(2 * CLASSES.len()).find(|chunk| has_room(chunk)) {
            Some(chunk) => *chunk,
            None => {
                let chunk = self.new_chunk(central, size);
                central.chunks.push(chunk);
                chunk
            }
        };
        let used = &Chunk::at(chunk).used;
        let first = used.load(Ordering::Relaxed);
        let count = MAGAZINE.min(capacity - first);
        let mut list = FreeList::EMPTY;
        for index in (first..first + count).rev() {
            // SAFETY: inside the chunk, never handed out before, so no walker reads it (`used` is lower).
            unsafe {
                let slot = Chunk::slot(chunk, index);
                Header::initialise_free(slot);
                list.push(slot);
            }
        }
        // Release: publishes the state words. Pairs with Acquire in `for_each_live`.
        used.store(first + count, Ordering::Release);
        list
    }

    pub(super) fn new_chunk(&self, central: &mut Central, slot_size: u32) -> NonNull<Chunk> {
        let chunk = central.record.spare.pop().unwrap_or_else(|| central.new_area());
        let (used, in_hand) = (AtomicU32::new(0), AtomicU32::new(0));
        // SAFETY: unused memory, large enough.
        unsafe { chunk.write(Chunk { slab: self, slot_size, used, in_hand }) };
        chunk
    }

    pub(super) fn allocate_large(&self, layout: Layout) -> NonNull<Header> {
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
        central.large.insert(slot);
        central.out += 1;
        self.pin_if_closed(&mut central);
        slot
    }

    /// `slab-outlives-slots`: called after `out` grew.
    pub(super) fn pin_if_closed(&self, central: &mut Central) {
        if central.is_closed && central.pinned.is_none() {
            central.pinned = self.me.upgrade();
        }
    }

    /// Called after `out` shrank. If no slot is out any more, the caller gets the memory.
    pub(super) fn finish_if_closed(&self, mut central: crate::primitives::MutexGuard<'_, Central>) -> Remains {
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
        Remains { notify: None, _owner: owner, _pinned: central.pinned.take(), areas }
    }
}
