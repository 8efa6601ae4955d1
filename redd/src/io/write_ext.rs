//! `AsyncWriteExt`: writing with `await`.
//!
//! Called by programs. Numbers are in `numbers`.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;

use super::operation::{Operation, OperationFuture};
use super::{AsyncWrite, write_zero};

/// The methods for programs of everything that is [`AsyncWrite`].
pub trait AsyncWriteExt: AsyncWrite {
    operations! {
        /// Writes a front part of `src` and answers with its length.
        ///
        /// - 0: the writer takes no more bytes, or `src` is empty.
        ///
        /// # Cancel safety
        /// Nothing was written if it is dropped before it is ready.
        ///
        /// # Errors
        /// What the writer reports, `Interrupted` included.
        write(src: &'a [u8]) -> Write<'a> = Write { bytes: src };

        /// As [`write`](Self::write), from several slices as if they were one.
        ///
        /// # Cancel safety
        /// Nothing was written if it is dropped before it is ready.
        ///
        /// # Errors
        /// What the writer reports, `Interrupted` included.
        write_vectored['b](bufs: &'a [IoSlice<'b>]) -> WriteVectored<'a, 'b> = WriteVectored { slices: bufs };

        /// Writes a front part of `src`, advances `src` by it and answers with its length.
        ///
        /// # Cancel safety
        /// Nothing was written if it is dropped before it is ready.
        ///
        /// # Errors
        /// What the writer reports, `Interrupted` included.
        write_buf[B: Buf](src: &'a mut B) -> WriteBuf<'a, B> where Self: Sized = WriteBuf { buf: src };

        /// Writes all of `src`, advancing it as it goes.
        ///
        /// # Cancel safety
        /// What was written before a drop is gone from `src`: calling it again with the same `src` goes on.
        ///
        /// # Errors
        /// [`ErrorKind::WriteZero`](io::ErrorKind::WriteZero) if the writer takes no more bytes; else what it reports.
        ///
        /// # Examples
        /// ```
        /// use bytes::{Buf, Bytes};
        /// use redd::io::AsyncWriteExt;
        ///
        /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        /// let mut words = Bytes::from("redd ").chain(Bytes::from("salmon"));
        /// let mut sent = Vec::new();
        /// sent.write_all_buf(&mut words).await?;
        /// assert_eq!(sent, b"redd salmon");
        /// # redd::io::Result::Ok(()) }).unwrap();
        /// ```
        write_all_buf[B: Buf](src: &'a mut B) -> WriteAllBuf<'a, B> where Self: Sized = WriteAllBuf { buf: src };

        /// Writes all of `src`.
        ///
        /// # Cancel safety
        /// Not cancel safe: after a drop nobody knows how much was written.
        /// [`write_all_buf`](Self::write_all_buf) remembers.
        ///
        /// # Errors
        /// [`ErrorKind::WriteZero`](io::ErrorKind::WriteZero) if the writer takes no more bytes; else what it reports.
        write_all(src: &'a [u8]) -> WriteAll<&'a [u8]> = WriteAll::new(src);
    }

    for_each_number!(declare_write_number);

    operations! {
        /// Waits until everything written has reached its destination.
        ///
        /// # Cancel safety
        /// Calling it again after a drop goes on.
        ///
        /// # Errors
        /// What the writer reports.
        flush() -> Flush = Flush;

        /// Flushes, and tells the other side that nothing more comes.
        ///
        /// - A socket can still be read from afterwards.
        ///
        /// # Cancel safety
        /// Calling it again after a drop goes on.
        ///
        /// # Errors
        /// What the writer reports.
        shutdown() -> Shutdown = Shutdown;
    }
}

impl<W: AsyncWrite + ?Sized> AsyncWriteExt for W {}

/// What is awaited after [`AsyncWriteExt::write`].
#[derive(Debug)]
pub struct Write<'a> {
    bytes: &'a [u8],
}

impl<W: AsyncWrite + ?Sized> Operation<W> for Write<'_> {
    type Output = io::Result<usize>;

    fn poll_operation(&mut self, writer: Pin<&mut W>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        writer.poll_write(cx, self.bytes)
    }
}

/// What is awaited after [`AsyncWriteExt::write_vectored`].
#[derive(Debug)]
pub struct WriteVectored<'a, 'b> {
    slices: &'a [IoSlice<'b>],
}

impl<W: AsyncWrite + ?Sized> Operation<W> for WriteVectored<'_, '_> {
    type Output = io::Result<usize>;

    fn poll_operation(&mut self, writer: Pin<&mut W>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        writer.poll_write_vectored(cx, self.slices)
    }
}

/// Pieces handed to one vectored write at most. The figure is Tokio's.
const MAX_SLICES_PER_WRITE: usize = 64;

/// Writes once from the front of `buf` and advances it.
fn poll_write_buf<W, B>(writer: Pin<&mut W>, buf: &mut B, cx: &mut Context<'_>) -> Poll<io::Result<usize>>
where
    W: AsyncWrite + ?Sized,
    B: Buf + ?Sized,
{
    let len = if writer.is_write_vectored() {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES_PER_WRITE];
        let count = buf.chunks_vectored(&mut slices);
        ready!(writer.poll_write_vectored(cx, &slices[..count]))?
    } else {
        ready!(writer.poll_write(cx, buf.chunk()))?
    };
    buf.advance(len);
    Poll::Ready(Ok(len))
}

/// What is awaited after [`AsyncWriteExt::write_buf`].
#[derive(Debug)]
pub struct WriteBuf<'a, B> {
    buf: &'a mut B,
}

impl<W: AsyncWrite, B: Buf> Operation<W> for WriteBuf<'_, B> {
    type Output = io::Result<usize>;

    fn poll_operation(&mut self, writer: Pin<&mut W>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.buf.has_remaining() {
            return Poll::Ready(Ok(0));
        }
        poll_write_buf(writer, self.buf, cx)
    }
}

/// What is awaited after [`AsyncWriteExt::write_all_buf`].
#[derive(Debug)]
pub struct WriteAllBuf<'a, B> {
    buf: &'a mut B,
}

