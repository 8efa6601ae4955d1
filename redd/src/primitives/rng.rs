//! The seeded generator behind every choice of the scheduler and of `select!`.
//!
//! The algorithm is splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014):
//! one word of state, and every seed is a good seed.

use std::cell::Cell;

/// A generator for one owner; not shared between threads.
#[derive(Debug)]
pub(crate) struct Rng {
    state: Cell<u64>,
}

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { state: Cell::new(seed) }
    }

    /// Starts again from `seed`.
    pub(crate) fn reseed(&self, seed: u64) {
        self.state.set(seed);
    }

    /// Returns the current state: a seed that continues the sequence.
    pub(crate) fn state(&self) -> u64 {
        self.state.get()
    }

    /// The next 64 random bits.
    #[inline]
    pub(crate) fn next_u64(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which must not be zero; the bias of the multiply-shift is below `bound / 2^32`.
    #[inline]
    pub(crate) fn below(&self, bound: u32) -> u32 {
        debug_assert!(bound > 0, "a range needs at least one number");
        (((self.next_u64() >> 32) * u64::from(bound)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence() {
        let (left, right) = (Rng::new(7), Rng::new(7));
        for _ in 0..100 {
            assert_eq!(left.next_u64(), right.next_u64());
        }
    }

    #[test]
    fn below_stays_below_and_reaches_every_number() {
        let rng = Rng::new(1);
        let mut seen = [false; 7];
        for _ in 0..1000 {
            seen[rng.below(7) as usize] = true;
        }
        assert_eq!(seen, [true; 7]);
    }
}
