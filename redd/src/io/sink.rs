//! `Sink`: a writer that discards everything.
//!
//! Each operation costs a unit of the budget: it is always ready, and a loop over it would never yield otherwise.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::AsyncWrite;
use super::traits::total_len;
use crate::task::coop::poll_proceed;

/// A writer that discards everything written to it. Made by [`sink`].
pub struct Sink {
    _private: (),
}

debug_struct!([] Sink as "Sink", self => {});

/// Returns a writer that discards everything written to it.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// // Read a response to its end without keeping it.
/// let mut response = &b"salmon"[..];
/// assert_eq!(redd::io::copy(&mut response, &mut redd::io::sink()).await?, 6);
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
pub fn sink() -> Sink {
    Sink { _private: () }
}

/// Returns `value` for one unit of the budget.
fn ready_with_budget<T>(cx: &mut Context<'_>, value: T) -> Poll<io::Result<T>> {
    ready!(poll_proceed(cx)).made_progress();
    Poll::Ready(Ok(value))
}

impl AsyncWrite for Sink {
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
