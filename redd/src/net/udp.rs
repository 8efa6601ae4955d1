//! A UDP socket.
//!
//! Long because the methods of the type are written out, each with its variants that try and poll.
//!
//! Called by user code.

use super::addr::{self, ToSocketAddrs};
use crate::driver::Source;
use crate::driver::operations::NewSocket;
use crate::driver::readiness::ready::{Interest, Ready};
use crate::driver::readiness::state::Direction;
use crate::io::ReadBuf;
use crate::net::fill;
use crate::observe::waiting::located;
use crate::sys::net::Fill;
use bytes::BufMut;
use socket2::{Domain, Protocol, SockAddr, SockRef, Type};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll};

/// A UDP socket.
///
/// - One socket can send to and receive from many peers ([`send_to`](Self::send_to), [`recv_from`](Self::recv_from)), or
///   be [connected](Self::connect) to one ([`send`](Self::send), [`recv`](Self::recv)).
/// - All methods take `&self`: share it with an `Arc`; there is no split.
/// - If nothing receives at the peer, the next operation of a connected socket returns
///   [`ConnectionRefused`](io::ErrorKind::ConnectionRefused).
///
/// # Examples
/// ```
/// use redd::net::UdpSocket;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let server = UdpSocket::bind("127.0.0.1:0").await?;
/// let client = UdpSocket::bind("127.0.0.1:0").await?;
/// client.send_to(b"ping", server.local_addr()?).await?;
/// let mut buf = [0; 16];
/// let (len, peer) = server.recv_from(&mut buf).await?;
/// assert_eq!(&buf[..len], b"ping");
/// assert_eq!(peer, client.local_addr()?);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct UdpSocket {
    io: Source<std::net::UdpSocket>,
}

