//! What `net` does with sockets. Each operation decides here, and nowhere else, what carries it out: a system call, or in a simulated
//! world the network of that world.
//!
//! Called by `net`, and by `readiness::source` for reads and writes of streams.
//!
//! An operation makes one attempt and never waits. Its caller repeats an attempt that a signal has interrupted.

use super::Driver;
use super::shadows::{self, Registered};
use crate::sys;
use crate::sys::net::Fill;
use socket2::{Domain, Protocol, SockAddr, SockRef, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Shutdown};
use std::os::fd::{AsFd, BorrowedFd, RawFd};

/// A socket that is registered with a driver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Socket<'a> {
    fd: BorrowedFd<'a>,
    simulated: Option<Registered<'a>>,
}

impl<'a> Socket<'a> {
    /// `number` is what the driver has registered.
    #[inline]
    pub(crate) fn new(driver: &'a Driver, number: RawFd, fd: BorrowedFd<'a>) -> Self {
        Self { fd, simulated: driver.simulated.as_ref().map(|simulated| simulated.socket(number as u32)) }
    }

    /// Reads bytes of a stream into memory that need not be initialised. A read into no memory returns 0 at once.
    #[inline]
    pub(crate) fn read(self, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        match self.simulated {
            None => sys::recv_uninit(self.fd, buf),
            Some(_) if buf.is_empty() => Ok(0),
            Some(socket) => socket.recv_uninit(buf, false),
        }
    }

    /// Receives a datagram, or bytes of a stream.
    #[inline]
    pub(crate) fn recv(self, buf: &mut [u8]) -> io::Result<usize> {
        match self.simulated {
            None => sys::net::recv(self.fd, buf, 0),
            Some(socket) => socket.recv(buf, false),
        }
    }

    /// Receives into several buffers in turn.
    pub(crate) fn recv_vectored(self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match self.simulated {
            None => sys::net::recv_vectored(self.fd, bufs),
            Some(socket) => socket.recv_vectored(bufs),
        }
    }

    /// As [`recv`](Self::recv), without removing it.
    pub(crate) fn peek(self, buf: &mut [u8]) -> io::Result<usize> {
        match self.simulated {
            None => sys::net::recv(self.fd, buf, libc::MSG_PEEK),
            Some(socket) => socket.recv(buf, true),
        }
    }

    /// Receives a datagram and the address of its sender.
    pub(crate) fn recv_from(self, buf: &mut [u8]) -> io::Result<(usize, SockAddr)> {
        match self.simulated {
            None => with_sender(sys::net::fill_init(self.fd, buf, Fill::ReceiveFrom)?),
            Some(socket) => socket.recv_from(buf, false),
        }
    }

    /// As [`recv_from`](Self::recv_from), without removing it.
    pub(crate) fn peek_from(self, buf: &mut [u8]) -> io::Result<(usize, SockAddr)> {
        match self.simulated {
            None => with_sender(sys::net::fill_init(self.fd, buf, Fill::PeekFrom)?),
            Some(socket) => socket.recv_from(buf, true),
        }
    }

    /// Receives into memory that need not be initialised. The address is present for the two `From` variants.
    pub(crate) fn fill(self, buf: &mut [MaybeUninit<u8>], what: Fill) -> io::Result<(usize, Option<SockAddr>)> {
        match self.simulated {
            None => sys::net::fill(self.fd, buf, what),
            Some(socket) => match what {
                Fill::Read | Fill::Receive => Ok((socket.recv_uninit(buf, false)?, None)),
                Fill::Peek => Ok((socket.recv_uninit(buf, true)?, None)),
                Fill::ReceiveFrom => socket.recv_from_uninit(buf, false).map(|(len, sender)| (len, Some(sender))),
                Fill::PeekFrom => socket.recv_from_uninit(buf, true).map(|(len, sender)| (len, Some(sender))),
            },
        }
    }

    /// Sends a datagram, or bytes of a stream.
    #[inline]
    pub(crate) fn send(self, buf: &[u8]) -> io::Result<usize> {
        match self.simulated {
            None => sys::net::send(self.fd, buf),
            Some(socket) => socket.send(&[IoSlice::new(buf)]),
        }
    }

    /// Sends several buffers in turn.
    #[inline]
    pub(crate) fn send_vectored(self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.simulated {
            None => sys::net::send_vectored(self.fd, bufs),
            Some(socket) => socket.send(bufs),
        }
    }

    /// Sends a datagram to `address`.
    pub(crate) fn send_to(self, buf: &[u8], address: &SockAddr) -> io::Result<usize> {
        match self.simulated {
            None => sys::net::send_to(self.fd, buf, address),
            Some(socket) => socket.send_to(buf, address),
        }
    }

    /// Takes a connection from the queue of a listener, with the address of the peer.
    pub(crate) fn accept(self) -> io::Result<(NewSocket, SockAddr)> {
        let (socket, peer) = match self.simulated {
            None => sys::net::accept(self.fd)?,
            Some(listener) => listener.accept(self.fd)?,
        };
        Ok((NewSocket::from(socket), peer))
    }

    /// Sets the peer of a socket for datagrams.
    pub(crate) fn connect_datagram(self, address: &SockAddr) -> io::Result<()> {
        match self.simulated {
            None => SockRef::from(&self.fd).connect(address),
            Some(socket) => socket.connect(address),
        }
    }

    pub(crate) fn shutdown(self, how: Shutdown) -> io::Result<()> {
        match self.simulated {
            None => SockRef::from(&self.fd).shutdown(how),
            Some(socket) => socket.shutdown(how),
        }
    }

