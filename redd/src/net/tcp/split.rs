//! The halves of a [`TcpStream`]: borrowed from it, and owning it together.
//!
//! Called by `TcpStream::split`, `TcpStream::into_split` and user code.

use super::TcpStream;
use crate::net::methods::names::*;
use crate::primitives::Arc;
use std::net::SocketAddr;

borrowed_halves!(TcpStream, SocketAddr);
owned_halves!(TcpStream, SocketAddr);
peek_half!(ReadHalf<'_>);
peek_half!(OwnedReadHalf);
