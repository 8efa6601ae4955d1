//! The halves of a [`UnixStream`] that own it together.
//!
//! Called by `UnixStream::into_split` and user code.

use super::{SocketAddr, UnixStream};
use crate::driver::readiness::ready::{Interest, Ready};
use crate::io::{AsyncRead, AsyncWrite, ReadBuf};
use crate::net::halves::{half_addresses, owned_halves, read_half, write_half};
use crate::primitives::Arc;
use bytes::BufMut;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};

use std::pin::Pin;
use std::task::{Context, Poll};

owned_halves!(UnixStream, SocketAddr);
