//! The halves of a [`UnixStream`]: borrowed from it, and owning it together.
//!
//! Called by user code.
//!
//! # Invariants
//! - `one-reader-one-writer`: a stream has at most one reading half and one writing half, and their polled operations
//!   take `&mut self`. So each of the registration's two waker cells serves one task at most.

use super::{SocketAddr, UnixStream};
use crate::driver::readiness::ready::{Interest, Ready};
use crate::io::{AsyncRead, AsyncWrite, ReadBuf};
use crate::net::fill;
use crate::observe::waiting::located;
use crate::primitives::Arc;
use crate::sys::net::Fill;
use bytes::BufMut;
use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};

impl UnixStream {
    /// Splits the stream into two halves that borrow it, for two futures of one task. It costs nothing.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncReadExt, AsyncWriteExt};
    /// use redd::net::UnixStream;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (mut client, mut server) = UnixStream::pair()?;
    /// let (mut reader, mut writer) = client.split();
    /// let echo = async {
    ///     let mut word = [0; 4];
    ///     server.read_exact(&mut word).await?;
    ///     server.write_all(&word).await
    /// };
    /// let mut word = [0; 4];
    /// let (echoed, written, read) =
    ///     redd::join!(echo, writer.write_all(b"ping"), reader.read_exact(&mut word));
    /// echoed?;
    /// written?;
    /// read?;
    /// assert_eq!(&word, b"ping");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn split<'a>(&'a mut self) -> (ReadHalf<'a>, WriteHalf<'a>) {
        (ReadHalf { stream: self }, WriteHalf { stream: self })
    }

    /// Splits the stream into two halves that own it together, for two tasks. It costs an allocation.
    ///
    /// - Dropping the [`OwnedWriteHalf`] shuts the writing direction down.
    /// - [`reunite`](OwnedReadHalf::reunite) puts the halves together again.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncReadExt, AsyncWriteExt};
    /// use redd::net::UnixStream;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (client, mut server) = UnixStream::pair()?;
    /// let (mut reader, mut writer) = client.into_split();
    /// let sending = redd::spawn(async move { writer.write_all(b"hello").await });
    /// let mut text = String::new();
    /// server.read_to_string(&mut text).await?;
    /// sending.await.unwrap()?;
    /// assert_eq!(text, "hello", "the dropped half has shut its direction down");
    /// server.write_all(b"!").await?;
    /// assert_eq!(reader.read_u8().await?, b'!');
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let stream = Arc::new(self);
        let reader = OwnedReadHalf { stream: Arc::clone(&stream) };
        (reader, OwnedWriteHalf { stream, shutdown_on_drop: true })
    }
}

/// The reading half of a [`UnixStream`], borrowed from it by [`split`](UnixStream::split).
///
/// # Examples
/// ```
/// use redd::io::{AsyncReadExt, AsyncWriteExt};
/// use redd::net::UnixStream;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (mut stream, mut peer) = UnixStream::pair()?;
/// peer.write_all(b"ping").await?;
/// let (mut reader, _writer) = stream.split();
/// let mut word = [0; 4];
/// reader.read_exact(&mut word).await?;
/// assert_eq!(&word, b"ping");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct ReadHalf<'a> {
    stream: &'a UnixStream,
}

/// The writing half of a [`UnixStream`], borrowed from it by [`split`](UnixStream::split).
///
/// - Dropping it does not shut the direction down.
///
/// # Examples
/// ```
/// use redd::io::{AsyncReadExt, AsyncWriteExt};
/// use redd::net::UnixStream;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (mut stream, mut peer) = UnixStream::pair()?;
/// let (_reader, mut writer) = stream.split();
/// writer.write_all(b"done").await?;
/// writer.shutdown().await?;
/// let mut text = String::new();
/// peer.read_to_string(&mut text).await?;
/// assert_eq!(text, "done");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct WriteHalf<'a> {
    stream: &'a UnixStream,
}

impl ReadHalf<'_> {
    /// Waits until reading is worth trying. See [readiness](crate::net#readiness).
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    #[track_caller]
    pub fn readable(&self) -> impl Future<Output = io::Result<()>> {
        located(async move {
            self.stream.io.registration().readiness(Interest::READABLE).await?;
            Ok(())
        })
    }

    /// Reads the bytes that have arrived, without waiting. Returns how many. See [readiness](crate::net#readiness).
    ///
    /// - `Ok(0)`: the peer has shut down its writing direction, or `buf` is empty.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing has arrived; [`ConnectionReset`](io::ErrorKind::ConnectionReset) if
    /// the peer has reset the connection.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let source = &self.stream.io;
        let read = || source.socket().recv(buf);
        source.registration().try_io(Interest::READABLE, read)
    }

    /// Like [`try_read`](Self::try_read), but appends to `buf`.
    ///
    /// # Errors
    /// Those of [`try_read`](Self::try_read).
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        let source = &self.stream.io;
        let read = || Ok(fill::append(source.socket(), buf, Fill::Read)?.0);
        source.registration().try_io(Interest::READABLE, read)
    }

    /// Like [`try_read`](Self::try_read), but fills several buffers in turn.
    ///
    /// # Errors
    /// Those of [`try_read`](Self::try_read).
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let source = &self.stream.io;
        let read = || source.socket().recv_vectored(bufs);
        source.registration().try_io(Interest::READABLE, read)
    }

    /// Waits until an operation of `interest` is worth trying, and returns which ones are. See
    /// [readiness](crate::net#readiness).
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    #[track_caller]
    pub fn ready(&self, interest: Interest) -> impl Future<Output = io::Result<Ready>> {
        located(async move {
            let event = self.stream.io.registration().readiness(interest).await?;
            Ok(event.ready)
        })
    }

    /// Returns the address of the peer.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// Returns the address of this side.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }
}

