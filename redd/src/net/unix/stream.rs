//! A connection of Unix sockets.
//!
//! Called by user code.

use super::socket::UnixSocket;
use super::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use super::{SocketAddr, UCred};
use crate::net::methods::names::*;
use socket2::{Domain, Type};
use std::os::unix::net;
use std::path::Path;

/// A connection of Unix sockets.
///
/// - Read and write it with the methods of [`AsyncReadExt`](crate::io::AsyncReadExt) and
///   [`AsyncWriteExt`](crate::io::AsyncWriteExt).
/// - Two tasks share it as halves: [`split`](Self::split), [`into_split`](Self::into_split).
///
/// # Examples
/// ```
/// use redd::io::{AsyncReadExt, AsyncWriteExt};
/// use redd::net::UnixStream;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (mut left, mut right) = UnixStream::pair()?;
/// left.write_all(b"hello").await?;
/// let mut word = [0; 5];
/// right.read_exact(&mut word).await?;
/// assert_eq!(&word, b"hello");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct UnixStream {
    pub(super) io: Source<net::UnixStream>,
}

impl UnixStream {
    /// Connects to the listener at a path or an [abstract name](crate::net::unix).
    ///
    /// # Cancel safety
    /// Dropping it closes the socket.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// Those of the system. [`WouldBlock`](io::ErrorKind::WouldBlock) means that the listener's queue is full: try again
    /// after a pause.
    pub async fn connect<P>(path: P) -> io::Result<Self>
    where
        P: AsRef<Path>,
    {
        UnixSocket::new_stream()?.connect(path).await
    }

    /// As [`connect`](Self::connect), to an address.
    ///
    /// # Cancel safety
    /// Dropping it closes the socket.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_addr(addr: &SocketAddr) -> io::Result<Self> {
        UnixSocket::new_stream()?.connect_addr(addr).await
    }

    pair_method!(Type::STREAM);
    interest_methods!(self => self.io);
    operation_methods!();
    direction_methods!(readable, "reading", READABLE, self => self.io, poll_read_ready: Read);
    direction_methods!(writable, "writing", WRITABLE, self => self.io, poll_write_ready: Write);
    try_read_methods!(self => self.io);
    try_write_methods!(self => self.io);

    system_methods! {
        /// The address of this side.
        local_addr(self) -> SocketAddr = self.io.local_addr().map(SocketAddr::from);

        /// The address of the other side.
        peer_addr(self) -> SocketAddr = self.io.peer_addr().map(SocketAddr::from);

        /// Process, user and group of the other side, as they were when it connected or called [`pair`](Self::pair).
        peer_cred(self) -> UCred = UCred::of_peer(self.as_fd());

        /// Fetches an error that the system has noted on the socket (`SO_ERROR`), and unsets it.
        take_error(self) -> Option<io::Error> = self.io.take_error();
    }
}

std_conversions!(UnixStream, net::UnixStream, Interest::READABLE | Interest::WRITABLE);
// Fewer bytes than asked for may also be a stop at ancillary data.
stream_traits!(UnixStream, Short::Nothing);
