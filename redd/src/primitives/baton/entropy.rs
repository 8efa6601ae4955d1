//! The random numbers that the threads of a world get from the system's functions.
//!
//! Called by `interposed`, and by `world`, which records how many there were.

use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::{AtomicU32, AtomicU64};
use crate::primitives::rng::Rng;

/// The random numbers of one thread.
///
/// They follow from the seed of the world, the thread and the number of the call. So what other threads draw, and how much was drawn
/// before, has no effect.
#[derive(Debug)]
pub(super) struct Entropy {
    seed: u64,
    calls: AtomicU64,
    /// Since the last `take_drawn`.
    drawn_bytes: AtomicU32,
    drawn_calls: AtomicU32,
}

impl Entropy {
    pub(super) fn of_thread(seed: u64, thread: usize) -> Self {
        /// So that these numbers are not those of the schedule.
        const ENTROPY: u64 = 0x656e_7472_6f70_7921;
        let of_world = Rng::new(seed ^ ENTROPY).next_u64();
        let seed = Rng::new(of_world.wrapping_add(thread as u64)).next_u64();
        Self { seed, calls: AtomicU64::new(0), drawn_bytes: AtomicU32::new(0), drawn_calls: AtomicU32::new(0) }
    }

    /// The bytes of one call.
    pub(super) fn draw(&self, len: usize) -> impl Iterator<Item = u8> + use<> {
        // Relaxed, as all here: no other thread uses them. Atomic, because a signal handler may interrupt this.
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        self.drawn_calls.fetch_add(1, Ordering::Relaxed);
        self.drawn_bytes.fetch_add(len as u32, Ordering::Relaxed);
        let rng = Rng::new(Rng::new(self.seed.wrapping_add(call)).next_u64());
        (0..len.div_ceil(8)).flat_map(move |_| rng.next_u64().to_le_bytes()).take(len)
    }

    /// The numbers of bytes and calls since the last call, for an event.
    pub(super) fn take_drawn(&self) -> Option<[u32; 2]> {
        if self.drawn_calls.load(Ordering::Relaxed) == 0 {
            return None;
        }
        Some([self.drawn_bytes.swap(0, Ordering::Relaxed), self.drawn_calls.swap(0, Ordering::Relaxed)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(entropy: &Entropy, len: usize) -> Vec<u8> {
        let bytes = Vec::from_iter(entropy.draw(len));
        assert_eq!(bytes.len(), len);
        bytes
    }

    #[test]
    fn random_numbers_follow_from_seed_thread_and_call_and_not_from_the_lengths_before() {
        let (one, other) = (Entropy::of_thread(1, 2), Entropy::of_thread(1, 2));
        let first = draw(&one, 19);
        assert_eq!(draw(&other, 16), first[..16]);
        let second = draw(&one, 16);
        assert_eq!(draw(&other, 16), second);
        assert_ne!(first[..16], second);
        for (seed, thread) in [(2, 2), (1, 3), (2, 1)] {
            assert_ne!(draw(&Entropy::of_thread(seed, thread), 19), first, "{seed} {thread}");
        }
    }

    #[test]
    fn what_was_drawn_is_counted_once() {
        let entropy = Entropy::of_thread(1, 1);
        assert_eq!(entropy.take_drawn(), None);
        assert_eq!((draw(&entropy, 5).len(), draw(&entropy, 0).len()), (5, 0));
        assert_eq!(entropy.take_drawn(), Some([5, 2]));
        assert_eq!(entropy.take_drawn(), None);
    }
}
