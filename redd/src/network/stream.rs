//! TCP, what programs call: listen, accept, connect, send, receive, shut down, close.
//!
//! Called by `calls`, and by `segments`, which has what arrives.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};

use super::address::{SocketId, os};
use super::bytes;
use super::engine::Engine;
use super::packet::{Body, Packet, Segment};
use super::socket::{Incoming, Outgoing, Role, Socket, Tcp, TcpState};

/// The TCP socket of a program's call.
fn parts(socket: &mut Socket) -> io::Result<&mut Tcp> {
    match &mut socket.role {
        Role::Tcp(tcp) => Ok(tcp),
        Role::Udp(_) | Role::UnixStream(_) | Role::UnixDatagram(_) => os(libc::EOPNOTSUPP),
    }
}

impl Engine {
    pub(super) fn tcp_listen(&mut self, id: SocketId, backlog: u32) -> io::Result<()> {
        let (now, backlog) = (self.now, backlog.min(MAX_BACKLOG) as usize);
        let socket = self.sockets.opened(id)?;
        let host = socket.host;
        let tcp = parts(socket)?;
        match tcp.state {
            TcpState::Listening => {
                tcp.listening.backlog = backlog;
                return Ok(());
            }
            TcpState::Closed => {}
            TcpState::Connecting | TcpState::Handshaking | TcpState::Connected => return os(libc::EINVAL),
        }
        if !tcp.is_holder {
            self.inet_bind_any(id)?;
        }
        let socket = self.sockets.opened(id)?;
        let tcp = parts(socket)?;
        let port = tcp.local.map_or(0, |local| local.port());
        self.hosts[host].tcp.listen(port, id, now)?;
        let socket = self.sockets.opened(id)?;
        (socket.shut_read, socket.shut_write) = (false, false);
        let tcp = parts(socket)?;
        tcp.state = TcpState::Listening;
        tcp.listening.backlog = backlog;
        Ok(())
    }

    pub(super) fn tcp_accept(&mut self, id: SocketId) -> io::Result<(SocketId, SocketAddr)> {
        let tcp = parts(self.sockets.opened(id)?)?;
        if tcp.state != TcpState::Listening {
            return os(libc::EINVAL);
        }
        let Some(child) = tcp.listening.queue.pop_front() else { return os(libc::EAGAIN) };
        let tcp = parts(self.sockets.opened(child)?)?;
        tcp.listener = None;
        let remote = tcp.remote.unwrap_or_else(|| unreachable!("an accepted connection has a remote address"));
        Ok((child, remote))
    }

    /// `remote` is the address of a destination.
    pub(super) fn tcp_connect(&mut self, id: SocketId, remote: SocketAddr) -> io::Result<()> {
        let socket = self.sockets.opened(id)?;
        let (host, reuse) = (socket.host, socket.reuse);
        let tcp = parts(socket)?;
        // A port that `bind` did not choose is for one connection.
        let bound = tcp.local.filter(|_| tcp.is_holder);
        match tcp.state {
            TcpState::Closed if std::mem::take(&mut tcp.is_connecting) => {
                // It has failed meanwhile.
                (socket.shut_read, socket.shut_write) = (false, false);
                return os(socket.error.take().unwrap_or(libc::ECONNABORTED));
            }
            TcpState::Closed => {}
            TcpState::Connecting => return os(libc::EALREADY),
            TcpState::Connected if std::mem::take(&mut tcp.is_connecting) => return Ok(()),
            TcpState::Listening | TcpState::Handshaking | TcpState::Connected => return os(libc::EISCONN),
        }
        let mut local = self.inet_source(host, bound, remote)?;
        let ports = &mut self.hosts[host].tcp;
        if local.port() == 0 {
            local.set_port(ports.for_connection(local.ip(), remote)?);
        } else if !ports.is_new_connection(local, remote) {
            return os(libc::EADDRNOTAVAIL);
        }
        ports.add_connection(id, local, remote, reuse);
        let socket = self.sockets.opened(id)?;
        (socket.shut_read, socket.shut_write) = (false, false);
        let tcp = parts(socket)?;
        (tcp.local, tcp.remote, tcp.is_user) = (Some(local), Some(remote), true);
        (tcp.state, tcp.is_connecting) = (TcpState::Connecting, true);
        tcp.connection += 1;
        (tcp.out, tcp.input) = (Outgoing::default(), Incoming::default());
        self.send_syn(id);
        os(libc::EINPROGRESS)
    }

