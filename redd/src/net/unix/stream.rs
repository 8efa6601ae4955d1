//! A connection of Unix sockets.
//!
//! Called by user code.

use super::socket::UnixSocket;
use super::split::{self, ReadHalf, WriteHalf};
use super::split_owned::{self, OwnedReadHalf, OwnedWriteHalf};
use super::{SocketAddr, UCred};
use crate::driver::Source;
use crate::driver::readiness::ready::{Interest, Ready};
use crate::driver::readiness::source::Short;
use crate::io::{AsyncRead, AsyncWrite, ReadBuf};
use crate::net::fill;
use crate::net::methods::{
    descriptor, interest_methods, operation_methods, readable_methods, std_conversions, stream_traits,
    try_read_methods, try_write_methods, writable_methods,
};
use crate::sys;
use crate::sys::faults::Call;
use crate::sys::net::Fill;
use bytes::BufMut;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

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
    io: Source<net::UnixStream>,
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

    pub(super) async fn connect_socket(socket: Socket, address: SockAddr) -> io::Result<Self> {
        sys::net::connect(&socket, &address)?;
        // Watched only now: before it connects, a socket looks hung up.
        let stream = Self::from_std(socket.into())?;
        stream.writable().await?;
        match stream.take_error()? {
            None => Ok(stream),
            Some(error) => Err(error),
        }
    }

    /// A stream that a listener has accepted: taken for readable until a read finds nothing, as in Tokio.
    pub(super) fn accepted(socket: Socket) -> io::Result<Self> {
        let stream = Self::from_std(socket.into())?;
        stream.io.registration().assume(Ready::READABLE | Ready::WRITABLE);
        Ok(stream)
    }

    /// Two streams that are connected to each other.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// When the process or the system has no descriptor left.
    #[track_caller]
    pub fn pair() -> io::Result<(Self, Self)> {
        let (left, right) = Socket::pair(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        let (left, right) = (Self::from_std(left.into())?, Self::from_std(right.into())?);
        // A fresh pair has room, and programs may rely on it before the first event, as in Tokio.
        left.io.registration().assume(Ready::WRITABLE);
        right.io.registration().assume(Ready::WRITABLE);
        Ok((left, right))
    }

    interest_methods!();
    operation_methods!();
    readable_methods!(poll_read_ready);
    writable_methods!(poll_write_ready);
    try_read_methods!();
    try_write_methods!();

    /// Two halves that borrow the stream: for two futures in one task. Costs nothing.
    pub fn split<'a>(&'a mut self) -> (ReadHalf<'a>, WriteHalf<'a>) {
        split::split(self)
    }

    /// Two halves that own the stream together: for two tasks. Costs an allocation.
    ///
    /// - Dropping the [`OwnedWriteHalf`] shuts the writing direction down.
    /// - [`reunite`](OwnedReadHalf::reunite) puts them together again.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split_owned::split_owned(self)
    }

    /// The address of this side.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr().map(SocketAddr::from)
    }

    /// The address of the other side.
    ///
    /// # Errors
    /// Those of the system.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.peer_addr().map(SocketAddr::from)
    }

    /// Process, user and group of the other side, as they were when it connected or called
    /// [`pair`](Self::pair).
    ///
    /// # Errors
    /// Those of the system.
    pub fn peer_cred(&self) -> io::Result<UCred> {
        UCred::of_peer(self.as_fd())
    }

    /// Fetches an error that the system has noted on the socket (`SO_ERROR`), and unsets it.
    ///
    /// # Errors
    /// When the system does not answer.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.take_error()
    }
}

std_conversions!(UnixStream, net::UnixStream, Interest::READABLE | Interest::WRITABLE);
// Fewer bytes than asked for may also be a stop at ancillary data.
stream_traits!(UnixStream, Short::Nothing);
