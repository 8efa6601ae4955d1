//! The network of a world, as its callers see it: one lock around the engine, and the effects of each call after it.
//!
//! Called by `driver` for the sockets of programs, by `fs` for the files of Unix sockets, by `sim` for hosts and faults, and by the
//! world when packets are due.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Shutdown};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::address::{Address, Family, Kind, SocketId};
use super::engine::{Effects, Engine};
use super::link::{Link, nanos};
use super::socket::Sink;
use crate::primitives::Mutex;
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::AtomicU64;
use crate::primitives::baton::{Agenda, Baton, EventKind};

/// What the network needs of its world.
pub(super) trait Outside: Send + Sync {
    fn now_ns(&self) -> u64;
    fn record(&self, kind: EventKind, subject: u32, arguments: [u32; 2]);
}

impl Outside for Weak<Baton> {
    fn now_ns(&self) -> u64 {
        self.upgrade().map_or(0, |baton| nanos(baton.passed()))
    }

    fn record(&self, kind: EventKind, subject: u32, arguments: [u32; 2]) {
        self.upgrade().iter().for_each(|baton| baton.record(kind, subject, arguments));
    }
}

/// See the page of the room.
pub(crate) struct Network {
    engine: Mutex<Engine>,
    /// The time of the next packet, for the world, which asks without a lock. `u64::MAX` is none.
    next_ns: AtomicU64,
    outside: Box<dyn Outside>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("next_ns", &self.next_ns).finish_non_exhaustive()
    }
}

/// The network of a world. The first call makes it.
pub(crate) fn of(baton: &Arc<Baton>) -> Arc<Network> {
    if let Some(network) = baton.existing_part::<Network>() {
        return network;
    }
    let network = baton.part(|| Arc::new(Network::new(baton.seed() ^ SALT, Box::new(Arc::downgrade(baton)))));
    baton.add_agenda(Arc::clone(&network) as _);
    network
}

impl Network {
    pub(super) fn new(seed: u64, outside: Box<dyn Outside>) -> Self {
        Self { engine: Mutex::new(Engine::new(seed)), next_ns: AtomicU64::new(u64::MAX), outside }
    }

    /// Runs a call with the lock, then delivers what it has sent within its host, then reports edges and events without the lock.
    fn call<T>(&self, f: impl FnOnce(&mut Engine) -> T) -> T {
        let mut engine = self.engine.lock();
        engine.now = self.outside.now_ns();
        let result = f(&mut engine);
        engine.deliver_immediate();
        let effects = engine.take_effects();
        self.next_ns.store(engine.queue.next_ns().unwrap_or(u64::MAX), Ordering::Relaxed);
        drop(engine);
        self.report(effects);
        result
    }

    /// `edges-after-lock`: the caller has released the lock.
    fn report(&self, effects: Effects) {
        effects.events.into_iter().for_each(|(kind, subject, arguments)| self.outside.record(kind, subject, arguments));
        drop(effects.sinks);
        effects.edges.into_iter().for_each(|(sink, token, events)| sink.ready(token, events));
    }

    /// Opens a socket on this host.
    pub(crate) fn open(&self, host: usize, family: Family, kind: Kind) -> SocketId {
        self.call(|engine| engine.open(host, family, kind))
    }

    /// Port 0 is a free one. `EADDRINUSE`: another socket has the address. `EADDRNOTAVAIL`: the host does not have it.
    pub(crate) fn bind(&self, id: SocketId, address: &Address) -> io::Result<()> {
        self.call(|engine| engine.bind(id, address))
    }

    /// Sets `SO_REUSEADDR`.
    pub(crate) fn set_reuse(&self, id: SocketId, is_on: bool) {
        self.call(|engine| engine.sockets.opened(id).into_iter().for_each(|socket| socket.reuse = is_on));
    }

    /// Sets `SO_REUSEPORT`. The seed decides which of several listeners gets a connection.
    pub(crate) fn set_reuse_port(&self, id: SocketId, is_on: bool) {
        self.call(|engine| engine.sockets.opened(id).into_iter().for_each(|socket| socket.reuse_port = is_on));
    }

    /// Sets `IPV6_V6ONLY`.
    pub(crate) fn set_only_v6(&self, id: SocketId, is_on: bool) {
        self.call(|engine| engine.sockets.opened(id).into_iter().for_each(|socket| socket.only_v6 = is_on));
    }

