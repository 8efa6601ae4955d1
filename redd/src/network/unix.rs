//! Unix sockets: their names, and streams.
//!
//! Called by `calls`, by `unix_datagram`, and by `handle` for files that are removed or renamed.
//!
//! Both ends are on one host, so nothing is on its way: a call changes the other end at once.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::Shutdown;

use super::address::{Address, Family, Kind, SocketId, os};
use super::bytes;
use super::engine::{Engine, UnixName};
use super::packet::UNIX;
use super::socket::{Role, Socket, UnixState, UnixStream};
use crate::primitives::baton::EventKind;

/// The Unix stream of a program's call.
fn parts(socket: &mut Socket) -> io::Result<&mut UnixStream> {
    match &mut socket.role {
        Role::UnixStream(stream) => Ok(stream),
        Role::Tcp(_) | Role::Udp(_) | Role::UnixDatagram(_) => os(libc::EOPNOTSUPP),
    }
}

fn name_of(address: &Address) -> Option<UnixName> {
    match address {
        Address::Path(path) => Some(UnixName::Path(path.clone())),
        Address::Abstract(name) => Some(UnixName::Abstract(name.clone())),
        Address::Unnamed | Address::Inet(_) => None,
    }
}

impl Engine {
    /// The end of the stream, if it exists.
    fn unix_stream(&mut self, id: SocketId) -> Option<&mut UnixStream> {
        parts(self.sockets.get_mut(id)?).ok()
    }

    /// Without a name, it gets an abstract one.
    pub(super) fn unix_bind(&mut self, id: SocketId, address: &Address) -> io::Result<()> {
        let host = self.sockets.opened(id)?.host;
        let names = &self.hosts[host].unix;
        let (name, address) = match name_of(address) {
            Some(name) => (name, address.clone()),
            None if *address == Address::Unnamed => {
                let free = (0_u32..).map(|number| format!("{number:05x}").into_bytes());
                let mut free = free.filter(|name| !names.contains_key(&UnixName::Abstract(name.clone())));
                let Some(name) = free.next() else { return os(libc::ENOSPC) };
                (UnixName::Abstract(name.clone()), Address::Abstract(name))
            }
            None => return os(libc::EINVAL),
        };
        let is_taken = names.contains_key(&name);
        let bound = match &mut self.sockets.opened(id)?.role {
            Role::UnixStream(stream) => &mut stream.name,
            Role::UnixDatagram(datagram) => &mut datagram.name,
            Role::Tcp(_) | Role::Udp(_) => return os(libc::EAFNOSUPPORT),
        };
        if *bound != Address::Unnamed {
            return os(libc::EINVAL);
        }
        if is_taken {
            return os(libc::EADDRINUSE);
        }
        *bound = address;
        self.hosts[host].unix.insert(name, Some(id));
        Ok(())
    }

    /// The name of a socket is free again if it is abstract. A path stays until [`Self::unix_unlink`], as the file does. A file that was
    /// renamed or removed meanwhile has no longer the name that the socket reports.
    pub(super) fn unix_release(&mut self, host: usize, id: SocketId, address: &Address) {
        match name_of(address) {
            Some(name @ UnixName::Abstract(_)) => {
                self.hosts[host].unix.remove(&name);
            }
            Some(UnixName::Path(_)) => {
                let entries = self.hosts[host].unix.values_mut().filter(|entry| **entry == Some(id));
                entries.for_each(|entry| *entry = None);
            }
            None => {}
        }
    }

    /// The file of a socket was renamed. Returns whether there was one.
    pub(super) fn unix_rename(&mut self, host: usize, from: &std::path::Path, to: &std::path::Path) -> bool {
        self.need_host(host);
        let names = &mut self.hosts[host].unix;
        let Some(entry) = names.remove(&UnixName::Path(from.to_owned())) else { return false };
        names.insert(UnixName::Path(to.to_owned()), entry);
        true
    }

    /// The file of a socket was removed. Returns whether there was one.
    pub(super) fn unix_unlink(&mut self, host: usize, path: &std::path::Path) -> bool {
        self.need_host(host);
        self.hosts[host].unix.remove(&UnixName::Path(path.to_owned())).is_some()
    }

    /// The socket that has the name.
    pub(super) fn unix_find(&mut self, id: SocketId, address: &Address) -> io::Result<SocketId> {
        let socket = self.sockets.opened(id)?;
        let (host, kind) = (socket.host, socket.kind);
        let Some(name) = name_of(address) else { return os(libc::EINVAL) };
        let found = match self.hosts[host].unix.get(&name) {
            Some(Some(found)) => *found,
            Some(None) => return os(libc::ECONNREFUSED),
            None if matches!(name, UnixName::Abstract(_)) => return os(libc::ECONNREFUSED),
            None => return os(libc::ENOENT),
        };
        match self.sockets.get_mut(found) {
            Some(other) if other.kind == kind => Ok(found),
            Some(_) => os(libc::EPROTOTYPE),
            None => os(libc::ECONNREFUSED),
        }
    }

