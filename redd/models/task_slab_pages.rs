//! Pages in models, which are not given back: the checker's atomics are in them.
//!
//! A mistaken trim of a chunk with a live task must fail an assertion of its model. Atomics full of zeros would make the
//! checker itself panic.

#![expect(unsafe_code, reason = "it has the signature of the real one")]

use std::ptr::NonNull;

/// The real one, so that it is no dead code.
const _: unsafe fn(NonNull<u8>, usize) = crate::sys::give_back_pages;

/// # Safety
/// As for `sys::give_back_pages`.
pub(super) unsafe fn give_back_pages(_block: NonNull<u8>, _len: usize) {}
