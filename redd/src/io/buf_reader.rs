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
    /// Reads from the inner reader in chunks, of 8 KiB unless the caller chooses another size.
    ///
    /// - A read of at least the buffer's size bypasses an empty buffer.
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

/// The buffer and the range of it that is in use.
pub(super) struct Window {
    buf: Box<[u8]>,
    start: usize,
    end: usize,
}

/// The progress of a seek.
#[derive(Clone, Copy, Debug)]
pub(super) enum ReadSeek {
    Idle,
    /// `start_seek` was called.
    Requested(SeekFrom),
    /// The inner reader is seeking back to where the buffer starts. This distance remains from there.
    MovingBack(i64),
    /// The inner reader is seeking to the final position.
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
    /// Buffers 8 KiB.
    pub fn new(inner: R) -> Self {
        Self::with_capacity(DEFAULT_BUFFER_BYTES, inner)
    }

    /// Buffers `capacity` bytes.
    ///
    /// # Panics
    /// If `capacity` is zero.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncReadExt, BufReader};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = BufReader::with_capacity(4, &b"salmon"[..]);
    /// assert_eq!(reader.read_u8().await?, b's');
    /// assert_eq!(reader.buffer(), b"alm");
    /// assert_eq!(reader.get_ref(), b"on");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
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

    /// Returns the inner reader.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// Returns the inner reader; what is read from it directly comes after what is buffered.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// Returns the inner reader, pinned; what is read from it directly comes after what is buffered.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut R> {
        self.project().inner
    }

    /// Returns the inner reader; what is [buffered](Self::buffer) is lost.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = BufReader::new(&b"header\nbody"[..]);
    /// reader.read_line(&mut String::new()).await?;
    /// // Keep what was read ahead.
    /// let read_ahead = reader.buffer().to_vec();
    /// let mut body = String::new();
    /// (&read_ahead[..]).chain(reader.into_inner()).read_to_string(&mut body).await?;
    /// assert_eq!(body, "body");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// Returns the bytes that were read and not yet used. It reads nothing.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncReadExt, BufReader};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = BufReader::new(&b"salmon"[..]);
    /// assert!(reader.buffer().is_empty());
    /// assert_eq!(reader.read_u8().await?, b's');
    /// assert_eq!(reader.buffer(), b"almon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
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
            // `window`: the reader filled our buffer.
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
        // `poll_complete` starts the inner seek: it may need two.
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
                    // `complete-before-start`, as in `buf_writer`: a write that bypassed the buffer may be in flight.
                    let completed = ready!(this.inner.as_mut().poll_complete(cx));
                    *this.seek = ReadSeek::Idle;
                    completed?;
                    // The inner reader is ahead by the buffered bytes, of which there are at most `i64::MAX`.
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

/// Writes bypass the read buffer.
impl<R: AsyncRead + AsyncWrite> AsyncWrite for BufReader<R> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_pin_mut().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_pin_mut().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_pin_mut().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_pin_mut().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
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
