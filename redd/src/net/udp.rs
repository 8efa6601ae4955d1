//! A UDP socket.
//!
//! Called by user code.

use super::addr::{self, ToSocketAddrs};
use super::fill;
use super::methods::{
    datagram_methods, descriptor, interest_methods, operation_methods, readable_methods, std_conversions,
    writable_methods,
};
use crate::driver::Source;
use crate::driver::readiness::ready::{Interest, Ready};
use crate::io::ReadBuf;
use crate::sys;
use crate::sys::faults::Call;
use crate::sys::net::Fill;
use bytes::BufMut;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll};

/// A UDP socket.
///
/// - One socket can send to and receive from many peers ([`send_to`](Self::send_to), [`recv_from`](Self::recv_from)), or
///   be [connected](Self::connect) to one ([`send`](Self::send), [`recv`](Self::recv)).
/// - All methods take `&self`: share it with an `Arc`; there is no split.
/// - A connected socket hears that nobody listens at the peer, as an error of the next operation.
///
/// # Examples
/// ```
/// use redd::net::UdpSocket;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let server = UdpSocket::bind("127.0.0.1:0").await?;
/// let client = UdpSocket::bind("127.0.0.1:0").await?;
/// client.send_to(b"ping", server.local_addr()?).await?;
/// let mut buf = [0; 16];
/// let (len, peer) = server.recv_from(&mut buf).await?;
/// assert_eq!(&buf[..len], b"ping");
/// assert_eq!(peer, client.local_addr()?);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct UdpSocket {
    io: Source<std::net::UdpSocket>,
}

/// Options with a getter and a setter, of std or (through `SockRef`) of socket2.
macro_rules! options {
    ($($what:literal, $get:ident / $set:ident: $T:ty, $self:ident => $inner:expr;)*) => {$(
        #[doc = concat!($what, ".")]
        ///
        /// # Errors
        /// Those of the system.
        pub fn $get(&$self) -> io::Result<$T> {
            $inner.$get()
        }

        #[doc = concat!("Sets: ", $what, ".")]
        ///
        /// # Errors
        /// Those of the system.
        pub fn $set(&$self, value: $T) -> io::Result<()> {
            $inner.$set(value)
        }
    )*};
}

