//! A connection of Unix sockets.
//!
//! Called by user code.

use super::addr::{from_path, to_system};
use super::open::open;
use super::{SocketAddr, UCred};
use crate::driver::Source;
use crate::driver::operations::NewSocket;
use crate::driver::readiness::ready::{Interest, Ready};
use crate::driver::readiness::source::Short;
use crate::driver::readiness::state::Direction;
use crate::io::{AsyncRead, AsyncWrite, ReadBuf};
use crate::net::fill;
use crate::observe::waiting::located;
use crate::sys::net::Fill;
use crate::task::coop::consume_budget;
use bytes::BufMut;
use socket2::{SockAddr, Type};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A connection of Unix sockets.
///
/// - Read and write it with the methods of [`AsyncReadExt`](crate::io::AsyncReadExt) and
///   [`AsyncWriteExt`](crate::io::AsyncWriteExt).
/// - Two tasks share it as halves: [`split`](Self::split), [`into_split`](Self::into_split).
///
/// # Examples
/// ```
/// use redd::io::{AsyncReadExt, AsyncWriteExt};
/// use redd::net::UnixStream;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (mut left, mut right) = UnixStream::pair()?;
/// left.write_all(b"hello").await?;
/// let mut word = [0; 5];
/// right.read_exact(&mut word).await?;
/// assert_eq!(&word, b"hello");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct UnixStream {
    pub(super) io: Source<net::UnixStream>,
}

