//! A Unix socket that accepts connections.
//!
//! Called by user code.

use super::socket::UnixSocket;
use super::{SocketAddr, UnixStream};
use crate::driver::Source;
use crate::driver::readiness::ready::Interest;
use crate::net::methods::{descriptor, std_conversions};
use crate::sys;
use socket2::{SockAddr, Socket};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net;
use std::path::Path;
use std::task::{Context, Poll, ready};

/// Connections that may wait to be accepted, for those who do not say it themselves; Tokio's figure for TCP.
const BACKLOG: u32 = 1024;

/// A Unix socket that accepts connections.
///
/// - Dropping it closes the socket, and leaves the file at its path.
///
/// # Examples
/// ```
/// use redd::net::{UnixListener, UnixStream};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let name = format!("\0redd-listener-example-{}", std::process::id());
/// # let path = &name;
/// let listener = UnixListener::bind(path)?;
/// let client = UnixStream::connect(path).await?;
/// let (server, peer) = listener.accept().await?;
/// assert!(peer.is_unnamed());
/// assert_eq!(server.peer_cred()?.uid(), client.peer_cred()?.uid());
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct UnixListener {
    io: Source<net::UnixListener>,
}

impl UnixListener {
    /// Listens at a path, where it makes a file; or at an [abstract name](crate::net::unix).
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if the file exists, also one that an earlier listener left behind;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a path that is too long.
    #[track_caller]
    pub fn bind<P>(path: P) -> io::Result<Self>
    where
        P: AsRef<Path>,
    {
        let socket = UnixSocket::new_stream()?;
        socket.bind(path)?;
        socket.listen(BACKLOG)
    }

    /// As [`bind`](Self::bind), at an address.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    #[track_caller]
    pub fn bind_addr(addr: &SocketAddr) -> io::Result<Self> {
        let socket = UnixSocket::new_stream()?;
        socket.bind_addr(addr)?;
        socket.listen(BACKLOG)
    }

    /// Waits for a connection, and says who has connected: mostly an unnamed address.
    ///
    /// - An error is about one connection or about the [descriptors](crate::net#out-of-descriptors) of the process.
    ///   The listener goes on.
    ///
    /// # Cancel safety
    /// No connection is lost when it is dropped.
    ///
    /// # Errors
    /// Those of the system, and when the runtime has shut down.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let accept = || sys::net::accept(self.as_fd());
        stream(self.io.registration().async_io(Interest::READABLE, accept).await?)
    }

    /// As [`accept`](Self::accept). Only the task that polled last is woken.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        let accept = || sys::net::accept(self.as_fd());
        let accepted = ready!(self.io.registration().poll_read_io(cx, accept))?;
        Poll::Ready(stream(accepted))
    }

    /// The address it listens at.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr().map(SocketAddr::from)
    }

    /// Fetches an error that the system has noted on the socket (`SO_ERROR`), and unsets it.
    ///
    /// # Errors
    /// When the system does not answer.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.take_error()
    }
}

/// A connection in the hands of the runtime.
fn stream((socket, peer): (Socket, SockAddr)) -> io::Result<(UnixStream, SocketAddr)> {
    let peer = SocketAddr::from_system(&peer)?;
    Ok((UnixStream::accepted(socket)?, peer))
}

std_conversions!(UnixListener, net::UnixListener, Interest::READABLE);