    pub(super) fn unix_listen(&mut self, id: SocketId, backlog: u32) -> io::Result<()> {
        let stream = parts(self.sockets.opened(id)?)?;
        if stream.name == Address::Unnamed || stream.state == UnixState::Connected {
            return os(libc::EINVAL);
        }
        stream.state = UnixState::Listening;
        stream.backlog = backlog as usize;
        Ok(())
    }

    pub(super) fn unix_connect(&mut self, id: SocketId, address: &Address) -> io::Result<()> {
        let found = self.unix_find(id, address)?;
        let socket = self.sockets.opened(id)?;
        let host = socket.host;
        let stream = parts(socket)?;
        match stream.state {
            UnixState::New => {}
            UnixState::Listening => return os(libc::EINVAL),
            UnixState::Connected => return os(libc::EISCONN),
        }
        let client_name = stream.name.clone();
        let Some(listener) = self.sockets.get_mut(found) else { return os(libc::ECONNREFUSED) };
        let (is_shut, send_limit) = (listener.shut_read, listener.send_limit);
        let listening = parts(listener)?;
        if listening.state != UnixState::Listening || is_shut {
            return os(libc::ECONNREFUSED);
        }
        if listening.queue.len() > listening.backlog {
            return os(libc::EAGAIN);
        }
        let server_name = listening.name.clone();
        let server = UnixStream {
            state: UnixState::Connected,
            name: server_name.clone(),
            is_accepted: true,
            peer: Some(id),
            peer_name: client_name,
            ..UnixStream::default()
        };
        let server = Socket::new(host, Family::Unix, Kind::Stream, Role::UnixStream(Box::new(server)));
        let server = self.add_socket(Socket { send_limit, ..server });
        if let Some(listening) = self.unix_stream(found) {
            listening.queue.push_back(server);
        }
        let stream = parts(self.sockets.opened(id)?)?;
        (stream.state, stream.peer, stream.peer_name) = (UnixState::Connected, Some(server), server_name);
        self.record(EventKind::NetDelivered, found, [0, UNIX]);
        self.wake(found);
        Ok(())
    }

    pub(super) fn unix_accept(&mut self, id: SocketId) -> io::Result<(SocketId, Address)> {
        let stream = parts(self.sockets.opened(id)?)?;
        if stream.state != UnixState::Listening {
            return os(libc::EINVAL);
        }
        let Some(child) = stream.queue.pop_front() else { return os(libc::EAGAIN) };
        Ok((child, parts(self.sockets.opened(child)?)?.peer_name.clone()))
    }

    /// Two ends of one stream.
    pub(super) fn unix_pair(&mut self, host: usize) -> (SocketId, SocketId) {
        let (one, other) = (self.open(host, Family::Unix, Kind::Stream), self.open(host, Family::Unix, Kind::Stream));
        for (id, peer) in [(one, other), (other, one)] {
            if let Some(stream) = self.unix_stream(id) {
                (stream.state, stream.peer) = (UnixState::Connected, Some(peer));
            }
        }
        (one, other)
    }