    pub(crate) fn local_addr(self) -> io::Result<SockAddr> {
        match self.simulated {
            None => SockRef::from(&self.fd).local_addr(),
            Some(socket) => socket.local_addr(),
        }
    }

    pub(crate) fn peer_addr(self) -> io::Result<SockAddr> {
        match self.simulated {
            None => SockRef::from(&self.fd).peer_addr(),
            Some(socket) => socket.peer_addr(),
        }
    }

    /// Takes the error that was recorded for the socket.
    pub(crate) fn take_error(self) -> io::Result<Option<io::Error>> {
        match self.simulated {
            None => SockRef::from(&self.fd).take_error(),
            Some(socket) => socket.take_error(),
        }
    }

    /// Process, user and group at the other end of a Unix socket. In a world every process is this one.
    pub(crate) fn peer_credentials(self) -> io::Result<libc::ucred> {
        match self.simulated {
            None => sys::net::peer_credentials(self.fd),
            Some(socket) => {
                socket.peer_addr()?;
                Ok(sys::net::own_credentials())
            }
        }
    }

    /// `EADDRNOTAVAIL` in a world, where no multicast group can be joined.
    pub(crate) fn expect_group(self) -> io::Result<()> {
        match self.simulated {
            None => Ok(()),
            Some(_) => Err(io::Error::from_raw_os_error(libc::EADDRNOTAVAIL)),
        }
    }

    /// `EOPNOTSUPP` in a world, for what has a meaning in the real network alone.
    pub(crate) fn expect_real(self) -> io::Result<()> {
        match self.simulated {
            None => Ok(()),
            Some(_) => Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
        }
    }
}

fn with_sender((len, sender): (usize, Option<SockAddr>)) -> io::Result<(usize, SockAddr)> {
    Ok((len, sender.expect("the call of `fill` requests the sender")))
}

/// The registration of a socket has failed, and its descriptor is about to be closed.
#[cold]
pub(super) fn close_unregistered(fd: BorrowedFd<'_>) {
    if let Some(here) = shadows::here() {
        here.close_unregistered(fd);
    }
}

/// The addresses of a host with this name in the world of the calling thread. `None` outside of a world.
pub(crate) fn resolve(name: &str) -> Option<io::Result<Vec<IpAddr>>> {
    shadows::here().map(|here| here.resolve(name))
}

/// A socket that is not registered yet, or no longer. Its options are those of its descriptor.
#[derive(Debug)]
pub(crate) struct NewSocket {
    /// Empty once it was taken out.
    socket: Option<socket2::Socket>,
}

impl NewSocket {
    /// Opens a non-blocking socket.
    pub(crate) fn open(domain: Domain, ty: Type, protocol: Option<Protocol>) -> io::Result<Self> {
        match shadows::here() {
            None => socket2::Socket::new(domain, ty.nonblocking(), protocol),
            Some(here) => here.open(domain, ty),
        }
        .map(Self::from)
    }

    /// Opens two Unix sockets that are connected to each other.
    pub(crate) fn pair(ty: Type) -> io::Result<(Self, Self)> {
        let (left, right) = match shadows::here() {
            None => socket2::Socket::pair(Domain::UNIX, ty.nonblocking(), None)?,
            Some(here) => here.pair(ty)?,
        };
        Ok((left.into(), right.into()))
    }

    /// The descriptor, for options.
    pub(crate) fn options(&self) -> &socket2::Socket {
        self.socket.as_ref().expect("only `into_std` takes it, with the value")
    }

    pub(crate) fn bind(&self, address: &SockAddr) -> io::Result<()> {
        match shadows::here() {
            None => self.options().bind(address),
            Some(here) => here.bind(self.as_fd(), address),
        }
    }

    pub(crate) fn listen(&self, backlog: u32) -> io::Result<()> {
        match shadows::here() {
            None => self.options().listen(i32::try_from(backlog).unwrap_or(i32::MAX)),
            Some(here) => here.listen(self.as_fd(), backlog),
        }
    }

    /// Begins to connect. The socket becomes writable when the attempt has ended; its error option then has the result.
    pub(crate) fn connect(&self, address: &SockAddr) -> io::Result<()> {
        match shadows::here() {
            None => sys::net::connect(self.options(), address),
            Some(here) => here.connect(self.as_fd(), address),
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SockAddr> {
        let simulated = match shadows::here() {
            None => None,
            Some(here) => here.local_addr(self.as_fd())?,
        };
        simulated.map_or_else(|| self.options().local_addr(), Ok)
    }

    /// Takes the error that was recorded for the socket.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match shadows::here() {
            None => self.options().take_error(),
            Some(here) => here.take_error(self.as_fd()),
        }
    }

    /// The descriptor in the type of the standard library. A simulated socket stays open: its descriptor finds it again.
    pub(crate) fn into_std<S: From<socket2::Socket>>(mut self) -> S {
        self.socket.take().expect("only `into_std` takes it, with the value").into()
    }
}

impl Drop for NewSocket {
    fn drop(&mut self) {
        if let (Some(socket), Some(here)) = (&self.socket, shadows::here()) {
            here.close_unregistered(socket.as_fd());
        }
    }
}

impl AsFd for NewSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.options().as_fd()
    }
}

impl From<socket2::Socket> for NewSocket {
    fn from(socket: socket2::Socket) -> Self {
        Self { socket: Some(socket) }
    }
}
