//! A TCP socket that is neither listening nor connected yet, so that options can be set first.
//!
//! Called by user code and by `listener`, `stream`.

#![expect(unsafe_code, reason = "`FromRawFd` is about raw descriptors")]

use super::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, IntoRawFd, RawFd};
use std::time::Duration;

/// A TCP socket to set options on before it [listens](Self::listen) or [connects](Self::connect).
///
/// - [`TcpListener::bind`] sets `SO_REUSEADDR`; this does not unless told.
///
/// # Examples
/// ```
/// use redd::net::TcpSocket;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let socket = TcpSocket::new_v4()?;
/// socket.set_reuseaddr(true)?;
/// socket.bind("127.0.0.1:0".parse().unwrap())?;
/// let listener = socket.listen(16)?;
/// assert_ne!(listener.local_addr()?.port(), 0);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct TcpSocket {
    socket: Socket,
}

impl TcpSocket {
    /// A socket for IPv4.
    ///
    /// # Errors
    /// When the process or the system has no descriptor left.
    pub fn new_v4() -> io::Result<Self> {
        Self::new(Domain::IPV4)
    }

    /// A socket for IPv6.
    ///
    /// # Errors
    /// When the process or the system has no descriptor left, or the system has no IPv6.
    pub fn new_v6() -> io::Result<Self> {
        Self::new(Domain::IPV6)
    }

    fn new(domain: Domain) -> io::Result<Self> {
        let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        Ok(Self { socket })
    }

    pub(super) fn for_address(address: SocketAddr) -> io::Result<Self> {
        Self::new(Domain::for_address(address))
    }

    /// Takes a socket of std, to set options on it that std does not have. **It must be non-blocking.**
    ///
    /// - For a socket that is connected already; [`connect`](Self::connect) on it is an error of the system.
    pub fn from_std_stream(stream: std::net::TcpStream) -> Self {
        Self { socket: stream.into() }
    }

    options! {
        "whether an idle connection is probed (`SO_KEEPALIVE`)",
            keepalive / set_keepalive: bool, self => self.socket, keepalive / set_keepalive;
        "whether its address may be used again while old connections fade out (`SO_REUSEADDR`)",
            reuseaddr / set_reuseaddr: bool, self => self.socket, reuse_address / set_reuse_address;
        "whether several sockets may listen at its address (`SO_REUSEPORT`)",
            reuseport / set_reuseport: bool, self => self.socket, reuse_port / set_reuse_port;
        "whether small writes are sent at once (`TCP_NODELAY`)",
            nodelay / set_nodelay: bool, self => self.socket, tcp_nodelay / set_tcp_nodelay;
        "how long dropping it blocks the thread until what was written is delivered (`SO_LINGER`); `None` delivers in \
         the background. Prefer [`set_zero_linger`](Self::set_zero_linger) or nothing: a blocked thread runs no tasks",
            linger / set_linger: Option<Duration>, self => self.socket, linger / set_linger;
    }

    ip_methods!(self => self.socket);

    system_methods! {
        /// Makes dropping it reset the connection, and throw away what was not delivered (`SO_LINGER` of zero).
        set_zero_linger(self) -> () = self.socket.set_linger(Some(Duration::ZERO));

        /// How many bytes may wait to be sent, the system's own overhead included (`SO_SNDBUF`; Linux doubles what was
        /// set).
        send_buffer_size(self) -> u32 = self.socket.send_buffer_size().map(saturate);

        /// Sets how many bytes may wait to be sent. The system keeps it within its bounds.
        set_send_buffer_size(self, bytes: u32) -> () = self.socket.set_send_buffer_size(bytes as usize);

        /// How many bytes may wait to be read, the system's own overhead included (`SO_RCVBUF`; Linux doubles what was
        /// set).
        recv_buffer_size(self) -> u32 = self.socket.recv_buffer_size().map(saturate);

        /// Sets how many bytes may wait to be read. The system keeps it within its bounds.
        set_recv_buffer_size(self, bytes: u32) -> () = self.socket.set_recv_buffer_size(bytes as usize);

        /// The address it is bound to.
        local_addr(self) -> SocketAddr = {
            let address = self.socket.local_addr()?;
            address.as_socket().ok_or_else(|| {
                io::Error::other(
                    "the socket has no IP address: it was made from a descriptor of another family; use the type that \
                     fits it",
                )
            })
        };

        /// Fetches an error that the system has noted on the socket (`SO_ERROR`), and unsets it.
        take_error(self) -> Option<io::Error> = self.socket.take_error();

        /// Gives it an address of this machine. Errors: in use, of the other family, not of this machine, not permitted.
        bind(self, addr: SocketAddr) -> () = self.socket.bind(&addr.into());
    }

    /// Connects to `addr`.
    ///
    /// # Cancel safety
    /// Dropping it closes the socket.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// Those of the system: refused, unreachable, timed out.
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect_socket(self.socket, addr.into()).await
    }

    /// Begins to accept connections, of which `backlog` may wait; the system has an upper bound.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// Those of the system.
    #[track_caller]
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        TcpListener::from_std(self.socket.into())
    }
}

fn saturate(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

socket_descriptor!(TcpSocket);
