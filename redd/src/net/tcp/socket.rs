//! A TCP socket that is neither listening nor connected yet, so that options can be set first.
//!
//! Called by user code.

#![expect(unsafe_code, reason = "`FromRawFd` is about raw descriptors")]

use super::open::open;
use super::{TcpListener, TcpStream};
use crate::driver::operations::NewSocket;
use crate::observe::waiting::located;
use socket2::{Domain, Socket};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, RawFd};
use std::time::Duration;

/// A TCP socket to set options on before it [listens](Self::listen) or [connects](Self::connect).
///
/// - Unlike [`TcpListener::bind`], it does not set `SO_REUSEADDR` by itself.
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
    socket: NewSocket,
}

impl TcpSocket {
    /// Makes a socket for IPv4.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` if the process or the system has no descriptor left.
    pub fn new_v4() -> io::Result<Self> {
        Self::new(Domain::IPV4)
    }

    /// Makes a socket for IPv6.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` if no descriptor is left, and `EAFNOSUPPORT` if the kernel has no IPv6.
    pub fn new_v6() -> io::Result<Self> {
        Self::new(Domain::IPV6)
    }

    fn new(domain: Domain) -> io::Result<Self> {
        Ok(Self { socket: open(domain)? })
    }

    /// Takes over a socket of the standard library, to set options that it lacks. **It must be non-blocking.**
    ///
    /// - It is meant for a connected socket. [`connect`](Self::connect) on a connected one is an error.
    pub fn from_std_stream(stream: std::net::TcpStream) -> Self {
        Self { socket: Socket::from(stream).into() }
    }

