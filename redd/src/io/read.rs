//! `AsyncRead`: bytes come out of it. The trait and its implementations for references, boxes and memory.
//!
//! Called by `read_ext` and by every adapter.

use std::io::{self, Cursor};
use std::ops::DerefMut;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::ReadBuf;

/// Reads bytes without blocking the thread; the asynchronous counterpart of [`std::io::Read`].
///
/// Programs call the methods of [`AsyncReadExt`](super::AsyncReadExt).
pub trait AsyncRead {
    /// Tries to append bytes to the filled part of `buf`.
    ///
    /// - `Ready(Ok(()))` with bytes added: there may be more. Without any: end of the stream, or `buf` had no room.
    /// - `Pending`: nothing was added; the task is woken when there may be something to read.
    /// - The implementor fills the `buf` that it was given; it must not put another one in its place.
    ///
    /// # Errors
    /// What the reader reports; nothing has been added to `buf`.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>>;
}

forward_from_pointers!(AsyncRead, forward_read);

/// Never pending; what is read is cut off the front of the slice.
impl AsyncRead for &[u8] {
    fn poll_read(mut self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (head, tail) = self.split_at(self.len().min(buf.remaining()));
        buf.put_slice(head);
        *self = tail;
        Poll::Ready(Ok(()))
    }
}

/// Never pending; a position behind the end reads as the end.
impl<T: AsRef<[u8]> + Unpin> AsyncRead for Cursor<T> {
    fn poll_read(mut self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let rest = rest_of(&self);
        let len = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..len]);
        let position = self.position() + len as u64;
        self.set_position(position);
        Poll::Ready(Ok(()))
    }
}

/// What is left behind the position of a cursor.
pub(super) fn rest_of<T: AsRef<[u8]>>(cursor: &Cursor<T>) -> &[u8] {
    let bytes = cursor.get_ref().as_ref();
    let start = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
    bytes.get(start..).unwrap_or_default()
}
