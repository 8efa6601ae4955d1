//! A TCP connection.
//!
//! Called by user code.

use super::socket::TcpSocket;
use super::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::net::addr::{self, ToSocketAddrs};
use crate::net::methods::names::*;
use socket2::SockRef;
use std::net::SocketAddr;
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
    pub(super) io: Source<std::net::TcpStream>,
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

    interest_methods!(self => self.io);
    operation_methods!();
    direction_methods!(readable, "reading", READABLE, self => self.io, poll_read_ready: Read);
    direction_methods!(writable, "writing", WRITABLE, self => self.io, poll_write_ready: Write);
    try_read_methods!(self => self.io);
    try_write_methods!(self => self.io);

    /// Receives what is there and leaves it where it is, so that the next read gets the same bytes.
    ///
    /// - `Ok(0)`: the other side will send no more, or `buf` is empty.
    ///
    /// # Errors
    /// Those of the system.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let peek = || self.io.peek(buf);
        self.io.registration().async_io(Interest::READABLE, peek).await
    }

    poll_fill_method!(poll_peek, peek, Peek, |(len, _)| Ok(len) => usize);

    system_methods! {
        /// The address of this side.
        local_addr(self) -> SocketAddr = self.io.local_addr();

        /// The address of the other side. An error also when that has reset the connection.
        peer_addr(self) -> SocketAddr = self.io.peer_addr();

        /// Fetches an error that the system has noted on the socket (`SO_ERROR`), and unsets it.
        take_error(self) -> Option<io::Error> = self.io.take_error();

        /// Makes dropping it reset the connection, and throw away what was not delivered. Does not block.
        set_zero_linger(self) -> () = self.set_linger(Some(Duration::ZERO));
    }

    options! {
        "whether small writes are sent at once, or gathered until the other side has acknowledged earlier ones \
         (`TCP_NODELAY`)",
            nodelay / set_nodelay: bool, self => self.io, nodelay / set_nodelay;
        "whether what comes in is acknowledged at once (`TCP_QUICKACK`). The system changes it back when it sees fit",
            quickack / set_quickack: bool, self => SockRef::from(self), tcp_quickack / set_tcp_quickack;
        "how long dropping it blocks the thread until what was written is delivered (`SO_LINGER`); `None`, the default, \
         delivers in the background. A blocked thread runs no tasks: prefer `None`, or \
         [`set_zero_linger`](Self::set_zero_linger)",
            linger / set_linger: Option<Duration>, self => SockRef::from(self), linger / set_linger;
        "how many hops its packets may make (`IP_TTL`)",
            ttl / set_ttl: u32, self => self.io, ttl / set_ttl;
    }
}

std_conversions!(TcpStream, std::net::TcpStream, Interest::READABLE | Interest::WRITABLE);
// Fewer bytes than asked for: there are no more now.
stream_traits!(TcpStream, Short::SocketWouldBlock);
