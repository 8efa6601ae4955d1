//! Reading to the end of a stream into a vector.
//!
//! Called by `read_ext` (bytes) and `read_text` (text).
//!
//! # Invariants
//! - `same-vector`: bytes of a vector count as filled only after `ReadBuf::assert_same_buffer` has confirmed that the
//!   reader filled this vector.

#![expect(unsafe_code, reason = "the spare capacity of a vector is filled before it is initialised")]

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::operation::Operation;
use super::{AsyncRead, ReadBuf};

/// The operation of [`AsyncReadExt::read_to_end`](super::AsyncReadExt::read_to_end).
#[derive(Debug)]
pub struct ReadToEnd<'a> {
    buf: &'a mut Vec<u8>,
    fill: VecFill,
}

impl<'a> ReadToEnd<'a> {
    pub(super) fn new(buf: &'a mut Vec<u8>) -> Self {
        Self { fill: VecFill::new(buf), buf }
    }
}

impl<R: AsyncRead + ?Sized> Operation<R> for ReadToEnd<'_> {
    type Output = io::Result<usize>;

    fn poll_operation(&mut self, reader: Pin<&mut R>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.fill.poll_to_end(reader, self.buf, cx)
    }
}

/// Minimum free space before each read, and the size of the probe for the end. Both are as large as in Tokio.
const PROBE_BYTES: usize = 32;

/// The state, between two polls, of filling a vector to the end of a stream.
#[derive(Debug)]
pub(super) struct VecFill {
    total: usize,
    /// The capacity that the caller provided. It may be exactly enough, so the vector grows only after a probe for the
    /// end.
    original_capacity: usize,
    /// Initialised bytes after the length of the vector. Valid for the capacity that the vector had at that time.
    initialized_spare: usize,
}

impl VecFill {
    pub(super) fn new(buf: &Vec<u8>) -> Self {
        Self { total: 0, original_capacity: buf.capacity(), initialized_spare: 0 }
    }

    pub(super) fn poll_to_end<R: AsyncRead + ?Sized>(
        &mut self,
        mut reader: Pin<&mut R>,
        buf: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let is_tight = buf.capacity() - buf.len() < PROBE_BYTES;
            let has_original_capacity =
                buf.capacity() == self.original_capacity && self.original_capacity >= PROBE_BYTES;
            let len = if is_tight && has_original_capacity {
                ready_or_retry!(poll_probe(reader.as_mut(), buf, cx))
            } else {
                if is_tight {
                    buf.reserve(PROBE_BYTES);
                    self.initialized_spare = 0;
                }
                ready_or_retry!(self.poll_append(reader.as_mut(), buf, cx))
            };
            if len == 0 {
                return Poll::Ready(Ok(self.total));
            }
            self.total += len;
        }
    }

    /// Reads once into the spare capacity.
    fn poll_append<R: AsyncRead + ?Sized>(
        &mut self,
        reader: Pin<&mut R>,
        buf: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut spare = ReadBuf::uninit(buf.spare_capacity_mut());
        let start = spare.start();
        let known = self.initialized_spare.min(spare.capacity());
        // SAFETY: an earlier turn initialised these bytes, and the vector was not reallocated since. `poll_to_end`
        // resets the count when it reserves, and no other code can touch the vector while the future borrows it.
        unsafe { spare.assume_init(known) };
        let result = reader.poll_read(cx, &mut spare);
        spare.assert_same_buffer(start);
        let filled = spare.filled().len();
        let initialized = spare.initialized().len();
        self.initialized_spare = initialized;
        ready!(result)?;
        self.initialized_spare = initialized - filled;
        let len = buf.len() + filled;
        // SAFETY: `same-vector`: the first `filled` bytes of the spare capacity are initialised.
        unsafe { buf.set_len(len) };
        Poll::Ready(Ok(filled))
    }
}

/// Probes for the end: reads into a small buffer on the stack, so that a vector of the right size does not grow.
fn poll_probe<R: AsyncRead + ?Sized>(
    reader: Pin<&mut R>,
    buf: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut probe = [MaybeUninit::uninit(); PROBE_BYTES];
    let mut probe = ReadBuf::uninit(&mut probe);
    ready!(reader.poll_read(cx, &mut probe))?;
    buf.extend_from_slice(probe.filled());
    Poll::Ready(Ok(probe.filled().len()))
}
