//! The sockets of a world, and what epoll would report of each.
//!
//! Called by every file of the room above it.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::address::{Address, Family, Kind, SocketId, os};
use super::retry::{Retry, RetryKind};

/// What the network reports readiness to.
pub(crate) trait Sink: Send + Sync {
    /// An edge, as an edge-triggered epoll reports it: all events that hold now. Called without a lock of the network.
    fn ready(&self, token: u64, epoll_events: u32);
}

/// Events of epoll.
pub(super) const IN: u32 = libc::EPOLLIN as u32;
pub(super) const OUT: u32 = libc::EPOLLOUT as u32;
pub(super) const RDHUP: u32 = libc::EPOLLRDHUP as u32;
pub(super) const HUP: u32 = libc::EPOLLHUP as u32;
pub(super) const ERR: u32 = libc::EPOLLERR as u32;

/// One socket. It may outlive its descriptor, as long as the connection has work to do.
pub(super) struct Socket {
    pub(super) host: usize,
    pub(super) family: Family,
    pub(super) kind: Kind,
    /// The error that the next call returns.
    pub(super) error: Option<i32>,
    pub(super) shut_read: bool,
    pub(super) shut_write: bool,
    /// The program has found no place to write, so it waits for an edge.
    pub(super) no_space: bool,
    /// Its readiness is reported at the end of this call.
    pub(super) is_dirty: bool,
    pub(super) watch: Option<(Arc<dyn Sink>, u64)>,
    /// The program has closed it.
    pub(super) is_orphan: bool,
    pub(super) reuse: bool,
    pub(super) reuse_port: bool,
    pub(super) only_v6: bool,
    pub(super) send_limit: usize,
    pub(super) receive_limit: usize,
    pub(super) role: Role,
}

/// What the socket is.
pub(super) enum Role {
    Tcp(Box<Tcp>),
    Udp(Box<Udp>),
    UnixStream(Box<UnixStream>),
    UnixDatagram(Box<UnixDatagram>),
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("host", &self.host).field("family", &self.family).finish_non_exhaustive()
    }
}

/// The state of a TCP socket. What Linux has more states for is in `shut_write`, [`Outgoing`] and [`Incoming`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TcpState {
    /// Without a connection: new, or after the end of one.
    Closed,
    Listening,
    /// `SYN_SENT`.
    Connecting,
    /// `SYN_RECV`: a server's socket whose client has not answered.
    Handshaking,
    Connected,
}

#[derive(Debug)]
pub(super) struct Tcp {
    pub(super) state: TcpState,
    /// `connect` was called, and has not reported a result since.
    pub(super) is_connecting: bool,
    /// How often the socket was connected: the number of its connection. A server's socket has that of its client.
    pub(super) connection: u32,
    /// The address of `bind`, and then that of the connection.
    pub(super) local: Option<SocketAddr>,
    pub(super) remote: Option<SocketAddr>,
    /// `bind` was called, so the port has a holder.
    pub(super) is_holder: bool,
    /// The connection is among those of its port.
    pub(super) is_user: bool,
    pub(super) peer: Option<Peer>,
    pub(super) out: Outgoing,
    pub(super) input: Incoming,
    pub(super) listening: Listening,
    /// The listener of a connection that was not accepted.
    pub(super) listener: Option<SocketId>,
    pub(super) retry: Retry,
}

#[derive(Debug, Default)]
pub(super) struct Udp {
    /// The address of `bind`.
    pub(super) bound: Option<SocketAddr>,
    /// As `getsockname` returns it.
    pub(super) local: Option<SocketAddr>,
    pub(super) remote: Option<SocketAddr>,
    /// Datagrams with their senders.
    pub(super) queue: VecDeque<(SocketAddr, Vec<u8>)>,
    /// How much of the buffer the queue uses.
    pub(super) used: usize,
}

/// The state of a Unix stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum UnixState {
    #[default]
    New,
    Listening,
    /// It was connected. `shut_read` and `shut_write` say whether it has ended.
    Connected,
}

#[derive(Debug, Default)]
pub(super) struct UnixStream {
    pub(super) state: UnixState,
    pub(super) name: Address,
    /// It has the name of its listener, which is not its own.
    pub(super) is_accepted: bool,
    /// The other end, which may be gone.
    pub(super) peer: Option<SocketId>,
    pub(super) peer_name: Address,
    /// What this end can read.
    pub(super) bytes: VecDeque<u8>,
    /// The pieces of `bytes`: the rest of the length of each, and how much it uses of the sender's buffer.
    pub(super) chunks: VecDeque<(usize, usize)>,
    /// How much of its buffer this end uses.
    pub(super) used: usize,
    pub(super) backlog: usize,
    pub(super) queue: VecDeque<SocketId>,
}

