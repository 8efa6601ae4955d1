//! `Empty`: a stream at its end, for reading and writing.
//!
//! Each operation costs a unit of the budget: it is always ready, and a loop over it would never yield otherwise.

use std::io::{self, IoSlice, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::traits::total_len;
use super::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};
use crate::task::coop::poll_proceed;

/// A stream that is always at its end and discards everything written to it. Made by [`empty`].
pub struct Empty {
    _private: (),
}

debug_struct!([] Empty as "Empty", self => {});

/// Returns a stream that is always at its end and discards everything written to it.
///
/// # Examples
/// ```
/// use redd::io::{AsyncReadExt, AsyncWriteExt};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut stream = redd::io::empty();
/// stream.write_all(b"salmon").await?;
/// let mut text = String::new();
/// assert_eq!(stream.read_to_string(&mut text).await?, 0);
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
pub fn empty() -> Empty {
    Empty { _private: () }
}

/// Returns `value` for one unit of the budget.
fn ready_with_budget<T>(cx: &mut Context<'_>, value: T) -> Poll<io::Result<T>> {
    ready!(poll_proceed(cx)).made_progress();
    Poll::Ready(Ok(value))
}

impl AsyncRead for Empty {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, _buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready_with_budget(cx, ())
    }
}

impl AsyncBufRead for Empty {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        ready_with_budget(cx, &[])
    }

    fn consume(self: Pin<&mut Self>, _amt: usize) {}
}

/// The position is always 0.
impl AsyncSeek for Empty {
    fn start_seek(self: Pin<&mut Self>, _position: SeekFrom) -> io::Result<()> {
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        ready_with_budget(cx, 0)
    }
}

/// Discards everything.
impl AsyncWrite for Empty {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready_with_budget(cx, buf.len())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready_with_budget(cx, total_len(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready_with_budget(cx, ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready_with_budget(cx, ())
    }
}
