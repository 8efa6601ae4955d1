//! New Unix sockets, without an address.
//!
//! Called by `datagram`, `listener`, `socket` and `stream`.

use crate::driver::operations::NewSocket;
use socket2::{Domain, Type};
use std::io;

/// Opens a non-blocking Unix socket.
pub(super) fn open(ty: Type) -> io::Result<NewSocket> {
    NewSocket::open(Domain::UNIX, ty, None)
}
