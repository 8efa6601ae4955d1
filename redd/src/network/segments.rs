//! TCP, what arrives: the handshake, data, acknowledgements, resets, timers.
//!
//! Called by `handle` for each packet that is due, by `calls` for those within a host, and by `engine`, `stream`
//! and `fault` for connections that end.

use super::address::SocketId;
use super::engine::{Engine, Fault};
use super::link::LinkState;
use super::packet::{Body, Packet, Segment};
use super::socket::{Peer, Role, Socket, Tcp, TcpState};
use crate::primitives::baton::EventKind;

impl Engine {
    /// A packet is at its destination, unless the link or the host has failed meanwhile.
    pub(super) fn arrive(&mut self, packet: Packet) {
        if let Body::Timer { socket, number } = packet.body {
            return self.retry(socket, number);
        }
        match self.links.get(packet.from, packet.to).state() {
            LinkState::Up => {}
            LinkState::BlackHole => return self.lost(packet, Fault::Lost),
            // What tells of a refusal comes from the link itself.
            LinkState::Refused if packet.is_refusal() => {}
            LinkState::Refused => return self.refuse(&packet),
        }
        if !self.hosts[packet.to].is_up {
            return self.lost(packet, Fault::HostDown);
        }
        match packet.body {
            Body::Syn { .. } => self.syn(packet),
            Body::Segment { to, .. } => self.segment(to, packet),
            Body::Datagram { .. } => self.datagram(packet),
            Body::Unreachable { to, target } => self.unreachable(to, target),
            Body::Timer { .. } => {}
        }
    }

    /// Lets the packets arrive that the current call has sent within a host, and those that are sent meanwhile.
    pub(super) fn deliver_immediate(&mut self) {
        while let Some(packet) = self.next_immediate() {
            self.arrive(packet);
        }
    }

    /// A client wants to connect.
    fn syn(&mut self, packet: Packet) {
        let Body::Syn { client, connection, source, target } = packet.body else { return };
        let rng = &self.rng;
        let listener = self.hosts[packet.to].tcp.listener(target, |count| rng.below(count as u32) as usize);
        let Some(listener) = listener else { return self.refuse(&packet) };
        self.record(EventKind::NetDelivered, listener, [0, packet.kind()]);
        if let Some(old) = self.hosts[packet.to].tcp.connection(target, source) {
            // Its client has crashed since. Linux asks the client, which resets it, and which sends the SYN again.
            self.reset(old);
            return self.lost(packet, Fault::OldConnection);
        }
        let Some(socket) = self.sockets.get_mut(listener) else { return };
        let (host, family, reuse, only_v6) = (socket.host, socket.family, socket.reuse, socket.only_v6);
        let (send_limit, receive_limit) = (socket.send_limit, socket.receive_limit);
        let Some(tcp) = socket.tcp_mut() else { return };
        let listening = &mut tcp.listening;
        // Like Linux, one more than the backlog.
        if listening.queue.len() + listening.handshaking.len() > listening.backlog {
            return self.lost(packet, Fault::BacklogFull);
        }
        let mut child = Tcp::new();
        (child.state, child.connection) = (TcpState::Handshaking, connection);
        (child.local, child.remote, child.is_user) = (Some(target), Some(source), true);
        child.peer = Some(Peer { host: packet.from, socket: client });
        child.listener = Some(listener);
        child.input.advertised = receive_limit as u64;
        let child = Socket {
            reuse,
            only_v6,
            send_limit,
            receive_limit,
            ..Socket::new(host, family, socket.kind, Role::Tcp(Box::new(child)))
        };
        let child = self.add_socket(child);
        self.hosts[host].tcp.add_connection(child, target, source, reuse);
        let listening = self.sockets.get_mut(listener).and_then(Socket::tcp_mut).map(|tcp| &mut tcp.listening);
        listening.into_iter().for_each(|listening| {
            listening.handshaking.insert(child);
        });
        self.send_segment(child, Segment::SynAck { connection, window_end: receive_limit as u64 });
    }

