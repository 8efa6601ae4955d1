//! `Lines` and `Split`: a stream cut at line feeds or at another byte.
//!
//! # Invariants
//! - `partial-stays`: bytes of an unfinished segment stay in `partial` over drops of the future and over errors.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::AsyncBufRead;
use super::buf_read_ext::poll_until;

pin_project! {
    /// The lines of a reader. Made by [`AsyncBufReadExt::lines`](super::AsyncBufReadExt::lines).
    #[derive(Debug)]
    #[must_use = "lines are read only when they are asked for"]
    pub struct Lines<R> {
        #[pin]
        split: Split<R>,
    }
}

impl<R> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { split: Split::new(reader, b'\n') }
    }

    /// The reader behind it; reading from it takes bytes away from the lines.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.split.reader
    }

    /// The reader behind it.
    pub fn get_ref(&mut self) -> &R {
        &self.split.reader
    }

    /// Gives the reader back. The bytes of an unfinished line are lost.
    pub fn into_inner(self) -> R {
        self.split.reader
    }
}

impl<R: AsyncBufRead> Lines<R> {
    /// The next line, without `\n` or `\r\n`; `None` at the end of the stream.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped (`partial-stays`).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] if the line is not UTF-8: then it is skipped, and its bytes are in the error
    /// ([`FromUtf8Error`](std::string::FromUtf8Error)). Else what the reader reports; calling again goes on.
    pub async fn next_line(&mut self) -> io::Result<Option<String>>
    where
        R: Unpin,
    {
        poll_fn(|cx| Pin::new(&mut *self).poll_next_line(cx)).await
    }

    /// As [`next_line`](Self::next_line), to be polled.
    ///
    /// # Errors
    /// As `next_line`.
    pub fn poll_next_line(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Option<String>>> {
        let Some(mut line) = ready!(self.project().split.poll_delimited(cx))? else {
            return Poll::Ready(Ok(None));
        };
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        let line = String::from_utf8(line).map_err(|not_text| io::Error::new(ErrorKind::InvalidData, not_text))?;
        Poll::Ready(Ok(Some(line)))
    }
}

pin_project! {
    /// The segments of a reader. Made by [`AsyncBufReadExt::split`](super::AsyncBufReadExt::split).
    #[derive(Debug)]
    #[must_use = "segments are read only when they are asked for"]
    pub struct Split<R> {
        #[pin]
        reader: R,
        partial: Vec<u8>,
        delimiter: u8,
        len: usize,
    }
}

impl<R> Split<R> {
    pub(super) fn new(reader: R, delimiter: u8) -> Self {
        Self { reader, partial: Vec::new(), delimiter, len: 0 }
    }
}

impl<R: AsyncBufRead> Split<R> {
    /// The next segment, without the byte at which it was cut; `None` at the end of the stream.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped (`partial-stays`).
    ///
    /// # Errors
    /// What the reader reports; calling again goes on.
    pub async fn next_segment(&mut self) -> io::Result<Option<Vec<u8>>>
    where
        R: Unpin,
    {
        poll_fn(|cx| Pin::new(&mut *self).poll_next_segment(cx)).await
    }

    /// As [`next_segment`](Self::next_segment), to be polled.
    ///
    /// # Errors
    /// As `next_segment`.
    pub fn poll_next_segment(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Option<Vec<u8>>>> {
        let delimiter = self.delimiter;
        let mut segment = ready!(self.poll_delimited(cx))?;
        if let Some(segment) = segment.as_mut().filter(|segment| segment.last() == Some(&delimiter)) {
            segment.pop();
        }
        Poll::Ready(Ok(segment))
    }

    /// The next segment, and behind it the byte at which it was cut.
    fn poll_delimited(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Option<Vec<u8>>>> {
        let this = self.project();
        ready!(poll_until(this.reader, *this.delimiter, this.partial, this.len, cx))?;
        let segment = std::mem::take(this.partial);
        Poll::Ready(Ok((!segment.is_empty()).then_some(segment)))
    }
}