    /// Returns whether an idle connection is probed (`SO_KEEPALIVE`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn keepalive(&self) -> io::Result<bool> {
        self.socket.options().keepalive()
    }

    /// Sets whether an idle connection is probed (`SO_KEEPALIVE`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    ///
    /// # Examples
    /// ```
    /// use redd::net::TcpSocket;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let socket = TcpSocket::new_v4()?;
    /// socket.set_keepalive(true)?;
    /// assert_eq!(socket.keepalive()?, true);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn set_keepalive(&self, value: bool) -> io::Result<()> {
        self.socket.options().set_keepalive(value)
    }

    /// Returns whether its address may be bound again while old connections fade out (`SO_REUSEADDR`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn reuseaddr(&self) -> io::Result<bool> {
        self.socket.options().reuse_address()
    }

    /// Sets whether its address may be bound again while old connections fade out (`SO_REUSEADDR`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    ///
    /// # Examples
    /// ```
    /// use redd::net::TcpSocket;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let socket = TcpSocket::new_v4()?;
    /// socket.set_reuseaddr(true)?;
    /// assert_eq!(socket.reuseaddr()?, true);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn set_reuseaddr(&self, value: bool) -> io::Result<()> {
        self.socket.options().set_reuse_address(value)
    }

    /// Returns whether several sockets may listen on its address (`SO_REUSEPORT`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn reuseport(&self) -> io::Result<bool> {
        self.socket.options().reuse_port()
    }

    /// Sets whether several sockets may listen on its address (`SO_REUSEPORT`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    ///
    /// # Examples
    /// ```
    /// use redd::net::TcpSocket;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let socket = TcpSocket::new_v4()?;
    /// socket.set_reuseport(true)?;
    /// assert_eq!(socket.reuseport()?, true);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn set_reuseport(&self, value: bool) -> io::Result<()> {
        self.socket.options().set_reuse_port(value)
    }

    /// Returns whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket.options().tcp_nodelay()
    }

    /// Sets whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    ///
    /// # Examples
    /// ```
    /// use redd::net::TcpSocket;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let socket = TcpSocket::new_v4()?;
    /// socket.set_nodelay(true)?;
    /// assert_eq!(socket.nodelay()?, true);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn set_nodelay(&self, value: bool) -> io::Result<()> {
        self.socket.options().set_tcp_nodelay(value)
    }

    /// Returns how long dropping the stream blocks the thread until written bytes are delivered (`SO_LINGER`). `None` delivers in
    /// the background. A blocked thread runs no tasks: prefer `None`, or [`set_zero_linger`](Self::set_zero_linger).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.socket.options().linger()
    }

    /// Sets how long dropping the stream blocks the thread until written bytes are delivered (`SO_LINGER`). `None` delivers in
    /// the background. A blocked thread runs no tasks: prefer `None`, or [`set_zero_linger`](Self::set_zero_linger).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn set_linger(&self, value: Option<Duration>) -> io::Result<()> {
        self.socket.options().set_linger(value)
    }

    /// Returns the type of service of IPv4 packets (`IP_TOS`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn tos_v4(&self) -> io::Result<u32> {
        self.socket.options().tos_v4()
    }

    /// Sets the type of service of IPv4 packets (`IP_TOS`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn set_tos_v4(&self, value: u32) -> io::Result<()> {
        self.socket.options().set_tos_v4(value)
    }

    /// Returns the traffic class of IPv6 packets (`IPV6_TCLASS`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn tclass_v6(&self) -> io::Result<u32> {
        self.socket.options().tclass_v6()
    }

    /// Sets the traffic class of IPv6 packets (`IPV6_TCLASS`).
    ///
    /// # Errors
    /// An error if the socket does not have this option.
    pub fn set_tclass_v6(&self, value: u32) -> io::Result<()> {
        self.socket.options().set_tclass_v6(value)
    }

    /// Returns the network device that the socket is bound to (`SO_BINDTODEVICE`), if any.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
        self.socket.options().device()
    }

    /// Binds the socket to a network device by name, or to none.
    ///
    /// # Errors
    /// `ENODEV` if there is no such device, and [`PermissionDenied`](io::ErrorKind::PermissionDenied) where it needs
    /// `CAP_NET_RAW`.
    pub fn bind_device(&self, interface: Option<&[u8]>) -> io::Result<()> {
        self.socket.options().bind_device(interface)
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

    /// Sets a linger time of zero (`SO_LINGER`). Dropping the stream then resets the connection and discards undelivered bytes. It does not block.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.socket.options().set_linger(Some(Duration::ZERO))
    }

    /// Returns the size of the send buffer in bytes, with the overhead of the kernel (`SO_SNDBUF`; Linux doubles the size that
    /// was set).
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        self.socket.options().send_buffer_size().map(saturate)
    }

    /// Sets the size of the send buffer in bytes. The kernel keeps it within its limits.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    ///
    /// # Examples
    /// ```
    /// use redd::net::TcpSocket;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let socket = TcpSocket::new_v4()?;
    /// socket.set_send_buffer_size(32 * 1024)?;
    /// assert!(socket.send_buffer_size()? >= 32 * 1024);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn set_send_buffer_size(&self, bytes: u32) -> io::Result<()> {
        self.socket.options().set_send_buffer_size(bytes as usize)
    }

    /// Returns the size of the receive buffer in bytes, with the overhead of the kernel (`SO_RCVBUF`; Linux doubles the size
    /// that was set).
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        self.socket.options().recv_buffer_size().map(saturate)
    }

    /// Sets the size of the receive buffer in bytes. The kernel keeps it within its limits.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn set_recv_buffer_size(&self, bytes: u32) -> io::Result<()> {
        self.socket.options().set_recv_buffer_size(bytes as usize)
    }

    /// Returns the address that it is bound to.
    ///
    /// # Errors
    /// An error if it was made from a descriptor of another family.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let address = self.socket.local_addr()?;
        address.as_socket().ok_or_else(|| {
            io::Error::other(
                "the socket has no IP address: it was made from a descriptor of another family; use the type that fits it",
            )
        })
    }

    /// Takes the error that the kernel has recorded for the socket (`SO_ERROR`), if any.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// Binds it to an address of this machine. Port 0 lets the system choose.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse), [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) if it is not of this
    /// machine, and [`PermissionDenied`](io::ErrorKind::PermissionDenied) for a port below 1024.
    ///
    /// # Examples
    /// ```
    /// use redd::net::TcpSocket;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let socket = TcpSocket::new_v4()?;
    /// socket.bind("127.0.0.1:0".parse().unwrap())?;
    /// assert_ne!(socket.local_addr()?.port(), 0);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        self.socket.bind(&addr.into())
    }

    /// Connects to `addr`.
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused), [`HostUnreachable`](io::ErrorKind::HostUnreachable),
    /// [`TimedOut`](io::ErrorKind::TimedOut).
    #[track_caller]
    pub fn connect(self, addr: SocketAddr) -> impl Future<Output = io::Result<TcpStream>> {
        located(async move { TcpStream::connect_socket(self.socket, addr.into()).await })
    }

    /// Starts to accept connections. `backlog` of them may wait; the kernel has an upper limit.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if another socket listens on the address.
    #[track_caller]
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        TcpListener::listen(self.socket, backlog)
    }
}

fn saturate(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for TcpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.options().as_raw_fd()
    }
}

debug_struct!([] TcpSocket as "TcpSocket", self => { local_addr: self.local_addr().ok(), fd: self.as_raw_fd() });

impl IntoRawFd for TcpSocket {
    fn into_raw_fd(self) -> RawFd {
        self.socket.into_std::<Socket>().into_raw_fd()
    }
}

impl FromRawFd for TcpSocket {
    /// Takes over a socket. It must be non-blocking.
    ///
    /// # Safety
    /// `fd` is an open socket that this value may close.
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        // SAFETY: by the safety contract, which is that of `Socket`.
        let socket = unsafe { Socket::from_raw_fd(fd) };
        Self { socket: socket.into() }
    }
}
