//! A Unix socket for datagrams.
//!
//! Called by user code.

use super::SocketAddr;
use super::addr::{from_path, to_system};
use super::open::open;
use crate::driver::Source;
use crate::driver::operations::NewSocket;
use crate::driver::readiness::ready::{Interest, Ready};
use crate::driver::readiness::state::Direction;
use crate::io::ReadBuf;
use crate::net::fill;
use crate::observe::waiting::located;
use crate::sys::net::Fill;
use bytes::BufMut;
use socket2::{SockAddr, Type};
use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net;
use std::path::Path;
use std::task::{Context, Poll};

/// A Unix socket for datagrams.
///
/// - No datagram is lost on the way: a sender waits while the receiver's queue is full.
/// - Dropping it closes the socket, and leaves the file at its path.
///
/// # Examples
/// ```
/// use redd::net::UnixDatagram;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (left, right) = UnixDatagram::pair()?;
/// left.send(b"hello").await?;
/// let mut buf = [0; 16];
/// let len = right.recv(&mut buf).await?;
/// assert_eq!(&buf[..len], b"hello");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct UnixDatagram {
    io: Source<net::UnixDatagram>,
}

impl UnixDatagram {
    /// Binds a socket to a path, where it creates a file, or to an [abstract name](crate::net::unix).
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if the file exists; [`InvalidInput`](io::ErrorKind::InvalidInput) for a
    /// path that is too long.
    #[track_caller]
    pub fn bind<P>(path: P) -> io::Result<Self>
    where
        P: AsRef<Path>,
    {
        let socket = open(Type::DGRAM)?;
        socket.bind(&to_system(&from_path(path.as_ref())?)?)?;
        Self::from_std(socket.into_std())
    }

    /// Makes a socket without an address. It can send, and receive from the socket that it is connected to.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` if the process or the system has no descriptor left.
    #[track_caller]
    pub fn unbound() -> io::Result<Self> {
        Self::from_std(open(Type::DGRAM)?.into_std())
    }

    /// Connects it to a peer: `send` and `recv` then concern that peer alone.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) and [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if nothing receives
    /// there.
    ///
    /// # Examples
    /// ```
    /// use redd::net::UnixDatagram;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let receiver = UnixDatagram::bind("\0redd-example-connect")?;
    /// let sender = UnixDatagram::unbound()?;
    /// sender.connect("\0redd-example-connect")?;
    /// sender.send(b"ping").await?;
    /// let mut buf = [0; 16];
    /// assert_eq!(receiver.recv(&mut buf).await?, 4);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.io.socket().connect_datagram(&to_system(&from_path(path.as_ref())?)?)
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
    /// use redd::net::UnixDatagram;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (left, right) = UnixDatagram::pair()?;
    /// left.send(b"ping").await?;
    /// let mut buf = [0; 16];
    /// assert_eq!(right.recv(&mut buf).await?, 4);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn pair() -> io::Result<(Self, Self)> {
        let (left, right) = NewSocket::pair(Type::DGRAM)?;
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
    /// use redd::net::UnixDatagram;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (left, right) = UnixDatagram::pair()?;
    /// left.send(b"ping").await?;
    /// assert!(right.ready(Interest::READABLE).await?.is_readable());
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
    #[track_caller]
    pub fn async_io<R>(
        &self,
        interest: Interest,
        f: impl FnMut() -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        located(self.io.registration().async_user_io(interest, f))
    }

    /// Waits until receiving is worth trying. See [readiness](crate::net#readiness).
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    ///
    /// # Examples
    /// ```
    /// use redd::net::UnixDatagram;
    /// use std::io::ErrorKind;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (left, right) = UnixDatagram::pair()?;
    /// left.send(b"ping").await?;
    /// let mut buf = [0; 16];
    /// let len = loop {
    ///     right.readable().await?;
    ///     match right.try_recv(&mut buf) {
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