    /// Sets `SO_SNDBUF` and `SO_RCVBUF`, in bytes.
    pub(crate) fn set_buffers(&self, id: SocketId, send: Option<usize>, receive: Option<usize>) {
        self.call(|engine| {
            if let Ok(socket) = engine.sockets.opened(id) {
                socket.send_limit = send.map_or(socket.send_limit, |limit| limit.max(MIN_BUFFER));
                socket.receive_limit = receive.map_or(socket.receive_limit, |limit| limit.max(MIN_BUFFER));
            }
        });
    }

    pub(crate) fn listen(&self, id: SocketId, backlog: u32) -> io::Result<()> {
        self.call(|engine| engine.listen(id, backlog))
    }

    /// `EAGAIN` if no connection is ready.
    pub(crate) fn accept(&self, id: SocketId) -> io::Result<(SocketId, Address)> {
        self.call(|engine| engine.accept(id))
    }

    /// A TCP socket is then writable, and [`Self::take_error`] has the result: the error is `EINPROGRESS`.
    pub(crate) fn connect(&self, id: SocketId, address: &Address) -> io::Result<()> {
        self.call(|engine| engine.connect(id, address))
    }

    /// Receives from a connection or, as [`Self::recv_from`] does, a datagram.
    pub(crate) fn recv(&self, id: SocketId, buf: &mut [u8], peek: bool) -> io::Result<usize> {
        self.recv_from(id, buf, peek).map(|(count, _)| count)
    }

    /// Receives a datagram, and loses what the buffer has no place for. A stream has no address to return.
    pub(crate) fn recv_from(&self, id: SocketId, buf: &mut [u8], peek: bool) -> io::Result<(usize, Address)> {
        self.call(|engine| engine.recv_from(id, buf, peek))
    }

    /// Sends on a connection, or a datagram to the peer. Returns how many bytes were taken.
    pub(crate) fn send(&self, id: SocketId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.call(|engine| engine.send(id, bufs))
    }

    /// Sends a datagram.
    pub(crate) fn send_to(&self, id: SocketId, buf: &[u8], address: &Address) -> io::Result<usize> {
        self.call(|engine| engine.send_to(id, buf, address))
    }

    pub(crate) fn shutdown(&self, id: SocketId, how: Shutdown) -> io::Result<()> {
        self.call(|engine| engine.shutdown(id, how))
    }

    pub(crate) fn local_addr(&self, id: SocketId) -> io::Result<Address> {
        self.call(|engine| engine.local_addr(id))
    }

    /// `ENOTCONN` if it is not connected.
    pub(crate) fn peer_addr(&self, id: SocketId) -> io::Result<Address> {
        self.call(|engine| engine.peer_addr(id))
    }

    /// The error of the socket (`SO_ERROR`), which this takes away.
    pub(crate) fn take_error(&self, id: SocketId) -> io::Result<Option<io::Error>> {
        self.call(|engine| Ok(engine.sockets.opened(id)?.error.take().map(io::Error::from_raw_os_error)))
    }

    /// Two connected Unix sockets of this host.
    pub(crate) fn pair(&self, host: usize, kind: Kind) -> (SocketId, SocketId) {
        self.call(|engine| engine.pair(host, kind))
    }

    /// The file of a Unix socket was removed, so its path is free. Returns whether there was one.
    pub(crate) fn unlink(&self, host: usize, path: &Path) -> bool {
        self.call(|engine| engine.unix_unlink(host, path))
    }

    /// The file of a Unix socket was renamed, so it is found at the new path. Returns whether there was one.
    pub(crate) fn rename(&self, host: usize, from: &Path, to: &Path) -> bool {
        self.call(|engine| engine.unix_rename(host, from, to))
    }

    /// Closes the socket. `linger` is `SO_LINGER`: a time of 0 resets the connection. As for any non-blocking close, another time is
    /// not waited for. Bytes that were not read reset the connection, too.
    pub(crate) fn close(&self, id: SocketId, linger: Option<Duration>) {
        let is_reset = linger.is_some_and(|linger| linger.is_zero());
        // A socket of a host that has crashed is gone already.
        let _ = self.call(|engine| engine.close(id, is_reset));
    }