impl UdpSocket {
    /// A socket at `addr`. If it stands for several addresses, at the first that works.
    ///
    /// - Port 0 lets the system choose: see [`local_addr`](Self::local_addr).
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// That of the last address: in use, not of this machine, not permitted; an address that is none.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        let addresses = addr::resolve(&addr).await?;
        addr::first_success(addresses, |address| {
            let (domain, ty) = (Domain::for_address(address), Type::DGRAM.nonblocking());
            let socket = Socket::new(domain, ty, Some(Protocol::UDP))?;
            socket.bind(&address.into())?;
            Self::from_std(socket.into())
        })
    }

    /// Connects it to a peer: `send` and `recv` work with that one alone. Sends nothing.
    ///
    /// # Errors
    /// That of the last address; an address that is none.
    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        let addresses = addr::resolve(&addr).await?;
        addr::first_success(addresses, |address| self.io.connect(address))
    }

    interest_methods!();
    operation_methods!();
    readable_methods!(poll_recv_ready);
    writable_methods!(poll_send_ready);
    datagram_methods!(SocketAddr, sender);

    /// Sends a datagram to `target`, and says how many bytes were sent. If it stands for several addresses, to the first.
    ///
    /// # Cancel safety
    /// If it is dropped before it is done, nothing was sent.
    ///
    /// # Errors
    /// Those of the system: too large, unreachable, of the other family; an address that is none.
    pub async fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], target: A) -> io::Result<usize> {
        let target = addr::resolve(&target).await?.next();
        let target = target.ok_or_else(addr::no_address)?;
        let send = || self.io.send_to(buf, target);
        self.io.registration().async_io(Interest::WRITABLE, send).await
    }

    /// As [`send_to`](Self::send_to). Only the task that polled last is woken.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to).
    pub fn poll_send_to(&self, cx: &mut Context<'_>, buf: &[u8], target: SocketAddr) -> Poll<io::Result<usize>> {
        let send = || self.io.send_to(buf, target);
        self.io.registration().poll_write_io(cx, send)
    }

    /// As [`send_to`](Self::send_to), without waiting. [Readiness](crate::net#readiness)
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; as [`send_to`](Self::send_to).
    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.io
            .registration()
            .try_io(Interest::WRITABLE, || sys::net::retry(Call::Write, || self.io.send_to(buf, target)))
    }

    /// As [`recv`](Self::recv), and leaves the datagram where it is, so that the next receive gets it too.
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
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.io.registration().poll_read_io(cx, || {
            fill::into_read_buf(&self.io, buf, Fill::Peek)?;
            Ok(())
        })
    }

    /// As [`peek`](Self::peek), without waiting. [Readiness](crate::net#readiness)
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing is there; as [`peek`](Self::peek).
    pub fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io.registration().try_io(Interest::READABLE, || sys::net::retry(Call::Read, || self.io.peek(buf)))
    }

    /// As [`recv_from`](Self::recv_from), and leaves the datagram where it is, so that the next receive gets it too.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    ///
    /// # Errors
    /// Those of the system.
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let peek = || self.io.peek_from(buf);
        self.io.registration().async_io(Interest::READABLE, peek).await
    }

    /// As [`peek_from`](Self::peek_from). Only the task that polled last is woken.
    ///
    /// # Errors
    /// As [`peek_from`](Self::peek_from).
    pub fn poll_peek_from(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<SocketAddr>> {
        self.io.registration().poll_read_io(cx, || {
            let (_, address) = fill::into_read_buf(&self.io, buf, Fill::PeekFrom)?;
            sender(address)
        })
    }

    /// As [`peek_from`](Self::peek_from), without waiting. [Readiness](crate::net#readiness)
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing is there; as [`peek_from`](Self::peek_from).
    pub fn try_peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.registration().try_io(Interest::READABLE, || sys::net::retry(Call::Read, || self.io.peek_from(buf)))
    }

    /// Waits for a datagram, and says who sent it. It stays where it is.
    ///
    /// - On a socket that only makes this call and never receives, the queue fills up.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    ///
    /// # Errors
    /// Those of the system.
    pub async fn peek_sender(&self) -> io::Result<SocketAddr> {
        let peek = || self.peek_sender_once();
        self.io.registration().async_io(Interest::READABLE, peek).await
    }

    /// As [`peek_sender`](Self::peek_sender). Only the task that polled last is woken.
    ///
    /// # Errors
    /// As [`peek_sender`](Self::peek_sender).
    pub fn poll_peek_sender(&self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        let peek = || self.peek_sender_once();
        self.io.registration().poll_read_io(cx, peek)
    }

    /// As [`peek_sender`](Self::peek_sender), without waiting. [Readiness](crate::net#readiness)
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing is there; as [`peek_sender`](Self::peek_sender).
    pub fn try_peek_sender(&self) -> io::Result<SocketAddr> {
        let peek = || self.peek_sender_once();
        self.io.registration().try_io(Interest::READABLE, peek)
    }

    fn peek_sender_once(&self) -> io::Result<SocketAddr> {
        let (_, address) = sys::net::fill(self.as_fd(), &mut [], Fill::PeekFrom)?;
        sender(address)
    }

    /// The address of this socket.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    /// The address of the socket that this one is connected to.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) if it is not.
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

    options! {
        "whether it may send to broadcast addresses (`SO_BROADCAST`)",
            broadcast / set_broadcast: bool, self => self.io;
        "whether what is sent to an IPv4 multicast group comes back to this machine (`IP_MULTICAST_LOOP`)",
            multicast_loop_v4 / set_multicast_loop_v4: bool, self => self.io;
        "how many hops datagrams to an IPv4 multicast group may make (`IP_MULTICAST_TTL`)",
            multicast_ttl_v4 / set_multicast_ttl_v4: u32, self => self.io;
        "whether what is sent to an IPv6 multicast group comes back to this machine (`IPV6_MULTICAST_LOOP`)",
            multicast_loop_v6 / set_multicast_loop_v6: bool, self => self.io;
        "how many hops datagrams may make (`IP_TTL`)",
            ttl / set_ttl: u32, self => self.io;
        "the type of service of IPv4 datagrams (`IP_TOS`)",
            tos_v4 / set_tos_v4: u32, self => SockRef::from(self);
        "the traffic class of IPv6 datagrams (`IPV6_TCLASS`)",
            tclass_v6 / set_tclass_v6: u32, self => SockRef::from(self);
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

    /// The network device that it is bound to (`SO_BINDTODEVICE`).
    ///
    /// # Errors
    /// Those of the system.
    pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
        SockRef::from(self).device()
    }

    /// Binds it to a network device by name, or to none. May need a privilege.
    ///
    /// # Errors
    /// Those of the system.
    pub fn bind_device(&self, interface: Option<&[u8]>) -> io::Result<()> {
        SockRef::from(self).bind_device(interface)
    }

    /// Joins an IPv4 multicast group, on the interface with this address; `0.0.0.0` lets the system choose.
    ///
    /// # Errors
    /// Those of the system.
    pub fn join_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.io.join_multicast_v4(&multiaddr, &interface)
    }

    /// Joins an IPv6 multicast group, on the interface with this index; 0 lets the system choose.
    ///
    /// # Errors
    /// Those of the system.
    pub fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.io.join_multicast_v6(multiaddr, interface)
    }

    /// Leaves an IPv4 multicast group that it has joined.
    ///
    /// # Errors
    /// Those of the system.
    pub fn leave_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.io.leave_multicast_v4(&multiaddr, &interface)
    }

    /// Leaves an IPv6 multicast group that it has joined.
    ///
    /// # Errors
    /// Those of the system.
    pub fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.io.leave_multicast_v6(multiaddr, interface)
    }
}

fn sender(address: Option<SockAddr>) -> io::Result<SocketAddr> {
    let address = address.expect("`fill` was asked for the sender");
    address.as_socket().ok_or_else(|| {
        io::Error::other("a datagram came whose sender has no IP address: use the type of `net` that fits the socket")
    })
}

std_conversions!(UdpSocket, std::net::UdpSocket, Interest::READABLE | Interest::WRITABLE);
