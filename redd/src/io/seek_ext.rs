//! `AsyncSeekExt`: moving the position with `await`.

use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::AsyncSeek;
use super::operation::{Operation, OperationFuture};

/// The methods for programs of everything that is [`AsyncSeek`].
pub trait AsyncSeekExt: AsyncSeek {
    operations! {
        /// Moves the position, and answers with the new one, counted from the start.
        ///
        /// - An operation in progress is waited for first.
        ///
        /// # Cancel safety
        /// After a drop the position is the old or the new one.
        ///
        /// # Errors
        /// If the stream cannot move there.
        ///
        /// # Examples
        /// ```
        /// use redd::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};
        ///
        /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        /// let mut cursor = std::io::Cursor::new(b"redd salmon");
        /// cursor.seek(SeekFrom::Start(5)).await?;
        /// let mut word = String::new();
        /// cursor.read_to_string(&mut word).await?;
        /// assert_eq!(word, "salmon");
        /// # redd::io::Result::Ok(()) }).unwrap();
        /// ```
        seek(pos: SeekFrom) -> Seek = Seek { target: Some(pos) };

        /// Moves the position to the start.
        ///
        /// # Cancel safety
        /// After a drop the position is the old one or the start.
        ///
        /// # Errors
        /// If the stream cannot move there.
        rewind() -> Seek = Seek { target: Some(SeekFrom::Start(0)) };

        /// The position, counted from the start.
        ///
        /// # Cancel safety
        /// Nothing is lost when it is dropped.
        ///
        /// # Errors
        /// If the stream has no position.
        stream_position() -> Seek = Seek { target: Some(SeekFrom::Current(0)) };
    }
}

impl<S: AsyncSeek + ?Sized> AsyncSeekExt for S {}

/// What is awaited after [`AsyncSeekExt::seek`].
#[derive(Debug)]
pub struct Seek {
    /// Where to; `None` once the move has begun.
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
