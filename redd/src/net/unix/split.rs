//! The halves of a [`UnixStream`] that are borrowed from it.
//!
//! Called by `UnixStream::split` and user code.

use super::{SocketAddr, UnixStream};
use crate::driver::readiness::ready::{Interest, Ready};
use crate::io::{AsyncRead, AsyncWrite, ReadBuf};
use crate::net::halves::{borrowed_halves, half_addresses, read_half, write_half};
use bytes::BufMut;
use std::io::{self, IoSlice, IoSliceMut};

use std::pin::Pin;
use std::task::{Context, Poll};

borrowed_halves!(UnixStream, SocketAddr);
