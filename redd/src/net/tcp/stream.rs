//! A TCP connection.
//!
//! Long because the methods and traits of the type are written out.
//!
//! Called by user code.

use super::open::open;
use crate::driver::Source;
use crate::driver::operations::NewSocket;
use crate::driver::readiness::ready::{Interest, Ready};
use crate::driver::readiness::source::Short;
use crate::driver::readiness::state::Direction;
use crate::io::{AsyncRead, AsyncWrite, ReadBuf};
use crate::net::addr::{self, ToSocketAddrs};
use crate::net::fill;
use crate::observe::waiting::located;
use crate::sys::net::Fill;
use crate::task::coop::consume_budget;
use bytes::BufMut;
use socket2::{Domain, SockAddr, SockRef};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A TCP connection.
///
/// - Read and write it with the methods of [`AsyncReadExt`](crate::io::AsyncReadExt) and
///   [`AsyncWriteExt`](crate::io::AsyncWriteExt). It has no buffer of its own: written bytes are in the kernel.
/// - Two tasks share it as halves: [`split`](Self::split), [`into_split`](Self::into_split).
/// - Dropping it [closes](crate::net#closing) the connection.
///
/// # Examples
/// ```
/// use redd::io::{AsyncReadExt, AsyncWriteExt};
/// use redd::net::{TcpListener, TcpStream};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let mut client = TcpStream::connect(listener.local_addr()?).await?;
/// let (mut server, _) = listener.accept().await?;
/// client.write_all(b"all of it").await?;
/// client.shutdown().await?;
/// let mut text = String::new();
/// server.read_to_string(&mut text).await?;
/// assert_eq!(text, "all of it");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct TcpStream {
    pub(super) io: Source<std::net::TcpStream>,
}

impl TcpStream {
    /// Connects to `addr`. If it resolves to several addresses, it tries them one after the other.
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// The error of the last address: [`ConnectionRefused`](io::ErrorKind::ConnectionRefused),
    /// [`HostUnreachable`](io::ErrorKind::HostUnreachable), [`TimedOut`](io::ErrorKind::TimedOut);
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a string that is not an address.
    #[track_caller]
    pub fn connect<A: ToSocketAddrs>(addr: A) -> impl Future<Output = io::Result<Self>> {
        located(async move {
            let mut last = None;
            for address in addr::resolve(&addr).await? {
                let attempt = async {
                    let socket = open(Domain::for_address(address))?;
                    Self::connect_socket(socket, address.into()).await
                };
                match attempt.await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => last = Some(error),
                }
            }
            Err(last.unwrap_or_else(addr::no_address))
        })
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
    /// use redd::net::{TcpListener, TcpStream};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (server, _) = listener.accept().await?;
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
    /// use redd::net::{TcpListener, TcpStream};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (server, _) = listener.accept().await?;
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
    /// use redd::net::{TcpListener, TcpStream};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (server, _) = listener.accept().await?;
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
    /// use redd::net::{TcpListener, TcpStream};
    /// use std::io::ErrorKind;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (server, _) = listener.accept().await?;
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
    /// use redd::net::{TcpListener, TcpStream};
    /// use std::io::ErrorKind;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (server, _) = listener.accept().await?;
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
    /// use redd::net::{TcpListener, TcpStream};
    /// use std::io::ErrorKind;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (server, _) = listener.accept().await?;
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
    /// use redd::net::{TcpListener, TcpStream};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (server, _) = listener.accept().await?;
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
    /// use redd::net::{TcpListener, TcpStream};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (server, _) = listener.accept().await?;
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

