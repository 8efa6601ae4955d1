//! A Unix socket that is neither listening nor connected yet.
//!
//! Called by user code and by `listener`, `stream`, `datagram`.

#![expect(unsafe_code, reason = "`FromRawFd` is about raw descriptors")]

use super::addr::{from_path, to_system};
use super::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use socket2::{Domain, Socket, Type};
use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, RawFd};
use std::path::Path;

/// A Unix socket to [bind](Self::bind) before it [listens](Self::listen), [connects](Self::connect) or becomes a
/// [datagram](Self::datagram) socket.
pub struct UnixSocket {
    socket: Socket,
}

impl UnixSocket {
    /// A socket for datagrams.
    ///
    /// # Errors
    /// When the process or the system has no descriptor left.
    pub fn new_datagram() -> io::Result<Self> {
        Self::new(Type::DGRAM)
    }

    /// A socket for connections.
    ///
    /// # Errors
    /// When the process or the system has no descriptor left.
    pub fn new_stream() -> io::Result<Self> {
        Self::new(Type::STREAM)
    }

    fn new(ty: Type) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, ty.nonblocking(), None)?;
        Ok(Self { socket })
    }

    /// Gives it a path, where it makes a file; or an [abstract name](crate::net::unix).
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if the file exists; [`InvalidInput`](io::ErrorKind::InvalidInput) for a
    /// path that is too long.
    pub fn bind(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.socket.bind(&to_system(&from_path(path.as_ref())?)?)
    }

    pub(super) fn bind_addr(&self, addr: &SocketAddr) -> io::Result<()> {
        self.socket.bind(&to_system(addr.as_std())?)
    }

    /// Begins to accept connections, of which `backlog` may wait; the system has an upper bound.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// If it is a datagram socket; those of the system.
    #[track_caller]
    pub fn listen(self, backlog: u32) -> io::Result<UnixListener> {
        self.expect_type(Type::STREAM, "listen", "new_stream")?;
        self.socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        UnixListener::from_std(self.socket.into())
    }

    /// Connects to the listener at a path or an [abstract name](crate::net::unix).
    ///
    /// # Cancel safety
    /// Dropping it closes the socket.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// If it is a datagram socket; those of the system, as for [`UnixStream::connect`].
    pub async fn connect(self, path: impl AsRef<Path>) -> io::Result<UnixStream> {
        self.expect_type(Type::STREAM, "connect", "new_stream")?;
        let address = to_system(&from_path(path.as_ref())?)?;
        UnixStream::connect_socket(self.socket, address).await
    }

    pub(super) async fn connect_addr(self, addr: &SocketAddr) -> io::Result<UnixStream> {
        let address = to_system(addr.as_std())?;
        UnixStream::connect_socket(self.socket, address).await
    }

    /// The datagram socket that it was made for.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// If it is no datagram socket; when the system refuses to watch another descriptor.
    #[track_caller]
    pub fn datagram(self) -> io::Result<UnixDatagram> {
        self.expect_type(Type::DGRAM, "datagram", "new_datagram")?;
        UnixDatagram::from_std(self.socket.into())
    }

    fn expect_type(&self, wanted: Type, method: &str, constructor: &str) -> io::Result<()> {
        if self.socket.r#type()? == wanted {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "`UnixSocket::{method}` was called on a socket of the other kind: make the socket with \
             `UnixSocket::{constructor}`"
        )))
    }
}

socket_descriptor!(UnixSocket);
