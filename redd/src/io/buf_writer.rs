//! `BufWriter`: fewer, larger writes.
//!
//! # Invariants
//! - `written-prefix`: `buf[..written]` has reached the inner writer and is not removed yet.
//! - `complete-before-start`: the inner `poll_complete` returns ready before `start_seek`, because a `File` refuses
//!   `start_seek` while an operation is in flight. The flush of the buffer starts such an operation.

use std::fmt;
use std::io::{self, IoSlice, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::errors::write_zero;
use super::traits::{first_nonempty, total_len};
use super::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, DEFAULT_BUFFER_BYTES, ReadBuf};

pin_project! {
    /// Buffers what is written and passes it on in chunks, of 8 KiB unless the caller chooses another size.
    ///
    /// - Dropping it, or [`into_inner`](Self::into_inner), **loses what is buffered**: flush or shut it down first.
    /// - A write of at least the buffer's size bypasses an empty buffer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncWriteExt, BufWriter};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = BufWriter::new(Vec::new());
    /// writer.write_all(b"redd").await?;
    /// assert_eq!(writer.get_ref(), b"");
    /// writer.flush().await?;
    /// assert_eq!(writer.get_ref(), b"redd");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    pub struct BufWriter<W> {
        #[pin]
        pub(super) inner: W,
        pub(super) buf: Vec<u8>,
        pub(super) written: usize,
        pub(super) seek: WriteSeek,
    }
}

/// The progress of a seek.
#[derive(Clone, Copy, Debug)]
pub(super) enum WriteSeek {
    Idle,
    /// `start_seek` was called; the buffer is flushed first.
    Requested(SeekFrom),
    /// The inner writer is seeking.
    InFlight,
}

impl<W: AsyncWrite> BufWriter<W> {
    /// Buffers 8 KiB.
    pub fn new(inner: W) -> Self {
        Self::with_capacity(DEFAULT_BUFFER_BYTES, inner)
    }

    /// Buffers `capacity` bytes.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncWriteExt, BufWriter};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = BufWriter::with_capacity(4, Vec::new());
    /// writer.write_all(b"sal").await?;
    /// assert!(writer.get_ref().is_empty());
    /// writer.write_all(b"mon").await?;
    /// assert_eq!(writer.get_ref(), b"sal");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn with_capacity(capacity: usize, inner: W) -> Self {
        Self { inner, buf: Vec::with_capacity(capacity), written: 0, seek: WriteSeek::Idle }
    }

    /// Writes everything buffered to the inner writer.
    fn poll_flush_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut this = self.project();
        while *this.written < this.buf.len() {
            let rest = &this.buf[*this.written..];
            let len = ready_or_retry!(this.inner.as_mut().poll_write(cx, rest));
            if len == 0 {
                return Poll::Ready(Err(write_zero()));
            }
            *this.written += len;
        }
        this.buf.clear();
        *this.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Flushes the buffer if it has no room for `len` bytes.
    fn poll_make_room(mut self: Pin<&mut Self>, cx: &mut Context<'_>, len: usize) -> Poll<io::Result<()>> {
        if self.room() < len {
            ready!(self.as_mut().poll_flush_buf(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn room(&self) -> usize {
        self.buf.capacity() - self.buf.len()
    }

    /// Returns the inner writer.
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// Returns the inner writer; what is written to it directly comes before what is buffered.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// Returns the inner writer, pinned; what is written to it directly comes before what is buffered.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut W> {
        self.project().inner
    }

    /// Returns the inner writer; what is [buffered](Self::buffer) is lost.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncWriteExt, BufWriter};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = BufWriter::new(Vec::new());
    /// writer.write_all(b"redd").await?;
    /// writer.flush().await?;
    /// writer.write_all(b"lost").await?;
    /// assert_eq!(writer.into_inner(), b"redd");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn into_inner(self) -> W {
        self.inner
    }

    /// Returns the bytes in the buffer. After a flush that failed, some of them have already been written.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncWriteExt, BufWriter};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = BufWriter::new(redd::io::sink());
    /// writer.write_all(b"salmon").await?;
    /// assert_eq!(writer.buffer(), b"salmon");
    /// writer.flush().await?;
    /// assert!(writer.buffer().is_empty());
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn buffer(&self) -> &[u8] {
        &self.buf
    }
}

impl<W: AsyncWrite> AsyncWrite for BufWriter<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.as_mut().poll_make_room(cx, buf.len()))?;
        let this = self.project();
        if buf.len() >= this.buf.capacity() {
            return this.inner.poll_write(cx, buf);
        }
        this.buf.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.inner.is_write_vectored() {
            return self.poll_write_one_by_one(cx, bufs);
        }
        let total = total_len(bufs);
        ready!(self.as_mut().poll_make_room(cx, total))?;
        let this = self.project();
        if total >= this.buf.capacity() {
            return this.inner.poll_write_vectored(cx, bufs);
        }
        for slice in bufs {
            this.buf.extend_from_slice(slice);
        }
        Poll::Ready(Ok(total))
    }

    /// Always true: the buffer joins small slices.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush_buf(cx))?;
        self.get_pin_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush_buf(cx))?;
        self.get_pin_mut().poll_shutdown(cx)
    }
}

