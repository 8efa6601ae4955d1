//! Unix sockets with datagrams.
//!
//! Called by `calls`.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::net::Shutdown;

use super::address::{Address, Family, Kind, SocketId, os};
use super::bytes;
use super::engine::Engine;
use super::packet::UNIX;
use super::socket::{Role, Socket, UnixDatagram, UnixMessage};
use super::unix::charge;
use crate::primitives::baton::EventKind;

/// The socket of a program's call.
fn parts(socket: &mut Socket) -> io::Result<&mut UnixDatagram> {
    match &mut socket.role {
        Role::UnixDatagram(datagram) => Ok(datagram),
        Role::Tcp(_) | Role::Udp(_) | Role::UnixStream(_) => os(libc::EOPNOTSUPP),
    }
}

impl Engine {
    fn unix_datagram(&mut self, id: SocketId) -> Option<&mut UnixDatagram> {
        parts(self.sockets.get_mut(id)?).ok()
    }

    /// The socket with this name, unless it is connected to another one.
    fn unix_receiver(&mut self, id: SocketId, address: &Address) -> io::Result<SocketId> {
        let found = self.unix_find(id, address)?;
        match self.unix_datagram(found).and_then(|other| other.peer) {
            Some(peer) if peer != id => os(libc::EPERM),
            Some(_) | None => Ok(found),
        }
    }

    pub(super) fn unix_datagram_connect(&mut self, id: SocketId, address: &Address) -> io::Result<()> {
        let found = self.unix_receiver(id, address)?;
        let datagram = parts(self.sockets.opened(id)?)?;
        (datagram.peer, datagram.peer_name) = (Some(found), address.clone());
        Ok(())
    }

    /// Two connected sockets.
    pub(super) fn unix_datagram_pair(&mut self, host: usize) -> (SocketId, SocketId) {
        let open = |engine: &mut Self| engine.open(host, Family::Unix, Kind::Datagram);
        let (one, other) = (open(self), open(self));
        for (id, peer) in [(one, other), (other, one)] {
            self.unix_datagram(id).into_iter().for_each(|datagram| datagram.peer = Some(peer));
        }
        (one, other)
    }

    pub(super) fn unix_datagram_send(
        &mut self,
        id: SocketId,
        bufs: &[IoSlice<'_>],
        to: Option<&Address>,
    ) -> io::Result<usize> {
        let length = bytes::length(bufs);
        let connected = parts(self.sockets.opened(id)?)?.peer;
        let receiver = match (to, connected) {
            (Some(to), _) => self.unix_receiver(id, to)?,
            (None, Some(peer)) => peer,
            (None, None) => return os(libc::ENOTCONN),
        };
        let socket = self.sockets.opened(id)?;
        if length > socket.send_limit.saturating_sub(32) {
            return os(libc::EMSGSIZE);
        }
        if let Some(error) = socket.error.take() {
            return os(error);
        }
        if socket.shut_write {
            return os(libc::EPIPE);
        }
        let limit = socket.send_limit;
        let datagram = parts(socket)?;
        if datagram.used >= limit {
            socket.no_space = true;
            return os(libc::EAGAIN);
        }
        let from = datagram.name.clone();
        let Some(other) = self.sockets.get_mut(receiver) else {
            let datagram = parts(self.sockets.opened(id)?)?;
            if to.is_none() {
                (datagram.peer, datagram.peer_name) = (None, Address::Unnamed);
            }
            return os(libc::ECONNREFUSED);
        };
        if other.shut_read {
            return os(libc::EPIPE);
        }
        let other = parts(other)?;
        // Two sockets that are connected to each other are limited by their buffers alone.
        if other.peer != Some(id) && other.queue.len() > MAX_QUEUE {
            if connected == Some(receiver) {
                other.waiting.insert(id);
                parts(self.sockets.opened(id)?)?.is_peer_full = true;
            }
            self.sockets.opened(id)?.no_space = true;
            return os(libc::EAGAIN);
        }
        other.queue.push_back(UnixMessage { from, sender: id, bytes: bytes::joined(bufs) });
        parts(self.sockets.opened(id)?)?.used += charge(length);
        self.record(EventKind::NetSent, id, [length as u32, UNIX]);
        self.record(EventKind::NetDelivered, receiver, [length as u32, UNIX]);
        self.wake(receiver);
        Ok(length)
    }

    pub(super) fn unix_datagram_recv(
        &mut self,
        id: SocketId,
        buf: &mut [u8],
        peek: bool,
    ) -> io::Result<(usize, Address)> {
        let socket = self.sockets.opened(id)?;
        if let Some(error) = socket.error.take() {
            return os(error);
        }
        let datagram = parts(socket)?;
        // Like Linux, also if the reading direction is shut down.
        let Some(message) = datagram.queue.front() else { return os(libc::EAGAIN) };
        let count = message.bytes.len().min(buf.len());
        buf[..count].copy_from_slice(&message.bytes[..count]);
        if peek {
            return Ok((count, message.from.clone()));
        }
        let Some(message) = datagram.queue.pop_front() else { return os(libc::EAGAIN) };
        let waiting = std::mem::take(&mut datagram.waiting);
        self.unix_free(message.sender, charge(message.bytes.len()));
        self.unix_datagram_place(waiting);
        Ok((count, message.from))
    }

    pub(super) fn unix_datagram_shutdown(&mut self, id: SocketId, how: Shutdown) -> io::Result<()> {
        let socket = self.sockets.opened(id)?;
        socket.shut_read |= how != Shutdown::Write;
        socket.shut_write |= how != Shutdown::Read;
        self.wake(id);
        Ok(())
    }

    pub(super) fn unix_datagram_close(&mut self, id: SocketId) {
        let Some(mut socket) = self.remove_socket(id, false) else { return };
        let Ok(datagram) = parts(&mut socket) else { return };
        let (name, queue) = (datagram.name.clone(), std::mem::take(&mut datagram.queue));
        let waiting = std::mem::take(&mut datagram.waiting);
        self.unix_release(socket.host, id, &name);
        for message in queue {
            self.unix_free(message.sender, charge(message.bytes.len()));
        }
        self.unix_datagram_place(waiting);
    }

    /// The queue that these sockets wait for has place again, or its socket is gone.
    fn unix_datagram_place(&mut self, waiting: BTreeSet<SocketId>) {
        for sender in waiting {
            if let Some(datagram) = self.unix_datagram(sender) {
                datagram.is_peer_full = false;
                self.wake(sender);
            }
        }
    }
}

/// How many datagrams wait for a socket that the sender is not the peer of (`net.unix.max_dgram_qlen`); one more fits.
const MAX_QUEUE: usize = 10;