impl UdpSocket {
    /// Binds a socket to `addr`. If it resolves to several addresses, to the first that works.
    ///
    /// - Port 0 lets the system choose: see [`local_addr`](Self::local_addr).
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// The error of the last address: [`AddrInUse`](io::ErrorKind::AddrInUse),
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable), [`PermissionDenied`](io::ErrorKind::PermissionDenied) for a
    /// port below 1024; [`InvalidInput`](io::ErrorKind::InvalidInput) for a string that is not an address.
    #[track_caller]
    pub fn bind<A: ToSocketAddrs>(addr: A) -> impl Future<Output = io::Result<Self>> {
        located(async move {
            let addresses = addr::resolve_for_a_unit(&addr).await?;
            addr::first_success(addresses, |address| {
                let socket = NewSocket::open(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
                socket.bind(&address.into())?;
                Self::from_std(socket.into_std())
            })
        })
    }

    /// Connects it to a peer: `send` and `recv` then concern that peer alone. It sends nothing.
    ///
    /// # Errors
    /// The error of the last address; [`InvalidInput`](io::ErrorKind::InvalidInput) for a string that is not an address.
    ///
    /// # Examples
    /// ```
    /// use redd::net::UdpSocket;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let server = UdpSocket::bind("127.0.0.1:0").await?;
    /// let client = UdpSocket::bind("127.0.0.1:0").await?;
    /// client.connect(server.local_addr()?).await?;
    /// assert_eq!(client.peer_addr()?, server.local_addr()?);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn connect<A: ToSocketAddrs>(&self, addr: A) -> impl Future<Output = io::Result<()>> {
        located(async move {
            let addresses = addr::resolve_for_a_unit(&addr).await?;
            addr::first_success(addresses, |address| self.io.socket().connect_datagram(&address.into()))
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
    /// use redd::net::UdpSocket;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let left = UdpSocket::bind("127.0.0.1:0").await?;
    /// let right = UdpSocket::bind("127.0.0.1:0").await?;
    /// left.connect(right.local_addr()?).await?;
    /// right.connect(left.local_addr()?).await?;
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
    /// use redd::net::UdpSocket;
    /// use std::io::ErrorKind;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let left = UdpSocket::bind("127.0.0.1:0").await?;
    /// let right = UdpSocket::bind("127.0.0.1:0").await?;
    /// left.connect(right.local_addr()?).await?;
    /// right.connect(left.local_addr()?).await?;
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
    /// use redd::net::UdpSocket;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let left = UdpSocket::bind("127.0.0.1:0").await?;
    /// let right = UdpSocket::bind("127.0.0.1:0").await?;
    /// left.connect(right.local_addr()?).await?;
    /// right.connect(left.local_addr()?).await?;
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
    /// use redd::net::UdpSocket;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let left = UdpSocket::bind("127.0.0.1:0").await?;
    /// let right = UdpSocket::bind("127.0.0.1:0").await?;
    /// left.connect(right.local_addr()?).await?;
    /// right.connect(left.local_addr()?).await?;
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
    /// use redd::net::UdpSocket;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let left = UdpSocket::bind("127.0.0.1:0").await?;
    /// let right = UdpSocket::bind("127.0.0.1:0").await?;
    /// left.connect(right.local_addr()?).await?;
    /// right.connect(left.local_addr()?).await?;
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
    /// use redd::net::UdpSocket;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let left = UdpSocket::bind("127.0.0.1:0").await?;
    /// let right = UdpSocket::bind("127.0.0.1:0").await?;
    /// left.connect(right.local_addr()?).await?;
    /// right.connect(left.local_addr()?).await?;
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
            self.io.registration().async_io(Interest::READABLE, || with_sender(self.io.socket().recv_from(buf)?)).await
        })
    }

    /// Like [`recv_from`](Self::recv_from), without waiting. See [readiness](crate::net#readiness).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing has arrived, and the errors of [`recv_from`](Self::recv_from).
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.registration().try_io(Interest::READABLE, || with_sender(self.io.socket().recv_from(buf)?))
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

    /// Sends a datagram to `target`, or to the first address that it resolves to. Returns how many bytes were sent.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, nothing was sent.
    ///
    /// # Errors
    /// `EMSGSIZE` if the datagram is too large, `EAFNOSUPPORT` for an address of the other family,
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a string that is not an address.
    #[track_caller]
    pub fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], target: A) -> impl Future<Output = io::Result<usize>> {
        located(async move {
            let target = addr::resolve(&target).await?.next();
            let target = target.ok_or_else(addr::no_address)?;
            let target = SockAddr::from(target);
            let send = || self.io.socket().send_to(buf, &target);
            self.io.registration().async_io(Interest::WRITABLE, send).await
        })
    }

    /// Polls like [`send_to`](Self::send_to). Only the task that polled last is woken.
    ///
    /// # Errors
    /// Those of [`send_to`](Self::send_to).
    pub fn poll_send_to(&self, cx: &mut Context<'_>, buf: &[u8], target: SocketAddr) -> Poll<io::Result<usize>> {
        let target = SockAddr::from(target);
        let send = || self.io.socket().send_to(buf, &target);
        self.io.registration().poll_io(cx, Direction::Write, |_| send())
    }

    /// Like [`send_to`](Self::send_to), without waiting. See [readiness](crate::net#readiness).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room, and the errors of [`send_to`](Self::send_to).
    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        let target = SockAddr::from(target);
        let send = || self.io.socket().send_to(buf, &target);
        self.io.registration().try_io(Interest::WRITABLE, send)
    }

    /// Receives like [`recv`](Self::recv), but leaves the datagram in the queue: the next receive returns it too.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, nothing was received.
    ///
    /// # Errors
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if an earlier datagram found no receiver, and an error when the
    /// runtime has shut down.
    #[track_caller]
    pub fn peek(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        located(async move { self.io.registration().async_io(Interest::READABLE, || self.io.socket().peek(buf)).await })
    }

    /// Like [`peek`](Self::peek), without waiting. See [readiness](crate::net#readiness).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing has arrived, and the errors of [`peek`](Self::peek).
    pub fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io.registration().try_io(Interest::READABLE, || self.io.socket().peek(buf))
    }

    /// Receives like [`recv_from`](Self::recv_from), but leaves the datagram in the queue: the next receive returns it too.
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
    /// use redd::net::UdpSocket;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let left = UdpSocket::bind("127.0.0.1:0").await?;
    /// let right = UdpSocket::bind("127.0.0.1:0").await?;
    /// left.send_to(b"ping", right.local_addr()?).await?;
    /// let mut buf = [0; 16];
    /// assert_eq!(right.peek_from(&mut buf).await?, (4, left.local_addr()?));
    /// assert_eq!(right.recv_from(&mut buf).await?, (4, left.local_addr()?));
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn peek_from(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<(usize, SocketAddr)>> {
        located(async move {
            self.io.registration().async_io(Interest::READABLE, || with_sender(self.io.socket().peek_from(buf)?)).await
        })
    }

    /// Like [`peek_from`](Self::peek_from), without waiting. See [readiness](crate::net#readiness).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing has arrived, and the errors of [`peek_from`](Self::peek_from).
    pub fn try_peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.registration().try_io(Interest::READABLE, || with_sender(self.io.socket().peek_from(buf)?))
    }

    /// Waits for a datagram, and returns its sender. The datagram stays in the queue.
    ///
    /// - If nothing ever receives, the queue fills up.
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
    /// use redd::net::UdpSocket;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let left = UdpSocket::bind("127.0.0.1:0").await?;
    /// let right = UdpSocket::bind("127.0.0.1:0").await?;
    /// left.send_to(b"ping", right.local_addr()?).await?;
    /// assert_eq!(right.peek_sender().await?, left.local_addr()?);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn peek_sender(&self) -> impl Future<Output = io::Result<SocketAddr>> {
        located(async move { self.io.registration().async_io(Interest::READABLE, || self.peek_sender_once()).await })
    }

    /// Like [`peek_sender`](Self::peek_sender), without waiting. See [readiness](crate::net#readiness).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing has arrived, and the errors of [`peek_sender`](Self::peek_sender).
    pub fn try_peek_sender(&self) -> io::Result<SocketAddr> {
        self.io.registration().try_io(Interest::READABLE, || self.peek_sender_once())
    }

    /// Polls like [`peek_sender`](Self::peek_sender). Only the task that polled last is woken.
    ///
    /// # Errors
    /// Those of [`peek_sender`](Self::peek_sender).
    pub fn poll_peek_sender(&self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        self.io.registration().poll_io(cx, Direction::Read, |_| self.peek_sender_once())
    }

    fn peek_sender_once(&self) -> io::Result<SocketAddr> {
        let (_, address) = self.io.socket().fill(&mut [], Fill::PeekFrom)?;
        sender(address)
    }

    /// Polls like [`peek`](Self::peek). Only the task that polled last is woken.
    ///
    /// # Errors
    /// Those of [`peek`](Self::peek).
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.io.registration().poll_io(cx, Direction::Read, |_| {
            let _ = fill::append(self.io.socket(), buf, Fill::Peek)?;
            Ok(())
        })
    }

    /// Polls like [`peek_from`](Self::peek_from). Only the task that polled last is woken.
    ///
    /// # Errors
    /// Those of [`peek_from`](Self::peek_from).
    pub fn poll_peek_from(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<SocketAddr>> {
        self.io.registration().poll_io(cx, Direction::Read, |_| {
            let (_, address) = fill::append(self.io.socket(), buf, Fill::PeekFrom)?;
            sender(address)
        })
    }

    /// Returns whether it may send to broadcast addresses (`SO_BROADCAST`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.io.broadcast()
    }

    /// Sets whether it may send to broadcast addresses (`SO_BROADCAST`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    ///
    /// # Examples
    /// ```
    /// use redd::net::UdpSocket;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let socket = UdpSocket::bind("0.0.0.0:0").await?;
    /// socket.set_broadcast(true)?;
    /// assert!(socket.broadcast()?);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn set_broadcast(&self, value: bool) -> io::Result<()> {
        self.io.set_broadcast(value)
    }

    /// Returns whether datagrams to an IPv4 multicast group come back to this machine (`IP_MULTICAST_LOOP`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.io.multicast_loop_v4()
    }

    /// Sets whether datagrams to an IPv4 multicast group come back to this machine (`IP_MULTICAST_LOOP`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn set_multicast_loop_v4(&self, value: bool) -> io::Result<()> {
        self.io.set_multicast_loop_v4(value)
    }

    /// Returns how many hops datagrams to an IPv4 multicast group may make (`IP_MULTICAST_TTL`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.io.multicast_ttl_v4()
    }

    /// Sets how many hops datagrams to an IPv4 multicast group may make (`IP_MULTICAST_TTL`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn set_multicast_ttl_v4(&self, value: u32) -> io::Result<()> {
        self.io.set_multicast_ttl_v4(value)
    }

    /// Returns whether datagrams to an IPv6 multicast group come back to this machine (`IPV6_MULTICAST_LOOP`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.io.multicast_loop_v6()
    }

    /// Sets whether datagrams to an IPv6 multicast group come back to this machine (`IPV6_MULTICAST_LOOP`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn set_multicast_loop_v6(&self, value: bool) -> io::Result<()> {
        self.io.set_multicast_loop_v6(value)
    }

    /// Returns how many hops datagrams may make (`IP_TTL`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.ttl()
    }

    /// Sets how many hops datagrams may make (`IP_TTL`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn set_ttl(&self, value: u32) -> io::Result<()> {
        self.io.set_ttl(value)
    }

    /// Returns the type of service of IPv4 packets (`IP_TOS`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn tos_v4(&self) -> io::Result<u32> {
        SockRef::from(self).tos_v4()
    }

    /// Sets the type of service of IPv4 packets (`IP_TOS`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn set_tos_v4(&self, value: u32) -> io::Result<()> {
        SockRef::from(self).set_tos_v4(value)
    }

    /// Returns the traffic class of IPv6 packets (`IPV6_TCLASS`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn tclass_v6(&self) -> io::Result<u32> {
        SockRef::from(self).tclass_v6()
    }

    /// Sets the traffic class of IPv6 packets (`IPV6_TCLASS`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn set_tclass_v6(&self, value: u32) -> io::Result<()> {
        SockRef::from(self).set_tclass_v6(value)
    }

    /// Returns the network device that the socket is bound to (`SO_BINDTODEVICE`), if any.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
        SockRef::from(self).device()
    }

    /// Binds the socket to a network device by name, or to none.
    ///
    /// # Errors
    /// `ENODEV` if there is no such device, and [`PermissionDenied`](io::ErrorKind::PermissionDenied) where it needs
    /// `CAP_NET_RAW`.
    pub fn bind_device(&self, interface: Option<&[u8]>) -> io::Result<()> {
        self.io.socket().expect_real()?;
        SockRef::from(self).bind_device(interface)
    }

    /// The name of [`tos_v4`](Self::tos_v4) in earlier versions of Tokio.
    #[doc(hidden)]
    #[deprecated(note = "it is about IPv4 only: call `tos_v4`")]
    pub fn tos(&self) -> io::Result<u32> {
        self.tos_v4()
    }

    /// The name of [`set_tos_v4`](Self::set_tos_v4) in earlier versions of Tokio.
    #[doc(hidden)]
    #[deprecated(note = "it is about IPv4 only: call `set_tos_v4`")]
    pub fn set_tos(&self, tos: u32) -> io::Result<()> {
        self.set_tos_v4(tos)
    }

    /// Returns the address of this socket.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        addr::ip(self.io.socket().local_addr()?)
    }

    /// Returns the address of the socket that this one is connected to.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) if it is not connected.
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

    /// Joins an IPv4 multicast group on the interface with this address; `0.0.0.0` lets the system choose.
    ///
    /// # Errors
    /// `EINVAL` or `ENODEV` if there is no such interface, and `EADDRINUSE` if it is a member already.
    pub fn join_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.io.socket().expect_real()?;
        self.io.join_multicast_v4(&multiaddr, &interface)
    }

    /// Joins an IPv6 multicast group on the interface with this index; 0 lets the system choose.
    ///
    /// # Errors
    /// `EINVAL` or `ENODEV` if there is no such interface, and `EADDRINUSE` if it is a member already.
    pub fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.io.socket().expect_real()?;
        self.io.join_multicast_v6(multiaddr, interface)
    }

    /// Leaves an IPv4 multicast group.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` if it is not a member.
    pub fn leave_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.io.socket().expect_group()?;
        self.io.leave_multicast_v4(&multiaddr, &interface)
    }

    /// Leaves an IPv6 multicast group.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` if it is not a member.
    pub fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.io.socket().expect_group()?;
        self.io.leave_multicast_v6(multiaddr, interface)
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
    /// use redd::net::UdpSocket;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_nonblocking(true)?;
    /// let socket = UdpSocket::from_std(socket)?;
    /// assert_ne!(socket.local_addr()?.port(), 0);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<Self> {
        Ok(Self { io: Source::of_socket(socket, Interest::READABLE | Interest::WRITABLE)? })
    }

    /// Returns the socket of the standard library. It stays non-blocking: `set_nonblocking(false)` changes that.
    ///
    /// # Errors
    /// An error if epoll no longer knows the descriptor, because other code has closed it.
    pub fn into_std(self) -> io::Result<std::net::UdpSocket> {
        self.io.into_inner()
    }
}

/// The same with the sender as an IP address.
fn with_sender((len, address): (usize, SockAddr)) -> io::Result<(usize, SocketAddr)> {
    Ok((len, sender(Some(address))?))
}

fn sender(address: Option<SockAddr>) -> io::Result<SocketAddr> {
    let address = address.expect("the call of `fill` requests the sender");
    address.as_socket().ok_or_else(|| {
        io::Error::other("a datagram came whose sender has no IP address: use the type of `net` that fits the socket")
    })
}

impl TryFrom<std::net::UdpSocket> for UdpSocket {
    type Error = io::Error;

    /// Like [`from_std`](Self::from_std).
    fn try_from(socket: std::net::UdpSocket) -> io::Result<Self> {
        Self::from_std(socket)
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl AsRawFd for UdpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.io.as_raw_fd()
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}
