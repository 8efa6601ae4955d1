//! The calls of programs, by the kind of the socket; and reads and writes that are short by the seed.
//!
//! Called by `handle`.

use std::io::{self, IoSlice};
use std::net::Shutdown;

use super::address::{Address, Kind, SocketId, os, shown};
use super::bytes;
use super::engine::Engine;
use super::socket::Role;

/// What a socket is, for a choice of the protocol.
#[derive(Clone, Copy)]
enum Protocol {
    Tcp,
    Udp,
    UnixStream,
    UnixDatagram,
}

impl Engine {
    fn protocol(&mut self, id: SocketId) -> io::Result<Protocol> {
        Ok(match self.sockets.opened(id)?.role {
            Role::Tcp(_) => Protocol::Tcp,
            Role::Udp(_) => Protocol::Udp,
            Role::UnixStream(_) => Protocol::UnixStream,
            Role::UnixDatagram(_) => Protocol::UnixDatagram,
        })
    }

    pub(super) fn bind(&mut self, id: SocketId, address: &Address) -> io::Result<()> {
        match (self.protocol(id)?, address) {
            (Protocol::Tcp | Protocol::Udp, Address::Inet(address)) => self.inet_bind(id, *address),
            (Protocol::Tcp | Protocol::Udp, _) => os(libc::EAFNOSUPPORT),
            (Protocol::UnixStream | Protocol::UnixDatagram, address) => self.unix_bind(id, address),
        }
    }

    pub(super) fn listen(&mut self, id: SocketId, backlog: u32) -> io::Result<()> {
        match self.protocol(id)? {
            Protocol::Tcp => self.tcp_listen(id, backlog),
            Protocol::UnixStream => self.unix_listen(id, backlog),
            Protocol::Udp | Protocol::UnixDatagram => os(libc::EOPNOTSUPP),
        }
    }

    pub(super) fn accept(&mut self, id: SocketId) -> io::Result<(SocketId, Address)> {
        match self.protocol(id)? {
            Protocol::Tcp => {
                let (child, remote) = self.tcp_accept(id)?;
                let family = self.sockets.opened(child)?.family;
                Ok((child, Address::Inet(shown(family, remote))))
            }
            Protocol::UnixStream => self.unix_accept(id),
            Protocol::Udp | Protocol::UnixDatagram => os(libc::EOPNOTSUPP),
        }
    }

    pub(super) fn connect(&mut self, id: SocketId, address: &Address) -> io::Result<()> {
        match (self.protocol(id)?, address) {
            (Protocol::Tcp, Address::Inet(address)) => {
                let remote = self.inet_destination(id, *address)?;
                self.tcp_connect(id, remote)
            }
            (Protocol::Udp, Address::Inet(address)) => {
                let remote = self.inet_destination(id, *address)?;
                self.udp_connect(id, remote)
            }
            (Protocol::Tcp | Protocol::Udp, _) => os(libc::EAFNOSUPPORT),
            (Protocol::UnixStream, address) => self.unix_connect(id, address),
            (Protocol::UnixDatagram, address) => self.unix_datagram_connect(id, address),
        }
    }

    /// A stream has no address to return, as on Linux.
    pub(super) fn recv_from(&mut self, id: SocketId, buf: &mut [u8], peek: bool) -> io::Result<(usize, Address)> {
        match self.protocol(id)? {
            Protocol::Tcp => {
                let buf = self.shortened(id, buf);
                Ok((self.tcp_recv(id, buf, peek)?, Address::Unnamed))
            }
            Protocol::UnixStream => {
                let buf = self.shortened(id, buf);
                Ok((self.unix_recv(id, buf, peek)?, Address::Unnamed))
            }
            Protocol::Udp => {
                let family = self.sockets.opened(id)?.family;
                let (count, from) = self.udp_recv(id, buf, peek)?;
                Ok((count, Address::Inet(shown(family, from))))
            }
            Protocol::UnixDatagram => self.unix_datagram_recv(id, buf, peek),
        }
    }

    pub(super) fn send(&mut self, id: SocketId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let length = bytes::length(bufs);
        match self.protocol(id)? {
            Protocol::Tcp => {
                let end = self.short_length(id, length);
                let mut sent = self.tcp_send(id, bufs, 0, end)?;
                // Within a host, what was sent has arrived by now, and has made place for more.
                while sent < end {
                    self.deliver_immediate();
                    match self.tcp_send(id, bufs, sent, end) {
                        Ok(count) => sent += count,
                        Err(_) => break,
                    }
                }
                Ok(sent)
            }
            Protocol::UnixStream => {
                let end = self.short_length(id, length);
                self.unix_send(id, bufs, end)
            }
            Protocol::Udp => self.udp_send(id, bufs, None),
            Protocol::UnixDatagram => self.unix_datagram_send(id, bufs, None),
        }
    }

