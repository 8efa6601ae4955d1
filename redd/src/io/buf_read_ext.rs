//! `AsyncBufReadExt`: reading lines and segments with `await`.
//!
//! Called by user code.
//!
//! # Invariants
//! - `taken-once`: the borrow of the reader leaves `FillBuf` together with the bytes, so both have the same lifetime.

#![expect(unsafe_code, reason = "a borrow that is returned on one branch only; safe with the next borrow checker")]

use std::future::Future;
use std::io;
use std::marker::PhantomPinned;
use std::panic::Location;
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::operation::{Operation, OperationFuture};
use super::read_text::{OnError, TextBuffer};
use super::read_until::{ReadUntil, poll_until};
use super::{AsyncBufRead, Lines, Split};
use crate::observe::waiting;

/// Methods for reading from anything that implements [`AsyncBufRead`], such as a [`BufReader`](super::BufReader).
///
/// It is implemented for every such type: import it to call them.
pub trait AsyncBufReadExt: AsyncBufRead {
    /// Appends all bytes up to and including `byte` to `buf` and returns their number.
    ///
    /// - If the stream ends before `byte`, it appends all that is left. 0 means that nothing was left.
    /// - The length is up to the sender. Put [`take`](super::AsyncReadExt::take) before it where the sender is not
    ///   trusted.
    ///
    /// # Cancel safety
    /// What was read before a drop is in `buf`: call it again with the same `buf` to continue.
    ///
    /// # Errors
    /// The errors of the reader; what was read before is in `buf`.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncBufReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &b"name=redd;fish=salmon"[..];
    /// let mut field = Vec::new();
    /// assert_eq!(reader.read_until(b';', &mut field).await?, 10);
    /// assert_eq!(field, b"name=redd;");
    /// field.clear();
    /// reader.read_until(b';', &mut field).await?;
    /// assert_eq!(field, b"fish=salmon");
    /// assert_eq!(reader.read_until(b';', &mut field).await?, 0);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    fn read_until<'a>(&'a mut self, byte: u8, buf: &'a mut Vec<u8>) -> OperationFuture<'a, Self, ReadUntil<'a>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadUntil::new(byte, buf))
    }

    /// Appends the next line to `buf`, with its line feed if there is one, and returns its length in bytes.
    ///
    /// - 0 means that nothing was left.
    /// - It does not clear `buf` first.
    /// - The length is up to the sender. Put [`take`](super::AsyncReadExt::take) before it where the sender is not
    ///   trusted.
    ///
    /// # Cancel safety
    /// Not cancel safe: what was read before a drop is lost. [`lines`](Self::lines) and
    /// [`read_until`](Self::read_until) lose nothing.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData) if the line is not UTF-8: then `buf` keeps the text that it had, and
    /// the line is lost. Also the errors of the reader: then text that was read before is in `buf`.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncBufReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &b"redd\nsalmon"[..];
    /// let mut line = String::new();
    /// assert_eq!(reader.read_line(&mut line).await?, 5);
    /// assert_eq!(line, "redd\n");
    /// line.clear();
    /// reader.read_line(&mut line).await?;
    /// assert_eq!(line, "salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    fn read_line<'a>(&'a mut self, buf: &'a mut String) -> OperationFuture<'a, Self, ReadLine<'a>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadLine { text: TextBuffer::new(buf), len: 0 })
    }

    /// Splits the stream into segments at each `byte`. The segments do not contain `byte`.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncBufReadExt, BufReader};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut fields = BufReader::new(&b"redd;salmon"[..]).split(b';');
    /// assert_eq!(fields.next_segment().await?.as_deref(), Some(&b"redd"[..]));
    /// assert_eq!(fields.next_segment().await?.as_deref(), Some(&b"salmon"[..]));
    /// assert_eq!(fields.next_segment().await?, None);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    fn split(self, byte: u8) -> Split<Self>
    where
        Self: Sized + Unpin,
    {
        Split::new(self, byte)
    }

    /// Returns the bytes in the reader's buffer, after reading some if there were none. Empty at the end of the stream.
    ///
    /// - The bytes stay in the buffer until they are [consumed](Self::consume).
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// The errors of the reader, [`Interrupted`](io::ErrorKind::Interrupted) included.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// // Look at the first byte before choosing a parser.
    /// let mut reader = BufReader::new(&b"{\"fish\": \"salmon\"}"[..]);
    /// let is_json = reader.fill_buf().await?.first() == Some(&b'{');
    /// assert!(is_json);
    /// let mut text = String::new();
    /// reader.read_to_string(&mut text).await?;
    /// assert_eq!(text.len(), 18);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    fn fill_buf(&mut self) -> FillBuf<'_, Self>
    where
        Self: Unpin,
    {
        FillBuf { reader: Some(self), location: Location::caller(), _pinned: PhantomPinned }
    }

    /// Removes the first `amt` bytes from the reader's buffer: they have been used.
    ///
    /// - `amt` is at most the length of what [`fill_buf`](Self::fill_buf) has returned last; more may panic.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncBufReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &b"   salmon"[..];
    /// let bytes = reader.fill_buf().await?;
    /// let spaces = bytes.iter().take_while(|byte| **byte == b' ').count();
    /// reader.consume(spaces);
    /// assert_eq!(reader.fill_buf().await?, b"salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    fn consume(&mut self, amt: usize)
    where
        Self: Unpin,
    {
        Pin::new(self).consume(amt);
    }

    /// Splits the stream into lines, without `\n` or `\r\n`.
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

/// The operation of [`AsyncBufReadExt::read_line`].
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
    /// The future of [`AsyncBufReadExt::fill_buf`].
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is awaited"]
    pub struct FillBuf<'a, R: ?Sized> {
        // `taken-once`: `None` once the bytes were returned.
        reader: Option<&'a mut R>,
        location: &'static Location<'static>,
        #[pin]
        _pinned: PhantomPinned,
    }
}

impl<'a, R: AsyncBufRead + Unpin + ?Sized> Future for FillBuf<'a, R> {
    type Output = io::Result<&'a [u8]>;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&'a [u8]>> {
        let this = self.project();
        let slot = this.reader;
        let Some(reader) = slot.take() else {
            panic!("the future of `fill_buf` was polled after it was ready. Call `fill_buf` again.");
        };
        match Pin::new(&mut *reader).poll_fill_buf(cx).map_ok(ptr::from_ref) {
            // SAFETY: `taken-once`: the bytes are borrowed from `*reader` for 'a, and `self` does not have it any more.
            Poll::Ready(Ok(bytes)) => Poll::Ready(Ok(unsafe { &*bytes })),
            Poll::Ready(Err(error)) => {
                *slot = Some(reader);
                Poll::Ready(Err(error))
            }
            Poll::Pending => {
                *slot = Some(reader);
                waiting::locate(Poll::Pending, this.location)
            }
        }
    }
}
