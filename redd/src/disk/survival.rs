//! What survives a crash: one decision for each unsynced change.
//!
//! Made by `restore`, and called by `contents` and `names`.

use crate::primitives::rng::Rng;

/// Decides what of the unsynced changes a crash keeps.
#[derive(Debug)]
pub(super) struct Survival {
    rng: Rng,
    /// In how many of a hundred cases a change is kept.
    percent: u32,
    /// Whether the sectors of one write are kept or lost independently.
    pub(super) is_torn: bool,
}

impl Survival {
    /// How many kinds of crash there are. [`Survival::new`] takes a number below it.
    pub(super) const KINDS: usize = 5;

    /// Kind 0 keeps everything, kind 1 loses everything, and the others keep some of the changes.
    pub(super) fn new(kind: usize, seed: u64, is_torn: bool) -> Self {
        Self { rng: Rng::new(seed), percent: [100, 0, 50, 10, 90][kind.min(Self::KINDS - 1)], is_torn }
    }

    /// A kind of crash, in words.
    pub(super) fn describe(kind: usize) -> &'static str {
        match kind {
            0 => "the crash loses nothing",
            1 => "the crash loses all that is not synced",
            _ => "the crash loses a part of what is not synced",
        }
    }

    /// Whether the next change is kept.
    pub(super) fn keeps(&self) -> bool {
        self.rng.below(100) < self.percent
    }

    /// How many of `count` changes are kept, which can only be kept in their order.
    pub(super) fn keeps_first(&self, count: usize) -> usize {
        match self.percent {
            0 => 0,
            100 => count,
            _ => self.rng.below(count as u32 + 1) as usize,
        }
    }
}