    /// Polls whether receiving is worth trying. Only the task that polled last is woken: prefer [`readable`](Self::readable).
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    pub fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.registration().poll_ready(cx, Direction::Read).map_ok(drop)
    }

    /// Waits until sending is worth trying. See [readiness](crate::net#readiness).
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    ///
    /// # Examples
    /// ```
    /// use redd::net::UnixDatagram;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (left, right) = UnixDatagram::pair()?;
    /// left.writable().await?;
    /// assert_eq!(left.try_send(b"ping")?, 4);
    /// # drop(right);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn writable(&self) -> impl Future<Output = io::Result<()>> {
        located(async move {
            self.io.registration().readiness(Interest::WRITABLE).await?;
            Ok(())
        })
    }

    /// Polls whether sending is worth trying. Only the task that polled last is woken: prefer [`writable`](Self::writable).
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.registration().poll_ready(cx, Direction::Write).map_ok(drop)
    }

    /// Sends a datagram to the peer that this socket is connected to. Returns how many bytes were sent.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, nothing was sent.
    ///
    /// # Errors
    /// `EMSGSIZE` if the datagram is too large, [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if an earlier one
    /// found no receiver, and an error when the runtime has shut down.
    ///
    /// # Examples
    /// ```
    /// use redd::net::UnixDatagram;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (left, right) = UnixDatagram::pair()?;
    /// left.send(b"ping").await?;
    /// let mut buf = [0; 16];
    /// let len = right.recv(&mut buf).await?;
    /// assert_eq!(&buf[..len], b"ping");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn send(&self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> {
        located(async move { self.io.registration().async_io(Interest::WRITABLE, || self.io.socket().send(buf)).await })
    }

    /// Like [`send`](Self::send), without waiting. See [readiness](crate::net#readiness).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room, and the errors of [`send`](Self::send).
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        self.io.registration().try_io(Interest::WRITABLE, || self.io.socket().send(buf))
    }

    /// Polls like [`send`](Self::send). Only the task that polled last is woken.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.io.registration().poll_io(cx, Direction::Write, |_| self.io.socket().send(buf))
    }

    /// Receives a datagram from the peer that this socket is connected to. Bytes that do not fit in `buf` are lost.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, nothing was received.
    ///
    /// # Errors
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if an earlier datagram found no receiver, and an error when the
    /// runtime has shut down.
    ///
    /// # Examples
    /// ```
    /// use redd::net::UnixDatagram;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (left, right) = UnixDatagram::pair()?;
    /// left.send(b"a long one").await?;
    /// let mut buf = [0; 6];
    /// assert_eq!(right.recv(&mut buf).await?, 6, "the rest is lost");
    /// assert_eq!(&buf, b"a long");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn recv(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        located(async move { self.io.registration().async_io(Interest::READABLE, || self.io.socket().recv(buf)).await })
    }

    /// Like [`recv`](Self::recv), without waiting. See [readiness](crate::net#readiness).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing has arrived, and the errors of [`recv`](Self::recv).
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io.registration().try_io(Interest::READABLE, || self.io.socket().recv(buf))
    }

    /// Receives like [`recv`](Self::recv), but appends to `buf`. It appends at most as many bytes as `buf` has room for without
    /// growing; a full `Vec` grows by one step first.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, nothing was received.
    ///
    /// # Errors
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if an earlier datagram found no receiver, and an error when the
    /// runtime has shut down.
    ///
    /// # Examples
    /// ```
    /// use redd::net::UnixDatagram;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (left, right) = UnixDatagram::pair()?;
    /// left.send(b"ping").await?;
    /// let mut buf = Vec::with_capacity(1500);
    /// right.recv_buf(&mut buf).await?;
    /// assert_eq!(buf, b"ping");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn recv_buf<B: BufMut>(&self, buf: &mut B) -> impl Future<Output = io::Result<usize>> {
        located(async move {
            self.io
                .registration()
                .async_io(Interest::READABLE, || Ok(fill::append(self.io.socket(), buf, Fill::Receive)?.0))
                .await
        })
    }

    /// Like [`recv_buf`](Self::recv_buf), without waiting. See [readiness](crate::net#readiness).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing has arrived, and the errors of [`recv_buf`](Self::recv_buf).
    pub fn try_recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        self.io.registration().try_io(Interest::READABLE, || Ok(fill::append(self.io.socket(), buf, Fill::Receive)?.0))
    }

    /// Receives a datagram from any sender, and returns its length and the sender. Bytes that do not fit in `buf` are lost.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, nothing was received.
    ///
    /// # Errors
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if an earlier datagram found no receiver, and an error when the
    /// runtime has shut down.
    #[track_caller]
    pub fn recv_from(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<(usize, SocketAddr)>> {
        located(async move {
            self.io
                .registration()
                .async_io(Interest::READABLE, || {
                    let (len, sender) = self.io.socket().recv_from(buf)?;
                    Ok((len, SocketAddr::from_system(&sender)?))
                })
                .await
        })
    }

    /// Like [`recv_from`](Self::recv_from), without waiting. See [readiness](crate::net#readiness).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing has arrived, and the errors of [`recv_from`](Self::recv_from).
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.registration().try_io(Interest::READABLE, || {
            let (len, sender) = self.io.socket().recv_from(buf)?;
            Ok((len, SocketAddr::from_system(&sender)?))
        })
    }

    /// Receives like [`recv_from`](Self::recv_from), but appends to `buf` as [`recv_buf`](Self::recv_buf) does.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, nothing was received.
    ///
    /// # Errors
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if an earlier datagram found no receiver, and an error when the
    /// runtime has shut down.
    #[track_caller]
    pub fn recv_buf_from<B: BufMut>(&self, buf: &mut B) -> impl Future<Output = io::Result<(usize, SocketAddr)>> {
        located(async move {
            self.io
                .registration()
                .async_io(Interest::READABLE, || {
                    let (len, address) = fill::append(self.io.socket(), buf, Fill::ReceiveFrom)?;
                    Ok((len, sender(address)?))
                })
                .await
        })
    }

    /// Like [`recv_buf_from`](Self::recv_buf_from), without waiting. See [readiness](crate::net#readiness).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing has arrived, and the errors of [`recv_buf_from`](Self::recv_buf_from).
    pub fn try_recv_buf_from<B: BufMut>(&self, buf: &mut B) -> io::Result<(usize, SocketAddr)> {
        self.io.registration().try_io(Interest::READABLE, || {
            let (len, address) = fill::append(self.io.socket(), buf, Fill::ReceiveFrom)?;
            Ok((len, sender(address)?))
        })
    }

    /// Polls like [`recv`](Self::recv). Only the task that polled last is woken.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.io.registration().poll_io(cx, Direction::Read, |_| {
            let _ = fill::append(self.io.socket(), buf, Fill::Receive)?;
            Ok(())
        })
    }

    /// Polls like [`recv_from`](Self::recv_from). Only the task that polled last is woken.
    ///
    /// # Errors
    /// Those of [`recv_from`](Self::recv_from).
    pub fn poll_recv_from(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<SocketAddr>> {
        self.io.registration().poll_io(cx, Direction::Read, |_| {
            let (_, address) = fill::append(self.io.socket(), buf, Fill::ReceiveFrom)?;
            sender(address)
        })
    }

    /// Sends a datagram to the socket at a path or an [abstract name](crate::net::unix). Returns how many bytes were sent.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, nothing was sent.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) or [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if nothing receives
    /// there, `EMSGSIZE` if the datagram is too large, and an error when the runtime has shut down.
    ///
    /// # Examples
    /// ```
    /// use redd::net::UnixDatagram;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let receiver = UnixDatagram::bind("\0redd-example-send-to")?;
    /// let sender = UnixDatagram::unbound()?;
    /// sender.send_to(b"ping", "\0redd-example-send-to").await?;
    /// let mut buf = [0; 16];
    /// let (len, from) = receiver.recv_from(&mut buf).await?;
    /// assert_eq!(&buf[..len], b"ping");
    /// assert!(from.is_unnamed());
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn send_to<P: AsRef<Path>>(&self, buf: &[u8], target: P) -> impl Future<Output = io::Result<usize>> {
        located(async move {
            let target = to_system(&from_path(target.as_ref())?)?;
            self.io.registration().async_io(Interest::WRITABLE, || self.io.socket().send_to(buf, &target)).await
        })
    }

    /// Like [`send_to`](Self::send_to), without waiting. See [readiness](crate::net#readiness).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room, and the errors of [`send_to`](Self::send_to).
    pub fn try_send_to<P: AsRef<Path>>(&self, buf: &[u8], target: P) -> io::Result<usize> {
        let target = to_system(&from_path(target.as_ref())?)?;
        self.io.registration().try_io(Interest::WRITABLE, || self.io.socket().send_to(buf, &target))
    }

    /// Polls like [`send_to`](Self::send_to). Only the task that polled last is woken.
    ///
    /// # Errors
    /// Those of [`send_to`](Self::send_to).
    pub fn poll_send_to<P>(&self, cx: &mut Context<'_>, buf: &[u8], target: P) -> Poll<io::Result<usize>>
    where
        P: AsRef<Path>,
    {
        let target = to_system(&from_path(target.as_ref())?)?;
        let send = || self.io.socket().send_to(buf, &target);
        self.io.registration().poll_io(cx, Direction::Write, |_| send())
    }

    /// Returns the address of this socket.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        SocketAddr::from_system(&self.io.socket().local_addr()?)
    }

    /// Returns the address of the socket that this one is connected to.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) if it is not connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        SocketAddr::from_system(&self.io.socket().peer_addr()?)
    }

    /// Takes the error that the kernel has recorded for the socket (`SO_ERROR`), if any.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.socket().take_error()
    }

    /// Ends sending, receiving, or both. Tasks that wait for it are woken.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) if it is not connected.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.io.socket().shutdown(how)
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
    /// use redd::net::UnixDatagram;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (left, _right) = std::os::unix::net::UnixDatagram::pair()?;
    /// left.set_nonblocking(true)?;
    /// let left = UnixDatagram::from_std(left)?;
    /// assert!(left.local_addr()?.is_unnamed());
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn from_std(socket: net::UnixDatagram) -> io::Result<Self> {
        Ok(Self { io: Source::of_socket(socket, Interest::READABLE | Interest::WRITABLE)? })
    }

    /// Returns the socket of the standard library. It stays non-blocking: `set_nonblocking(false)` changes that.
    ///
    /// # Errors
    /// An error if epoll no longer knows the descriptor, because other code has closed it.
    pub fn into_std(self) -> io::Result<net::UnixDatagram> {
        self.io.into_inner()
    }
}

fn sender(address: Option<SockAddr>) -> io::Result<SocketAddr> {
    SocketAddr::from_system(&address.expect("the call of `fill` requests the sender"))
}

impl TryFrom<net::UnixDatagram> for UnixDatagram {
    type Error = io::Error;

    /// Like [`from_std`](Self::from_std).
    fn try_from(socket: net::UnixDatagram) -> io::Result<Self> {
        Self::from_std(socket)
    }
}

impl AsFd for UnixDatagram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl AsRawFd for UnixDatagram {
    fn as_raw_fd(&self) -> RawFd {
        self.io.as_raw_fd()
    }
}

impl fmt::Debug for UnixDatagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}
