//! `AsyncBufRead`: a reader that shows the bytes it has buffered. The trait and its implementations.
//!
//! Called by `buf_read_ext`, `copy` and the adapters.

use std::io::{self, Cursor};
use std::ops::DerefMut;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::AsyncRead;
use super::read::rest_of;

/// Reads through a buffer of the reader's own; the asynchronous counterpart of [`std::io::BufRead`].
///
/// Programs call the methods of [`AsyncBufReadExt`](super::AsyncBufReadExt).
pub trait AsyncBufRead: AsyncRead {
    /// The buffered bytes, after reading some if there were none. Empty at the end of the stream.
    ///
    /// - The bytes stay in the buffer until they are [consumed](Self::consume).
    /// - `Pending`: the task is woken when there may be something to read.
    ///
    /// # Errors
    /// What the reader reports.
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>>;

    /// The first `amt` bytes of the buffer have been used and are not shown again.
    ///
    /// - `amt` is at most the length of what `poll_fill_buf` has returned last; more may panic.
    fn consume(self: Pin<&mut Self>, amt: usize);
}

forward_from_pointers!(AsyncBufRead, forward_buf_read);

impl AsyncBufRead for &[u8] {
    fn poll_fill_buf(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Poll::Ready(Ok(*self))
    }

    fn consume(mut self: Pin<&mut Self>, amt: usize) {
        *self = &self[amt..];
    }
}

impl<T: AsRef<[u8]> + Unpin> AsyncBufRead for Cursor<T> {
    fn poll_fill_buf(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Poll::Ready(Ok(rest_of(self.get_mut())))
    }

    fn consume(mut self: Pin<&mut Self>, amt: usize) {
        let position = self.position() + amt as u64;
        self.set_position(position);
    }
}