    /// Reports edges of the socket to this sink from here on. What is ready now is the first edge.
    pub(crate) fn watch(&self, id: SocketId, sink: Arc<dyn Sink>, token: u64) {
        self.call(|engine| {
            engine.unwatch(id);
            if let Ok(socket) = engine.sockets.opened(id) {
                socket.watch = Some((sink, token));
                engine.wake(id);
            }
        });
    }

    pub(crate) fn unwatch(&self, id: SocketId) {
        self.call(|engine| engine.unwatch(id));
    }

    /// The addresses of a host, of `localhost`, or of a name of [`Self::add_name`].
    pub(crate) fn resolve(&self, host: usize, name: &str) -> io::Result<Vec<IpAddr>> {
        self.call(|engine| {
            engine.need_host(host);
            engine.addresses_of(name)
        })
        .ok_or_else(|| io::Error::other(format!(
            "the simulated world has no host with the name `{name}`: add one with `World::host`, or give the name to a host with \
             `World::name`"
        )))
    }

    /// Gives a name to addresses.
    pub(crate) fn add_name(&self, name: &str, addresses: Vec<IpAddr>) {
        self.call(|engine| engine.names.insert(name.to_ascii_lowercase(), addresses));
    }

    /// Adds a host with this number. Returns its IPv4 address.
    pub(crate) fn add_host(&self, host: usize, name: &str) -> IpAddr {
        self.call(|engine| {
            engine.need_host(host);
            name.clone_into(&mut engine.hosts[host].name);
            engine.hosts[host].v4
        })
    }

    pub(crate) fn address_of(&self, host: usize) -> IpAddr {
        self.call(|engine| {
            engine.need_host(host);
            engine.hosts[host].v4
        })
    }

    /// Changes the links from and to these hosts. `None` is all hosts; with two `None`, also links of hosts that are added later.
    /// The links within a host change only if both are named.
    pub(crate) fn set_link(&self, from: Option<usize>, to: Option<usize>, f: &mut dyn FnMut(&mut Link)) {
        self.call(|engine| {
            from.into_iter().chain(to).for_each(|host| engine.need_host(host));
            engine.links.set(from, to, f);
        });
    }

    /// How many of 100 reads and writes are short, by the seed. An edge follows each of them.
    pub(crate) fn set_short(&self, percent: u8) {
        self.call(|engine| engine.short = percent);
    }

    /// Packets between the hosts of both sets are lost from here on, also those that are on their way.
    pub(crate) fn partition(&self, a: &[usize], b: &[usize]) {
        self.call(|engine| {
            a.iter().chain(b).for_each(|host| engine.need_host(*host));
            engine.links.cut(a, b);
        });
    }

    /// Resets all connections between two hosts, as a router does that has lost its state. Both ends notice it.
    pub(crate) fn reset(&self, one: usize, other: usize) {
        self.call(|engine| engine.reset_between(one, other));
    }

    /// Ends all partitions. Links that [`Self::set_link`] has changed stay as they are.
    pub(crate) fn heal(&self) {
        self.call(|engine| engine.links.heal());
    }

    /// The host's sockets vanish, without a packet to their peers. Packets to the host are lost until [`Self::restart`].
    pub(crate) fn crash(&self, host: usize) {
        self.call(|engine| engine.crash(host));
    }

    /// The host is up again, without sockets. It answers packets for the old ones with resets.
    pub(crate) fn restart(&self, host: usize) {
        self.call(|engine| {
            engine.need_host(host);
            engine.hosts[host].is_up = true;
        });
    }
}

impl Agenda for Network {
    fn next_ns(&self) -> Option<u64> {
        // Relaxed: the thread that asks got the baton after the thread that wrote it.
        Some(self.next_ns.load(Ordering::Relaxed)).filter(|next| *next < u64::MAX)
    }

    fn run_due(&self, now_ns: u64) {
        self.call(|engine| {
            while let Some(packet) = engine.queue.pop(now_ns) {
                engine.arrive(packet);
                engine.deliver_immediate();
            }
        });
    }

    fn describe(&self, out: &mut String) {
        self.engine.lock().describe(out);
    }
}

/// Makes the network's choices independent of those of the schedule.
const SALT: u64 = 0x6e65_7477_6f72_6b73;
/// The smallest buffer, in bytes, as Linux has one.
const MIN_BUFFER: usize = 2304;
