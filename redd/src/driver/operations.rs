//! What `net` does with sockets. Each operation decides here, and nowhere else, what carries it out.
//!
//! Called by `net`, and by `readiness::source` for reads and writes of streams.
//!
//! # Invariants
//! - `one-try`: an operation makes one attempt and never waits. Its caller repeats an attempt that a signal has interrupted.

use crate::sys;
use crate::sys::net::Fill;
use socket2::{Domain, Protocol, SockAddr, SockRef, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};

/// A socket that is registered with a driver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Socket<'a> {
    fd: BorrowedFd<'a>,
}

impl<'a> Socket<'a> {
    #[inline]
    pub(crate) fn new(fd: BorrowedFd<'a>) -> Self {
        Self { fd }
    }

    /// Reads bytes of a stream into memory that need not be initialised. A read into no memory returns 0 at once.
    #[inline]
    pub(crate) fn read(self, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        sys::recv_uninit(self.fd, buf)
    }

    /// Receives a datagram, or bytes of a stream.
    #[inline]
    pub(crate) fn recv(self, buf: &mut [u8]) -> io::Result<usize> {
        sys::net::recv(self.fd, buf, 0)
    }

    /// Receives into several buffers in turn.
    pub(crate) fn recv_vectored(self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        sys::net::recv_vectored(self.fd, bufs)
    }

    /// As [`recv`](Self::recv), without removing it.
    pub(crate) fn peek(self, buf: &mut [u8]) -> io::Result<usize> {
        sys::net::recv(self.fd, buf, libc::MSG_PEEK)
    }

    /// Receives a datagram and the address of its sender.
    pub(crate) fn recv_from(self, buf: &mut [u8]) -> io::Result<(usize, SockAddr)> {
        with_sender(sys::net::fill_init(self.fd, buf, Fill::ReceiveFrom)?)
    }

    /// As [`recv_from`](Self::recv_from), without removing it.
    pub(crate) fn peek_from(self, buf: &mut [u8]) -> io::Result<(usize, SockAddr)> {
        with_sender(sys::net::fill_init(self.fd, buf, Fill::PeekFrom)?)
    }

    /// Receives into memory that need not be initialised. The address is present for the two `From` variants.
    pub(crate) fn fill(self, buf: &mut [MaybeUninit<u8>], what: Fill) -> io::Result<(usize, Option<SockAddr>)> {
        sys::net::fill(self.fd, buf, what)
    }

    /// Sends a datagram, or bytes of a stream.
    #[inline]
    pub(crate) fn send(self, buf: &[u8]) -> io::Result<usize> {
        sys::net::send(self.fd, buf)
    }

    /// Sends several buffers in turn.
    #[inline]
    pub(crate) fn send_vectored(self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        sys::net::send_vectored(self.fd, bufs)
    }

    /// Sends a datagram to `address`.
    pub(crate) fn send_to(self, buf: &[u8], address: &SockAddr) -> io::Result<usize> {
        sys::net::send_to(self.fd, buf, address)
    }

    /// Takes a connection from the queue of a listener, with the address of the peer.
    pub(crate) fn accept(self) -> io::Result<(NewSocket, SockAddr)> {
        let (socket, peer) = sys::net::accept(self.fd)?;
        Ok((NewSocket::from(socket), peer))
    }

    /// Sets the peer of a socket for datagrams.
    pub(crate) fn connect_datagram(self, address: &SockAddr) -> io::Result<()> {
        SockRef::from(&self.fd).connect(address)
    }

    pub(crate) fn shutdown(self, how: Shutdown) -> io::Result<()> {
        SockRef::from(&self.fd).shutdown(how)
    }

    pub(crate) fn local_addr(self) -> io::Result<SockAddr> {
        SockRef::from(&self.fd).local_addr()
    }

    pub(crate) fn peer_addr(self) -> io::Result<SockAddr> {
        SockRef::from(&self.fd).peer_addr()
    }

    /// Takes the error that was recorded for the socket.
    pub(crate) fn take_error(self) -> io::Result<Option<io::Error>> {
        SockRef::from(&self.fd).take_error()
    }

    /// Process, user and group at the other end of a Unix socket.
    pub(crate) fn peer_credentials(self) -> io::Result<libc::ucred> {
        sys::net::peer_credentials(self.fd)
    }
}

fn with_sender((len, sender): (usize, Option<SockAddr>)) -> io::Result<(usize, SockAddr)> {
    Ok((len, sender.expect("the call of `fill` requests the sender")))
}

/// A socket that is not registered yet, or not any more. Its options are those of its descriptor.
#[derive(Debug)]
pub(crate) struct NewSocket {
    socket: socket2::Socket,
}

impl NewSocket {
    /// Opens a non-blocking socket.
    pub(crate) fn open(domain: Domain, ty: Type, protocol: Option<Protocol>) -> io::Result<Self> {
        socket2::Socket::new(domain, ty.nonblocking(), protocol).map(Self::from)
    }

    /// Opens two Unix sockets that are connected to each other.
    pub(crate) fn pair(ty: Type) -> io::Result<(Self, Self)> {
        let (left, right) = socket2::Socket::pair(Domain::UNIX, ty.nonblocking(), None)?;
        Ok((left.into(), right.into()))
    }

    /// The descriptor, for options.
    pub(crate) fn options(&self) -> &socket2::Socket {
        &self.socket
    }

    pub(crate) fn bind(&self, address: &SockAddr) -> io::Result<()> {
        self.socket.bind(address)
    }

    pub(crate) fn listen(&self, backlog: u32) -> io::Result<()> {
        self.socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))
    }

    /// Begins to connect. The socket becomes writable when the attempt has ended; its error option then has the result.
    pub(crate) fn connect(&self, address: &SockAddr) -> io::Result<()> {
        sys::net::connect(&self.socket, address)
    }

    pub(crate) fn local_addr(&self) -> io::Result<SockAddr> {
        self.socket.local_addr()
    }

    /// Takes the error that was recorded for the socket.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// The descriptor in the type of the standard library.
    pub(crate) fn into_std<S: From<socket2::Socket>>(self) -> S {
        self.socket.into()
    }
}

impl AsFd for NewSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<socket2::Socket> for NewSocket {
    fn from(socket: socket2::Socket) -> Self {
        Self { socket }
    }
}
