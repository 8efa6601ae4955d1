//! The halves of a [`UnixStream`]: borrowed from it, and owning it together.
//!
//! Called by `UnixStream::split`, `UnixStream::into_split` and user code.

use super::{SocketAddr, UnixStream};
use crate::net::methods::names::*;
use crate::primitives::Arc;

borrowed_halves!(UnixStream, SocketAddr);
owned_halves!(UnixStream, SocketAddr);
