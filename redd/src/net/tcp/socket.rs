//! A TCP socket that is neither listening nor connected yet, so that options can be set first.
//!
//! Called by user code and by `listener`, `stream`.

#![expect(unsafe_code, reason = "`FromRawFd` is about raw descriptors")]

use super::{TcpListener, TcpStream};
use crate::net::methods::socket_descriptor;
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, RawFd};
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

/// Pairs of a getter and a setter that socket2 has under (almost) the same names.
macro_rules! options {
    ($($what:literal, $get:ident / $set:ident: $T:ty, $inner_get:ident / $inner_set:ident;)*) => {$(
        #[doc = concat!($what, ".")]
        ///
        /// # Errors
        /// Those of the system.
        pub fn $get(&self) -> io::Result<$T> {
            self.socket.$inner_get()
        }

        #[doc = concat!("Sets: ", $what, ".")]
        ///
        /// # Errors
        /// Those of the system.
        pub fn $set(&self, value: $T) -> io::Result<()> {
            self.socket.$inner_set(value)
        }
    )*};
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
            keepalive / set_keepalive: bool, keepalive / set_keepalive;
        "whether its address may be used again while old connections fade out (`SO_REUSEADDR`)",
            reuseaddr / set_reuseaddr: bool, reuse_address / set_reuse_address;
        "whether several sockets may listen at its address (`SO_REUSEPORT`)",
            reuseport / set_reuseport: bool, reuse_port / set_reuse_port;
        "whether small writes are sent at once (`TCP_NODELAY`)",
            nodelay / set_nodelay: bool, tcp_nodelay / set_tcp_nodelay;
        "how long dropping it blocks the thread until what was written is delivered (`SO_LINGER`); `None` delivers in \
         the background. Prefer [`set_zero_linger`](Self::set_zero_linger) or nothing: a blocked thread runs no tasks",
            linger / set_linger: Option<Duration>, linger / set_linger;
        "the type of service of IPv4 packets (`IP_TOS`)",
            tos_v4 / set_tos_v4: u32, tos_v4 / set_tos_v4;
        "the traffic class of IPv6 packets (`IPV6_TCLASS`)",
            tclass_v6 / set_tclass_v6: u32, tclass_v6 / set_tclass_v6;
    }

    /// Makes dropping it reset the connection, and throw away what was not delivered (`SO_LINGER` of zero).
    ///
    /// # Errors
    /// Those of the system.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.socket.set_linger(Some(Duration::ZERO))
    }

    /// The name of [`tos_v4`](Self::tos_v4) in earlier versions of Tokio.
    #[doc(hidden)]
    #[deprecated(note = "it is about IPv4 only: call `tos_v4`")]
    pub fn tos(&self) -> io::Result<u32> {
        self.tos_v4()
    }

    /// The name of [`set_tos_v4`](Self::set_tos_v4) in earlier versions of Tokio.
    #[doc(hidden)]
    #[deprecated(note = "it is about IPv4 only: call `set_tos_v4`")]
    pub fn set_tos(&self, tos: u32) -> io::Result<()> {
        self.set_tos_v4(tos)
    }

    /// How many bytes may wait to be sent, the system's own overhead included (`SO_SNDBUF`; Linux doubles what was set).
    ///
    /// # Errors
    /// Those of the system.
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        self.socket.send_buffer_size().map(saturate)
    }

    /// Sets how many bytes may wait to be sent. The system keeps it within its bounds.
    ///
    /// # Errors
    /// Those of the system.
    pub fn set_send_buffer_size(&self, bytes: u32) -> io::Result<()> {
        self.socket.set_send_buffer_size(bytes as usize)
    }

    /// How many bytes may wait to be read, the system's own overhead included (`SO_RCVBUF`; Linux doubles what was set).
    ///
    /// # Errors
    /// Those of the system.
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        self.socket.recv_buffer_size().map(saturate)
    }

    /// Sets how many bytes may wait to be read. The system keeps it within its bounds.
    ///
    /// # Errors
    /// Those of the system.
    pub fn set_recv_buffer_size(&self, bytes: u32) -> io::Result<()> {
        self.socket.set_recv_buffer_size(bytes as usize)
    }

    /// The network device that it is bound to (`SO_BINDTODEVICE`).
    ///
    /// # Errors
    /// Those of the system.
    pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
        self.socket.device()
    }

    /// Binds it to a network device by name, or to none. May need a privilege.
    ///
    /// # Errors
    /// Those of the system.
    pub fn bind_device(&self, interface: Option<&[u8]>) -> io::Result<()> {
        self.socket.bind_device(interface)
    }

    /// The address it is bound to.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let address = self.socket.local_addr()?;
        address.as_socket().ok_or_else(|| {
            io::Error::other(
                "the socket has no IP address: it was made from a descriptor of another family; use the type that fits it",
            )
        })
    }

    /// Fetches an error that the system has noted on the socket (`SO_ERROR`), and unsets it.
    ///
    /// # Errors
    /// When the system does not answer.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// Gives it an address of this machine.
    ///
    /// # Errors
    /// Those of the system: in use, of the other family, not of this machine, not permitted.
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        self.socket.bind(&addr.into())
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
        TcpStream::connect_socket(self.socket, addr).await
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

