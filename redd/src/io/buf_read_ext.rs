//! `AsyncBufReadExt`: reading lines and segments with `await`.
//!
//! Called by programs. `poll_until` is also what `lines` is made of.
//!
//! # Invariants
//! - `taken-once`: the borrow of the reader leaves `FillBuf` together with the bytes, so both live equally long.

#![expect(unsafe_code, reason = "a borrow that is returned on one branch only; safe with the next borrow checker")]

use std::future::Future;
use std::io;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::operation::{Operation, OperationFuture};
use super::read_text::{OnError, TextBuffer};
use super::{AsyncBufRead, Lines, Split};

/// The methods for programs of everything that is [`AsyncBufRead`].
pub trait AsyncBufReadExt: AsyncBufRead {
    operations! {
        /// Appends all bytes up to `byte`, and `byte` itself, to `buf`; answers with their number.
        ///
        /// - Without `byte` at the end of the stream: all that is left. 0: nothing was left.
        ///
        /// # Cancel safety
        /// What was read before a drop is in `buf`: calling it again with the same `buf` goes on.
        ///
        /// # Errors
        /// What the reader reports; what was read before is in `buf`.
        read_until(byte: u8, buf: &'a mut Vec<u8>) -> ReadUntil<'a> = ReadUntil { delimiter: byte, buf, len: 0 };

        /// Appends the next line, with its line feed if there is one, to `buf`; answers with its length in bytes.
        ///
        /// - 0: nothing was left.
        /// - `buf` is not cleared before.
        ///
        /// # Cancel safety
        /// Not cancel safe: what was read before a drop is lost. [`lines`](Self::lines) and
        /// [`read_until`](Self::read_until) lose nothing.
        ///
        /// # Errors
        /// [`InvalidData`](io::ErrorKind::InvalidData) if the line is not UTF-8: then `buf` is as it was and the line is
        /// lost. Else what the reader reports; text that was read before is in `buf`.
        read_line(buf: &'a mut String) -> ReadLine<'a> = ReadLine { text: TextBuffer::new(buf), len: 0 };
    }

    /// The stream cut into segments at each `byte`, which is left out.
    fn split(self, byte: u8) -> Split<Self>
    where
        Self: Sized + Unpin,
    {
        Split::new(self, byte)
    }

    /// The bytes in the reader's buffer, after reading some if there were none; empty at the end of the stream.
    ///
    /// - They stay there until they are [consumed](Self::consume).
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    ///
    /// # Errors
    /// What the reader reports, `Interrupted` included.
    fn fill_buf(&mut self) -> FillBuf<'_, Self>
    where
        Self: Unpin,
    {
        FillBuf { reader: Some(self), _pinned: PhantomPinned }
    }

    /// The first `amt` bytes of the buffer have been used.
    ///
    /// - `amt` is at most the length of what [`fill_buf`](Self::fill_buf) has returned last; more may panic.
    fn consume(&mut self, amt: usize)
    where
        Self: Unpin,
    {
        Pin::new(self).consume(amt);
    }

    /// The stream cut into lines, without `\n` or `\r\n`.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncBufReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut lines = (&b"redd\r\nsalmon"[..]).lines();
    /// assert_eq!(lines.next_line().await?.as_deref(), Some("redd"));
    /// assert_eq!(lines.next_line().await?.as_deref(), Some("salmon"));
    /// assert_eq!(lines.next_line().await?, None);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    fn lines(self) -> Lines<Self>
    where
        Self: Sized,
    {
        Lines::new(self)
    }
}

impl<R: AsyncBufRead + ?Sized> AsyncBufReadExt for R {}

/// Appends up to and with `delimiter` to `buf`, and counts in `len` over several polls.
pub(super) fn poll_until<R: AsyncBufRead + ?Sized>(
    mut reader: Pin<&mut R>,
    delimiter: u8,
    buf: &mut Vec<u8>,
    len: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    loop {
        let available = ready_or_retry!(reader.as_mut().poll_fill_buf(cx));
        let found = memchr::memchr(delimiter, available);
        let used = found.map_or(available.len(), |index| index + 1);
        buf.extend_from_slice(&available[..used]);
        reader.as_mut().consume(used);
        *len += used;
        if found.is_some() || used == 0 {
            return Poll::Ready(Ok(std::mem::take(len)));
        }
    }
}

/// What is awaited after [`AsyncBufReadExt::read_until`].
#[derive(Debug)]
pub struct ReadUntil<'a> {
    delimiter: u8,
    buf: &'a mut Vec<u8>,
    len: usize,
}

impl<R: AsyncBufRead + ?Sized> Operation<R> for ReadUntil<'_> {
    type Output = io::Result<usize>;

    fn poll_operation(&mut self, reader: Pin<&mut R>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        poll_until(reader, self.delimiter, self.buf, &mut self.len, cx)
    }
}

/// What is awaited after [`AsyncBufReadExt::read_line`].
#[derive(Debug)]
pub struct ReadLine<'a> {
    text: TextBuffer<'a>,
    len: usize,
}

impl<R: AsyncBufRead + ?Sized> Operation<R> for ReadLine<'_> {
    type Output = io::Result<usize>;

    fn poll_operation(&mut self, reader: Pin<&mut R>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let result = ready!(poll_until(reader, b'\n', &mut self.text.bytes, &mut self.len, cx));
        Poll::Ready(self.text.finish(result, OnError::Keep))
    }
}

pin_project! {
    /// What is awaited after [`AsyncBufReadExt::fill_buf`].
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is awaited"]
    pub struct FillBuf<'a, R: ?Sized> {
        // `taken-once`: `None` once the bytes were handed out.
        reader: Option<&'a mut R>,
        #[pin]
        _pinned: PhantomPinned,
    }
}

impl<'a, R: AsyncBufRead + Unpin + ?Sized> Future for FillBuf<'a, R> {
    type Output = io::Result<&'a [u8]>;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&'a [u8]>> {
        let place = self.project().reader;
        let Some(reader) = place.take() else {
            panic!("the future of `fill_buf` was polled after it was ready. Call `fill_buf` again.");
        };
        match Pin::new(&mut *reader).poll_fill_buf(cx).map_ok(ptr::from_ref) {
            // SAFETY: `taken-once`: the bytes are borrowed from `*reader` for 'a, and nobody uses it after self.
            Poll::Ready(Ok(bytes)) => Poll::Ready(Ok(unsafe { &*bytes })),
            Poll::Ready(Err(error)) => {
                *place = Some(reader);
                Poll::Ready(Err(error))
            }
            Poll::Pending => {
                *place = Some(reader);
                Poll::Pending
            }
        }
    }
}
