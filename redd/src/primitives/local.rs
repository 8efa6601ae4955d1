//! Thread-local values of std.
//!
//! Used by all rooms that have thread-local values: `use crate::primitives::thread_local;`.

pub(crate) use std::thread_local;
