//! The slots of a driver. They are found by index without a lock, and allocated and freed under one.
//!
//! Called by `source` (allocates, frees, finds) and by `Driver` (finds the slot of an event, walks all at shutdown).
//!
//! # Invariants
//! - `pages-stay`: a published page is neither moved nor freed. After the drop of its slab it serves another one. So a slot
//!   may be accessed at any time; at worst that concerns another registration.
//! - `one-holder`: an index is either in the free list or held by one registration.
//!
//! # Why not otherwise
//! If the epoll token were a pointer, each event would need a proof that its target is alive. Reference counts for that
//! cost two read-modify-writes per event. Slots that are never freed need neither: a late event finds a newer
//! generation.

#![expect(unsafe_code, reason = "pages are published through an atomic pointer")]

use super::slot::IoSlot;
use crate::driver::errors::shutdown_error;
use crate::primitives::Mutex;
use crate::primitives::atomic::{AtomicPtr, Ordering};
use crate::primitives::reuse_pool::Pool;
use std::io;

/// Slots in the first page; each page is twice as large as the one before it.
const FIRST_PAGE: usize = 64;
/// Pages enough for 2^28 descriptors. Linux allows a process 2^30 at most, and a million by default.
const PAGES: usize = 22;

/// The slots of one page.
#[derive(Debug)]
struct Page(Box<[IoSlot]>);

/// Pages that no slab uses now, by their size.
static IDLE_PAGES: [Pool<Page>; PAGES] = [const { Pool::new() }; PAGES];

/// See the module page.
#[derive(Debug)]
pub(crate) struct Slab {
    pages: [AtomicPtr<IoSlot>; PAGES],
    free: Mutex<Free>,
}

#[derive(Debug, Default)]
struct Free {
    /// Indices that were used before. The last one freed is reused first, because its slot is still in the cache.
    indices: Vec<u32>,
    /// Indices from here on were never used.
    unused: u32,
    /// Total number of allocations.
    allocated: u64,
    is_closed: bool,
    /// In the order of `Slab::pages`.
    pages: Vec<&'static Page>,
}

/// Returns the page of a slot and its offset in the page.
fn locate(index: u32) -> (usize, usize) {
    let position = index as usize + FIRST_PAGE;
    let page = (position / FIRST_PAGE).ilog2();
    (page as usize, position - (FIRST_PAGE << page))
}

impl Slab {
    pub(crate) fn new() -> Self {
        Self { pages: std::array::from_fn(|_| AtomicPtr::new(std::ptr::null_mut())), free: Mutex::new(Free::default()) }
    }

    /// Returns the slot of `index`, or `None` if no such slot was ever allocated.
    pub(crate) fn slot(&self, index: u32) -> Option<&'static IoSlot> {
        let (page, offset) = locate(index);
        // Acquire: the slots of the page are initialised. Pairs with Release in `Slab::allocate`.
        let first = self.pages.get(page)?.load(Ordering::Acquire);
        if first.is_null() {
            return None;
        }
        debug_assert!(offset < FIRST_PAGE << page, "`locate` stays within the page");
        // SAFETY: `pages-stay`: the page holds `FIRST_PAGE << page` slots, and is only ever shared.
        Some(unsafe { &*first.add(offset) })
    }

    /// Allocates an index for one registration.
    pub(crate) fn allocate(&self) -> io::Result<u32> {
        let mut free = self.free.lock();
        if free.is_closed {
            return Err(shutdown_error());
        }
        if let Some(index) = free.indices.pop() {
            free.allocated += 1;
            return Ok(index);
        }
        let index = free.unused;
        let (page, offset) = locate(index);
        let Some(first) = self.pages.get(page) else {
            return Err(io::Error::other(
                "the I/O driver has no room for another descriptor: 2^28 are registered, close some first",
            ));
        };
        if offset == 0 {
            let slots = IDLE_PAGES[page].take(|| Page((0..FIRST_PAGE << page).map(|_| IoSlot::new()).collect()));
            free.pages.push(slots);
            // Release: publishes the slots. Pairs with Acquire in `Slab::slot`.
            first.store(slots.0.as_ptr().cast_mut(), Ordering::Release);
        }
        free.unused += 1;
        free.allocated += 1;
        Ok(index)
    }

    /// Frees an index. The caller was its `one-holder` and has ended the use of its slot.
    pub(crate) fn free(&self, index: u32) {
        self.free.lock().indices.push(index);
    }

    /// Refuses all later allocations, and returns the number of indices that were ever used.
    pub(crate) fn close(&self) -> u32 {
        let mut free = self.free.lock();
        free.is_closed = true;
        free.unused
    }

    /// Returns the number of indices that were ever used.
    pub(crate) fn used(&self) -> u32 {
        self.free.lock().unused
    }

    /// Returns the total number of allocations.
    pub(crate) fn allocated_total(&self) -> u64 {
        self.free.lock().allocated
    }

    /// Returns the number of current registrations.
    pub(crate) fn len(&self) -> usize {
        let free = self.free.lock();
        free.unused as usize - free.indices.len()
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        // All registrations have ended: each has a reference to the driver.
        for (page, slots) in self.free.lock().pages.drain(..).enumerate() {
            slots.0.iter().for_each(IoSlot::become_new);
            IDLE_PAGES[page].give_back(slots);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_fill_the_pages_without_gaps() {
        let mut expected = (0, 0);
        for index in 0..5000 {
            assert_eq!(locate(index), expected);
            expected.1 += 1;
            if expected.1 == FIRST_PAGE << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        assert!(locate(u32::MAX).0 >= PAGES || locate(u32::MAX).0 < 32);
    }

    #[test]
    fn a_freed_index_is_used_again_first_and_a_closed_slab_refuses() {
        let slab = Slab::new();
        let indices: Vec<u32> = (0..200).map(|_| slab.allocate().expect("there is room")).collect();
        assert_eq!(indices, (0..200).collect::<Vec<_>>());
        assert_eq!(slab.len(), 200);
        assert!(slab.slot(199).is_some());
        assert!(slab.slot(100_000).is_none());
        slab.free(77);
        assert_eq!(slab.allocate().expect("there is room"), 77);
        assert_eq!(slab.close(), 200);
        assert_eq!(slab.allocate().expect_err("closed").kind(), io::ErrorKind::Other);
    }
}