    /// Receives bytes and leaves them in the receive buffer, so that the next read returns them too.
    ///
    /// - `Ok(0)`: the peer has shut down its writing direction, or `buf` is empty.
    ///
    /// # Errors
    /// [`ConnectionReset`](io::ErrorKind::ConnectionReset), and an error when the runtime has shut down.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncReadExt, AsyncWriteExt};
    /// use redd::net::{TcpListener, TcpStream};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let mut client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (mut server, _) = listener.accept().await?;
    /// client.write_all(b"GET /").await?;
    /// let mut method = [0; 3];
    /// server.peek(&mut method).await?;
    /// assert_eq!(&method, b"GET");
    /// let mut all = [0; 5];
    /// server.read_exact(&mut all).await?;
    /// assert_eq!(&all, b"GET /");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn peek(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        located(async move {
            let peek = || self.io.socket().peek(buf);
            self.io.registration().async_io(Interest::READABLE, peek).await
        })
    }

    /// Polls like [`peek`](Self::peek). Only the task that polled last is woken.
    ///
    /// # Errors
    /// Those of [`peek`](Self::peek).
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        self.io.registration().poll_io(cx, Direction::Read, |_| {
            let (len, _) = fill::append(self.io.socket(), buf, Fill::Peek)?;
            Ok(len)
        })
    }

    /// Returns the address of this side.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        addr::ip(self.io.socket().local_addr()?)
    }

    /// Returns the address of the peer.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) if the peer has reset the connection.
    ///
    /// # Examples
    /// ```
    /// use redd::net::{TcpListener, TcpStream};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (server, _) = listener.accept().await?;
    /// assert_eq!(client.peer_addr()?, server.local_addr()?);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        addr::ip(self.io.socket().peer_addr()?)
    }

    /// Takes the error that the kernel has recorded for the socket (`SO_ERROR`), if any.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.socket().take_error()
    }

    /// Sets a linger time of zero. Dropping the stream then resets the connection and discards undelivered bytes. It does not block.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// Returns whether small writes are sent at once (`TCP_NODELAY`). The default is `false`: they wait until the peer has
    /// acknowledged earlier ones.
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.io.nodelay()
    }

    /// Sets whether small writes are sent at once (`TCP_NODELAY`). The default is `false`: they wait until the peer has
    /// acknowledged earlier ones.
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    ///
    /// # Examples
    /// ```
    /// use redd::net::{TcpListener, TcpStream};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (server, _) = listener.accept().await?;
    /// client.set_nodelay(true)?;
    /// assert!(client.nodelay()?);
    /// # drop(server);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn set_nodelay(&self, value: bool) -> io::Result<()> {
        self.io.set_nodelay(value)
    }

    /// Returns whether arriving segments are acknowledged at once (`TCP_QUICKACK`). The kernel resets it when it sees fit.
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn quickack(&self) -> io::Result<bool> {
        SockRef::from(self).tcp_quickack()
    }

    /// Sets whether arriving segments are acknowledged at once (`TCP_QUICKACK`). The kernel resets it when it sees fit.
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn set_quickack(&self, value: bool) -> io::Result<()> {
        SockRef::from(self).set_tcp_quickack(value)
    }

    /// Returns how long dropping the stream blocks the thread until written bytes are delivered (`SO_LINGER`). `None`, the default,
    /// delivers in the background. A blocked thread runs no tasks: prefer `None`, or
    /// [`set_zero_linger`](Self::set_zero_linger).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        SockRef::from(self).linger()
    }

    /// Sets how long dropping the stream blocks the thread until written bytes are delivered (`SO_LINGER`). `None`, the default,
    /// delivers in the background. A blocked thread runs no tasks: prefer `None`, or
    /// [`set_zero_linger`](Self::set_zero_linger).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn set_linger(&self, value: Option<Duration>) -> io::Result<()> {
        SockRef::from(self).set_linger(value)
    }

    /// Returns how many hops its packets may make (`IP_TTL`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.ttl()
    }

    /// Sets how many hops its packets may make (`IP_TTL`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn set_ttl(&self, value: u32) -> io::Result<()> {
        self.io.set_ttl(value)
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
    /// use redd::net::TcpStream;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let socket = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// socket.set_nonblocking(true)?;
    /// let stream = TcpStream::from_std(socket)?;
    /// assert_eq!(stream.peer_addr()?, listener.local_addr()?);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn from_std(socket: std::net::TcpStream) -> io::Result<Self> {
        Ok(Self { io: Source::of_socket(socket, Interest::READABLE | Interest::WRITABLE)? })
    }

    /// Returns the socket of the standard library. It stays non-blocking: `set_nonblocking(false)` changes that.
    ///
    /// # Errors
    /// An error if epoll no longer knows the descriptor, because other code has closed it.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        self.io.into_inner()
    }

    /// What a short read proves: it returned fewer bytes than the buffer has room for, so no more are available now.
    pub(crate) const SHORT: Short = Short::WouldBlock;

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

impl TryFrom<std::net::TcpStream> for TcpStream {
    type Error = io::Error;

    /// Like [`from_std`](Self::from_std).
    fn try_from(socket: std::net::TcpStream) -> io::Result<Self> {
        Self::from_std(socket)
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.io.as_raw_fd()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.io.poll_recv(cx, buf, Self::SHORT)
    }
}

impl AsyncWrite for TcpStream {
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

impl AsRef<Self> for TcpStream {
    fn as_ref(&self) -> &Self {
        self
    }
}
