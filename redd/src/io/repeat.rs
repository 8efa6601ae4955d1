//! `Repeat`: one byte, forever.
//!
//! Each read costs a unit of the budget: it is always ready, and a loop over it would never yield otherwise.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::{AsyncRead, ReadBuf};
use crate::task::coop::poll_proceed;

/// A reader that returns one byte forever. Made by [`repeat`].
#[derive(Debug)]
pub struct Repeat {
    byte: u8,
}

/// Returns a reader that returns `byte` forever.
///
/// - Reading it to its end never completes; [`take`](super::AsyncReadExt::take) limits it.
///
/// # Examples
/// ```
/// use redd::io::AsyncReadExt;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut padding = Vec::new();
/// redd::io::repeat(b'.').take(3).read_to_end(&mut padding).await?;
/// assert_eq!(padding, b"...");
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
pub fn repeat(byte: u8) -> Repeat {
    Repeat { byte }
}

impl AsyncRead for Repeat {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(poll_proceed(cx)).made_progress();
        let len = buf.remaining();
        buf.initialize_unfilled().fill(self.byte);
        buf.advance(len);
        Poll::Ready(Ok(()))
    }
}
