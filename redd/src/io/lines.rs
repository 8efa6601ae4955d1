//! `Lines` and `Split`: a stream split at line feeds or at another byte.
//!
//! # Invariants
//! - `partial-stays`: bytes of an unfinished segment stay in `partial` when a future is dropped or returns an error.

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::AsyncBufRead;
use super::read_until::poll_until;
use crate::observe::waiting;

pin_project! {
    /// The lines of a reader. Made by [`AsyncBufReadExt::lines`](super::AsyncBufReadExt::lines).
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (mut client, server) = redd::io::duplex(64);
    /// client.write_all(b"GET redd\nGET salmon\nQUIT\n").await?;
    /// let mut requests = BufReader::new(server).lines();
    /// let mut names = Vec::new();
    /// while let Some(line) = requests.next_line().await? {
    ///     match line.strip_prefix("GET ") {
    ///         Some(name) => names.push(name.to_owned()),
    ///         None => break,
    ///     }
    /// }
    /// assert_eq!(names, ["redd", "salmon"]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[derive(Debug)]
    #[must_use = "lines are read only when they are requested"]
    pub struct Lines<R> {
        #[pin]
        split: Split<R>,
    }
}

impl<R> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { split: Split::new(reader, b'\n') }
    }

    /// Returns the inner reader; reading from it takes bytes away from the lines.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.split.reader
    }

    /// Returns the inner reader.
    pub fn get_ref(&mut self) -> &R {
        &self.split.reader
    }

    /// Returns the inner reader. The bytes of an unfinished line are lost.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncBufReadExt, AsyncReadExt};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// // A header of lines up to an empty line, then a body.
    /// let mut lines = (&b"length: 6\n\nsalmon"[..]).lines();
    /// while let Some(line) = lines.next_line().await? {
    ///     if line.is_empty() {
    ///         break;
    ///     }
    /// }
    /// let mut body = String::new();
    /// lines.into_inner().read_to_string(&mut body).await?;
    /// assert_eq!(body, "salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn into_inner(self) -> R {
        self.split.reader
    }
}

impl<R: AsyncBufRead> Lines<R> {
    /// Returns the next line, without `\n` or `\r\n`, or `None` at the end of the stream.
    ///
    /// - The length is up to the sender. Put [`take`](super::AsyncReadExt::take) before it where the sender is not
    ///   trusted.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] if the line is not UTF-8: then it is skipped, and its bytes are in the error
    /// ([`FromUtf8Error`](std::string::FromUtf8Error)). Also the errors of the reader; call it again to continue.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncBufReadExt, ErrorKind};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut lines = (&b"redd\n\xff\nsalmon\n"[..]).lines();
    /// assert_eq!(lines.next_line().await?.as_deref(), Some("redd"));
    /// assert_eq!(lines.next_line().await.unwrap_err().kind(), ErrorKind::InvalidData);
    /// assert_eq!(lines.next_line().await?.as_deref(), Some("salmon"));
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn next_line(&mut self) -> impl Future<Output = io::Result<Option<String>>>
    where
        R: Unpin,
    {
        let location = Location::caller();
        async move { poll_fn(|cx| waiting::locate(Pin::new(&mut *self).poll_next_line(cx), location)).await }
    }

    /// Polls for the next line, as [`next_line`](Self::next_line) does.
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
    #[must_use = "segments are read only when they are requested"]
    pub struct Split<R> {
        #[pin]
        reader: R,
        partial: Vec<u8>,
        delimiter: u8,
        len: usize,
    }
}

// The bytes are the program's, and may be secret.
debug_struct!([R: std::fmt::Debug] Split<R> as "Split", self => { reader: self.reader, partial_len: self.partial.len(), .. });

impl<R> Split<R> {
    pub(super) fn new(reader: R, delimiter: u8) -> Self {
        Self { reader, partial: Vec::new(), delimiter, len: 0 }
    }
}

impl<R: AsyncBufRead> Split<R> {
    /// Returns the next segment, without the delimiter, or `None` at the end of the stream.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// The errors of the reader; call it again to continue.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// // Messages that end with a zero byte.
    /// let (mut client, server) = redd::io::duplex(64);
    /// client.write_all(b"redd\0salmon\0").await?;
    /// drop(client);
    /// let mut messages = BufReader::new(server).split(0);
    /// let mut count = 0;
    /// while let Some(message) = messages.next_segment().await? {
    ///     assert!(!message.contains(&0));
    ///     count += 1;
    /// }
    /// assert_eq!(count, 2);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn next_segment(&mut self) -> impl Future<Output = io::Result<Option<Vec<u8>>>>
    where
        R: Unpin,
    {
        let location = Location::caller();
        async move { poll_fn(|cx| waiting::locate(Pin::new(&mut *self).poll_next_segment(cx), location)).await }
    }

    /// Polls for the next segment, as [`next_segment`](Self::next_segment) does.
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

    /// The next segment, with its delimiter if it has one.
    fn poll_delimited(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Option<Vec<u8>>>> {
        let this = self.project();
        ready!(poll_until(this.reader, *this.delimiter, this.partial, this.len, cx))?;
        // `partial-stays`: it is taken only when the segment is complete.
        let segment = std::mem::take(this.partial);
        Poll::Ready(Ok((!segment.is_empty()).then_some(segment)))
    }
}
