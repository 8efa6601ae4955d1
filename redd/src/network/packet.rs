//! Packets, and the agenda of their arrivals.
//!
//! Called by `engine`, which has the queue, by the files of the protocols, and by `handle`, which takes what is due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;

use super::address::SocketId;

/// What travels from one host to another. A timer is a packet to its own host.
#[derive(Debug)]
pub(super) struct Packet {
    /// The host that sends it.
    pub(super) from: usize,
    /// The host that receives it.
    pub(super) to: usize,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    /// The first segment of a connection. `connection` is its number among those of the client's socket.
    Syn { client: SocketId, connection: u32, source: SocketAddr, target: SocketAddr },
    /// Any other segment of a stream.
    Segment { from: SocketId, to: SocketId, segment: Segment },
    /// A UDP datagram.
    Datagram { sender: SocketId, source: SocketAddr, target: SocketAddr, bytes: Vec<u8> },
    /// A datagram to `target` has found no socket (ICMP).
    Unreachable { to: SocketId, target: SocketAddr },
    /// A timer of a socket. It is void if the socket has a timer with another number meanwhile.
    Timer { socket: SocketId, number: u32 },
}

/// A segment of a stream. Sequence numbers count the bytes of one direction from 0; the FIN has a number, too.
#[derive(Debug)]
pub(super) enum Segment {
    /// The server's socket exists. `window_end` is the first sequence number that it has no place for.
    SynAck {
        connection: u32,
        window_end: u64,
    },
    /// The reset that answers a SYN.
    Refusal {
        connection: u32,
    },
    /// The client has received the `SynAck`.
    Handshake {
        window_end: u64,
    },
    Data {
        sequence: u64,
        bytes: Vec<u8>,
        window_end: u64,
    },
    Fin {
        sequence: u64,
        window_end: u64,
    },
    /// The receiver expects sequence number `next`.
    Ack {
        next: u64,
        window_end: u64,
    },
    /// Asks for an `Ack`.
    Probe,
    Reset,
}

impl Packet {
    /// The bytes on the link, without headers.
    pub(super) fn length(&self) -> usize {
        match &self.body {
            Body::Segment { segment: Segment::Data { bytes, .. }, .. } => bytes.len(),
            Body::Datagram { bytes, .. } => bytes.len(),
            Body::Syn { .. } | Body::Segment { .. } | Body::Unreachable { .. } | Body::Timer { .. } => 0,
        }
    }

    pub(super) fn is_acknowledgement(&self) -> bool {
        matches!(self.body, Body::Segment { segment: Segment::Ack { .. }, .. })
    }

    /// Whether it tells its receiver that a packet was refused.
    pub(super) fn is_refusal(&self) -> bool {
        match &self.body {
            Body::Segment { segment, .. } => matches!(segment, Segment::Reset | Segment::Refusal { .. }),
            Body::Unreachable { .. } => true,
            Body::Syn { .. } | Body::Datagram { .. } | Body::Timer { .. } => false,
        }
    }

    /// The kind, as an argument of events.
    pub(super) fn kind(&self) -> u32 {
        match &self.body {
            Body::Syn { .. } => 1,
            Body::Segment { segment, .. } => match segment {
                Segment::SynAck { .. } => 2,
                Segment::Handshake { .. } => 3,
                Segment::Data { .. } => 4,
                Segment::Fin { .. } => 5,
                Segment::Ack { .. } => 6,
                Segment::Probe => 7,
                Segment::Reset | Segment::Refusal { .. } => 8,
            },
            Body::Timer { .. } => 9,
            Body::Datagram { .. } => 10,
            Body::Unreachable { .. } => 11,
        }
    }
}

#[derive(Debug)]
struct Entry {
    at: u64,
    /// Packets that arrive at one time arrive in the order in which they were sent.
    order: u64,
    packet: Packet,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// The packets that will arrive, the earliest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    next: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: u64, packet: Packet) {
        self.heap.push(Reverse(Entry { at, order: self.next, packet }));
        self.next += 1;
    }

    /// The time of the next arrival.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.heap.peek().map(|entry| entry.0.at)
    }

    /// The next packet that arrives at `now` or before.
    pub(super) fn pop(&mut self, now: u64) -> Option<Packet> {
        if self.next_ns()? > now {
            return None;
        }
        self.heap.pop().map(|entry| entry.0.packet)
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}

/// The kind of bytes between Unix sockets, which need no packet, as an argument of events.
pub(super) const UNIX: u32 = 12;