#[derive(Debug, Default)]
pub(super) struct UnixDatagram {
    pub(super) name: Address,
    pub(super) peer: Option<SocketId>,
    pub(super) peer_name: Address,
    pub(super) queue: VecDeque<UnixMessage>,
    /// How much of its buffer this socket uses.
    pub(super) used: usize,
    /// The peer's queue was full at the last attempt to send.
    pub(super) is_peer_full: bool,
    /// Sockets that wait for place in `queue`.
    pub(super) waiting: BTreeSet<SocketId>,
}

#[derive(Debug)]
pub(super) struct UnixMessage {
    pub(super) from: Address,
    pub(super) sender: SocketId,
    pub(super) bytes: Vec<u8>,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) host: usize,
    pub(super) socket: SocketId,
}

/// What a connection sends.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// The bytes from sequence number `acked` on.
    pub(super) bytes: VecDeque<u8>,
    pub(super) acked: u64,
    pub(super) sent: u64,
    /// The peer has no place from here on.
    pub(super) window_end: u64,
    /// The sequence number of the FIN, which was sent or will be after the last byte.
    pub(super) fin: Option<u64>,
    /// The FIN was sent before that of the peer was received, so TIME_WAIT is on this side.
    pub(super) is_first: bool,
    /// When the last segment arrives that is on its way: none overtakes another.
    pub(super) last_arrival: u64,
}

impl Outgoing {
    /// Whether the peer has acknowledged everything and the FIN.
    pub(super) fn is_finished(&self) -> bool {
        self.fin.is_some_and(|fin| self.acked > fin)
    }

    /// The sequence number after the last byte.
    pub(super) fn end(&self) -> u64 {
        self.acked + self.bytes.len() as u64
    }
}

/// What a connection receives.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    pub(super) bytes: VecDeque<u8>,
    /// The next sequence number.
    pub(super) next: u64,
    /// The end of the window that the peer knows.
    pub(super) advertised: u64,
    pub(super) has_fin: bool,
}

impl Incoming {
    /// The end of the window of a buffer with this limit. It never moves back.
    pub(super) fn window_end(&self, limit: usize) -> u64 {
        let free = limit.saturating_sub(self.bytes.len()) as u64;
        (self.next + free).max(self.advertised)
    }
}

/// What a listener has.
#[derive(Debug, Default)]
pub(super) struct Listening {
    pub(super) backlog: usize,
    pub(super) queue: VecDeque<SocketId>,
    /// Connections whose client has not answered.
    pub(super) handshaking: BTreeSet<SocketId>,
}

impl Tcp {
    /// The connection has ended with a FIN in both directions. If the peer repeats its own, it is acknowledged again.
    pub(super) fn is_graceful(&self) -> bool {
        self.state == TcpState::Closed && self.out.is_finished() && self.input.has_fin
    }

    pub(super) fn new() -> Self {
        Self {
            state: TcpState::Closed,
            is_connecting: false,
            connection: 0,
            local: None,
            remote: None,
            is_holder: false,
            is_user: false,
            peer: None,
            out: Outgoing::default(),
            input: Incoming::default(),
            listening: Listening::default(),
            listener: None,
            retry: Retry::default(),
        }
    }
}

impl Socket {
    pub(super) fn new(host: usize, family: Family, kind: Kind, role: Role) -> Self {
        let (send_limit, receive_limit) = match role {
            Role::Tcp(_) => (SEND_LIMIT, RECEIVE_LIMIT),
            Role::Udp(_) | Role::UnixStream(_) | Role::UnixDatagram(_) => (OTHER_LIMIT, OTHER_LIMIT),
        };
        Self {
            host,
            family,
            kind,
            error: None,
            shut_read: false,
            shut_write: false,
            no_space: false,
            is_dirty: false,
            watch: None,
            is_orphan: false,
            reuse: false,
            reuse_port: false,
            only_v6: false,
            send_limit,
            receive_limit,
            role,
        }
    }

    /// What epoll would report. As on Linux, a socket without place for writes is then one that waits for it.
    pub(super) fn readiness(&mut self) -> u32 {
        let (is_closed, has_input, has_place) = match &self.role {
            Role::Tcp(tcp) => match tcp.state {
                TcpState::Listening => return if tcp.listening.queue.is_empty() { 0 } else { IN },
                TcpState::Connecting | TcpState::Handshaking => return self.shut_events(false),
                TcpState::Closed | TcpState::Connected => {
                    let has_place = self.shut_write || Self::has_place(tcp.out.bytes.len(), self.send_limit);
                    (tcp.state == TcpState::Closed, !tcp.input.bytes.is_empty(), has_place)
                }
            },
            Role::Udp(udp) => (false, !udp.queue.is_empty(), true),
            Role::UnixStream(stream) => match stream.state {
                UnixState::Listening => return if stream.queue.is_empty() { 0 } else { IN },
                UnixState::New | UnixState::Connected => {
                    let has_place = stream.used <= self.send_limit / 4;
                    (stream.state == UnixState::New, !stream.bytes.is_empty(), has_place)
                }
            },
            Role::UnixDatagram(datagram) => {
                let has_place = datagram.used <= self.send_limit / 4 && !datagram.is_peer_full;
                (false, !datagram.queue.is_empty(), has_place)
            }
        };
        self.no_space |= !has_place;
        self.shut_events(is_closed) | if has_input { IN } else { 0 } | if has_place { OUT } else { 0 }
    }

