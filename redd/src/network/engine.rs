//! The state of a network, and what its other files have in common: hosts, sending, readiness.
//!
//! Called by the files of the room that have one protocol each, and by `handle`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;

use super::address::{Family, Kind, SocketId};
use super::link::{LinkState, Links, nanos};
use super::packet::{Body, Packet, Queue, Segment};
use super::ports::Ports;
use super::retry::{MAX_RETRANSMISSION_NS, RETRANSMISSION_NS};
use super::socket::{Role, Sink, Socket, Table, Tcp, TcpState};
use crate::primitives::baton::EventKind;
use crate::primitives::rng::Rng;

/// A host of the world.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) v4: IpAddr,
    pub(super) v6: IpAddr,
    pub(super) is_up: bool,
    pub(super) tcp: Ports,
    pub(super) udp: Ports,
    /// The names of Unix sockets. A path without a socket is a file that a closed one has left.
    pub(super) unix: BTreeMap<UnixName, Option<SocketId>>,
    /// Its sockets, for a crash.
    pub(super) sockets: BTreeSet<SocketId>,
}

/// The name of a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum UnixName {
    Path(PathBuf),
    Abstract(Vec<u8>),
}

/// What a call or an arrival has caused, for after the lock.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) edges: Vec<(Arc<dyn Sink>, u64, u32)>,
    pub(super) events: Vec<(EventKind, u32, [u32; 2])>,
    /// Sinks that are watched no longer, which are dropped without the lock.
    pub(super) sinks: Vec<Arc<dyn Sink>>,
}

/// See the module page.
pub(super) struct Engine {
    /// The virtual time, set before each call.
    pub(super) now: u64,
    pub(super) sockets: Table,
    pub(super) hosts: Vec<Host>,
    pub(super) links: Links,
    /// Names of addresses, besides those of hosts.
    pub(super) names: BTreeMap<String, Vec<IpAddr>>,
    pub(super) queue: Queue,
    /// Packets within a host, which arrive before the call returns.
    immediate: VecDeque<Packet>,
    dirty: Vec<SocketId>,
    events: Vec<(EventKind, u32, [u32; 2])>,
    sinks: Vec<Arc<dyn Sink>>,
    pub(super) rng: Rng,
    /// How many of 100 reads and writes are short.
    pub(super) short: u8,
}

/// What became of a packet that did not arrive, as an argument of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Lost = 1,
    Refused = 2,
    HostDown = 3,
    Late = 4,
    BacklogFull = 5,
    TimedOut = 6,
    BufferFull = 7,
    Reordered = 8,
    Duplicated = 9,
    Reset = 10,
    OldConnection = 11,
}

