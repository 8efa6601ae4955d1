//! Receiving into a caller's buffer whose memory need not be initialised.
//!
//! Called by `methods`, `halves`' streams, `udp` and `unix`. The one place of `net` that vouches for such memory.
//!
//! # Invariants
//! - `only-what-came`: a buffer grows by exactly the bytes that the system says it has written to the memory handed to
//!   it, which starts at the buffer's end.

#![expect(unsafe_code, reason = "buffers that need not be initialised")]

use crate::sys::net::{Fill, fill};
use bytes::BufMut;
use socket2::SockAddr;
use std::io;
use std::os::fd::AsFd;

/// Adds what one call of [`fill`] brings to `buf`.
pub(super) fn append(io: &impl AsFd, buf: &mut impl BufMut, what: Fill) -> io::Result<(usize, Option<SockAddr>)> {
    // SAFETY: `fill` only writes to the memory, and never something uninitialised.
    let room = unsafe { buf.chunk_mut().as_uninit_slice_mut() };
    let (len, sender) = fill(io.as_fd(), room, what)?;
    // SAFETY: `only-what-came`: `fill` has initialised `len` bytes of `room`.
    unsafe { buf.advance_mut(len) };
    Ok((len, sender))
}
