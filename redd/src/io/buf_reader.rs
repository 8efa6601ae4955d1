//! `BufReader`: fewer, larger reads.
//!
//! # Invariants
//! - `window`: `start <= end <= buf.len()`; `buf[start..end]` was read and not yet used.

use std::fmt;
use std::io::{self, IoSlice, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, DEFAULT_BUFFER_BYTES, ReadBuf};

pin_project! {
    /// Buffers what is read from the inner reader, in pieces of 8 KiB unless the caller says otherwise.
    ///
    /// - A read of at least the buffer's size goes past an empty buffer.
    /// - Seeking discards the buffer.
    /// - Dropping it, or [`into_inner`](Self::into_inner), loses what is buffered.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (mut client, server) = redd::io::duplex(64);
    /// client.write_all(b"redd\nsalmon\n").await?;
    /// let mut line = String::new();
    /// BufReader::new(server).read_line(&mut line).await?;
    /// assert_eq!(line, "redd\n");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    pub struct BufReader<R> {
        #[pin]
        pub(super) inner: R,
        pub(super) window: Window,
        pub(super) seek: ReadSeek,
    }
}

/// The buffer and the part of it that is in use.
pub(super) struct Window {
    buf: Box<[u8]>,
    start: usize,
    end: usize,
}

/// Where a seek stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum ReadSeek {
    Idle,
    /// `start_seek` was called.
    Requested(SeekFrom),
    /// The inner reader moves back to where the buffer starts; from there it goes so far.
    MovingBack(i64),
    /// The inner reader moves to the final position.
    InFlight,
}

impl Window {
    fn bytes(&self) -> &[u8] {
        &self.buf[self.start..self.end]
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn discard(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    fn consume(&mut self, len: usize) {
        self.start = self.end.min(self.start.saturating_add(len));
    }
}

impl<R: AsyncRead> BufReader<R> {
    /// With a buffer of 8 KiB.
    pub fn new(inner: R) -> Self {
        Self::with_capacity(DEFAULT_BUFFER_BYTES, inner)
    }

    /// With a buffer of so many bytes.
    ///
    /// # Panics
    /// If `capacity` is zero.
    #[track_caller]
    pub fn with_capacity(capacity: usize, inner: R) -> Self {
        assert!(
            capacity > 0,
            "the read buffer's capacity must be greater than zero: nothing could ever be read through it"
        );
        Self {
            inner,
            window: Window { buf: vec![0; capacity].into_boxed_slice(), start: 0, end: 0 },
            seek: ReadSeek::Idle,
        }
    }

    inner_methods!(
        R,
        "reader",
        "what is read from it directly comes after what is buffered",
        "; what is [buffered](Self::buffer) is lost"
    );

    /// The bytes that were read and not yet used; reads nothing.
    pub fn buffer(&self) -> &[u8] {
        self.window.bytes()
    }
}

impl<R: AsyncRead> AsyncRead for BufReader<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.as_mut().project();
        if this.window.is_empty() && buf.remaining() >= this.window.buf.len() {
            ready!(this.inner.poll_read(cx, buf))?;
            this.window.discard();
            return Poll::Ready(Ok(()));
        }
        let bytes = ready!(self.as_mut().poll_fill_buf(cx))?;
        let len = bytes.len().min(buf.remaining());
        buf.put_slice(&bytes[..len]);
        self.consume(len);
        Poll::Ready(Ok(()))
    }
}

impl<R: AsyncRead> AsyncBufRead for BufReader<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.project();
        let window = this.window;
        if window.is_empty() {
            let mut buf = ReadBuf::new(&mut window.buf);
            let start = buf.start();
            ready!(this.inner.poll_read(cx, &mut buf))?;
            // Keeps `window`: the figure is about our buffer.
            buf.assert_same_buffer(start);
            let end = buf.filled().len();
            window.start = 0;
            window.end = end;
        }
        Poll::Ready(Ok(window.bytes()))
    }

    fn consume(self: Pin<&mut Self>, amt: usize) {
        self.project().window.consume(amt);
    }
}

impl<R: AsyncRead + AsyncSeek> AsyncSeek for BufReader<R> {
    fn start_seek(self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        // The inner reader is asked in `poll_complete`, which can do so twice.
        *self.project().seek = ReadSeek::Requested(position);
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let mut this = self.project();
        loop {
            let next = match *this.seek {
                ReadSeek::Idle => {
                    let position = ready!(this.inner.poll_complete(cx))?;
                    let buffered = this.window.bytes().len() as u64;
                    return Poll::Ready(Ok(position.saturating_sub(buffered)));
                }
                ReadSeek::Requested(position) => {
                    // `complete-before-start`, as in `buf_writer`: a write that went past the buffer may be at work.
                    let completed = ready!(this.inner.as_mut().poll_complete(cx));
                    *this.seek = ReadSeek::Idle;
                    completed?;
                    // The inner reader is ahead of ours by what is buffered; memory is at most `i64::MAX` bytes.
                    let ahead = this.window.bytes().len() as i64;
                    match position {
                        SeekFrom::Current(distance) => match distance.checked_sub(ahead) {
                            Some(distance) => (SeekFrom::Current(distance), ReadSeek::InFlight),
                            None => (SeekFrom::Current(-ahead), ReadSeek::MovingBack(distance)),
                        },
                        SeekFrom::Start(_) | SeekFrom::End(_) => (position, ReadSeek::InFlight),
                    }
                }
                ReadSeek::MovingBack(distance) => {
                    let result = ready!(this.inner.as_mut().poll_complete(cx));
                    *this.seek = ReadSeek::Idle;
                    result?;
                    this.window.discard();
                    (SeekFrom::Current(distance), ReadSeek::InFlight)
                }
                ReadSeek::InFlight => {
                    let result = ready!(this.inner.poll_complete(cx));
                    *this.seek = ReadSeek::Idle;
                    let position = result?;
                    this.window.discard();
                    return Poll::Ready(Ok(position));
                }
            };
            let (position, state) = next;
            *this.seek = ReadSeek::Idle;
            this.inner.as_mut().start_seek(position)?;
            *this.seek = state;
        }
    }
}

/// Writes go past the read buffer.
impl<R: AsyncRead + AsyncWrite> AsyncWrite for BufReader<R> {
    forward_write!(self => self.get_pin_mut(), self.inner.is_write_vectored());
}

impl<R: fmt::Debug> fmt::Debug for BufReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufReader")
            .field("reader", &self.inner)
            .field("buffered", &self.window.bytes().len())
            .field("capacity", &self.window.buf.len())
            .finish()
    }
}
