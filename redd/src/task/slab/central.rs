//! The central lists of a slab: slots that are in no cache, the memory that they are carved from, and the account of
//! that memory.
//!
//! Called by `task_slab`, `walk`, `guest` and `trim`, under the slab's lock. The invariants are those of the slab, above all
//! `slab-outlives-slots` and `no-suicide`.

#![expect(unsafe_code, reason = "slots are raw memory")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::Arc;

use super::chunk::{CHUNK_HEADER, CLASSES, Chunk, FreeList};
use super::sizes::{CHUNK, MAGAZINE};
use crate::primitives::atomic::{AtomicU32, Ordering};
use crate::task::header::Header;
use crate::task::runnable::Schedule;

/// Free memory up to this many bytes is not worth a trim.
pub(super) const KEPT: usize = 1 << 20;
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
    /// The large tasks with their ids.
    pub(super) large: BTreeMap<NonNull<Header>, u64>,
    /// The number of slots that are in caches or hold a task, plus one for each walker and one for a guest.
    pub(super) out: usize,
    pub(super) is_closed: bool,
    /// The slab itself, once it is closed (`slab-outlives-slots`).
    pub(super) pinned: Option<Arc<dyn Send + Sync>>,
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
            large: BTreeMap::new(),
            out: 0,
            is_closed: false,
            pinned: None,
            guest: None,
            record: Record::new(),
        }
    }

    /// Allocates an area and returns its first chunk. The others become spare.
    fn new_area(&mut self) -> NonNull<Chunk> {
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

    /// Takes slots that were never used, from the newest chunk of the class or from a new one. `slab` is the address of
    /// the slab that these lists belong to.
    pub(super) fn carve(&mut self, slab: *const (), class: u8) -> FreeList {
        let size = CLASSES[class as usize];
        let capacity = (CHUNK - CHUNK_HEADER) as u32 / size;
        let has_room = |chunk: &NonNull<Chunk>| {
            let chunk = Chunk::at(*chunk);
            chunk.slot_size == size && chunk.used() < capacity
        };
        // The newest chunks are at the end, so a chunk with room is found at once or not at all.
        let chunk = match self.chunks.iter().rev().take(2 * CLASSES.len()).find(|chunk| has_room(chunk)) {
            Some(chunk) => *chunk,
            None => {
                let chunk = self.new_chunk(slab, size);
                self.chunks.push(chunk);
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

    fn new_chunk(&mut self, slab: *const (), slot_size: u32) -> NonNull<Chunk> {
        let chunk = self.record.spare.pop().unwrap_or_else(|| self.new_area());
        let (used, in_hand) = (AtomicU32::new(0), AtomicU32::new(0));
        // SAFETY: unused memory, large enough.
        unsafe { chunk.write(Chunk { slab, slot_size, used, in_hand }) };
        chunk
    }

    /// Accounts for slots that leave the central lists.
    pub(super) fn take_out(&mut self, class: usize, count: usize) {
        self.out += count;
        self.record.took(count * CLASSES[class] as usize);
    }

    /// Accounts for slots that return to the central lists. Returns true if there is enough free memory to consider a trim.
    pub(super) fn put_back(&mut self, class: usize, count: usize) -> bool {
        self.out -= count;
        self.record.gave(count * CLASSES[class] as usize)
    }
}

/// The account of free memory.
pub(super) struct Record {
    /// Bytes in the central lists.
    pub(super) free: usize,
    /// The smallest value of `free` since the last check.
    pub(super) least: usize,
    /// The free memory after the last trim, which is not worth another.
    pub(super) floor: usize,
    pub(super) is_under_way: bool,
    /// `walkers-pin`
    pub(super) walkers: usize,
    /// Chunks without slots, most of them without pages.
    pub(super) spare: Vec<NonNull<Chunk>>,
}

impl Record {
    const fn new() -> Self {
        Self { free: 0, least: 0, floor: 0, is_under_way: false, walkers: 0, spare: Vec::new() }
    }

    fn took(&mut self, bytes: usize) {
        self.free -= bytes;
        self.least = self.least.min(self.free);
        self.floor = self.floor.min(self.free);
    }

    /// Returns true if there is now enough free memory to consider a trim.
    fn gave(&mut self, bytes: usize) -> bool {
        self.free += bytes;
        self.free >= self.floor + KEPT && !self.is_under_way
    }
}

/// What a method of a slab releases, for its caller to drop (`no-suicide`).
#[derive(Default)]
#[must_use = "dropped where no reference to the slab is an argument"]
pub(crate) struct Remains {
    /// The scheduler to notify of idle memory.
    pub(super) notify: Option<Arc<dyn Schedule>>,
    /// These three are released when the last slot of a closed slab is free.
    #[expect(dead_code, reason = "it is only dropped")]
    pub(super) owner: Option<Arc<dyn Schedule>>,
    #[expect(dead_code, reason = "it is only dropped")]
    pub(super) pinned: Option<Arc<dyn Send + Sync>>,
    pub(super) areas: Vec<(NonNull<u8>, Layout)>,
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