impl<W: AsyncWrite> BufWriter<W> {
    /// A vectored write for an inner writer that is not vectored. It writes the first slice, and the following ones as
    /// long as they fit the buffer.
    fn poll_write_one_by_one(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = first_nonempty(bufs);
        if first.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut total = ready!(self.as_mut().poll_write(cx, first))?;
        if first.len() >= self.buf.capacity() {
            // The write bypassed the buffer, and may have been partial.
            return Poll::Ready(Ok(total));
        }
        let this = self.project();
        let rest = bufs.iter().skip_while(|slice| slice.is_empty()).skip(1);
        for slice in rest {
            if this.buf.capacity() - this.buf.len() < slice.len() {
                break;
            }
            this.buf.extend_from_slice(slice);
            total += slice.len();
        }
        Poll::Ready(Ok(total))
    }
}

/// Seeking flushes the buffer first.
impl<W: AsyncWrite + AsyncSeek> AsyncSeek for BufWriter<W> {
    fn start_seek(self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        *self.project().seek = WriteSeek::Requested(position);
        Ok(())
    }

    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        if let WriteSeek::Requested(position) = self.seek {
            ready!(self.as_mut().poll_flush_buf(cx))?;
            let mut this = self.as_mut().project();
            // `complete-before-start`
            let completed = ready!(this.inner.as_mut().poll_complete(cx));
            *this.seek = WriteSeek::Idle;
            completed?;
            this.inner.start_seek(position)?;
            *this.seek = WriteSeek::InFlight;
        }
        let this = self.project();
        let position = ready!(this.inner.poll_complete(cx));
        *this.seek = WriteSeek::Idle;
        // `written-prefix`: without a seek, the rest of the buffer is not written yet.
        Poll::Ready(position.map(|position| position + (this.buf.len() - *this.written) as u64))
    }
}

/// Reads bypass the write buffer.
impl<W: AsyncWrite + AsyncRead> AsyncRead for BufWriter<W> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_pin_mut().poll_read(cx, buf)
    }
}

/// Reads bypass the write buffer.
impl<W: AsyncWrite + AsyncBufRead> AsyncBufRead for BufWriter<W> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.get_pin_mut().poll_fill_buf(cx)
    }

    fn consume(self: Pin<&mut Self>, amt: usize) {
        self.get_pin_mut().consume(amt);
    }
}

debug_struct!([W: fmt::Debug] BufWriter<W> as "BufWriter", self => {
    writer: self.inner,
    buffered: (self.buf.len() - self.written),
    capacity: self.buf.capacity(),
});
