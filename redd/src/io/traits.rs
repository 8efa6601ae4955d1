//! The four traits: `AsyncRead`, `AsyncBufRead`, `AsyncWrite`, `AsyncSeek`; and who has them without further ado: boxes,
//! references, memory.
//!
//! Called by the `…Ext` traits and by every adapter.

use std::io::{self, Cursor, IoSlice, Seek, SeekFrom};
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

/// Writes bytes without blocking the thread; the asynchronous counterpart of [`std::io::Write`].
///
/// Programs call the methods of [`AsyncWriteExt`](super::AsyncWriteExt).
pub trait AsyncWrite {
    /// Tries to write a front part of `buf` and answers with its length.
    ///
    /// - `Ready(Ok(0))`: the writer takes no more bytes, or `buf` is empty.
    /// - `Pending`: nothing was written; the task is woken when the writer may take bytes again.
    ///
    /// # Errors
    /// What the writer reports; nothing of `buf` was written.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>>;

    /// Tries to bring everything written so far to its destination.
    ///
    /// # Errors
    /// What the writer reports; some of it may not have arrived.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Tries to flush and to tell the other side that nothing more comes.
    ///
    /// - After it was called once, the writer must not be written to.
    ///
    /// # Errors
    /// What the writer reports.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// As [`poll_write`](Self::poll_write), from several slices as if they were one.
    ///
    /// - Unless the writer does better, the first slice that is not empty is written.
    ///
    /// # Errors
    /// As `poll_write`.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write(cx, first_nonempty(bufs))
    }

    /// Whether `poll_write_vectored` does better than writing one slice; if not, callers rather join small slices.
    fn is_write_vectored(&self) -> bool {
        false
    }
}

/// The first slice that has bytes.
pub(super) fn first_nonempty<'a>(bufs: &'a [IoSlice<'_>]) -> &'a [u8] {
    bufs.iter().find(|slice| !slice.is_empty()).map_or(&[], |slice| &**slice)
}

/// How many bytes there are in all slices.
pub(super) fn total_len(bufs: &[IoSlice<'_>]) -> usize {
    bufs.iter().fold(0, |total, slice| total.saturating_add(slice.len()))
}

forward_from_pointers!(AsyncWrite, forward_write);

/// Memory: never pending, nothing to flush; writing is what `std::io::Write` does.
macro_rules! write_to_memory {
    () => {
        fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(io::Write::write(self.get_mut(), buf))
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(io::Write::write_vectored(self.get_mut(), bufs))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }
    };
}

/// Appends.
impl AsyncWrite for Vec<u8> {
    write_to_memory!();
}

/// Overwrites from the position on; takes no bytes behind the end.
impl AsyncWrite for Cursor<&mut [u8]> {
    write_to_memory!();
}

/// Overwrites from the position on, and grows.
impl AsyncWrite for Cursor<&mut Vec<u8>> {
    write_to_memory!();
}

/// Overwrites from the position on, and grows.
impl AsyncWrite for Cursor<Vec<u8>> {
    write_to_memory!();
}

/// Overwrites from the position on; takes no bytes behind the end.
impl AsyncWrite for Cursor<Box<[u8]>> {
    write_to_memory!();
}

/// Moves the position in a stream without blocking the thread; the asynchronous counterpart of [`std::io::Seek`].
///
/// Programs call the methods of [`AsyncSeekExt`](super::AsyncSeekExt).
pub trait AsyncSeek {
    /// Begins to move the position; [`poll_complete`](Self::poll_complete) tells when it is there.
    ///
    /// - Call `poll_complete` before it too: an operation in progress may make it fail.
    ///
    /// # Errors
    /// If the stream cannot move there, or not now.
    fn start_seek(self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()>;

    /// Waits for the move that was begun and answers with the position, counted from the start.
    ///
    /// - Without a move in progress it answers at once; what it answers is up to the stream.
    ///
    /// # Errors
    /// If the move failed.
    fn poll_complete(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>>;
}

forward_from_pointers!(AsyncSeek, forward_seek);

/// Never pending.
impl<T: AsRef<[u8]> + Unpin> AsyncSeek for Cursor<T> {
    fn start_seek(self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        self.get_mut().seek(position).map(drop)
    }

    fn poll_complete(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Poll::Ready(Ok(self.position()))
    }
}