    fn segment(&mut self, id: SocketId, packet: Packet) {
        let (length, kind) = (packet.length(), packet.kind());
        let Body::Segment { from, ref segment, .. } = packet.body else { return };
        let tcp = self.sockets.get_mut(id).and_then(|socket| socket.tcp());
        // A packet of an earlier connection of the socket is for none, too.
        let is_for = |tcp: &Tcp| match (tcp.state, segment) {
            (TcpState::Closed | TcpState::Listening, _) => false,
            (TcpState::Connecting, Segment::SynAck { connection, .. } | Segment::Refusal { connection }) => {
                *connection == tcp.connection
            }
            (TcpState::Connecting, _) | (_, Segment::Refusal { .. }) => false,
            (TcpState::Handshaking | TcpState::Connected, _) => tcp.peer.is_some_and(|peer| peer.socket == from),
        };
        if !tcp.is_some_and(is_for) {
            return self.segment_to_none(id, &packet);
        }
        self.record(EventKind::NetDelivered, id, [length as u32, kind]);
        let Body::Segment { segment, .. } = packet.body else { return };
        match segment {
            Segment::SynAck { window_end, .. } => {
                self.syn_ack(id, Peer { host: packet.from, socket: from }, window_end);
            }
            Segment::Reset | Segment::Refusal { .. } => self.reset(id),
            Segment::Handshake { window_end } => self.establish(id, Some(window_end)),
            Segment::Data { sequence, bytes, window_end } => {
                self.establish(id, Some(window_end));
                self.data(id, sequence, &bytes);
            }
            Segment::Fin { sequence, window_end } => {
                self.establish(id, Some(window_end));
                self.fin(id, sequence);
            }
            Segment::Ack { next, window_end } => {
                self.establish(id, None);
                self.ack(id, next, window_end);
            }
            Segment::Probe => self.acknowledge(id),
        }
    }

    /// A segment for a connection that does not exist.
    fn segment_to_none(&mut self, id: SocketId, packet: &Packet) {
        let is_graceful = self.sockets.get_mut(id).and_then(|socket| socket.tcp()).is_some_and(Tcp::is_graceful);
        let was_graceful = is_graceful || self.sockets.was_graceful(id);
        let Body::Segment { from, ref segment, .. } = packet.body else { return };
        match *segment {
            Segment::Fin { sequence, .. } if was_graceful => {
                let segment = Segment::Ack { next: sequence + 1, window_end: 0 };
                let body = Body::Segment { from: id, to: from, segment };
                self.transmit(id, Packet { from: packet.to, to: packet.from, body });
            }
            Segment::Ack { .. } | Segment::Probe if was_graceful => {}
            Segment::SynAck { .. }
            | Segment::Handshake { .. }
            | Segment::Data { .. }
            | Segment::Fin { .. }
            | Segment::Ack { .. }
            | Segment::Probe
            | Segment::Refusal { .. }
            | Segment::Reset => self.refuse(packet),
        }
    }

