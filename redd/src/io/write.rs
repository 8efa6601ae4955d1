//! `AsyncWrite`: bytes go into it. The trait and its implementations for references, boxes and memory.
//!
//! Called by `write_ext` and by every adapter.

use std::io::{self, Cursor, IoSlice};
use std::ops::DerefMut;
use std::pin::Pin;
use std::task::{Context, Poll};

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

    /// As [`poll_write`](Self::poll_write), from several pieces as if they were one.
    ///
    /// - Unless the writer does better, the first piece that is not empty is written.
    ///
    /// # Errors
    /// As `poll_write`.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write(cx, first_piece(bufs))
    }

    /// Whether `poll_write_vectored` does better than writing one piece; if not, callers rather join small pieces.
    fn is_write_vectored(&self) -> bool {
        false
    }
}

/// The first piece that has bytes.
pub(super) fn first_piece<'a>(bufs: &'a [IoSlice<'_>]) -> &'a [u8] {
    bufs.iter().find(|piece| !piece.is_empty()).map_or(&[], |piece| &**piece)
}

/// How many bytes there are in all pieces.
pub(super) fn total_len(bufs: &[IoSlice<'_>]) -> usize {
    bufs.iter().fold(0, |total, piece| total.saturating_add(piece.len()))
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
