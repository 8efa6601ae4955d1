//! `BufStream`: a `BufReader` and a `BufWriter` around one stream.

use std::io::{self, IoSlice, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, BufReader, BufWriter, DEFAULT_BUFFER_BYTES, ReadBuf};

pin_project! {
    /// Buffers both directions of a stream; see [`BufReader`] and [`BufWriter`].
    ///
    /// - Dropping it **loses what is buffered** for writing: flush or shut it down first.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (client, server) = redd::io::duplex(64);
    /// let (mut client, mut server) = (BufStream::new(client), BufStream::new(server));
    /// client.write_all(b"GET ").await?;
    /// client.write_all(b"salmon\n").await?;
    /// client.flush().await?;
    /// let mut request = String::new();
    /// server.read_line(&mut request).await?;
    /// assert_eq!(request, "GET salmon\n");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[derive(Debug)]
    pub struct BufStream<RW> {
        #[pin]
        inner: BufReader<BufWriter<RW>>,
    }
}

impl<RW: AsyncRead + AsyncWrite> BufStream<RW> {
    /// Buffers 8 KiB in each direction.
    pub fn new(stream: RW) -> BufStream<RW> {
        Self::with_capacity(DEFAULT_BUFFER_BYTES, DEFAULT_BUFFER_BYTES, stream)
    }

    /// Buffers `reader_capacity` and `writer_capacity` bytes.
    ///
    /// # Panics
    /// If `reader_capacity` is zero.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncWriteExt, BufStream};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (client, _server) = redd::io::duplex(64);
    /// // A small read buffer for requests, a large write buffer for responses.
    /// let mut stream = BufStream::with_capacity(512, 64 * 1024, client);
    /// stream.write_all(&[0; 32 * 1024]).await?;
    /// // All of it is in the buffer, so the write did not have to wait for the peer.
    /// assert_eq!(stream.into_inner().write(b"salmon").await?, 6);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn with_capacity(reader_capacity: usize, writer_capacity: usize, stream: RW) -> BufStream<RW> {
        let writer = BufWriter::with_capacity(writer_capacity, stream);
        BufStream { inner: BufReader::with_capacity(reader_capacity, writer) }
    }

    /// Returns the inner stream.
    pub fn get_ref(&self) -> &RW {
        self.inner.get_ref().get_ref()
    }

    /// Returns the inner stream; using it directly bypasses the buffers.
    pub fn get_mut(&mut self) -> &mut RW {
        self.inner.get_mut().get_mut()
    }

    /// Returns the inner stream, pinned; using it directly bypasses the buffers.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut RW> {
        self.project().inner.get_pin_mut().get_pin_mut()
    }

    /// Returns the inner stream; what is buffered is lost.
    pub fn into_inner(self) -> RW {
        self.inner.into_inner().into_inner()
    }
}

impl<RW> From<BufReader<BufWriter<RW>>> for BufStream<RW> {
    fn from(inner: BufReader<BufWriter<RW>>) -> Self {
        BufStream { inner }
    }
}

/// Nothing that is buffered is lost.
impl<RW> From<BufWriter<BufReader<RW>>> for BufStream<RW> {
    fn from(outer: BufWriter<BufReader<RW>>) -> Self {
        let BufWriter { inner: reader, buf, written, seek } = outer;
        let writer = BufWriter { inner: reader.inner, buf, written, seek };
        BufStream { inner: BufReader { inner: writer, window: reader.window, seek: reader.seek } }
    }
}

impl<RW: AsyncRead + AsyncWrite> AsyncRead for BufStream<RW> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_read(cx, buf)
    }
}

impl<RW: AsyncRead + AsyncWrite> AsyncBufRead for BufStream<RW> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.project().inner.poll_fill_buf(cx)
    }

    fn consume(self: Pin<&mut Self>, amt: usize) {
        self.project().inner.consume(amt);
    }
}

impl<RW: AsyncRead + AsyncWrite> AsyncWrite for BufStream<RW> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// Seeking flushes the write buffer and discards the read buffer.
impl<RW: AsyncRead + AsyncWrite + AsyncSeek> AsyncSeek for BufStream<RW> {
    fn start_seek(self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        self.project().inner.start_seek(position)
    }

    fn poll_complete(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        self.project().inner.poll_complete(cx)
    }
}