    pub(super) fn unix_send(&mut self, id: SocketId, bufs: &[IoSlice<'_>], end: usize) -> io::Result<usize> {
        let socket = self.sockets.opened(id)?;
        let (is_shut, limit) = (socket.shut_write, socket.send_limit);
        let stream = parts(socket)?;
        let used = stream.used;
        let Some(peer) = stream.peer else { return os(libc::ENOTCONN) };
        // Before the error, which is then left to a read.
        if is_shut {
            return os(libc::EPIPE);
        }
        if let Some(error) = socket.error.take() {
            return os(error);
        }
        let Some(other) = self.sockets.get_mut(peer).filter(|other| !other.shut_read) else {
            return os(libc::EPIPE);
        };
        let (mut sent, mut charged) = (0, 0);
        let other = parts(other)?;
        // As Linux does: in pieces, and the last one may exceed the limit.
        while sent < end && used + charged < limit {
            let count = (end - sent).min(CHUNK).min((limit / 2).saturating_sub(64).max(1));
            bytes::copy_in(&mut other.bytes, bufs, sent, count);
            other.chunks.push_back((count, charge(count)));
            sent += count;
            charged += charge(count);
        }
        let socket = self.sockets.opened(id)?;
        socket.no_space |= sent < end;
        parts(socket)?.used += charged;
        if sent == 0 && end > 0 {
            return os(libc::EAGAIN);
        }
        if sent > 0 {
            self.record(EventKind::NetSent, id, [sent as u32, UNIX]);
            self.record(EventKind::NetDelivered, peer, [sent as u32, UNIX]);
            self.wake(peer);
        }
        Ok(sent)
    }

    pub(super) fn unix_recv(&mut self, id: SocketId, buf: &mut [u8], peek: bool) -> io::Result<usize> {
        let socket = self.sockets.opened(id)?;
        let is_shut = socket.shut_read;
        let stream = parts(socket)?;
        if stream.state != UnixState::Connected {
            return os(libc::EINVAL);
        }
        if stream.bytes.is_empty() {
            return match socket.error.take() {
                Some(error) => os(error),
                None if is_shut => Ok(0),
                None => os(libc::EAGAIN),
            };
        }
        let count = bytes::copy_out(&stream.bytes, buf);
        if !peek {
            stream.bytes.drain(..count);
            let freed = take_chunks(&mut stream.chunks, count);
            let peer = stream.peer;
            peer.into_iter().for_each(|peer| self.unix_free(peer, freed));
        }
        Ok(count)
    }

    /// What this socket has sent was read.
    pub(super) fn unix_free(&mut self, id: SocketId, freed: usize) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let used = match &mut socket.role {
            Role::UnixStream(stream) => &mut stream.used,
            Role::UnixDatagram(datagram) => &mut datagram.used,
            Role::Tcp(_) | Role::Udp(_) => return,
        };
        *used = used.saturating_sub(freed);
        if freed > 0 && socket.no_space && *used <= socket.send_limit / 4 {
            socket.no_space = false;
            self.wake(id);
        }
    }

    pub(super) fn unix_shutdown(&mut self, id: SocketId, how: Shutdown) -> io::Result<()> {
        let (read, write) = (how != Shutdown::Write, how != Shutdown::Read);
        let socket = self.sockets.opened(id)?;
        socket.shut_read |= read;
        socket.shut_write |= write;
        let peer = parts(socket)?.peer;
        self.wake(id);
        if let Some((peer, other)) = peer.and_then(|peer| Some((peer, self.sockets.get_mut(peer)?))) {
            other.shut_read |= write;
            other.shut_write |= read;
            self.wake(peer);
        }
        Ok(())
    }

    pub(super) fn unix_close(&mut self, id: SocketId) {
        let Some(mut socket) = self.remove_socket(id, false) else { return };
        let Ok(stream) = parts(&mut socket) else { return };
        let waiting = std::mem::take(&mut stream.queue);
        let (peer, has_unread) = (stream.peer, !stream.bytes.is_empty());
        let name = if stream.is_accepted { Address::Unnamed } else { stream.name.clone() };
        self.unix_release(socket.host, id, &name);
        peer.into_iter().for_each(|peer| self.unix_end(peer, has_unread));
        for child in waiting {
            let Some(peer) = self.unix_stream(child).and_then(|stream| stream.peer) else { continue };
            self.remove_socket(child, false);
            self.unix_end(peer, true);
        }
    }

    /// The other end of this stream is gone.
    fn unix_end(&mut self, id: SocketId, is_reset: bool) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        (socket.shut_read, socket.shut_write) = (true, true);
        if is_reset {
            socket.error = Some(libc::ECONNRESET);
        }
        self.wake(id);
    }
}

/// Takes this many bytes off the pieces. Returns what the pieces used that are empty now.
fn take_chunks(chunks: &mut VecDeque<(usize, usize)>, mut count: usize) -> usize {
    let mut freed = 0;
    while let Some((length, used)) = chunks.front_mut() {
        if *length > count {
            *length -= count;
            break;
        }
        count -= *length;
        freed += *used;
        chunks.pop_front();
    }
    freed
}

/// What a piece of this length uses of the sender's buffer: the memory that Linux keeps it in.
pub(super) fn charge(length: usize) -> usize {
    let paged = match length.checked_sub(HEAD) {
        None | Some(0) => 0,
        Some(rest) => rest.next_multiple_of(PAGE).min(length),
    };
    256 + (length - paged + 320).next_power_of_two().max(512) + paged
}

/// The most bytes of one piece.
const CHUNK: usize = HEAD + 8 * PAGE;
/// The most bytes of a piece that are not in pages of their own.
const HEAD: usize = PAGE - 320;
const PAGE: usize = 4096;
