//! Receiving into a caller's buffer whose memory need not be initialised.
//!
//! Called by `tcp`, `udp` and `unix`.
//!
//! # Invariants
//! - `only-what-was-received`: a buffer grows by exactly the bytes that the kernel has written to the memory at its end.

#![expect(unsafe_code, reason = "buffers that need not be initialised")]

use crate::sys::net::{Fill, fill};
use bytes::BufMut;
use socket2::SockAddr;
use std::io;
use std::os::fd::AsFd;

/// Appends the bytes of one call of [`fill`] to `buf`.
pub(super) fn append(io: &impl AsFd, buf: &mut impl BufMut, what: Fill) -> io::Result<(usize, Option<SockAddr>)> {
    // SAFETY: `fill` only writes to the memory, and never writes uninitialised bytes.
    let room = unsafe { buf.chunk_mut().as_uninit_slice_mut() };
    let (len, sender) = fill(io.as_fd(), room, what)?;
    // SAFETY: `only-what-was-received`: `fill` has initialised `len` bytes of `room`.
    unsafe { buf.advance_mut(len) };
    Ok((len, sender))
}
