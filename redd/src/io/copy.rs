//! `copy` and `copy_buf`: all bytes of a reader into a writer.
//!
//! Called by user code and by `copy_bidirectional`.
//!
//! # Invariants
//! - `pending-window`: `buf[start..end]` was read and not yet written; `start <= end <= buf.len()`.
//! - `flush-before-waiting`: before the copy waits for the reader, everything written is flushed. What the reader waits
//!   for may be in the writer's buffer.
//! - `budget-each-turn`: each turn of the loop consumes a unit of the budget. So a copy between streams that are always
//!   ready (memory, `repeat`, a user's type) lets other tasks run.

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::errors::write_zero;
use super::{AsyncBufRead, AsyncRead, AsyncWrite, DEFAULT_BUFFER_BYTES, ReadBuf};
use crate::observe::waiting;
use crate::task::coop::poll_proceed;

/// Copies all bytes of `reader` to `writer`, flushes it, and returns their number.
///
/// - It holds a buffer of 8 KiB while it runs; [`copy_buf`] uses the reader's own.
/// - It flushes the writer before it waits for the reader, so a buffered writer delays nothing.
/// - It does not shut the writer down.
///
/// # Cancel safety
/// Not cancel safe: dropping the future loses bytes that were read and not yet written.
///
/// # Errors
/// [`ErrorKind::WriteZero`] if the writer accepts no more bytes, and the errors of the reader and the writer.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut writer = Vec::new();
/// let copied = redd::io::copy(&mut &b"salmon"[..], &mut writer).await?;
/// assert_eq!((copied, &writer[..]), (6, &b"salmon"[..]));
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn copy<'a, R, W>(reader: &'a mut R, writer: &'a mut W) -> impl Future<Output = io::Result<u64>> + use<'a, R, W>
where
    R: AsyncRead + Unpin + ?Sized,
    W: AsyncWrite + Unpin + ?Sized,
{
    let location = Location::caller();
    async move {
        let mut buffer = CopyBuffer::new(DEFAULT_BUFFER_BYTES);
        poll_fn(|cx| waiting::locate(buffer.poll_copy(cx, Pin::new(&mut *reader), Pin::new(&mut *writer)), location))
            .await
    }
}

/// Copies all bytes of `reader` to `writer` from the reader's own buffer, as [`copy()`] does.
///
/// # Cancel safety
/// Dropping the future loses nothing: bytes that were not written are still in the reader.
///
/// # Errors
/// As `copy`.
///
/// # Examples
/// ```
/// use redd::io::{AsyncBufReadExt, BufReader};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut reader = BufReader::new(&b"header\nsalmon"[..]);
/// reader.read_line(&mut String::new()).await?;
/// // The rest, including what the reader has buffered.
/// let mut body = Vec::new();
/// assert_eq!(redd::io::copy_buf(&mut reader, &mut body).await?, 6);
/// assert_eq!(body, b"salmon");
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn copy_buf<'a, R, W>(reader: &'a mut R, writer: &'a mut W) -> impl Future<Output = io::Result<u64>> + use<'a, R, W>
where
    R: AsyncBufRead + Unpin + ?Sized,
    W: AsyncWrite + Unpin + ?Sized,
{
    let location = Location::caller();
    async move {
        let (mut copied, mut needs_flush) = (0, false);
        poll_fn(|cx| {
            let (reader, writer) = (Pin::new(&mut *reader), Pin::new(&mut *writer));
            waiting::locate(poll_copy_buf(cx, reader, writer, &mut copied, &mut needs_flush), location)
        })
        .await
    }
}

fn poll_copy_buf<R, W>(
    cx: &mut Context<'_>,
    mut reader: Pin<&mut R>,
    mut writer: Pin<&mut W>,
    copied: &mut u64,
    needs_flush: &mut bool,
) -> Poll<io::Result<u64>>
where
    R: AsyncBufRead + ?Sized,
    W: AsyncWrite + ?Sized,
{
    loop {
        // `budget-each-turn`
        let unit = ready!(poll_proceed(cx));
        let bytes = match reader.as_mut().poll_fill_buf(cx) {
            Poll::Pending => {
                // `flush-before-waiting`
                if *needs_flush {
                    ready!(writer.poll_flush(cx))?;
                    *needs_flush = false;
                }
                return Poll::Pending;
            }
            filled @ Poll::Ready(_) => ready_or_retry!(filled),
        };
        if bytes.is_empty() {
            ready!(writer.poll_flush(cx))?;
            unit.made_progress();
            return Poll::Ready(Ok(*copied));
        }
        let len = ready_or_retry!(writer.as_mut().poll_write(cx, bytes));
        if len == 0 {
            return Poll::Ready(Err(write_zero()));
        }
        reader.as_mut().consume(len);
        *copied += len as u64;
        *needs_flush = true;
        unit.made_progress();
    }
}

/// The state of a copy in progress.
#[derive(Debug)]
pub(super) struct CopyBuffer {
    buf: Box<[u8]>,
    start: usize,
    end: usize,
    copied: u64,
    is_reader_done: bool,
    needs_flush: bool,
}

impl CopyBuffer {
    /// `capacity` must not be zero; the caller checks it.
    pub(super) fn new(capacity: usize) -> Self {
        debug_assert!(capacity > 0);
        Self {
            buf: vec![0; capacity].into_boxed_slice(),
            start: 0,
            end: 0,
            copied: 0,
            is_reader_done: false,
            needs_flush: false,
        }
    }

    /// Continues the copy; ready when the reader is at its end and the writer is flushed.
    pub(super) fn poll_copy<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        mut reader: Pin<&mut R>,
        mut writer: Pin<&mut W>,
    ) -> Poll<io::Result<u64>>
    where
        R: AsyncRead + ?Sized,
        W: AsyncWrite + ?Sized,
    {
        loop {
            // `budget-each-turn`
            let unit = ready!(poll_proceed(cx));
            if !self.is_reader_done && self.end < self.buf.len() {
                match self.poll_fill(cx, reader.as_mut()) {
                    Poll::Ready(Ok(())) => unit.made_progress(),
                    Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => continue,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    // There are bytes to write.
                    Poll::Pending if self.start < self.end => {}
                    Poll::Pending => {
                        // `flush-before-waiting`
                        if self.needs_flush {
                            ready!(writer.poll_flush(cx))?;
                            self.needs_flush = false;
                            unit.made_progress();
                        }
                        return Poll::Pending;
                    }
                }
            }
            while self.start < self.end {
                let bytes = &self.buf[self.start..self.end];
                let len = ready_or_retry!(writer.as_mut().poll_write(cx, bytes));
                if len == 0 {
                    return Poll::Ready(Err(write_zero()));
                }
                self.start += len;
                self.copied += len as u64;
                self.needs_flush = true;
                unit.made_progress();
            }
            self.start = 0;
            self.end = 0;
            if self.is_reader_done {
                ready!(writer.poll_flush(cx))?;
                return Poll::Ready(Ok(self.copied));
            }
        }
    }

    /// Reads once into the free part of the buffer.
    fn poll_fill<R: AsyncRead + ?Sized>(&mut self, cx: &mut Context<'_>, reader: Pin<&mut R>) -> Poll<io::Result<()>> {
        let mut free = ReadBuf::new(&mut self.buf[self.end..]);
        let start = free.start();
        ready!(reader.poll_read(cx, &mut free))?;
        // `pending-window`: the reader filled our buffer.
        free.assert_same_buffer(start);
        let len = free.filled().len();
        self.end += len;
        self.is_reader_done = len == 0;
        Poll::Ready(Ok(()))
    }
}
