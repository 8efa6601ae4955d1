//! `AsyncSeekExt`: moving the position with `await`.
//!
//! Called by user code.

use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::AsyncSeek;
use super::operation::{Operation, OperationFuture};

/// Methods for moving the position of anything that implements [`AsyncSeek`].
///
/// It is implemented for every such type: import it to call them.
pub trait AsyncSeekExt: AsyncSeek {
    /// Moves the position and returns the new one, in bytes from the start.
    ///
    /// - It first waits for an operation that is in progress, such as the write of a file.
    ///
    /// # Cancel safety
    /// After a drop the position is the old or the new one.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a position before the start, and the errors of the stream. A
    /// pipe, for example, cannot seek.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut cursor = std::io::Cursor::new(b"redd salmon");
    /// cursor.seek(SeekFrom::End(-6)).await?;
    /// let mut word = String::new();
    /// cursor.read_to_string(&mut word).await?;
    /// assert_eq!(word, "salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    fn seek(&mut self, pos: SeekFrom) -> OperationFuture<'_, Self, Seek>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, Seek { target: Some(pos) })
    }

    /// Moves the position to the start and returns 0.
    ///
    /// # Cancel safety
    /// After a drop the position is the old one or the start.
    ///
    /// # Errors
    /// As [`seek`](Self::seek).
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut cursor = std::io::Cursor::new(Vec::new());
    /// cursor.write_all(b"salmon").await?;
    /// cursor.rewind().await?;
    /// let mut text = String::new();
    /// cursor.read_to_string(&mut text).await?;
    /// assert_eq!(text, "salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    fn rewind(&mut self) -> OperationFuture<'_, Self, Seek>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, Seek { target: Some(SeekFrom::Start(0)) })
    }

    /// Returns the position, in bytes from the start.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// The errors of a stream that has no position, such as a pipe.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncReadExt, AsyncSeekExt};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut cursor = std::io::Cursor::new(b"redd salmon");
    /// cursor.read_exact(&mut [0; 5]).await?;
    /// assert_eq!(cursor.stream_position().await?, 5);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    fn stream_position(&mut self) -> OperationFuture<'_, Self, Seek>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, Seek { target: Some(SeekFrom::Current(0)) })
    }
}

impl<S: AsyncSeek + ?Sized> AsyncSeekExt for S {}

/// The operation of [`AsyncSeekExt::seek`].
#[derive(Debug)]
pub struct Seek {
    /// `None` once the inner seek has started.
    target: Option<SeekFrom>,
}

impl<S: AsyncSeek + ?Sized> Operation<S> for Seek {
    type Output = io::Result<u64>;

    fn poll_operation(&mut self, mut stream: Pin<&mut S>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        if let Some(target) = self.target {
            ready!(stream.as_mut().poll_complete(cx))?;
            stream.as_mut().start_seek(target)?;
            self.target = None;
        }
        stream.poll_complete(cx)
    }
}
