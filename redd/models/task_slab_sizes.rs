//! The sizes of the slab in models, so that a few tasks reach all of its paths.

/// As in programs: an address is masked with it.
pub(super) const CHUNK: usize = 64 * 1024;
pub(super) const MAGAZINE: u32 = 2;
/// A chunk is empty when all slots are free that were ever handed out, and here those are a few.
pub(super) const TRIM_MIN: usize = 1;