impl<W: AsyncWrite, B: Buf> Operation<W> for WriteAllBuf<'_, B> {
    type Output = io::Result<()>;

    fn poll_operation(&mut self, mut writer: Pin<&mut W>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.buf.has_remaining() {
            if ready_or_retry!(poll_write_buf(writer.as_mut(), self.buf, cx)) == 0 {
                return Poll::Ready(Err(write_zero()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// What is awaited after [`AsyncWriteExt::write_all`] and the `write_u8` … `write_f64_le` methods.
#[derive(Debug)]
pub struct WriteAll<B> {
    bytes: B,
    written: usize,
}

impl<B> WriteAll<B> {
    #[inline]
    pub(super) fn new(bytes: B) -> Self {
        Self { bytes, written: 0 }
    }
}

impl<W: AsyncWrite + ?Sized, B: AsRef<[u8]>> Operation<W> for WriteAll<B> {
    type Output = io::Result<()>;

    fn poll_operation(&mut self, mut writer: Pin<&mut W>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let rest = &self.bytes.as_ref()[self.written..];
            if rest.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match ready_or_retry!(writer.as_mut().poll_write(cx, rest)) {
                0 => return Poll::Ready(Err(write_zero())),
                len => self.written += len,
            }
        }
    }
}

/// What is awaited after [`AsyncWriteExt::flush`].
#[derive(Debug)]
pub struct Flush;

impl<W: AsyncWrite + ?Sized> Operation<W> for Flush {
    type Output = io::Result<()>;

    fn poll_operation(&mut self, writer: Pin<&mut W>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        writer.poll_flush(cx)
    }
}

/// What is awaited after [`AsyncWriteExt::shutdown`].
#[derive(Debug)]
pub struct Shutdown;

impl<W: AsyncWrite + ?Sized> Operation<W> for Shutdown {
    type Output = io::Result<()>;

    fn poll_operation(&mut self, writer: Pin<&mut W>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        writer.poll_shutdown(cx)
    }
}