    /// The client's handshake is complete.
    fn syn_ack(&mut self, id: SocketId, peer: Peer, window_end: u64) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let mine = socket.receive_limit as u64;
        let Some(tcp) = socket.tcp_mut() else { return };
        match tcp.state {
            TcpState::Connecting => {
                tcp.state = TcpState::Connected;
                tcp.peer = Some(peer);
                tcp.retry.reset();
                tcp.out.window_end = window_end;
                tcp.input.advertised = mine;
                self.wake(id);
            }
            // The server has sent it again.
            TcpState::Connected => {}
            TcpState::Closed | TcpState::Listening | TcpState::Handshaking => return,
        }
        self.send_segment(id, Segment::Handshake { window_end: mine });
    }

    /// A segment of the client has reached the server's socket: it can be accepted.
    fn establish(&mut self, id: SocketId, window_end: Option<u64>) {
        let Some(tcp) = self.sockets.get_mut(id).and_then(Socket::tcp_mut) else { return };
        if let Some(window_end) = window_end {
            tcp.out.window_end = tcp.out.window_end.max(window_end);
        }
        if tcp.state != TcpState::Handshaking {
            return;
        }
        tcp.state = TcpState::Connected;
        tcp.retry.reset();
        let Some(listener) = tcp.listener else { return };
        let listening = self.sockets.get_mut(listener).and_then(Socket::tcp_mut).map(|tcp| &mut tcp.listening);
        if let Some(listening) = listening {
            listening.handshaking.remove(&id);
            listening.queue.push_back(id);
            self.wake(listener);
        }
    }

    fn data(&mut self, id: SocketId, sequence: u64, bytes: &[u8]) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let is_shut = socket.shut_read && socket.shut_write;
        let is_orphan = socket.is_orphan;
        let Some(tcp) = socket.tcp_mut() else { return };
        // After a loss: segments that were received already, or that come before the lost one.
        let skip = tcp.input.next.saturating_sub(sequence);
        let is_new = sequence <= tcp.input.next && skip < bytes.len() as u64;
        if is_new && is_shut {
            // No program can read it.
            self.send_segment(id, Segment::Reset);
            return if is_orphan { self.forget(id, false) } else { self.fail(id, libc::ECONNRESET) };
        }
        if is_new {
            tcp.input.bytes.extend(&bytes[skip as usize..]);
            tcp.input.next = sequence + bytes.len() as u64;
            self.wake(id);
        }
        self.acknowledge(id);
    }

    fn fin(&mut self, id: SocketId, sequence: u64) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let Some(tcp) = socket.tcp_mut() else { return };
        if sequence == tcp.input.next && !tcp.input.has_fin {
            tcp.input.next += 1;
            tcp.input.has_fin = true;
            socket.shut_read = true;
            self.wake(id);
        }
        self.acknowledge(id);
        self.finish(id);
    }

    fn acknowledge(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let limit = socket.receive_limit;
        let Some(tcp) = socket.tcp_mut() else { return };
        let window_end = tcp.input.window_end(limit);
        tcp.input.advertised = window_end;
        let next = tcp.input.next;
        self.send_segment(id, Segment::Ack { next, window_end });
    }

    fn ack(&mut self, id: SocketId, next: u64, window_end: u64) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let limit = socket.send_limit;
        let Role::Tcp(tcp) = &mut socket.role else { return };
        let out = &mut tcp.out;
        out.window_end = out.window_end.max(window_end);
        if next > out.acked {
            let bytes = ((next - out.acked) as usize).min(out.bytes.len());
            out.bytes.drain(..bytes);
            out.acked = next;
            out.sent = out.sent.max(next);
            tcp.retry.progresses();
        }
        // Otherwise what comes after it may be lost.
        if out.acked == out.sent {
            tcp.retry.reset();
        }
        if socket.no_space && Socket::has_place(tcp.out.bytes.len(), limit) {
            socket.no_space = false;
            self.wake(id);
        }
        self.pump(id);
        self.finish(id);
    }

    /// The peer, or a link, has reset the connection.
    pub(super) fn reset(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let is_orphan = socket.is_orphan;
        let Some(tcp) = socket.tcp_mut() else { return };
        let error = match tcp.state {
            TcpState::Closed | TcpState::Listening => return,
            TcpState::Handshaking => return self.forget_child(id),
            TcpState::Connecting => libc::ECONNREFUSED,
            // The peer has sent all that it had.
            TcpState::Connected if tcp.input.has_fin && tcp.out.fin.is_none() => libc::EPIPE,
            TcpState::Connected => libc::ECONNRESET,
        };
        if is_orphan { self.forget(id, false) } else { self.fail(id, error) }
    }

    /// A connection that was never established.
    pub(super) fn forget_child(&mut self, id: SocketId) {
        let listener = self.sockets.get_mut(id).and_then(|socket| socket.tcp()?.listener);
        let listener = listener.and_then(|listener| self.sockets.get_mut(listener)?.tcp_mut());
        listener.into_iter().for_each(|tcp| {
            tcp.listening.handshaking.remove(&id);
        });
        self.forget(id, false);
    }

    /// The connection has failed.
    pub(super) fn fail(&mut self, id: SocketId, error: i32) {
        self.disconnect(id, true);
        if let Some(socket) = self.sockets.get_mut(id) {
            socket.error = Some(error);
        }
        self.wake(id);
    }

    /// A timer is due: sends again what was lost.
    fn retry(&mut self, id: SocketId, number: u32) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let Some(kind) = socket.retry_kind() else { return };
        let (is_orphan, limit) = (socket.is_orphan, socket.receive_limit);
        let Some(tcp) = socket.tcp_mut() else { return };
        if !tcp.retry.fires(number) {
            return;
        }
        let (state, connection) = (tcp.state, tcp.connection);
        if tcp.retry.is_over(kind) {
            self.fault(Fault::TimedOut, id, kind as u32);
            return match state {
                TcpState::Handshaking => self.forget_child(id),
                _ if is_orphan => self.forget(id, false),
                TcpState::Closed | TcpState::Listening | TcpState::Connecting | TcpState::Connected => {
                    self.fail(id, libc::ETIMEDOUT);
                }
            };
        }
        match state {
            TcpState::Connecting => self.send_syn(id),
            TcpState::Handshaking => {
                self.send_segment(id, Segment::SynAck { connection, window_end: limit as u64 });
            }
            TcpState::Connected => {
                tcp.out.sent = tcp.out.acked;
                if tcp.out.window_end <= tcp.out.sent && tcp.out.fin != Some(tcp.out.sent) {
                    self.send_segment(id, Segment::Probe);
                }
                self.pump(id);
            }
            TcpState::Closed | TcpState::Listening => {}
        }
    }
}
