//! The ports of one host and one protocol: which socket has which, and which one a packet is for.
//!
//! Called by `inet`, `stream`, `segments` and `datagram`, and by `fault` for a crash.
//!
//! As on Linux, a port has *holders*, which were bound to it, and *users*: connections that a listener accepted or `connect` made.
//! Users count for `bind` alone. A connection that was closed from this side first leaves its port in the state TIME_WAIT for a minute.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

use super::address::{Reach, SocketId, os};

/// A socket that was bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub(super) socket: SocketId,
    pub(super) reach: Reach,
    pub(super) reuse: bool,
    pub(super) reuse_port: bool,
    pub(super) is_listening: bool,
    /// Where a datagram socket is connected to.
    pub(super) remote: Option<SocketAddr>,
}

impl Holder {
    /// Whether this socket cannot have its address because of the other one.
    fn excludes(&self, other: &Self) -> bool {
        let share = (self.reuse_port && other.reuse_port) || (self.reuse && other.reuse && !other.is_listening);
        self.reach.overlaps(other.reach) && !share
    }
}

/// The connections of one local address.
#[derive(Debug, Default)]
struct Users {
    count: u32,
    /// Those without `SO_REUSEADDR`.
    strict: u32,
    /// When the last TIME_WAIT ends.
    wait_until: u64,
    strict_wait_until: u64,
}

impl Users {
    fn exclude(&self, reuse: bool, now: u64) -> bool {
        self.strict > 0 || self.strict_wait_until > now || (!reuse && (self.count > 0 || self.wait_until > now))
    }
}

/// See the module page.
#[derive(Debug)]
pub(super) struct Ports {
    holders: BTreeMap<u16, Vec<Holder>>,
    users: BTreeMap<(u16, IpAddr), Users>,
    /// By the local address and the remote one.
    connections: BTreeMap<(SocketAddr, SocketAddr), SocketId>,
    /// Where the search for a free port starts.
    next: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { holders: BTreeMap::new(), users: BTreeMap::new(), connections: BTreeMap::new(), next: EPHEMERAL }
    }
}

impl Ports {
    /// Binds a socket. Port 0 is a free one.
    pub(super) fn bind(&mut self, holder: Holder, port: u16, now: u64) -> io::Result<u16> {
        let port = match port {
            0 => match self.search(|ports, port| ports.is_unused(port, now)) {
                Some(port) => port,
                None => return os(libc::EADDRINUSE),
            },
            _ => port,
        };
        self.check(&holder, port, now)?;
        self.holders.entry(port).or_default().push(holder);
        Ok(port)
    }

    fn check(&self, holder: &Holder, port: u16, now: u64) -> io::Result<()> {
        let mut holders = self.holders.get(&port).into_iter().flatten();
        let is_held = holders.any(|other| other.socket != holder.socket && holder.excludes(other));
        let is_used = self
            .users_of(port)
            .any(|(ip, users)| holder.reach.overlaps(Reach::new(ip, false)) && users.exclude(holder.reuse, now));
        if is_held || is_used { os(libc::EADDRINUSE) } else { Ok(()) }
    }

    fn users_of(&self, port: u16) -> impl Iterator<Item = (IpAddr, &Users)> {
        let first = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        let last = IpAddr::V6(std::net::Ipv6Addr::from(u128::MAX));
        self.users.range((port, first)..=(port, last)).map(|((_, ip), users)| (*ip, users))
    }

    fn is_unused(&self, port: u16, now: u64) -> bool {
        !self.holders.contains_key(&port)
            && self.users_of(port).all(|(_, users)| users.count == 0 && users.wait_until <= now)
    }

    fn search(&mut self, is_free: impl Fn(&Self, u16) -> bool) -> Option<u16> {
        let after = |port: u16| port.checked_add(1).unwrap_or(EPHEMERAL);
        let mut port = self.next;
        loop {
            if is_free(self, port) {
                self.next = after(port);
                return Some(port);
            }
            port = after(port);
            if port == self.next {
                return None;
            }
        }
    }

    /// The holder that this socket is.
    pub(super) fn holder_mut(&mut self, port: u16, socket: SocketId) -> Option<&mut Holder> {
        self.holders.get_mut(&port)?.iter_mut().find(|holder| holder.socket == socket)
    }

