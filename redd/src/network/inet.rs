//! Addresses of TCP and UDP sockets: binding, the source and the destination of packets, and what a socket reports.
//!
//! Called by `calls`, `stream` and `datagram`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::address::{Family, Reach, SocketId, canonical, destination, os, shown, unspecified, unsupported};
use super::engine::Engine;
use super::ports::{Holder, Ports};
use super::socket::{Role, TcpState};

impl Engine {
    /// The ports of the socket's protocol.
    pub(super) fn ports(&mut self, id: SocketId) -> io::Result<&mut Ports> {
        let socket = self.sockets.opened(id)?;
        let host = &mut self.hosts[socket.host];
        match socket.role {
            Role::Tcp(_) => Ok(&mut host.tcp),
            Role::Udp(_) => Ok(&mut host.udp),
            Role::UnixStream(_) | Role::UnixDatagram(_) => os(libc::EOPNOTSUPP),
        }
    }

    pub(super) fn inet_bind(&mut self, id: SocketId, address: SocketAddr) -> io::Result<()> {
        let now = self.now;
        let socket = self.sockets.opened(id)?;
        let (host, family) = (socket.host, socket.family);
        match (family, address.is_ipv4()) {
            (Family::V4, true) | (Family::V6, false) => {}
            // Linux finds such an address too short.
            (Family::V6, true) => return os(libc::EINVAL),
            (Family::V4, false) | (Family::Unix, _) => return os(libc::EAFNOSUPPORT),
        }
        let address = canonical(address);
        let is_bound = match &socket.role {
            Role::Tcp(tcp) => tcp.is_holder || tcp.state != TcpState::Closed,
            Role::Udp(udp) => udp.bound.is_some(),
            Role::UnixStream(_) | Role::UnixDatagram(_) => return os(libc::EINVAL),
        };
        let holder = Holder {
            socket: id,
            reach: Reach::new(address.ip(), socket.only_v6),
            reuse: socket.reuse,
            reuse_port: socket.reuse_port,
            is_listening: false,
            remote: None,
        };
        if !self.is_own(host, address.ip()) {
            return os(libc::EADDRNOTAVAIL);
        }
        if is_bound {
            return os(libc::EINVAL);
        }
        let port = self.ports(id)?.bind(holder, address.port(), now)?;
        let local = SocketAddr::new(address.ip(), port);
        match &mut self.sockets.opened(id)?.role {
            Role::Tcp(tcp) => (tcp.local, tcp.is_holder) = (Some(local), true),
            Role::Udp(udp) => (udp.bound, udp.local) = (Some(local), Some(local)),
            Role::UnixStream(_) | Role::UnixDatagram(_) => {}
        }
        Ok(())
    }

    /// Binds a socket to a free port of all addresses.
    pub(super) fn inet_bind_any(&mut self, id: SocketId) -> io::Result<()> {
        let family = self.sockets.opened(id)?.family;
        self.inet_bind(id, SocketAddr::new(unspecified(family), 0))
    }

    pub(super) fn inet_local(&mut self, id: SocketId) -> io::Result<SocketAddr> {
        let socket = self.sockets.opened(id)?;
        let local = match &socket.role {
            Role::Tcp(tcp) => tcp.local,
            Role::Udp(udp) => udp.local,
            Role::UnixStream(_) | Role::UnixDatagram(_) => None,
        };
        Ok(shown(socket.family, local.unwrap_or(SocketAddr::new(unspecified(socket.family), 0))))
    }

    pub(super) fn inet_peer(&mut self, id: SocketId) -> io::Result<SocketAddr> {
        let socket = self.sockets.opened(id)?;
        let remote = match &socket.role {
            Role::Tcp(tcp) if tcp.state == TcpState::Connected => tcp.remote,
            // Like Linux: the peer at port 0 is none.
            Role::Udp(udp) => udp.remote.filter(|remote| remote.port() != 0),
            Role::Tcp(_) | Role::UnixStream(_) | Role::UnixDatagram(_) => None,
        };
        remote.map_or_else(|| os(libc::ENOTCONN), |remote| Ok(shown(socket.family, remote)))
    }

    /// The address to send to, as the network compares it.
    pub(super) fn inet_destination(&mut self, id: SocketId, address: SocketAddr) -> io::Result<SocketAddr> {
        let socket = self.sockets.opened(id)?;
        match (&socket.role, socket.family, address.is_ipv4()) {
            (_, Family::V4, false) => return os(libc::EAFNOSUPPORT),
            (Role::Tcp(_), Family::V6, true) => return os(libc::EINVAL),
            (Role::Udp(_), Family::V6, true) if socket.only_v6 => return os(libc::ENETUNREACH),
            _ => {}
        }
        let address = destination(canonical(address));
        match address.ip() {
            IpAddr::V4(ip) if ip.is_broadcast() || ip.is_multicast() => unsupported(NO_GROUPS),
            IpAddr::V6(ip) if ip.is_multicast() => unsupported(NO_GROUPS),
            IpAddr::V4(_) | IpAddr::V6(_) => Ok(address),
        }
    }

    /// The local address of packets to `remote`, if `bind` was called with `bound`. Port 0: the caller chooses one.
    pub(super) fn inet_source(
        &self,
        host: usize,
        bound: Option<SocketAddr>,
        remote: SocketAddr,
    ) -> io::Result<SocketAddr> {
        let local = match bound {
            Some(bound) if !bound.ip().is_unspecified() => bound,
            Some(bound) => SocketAddr::new(self.source_for(host, remote.ip()), bound.port()),
            None => SocketAddr::new(self.source_for(host, remote.ip()), 0),
        };
        let target = self.host_with(host, remote.ip());
        if local.is_ipv4() != remote.is_ipv4() || (target.is_none() && !is_subnet(remote.ip())) {
            return os(libc::ENETUNREACH);
        }
        if local.ip().is_loopback() && target != Some(host) {
            return os(libc::EINVAL);
        }
        Ok(local)
    }

    /// The address from which the host sends to this one.
    fn source_for(&self, host: usize, to: IpAddr) -> IpAddr {
        match to {
            IpAddr::V4(ip) if ip.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_loopback() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            IpAddr::V4(_) => self.hosts[host].v4,
            IpAddr::V6(_) => self.hosts[host].v6,
        }
    }
}

/// Whether hosts of the world have addresses of this kind.
fn is_subnet(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[0] == 10,
        IpAddr::V6(ip) => ip.segments()[..4] == [0xfd00, 0, 0, 0],
    }
}

const NO_GROUPS: &str = "a simulated world has no broadcast and no multicast: send to the address of each host instead";
