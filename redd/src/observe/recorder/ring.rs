//! The last events of one thread: a buffer that it overwrites from the start when it is full, and that any thread may read.
//!
//! Called by `recorder`.
//!
//! 1. The writer stores the two words of event number `head` in the slot `head` modulo the capacity.
//! 2. It publishes them: it increments `head`.
//! 3. A reader reads `head`, copies the slots of the last events, and reads `head` again. It drops the events whose slots the
//!    writer has used for later ones, or uses now.
//!
//! # Invariants
//! - `one-writer`: one thread at a time calls [`Ring::push`], and a lock or the end of a thread is between two writers.
//! - `drop-overwritten`: while the reader copies, the writer stores event number `n` only after `head` has become `n`. So a
//!   reader that copies a word of event `n` finds `head` at `n` or later afterwards, and drops the event that was in that slot.
//!
//! # Why not otherwise
//! A queue that the reader empties makes the writer wait, or lose the latest events, while no client reads. Words that are not
//! atomic would be a data race. A number in each slot, as in a sequence lock for each event, costs a third word.

use crate::primitives::atomic::{AtomicU64, Ordering, fence, zeroed};

/// An event as two words; see `event`.
pub(crate) type Words = [u64; 2];

/// The pages of most systems. Where they are larger, the memory of rings stays.
pub(super) const PAGE: usize = 4096;

/// See the module page.
#[derive(Debug)]
pub(crate) struct Ring {
    /// The number of events that were ever written.
    head: AtomicU64,
    /// Two for each event.
    slots: Box<[AtomicU64]>,
}

impl Ring {
    /// Makes a ring for that many events, a power of two.
    pub(crate) fn new(capacity: usize) -> Self {
        assert!(capacity.is_power_of_two(), "slots are found by the low bits of a number");
        Self { head: AtomicU64::new(0), slots: zeroed(2 * capacity) }
    }

    fn capacity(&self) -> u64 {
        self.slots.len() as u64 / 2
    }

    /// Writes an event (`one-writer`).
    #[inline]
    pub(crate) fn push(&self, [first, second]: Words) {
        let head = self.head.load(Ordering::Relaxed);
        // Release fence: `head` is published before the words of this event overwrite those of an older one. Pairs with the
        // Acquire fence in `Ring::copy` (`drop-overwritten`).
        fence(Ordering::Release);
        let at = (2 * head) as usize & (self.slots.len() - 1);
        if let Some([to_first, to_second]) = self.slots.get(at..at + 2) {
            to_first.store(first, Ordering::Relaxed);
            to_second.store(second, Ordering::Relaxed);
        }
        // Release: publishes the words. Pairs with Acquire in `Ring::copy`.
        self.head.store(head.wrapping_add(1), Ordering::Release);
    }

    /// The number of events that were ever written.
    pub(crate) fn written(&self) -> u64 {
        self.head.load(Ordering::Relaxed)
    }

    /// Copies the events from number `from` on. Returns how many of them were overwritten before they could be copied.
    pub(crate) fn copy(&self, from: u64, out: &mut Vec<Words>) -> u64 {
        // Acquire: the words of the events before are visible. Pairs with Release in `Ring::push`.
        let end = self.head.load(Ordering::Acquire);
        let first = from.max(end.saturating_sub(self.capacity())).min(end);
        let before = out.len();
        for number in first..end {
            let at = (2 * number) as usize & (self.slots.len() - 1);
            if let Some([from_first, from_second]) = self.slots.get(at..at + 2) {
                out.push([from_first.load(Ordering::Relaxed), from_second.load(Ordering::Relaxed)]);
            }
        }
        // Acquire fence: pairs with the Release fence in `Ring::push`.
        fence(Ordering::Acquire);
        // `drop-overwritten`: the event with number `now` may be half written.
        let now = self.head.load(Ordering::Relaxed);
        let intact = (now + 1).saturating_sub(self.capacity()).clamp(first, end);
        out.drain(before..before + (intact - first) as usize);
        intact - from.min(intact)
    }

    /// Makes the system provide all of the memory, page by page. No other thread has the ring yet.
    pub(super) fn touch(&self) {
        self.slots.iter().step_by(PAGE / size_of::<u64>()).for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// The memory of the slots.
    pub(super) fn memory(&self) -> std::ops::Range<*const AtomicU64> {
        self.slots.as_ptr_range()
    }
}

#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../../models/observe_recorder.rs"]
mod models;

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn copied(ring: &Ring, from: u64) -> (u64, Vec<u64>) {
        let mut out = Vec::new();
        let lost = ring.copy(from, &mut out);
        assert!(out.iter().all(|[first, second]| *second == first + 1000));
        (lost, out.into_iter().map(|[first, _]| first).collect())
    }

    #[test]
    fn the_last_events_are_kept_and_the_others_are_counted() {
        let ring = Ring::new(4);
        assert_eq!(copied(&ring, 0), (0, vec![]));
        for number in 0..10 {
            ring.push([number, number + 1000]);
            // The slot after the last one may be in use by the writer once the ring is full.
            let first = (number + 2).saturating_sub(4);
            assert_eq!(copied(&ring, 0), (first, (first..=number).collect()), "{number}");
        }
        assert_eq!(copied(&ring, 8), (0, vec![8, 9]));
        assert_eq!(copied(&ring, 5), (2, vec![7, 8, 9]));
        assert_eq!(copied(&ring, 10), (0, vec![]));
        assert_eq!(copied(&ring, 99), (0, vec![]), "a number from before the ring was made anew");
    }
}