    /// A bound socket begins to listen.
    pub(super) fn listen(&mut self, port: u16, socket: SocketId, now: u64) -> io::Result<()> {
        let Some(mut holder) = self.holder_mut(port, socket).copied() else { return os(libc::EINVAL) };
        holder.is_listening = true;
        self.check(&holder, port, now)?;
        self.holder_mut(port, socket).into_iter().for_each(|kept| kept.is_listening = true);
        Ok(())
    }

    /// The socket gives its port back.
    pub(super) fn release(&mut self, port: u16, socket: SocketId) {
        if let Some(holders) = self.holders.get_mut(&port) {
            holders.retain(|holder| holder.socket != socket);
            if holders.is_empty() {
                self.holders.remove(&port);
            }
        }
    }

    /// A local port for a connection to `remote`. Connections to other destinations may have the same one.
    pub(super) fn for_connection(&mut self, ip: IpAddr, remote: SocketAddr) -> io::Result<u16> {
        let is_free = |ports: &Self, port| {
            !ports.holders.contains_key(&port) && ports.is_new_connection(SocketAddr::new(ip, port), remote)
        };
        self.search(is_free).map_or_else(|| os(libc::EADDRNOTAVAIL), Ok)
    }

    pub(super) fn is_new_connection(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        !self.connections.contains_key(&(local, remote))
    }

    /// The socket of a connection.
    pub(super) fn connection(&self, local: SocketAddr, remote: SocketAddr) -> Option<SocketId> {
        self.connections.get(&(local, remote)).copied()
    }

    /// There is no connection between these addresses, as [`Self::is_new_connection`] has told the caller.
    pub(super) fn add_connection(&mut self, socket: SocketId, local: SocketAddr, remote: SocketAddr, reuse: bool) {
        self.connections.insert((local, remote), socket);
        let users = self.users.entry((local.port(), local.ip())).or_default();
        users.count += 1;
        users.strict += u32::from(!reuse);
    }

    /// A connection has ended. Its port stays in TIME_WAIT until `wait_until`.
    pub(super) fn remove_connection(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        reuse: bool,
        wait_until: u64,
        now: u64,
    ) {
        if self.connections.remove(&(local, remote)).is_none() {
            return;
        }
        let key = (local.port(), local.ip());
        let Some(users) = self.users.get_mut(&key) else { return };
        users.count -= 1;
        users.strict -= u32::from(!reuse);
        users.wait_until = users.wait_until.max(wait_until);
        if !reuse {
            users.strict_wait_until = users.strict_wait_until.max(wait_until);
        }
        if users.count == 0 && users.wait_until <= now {
            self.users.remove(&key);
        }
    }

    /// All sockets of the host are gone. The search for a free port continues, so the next connection does not look like an old one.
    pub(super) fn crash(&mut self) {
        *self = Self { next: self.next, ..Self::default() };
    }

    /// The listener that a connection to this address is for. `choose` chooses one of several that share the port.
    pub(super) fn listener(&self, to: SocketAddr, choose: impl FnOnce(usize) -> usize) -> Option<SocketId> {
        self.best(to.port(), choose, |holder| if holder.is_listening { holder.reach.score(to.ip()) } else { 0 })
    }

    /// The datagram socket that a datagram from `from` to `to` is for.
    pub(super) fn receiver(
        &self,
        from: SocketAddr,
        to: SocketAddr,
        choose: impl FnOnce(usize) -> usize,
    ) -> Option<SocketId> {
        self.best(to.port(), choose, |holder| {
            let score = holder.reach.score(to.ip());
            match holder.remote {
                _ if score == 0 => 0,
                None => score,
                Some(remote) if remote == from => score + CONNECTED,
                Some(_) => 0,
            }
        })
    }

    fn best(&self, port: u16, choose: impl FnOnce(usize) -> usize, score: impl Fn(&Holder) -> u32) -> Option<SocketId> {
        let holders = self.holders.get(&port)?;
        let best = holders.iter().map(&score).max().filter(|best| *best > 0)?;
        let of_best = || holders.iter().filter(|holder| score(holder) == best);
        // Like Linux: the socket that was bound last, unless all share the port on purpose.
        let index = match of_best().count() {
            1 => 0,
            count if of_best().all(|holder| holder.reuse_port) => choose(count),
            count => count - 1,
        };
        of_best().nth(index).map(|holder| holder.socket)
    }
}

/// The first port that is chosen for a socket that asks for none. All from here on are.
const EPHEMERAL: u16 = 49152;
/// A connected datagram socket receives a datagram of its peer rather than any other socket.
const CONNECTED: u32 = 16;
