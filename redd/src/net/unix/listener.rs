//! A Unix socket that accepts connections.
//!
//! Called by user code.

use super::addr::{from_path, to_system};
use super::open::open;
use super::{SocketAddr, UnixStream};
use crate::driver::Source;
use crate::driver::operations::NewSocket;
use crate::driver::readiness::ready::Interest;
use crate::driver::readiness::state::Direction;
use crate::observe::waiting::located;
use socket2::{SockAddr, Type};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net;
use std::path::Path;
use std::task::{Context, Poll, ready};

/// How many connections may wait to be accepted, unless `UnixSocket::listen` sets another limit. Tokio's value for TCP.
const BACKLOG: u32 = 1024;

/// A Unix socket that accepts connections.
///
/// - Clients mostly have an unnamed address.
/// - Dropping it closes the socket, and leaves the file at its path.
///
/// # Examples
/// ```
/// use redd::net::{UnixListener, UnixStream};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("socket");
/// let listener = UnixListener::bind(&path)?;
/// let client = UnixStream::connect(&path).await?;
/// let (server, address) = listener.accept().await?;
/// assert!(address.is_unnamed());
/// drop((client, server, listener));
/// assert!(path.exists(), "remove it before you bind again");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct UnixListener {
    io: Source<net::UnixListener>,
}

impl UnixListener {
    /// Listens on a path, where it creates a file, or on an [abstract name](crate::net::unix).
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if the file exists, even if an earlier listener left it behind;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a path that is too long.
    #[track_caller]
    pub fn bind<P>(path: P) -> io::Result<Self>
    where
        P: AsRef<Path>,
    {
        let socket = open(Type::STREAM)?;
        socket.bind(&to_system(&from_path(path.as_ref())?)?)?;
        Self::listen(socket, BACKLOG)
    }

    /// Like [`bind`](Self::bind), for an address.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// Those of [`bind`](Self::bind).
    #[track_caller]
    pub fn bind_addr(addr: &SocketAddr) -> io::Result<Self> {
        let socket = open(Type::STREAM)?;
        socket.bind(&to_system(addr.as_std())?)?;
        Self::listen(socket, BACKLOG)
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
    /// use redd::io::{AsyncReadExt, AsyncWriteExt};
    /// use redd::net::{UnixListener, UnixStream};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let listener = UnixListener::bind("\0redd-example-accept")?;
    /// let mut client = UnixStream::connect("\0redd-example-accept").await?;
    /// let (mut server, _) = listener.accept().await?;
    /// client.write_all(b"hello").await?;
    /// let mut word = [0; 5];
    /// server.read_exact(&mut word).await?;
    /// assert_eq!(&word, b"hello");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn accept(&self) -> impl Future<Output = io::Result<(UnixStream, SocketAddr)>> {
        located(async move {
            let accept = || self.io.socket().accept();
            stream(self.io.registration().async_io(Interest::READABLE, accept).await?)
        })
    }

    /// Polls for a connection, like [`accept`](Self::accept). Only the task that polled last is woken.
    ///
    /// # Errors
    /// Those of [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        let accept = || self.io.socket().accept();
        let accepted = ready!(self.io.registration().poll_io(cx, Direction::Read, |_| accept()))?;
        Poll::Ready(stream(accepted))
    }

    /// Returns the address that it listens on.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        SocketAddr::from_system(&self.io.socket().local_addr()?)
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
    /// use redd::net::UnixListener;
    /// use std::os::linux::net::SocketAddrExt;
    /// use std::os::unix::net::SocketAddr;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let address = SocketAddr::from_abstract_name("redd-example-from-std")?;
    /// let socket = std::os::unix::net::UnixListener::bind_addr(&address)?;
    /// socket.set_nonblocking(true)?;
    /// let listener = UnixListener::from_std(socket)?;
    /// assert_eq!(listener.local_addr()?.as_abstract_name(), Some(&b"redd-example-from-std"[..]));
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn from_std(socket: net::UnixListener) -> io::Result<Self> {
        Ok(Self { io: Source::of_socket(socket, Interest::READABLE)? })
    }

    /// Returns the socket of the standard library. It stays non-blocking: `set_nonblocking(false)` changes that.
    ///
    /// # Errors
    /// An error if epoll no longer knows the descriptor, because other code has closed it.
    pub fn into_std(self) -> io::Result<net::UnixListener> {
        self.io.into_inner()
    }
}

/// Registers an accepted connection.
fn stream((socket, peer): (NewSocket, SockAddr)) -> io::Result<(UnixStream, SocketAddr)> {
    let peer = SocketAddr::from_system(&peer)?;
    Ok((UnixStream::accepted(socket)?, peer))
}

impl TryFrom<net::UnixListener> for UnixListener {
    type Error = io::Error;

    /// Like [`from_std`](Self::from_std).
    fn try_from(socket: net::UnixListener) -> io::Result<Self> {
        Self::from_std(socket)
    }
}

impl AsFd for UnixListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl AsRawFd for UnixListener {
    fn as_raw_fd(&self) -> RawFd {
        self.io.as_raw_fd()
    }
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}
