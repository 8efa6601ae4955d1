//! `Take`: a limited number of bytes of a reader.

#![expect(unsafe_code, reason = "bytes that the inner reader initialised count as initialised")]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{AsyncBufRead, AsyncRead, ReadBuf};

pin_project! {
    /// A reader that ends after a number of bytes. Made by [`AsyncReadExt::take`](super::AsyncReadExt::take).
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncBufReadExt, AsyncReadExt};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// // Read lines of at most 8 bytes from a client that is not trusted.
    /// let mut requests = (&b"redd\nsalmon salmon salmon\n"[..]).take(8);
    /// let mut line = String::new();
    /// requests.read_line(&mut line).await?;
    /// assert_eq!(line, "redd\n");
    ///
    /// requests.set_limit(8);
    /// line.clear();
    /// requests.read_line(&mut line).await?;
    /// let is_too_long = requests.limit() == 0 && !line.ends_with('\n');
    /// assert!(is_too_long);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
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

    /// Returns how many more bytes may be read; the inner reader may end before.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Sets how many more bytes may be read from now on.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = (&b"redd salmon"[..]).take(4);
    /// let mut text = String::new();
    /// reader.read_to_string(&mut text).await?;
    /// assert_eq!(text, "redd");
    /// reader.set_limit(100);
    /// reader.read_to_string(&mut text).await?;
    /// assert_eq!(text, "redd salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Returns the inner reader.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// Returns the inner reader; what is read from it directly does not count.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// Returns the inner reader, pinned; what is read from it directly does not count.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut R> {
        self.project().inner
    }

    /// Returns the inner reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut header = (&b"redd salmon"[..]).take(5);
    /// header.read_exact(&mut [0; 5]).await?;
    /// assert_eq!(header.into_inner(), b"salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn into_inner(self) -> R {
        self.inner
    }
}

/// The smaller of `len` and `limit`.
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
        // SAFETY: `part` is the front of the unfilled bytes of `buf`, as just asserted, and this many of them are
        // initialised.
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
