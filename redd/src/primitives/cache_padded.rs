//! `CachePadded`: a value with a cache line of its own.
//!
//! Used for words that different threads write.

/// A value with a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct CachePadded<T>(pub(crate) T);