impl Engine {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            now: 0,
            sockets: Table::default(),
            hosts: Vec::new(),
            links: Links::new(seed),
            names: BTreeMap::new(),
            queue: Queue::default(),
            immediate: VecDeque::new(),
            dirty: Vec::new(),
            events: Vec::new(),
            sinks: Vec::new(),
            rng: Rng::new(seed),
            short: 0,
        }
    }

    /// Takes what has happened since the last call.
    pub(super) fn take_effects(&mut self) -> Effects {
        let (events, sinks) = (std::mem::take(&mut self.events), std::mem::take(&mut self.sinks));
        let mut effects = Effects { edges: Vec::new(), events, sinks };
        for id in std::mem::take(&mut self.dirty) {
            let Some(socket) = self.sockets.get_mut(id) else { continue };
            socket.is_dirty = false;
            if let Some((sink, token)) = socket.watch.clone() {
                let events = socket.readiness();
                if events != 0 {
                    effects.edges.push((sink, token, events));
                }
            }
        }
        effects
    }

    pub(super) fn record(&mut self, kind: EventKind, subject: SocketId, arguments: [u32; 2]) {
        self.events.push((kind, subject.0, arguments));
    }

    pub(super) fn fault(&mut self, fault: Fault, subject: SocketId, argument: u32) {
        self.record(EventKind::NetFault, subject, [fault as u32, argument]);
    }

    /// The socket's readiness has an edge.
    pub(super) fn wake(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.get_mut(id) {
            if !std::mem::replace(&mut socket.is_dirty, true) {
                self.dirty.push(id);
            }
        }
    }

    pub(super) fn open(&mut self, host: usize, family: Family, kind: Kind) -> SocketId {
        let role = match (family, kind) {
            (Family::V4 | Family::V6, Kind::Stream) => Role::Tcp(Box::new(Tcp::new())),
            (Family::V4 | Family::V6, Kind::Datagram) => Role::Udp(Box::default()),
            (Family::Unix, Kind::Stream) => Role::UnixStream(Box::default()),
            (Family::Unix, Kind::Datagram) => Role::UnixDatagram(Box::default()),
        };
        self.add_socket(Socket::new(host, family, kind, role))
    }

    pub(super) fn add_socket(&mut self, socket: Socket) -> SocketId {
        let host = socket.host;
        self.need_host(host);
        let id = self.sockets.add(socket);
        if self.hosts[host].is_up {
            self.hosts[host].sockets.insert(id);
        } else {
            self.sockets.lose(id);
        }
        id
    }

    /// No edges of the socket are reported from here on.
    pub(super) fn unwatch(&mut self, id: SocketId) {
        let watch = self.sockets.get_mut(id).and_then(|socket| socket.watch.take());
        self.sinks.extend(watch.map(|(sink, _)| sink));
    }

    /// Removes a socket from the table. Its ports are the caller's business.
    pub(super) fn remove_socket(&mut self, id: SocketId, is_graceful: bool) -> Option<Socket> {
        self.unwatch(id);
        let socket = self.sockets.remove(id, is_graceful)?;
        self.hosts[socket.host].sockets.remove(&id);
        Some(socket)
    }

    /// Adds hosts up to this number.
    pub(super) fn need_host(&mut self, host: usize) {
        while self.hosts.len() <= host {
            let number = self.hosts.len() as u32;
            self.hosts.push(Host {
                name: format!("host{number}"),
                v4: IpAddr::V4(Ipv4Addr::from(FIRST_V4 + number)),
                v6: IpAddr::V6(Ipv6Addr::from(FIRST_V6 + u128::from(number))),
                is_up: true,
                tcp: Ports::default(),
                udp: Ports::default(),
                unix: BTreeMap::new(),
                sockets: BTreeSet::new(),
            });
            self.links.add_host();
        }
    }

    /// The host that has this address, seen from `host`.
    pub(super) fn host_with(&self, host: usize, ip: IpAddr) -> Option<usize> {
        let number = match ip {
            ip if ip.is_loopback() => return Some(host),
            IpAddr::V4(ip) => u128::from(u32::from(ip)).checked_sub(u128::from(FIRST_V4))?,
            IpAddr::V6(ip) => u128::from(ip).checked_sub(FIRST_V6)?,
        };
        usize::try_from(number).ok().filter(|number| *number < self.hosts.len())
    }

    /// Whether a socket of the host can have this address.
    pub(super) fn is_own(&self, host: usize, ip: IpAddr) -> bool {
        ip.is_unspecified() || self.host_with(host, ip) == Some(host)
    }

    /// Sends a packet of `subject`. One that cannot arrive is lost at once. Data of one connection stays in order.
    pub(super) fn transmit(&mut self, subject: SocketId, packet: Packet) {
        let (from, to, length) = (packet.from, packet.to, packet.length());
        self.record(EventKind::NetSent, subject, [length as u32, packet.kind()]);
        let link = self.links.get(from, to);
        match link.state() {
            LinkState::Up => {}
            LinkState::BlackHole => return self.lost(packet, Fault::Lost),
            LinkState::Refused => return self.refuse(&packet),
        }
        let mut at = link.arrival(self.now, length);
        let mut is_late = false;
        let mut timeout = RETRANSMISSION_NS;
        while link.happens(link.link.loss) && timeout < MAX_RETRANSMISSION_NS {
            is_late = true;
            at = at.saturating_add(timeout);
            timeout *= 2;
        }
        if is_late {
            self.fault(Fault::Late, subject, packet.kind());
        }
        // An acknowledgement may overtake others: it says what the earlier ones say, too.
        let out = self.sockets.get_mut(subject).and_then(Socket::tcp_mut).map(|tcp| &mut tcp.out);
        let out = out.filter(|_| !packet.is_acknowledgement());
        let last = out.as_ref().map_or(0, |out| out.last_arrival);
        at = at.max(last);
        // Not if an earlier segment that arrives now may still be in the queue.
        if from == to && at <= self.now && (last < self.now || last == 0) {
            return self.immediate.push_back(packet);
        }
        out.into_iter().for_each(|out| out.last_arrival = at);
        self.queue.push(at, packet);
    }

    /// Sends a datagram of `subject`. It may be lost, late, or arrive twice.
    pub(super) fn transmit_datagram(&mut self, subject: SocketId, packet: Packet) {
        let (from, to, length, kind) = (packet.from, packet.to, packet.length(), packet.kind());
        self.record(EventKind::NetSent, subject, [length as u32, kind]);
        let link = self.links.get(from, to);
        match link.state() {
            LinkState::Up => {}
            LinkState::BlackHole => return self.lost(packet, Fault::Lost),
            LinkState::Refused => return self.refuse(&packet),
        }
        if link.happens(link.link.loss) {
            return self.lost(packet, Fault::Lost);
        }
        let copies = 1 + u64::from(link.happens(link.link.duplicate));
        let is_late = link.happens(link.link.reorder);
        let mut at = link.arrival(self.now, length);
        if is_late {
            // Any datagram that is sent within the longest latency may overtake it.
            at = at.saturating_add(nanos(link.link.latency.end)).saturating_add(link.latency());
        }
        let second = at.saturating_add(link.latency());
        if is_late {
            self.fault(Fault::Reordered, subject, kind);
        }
        if from == to && at <= self.now && copies == 1 {
            return self.immediate.push_back(packet);
        }
        if let (2, Body::Datagram { sender, source, target, bytes }) = (copies, &packet.body) {
            let body = Body::Datagram { sender: *sender, source: *source, target: *target, bytes: bytes.clone() };
            self.queue.push(second, Packet { from, to, body });
            self.fault(Fault::Duplicated, subject, kind);
        }
        self.queue.push(at, packet);
    }

    /// A packet within the host that was sent during this call.
    pub(super) fn next_immediate(&mut self) -> Option<Packet> {
        self.immediate.pop_front()
    }

    /// Answers a packet as a host does that has no socket for it.
    pub(super) fn refuse(&mut self, packet: &Packet) {
        let (sender, body) = match packet.body {
            Body::Segment { segment: Segment::Reset | Segment::Refusal { .. }, .. }
            | Body::Timer { .. }
            | Body::Unreachable { .. } => return,
            Body::Syn { client, connection, .. } => {
                (client, Body::Segment { from: client, to: client, segment: Segment::Refusal { connection } })
            }
            Body::Segment { from, to, .. } => (from, Body::Segment { from: to, to: from, segment: Segment::Reset }),
            Body::Datagram { sender, target, .. } => (sender, Body::Unreachable { to: sender, target }),
        };
        self.fault(Fault::Refused, sender, packet.kind());
        // Of the link back, only the latency counts here. Its state counts on arrival.
        let at = self.now.saturating_add(self.links.get(packet.to, packet.from).latency());
        let reset = Packet { from: packet.to, to: packet.from, body };
        if packet.from == packet.to {
            self.immediate.push_back(reset);
        } else {
            self.queue.push(at, reset);
        }
    }

    /// A packet does not arrive. If its sender will send it again, this starts the timer for that.
    pub(super) fn lost(&mut self, packet: Packet, fault: Fault) {
        let (subject, retries) = match packet.body {
            Body::Syn { client, .. } => (client, Some(client)),
            Body::Datagram { sender, .. } => (sender, None),
            Body::Unreachable { to, .. } => (to, None),
            Body::Timer { .. } => return,
            Body::Segment { from, to, ref segment } => match segment {
                // The receiver of an acknowledgement sends again what was not acknowledged.
                Segment::Ack { .. } => (from, Some(to)),
                // A client without it sends its SYN again, for which the server makes another socket.
                Segment::SynAck { .. } if self.is_connecting(to) => {
                    self.forget_child(from);
                    (from, Some(to))
                }
                Segment::SynAck { .. } | Segment::Data { .. } | Segment::Fin { .. } | Segment::Probe => {
                    (from, Some(from))
                }
                Segment::Handshake { .. } => (from, Some(to)),
                Segment::Reset | Segment::Refusal { .. } => (from, None),
            },
        };
        self.fault(fault, subject, packet.kind());
        retries.into_iter().for_each(|id| self.arm_retry(id));
    }

    /// Sends a segment of a connection.
    pub(super) fn send_segment(&mut self, id: SocketId, segment: Segment) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let from = socket.host;
        let Some(peer) = socket.tcp().and_then(|tcp| tcp.peer) else { return };
        let body = Body::Segment { from: id, to: peer.socket, segment };
        self.transmit(id, Packet { from, to: peer.host, body });
    }

    fn is_connecting(&mut self, id: SocketId) -> bool {
        self.sockets.get_mut(id).and_then(|socket| socket.tcp()).is_some_and(|tcp| tcp.state == TcpState::Connecting)
    }

    /// Starts the timer of a socket that has something to send again.
    pub(super) fn arm_retry(&mut self, id: SocketId) {
        let now = self.now;
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let host = socket.host;
        let Some(kind) = socket.retry_kind() else { return };
        let Some((at, number)) = socket.tcp_mut().and_then(|tcp| tcp.retry.arm(kind, now)) else { return };
        let body = Body::Timer { socket: id, number };
        self.queue.push(at, Packet { from: host, to: host, body });
    }

    /// The addresses of a name.
    pub(super) fn addresses_of(&self, name: &str) -> Option<Vec<IpAddr>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(list) = self.names.get(&name) {
            return Some(list.clone());
        }
        if name == "localhost" {
            return Some(vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        }
        let host = self.hosts.iter().find(|host| host.name.eq_ignore_ascii_case(&name))?;
        Some(vec![host.v4, host.v6])
    }
}

/// Address `10.0.0.1`, that of the first host.
const FIRST_V4: u32 = 0x0a00_0001;
/// Address `fd00::1`.
const FIRST_V6: u128 = 0xfd00_0000_0000_0000_0000_0000_0000_0001;
