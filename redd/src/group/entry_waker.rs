//! The join wakers of a `JoinSet`'s entries: each pushes the index of its entry into the set's ready queue.
//!
//! Called by `join_set`.
//!
//! # Invariants
//! - `position-in-block`: a waker's data points to a byte of `Block::positions`, derived from the block's own address. The
//!   byte's value is its index in that array, which leads back to the block. The waker owns one reference to the block.
//!
//! # Why not otherwise
//! An `Arc` per entry is an allocation per task, for one number each.

#![expect(unsafe_code, reason = "wakers that share one allocation")]

use std::mem::offset_of;
use std::panic::Location;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::ready_queue::ReadyQueue;

/// The number of entries that share an allocation. No benchmark chose it.
const ENTRIES_PER_BLOCK: usize = 32;

/// The wakers of a set's entries, allocated on first use.
pub(super) struct EntryWakers {
    blocks: Vec<Arc<Block>>,
    pub(super) ready: Arc<ReadyQueue>,
}

struct Block {
    ready: Arc<ReadyQueue>,
    /// The index of the first entry.
    first: usize,
    /// Each holds its own index.
    positions: [u8; ENTRIES_PER_BLOCK],
}

impl EntryWakers {
    /// `created_at` is the line that created the set.
    pub(super) fn new(created_at: &'static Location<'static>) -> Self {
        Self { blocks: Vec::new(), ready: ReadyQueue::new(created_at) }
    }

    /// A waker that pushes `index` into the ready queue.
    pub(super) fn waker(&mut self, index: usize) -> Waker {
        let (block, position) = (index / ENTRIES_PER_BLOCK, index % ENTRIES_PER_BLOCK);
        while self.blocks.len() <= block {
            let first = self.blocks.len() * ENTRIES_PER_BLOCK;
            let positions = std::array::from_fn(|position| position as u8);
            self.blocks.push(Arc::new(Block { ready: Arc::clone(&self.ready), first, positions }));
        }
        let block = Arc::into_raw(Arc::clone(&self.blocks[block]));
        // SAFETY: the block is alive, and `position` is below `ENTRIES_PER_BLOCK`.
        let data = unsafe { (&raw const (*block).positions).cast::<u8>().add(position) };
        // SAFETY: the functions of the table keep the contract of wakers: all data is behind `Arc`s and a lock. The
        // reference from `into_raw` belongs to the waker from here on (`position-in-block`).
        unsafe { Waker::from_raw(RawWaker::new(data.cast(), &TABLE)) }
    }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// Returns the block of a waker and the index of its entry.
///
/// # Safety
/// `data` is that of a waker of this module, which still owns its reference.
unsafe fn locate(data: *const ()) -> (*const Block, usize) {
    let byte = data.cast::<u8>();
    // SAFETY: `position-in-block`: the byte is in a block that is alive, and its value is its distance from the first.
    unsafe {
        let position = usize::from(*byte);
        let block = byte.sub(offset_of!(Block, positions) + position).cast::<Block>();
        (block, (*block).first + position)
    }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the table's functions are called with a waker's data.
    let (block, _) = unsafe { locate(data) };
    // SAFETY: the block is in an `Arc`, and the waker has one of its references.
    unsafe { Arc::increment_strong_count(block) };
    RawWaker::new(data, &TABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: as in `clone`.
    let (block, index) = unsafe { locate(data) };
    // SAFETY: the waker's reference becomes ours.
    unsafe { Arc::from_raw(block) }.ready.push(index);
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: as in `clone`; the waker keeps the block.
    let (block, index) = unsafe { locate(data) };
    // SAFETY: as above.
    unsafe { &*block }.ready.push(index);
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: as in `clone`.
    let (block, _) = unsafe { locate(data) };
    // SAFETY: the waker's reference becomes ours.
    drop(unsafe { Arc::from_raw(block) });
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn each_waker_names_its_entry_and_outlives_the_set() {
        let mut wakers = EntryWakers::new(Location::caller());
        let indices = [0, 1, ENTRIES_PER_BLOCK - 1, ENTRIES_PER_BLOCK, 3 * ENTRIES_PER_BLOCK + 5, 7];
        let made: Vec<_> = indices.iter().map(|index| wakers.waker(*index)).collect();
        let ready = Arc::clone(&wakers.ready);
        drop(wakers);
        drop(made[0].clone());
        made[1].wake_by_ref();
        made.into_iter().for_each(Waker::wake);
        let mut ended = VecDeque::new();
        ready.take_into(&mut ended);
        assert_eq!(ended, [1, 0, 1, ENTRIES_PER_BLOCK - 1, ENTRIES_PER_BLOCK, 3 * ENTRIES_PER_BLOCK + 5, 7]);
        assert_eq!(Arc::strong_count(&ready), 1, "no block is left");
    }
}
