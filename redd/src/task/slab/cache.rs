//! One worker's cache of free slots, ids and counters: the fast path of a spawn and of a task's end.
//!
//! Called by `task_slab`, with closures that exchange magazines with the central lists, and by `guest` (flush). The
//! invariants are those of the slab, above all `cache-owner`.

#![expect(unsafe_code, reason = "slots are raw memory")]

use std::cell::Cell;
use std::ptr::NonNull;

use super::central::Central;
use super::chunk::{CLASSES, FreeList};
use super::sizes::MAGAZINE;
use crate::primitives::atomic::{AtomicU64, Ordering, fixed};
use crate::task::header::Header;

/// The number of ids that a cache takes at once.
pub(super) const ID_BLOCK: u64 = 1024;

/// One worker's free slots, block of ids and counters. See `cache-owner`.
pub(crate) struct Cache {
    current: [Cell<FreeList>; CLASSES.len()],
    previous: [Cell<FreeList>; CLASSES.len()],
    next_id: Cell<u64>,
    end_id: Cell<u64>,
    pub(super) spawned: AtomicU64,
    pub(super) completed: AtomicU64,
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

    /// Takes a slot; if there is none, one of the magazine that `refill` returns.
    #[inline]
    pub(super) fn allocate(&self, class: u8, refill: impl FnOnce() -> FreeList) -> NonNull<Header> {
        let (current, previous) = (&self.current[class as usize], &self.previous[class as usize]);
        let mut list = current.get();
        if list.head.is_null() {
            list = previous.replace(FreeList::EMPTY);
            if list.head.is_null() {
                list = refill();
            }
        }
        let slot = list.pop().expect("a magazine holds at least one slot");
        current.set(list);
        slot
    }

    /// Adds a slot that was just freed. If the cache is full, `spill` gets a magazine of it.
    ///
    /// # Safety
    /// The slot is free and in no list.
    #[inline]
    pub(super) unsafe fn free(&self, class: u8, slot: NonNull<Header>, spill: impl FnOnce(FreeList)) {
        let (current, previous) = (&self.current[class as usize], &self.previous[class as usize]);
        let mut list = current.get();
        if list.len == MAGAZINE {
            let full = previous.replace(list);
            if full.len > 0 {
                spill(full);
            }
            list = FreeList::EMPTY;
        }
        // SAFETY: by the safety contract.
        unsafe { list.push(slot) };
        current.set(list);
    }

    #[inline]
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
#[inline]
pub(super) fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// The next id for threads without a cache. Ids start at 1, and each is handed out once in the process.
pub(super) static NEXT_ID: fixed::AtomicU64 = fixed::AtomicU64::new(1);
