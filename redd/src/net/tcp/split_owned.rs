//! The halves of a [`TcpStream`] that own it together.
//!
//! Called by `TcpStream::into_split` and user code.

use super::TcpStream;
use crate::driver::readiness::ready::{Interest, Ready};
use crate::io::{AsyncRead, AsyncWrite, ReadBuf};
use crate::net::halves::{half_addresses, owned_halves, peek_half, read_half, write_half};
use crate::primitives::Arc;
use bytes::BufMut;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

owned_halves!(TcpStream, SocketAddr);
peek_half!(OwnedReadHalf);
