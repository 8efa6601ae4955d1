//! `Empty`, `Repeat` and `Sink`: streams that have no other side.
//!
//! Each operation costs a unit of the budget: they are always ready, and a loop over them would never yield otherwise.

use std::io::{self, IoSlice, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::traits::total_len;
use super::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};
use crate::task::coop::poll_proceed;

/// Ready with `value`, for one unit of the budget.
fn ready_with_budget<T>(cx: &mut Context<'_>, value: T) -> Poll<io::Result<T>> {
    ready!(poll_proceed(cx)).made_progress();
    Poll::Ready(Ok(value))
}

/// A stream that is always at its end, and that drops all that is written to it.
#[derive(Debug)]
pub struct Empty {
    _private: (),
}

/// Makes a stream that is always at its end, and that drops all that is written to it.
pub fn empty() -> Empty {
    Empty { _private: () }
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

/// A reader of one byte, again and again, without end.
#[derive(Debug)]
pub struct Repeat {
    byte: u8,
}

/// Makes a reader of `byte`, again and again, without end.
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

/// A writer that drops all that is written to it.
#[derive(Debug)]
pub struct Sink {
    _private: (),
}

/// Makes a writer that drops all that is written to it.
pub fn sink() -> Sink {
    Sink { _private: () }
}

/// Everything is taken and dropped.
macro_rules! write_to_nowhere {
    ($type:ty) => {
        impl AsyncWrite for $type {
            write_pieces!(self, cx, bufs => ready_with_budget(cx, total_len(bufs)));

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                ready_with_budget(cx, ())
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                ready_with_budget(cx, ())
            }
        }
    };
}

write_to_nowhere!(Empty);
write_to_nowhere!(Sink);
