//! `Take`: at most so many bytes of a reader.

#![expect(unsafe_code, reason = "bytes that the inner reader initialised are known to be so")]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{AsyncBufRead, AsyncRead, ReadBuf};

pin_project! {
    /// A reader that ends after a number of bytes. Made by [`AsyncReadExt::take`](super::AsyncReadExt::take).
    #[derive(Debug)]
    #[must_use = "readers do nothing until they are read from"]
    pub struct Take<R> {
        #[pin]
        inner: R,
        limit: u64,
    }
}

impl<R: AsyncRead> Take<R> {
    pub(super) fn new(inner: R, limit: u64) -> Self {
        Self { inner, limit }
    }

    /// How many more bytes may be read; the inner reader may end before.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// From now on, so many more bytes may be read, whatever was read before.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    inner_methods!(R, "reader", "what is read from it directly does not count", "");
}

/// As much of `len` as the limit allows.
fn limited(len: usize, limit: u64) -> usize {
    usize::try_from(limit).map_or(len, |limit| len.min(limit))
}

impl<R: AsyncRead> AsyncRead for Take<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        if *this.limit == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut part = buf.take(limited(buf.remaining(), *this.limit));
        let start = part.start();
        ready!(this.inner.poll_read(cx, &mut part))?;
        part.assert_same_buffer(start);
        let filled = part.filled().len();
        let initialized = part.initialized().len();
        // SAFETY: `part` is the front of the unfilled bytes of `buf`, as just asserted, and knows so many initialised.
        unsafe { buf.assume_init(initialized) };
        buf.advance(filled);
        *this.limit -= filled as u64;
        Poll::Ready(Ok(()))
    }
}

impl<R: AsyncBufRead> AsyncBufRead for Take<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.project();
        if *this.limit == 0 {
            return Poll::Ready(Ok(&[]));
        }
        let bytes = ready!(this.inner.poll_fill_buf(cx))?;
        Poll::Ready(Ok(&bytes[..limited(bytes.len(), *this.limit)]))
    }

    fn consume(self: Pin<&mut Self>, amt: usize) {
        let this = self.project();
        let amt = limited(amt, *this.limit);
        *this.limit -= amt as u64;
        this.inner.consume(amt);
    }
}