impl AsRef<UnixStream> for ReadHalf<'_> {
    fn as_ref(&self) -> &UnixStream {
        self.stream
    }
}

impl AsyncRead for ReadHalf<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream.io.poll_recv(cx, buf, UnixStream::SHORT)
    }
}

impl WriteHalf<'_> {
    /// Waits until writing is worth trying. See [readiness](crate::net#readiness).
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    #[track_caller]
    pub fn writable(&self) -> impl Future<Output = io::Result<()>> {
        located(async move {
            self.stream.io.registration().readiness(Interest::WRITABLE).await?;
            Ok(())
        })
    }

    /// Writes as many bytes as the send buffer has room for, without waiting. Returns how many. See
    /// [readiness](crate::net#readiness).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the peer no
    /// longer reads.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let source = &self.stream.io;
        let write = || source.socket().send(buf);
        source.registration().try_io(Interest::WRITABLE, write)
    }

    /// Like [`try_write`](Self::try_write), but takes the bytes of several buffers in turn.
    ///
    /// # Errors
    /// Those of [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let source = &self.stream.io;
        let write = || source.socket().send_vectored(bufs);
        source.registration().try_io(Interest::WRITABLE, write)
    }

    /// Waits until an operation of `interest` is worth trying, and returns which ones are. See
    /// [readiness](crate::net#readiness).
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    #[track_caller]
    pub fn ready(&self, interest: Interest) -> impl Future<Output = io::Result<Ready>> {
        located(async move {
            let event = self.stream.io.registration().readiness(interest).await?;
            Ok(event.ready)
        })
    }

    /// Returns the address of the peer.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// Returns the address of this side.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }
}

impl AsRef<UnixStream> for WriteHalf<'_> {
    fn as_ref(&self) -> &UnixStream {
        self.stream
    }
}

impl AsyncWrite for WriteHalf<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.io.poll_send(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.io.poll_send_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: written bytes are in the kernel already.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Shuts down writing: the peer reads the end of the stream.
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.stream.shutdown_write())
    }
}

/// The reading half of a [`UnixStream`], made by [`into_split`](UnixStream::into_split).
///
/// - Dropping it does not shut the direction down.
/// - The socket is closed when both halves are dropped.
#[derive(Debug)]
pub struct OwnedReadHalf {
    stream: Arc<UnixStream>,
}

/// The writing half of a [`UnixStream`], made by [`into_split`](UnixStream::into_split).
///
/// - **Dropping it shuts the direction down**: the peer reads to the end. [`forget`](Self::forget) does not.
/// - The socket is closed when both halves are dropped.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: Arc<UnixStream>,
    shutdown_on_drop: bool,
}

/// [`reunite`](OwnedReadHalf::reunite) was called with halves of different streams, which are in here.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "tried to reunite halves that are not of the same socket: keep the two halves that one `into_split` returned \
             together",
        )
    }
}

impl Error for ReuniteError {}

impl OwnedReadHalf {
    /// Puts the stream together again.
    ///
    /// # Errors
    /// [`ReuniteError`] with both halves if `other` belongs to another stream.
    ///
    /// # Examples
    /// ```
    /// use redd::net::UnixStream;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (client, server) = UnixStream::pair()?;
    /// let address = client.local_addr()?;
    /// let (reader, writer) = client.into_split();
    /// let client = reader.reunite(writer).expect("they come from one stream");
    /// # let _ = (address, server, client);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[expect(clippy::missing_panics_doc, reason = "no third half exists, so the stream can be taken out")]
    pub fn reunite(self, other: OwnedWriteHalf) -> Result<UnixStream, ReuniteError> {
        if !Arc::ptr_eq(&self.stream, &other.stream) {
            return Err(ReuniteError(self, other));
        }
        other.forget();
        // `one-reader-one-writer`: no third half holds the stream.
        Ok(Arc::try_unwrap(self.stream).expect("both halves were here, and the other is gone"))
    }

