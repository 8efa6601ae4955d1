//! `BufWriter`: fewer, larger writes.
//!
//! # Invariants
//! - `written-prefix`: `buf[..written]` has reached the inner writer and waits to be cut off.
//! - `complete-before-start`: the inner `poll_complete` returns ready before `start_seek`, because a `File` refuses
//!   `start_seek` while an operation is at work. The flush of the buffer starts such an operation.

use std::fmt;
use std::io::{self, IoSlice, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::traits::{first_nonempty, total_len};
use super::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, DEFAULT_BUFFER_BYTES, ReadBuf, write_zero};

pin_project! {
    /// Collects what is written and hands it on in slices of 8 KiB unless the caller says otherwise.
    ///
    /// - Dropping it, or [`into_inner`](Self::into_inner), **loses what is buffered**: flush or shut it down first.
    /// - A write of at least the buffer's size goes past an empty buffer.
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

/// Where a seek stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum WriteSeek {
    Idle,
    /// `start_seek` was called; the buffer is flushed first.
    Requested(SeekFrom),
    /// The inner writer moves.
    InFlight,
}

impl<W: AsyncWrite> BufWriter<W> {
    /// With a buffer of 8 KiB.
    pub fn new(inner: W) -> Self {
        Self::with_capacity(DEFAULT_BUFFER_BYTES, inner)
    }

    /// With a buffer of so many bytes.
    pub fn with_capacity(capacity: usize, inner: W) -> Self {
        Self { inner, buf: Vec::with_capacity(capacity), written: 0, seek: WriteSeek::Idle }
    }

    /// Hands everything buffered to the inner writer.
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

    /// Makes room for `len` bytes, if the buffer could ever hold them beside others.
    fn poll_make_room(mut self: Pin<&mut Self>, cx: &mut Context<'_>, len: usize) -> Poll<io::Result<()>> {
        if self.room() < len {
            ready!(self.as_mut().poll_flush_buf(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn room(&self) -> usize {
        self.buf.capacity() - self.buf.len()
    }

    inner_methods!(
        W,
        "writer",
        "what is written to it directly comes before what is buffered",
        "; what is [buffered](Self::buffer) is lost"
    );

    /// The bytes in the buffer. After a flush that failed, some of them have already been written.
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

    /// Joining small slices in the buffer is what this type is for.
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
    /// A vectored write to an inner writer that takes one slice at a time: the first slice, and the following ones as
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
            // It went past the buffer, maybe in part.
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
        // `written-prefix`: without a seek, the rest of the buffer is still to come.
        Poll::Ready(position.map(|position| position + (this.buf.len() - *this.written) as u64))
    }
}

/// Reads go past the write buffer.
impl<W: AsyncWrite + AsyncRead> AsyncRead for BufWriter<W> {
    forward_read!(self => self.get_pin_mut());
}

/// Reads go past the write buffer.
impl<W: AsyncWrite + AsyncBufRead> AsyncBufRead for BufWriter<W> {
    forward_buf_read!(self => self.get_pin_mut());
}

debug_struct!([W: fmt::Debug] BufWriter<W> as "BufWriter", self => {
    writer: self.inner,
    buffered: (self.buf.len() - self.written),
    capacity: self.buf.capacity(),
});
