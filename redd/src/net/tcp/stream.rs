//! A TCP connection.
//!
//! Called by user code.

use super::socket::TcpSocket;
use super::split::{self, ReadHalf, WriteHalf};
use super::split_owned::{self, OwnedReadHalf, OwnedWriteHalf};
use crate::driver::Source;
use crate::driver::readiness::ready::{Interest, Ready};
use crate::driver::readiness::source::Short;
use crate::io::{AsyncRead, AsyncWrite, ReadBuf};
use crate::net::addr::{self, ToSocketAddrs};
use crate::net::fill;
use crate::net::methods::{
    descriptor, interest_methods, operation_methods, readable_methods, std_conversions, stream_traits,
    try_read_methods, try_write_methods, writable_methods,
};
use crate::sys;
use crate::sys::faults::Call;
use crate::sys::net::Fill;
use bytes::BufMut;
use socket2::{SockRef, Socket};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A TCP connection.
///
/// - Read and write it with the methods of [`AsyncReadExt`](crate::io::AsyncReadExt) and
///   [`AsyncWriteExt`](crate::io::AsyncWriteExt). It has no buffer: what was written is with the system.
/// - Two tasks share it as halves: [`split`](Self::split), [`into_split`](Self::into_split).
/// - Dropping it [closes](crate::net#closing) the connection.
///
/// # Examples
/// ```
/// use redd::io::{AsyncReadExt, AsyncWriteExt};
/// use redd::net::{TcpListener, TcpStream};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let mut client = TcpStream::connect(listener.local_addr()?).await?;
/// let (mut server, _) = listener.accept().await?;
/// client.write_all(b"all of it").await?;
/// client.shutdown().await?;
/// let mut text = String::new();
/// server.read_to_string(&mut text).await?;
/// assert_eq!(text, "all of it");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct TcpStream {
    io: Source<std::net::TcpStream>,
}

impl TcpStream {
    /// Connects to `addr`. If it stands for several addresses, they are tried one after the other.
    ///
    /// # Cancel safety
    /// Dropping it closes the socket.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// That of the last address: refused, unreachable, timed out; an address that is none.
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        let mut last = None;
        for address in addr::resolve(&addr).await? {
            let attempt = async { TcpSocket::for_address(address)?.connect(address).await };
            match attempt.await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(addr::no_address))
    }

    pub(super) async fn connect_socket(socket: Socket, address: SocketAddr) -> io::Result<Self> {
        sys::net::connect(&socket, &address.into())?;
        // Watched only now: before it connects, a socket looks hung up.
        let stream = Self::from_socket(socket)?;
        stream.writable().await?;
        match stream.take_error()? {
            None => Ok(stream),
            Some(error) => Err(error),
        }
    }

    /// A stream that a listener has accepted: taken for readable until a read finds nothing, as in Tokio, for the first
    /// request is mostly there already.
    pub(super) fn accepted(socket: Socket) -> io::Result<Self> {
        let stream = Self::from_socket(socket)?;
        stream.io.registration().assume(Ready::READABLE | Ready::WRITABLE);
        Ok(stream)
    }

    #[track_caller]
    pub(super) fn from_socket(socket: Socket) -> io::Result<Self> {
        Self::from_std(socket.into())
    }

    interest_methods!();
    operation_methods!();
    readable_methods!(poll_read_ready);
    writable_methods!(poll_write_ready);
    try_read_methods!();
    try_write_methods!();

    /// Receives what is there and leaves it where it is, so that the next read gets the same bytes.
    ///
    /// - `Ok(0)`: the other side will send no more, or `buf` is empty.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    ///
    /// # Errors
    /// Those of the system.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let peek = || self.io.peek(buf);
        self.io.registration().async_io(Interest::READABLE, peek).await
    }

    /// As [`peek`](Self::peek). Only the task that polled last is woken.
    ///
    /// # Errors
    /// As [`peek`](Self::peek).
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        self.io.registration().poll_read_io(cx, || {
            let (len, _) = fill::into_read_buf(&self.io, buf, Fill::Peek)?;
            Ok(len)
        })
    }

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
        self.io.local_addr()
    }

    /// The address of the other side.
    ///
    /// # Errors
    /// Those of the system, also when the other side has reset the connection.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.peer_addr()
    }

    /// Fetches an error that the system has noted on the socket (`SO_ERROR`), and unsets it.
    ///
    /// # Errors
    /// When the system does not answer.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.take_error()
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// Those of the system.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.io.nodelay()
    }

    /// Sets whether small writes are sent at once, or gathered until the other side has acknowledged earlier ones.
    ///
    /// # Errors
    /// Those of the system.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.io.set_nodelay(nodelay)
    }

    /// Whether what comes in is acknowledged at once (`TCP_QUICKACK`).
    ///
    /// # Errors
    /// Those of the system.
    pub fn quickack(&self) -> io::Result<bool> {
        SockRef::from(self).tcp_quickack()
    }

    /// Sets whether what comes in is acknowledged at once. The system changes it back when it sees fit.
    ///
    /// # Errors
    /// Those of the system.
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        SockRef::from(self).set_tcp_quickack(quickack)
    }

    /// How long dropping it blocks the thread until what was written is delivered (`SO_LINGER`).
    ///
    /// # Errors
    /// Those of the system.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        SockRef::from(self).linger()
    }

    /// Sets how long dropping it blocks the thread until what was written is delivered; `None`, which is the default,
    /// delivers in the background.
    ///
    /// - A blocked thread runs no tasks: prefer `None`, or [`set_zero_linger`](Self::set_zero_linger).
    ///
    /// # Errors
    /// Those of the system.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        SockRef::from(self).set_linger(linger)
    }

    /// Makes dropping it reset the connection, and throw away what was not delivered. Does not block.
    ///
    /// # Errors
    /// Those of the system.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// How many hops its packets may make (`IP_TTL`).
    ///
    /// # Errors
    /// Those of the system.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.ttl()
    }

    /// Sets how many hops its packets may make (`IP_TTL`).
    ///
    /// # Errors
    /// Those of the system.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io.set_ttl(ttl)
    }
}

std_conversions!(TcpStream, std::net::TcpStream, Interest::READABLE | Interest::WRITABLE);
// Fewer bytes than asked for: there are no more now.
stream_traits!(TcpStream, Short::WouldBlock);