    /// Waits until reading is worth trying. See [readiness](crate::net#readiness).
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    #[track_caller]
    pub fn readable(&self) -> impl Future<Output = io::Result<()>> {
        located(async move {
            self.stream.io.registration().readiness(Interest::READABLE).await?;
            Ok(())
        })
    }

    /// Reads the bytes that have arrived, without waiting. Returns how many. See [readiness](crate::net#readiness).
    ///
    /// - `Ok(0)`: the peer has shut down its writing direction, or `buf` is empty.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing has arrived; [`ConnectionReset`](io::ErrorKind::ConnectionReset) if
    /// the peer has reset the connection.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let source = &self.stream.io;
        let read = || source.socket().recv(buf);
        source.registration().try_io(Interest::READABLE, read)
    }

    /// Like [`try_read`](Self::try_read), but appends to `buf`.
    ///
    /// # Errors
    /// Those of [`try_read`](Self::try_read).
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        let source = &self.stream.io;
        let read = || Ok(fill::append(source.socket(), buf, Fill::Read)?.0);
        source.registration().try_io(Interest::READABLE, read)
    }

    /// Like [`try_read`](Self::try_read), but fills several buffers in turn.
    ///
    /// # Errors
    /// Those of [`try_read`](Self::try_read).
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let source = &self.stream.io;
        let read = || source.socket().recv_vectored(bufs);
        source.registration().try_io(Interest::READABLE, read)
    }

    /// Waits until an operation of `interest` is worth trying, and returns which ones are. See
    /// [readiness](crate::net#readiness).
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    #[track_caller]
    pub fn ready(&self, interest: Interest) -> impl Future<Output = io::Result<Ready>> {
        located(async move {
            let event = self.stream.io.registration().readiness(interest).await?;
            Ok(event.ready)
        })
    }

    /// Returns the address of the peer.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// Returns the address of this side.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }
}

impl AsRef<UnixStream> for OwnedReadHalf {
    fn as_ref(&self) -> &UnixStream {
        &self.stream
    }
}

impl AsyncRead for OwnedReadHalf {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream.io.poll_recv(cx, buf, UnixStream::SHORT)
    }
}

impl OwnedWriteHalf {
    /// Puts the stream together again.
    ///
    /// # Errors
    /// [`ReuniteError`] with both halves if `other` belongs to another stream.
    pub fn reunite(self, other: OwnedReadHalf) -> Result<UnixStream, ReuniteError> {
        other.reunite(self)
    }

    /// Drops this half without shutting the direction down.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncReadExt, AsyncWriteExt};
    /// use redd::net::UnixStream;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (client, mut server) = UnixStream::pair()?;
    /// let (reader, mut writer) = client.into_split();
    /// writer.write_all(b"last words").await?;
    /// writer.forget();
    /// let mut words = [0; 10];
    /// server.read_exact(&mut words).await?;
    /// assert_eq!(&words, b"last words");
    /// # drop(reader);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn forget(mut self) {
        self.shutdown_on_drop = false;
    }

    /// Waits until writing is worth trying. See [readiness](crate::net#readiness).
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    #[track_caller]
    pub fn writable(&self) -> impl Future<Output = io::Result<()>> {
        located(async move {
            self.stream.io.registration().readiness(Interest::WRITABLE).await?;
            Ok(())
        })
    }

    /// Writes as many bytes as the send buffer has room for, without waiting. Returns how many. See
    /// [readiness](crate::net#readiness).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the peer no
    /// longer reads.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let source = &self.stream.io;
        let write = || source.socket().send(buf);
        source.registration().try_io(Interest::WRITABLE, write)
    }

    /// Like [`try_write`](Self::try_write), but takes the bytes of several buffers in turn.
    ///
    /// # Errors
    /// Those of [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let source = &self.stream.io;
        let write = || source.socket().send_vectored(bufs);
        source.registration().try_io(Interest::WRITABLE, write)
    }

    /// Waits until an operation of `interest` is worth trying, and returns which ones are. See
    /// [readiness](crate::net#readiness).
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    #[track_caller]
    pub fn ready(&self, interest: Interest) -> impl Future<Output = io::Result<Ready>> {
        located(async move {
            let event = self.stream.io.registration().readiness(interest).await?;
            Ok(event.ready)
        })
    }

    /// Returns the address of the peer.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// Returns the address of this side.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }
}

impl AsRef<UnixStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &UnixStream {
        &self.stream
    }
}

impl AsyncWrite for OwnedWriteHalf {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.io.poll_send(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.io.poll_send_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: written bytes are in the kernel already.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Shuts down writing: the peer reads the end of the stream.
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = self.stream.shutdown_write();
        if result.is_ok() {
            self.get_mut().shutdown_on_drop = false;
        }
        Poll::Ready(result)
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.shutdown_on_drop {
            // An error means that the peer is gone, and then it needs no end either.
            let _ = self.stream.shutdown_write();
        }
    }
}
