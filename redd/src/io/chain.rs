//! `Chain`: one reader, then another.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{AsyncBufRead, AsyncRead, ReadBuf};

pin_project! {
    /// Reads the first reader to its end, then the second. Made by [`AsyncReadExt::chain`](super::AsyncReadExt::chain).
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncBufReadExt, AsyncReadExt};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// // Put back what was read too far.
    /// let already_read = &b"sal"[..];
    /// let rest = &b"mon\nredd\n"[..];
    /// let mut lines = already_read.chain(rest).lines();
    /// assert_eq!(lines.next_line().await?.as_deref(), Some("salmon"));
    /// assert_eq!(lines.next_line().await?.as_deref(), Some("redd"));
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[derive(Debug)]
    #[must_use = "readers do nothing until they are read from"]
    pub struct Chain<T, U> {
        #[pin]
        first: T,
        #[pin]
        second: U,
        is_first_done: bool,
    }
}

impl<T, U> Chain<T, U>
where
    T: AsyncRead,
    U: AsyncRead,
{
    pub(super) fn new(first: T, second: U) -> Self {
        Self { first, second, is_first_done: false }
    }

    /// Returns both readers.
    pub fn get_ref(&self) -> (&T, &U) {
        (&self.first, &self.second)
    }

    /// Returns both readers; what is read from them directly is missing in the chain.
    pub fn get_mut(&mut self) -> (&mut T, &mut U) {
        (&mut self.first, &mut self.second)
    }

    /// Returns both readers, pinned; what is read from them directly is missing in the chain.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> (Pin<&mut T>, Pin<&mut U>) {
        let this = self.project();
        (this.first, this.second)
    }

    /// Returns both readers.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut chain = (&b"redd"[..]).chain(&b"salmon"[..]);
    /// chain.read_exact(&mut [0; 7]).await?;
    /// let (first, second) = chain.into_inner();
    /// assert_eq!((first, second), (&b""[..], &b"mon"[..]));
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn into_inner(self) -> (T, U) {
        (self.first, self.second)
    }
}

impl<T, U> AsyncRead for Chain<T, U>
where
    T: AsyncRead,
    U: AsyncRead,
{
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        if !*this.is_first_done {
            let remaining = buf.remaining();
            ready!(this.first.poll_read(cx, buf))?;
            // Zero bytes read into an empty buffer do not mean the end.
            if buf.remaining() != remaining || remaining == 0 {
                return Poll::Ready(Ok(()));
            }
            *this.is_first_done = true;
        }
        this.second.poll_read(cx, buf)
    }
}

impl<T, U> AsyncBufRead for Chain<T, U>
where
    T: AsyncBufRead,
    U: AsyncBufRead,
{
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.project();
        if !*this.is_first_done {
            let bytes = ready!(this.first.poll_fill_buf(cx))?;
            if !bytes.is_empty() {
                return Poll::Ready(Ok(bytes));
            }
            *this.is_first_done = true;
        }
        this.second.poll_fill_buf(cx)
    }

    fn consume(self: Pin<&mut Self>, amt: usize) {
        let this = self.project();
        if *this.is_first_done {
            this.second.consume(amt);
        } else {
            this.first.consume(amt);
        }
    }
}
