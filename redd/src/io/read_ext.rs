//! `AsyncReadExt`: reading with `await`.
//!
//! Called by programs. Numbers are in `numbers`, text in `read_text`.
//!
//! # Invariants
//! - `same-buffer`: memory is taken for filled only after `ReadBuf::assert_same_buffer` said that the figures are about it.

#![expect(unsafe_code, reason = "vectors and `BufMut`s are filled before they are initialised")]

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BufMut;

use super::numbers::ReadNumber;
use super::operation::{Operation, OperationFuture};
use super::read_text::ReadToString;
use super::{AsyncRead, Chain, ReadBuf as Buffer, Take};

/// The methods for programs of everything that is [`AsyncRead`].
pub trait AsyncReadExt: AsyncRead {
    /// A reader of all bytes of `self`, then of all bytes of `next`.
    fn chain<R>(self, next: R) -> Chain<Self, R>
    where
        Self: Sized,
        R: AsyncRead,
    {
        Chain::new(self, next)
    }

    operations! {
        /// Reads some bytes to the front of `buf` and answers with their number.
        ///
        /// - 0: the end of the stream, or `buf` is empty.
        ///
        /// # Cancel safety
        /// Nothing was read if it is dropped before it is ready.
        ///
        /// # Errors
        /// What the reader reports, `Interrupted` included.
        read(buf: &'a mut [u8]) -> Read<'a> = Read { buf };

        /// Reads some bytes, appends them to `buf` and answers with their number.
        ///
        /// - 0: the end of the stream, or `buf` has no room. A `Vec` always has room.
        ///
        /// # Cancel safety
        /// Nothing was read if it is dropped before it is ready.
        ///
        /// # Panics
        /// If the reader replaces the `ReadBuf` that it is lent.
        ///
        /// # Errors
        /// What the reader reports, `Interrupted` included.
        read_buf[B: BufMut + ?Sized](buf: &'a mut B) -> ReadBuf<'a, B> = ReadBuf { buf };

        /// Fills all of `buf` and answers with its length.
        ///
        /// # Cancel safety
        /// Not cancel safe: what was read before a drop is in `buf`, but nobody knows how much it is.
        ///
        /// # Errors
        /// [`ErrorKind::UnexpectedEof`] if the stream ends before; else what the reader reports. `buf` may be partly filled.
        ///
        /// # Examples
        /// ```
        /// use redd::io::{AsyncReadExt, ErrorKind};
        ///
        /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        /// let mut reader = &b"salmon"[..];
        /// let mut buf = [0; 4];
        /// reader.read_exact(&mut buf).await?;
        /// assert_eq!(&buf, b"salm");
        /// assert_eq!(reader.read_exact(&mut buf).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        /// # redd::io::Result::Ok(()) }).unwrap();
        /// ```
        read_exact(buf: &'a mut [u8]) -> ReadExact<'a> = ReadExact { buf: Buffer::new(buf) };
    }

    for_each_number!(declare_read_number);

    operations! {
        /// Appends all bytes up to the end of the stream to `buf` and answers with their number.
        ///
        /// - If all fits the capacity of `buf`, it does not grow.
        ///
        /// # Cancel safety
        /// What was read before a drop is in `buf`.
        ///
        /// # Panics
        /// If the reader replaces the `ReadBuf` that it is lent.
        ///
        /// # Errors
        /// What the reader reports; what was read before is in `buf`.
        read_to_end(buf: &'a mut Vec<u8>) -> ReadToEnd<'a> = ReadToEnd { fill: VecFill::new(buf), buf };

        /// Appends all text up to the end of the stream to `dst` and answers with its length in bytes.
        ///
        /// # Cancel safety
        /// Not cancel safe: what was read before a drop is lost. `dst` keeps the text that it had.
        ///
        /// # Errors
        /// [`ErrorKind::InvalidData`] if it is not UTF-8; else what the reader reports. `dst` is as it was.
        read_to_string(dst: &'a mut String) -> ReadToString<'a> = ReadToString::new(dst);
    }

    /// A reader of at most the next `limit` bytes of `self`.
    fn take(self, limit: u64) -> Take<Self>
    where
        Self: Sized,
    {
        Take::new(self, limit)
    }
}

impl<R: AsyncRead + ?Sized> AsyncReadExt for R {}

/// What is awaited after [`AsyncReadExt::read`].
#[derive(Debug)]
pub struct Read<'a> {
    buf: &'a mut [u8],
}

impl<R: AsyncRead + ?Sized> Operation<R> for Read<'_> {
    type Output = io::Result<usize>;

    fn poll_operation(&mut self, reader: Pin<&mut R>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buf = Buffer::new(self.buf);
        ready!(reader.poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }
}

/// What is awaited after [`AsyncReadExt::read_buf`].
#[derive(Debug)]
pub struct ReadBuf<'a, B: ?Sized> {
    buf: &'a mut B,
}

impl<R: AsyncRead + ?Sized, B: BufMut + ?Sized> Operation<R> for ReadBuf<'_, B> {
    type Output = io::Result<usize>;

    fn poll_operation(&mut self, reader: Pin<&mut R>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.buf.has_remaining_mut() {
            return Poll::Ready(Ok(0));
        }
        // SAFETY: `ReadBuf` writes only values.
        let chunk = unsafe { self.buf.chunk_mut().as_uninit_slice_mut() };
        let mut chunk = Buffer::uninit(chunk);
        let start = chunk.start();
        ready!(reader.poll_read(cx, &mut chunk))?;
        chunk.assert_same_buffer(start);
        let len = chunk.filled().len();
        // SAFETY: `same-buffer`: the first `len` bytes of the chunk are filled.
        unsafe { self.buf.advance_mut(len) };
        Poll::Ready(Ok(len))
    }
}

/// What is awaited after [`AsyncReadExt::read_exact`].
#[derive(Debug)]
pub struct ReadExact<'a> {
    buf: Buffer<'a>,
}

impl<R: AsyncRead + ?Sized> Operation<R> for ReadExact<'_> {
    type Output = io::Result<usize>;

