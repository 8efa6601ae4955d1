//! The halves of a [`TcpStream`]: borrowed from it, and owning it together.
//!
//! Called by `TcpStream::split`, `TcpStream::into_split` and user code.

use super::TcpStream;
use crate::driver::readiness::ready::{Interest, Ready};
use crate::io::{AsyncRead, AsyncWrite, ReadBuf};
use crate::net::fill;
use crate::primitives::Arc;
use crate::sys;
use crate::sys::faults::Call;
use crate::sys::net::Fill;
use bytes::BufMut;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

borrowed_halves!(TcpStream, SocketAddr);
owned_halves!(TcpStream, SocketAddr);
peek_half!(ReadHalf<'_>);
peek_half!(OwnedReadHalf);
