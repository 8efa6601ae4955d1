//! `copy` and `copy_buf`: everything from a reader into a writer.
//!
//! Called by programs and by `copy_bidirectional`.
//!
//! # Invariants
//! - `flush-before-waiting`: before the copy waits for the reader, everything written is flushed: what the reader
//!   waits for may sit in the writer's buffer.
//! - `unit-each-turn`: each turn of the loop takes part in the budget, so that a copy between two that are always ready
//!   (memory, `repeat`, a user's type) lets other tasks run.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, write_zero};
use crate::task::coop::poll_proceed;

/// Copies everything from `reader` to `writer`, flushes it, and answers with the number of bytes.
///
/// - Holds a buffer of 8 KiB while it runs; [`copy_buf`] uses the reader's own.
/// - While the reader has nothing, what was written is flushed.
///
/// # Cancel safety
/// Not cancel safe: bytes that were read and not yet written at a drop are lost.
///
/// # Errors
/// What the reader or the writer reports, or [`ErrorKind::WriteZero`](io::ErrorKind::WriteZero) if the writer takes no
/// more bytes.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut writer = Vec::new();
/// let copied = redd::io::copy(&mut &b"salmon"[..], &mut writer).await?;
/// assert_eq!((copied, &writer[..]), (6, &b"salmon"[..]));
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
pub async fn copy<'a, R, W>(reader: &'a mut R, writer: &'a mut W) -> io::Result<u64>
where
    R: AsyncRead + Unpin + ?Sized,
    W: AsyncWrite + Unpin + ?Sized,
{
    copy_buf(&mut BufReader::new(reader), writer).await
}

/// As [`copy()`], from the reader's own buffer.
///
/// # Cancel safety
/// Nothing is lost at a drop: bytes that were not written are still in the reader.
///
/// # Errors
/// As `copy`.
pub async fn copy_buf<'a, R, W>(reader: &'a mut R, writer: &'a mut W) -> io::Result<u64>
where
    R: AsyncBufRead + Unpin + ?Sized,
    W: AsyncWrite + Unpin + ?Sized,
{
    let mut progress = Progress::default();
    poll_fn(|cx| progress.poll_copy(cx, Pin::new(&mut *reader), Pin::new(&mut *writer))).await
}

/// A copy under way.
#[derive(Debug, Default)]
pub(super) struct Progress {
    copied: u64,
    needs_flush: bool,
    is_reader_done: bool,
}

impl Progress {
    /// Goes on with the copy; ready when the reader is at its end and the writer is flushed.
    pub(super) fn poll_copy<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        mut reader: Pin<&mut R>,
        mut writer: Pin<&mut W>,
    ) -> Poll<io::Result<u64>>
    where
        R: AsyncBufRead + ?Sized,
        W: AsyncWrite + ?Sized,
    {
        while !self.is_reader_done {
            // `unit-each-turn`
            let unit = ready!(poll_proceed(cx));
            let bytes = match reader.as_mut().poll_fill_buf(cx) {
                Poll::Pending => {
                    // `flush-before-waiting`
                    if self.needs_flush {
                        ready!(writer.poll_flush(cx))?;
                        self.needs_flush = false;
                        unit.made_progress();
                    }
                    return Poll::Pending;
                }
                filled @ Poll::Ready(_) => ready_or_retry!(filled),
            };
            if bytes.is_empty() {
                self.is_reader_done = true;
            } else {
                let len = ready_or_retry!(writer.as_mut().poll_write(cx, bytes));
                if len == 0 {
                    return Poll::Ready(Err(write_zero()));
                }
                reader.as_mut().consume(len);
                self.copied += len as u64;
                self.needs_flush = true;
            }
            unit.made_progress();
        }
        writer.poll_flush(cx).map_ok(|()| self.copied)
    }
}
