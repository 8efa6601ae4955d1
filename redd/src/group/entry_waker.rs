//! The join wakers of the tasks of a set or group: each reports the index of its entry, on the thread where the task ends.
//!
//! Called by `set_state` and `group_state`.
//!
//! # Invariants
//! - `position-in-block`: a waker's data points to a byte of `Block::positions`, derived from the block's own address. The
//!   byte's value is its index in that array, which leads back to the block. The waker owns one reference to the block.
//!
//! # Why not otherwise
//! An `Arc` per entry is an allocation per task, for one number each.

#![expect(unsafe_code, reason = "wakers that share one allocation")]

use std::marker::PhantomData;
use std::mem::offset_of;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// The number of entries that share an allocation. No benchmark chose it.
const ENTRIES_PER_BLOCK: usize = 32;

/// What the entries belong to.
pub(super) trait EntryOwner: Send + Sync + 'static {
    /// The task of an entry has ended. Called once for each waker, by a thread that has a reference to the task.
    fn task_ended(self: &Arc<Self>, index: usize);
}

/// The wakers of the entries of an owner, allocated on first use. They keep the owner alive.
pub(super) struct EntryWakers<O> {
    blocks: Vec<Arc<Block<O>>>,
}

struct Block<O> {
    owner: Arc<O>,
    /// The index of the first entry.
    first: usize,
    /// Each holds its own index.
    positions: [u8; ENTRIES_PER_BLOCK],
}

impl<O> EntryWakers<O> {
    pub(super) const fn new() -> Self {
        Self { blocks: Vec::new() }
    }
}

impl<O: EntryOwner> EntryWakers<O> {
    /// A waker that reports `index` to `owner`, which is the same in each call.
    pub(super) fn waker(&mut self, owner: &Arc<O>, index: usize) -> Waker {
        let (block, position) = (index / ENTRIES_PER_BLOCK, index % ENTRIES_PER_BLOCK);
        while self.blocks.len() <= block {
            let first = self.blocks.len() * ENTRIES_PER_BLOCK;
            let positions = std::array::from_fn(|position| position as u8);
            self.blocks.push(Arc::new(Block { owner: Arc::clone(owner), first, positions }));
        }
        let block = Arc::into_raw(Arc::clone(&self.blocks[block]));
        // SAFETY: the block is alive, and `position` is below `ENTRIES_PER_BLOCK`.
        let data = unsafe { (&raw const (*block).positions).cast::<u8>().add(position) };
        // SAFETY: the functions of the table keep the contract of wakers: an owner is `Send` and `Sync`. The reference from
        // `into_raw` belongs to the waker from here on (`position-in-block`).
        unsafe { Waker::from_raw(RawWaker::new(data.cast(), Table::<O>::TABLE)) }
    }
}

/// The functions of the wakers of one type of owner.
struct Table<O>(PhantomData<O>);

impl<O: EntryOwner> Table<O> {
    const TABLE: &'static RawWakerVTable =
        &RawWakerVTable::new(Self::clone, Self::wake, Self::wake_by_ref, Self::drop_waker);

    /// Returns the block of a waker and the index of its entry.
    ///
    /// # Safety
    /// `data` is that of a waker of this table, which still owns its reference.
    unsafe fn locate(data: *const ()) -> (*const Block<O>, usize) {
        let byte = data.cast::<u8>();
        // SAFETY: `position-in-block`: the byte is in a block that is alive, and its value is its distance from the first.
        unsafe {
            let position = usize::from(*byte);
            let block = byte.sub(offset_of!(Block<O>, positions) + position).cast::<Block<O>>();
            (block, (*block).first + position)
        }
    }

    unsafe fn clone(data: *const ()) -> RawWaker {
        // SAFETY: the table's functions are called with a waker's data.
        let (block, _) = unsafe { Self::locate(data) };
        // SAFETY: the block is in an `Arc`, and the waker has one of its references.
        unsafe { Arc::increment_strong_count(block) };
        RawWaker::new(data, Self::TABLE)
    }

    unsafe fn wake(data: *const ()) {
        // SAFETY: as in `clone`.
        let (block, index) = unsafe { Self::locate(data) };
        // SAFETY: the waker's reference becomes ours.
        unsafe { Arc::from_raw(block) }.owner.task_ended(index);
    }

    unsafe fn wake_by_ref(data: *const ()) {
        // SAFETY: as in `clone`; the waker keeps the block.
        let (block, index) = unsafe { Self::locate(data) };
        // SAFETY: as above.
        unsafe { &*block }.owner.task_ended(index);
    }

    unsafe fn drop_waker(data: *const ()) {
        // SAFETY: as in `clone`.
        let (block, _) = unsafe { Self::locate(data) };
        // SAFETY: the waker's reference becomes ours.
        drop(unsafe { Arc::from_raw(block) });
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::primitives::Mutex;

    #[derive(Default)]
    struct Log(Mutex<Vec<usize>>);

    impl EntryOwner for Log {
        fn task_ended(self: &Arc<Self>, index: usize) {
            self.0.lock().push(index);
        }
    }

    #[test]
    fn each_waker_names_its_entry_and_keeps_the_owner() {
        let (mut wakers, owner) = (EntryWakers::new(), Arc::new(Log::default()));
        let indices = [0, 1, ENTRIES_PER_BLOCK - 1, ENTRIES_PER_BLOCK, 3 * ENTRIES_PER_BLOCK + 5, 7];
        let made: Vec<_> = indices.iter().map(|index| wakers.waker(&owner, *index)).collect();
        drop(wakers);
        drop(made[0].clone());
        made[1].wake_by_ref();
        made.into_iter().for_each(Waker::wake);
        let ended = std::mem::take(&mut *owner.0.lock());
        assert_eq!(ended, [1, 0, 1, ENTRIES_PER_BLOCK - 1, ENTRIES_PER_BLOCK, 3 * ENTRIES_PER_BLOCK + 5, 7]);
        assert_eq!(Arc::strong_count(&owner), 1, "no block is left");
    }
}
