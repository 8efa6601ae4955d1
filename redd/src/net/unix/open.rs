//! New Unix sockets, without an address.
//!
//! Called by `datagram`, `listener`, `socket` and `stream`.

use socket2::{Domain, Socket, Type};
use std::io;

/// Opens a non-blocking Unix socket.
pub(super) fn open(ty: Type) -> io::Result<Socket> {
    Socket::new(Domain::UNIX, ty.nonblocking(), None)
}