    fn shut_events(&self, is_closed: bool) -> u32 {
        let mut events = 0;
        if (self.shut_read && self.shut_write) || is_closed {
            events |= HUP;
        }
        if self.shut_read {
            events |= IN | RDHUP;
        }
        if self.error.is_some() {
            events |= ERR;
        }
        events
    }

    /// Whether a stream is writable: a third of its buffer is free.
    pub(super) fn has_place(used: usize, limit: usize) -> bool {
        used <= limit / 3 * 2
    }

    /// What the retransmission timer is for.
    pub(super) fn retry_kind(&self) -> Option<RetryKind> {
        match self.tcp()?.state {
            TcpState::Connecting => Some(RetryKind::Syn),
            TcpState::Handshaking => Some(RetryKind::SynAck),
            TcpState::Connected if self.is_orphan => Some(RetryKind::OrphanData),
            TcpState::Connected => Some(RetryKind::Data),
            TcpState::Closed | TcpState::Listening => None,
        }
    }

    pub(super) fn tcp(&self) -> Option<&Tcp> {
        match &self.role {
            Role::Tcp(tcp) => Some(tcp),
            Role::Udp(_) | Role::UnixStream(_) | Role::UnixDatagram(_) => None,
        }
    }

    pub(super) fn tcp_mut(&mut self) -> Option<&mut Tcp> {
        match &mut self.role {
            Role::Tcp(tcp) => Some(tcp),
            Role::Udp(_) | Role::UnixStream(_) | Role::UnixDatagram(_) => None,
        }
    }
}

/// All sockets, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<TableEntry>);

#[derive(Debug)]
enum TableEntry {
    Open(Box<Socket>),
    /// It was closed. `is_graceful`: with a FIN, so it still acknowledges the peer's.
    Closed {
        is_graceful: bool,
    },
    /// Its host has crashed.
    Lost,
}

impl Table {
    pub(super) fn add(&mut self, socket: Socket) -> SocketId {
        self.0.push(TableEntry::Open(Box::new(socket)));
        SocketId(self.0.len() as u32 - 1)
    }

    /// The socket, if it exists. It may be one that the program has closed.
    pub(super) fn get_mut(&mut self, id: SocketId) -> Option<&mut Socket> {
        match self.0.get_mut(id.0 as usize) {
            Some(TableEntry::Open(socket)) => Some(socket),
            Some(TableEntry::Closed { .. } | TableEntry::Lost) | None => None,
        }
    }

    /// The socket of a program's call.
    pub(super) fn opened(&mut self, id: SocketId) -> io::Result<&mut Socket> {
        match self.0.get_mut(id.0 as usize) {
            Some(TableEntry::Open(socket)) if !socket.is_orphan => Ok(socket),
            Some(TableEntry::Open(_) | TableEntry::Closed { .. }) | None => os(libc::EBADF),
            Some(TableEntry::Lost) => os(libc::EIO),
        }
    }

    pub(super) fn remove(&mut self, id: SocketId, is_graceful: bool) -> Option<Socket> {
        self.replace(id, TableEntry::Closed { is_graceful })
    }

    pub(super) fn lose(&mut self, id: SocketId) {
        self.replace(id, TableEntry::Lost);
    }

    fn replace(&mut self, id: SocketId, by: TableEntry) -> Option<Socket> {
        let entry = self.0.get_mut(id.0 as usize)?;
        match std::mem::replace(entry, by) {
            TableEntry::Open(socket) => Some(*socket),
            gone @ (TableEntry::Closed { .. } | TableEntry::Lost) => {
                *entry = gone;
                None
            }
        }
    }

    pub(super) fn was_graceful(&self, id: SocketId) -> bool {
        matches!(self.0.get(id.0 as usize), Some(TableEntry::Closed { is_graceful: true }))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SocketId, &Socket)> {
        self.0.iter().enumerate().filter_map(|(index, entry)| match entry {
            TableEntry::Open(socket) => Some((SocketId(index as u32), &**socket)),
            TableEntry::Closed { .. } | TableEntry::Lost => None,
        })
    }
}

/// The bytes that a TCP connection holds that its peer has not acknowledged: with [`RECEIVE_LIMIT`] about what loopback has.
const SEND_LIMIT: usize = 2 << 20;
/// The bytes that a TCP connection holds that the program has not read.
const RECEIVE_LIMIT: usize = 512 << 10;
/// The buffers of other sockets (`net.core.wmem_default`), in bytes of memory.
const OTHER_LIMIT: usize = 212_992;
