//! The sizes of the slab that models replace with smaller ones.

/// The size and alignment of a chunk in bytes. Masking a slot's address gives its chunk.
pub(super) const CHUNK: usize = 64 * 1024;
/// The number of slots that move between a cache and the central lists at once: one lock per 64 operations.
pub(super) const MAGAZINE: u32 = 64;
/// The least number of free bytes of a class in which a trim looks for empty chunks: fewer cannot fill a chunk.
pub(super) const TRIM_MIN: usize = CHUNK;
