//! Receiving into a caller's buffer whose memory need not be initialised.
//!
//! Called by `tcp`, `udp` and `unix`.
//!
//! # Invariants
//! - `only-what-was-received`: a buffer grows by exactly the bytes that were written to the memory at its end.

#![expect(unsafe_code, reason = "buffers that need not be initialised")]

use crate::driver::operations::Socket;
use crate::sys::net::{Fill, fill};
use bytes::BufMut;
use socket2::SockAddr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

/// Appends what a socket receives in one try to `buf`.
pub(super) fn append(socket: Socket<'_>, buf: &mut impl BufMut, what: Fill) -> io::Result<(usize, Option<SockAddr>)> {
    // SAFETY: `Socket::fill` initialises as many bytes as it returns, and never writes uninitialised ones.
    unsafe { append_with(buf, |room| socket.fill(room, what)) }
}

/// Appends the bytes of one `read` to `buf`.
pub(super) fn append_from_file(file: &impl AsFd, buf: &mut impl BufMut) -> io::Result<usize> {
    // SAFETY: `fill` initialises as many bytes as it returns, and never writes uninitialised ones.
    let (len, _) = unsafe { append_with(buf, |room| fill(file.as_fd(), room, Fill::Read)) }?;
    Ok(len)
}

/// # Safety
/// `f` initialises as many bytes at the start of the memory as it returns, and writes no uninitialised ones.
unsafe fn append_with<A>(
    buf: &mut impl BufMut,
    f: impl FnOnce(&mut [MaybeUninit<u8>]) -> io::Result<(usize, A)>,
) -> io::Result<(usize, A)> {
    // SAFETY: by the safety contract, `f` never writes uninitialised bytes to it.
    let room = unsafe { buf.chunk_mut().as_uninit_slice_mut() };
    let (len, rest) = f(room)?;
    // SAFETY: `only-what-was-received`: by the safety contract, `len` bytes of it are initialised.
    unsafe { buf.advance_mut(len) };
    Ok((len, rest))
}
