//! A Unix socket that accepts connections.
//!
//! Called by user code.

use super::socket::UnixSocket;
use super::{SocketAddr, UnixStream};
use crate::net::methods::names::*;
use std::os::unix::net;
use std::path::Path;
use std::task::ready;

/// Connections that may wait to be accepted, for those who do not say it themselves; Tokio's figure for TCP.
const BACKLOG: u32 = 1024;

/// A Unix socket that accepts connections.
///
/// - Those who connect to it mostly have an unnamed address.
/// - Dropping it closes the socket, and leaves the file at its path.
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

    accept_methods!(UnixStream, SocketAddr);

    system_methods! {
        /// The address it listens at.
        local_addr(self) -> SocketAddr = self.io.local_addr().map(SocketAddr::from);

        /// Fetches an error that the system has noted on the socket (`SO_ERROR`), and unsets it.
        take_error(self) -> Option<io::Error> = self.io.take_error();
    }
}

/// A connection in the hands of the runtime.
fn stream((socket, peer): (Socket, SockAddr)) -> io::Result<(UnixStream, SocketAddr)> {
    let peer = SocketAddr::from_system(&peer)?;
    Ok((UnixStream::accepted(socket)?, peer))
}

std_conversions!(UnixListener, net::UnixListener, Interest::READABLE);
