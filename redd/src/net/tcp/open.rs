//! New TCP sockets, without options.
//!
//! Called by `listener`, `socket` and `stream`.

use crate::driver::operations::NewSocket;
use socket2::{Domain, Protocol, Type};
use std::io;

/// Opens a non-blocking TCP socket.
pub(super) fn open(domain: Domain) -> io::Result<NewSocket> {
    NewSocket::open(domain, Type::STREAM, Some(Protocol::TCP))
}
