//! A queue whose memory follows its length, for results that the program may leave where they are.
//!
//! Called by `set_state`, and by the files of a group that add, take or drop results.
//!
//! # Why not otherwise
//! A `VecDeque` alone doubles: with large outputs it would hold up to as much unused memory as outputs.

use std::collections::VecDeque;
use std::mem;

/// The size of a chunk, in bytes. A power of two, like the chunk's length. No benchmark chose it.
const CHUNK_BYTES: usize = 4096;

/// A chunk has at least this many items, so that its own header costs little for each.
const CHUNK_LEN_MIN: usize = 4;

pub(super) struct ResultQueue<I> {
    /// Each was filled before the next one was begun.
    full: VecDeque<VecDeque<I>>,
    last: VecDeque<I>,
}

impl<I> ResultQueue<I> {
    const CHUNK_LEN: usize = {
        let size = if size_of::<I>() == 0 { 1 } else { size_of::<I>() };
        let len = CHUNK_BYTES / size.next_power_of_two();
        if len < CHUNK_LEN_MIN { CHUNK_LEN_MIN } else { len }
    };

    pub(super) const fn new() -> Self {
        Self { full: VecDeque::new(), last: VecDeque::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.last.is_empty() && self.full.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.full.iter().map(VecDeque::len).sum::<usize>() + self.last.len()
    }

    #[inline]
    pub(super) fn push(&mut self, item: I) {
        if self.last.len() == Self::CHUNK_LEN {
            self.full.push_back(mem::replace(&mut self.last, VecDeque::with_capacity(Self::CHUNK_LEN)));
        }
        self.last.push_back(item);
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<I> {
        if self.full.is_empty() { self.last.pop_front() } else { self.pop_full() }
    }

    fn pop_full(&mut self) -> Option<I> {
        let first = self.full.front_mut()?;
        let item = first.pop_front();
        if first.is_empty() {
            self.full.pop_front();
        }
        item
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_queue(steps in proptest::collection::vec(any::<bool>(), 0..3000)) {
            let (mut queue, mut simple) = (ResultQueue::new(), VecDeque::new());
            for (number, is_push) in steps.into_iter().enumerate() {
                // Items of 512 bytes: eight fill a chunk.
                if is_push {
                    queue.push([number; 64]);
                    simple.push_back([number; 64]);
                } else {
                    prop_assert_eq!(queue.pop(), simple.pop_front());
                }
                prop_assert_eq!(queue.is_empty(), simple.is_empty());
                prop_assert_eq!(queue.len(), simple.len());
            }
        }
    }

    #[test]
    fn an_item_costs_little_more_than_itself() {
        fn unused<const BYTES: usize>() -> usize {
            const ITEMS: usize = 100_000;
            let mut queue = ResultQueue::new();
            (0..ITEMS).for_each(|_| queue.push([0_u8; BYTES]));
            let room: usize = queue.full.iter().chain([&queue.last]).map(|chunk| chunk.capacity() * BYTES).sum();
            (room + queue.full.capacity() * size_of::<VecDeque<u8>>() - ITEMS * BYTES) / ITEMS
        }
        assert_eq!([unused::<1>(), unused::<24>(), unused::<100>()], [0, 0, 1]);
        assert!(unused::<5000>() <= 24, "{}", unused::<5000>());
    }
}