    pub(super) fn send_syn(&mut self, id: SocketId) {
        let now = self.now;
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let from = socket.host;
        let Some(tcp) = socket.tcp_mut() else { return };
        tcp.retry.sends_syn(now);
        let (Some(source), Some(target)) = (tcp.local, tcp.remote) else { return };
        let (connection, attempts) = (tcp.connection, tcp.retry.attempts());
        let Some(to) = self.host_with(from, target.ip()) else {
            // No host answers the request for its hardware address.
            return if attempts < ADDRESS_REQUESTS { self.arm_retry(id) } else { self.fail(id, libc::EHOSTUNREACH) };
        };
        self.transmit(id, Packet { from, to, body: Body::Syn { client: id, connection, source, target } });
    }

    /// Adds as many bytes to the stream as there is place for. The caller calls again after they were delivered.
    pub(super) fn tcp_send(
        &mut self,
        id: SocketId,
        bufs: &[IoSlice<'_>],
        skip: usize,
        end: usize,
    ) -> io::Result<usize> {
        let socket = self.sockets.opened(id)?;
        if socket.error.is_some() || socket.shut_write {
            return os(socket.error.take().unwrap_or(libc::EPIPE));
        }
        let limit = socket.send_limit;
        let tcp = parts(socket)?;
        match tcp.state {
            TcpState::Connecting | TcpState::Handshaking => {
                socket.no_space = true;
                return os(libc::EAGAIN);
            }
            TcpState::Closed | TcpState::Listening => return os(libc::EPIPE),
            TcpState::Connected => {}
        }
        let count = limit.saturating_sub(tcp.out.bytes.len()).min(end - skip);
        bytes::copy_in(&mut tcp.out.bytes, bufs, skip, count);
        if count < end - skip {
            socket.no_space = true;
        }
        if count == 0 && end > skip {
            return os(libc::EAGAIN);
        }
        self.pump(id);
        Ok(count)
    }

    /// Sends what the peer has place for.
    pub(super) fn pump(&mut self, id: SocketId) {
        loop {
            let Some(tcp) = self.sockets.get_mut(id).and_then(Socket::tcp_mut) else { return };
            if tcp.state != TcpState::Connected || tcp.retry.is_armed() {
                return;
            }
            // In each segment, because the one that completes the handshake may be lost.
            let window_end = tcp.input.advertised;
            let out = &mut tcp.out;
            let end = out.end().min(out.window_end);
            let segment = if out.sent < end {
                let (start, count) = ((out.sent - out.acked) as usize, ((end - out.sent) as usize).min(SEGMENT));
                let sequence = out.sent;
                out.sent += count as u64;
                Segment::Data { sequence, bytes: bytes::range(&out.bytes, start, count), window_end }
            } else if out.fin == Some(out.sent) {
                let sequence = out.sent;
                out.sent += 1;
                Segment::Fin { sequence, window_end }
            } else {
                return;
            };
            self.send_segment(id, segment);
        }
    }

    pub(super) fn tcp_recv(&mut self, id: SocketId, buf: &mut [u8], peek: bool) -> io::Result<usize> {
        let socket = self.sockets.opened(id)?;
        let limit = socket.receive_limit;
        let tcp = parts(socket)?;
        if tcp.state == TcpState::Listening {
            return os(libc::ENOTCONN);
        }
        if tcp.input.bytes.is_empty() {
            if tcp.input.has_fin {
                return Ok(0);
            }
            let is_closed = tcp.state == TcpState::Closed;
            return match socket.error.take() {
                Some(error) => os(error),
                None if socket.shut_read => Ok(0),
                None if is_closed => os(libc::ENOTCONN),
                None => os(libc::EAGAIN),
            };
        }
        let count = bytes::copy_out(&tcp.input.bytes, buf);
        if !peek {
            tcp.input.bytes.drain(..count);
            let window_end = tcp.input.window_end(limit);
            // Like Linux: not for each read, but before the peer could run out of place.
            if window_end - tcp.input.advertised >= (limit / 2) as u64 && tcp.state == TcpState::Connected {
                tcp.input.advertised = window_end;
                let next = tcp.input.next;
                self.send_segment(id, Segment::Ack { next, window_end });
            }
        }
        Ok(count)
    }

    pub(super) fn tcp_shutdown(&mut self, id: SocketId, how: Shutdown) -> io::Result<()> {
        let socket = self.sockets.opened(id)?;
        let (read, write) = (how != Shutdown::Write, how != Shutdown::Read);
        let tcp = parts(socket)?;
        match tcp.state {
            TcpState::Listening if read => self.stop_listening(id),
            TcpState::Listening => {}
            TcpState::Connecting => {
                tcp.is_connecting = false;
                socket.error = Some(libc::ECONNRESET);
                self.disconnect(id, false);
            }
            state @ (TcpState::Closed | TcpState::Handshaking | TcpState::Connected) => {
                socket.shut_read |= read;
                socket.shut_write |= write;
                if state == TcpState::Closed {
                    self.wake(id);
                    return os(libc::ENOTCONN);
                }
                if write {
                    self.queue_fin(id);
                }
            }
        }
        self.wake(id);
        Ok(())
    }

    fn queue_fin(&mut self, id: SocketId) {
        let Some(tcp) = self.sockets.get_mut(id).and_then(Socket::tcp_mut) else { return };
        if tcp.out.fin.is_none() {
            tcp.out.fin = Some(tcp.out.end());
            tcp.out.is_first = !tcp.input.has_fin;
            self.pump(id);
        }
    }

    /// The descriptor is closed. `is_reset`: `SO_LINGER` with no time.
    pub(super) fn tcp_close(&mut self, id: SocketId, is_reset: bool) -> io::Result<()> {
        let socket = self.sockets.opened(id)?;
        let tcp = parts(socket)?;
        match tcp.state {
            TcpState::Listening => {
                self.stop_listening(id);
                self.forget(id, false);
            }
            TcpState::Closed | TcpState::Connecting => {
                let is_graceful = tcp.is_graceful();
                self.forget(id, is_graceful);
            }
            TcpState::Handshaking | TcpState::Connected => {
                if is_reset || !tcp.input.bytes.is_empty() {
                    self.send_segment(id, Segment::Reset);
                    self.forget(id, false);
                } else {
                    (socket.is_orphan, socket.shut_read, socket.shut_write) = (true, true, true);
                    self.unwatch(id);
                    self.queue_fin(id);
                    self.finish(id);
                }
            }
        }
        Ok(())
    }

    /// A listener resets the connections that were not accepted, and listens no longer. It keeps its port.
    fn stop_listening(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let host = socket.host;
        let Some(tcp) = socket.tcp_mut() else { return };
        tcp.state = TcpState::Closed;
        let port = tcp.local.map_or(0, |local| local.port());
        let listening = std::mem::take(&mut tcp.listening);
        self.hosts[host].tcp.holder_mut(port, id).into_iter().for_each(|holder| holder.is_listening = false);
        for child in listening.queue.into_iter().chain(listening.handshaking) {
            self.send_segment(child, Segment::Reset);
            self.forget(child, false);
        }
    }

    /// The connection has ended, and the socket is new again apart from its error.
    pub(super) fn disconnect(&mut self, id: SocketId, is_shut: bool) {
        self.release_connection(id);
        let Some(socket) = self.sockets.get_mut(id) else { return };
        (socket.shut_read, socket.shut_write) = (is_shut, is_shut);
        let Some(tcp) = socket.tcp_mut() else { return };
        tcp.state = TcpState::Closed;
        tcp.peer = None;
        tcp.out.bytes.clear();
        tcp.retry.reset();
    }

    /// The connection gives its port back.
    pub(super) fn release_connection(&mut self, id: SocketId) {
        let now = self.now;
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let (host, reuse) = (socket.host, socket.reuse);
        let Some(tcp) = socket.tcp_mut() else { return };
        if let (true, Some(local), Some(remote)) = (tcp.is_user, tcp.local, tcp.remote) {
            tcp.is_user = false;
            let waits = tcp.out.is_first && tcp.out.is_finished();
            let until = if waits { now.saturating_add(TIME_WAIT_NS) } else { 0 };
            self.hosts[host].tcp.remove_connection(local, remote, reuse, until, now);
        }
    }

    /// Removes the socket.
    pub(super) fn forget(&mut self, id: SocketId, is_graceful: bool) {
        self.release_connection(id);
        let Some(socket) = self.remove_socket(id, is_graceful) else { return };
        if let Some((true, Some(local))) = socket.tcp().map(|tcp| (tcp.is_holder, tcp.local)) {
            self.hosts[socket.host].tcp.release(local.port(), id);
        }
    }

    /// Ends the connection if both directions have ended. A closed socket need not wait for the peer's FIN.
    pub(super) fn finish(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let is_orphan = socket.is_orphan;
        let Some(tcp) = socket.tcp_mut() else { return };
        if tcp.state != TcpState::Connected || !tcp.out.is_finished() {
            return;
        }
        if is_orphan {
            self.forget(id, true);
        } else if tcp.input.has_fin {
            self.disconnect(id, true);
            self.wake(id);
        }
    }
}

/// The most that Linux accepts as a backlog (`net.core.somaxconn`).
const MAX_BACKLOG: u32 = 4096;
/// How long a port is in TIME_WAIT.
const TIME_WAIT_NS: u64 = 60_000_000_000;
/// The most bytes of one segment: ten Ethernet frames, which is what Linux starts a connection with.
const SEGMENT: usize = 14_480;
/// How often the hardware address of a host is asked for: the last request times out after 3 s.
const ADDRESS_REQUESTS: u32 = 2;
