//! A Unix socket for datagrams.
//!
//! Called by user code.

use super::SocketAddr;
use super::addr::from_path;
use super::socket::UnixSocket;
use crate::net::methods::names::*;
use socket2::{Domain, Type};
use std::os::unix::net;
use std::path::Path;

/// A Unix socket for datagrams.
///
/// - Nothing is lost on the way: a sender waits while the receiver's queue is full.
/// - Dropping it closes the socket, and leaves the file at its path.
///
/// # Examples
/// ```
/// use redd::net::UnixDatagram;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (left, right) = UnixDatagram::pair()?;
/// left.send(b"hello").await?;
/// let mut buf = [0; 16];
/// let len = right.recv(&mut buf).await?;
/// assert_eq!(&buf[..len], b"hello");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct UnixDatagram {
    io: Source<net::UnixDatagram>,
}

impl UnixDatagram {
    /// A socket at a path, where it makes a file; or at an [abstract name](crate::net::unix).
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if the file exists; [`InvalidInput`](io::ErrorKind::InvalidInput) for a
    /// path that is too long.
    #[track_caller]
    pub fn bind<P>(path: P) -> io::Result<Self>
    where
        P: AsRef<Path>,
    {
        let socket = UnixSocket::new_datagram()?;
        socket.bind(path)?;
        socket.datagram()
    }

    /// A socket without an address: it can send, and receive from the one that it is connected to.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// When the process or the system has no descriptor left.
    #[track_caller]
    pub fn unbound() -> io::Result<Self> {
        UnixSocket::new_datagram()?.datagram()
    }

    /// Connects it to a peer: `send` and `recv` work with that one alone.
    ///
    /// # Errors
    /// Those of the system.
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.io.connect_addr(&from_path(path.as_ref())?)
    }

    pair_method!(Type::DGRAM);
    interest_methods!(self => self.io);
    operation_methods!();
    direction_methods!(readable, "reading", READABLE, self => self.io, poll_recv_ready: Read);
    direction_methods!(writable, "writing", WRITABLE, self => self.io, poll_send_ready: Write);
    datagram_methods!(SocketAddr, sender);

    datagram_operation! { write
        /// Sends a datagram to the socket at a path, and says how many bytes were sent.
        send_to / try_send_to[P: AsRef<Path>](self, buf: &[u8], target: P) -> usize
            where target = from_path(target.as_ref()),
            = sys::net::retry(Call::Write, || self.io.send_to_addr(buf, &target))
    }

    /// As [`send_to`](Self::send_to). Only the task that polled last is woken.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to).
    pub fn poll_send_to<P>(&self, cx: &mut Context<'_>, buf: &[u8], target: P) -> Poll<io::Result<usize>>
    where
        P: AsRef<Path>,
    {
        let target = from_path(target.as_ref())?;
        let send = || self.io.send_to_addr(buf, &target);
        self.io.registration().poll_io(cx, Direction::Write, |_| send())
    }

    system_methods! {
        /// The address of this socket.
        local_addr(self) -> SocketAddr = self.io.local_addr().map(SocketAddr::from);

        /// The address of the socket that this one is connected to.
        peer_addr(self) -> SocketAddr = self.io.peer_addr().map(SocketAddr::from);

        /// Fetches an error that the system has noted on the socket (`SO_ERROR`), and unsets it.
        take_error(self) -> Option<io::Error> = self.io.take_error();

        /// Ends sending, receiving, or both; who waits for it is woken.
        shutdown(self, how: Shutdown) -> () = self.io.shutdown(how);
    }
}

fn sender(address: Option<SockAddr>) -> io::Result<SocketAddr> {
    SocketAddr::from_system(&address.expect("`fill` was asked for the sender"))
}

std_conversions!(UnixDatagram, net::UnixDatagram, Interest::READABLE | Interest::WRITABLE);
