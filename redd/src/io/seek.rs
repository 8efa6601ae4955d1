//! `AsyncSeek`: a stream with a position that can be moved. The trait and its implementations.
//!
//! Called by `seek_ext` and the buffered adapters.

use std::io::{self, Cursor, Seek, SeekFrom};
use std::ops::DerefMut;
use std::pin::Pin;
use std::task::{Context, Poll};

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