impl UnixStream {
    /// Connects to the listener at a path or an [abstract name](crate::net::unix).
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) and [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if nothing listens.
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if the listener's queue is full: try again after a pause.
    #[track_caller]
    pub fn connect<P>(path: P) -> impl Future<Output = io::Result<Self>>
    where
        P: AsRef<Path>,
    {
        located(async move {
            let address = to_system(&from_path(path.as_ref())?)?;
            Self::connect_socket(open(Type::STREAM)?, address).await
        })
    }

    /// Like [`connect`](Self::connect), for an address.
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect).
    #[track_caller]
    pub fn connect_addr(addr: &SocketAddr) -> impl Future<Output = io::Result<Self>> {
        located(async move {
            let address = to_system(addr.as_std())?;
            Self::connect_socket(open(Type::STREAM)?, address).await
        })
    }

    /// Makes two sockets that are connected to each other.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` if the process or the system has no descriptor left.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncReadExt, AsyncWriteExt};
    /// use redd::net::UnixStream;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (mut client, mut server) = UnixStream::pair()?;
    /// client.write_all(b"ping").await?;
    /// let mut word = [0; 4];
    /// server.read_exact(&mut word).await?;
    /// assert_eq!(&word, b"ping");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn pair() -> io::Result<(Self, Self)> {
        let (left, right) = NewSocket::pair(Type::STREAM)?;
        let (left, right) = (Self::from_std(left.into_std())?, Self::from_std(right.into_std())?);
        // A fresh pair has room, and programs may rely on it before the first event, as in Tokio.
        left.io.registration().assume(Ready::WRITABLE);
        right.io.registration().assume(Ready::WRITABLE);
        Ok((left, right))
    }

    /// Waits until an operation of `interest` is worth trying, and returns which ones are. See
    /// [readiness](crate::net#readiness).
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    ///
    /// # Examples
    /// ```
    /// use redd::io::Interest;
    /// use redd::net::UnixStream;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (client, server) = UnixStream::pair()?;
    /// assert!(client.ready(Interest::WRITABLE).await?.is_writable());
    /// client.try_write(b"ping")?;
    /// assert!(server.ready(Interest::READABLE).await?.is_readable());
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn ready(&self, interest: Interest) -> impl Future<Output = io::Result<Ready>> {
        located(async move {
            let event = self.io.registration().readiness(interest).await?;
            Ok(event.ready)
        })
    }

    /// Runs `f`, a non-blocking system call on this socket, if `interest` is [ready](crate::net#readiness).
    ///
    /// - If `f` returns `WouldBlock`, the readiness is cleared. `f` must not return it without having tried the socket: later
    ///   waits would then hang.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) without a call of `f` if `interest` is not ready, and the errors of `f`.
    ///
    /// # Examples
    /// ```
    /// use redd::io::Interest;
    /// use std::io::Read;
    /// use std::os::fd::AsFd;
    /// use redd::net::UnixStream;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (client, server) = UnixStream::pair()?;
    /// client.try_write(b"ping")?;
    /// server.readable().await?;
    /// let mut buf = [0; 16];
    /// let len = server.try_io(Interest::READABLE, || {
    ///     let file = std::fs::File::from(server.as_fd().try_clone_to_owned()?);
    ///     (&file).read(&mut buf)
    /// })?;
    /// assert_eq!(&buf[..len], b"ping");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn try_io<R>(&self, interest: Interest, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.io.registration().try_user_io(interest, f)
    }

    /// Runs `f` until it returns anything but `WouldBlock`, and waits for `interest` in between.
    ///
    /// # Cancel safety
    /// `f` runs within one poll, so nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// The errors of `f`, and an error when the runtime has shut down.
    ///
    /// # Examples
    /// ```
    /// use redd::io::Interest;
    /// use std::io::Read;
    /// use std::os::fd::AsFd;
    /// use redd::net::UnixStream;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (client, server) = UnixStream::pair()?;
    /// client.try_write(b"ping")?;
    /// let file = std::fs::File::from(server.as_fd().try_clone_to_owned()?);
    /// let mut buf = [0; 16];
    /// let len = server.async_io(Interest::READABLE, || (&file).read(&mut buf)).await?;
    /// assert_eq!(&buf[..len], b"ping");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn async_io<R>(
        &self,
        interest: Interest,
        f: impl FnMut() -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        located(self.io.registration().async_user_io(interest, f))
    }

    /// Waits until reading is worth trying. See [readiness](crate::net#readiness).
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    ///
    /// # Examples
    /// ```
    /// use redd::net::UnixStream;
    /// use std::io::ErrorKind;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (client, server) = UnixStream::pair()?;
    /// client.try_write(b"ping")?;
    /// let mut buf = [0; 16];
    /// let len = loop {
    ///     server.readable().await?;
    ///     match server.try_read(&mut buf) {
    ///         Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
    ///         result => break result?,
    ///     }
    /// };
    /// assert_eq!(&buf[..len], b"ping");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn readable(&self) -> impl Future<Output = io::Result<()>> {
        located(async move {
            self.io.registration().readiness(Interest::READABLE).await?;
            Ok(())
        })
    }

    /// Polls whether reading is worth trying. Only the task that polled last is woken: prefer [`readable`](Self::readable).
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.registration().poll_ready(cx, Direction::Read).map_ok(drop)
    }

    /// Waits until writing is worth trying. See [readiness](crate::net#readiness).
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    ///
    /// # Examples
    /// ```
    /// use redd::net::UnixStream;
    /// use std::io::ErrorKind;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (client, server) = UnixStream::pair()?;
    /// let written = loop {
    ///     client.writable().await?;
    ///     match client.try_write(b"ping") {
    ///         Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
    ///         result => break result?,
    ///     }
    /// };
    /// assert_eq!(written, 4);
    /// # drop(server);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn writable(&self) -> impl Future<Output = io::Result<()>> {
        located(async move {
            self.io.registration().readiness(Interest::WRITABLE).await?;
            Ok(())
        })
    }

    /// Polls whether writing is worth trying. Only the task that polled last is woken: prefer [`writable`](Self::writable).
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.registration().poll_ready(cx, Direction::Write).map_ok(drop)
    }

    /// Reads the bytes that have arrived, without waiting. Returns how many. See [readiness](crate::net#readiness).
    ///
    /// - `Ok(0)`: the peer has shut down its writing direction, or `buf` is empty.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing has arrived; [`ConnectionReset`](io::ErrorKind::ConnectionReset) if
    /// the peer has reset the connection.
    ///
    /// # Examples
    /// ```
    /// use redd::net::UnixStream;
    /// use std::io::ErrorKind;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (client, server) = UnixStream::pair()?;
    /// let mut buf = [0; 16];
    /// let error = server.try_read(&mut buf).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::WouldBlock);
    /// client.try_write(b"ping")?;
    /// server.readable().await?;
    /// assert_eq!(server.try_read(&mut buf)?, 4);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let source = &self.io;
        let read = || source.socket().recv(buf);
        source.registration().try_io(Interest::READABLE, read)
    }

    /// Like [`try_read`](Self::try_read), but appends to `buf`.
    ///
    /// # Errors
    /// Those of [`try_read`](Self::try_read).
    ///
    /// # Examples
    /// ```
    /// use redd::net::UnixStream;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (client, server) = UnixStream::pair()?;
    /// client.try_write(b"ping")?;
    /// server.readable().await?;
    /// let mut buf = Vec::with_capacity(1024);
    /// server.try_read_buf(&mut buf)?;
    /// assert_eq!(buf, b"ping");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        let source = &self.io;
        let read = || Ok(fill::append(source.socket(), buf, Fill::Read)?.0);
        source.registration().try_io(Interest::READABLE, read)
    }

    /// Like [`try_read`](Self::try_read), but fills several buffers in turn.
    ///
    /// # Errors
    /// Those of [`try_read`](Self::try_read).
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let source = &self.io;
        let read = || source.socket().recv_vectored(bufs);
        source.registration().try_io(Interest::READABLE, read)
    }

    /// Writes as many bytes as the send buffer has room for, without waiting. Returns how many. See
    /// [readiness](crate::net#readiness).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the peer no
    /// longer reads.
    ///
    /// # Examples
    /// ```
    /// use redd::net::UnixStream;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (client, server) = UnixStream::pair()?;
    /// assert_eq!(client.try_write(b"ping")?, 4);
    /// # drop(server);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let source = &self.io;
        let write = || source.socket().send(buf);
        source.registration().try_io(Interest::WRITABLE, write)
    }

    /// Like [`try_write`](Self::try_write), but takes the bytes of several buffers in turn.
    ///
    /// # Errors
    /// Those of [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let source = &self.io;
        let write = || source.socket().send_vectored(bufs);
        source.registration().try_io(Interest::WRITABLE, write)
    }

    /// Returns the address of this side.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        SocketAddr::from_system(&self.io.socket().local_addr()?)
    }

    /// Returns the address of the peer.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        SocketAddr::from_system(&self.io.socket().peer_addr()?)
    }

    /// Returns process, user and group of the peer, as they were when it connected or called [`pair`](Self::pair).
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    ///
    /// # Examples
    /// ```
    /// use redd::net::UnixStream;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (client, server) = UnixStream::pair()?;
    /// let peer = client.peer_cred()?;
    /// assert_eq!(peer.pid(), Some(std::process::id() as i32));
    /// assert_eq!(peer.uid(), server.peer_cred()?.uid());
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn peer_cred(&self) -> io::Result<UCred> {
        UCred::of_peer(self.io.socket())
    }

    /// Takes the error that the kernel has recorded for the socket (`SO_ERROR`), if any.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.socket().take_error()
    }

    /// Takes over a socket of the standard library. **It must be non-blocking**: call `set_nonblocking(true)` first.
    ///
    /// - A blocking socket is accepted, but reads and writes on it block their worker. (Differs from Tokio: debug builds do not
    ///   panic.)
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// `ENOMEM` or `ENOSPC` if the kernel cannot register another descriptor with epoll.
    ///
    /// # Examples
    /// ```
    /// use redd::net::UnixStream;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (left, _right) = std::os::unix::net::UnixStream::pair()?;
    /// left.set_nonblocking(true)?;
    /// let left = UnixStream::from_std(left)?;
    /// assert_eq!(left.try_write(b"ping")?, 4);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn from_std(socket: net::UnixStream) -> io::Result<Self> {
        Ok(Self { io: Source::of_socket(socket, Interest::READABLE | Interest::WRITABLE)? })
    }

    /// Returns the socket of the standard library. It stays non-blocking: `set_nonblocking(false)` changes that.
    ///
    /// # Errors
    /// An error if epoll no longer knows the descriptor, because other code has closed it.
    pub fn into_std(self) -> io::Result<net::UnixStream> {
        self.io.into_inner()
    }

    /// What a short read means: nothing, for it may also stop at ancillary data.
    pub(crate) const SHORT: Short = Short::Nothing;

    pub(super) async fn connect_socket(socket: NewSocket, address: SockAddr) -> io::Result<Self> {
        if let Err(error) = socket.connect(&address) {
            // A peer that refuses at once must not let a loop of attempts run without yielding.
            consume_budget().await;
            return Err(error);
        }
        // Registered only now: before it connects, a socket looks hung up.
        let stream = Self::from_std(socket.into_std())?;
        stream.writable().await?;
        match stream.take_error()? {
            None => Ok(stream),
            Some(error) => Err(error),
        }
    }

    /// A stream that a listener has accepted. It counts as readable until a read finds nothing, as in Tokio: the first
    /// request has mostly arrived already.
    pub(super) fn accepted(socket: NewSocket) -> io::Result<Self> {
        let stream = Self::from_std(socket.into_std())?;
        stream.io.registration().assume(Ready::READABLE | Ready::WRITABLE);
        Ok(stream)
    }

    /// A connection that the peer has reset counts as shut down.
    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        match self.io.socket().shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }
}

impl TryFrom<net::UnixStream> for UnixStream {
    type Error = io::Error;

    /// Like [`from_std`](Self::from_std).
    fn try_from(socket: net::UnixStream) -> io::Result<Self> {
        Self::from_std(socket)
    }
}

impl AsFd for UnixStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl AsRawFd for UnixStream {
    fn as_raw_fd(&self) -> RawFd {
        self.io.as_raw_fd()
    }
}

impl fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}

impl AsyncRead for UnixStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.io.poll_recv(cx, buf, Self::SHORT)
    }
}

impl AsyncWrite for UnixStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.io.poll_send(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io.poll_send_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: written bytes are in the kernel already.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Shuts down writing: the peer reads the end of the stream. Reading continues to work.
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown_write())
    }
}

impl AsRef<Self> for UnixStream {
    fn as_ref(&self) -> &Self {
        self
    }
}
