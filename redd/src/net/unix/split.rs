//! The halves of a [`UnixStream`]: borrowed from it, and owning it together.
//!
//! Called by `UnixStream::split`, `UnixStream::into_split` and user code.

use super::{SocketAddr, UnixStream};
use crate::driver::readiness::ready::{Interest, Ready};
use crate::io::{AsyncRead, AsyncWrite, ReadBuf};
use crate::net::fill;
use crate::primitives::Arc;
use crate::sys;
use crate::sys::faults::Call;
use crate::sys::net::Fill;
use bytes::BufMut;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

borrowed_halves!(UnixStream, SocketAddr);
owned_halves!(UnixStream, SocketAddr);
