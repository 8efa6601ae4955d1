//! A Unix socket that is neither listening nor connected yet.
//!
//! Called by user code.

#![expect(unsafe_code, reason = "`FromRawFd` is about raw descriptors")]

use super::addr::{from_path, to_system};
use super::open::open;
use super::{UnixDatagram, UnixListener, UnixStream};
use crate::driver::operations::NewSocket;
use crate::observe::waiting::located;
use socket2::{Socket, Type};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, RawFd};
use std::path::Path;

/// A Unix socket to [bind](Self::bind) before it [listens](Self::listen), [connects](Self::connect) or becomes a
/// [datagram](Self::datagram) socket.
///
/// # Examples
/// ```
/// use redd::net::UnixSocket;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let socket = UnixSocket::new_stream()?;
/// socket.bind("\0redd-example-socket")?;
/// let listener = socket.listen(16)?;
/// let client = UnixSocket::new_stream()?.connect("\0redd-example-socket").await?;
/// let (server, _) = listener.accept().await?;
/// # drop((client, server));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct UnixSocket {
    socket: NewSocket,
}

impl UnixSocket {
    /// Makes a socket for datagrams.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` if the process or the system has no descriptor left.
    pub fn new_datagram() -> io::Result<Self> {
        Self::new(Type::DGRAM)
    }

    /// Makes a socket for connections.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` if the process or the system has no descriptor left.
    pub fn new_stream() -> io::Result<Self> {
        Self::new(Type::STREAM)
    }

    fn new(ty: Type) -> io::Result<Self> {
        Ok(Self { socket: open(ty)? })
    }

    /// Binds it to a path, where it creates a file, or to an [abstract name](crate::net::unix).
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if the file exists; [`InvalidInput`](io::ErrorKind::InvalidInput) for a
    /// path that is too long.
    pub fn bind(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.socket.bind(&to_system(&from_path(path.as_ref())?)?)
    }

    /// Starts to accept connections. `backlog` of them may wait; the kernel has an upper limit.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// An error if it is a datagram socket, or if it is not bound.
    #[track_caller]
    pub fn listen(self, backlog: u32) -> io::Result<UnixListener> {
        self.expect_type(Type::STREAM, "listen", "new_stream")?;
        UnixListener::listen(self.socket, backlog)
    }

    /// Connects to the listener at a path or an [abstract name](crate::net::unix).
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// An error if it is a datagram socket, and those of [`UnixStream::connect`].
    #[track_caller]
    pub fn connect(self, path: impl AsRef<Path>) -> impl Future<Output = io::Result<UnixStream>> {
        located(async move {
            self.expect_type(Type::STREAM, "connect", "new_stream")?;
            let address = to_system(&from_path(path.as_ref())?)?;
            UnixStream::connect_socket(self.socket, address).await
        })
    }

    /// Turns it into a datagram socket.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// An error if it is not a datagram socket, or if epoll cannot register another descriptor.
    #[track_caller]
    pub fn datagram(self) -> io::Result<UnixDatagram> {
        self.expect_type(Type::DGRAM, "datagram", "new_datagram")?;
        UnixDatagram::from_std(self.socket.into_std())
    }

    fn expect_type(&self, wanted: Type, method: &str, constructor: &str) -> io::Result<()> {
        if self.socket.options().r#type()? == wanted {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "`UnixSocket::{method}` was called on a socket of the other kind: make the socket with \
             `UnixSocket::{constructor}`"
        )))
    }
}

impl AsFd for UnixSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for UnixSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.options().as_raw_fd()
    }
}

debug_struct!([] UnixSocket as "UnixSocket", self => { fd: self.as_raw_fd() });

impl IntoRawFd for UnixSocket {
    fn into_raw_fd(self) -> RawFd {
        self.socket.into_std::<Socket>().into_raw_fd()
    }
}

impl FromRawFd for UnixSocket {
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