    fn poll_operation(&mut self, mut reader: Pin<&mut R>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            let remaining = self.buf.remaining();
            if remaining == 0 {
                return Poll::Ready(Ok(self.buf.capacity()));
            }
            ready_or_retry!(reader.as_mut().poll_read(cx, &mut self.buf));
            if self.buf.remaining() == remaining {
                return Poll::Ready(Err(unexpected_eof()));
            }
        }
    }
}

/// The stream has ended in the middle of what was asked for.
pub(super) fn unexpected_eof() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the stream ended before the buffer was full")
}

/// What is awaited after [`AsyncReadExt::read_to_end`].
#[derive(Debug)]
pub struct ReadToEnd<'a> {
    buf: &'a mut Vec<u8>,
    fill: VecFill,
}

impl<R: AsyncRead + ?Sized> Operation<R> for ReadToEnd<'_> {
    type Output = io::Result<usize>;

    fn poll_operation(&mut self, reader: Pin<&mut R>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.fill.poll_to_end(reader, self.buf, cx)
    }
}

/// Room made at least before each read, and the size of the probe for the end. The figure is Tokio's.
const PROBE_BYTES: usize = 32;

/// A vector is being filled up to the end of a stream: what is known between two polls.
#[derive(Debug)]
pub(super) struct VecFill {
    total: usize,
    /// The capacity that the caller gave: maybe exactly enough, so find out before growing it.
    original_capacity: usize,
    /// Initialised bytes behind the length of the vector, valid for the capacity it had then.
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
            let is_as_given = buf.capacity() == self.original_capacity && self.original_capacity >= PROBE_BYTES;
            let len = if is_tight && is_as_given {
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
        let mut spare = Buffer::uninit(buf.spare_capacity_mut());
        let start = spare.start();
        let known = self.initialized_spare.min(spare.capacity());
        // SAFETY: they were initialised by an earlier turn, and the vector was not reallocated since: `poll_to_end`
        // resets the figure, and nobody else can touch the vector that the future borrows.
        unsafe { spare.assume_init(known) };
        let result = reader.poll_read(cx, &mut spare);
        spare.assert_same_buffer(start);
        let filled = spare.filled().len();
        let initialized = spare.initialized().len();
        self.initialized_spare = initialized;
        ready!(result)?;
        self.initialized_spare = initialized - filled;
        let len = buf.len() + filled;
        // SAFETY: `same-buffer`: the first `filled` bytes of the spare capacity have values.
        unsafe { buf.set_len(len) };
        Poll::Ready(Ok(filled))
    }
}

/// Is this the end? Reads into a small buffer beside the vector, so that a vector of the right size does not grow.
fn poll_probe<R: AsyncRead + ?Sized>(
    reader: Pin<&mut R>,
    buf: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut probe = [MaybeUninit::uninit(); PROBE_BYTES];
    let mut probe = Buffer::uninit(&mut probe);
    ready!(reader.poll_read(cx, &mut probe))?;
    buf.extend_from_slice(probe.filled());
    Poll::Ready(Ok(probe.filled().len()))
}
