//! The halves of a [`TcpStream`] that are borrowed from it.
//!
//! Called by `TcpStream::split` and user code.

use super::TcpStream;
use crate::driver::readiness::ready::{Interest, Ready};
use crate::io::{AsyncRead, AsyncWrite, ReadBuf};
use crate::net::halves::{borrowed_halves, half_addresses, peek_half, read_half, write_half};
use bytes::BufMut;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

borrowed_halves!(TcpStream, SocketAddr);
peek_half!(ReadHalf<'_>);
