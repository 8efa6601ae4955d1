//! New TCP sockets, without options.
//!
//! Called by `listener`, `socket` and `stream`.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;

/// Opens a non-blocking TCP socket.
pub(super) fn open(domain: Domain) -> io::Result<Socket> {
    Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))
}
