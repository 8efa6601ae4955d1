//! A UDP socket.
//!
//! Called by user code.

use super::addr::{self, ToSocketAddrs};
use crate::net::methods::names::*;
use socket2::{Domain, Protocol, SockRef, Type};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

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
        let addresses = addr::resolve_for_a_unit(&addr).await?;
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
        let addresses = addr::resolve_for_a_unit(&addr).await?;
        addr::first_success(addresses, |address| self.io.connect(address))
    }

    interest_methods!(self => self.io);
    operation_methods!();
    direction_methods!(readable, "reading", READABLE, self => self.io, poll_recv_ready: Read);
    direction_methods!(writable, "writing", WRITABLE, self => self.io, poll_send_ready: Write);
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
        self.io.registration().poll_io(cx, Direction::Write, |_| send())
    }

    /// As [`send_to`](Self::send_to), without waiting. [Readiness](crate::net#readiness)
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; as [`send_to`](Self::send_to).
    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        let send = || sys::net::retry(Call::Write, || self.io.send_to(buf, target));
        self.io.registration().try_io(Interest::WRITABLE, send)
    }

    datagram_operation! { read
        /// As [`recv`](Self::recv), and leaves the datagram where it is, so that the next receive gets it too.
        peek / try_peek(self, buf: &mut [u8]) -> usize = sys::net::retry(Call::Read, || self.io.peek(buf))
    }
    datagram_operation! { read
        /// As [`recv_from`](Self::recv_from), and leaves the datagram where it is, so that the next receive gets it too.
        peek_from / try_peek_from(self, buf: &mut [u8]) -> (usize, SocketAddr)
            = sys::net::retry(Call::Read, || self.io.peek_from(buf))
    }
    datagram_operation! { read
        /// Waits for a datagram, and says who sent it. It stays where it is.
        ///
        /// - On a socket that only makes this call and never receives, the queue fills up.
        peek_sender / try_peek_sender(self) -> SocketAddr = self.peek_sender_once()
    }

    /// As [`peek_sender`](Self::peek_sender). Only the task that polled last is woken.
    ///
    /// # Errors
    /// As [`peek_sender`](Self::peek_sender).
    pub fn poll_peek_sender(&self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        self.io.registration().poll_io(cx, Direction::Read, |_| self.peek_sender_once())
    }

    fn peek_sender_once(&self) -> io::Result<SocketAddr> {
        let (_, address) = sys::net::fill(self.as_fd(), &mut [], Fill::PeekFrom)?;
        sender(address)
    }

    poll_fill_method!(poll_peek, peek, Peek, |_| Ok(()) => ());
    poll_fill_method!(poll_peek_from, peek_from, PeekFrom, |(_, address)| sender(address) => SocketAddr);

    options! {
        "whether it may send to broadcast addresses (`SO_BROADCAST`)",
            broadcast / set_broadcast: bool, self => self.io, broadcast / set_broadcast;
        "whether what is sent to an IPv4 multicast group comes back to this machine (`IP_MULTICAST_LOOP`)",
            multicast_loop_v4 / set_multicast_loop_v4: bool, self => self.io, multicast_loop_v4 / set_multicast_loop_v4;
        "how many hops datagrams to an IPv4 multicast group may make (`IP_MULTICAST_TTL`)",
            multicast_ttl_v4 / set_multicast_ttl_v4: u32, self => self.io, multicast_ttl_v4 / set_multicast_ttl_v4;
        "whether what is sent to an IPv6 multicast group comes back to this machine (`IPV6_MULTICAST_LOOP`)",
            multicast_loop_v6 / set_multicast_loop_v6: bool, self => self.io, multicast_loop_v6 / set_multicast_loop_v6;
        "how many hops datagrams may make (`IP_TTL`)",
            ttl / set_ttl: u32, self => self.io, ttl / set_ttl;
    }

    ip_methods!(self => SockRef::from(self));

    system_methods! {
        /// The address of this socket.
        local_addr(self) -> SocketAddr = self.io.local_addr();

        /// The address of the socket that this one is connected to;
        /// [`NotConnected`](io::ErrorKind::NotConnected) if it is not.
        peer_addr(self) -> SocketAddr = self.io.peer_addr();

        /// Fetches an error that the system has noted on the socket (`SO_ERROR`), and unsets it.
        take_error(self) -> Option<io::Error> = self.io.take_error();

        /// Joins an IPv4 multicast group, on the interface with this address; `0.0.0.0` lets the system choose.
        join_multicast_v4(self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> ()
            = self.io.join_multicast_v4(&multiaddr, &interface);

        /// Joins an IPv6 multicast group, on the interface with this index; 0 lets the system choose.
        join_multicast_v6(self, multiaddr: &Ipv6Addr, interface: u32) -> ()
            = self.io.join_multicast_v6(multiaddr, interface);

        /// Leaves an IPv4 multicast group that it has joined.
        leave_multicast_v4(self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> ()
            = self.io.leave_multicast_v4(&multiaddr, &interface);

        /// Leaves an IPv6 multicast group that it has joined.
        leave_multicast_v6(self, multiaddr: &Ipv6Addr, interface: u32) -> ()
            = self.io.leave_multicast_v6(multiaddr, interface);
    }
}

fn sender(address: Option<SockAddr>) -> io::Result<SocketAddr> {
    let address = address.expect("`fill` was asked for the sender");
    address.as_socket().ok_or_else(|| {
        io::Error::other("a datagram came whose sender has no IP address: use the type of `net` that fits the socket")
    })
}

std_conversions!(UdpSocket, std::net::UdpSocket, Interest::READABLE | Interest::WRITABLE);
