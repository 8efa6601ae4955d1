//! The join wakers of a `JoinSet`'s entries: each tells the set which task has ended.
//!
//! Called by `join_set`.
//!
//! # Invariants
//! - `seat-in-block`: a waker's data points to a seat inside a `Block`, derived from the block's own address, and the
//!   waker owns one of the block's references. The seat says how far from the first one it is, so the block is found.
//!
//! # Why not otherwise
//! An `Arc` per entry is an allocation per task, for one number each.

#![expect(unsafe_code, reason = "wakers that share one allocation")]

use std::mem::offset_of;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::join_set::Ready;

/// So many entries share an allocation; picked by feel.
const SEATS: usize = 32;

/// The wakers of a set's entries, made when they are needed.
#[derive(Default)]
pub(super) struct EntryWakers {
    blocks: Vec<Arc<Block>>,
    pub(super) ready: Arc<Ready>,
}

struct Block {
    ready: Arc<Ready>,
    /// The entry of the first seat.
    first: usize,
    seats: [u8; SEATS],
}

impl EntryWakers {
    /// Puts `index` into the ready queue when it is called.
    pub(super) fn waker(&mut self, index: usize) -> Waker {
        let (block, seat) = (index / SEATS, index % SEATS);
        while self.blocks.len() <= block {
            let first = self.blocks.len() * SEATS;
            let seats = std::array::from_fn(|seat| seat as u8);
            self.blocks.push(Arc::new(Block { ready: Arc::clone(&self.ready), first, seats }));
        }
        let block = Arc::into_raw(Arc::clone(&self.blocks[block]));
        // SAFETY: the block is alive, and `seat` is below `SEATS`.
        let seat = unsafe { (&raw const (*block).seats).cast::<u8>().add(seat) };
        // SAFETY: the functions of the table keep the contract of wakers: all data is behind `Arc`s and a lock, and the
        // reference of `into_raw` goes on to the waker (`seat-in-block`).
        unsafe { Waker::from_raw(RawWaker::new(seat.cast(), &TABLE)) }
    }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// The block of a waker, and the entry that it is for.
///
/// # Safety
/// `data` is that of a waker of this module, which still owns its reference.
unsafe fn locate(data: *const ()) -> (*const Block, usize) {
    let seat = data.cast::<u8>();
    // SAFETY: `seat-in-block`: it is in a block that is alive, and its value is its distance from the first.
    unsafe {
        let position = usize::from(*seat);
        let block = seat.sub(offset_of!(Block, seats) + position).cast::<Block>();
        (block, (*block).first + position)
    }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the table's functions are called with a waker's data.
    let (block, _) = unsafe { locate(data) };
    // SAFETY: the block comes from an `Arc`, of which the waker has a reference.
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

    #[test]
    fn each_waker_names_its_entry_and_outlives_the_set() {
        let mut wakers = EntryWakers::default();
        let indices = [0, 1, SEATS - 1, SEATS, 3 * SEATS + 5, 7];
        let made: Vec<_> = indices.iter().map(|index| wakers.waker(*index)).collect();
        let ready = Arc::clone(&wakers.ready);
        drop(wakers);
        drop(made[0].clone());
        made[1].wake_by_ref();
        made.into_iter().for_each(Waker::wake);
        assert_eq!(ready.take_all(), [1, 0, 1, SEATS - 1, SEATS, 3 * SEATS + 5, 7]);
        assert_eq!(Arc::strong_count(&ready), 1, "no block is left");
    }
}
