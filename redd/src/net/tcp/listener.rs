//! A socket that accepts connections.
//!
//! Called by user code.

use super::TcpStream;
use super::open::open;
use crate::driver::Source;
use crate::driver::operations::NewSocket;
use crate::driver::readiness::ready::Interest;
use crate::driver::readiness::state::Direction;
use crate::net::addr::{self, ToSocketAddrs};
use crate::observe::waiting::located;
use socket2::{Domain, SockAddr};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll, ready};

/// How many connections may wait to be accepted, unless `TcpSocket::listen` sets another limit. Tokio's value.
const BACKLOG: u32 = 1024;

/// A TCP socket that accepts connections.
///
/// - Any number of tasks may [`accept`](Self::accept) at once; each connection goes to one of them.
/// - Dropping it closes the socket and resets the connections that wait to be accepted.
///
/// # Examples
/// ```
/// use redd::net::{TcpListener, TcpStream};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let client = TcpStream::connect(listener.local_addr()?).await?;
/// let (server, peer) = listener.accept().await?;
/// assert_eq!(peer, client.local_addr()?);
/// # drop(server);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct TcpListener {
    io: Source<std::net::TcpListener>,
}

impl TcpListener {
    /// Listens on `addr`. If it resolves to several addresses, on the first that works.
    ///
    /// - Port 0 lets the system choose: see [`local_addr`](Self::local_addr).
    /// - It sets `SO_REUSEADDR`, so that a restarted server gets its port back at once, and lets 1024 connections wait.
    ///   [`TcpSocket`](crate::net::TcpSocket) sets other options.
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
                let socket = open(Domain::for_address(address))?;
                socket.options().set_reuse_address(true)?;
                socket.bind(&address.into())?;
                Self::listen(socket, BACKLOG)
            })
        })
    }

    /// Makes a bound socket listen.
    #[track_caller]
    pub(super) fn listen(socket: NewSocket, backlog: u32) -> io::Result<Self> {
        socket.listen(backlog)?;
        Self::from_std(socket.into_std())
    }

    /// Waits for a connection, and returns it with the address of the peer.
    ///
    /// - An error concerns one connection, or the [descriptors](crate::net#out-of-descriptors) of the process. The listener stays
    ///   usable.
    ///
    /// # Cancel safety
    /// No connection is lost if the future is dropped.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` if no descriptor is left, [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) if the peer has gone
    /// already, and an error when the runtime has shut down.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    /// use redd::net::{TcpListener, TcpStream};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let address = listener.local_addr()?;
    /// redd::spawn(async move {
    ///     while let Ok((mut stream, _peer)) = listener.accept().await {
    ///         // A task for each connection, so that a slow client does not delay the others.
    ///         redd::spawn(async move { stream.write_all(b"hello").await });
    ///     }
    /// });
    /// let mut client = TcpStream::connect(address).await?;
    /// let mut text = String::new();
    /// redd::io::AsyncReadExt::read_to_string(&mut client, &mut text).await?;
    /// assert_eq!(text, "hello");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn accept(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> {
        located(async move {
            let accept = || self.io.socket().accept();
            stream(self.io.registration().async_io(Interest::READABLE, accept).await?)
        })
    }

    /// Polls for a connection, like [`accept`](Self::accept). Only the task that polled last is woken.
    ///
    /// # Errors
    /// Those of [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let accept = || self.io.socket().accept();
        let accepted = ready!(self.io.registration().poll_io(cx, Direction::Read, |_| accept()))?;
        Poll::Ready(stream(accepted))
    }

    /// Returns the address that it listens on.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    ///
    /// # Examples
    /// ```
    /// use redd::net::TcpListener;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// assert_ne!(listener.local_addr()?.port(), 0, "the system has chosen one");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        addr::ip(self.io.socket().local_addr()?)
    }

    /// Returns how many hops the packets of accepted connections may make (`IP_TTL`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.ttl()
    }

    /// Sets how many hops the packets of accepted connections may make (`IP_TTL`).
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
    /// use redd::net::TcpListener;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// socket.set_nonblocking(true)?;
    /// let listener = TcpListener::from_std(socket)?;
    /// assert_ne!(listener.local_addr()?.port(), 0);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn from_std(socket: std::net::TcpListener) -> io::Result<Self> {
        Ok(Self { io: Source::of_socket(socket, Interest::READABLE)? })
    }

    /// Returns the socket of the standard library. It stays non-blocking: `set_nonblocking(false)` changes that.
    ///
    /// # Errors
    /// An error if epoll no longer knows the descriptor, because other code has closed it.
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        self.io.into_inner()
    }
}

/// Registers an accepted connection.
fn stream((socket, peer): (NewSocket, SockAddr)) -> io::Result<(TcpStream, SocketAddr)> {
    // A listener that was made from a descriptor of another family has peers of that family.
    let peer = peer.as_socket().ok_or_else(|| {
        io::Error::other(
            "a connection was accepted whose peer has no IP address: use the type of `net` that fits the socket",
        )
    })?;
    Ok((TcpStream::accepted(socket)?, peer))
}

impl TryFrom<std::net::TcpListener> for TcpListener {
    type Error = io::Error;

    /// Like [`from_std`](Self::from_std).
    fn try_from(socket: std::net::TcpListener) -> io::Result<Self> {
        Self::from_std(socket)
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.io.as_raw_fd()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}
