//! UDP: what programs call, and what arrives.
//!
//! Called by `calls` and `segments`.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};

use super::address::{Reach, SocketId, os};
use super::bytes;
use super::engine::{Engine, Fault};
use super::packet::{Body, Packet};
use super::socket::{Role, Socket, Udp};
use crate::primitives::baton::EventKind;

/// The UDP socket of a program's call.
fn parts(socket: &mut Socket) -> io::Result<&mut Udp> {
    match &mut socket.role {
        Role::Udp(udp) => Ok(udp),
        Role::Tcp(_) | Role::UnixStream(_) | Role::UnixDatagram(_) => os(libc::EOPNOTSUPP),
    }
}

impl Engine {
    /// `remote` is the address of a destination.
    pub(super) fn udp_connect(&mut self, id: SocketId, remote: SocketAddr) -> io::Result<()> {
        let local = self.udp_source(id, remote)?;
        let socket = self.sockets.opened(id)?;
        let (host, only_v6) = (socket.host, socket.only_v6);
        let udp = parts(socket)?;
        (udp.local, udp.remote) = (Some(local), Some(remote));
        if let Some(holder) = self.hosts[host].udp.holder_mut(local.port(), id) {
            holder.reach = Reach::new(local.ip(), only_v6);
            holder.remote = Some(remote);
        }
        Ok(())
    }

    /// The address that a datagram to `remote` comes from. A socket without a port gets one.
    fn udp_source(&mut self, id: SocketId, remote: SocketAddr) -> io::Result<SocketAddr> {
        if parts(self.sockets.opened(id)?)?.bound.is_none() {
            self.inet_bind_any(id)?;
        }
        let socket = self.sockets.opened(id)?;
        let host = socket.host;
        let bound = parts(socket)?.bound;
        self.inet_source(host, bound, remote)
    }

    /// Sends a datagram. Without a destination, the socket is connected to one.
    pub(super) fn udp_send(&mut self, id: SocketId, bufs: &[IoSlice<'_>], to: Option<SocketAddr>) -> io::Result<usize> {
        let length = bytes::length(bufs);
        let socket = self.sockets.opened(id)?;
        let connected = parts(socket)?.remote;
        let Some(target) = to.or(connected) else { return os(libc::EDESTADDRREQ) };
        let most = if target.is_ipv4() { MAX_V4 } else { MAX_V6 };
        if length > most {
            return os(libc::EMSGSIZE);
        }
        // Linux checks what it is called with, and not where the socket is connected to.
        if to.is_some_and(|to| to.port() == 0) {
            return os(libc::EINVAL);
        }
        let source = self.udp_source(id, target)?;
        let socket = self.sockets.opened(id)?;
        if let Some(error) = socket.error.take() {
            return os(error);
        }
        if socket.shut_write {
            return os(libc::EPIPE);
        }
        let from = socket.host;
        // Nothing answers for an address without a host.
        let Some(to) = self.host_with(from, target.ip()) else { return Ok(length) };
        let bytes = bytes::joined(bufs);
        self.transmit_datagram(id, Packet { from, to, body: Body::Datagram { sender: id, source, target, bytes } });
        Ok(length)
    }

    pub(super) fn udp_recv(&mut self, id: SocketId, buf: &mut [u8], peek: bool) -> io::Result<(usize, SocketAddr)> {
        let socket = self.sockets.opened(id)?;
        if let Some(error) = socket.error.take() {
            return os(error);
        }
        let udp = parts(socket)?;
        let Some((from, datagram)) = udp.queue.front() else { return os(libc::EAGAIN) };
        let (from, count) = (*from, datagram.len().min(buf.len()));
        buf[..count].copy_from_slice(&datagram[..count]);
        if !peek {
            udp.used -= charge(datagram.len());
            udp.queue.pop_front();
        }
        Ok((count, from))
    }

    pub(super) fn udp_shutdown(&mut self, id: SocketId, how: Shutdown) -> io::Result<()> {
        let socket = self.sockets.opened(id)?;
        socket.shut_read |= how != Shutdown::Write;
        socket.shut_write |= how != Shutdown::Read;
        let is_connected = parts(socket)?.remote.is_some();
        self.wake(id);
        if is_connected { Ok(()) } else { os(libc::ENOTCONN) }
    }

    pub(super) fn udp_close(&mut self, id: SocketId) {
        let Some(mut socket) = self.remove_socket(id, false) else { return };
        if let Some(bound) = parts(&mut socket).ok().and_then(|udp| udp.bound) {
            self.hosts[socket.host].udp.release(bound.port(), id);
        }
    }

    /// A datagram has arrived at a host.
    pub(super) fn datagram(&mut self, packet: Packet) {
        let length = packet.length();
        let Body::Datagram { source, target, .. } = packet.body else { return };
        let rng = &self.rng;
        let choose = |count| rng.below(count as u32) as usize;
        let Some(id) = self.hosts[packet.to].udp.receiver(source, target, choose) else {
            return self.refuse(&packet);
        };
        self.record(EventKind::NetDelivered, id, [length as u32, packet.kind()]);
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let limit = socket.receive_limit;
        let Ok(udp) = parts(socket) else { return };
        if udp.used + charge(length) > limit {
            return self.lost(packet, Fault::BufferFull);
        }
        udp.used += charge(length);
        let Body::Datagram { bytes, .. } = packet.body else { return };
        udp.queue.push_back((source, bytes));
        self.wake(id);
    }

    /// A datagram to `target` has found no socket. Only a socket that is connected to it hears of that.
    pub(super) fn unreachable(&mut self, id: SocketId, target: SocketAddr) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        if parts(socket).is_ok_and(|udp| udp.remote == Some(target)) {
            socket.error = Some(libc::ECONNREFUSED);
            self.wake(id);
        }
    }
}

/// What a datagram of this length uses of the receiver's buffer: the memory that Linux keeps it in.
fn charge(length: usize) -> usize {
    match length {
        0..=192 => 832,
        193..=7828 => (length + 364).next_power_of_two() + 256,
        _ => length + 1000,
    }
}

/// The longest datagram with IPv4, in bytes.
const MAX_V4: usize = 65_507;
/// The longest datagram with IPv6, in bytes.
const MAX_V6: usize = 65_527;
