//! A socket that accepts connections.
//!
//! Called by user code.

use super::TcpStream;
use super::socket::TcpSocket;
use crate::net::addr::{self, ToSocketAddrs};
use crate::net::methods::names::*;
use std::net::SocketAddr;
use std::task::ready;

/// Connections that may wait to be accepted, for those who do not say it themselves; Tokio's figure.
const BACKLOG: u32 = 1024;

/// A TCP socket that accepts connections.
///
/// - Any number of tasks may [`accept`](Self::accept) at once; each connection goes to one of them.
/// - Dropping it closes the socket; connections that nobody has accepted are reset.
pub struct TcpListener {
    io: Source<std::net::TcpListener>,
}

impl TcpListener {
    /// Listens at `addr`. If it stands for several addresses, at the first that works.
    ///
    /// - Port 0 lets the system choose: see [`local_addr`](Self::local_addr).
    /// - Sets `SO_REUSEADDR`, so that a restarted server gets its port back at once, and lets 1024 connections wait.
    ///   [`TcpSocket`] sets other options.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// That of the last address: in use, not of this machine, not permitted; an address that is none.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        let addresses = addr::resolve_for_a_unit(&addr).await?;
        addr::first_success(addresses, |address| {
            let socket = TcpSocket::for_address(address)?;
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        })
    }

    accept_methods!(TcpStream, SocketAddr);

    system_methods! {
        /// The address it listens at.
        local_addr(self) -> SocketAddr = self.io.local_addr();
    }

    options! {
        "how many hops its packets may make (`IP_TTL`)",
            ttl / set_ttl: u32, self => self.io, ttl / set_ttl;
    }
}

/// A connection in the hands of the runtime.
fn stream((socket, peer): (Socket, SockAddr)) -> io::Result<(TcpStream, SocketAddr)> {
    // The system says of which family the peer is; a listener that was made of something else may have others.
    let peer = peer.as_socket().ok_or_else(|| {
        io::Error::other(
            "a connection was accepted whose peer has no IP address: use the type of `net` that fits the socket",
        )
    })?;
    Ok((TcpStream::accepted(socket)?, peer))
}

std_conversions!(TcpListener, std::net::TcpListener, Interest::READABLE);