impl FromRawFd for TcpSocket {
    /// Takes a socket over. It must be non-blocking.
    ///
    /// # Safety
    /// `fd` is an open socket that nobody else closes.
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        // SAFETY: the caller promises what `Socket` needs.
        let socket = unsafe { Socket::from_raw_fd(fd) };
        Self { socket }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_reads_back_as_it_was_set() {
        let socket = TcpSocket::new_v4().expect("descriptors left");
        for is_on in [true, false] {
            socket.set_keepalive(is_on).expect("an option");
            socket.set_reuseaddr(is_on).expect("an option");
            socket.set_reuseport(is_on).expect("an option");
            socket.set_nodelay(is_on).expect("an option");
            assert_eq!(socket.keepalive().expect("an option"), is_on);
            assert_eq!(socket.reuseaddr().expect("an option"), is_on);
            assert_eq!(socket.reuseport().expect("an option"), is_on);
            assert_eq!(socket.nodelay().expect("an option"), is_on);
        }
        socket.set_linger(Some(Duration::from_secs(7))).expect("an option");
        assert_eq!(socket.linger().expect("an option"), Some(Duration::from_secs(7)));
        socket.set_zero_linger().expect("an option");
        assert_eq!(socket.linger().expect("an option"), Some(Duration::ZERO));
        socket.set_linger(None).expect("an option");
        assert_eq!(socket.linger().expect("an option"), None);
        socket.set_tos_v4(0x10).expect("an option");
        assert_eq!(socket.tos_v4().expect("an option"), 0x10);
        socket.set_send_buffer_size(32 * 1024).expect("an option");
        assert!(socket.send_buffer_size().expect("an option") >= 32 * 1024);
        socket.set_recv_buffer_size(32 * 1024).expect("an option");
        assert!(socket.recv_buffer_size().expect("an option") >= 32 * 1024);
        assert!(socket.take_error().expect("answers").is_none());
        assert_eq!(socket.device().expect("answers"), None);
    }

    #[test]
    fn a_socket_goes_through_its_raw_descriptor_and_keeps_its_address() {
        let socket = TcpSocket::new_v4().expect("descriptors left");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let address = socket.local_addr().expect("is bound");
        let std = std::net::TcpStream::from(std::os::fd::OwnedFd::from(socket.socket));
        let socket = TcpSocket::from_std_stream(std);
        assert_eq!(socket.local_addr().expect("is bound"), address);
    }

    #[test]
    fn an_address_of_the_other_family_is_an_error_of_the_system() {
        let socket = TcpSocket::new_v4().expect("descriptors left");
        assert!(socket.bind("[::1]:0".parse().expect("an address")).is_err());
        assert!(socket.set_tclass_v6(1).is_err() || socket.tclass_v6().is_ok());
    }
}