    pub(super) fn send_to(&mut self, id: SocketId, buf: &[u8], address: &Address) -> io::Result<usize> {
        let bufs = [IoSlice::new(buf)];
        match (self.protocol(id)?, address) {
            // Linux ignores the address.
            (Protocol::Tcp, _) => self.send(id, &bufs),
            (Protocol::Udp, Address::Inet(address)) => {
                let to = self.inet_destination(id, *address)?;
                self.udp_send(id, &bufs, Some(to))
            }
            (Protocol::Udp, _) => os(libc::EAFNOSUPPORT),
            (Protocol::UnixStream, _) => {
                let is_connected = self.peer_addr(id).is_ok();
                os(if is_connected { libc::EISCONN } else { libc::EOPNOTSUPP })
            }
            (Protocol::UnixDatagram, address) => self.unix_datagram_send(id, &bufs, Some(address)),
        }
    }

    pub(super) fn shutdown(&mut self, id: SocketId, how: Shutdown) -> io::Result<()> {
        match self.protocol(id)? {
            Protocol::Tcp => self.tcp_shutdown(id, how),
            Protocol::Udp => self.udp_shutdown(id, how),
            Protocol::UnixStream => self.unix_shutdown(id, how),
            Protocol::UnixDatagram => self.unix_datagram_shutdown(id, how),
        }
    }

    pub(super) fn local_addr(&mut self, id: SocketId) -> io::Result<Address> {
        match &self.sockets.opened(id)?.role {
            Role::Tcp(_) | Role::Udp(_) => self.inet_local(id).map(Address::Inet),
            Role::UnixStream(stream) => Ok(stream.name.clone()),
            Role::UnixDatagram(datagram) => Ok(datagram.name.clone()),
        }
    }

    pub(super) fn peer_addr(&mut self, id: SocketId) -> io::Result<Address> {
        let (peer, name) = match &self.sockets.opened(id)?.role {
            Role::Tcp(_) | Role::Udp(_) => return self.inet_peer(id).map(Address::Inet),
            Role::UnixStream(stream) => (stream.peer, &stream.peer_name),
            Role::UnixDatagram(datagram) => (datagram.peer, &datagram.peer_name),
        };
        if peer.is_some() { Ok(name.clone()) } else { os(libc::ENOTCONN) }
    }

    pub(super) fn pair(&mut self, host: usize, kind: Kind) -> (SocketId, SocketId) {
        match kind {
            Kind::Stream => self.unix_pair(host),
            Kind::Datagram => self.unix_datagram_pair(host),
        }
    }

    pub(super) fn close(&mut self, id: SocketId, is_reset: bool) -> io::Result<()> {
        match self.protocol(id)? {
            Protocol::Tcp => return self.tcp_close(id, is_reset),
            Protocol::Udp => self.udp_close(id),
            Protocol::UnixStream => self.unix_close(id),
            Protocol::UnixDatagram => self.unix_datagram_close(id),
        }
        Ok(())
    }

    /// The buffer of a read, or a part of it if the seed makes the read short.
    fn shortened<'a>(&mut self, id: SocketId, buf: &'a mut [u8]) -> &'a mut [u8] {
        let available = self.sockets.get_mut(id).map_or(0, |socket| match &socket.role {
            Role::Tcp(tcp) => tcp.input.bytes.len(),
            Role::UnixStream(stream) => stream.bytes.len(),
            Role::Udp(_) | Role::UnixDatagram(_) => 0,
        });
        let whole = available.min(buf.len());
        let count = self.short_length(id, whole);
        if count < whole { &mut buf[..count] } else { buf }
    }

    /// How many of these bytes are read or written now. If not all, an edge follows: on Linux, too, a program that waits for one after
    /// a short read or write gets it once there is more to read or place to write.
    fn short_length(&mut self, id: SocketId, length: usize) -> usize {
        if self.short == 0 || length < 2 || self.rng.below(100) >= self.short.into() {
            return length;
        }
        self.wake(id);
        1 + (self.rng.next_u64() % (length as u64 - 1)) as usize
    }
}
