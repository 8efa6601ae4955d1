//! Tests of the room: a network without a world, driven by hand. The clock is a number, and sinks write down their edges.

#![allow(clippy::unwrap_used, reason = "these are tests, and clippy sees that only of their functions")]

mod buffers;
mod determinism;
mod faults;
mod ports;
mod random;
mod reset;
mod tcp;
mod udp;
mod unix;

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::engine::Fault;
use super::handle::Outside;
use super::socket::{ERR, HUP, IN, OUT, RDHUP};
use super::{Address, Family, Kind, LinkState, Network, Sink, SocketId};
use crate::primitives::baton::{Agenda, EventKind};

/// A network, and what it has reported.
struct Net {
    network: Network,
    outside: Arc<FakeOutside>,
    edges: Arc<Edges>,
}

/// Time, kind, subject and arguments.
type SeenEvent = (u64, EventKind, u32, [u32; 2]);

#[derive(Default)]
struct FakeOutside {
    now: AtomicU64,
    events: Mutex<Vec<SeenEvent>>,
}

impl Outside for Arc<FakeOutside> {
    fn now_ns(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    fn record(&self, kind: EventKind, subject: u32, arguments: [u32; 2]) {
        self.events.lock().unwrap().push((self.now_ns(), kind, subject, arguments));
    }
}

/// The edges of each token since they were taken last.
#[derive(Default)]
struct Edges(Mutex<BTreeMap<u64, Vec<u32>>>);

impl Sink for Edges {
    fn ready(&self, token: u64, epoll_events: u32) {
        self.0.lock().unwrap().entry(token).or_default().push(epoll_events);
    }
}

impl Net {
    fn new(seed: u64) -> Self {
        let outside = Arc::new(FakeOutside::default());
        Self { network: Network::new(seed, Box::new(Arc::clone(&outside))), outside, edges: Arc::default() }
    }

    /// Watches the socket. The first edge is what is ready at once.
    fn begin_watch(&self, id: SocketId) {
        self.network.watch(id, Arc::clone(&self.edges) as _, id.0.into());
    }

    /// Watches the socket, and forgets what is ready at once.
    fn watch(&self, id: SocketId) {
        self.begin_watch(id);
        self.take(id);
    }

    /// The state of the link from one host to another.
    fn set_state(&self, from: usize, to: usize, state: LinkState) {
        self.network.set_link(Some(from), Some(to), &mut |link| link.state = state);
    }

    /// The edges of a socket since the last call, as text.
    fn take(&self, id: SocketId) -> String {
        let edges = self.edges.0.lock().unwrap().remove(&id.0.into()).unwrap_or_default();
        edges.into_iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    /// Moves the clock to the next arrival. `false`: there is none.
    fn step(&self) -> bool {
        let Some(next) = self.network.next_ns() else { return false };
        self.outside.now.fetch_max(next, Ordering::Relaxed);
        self.network.run_due(self.outside.now_ns());
        true
    }

    /// Lets everything happen that is on its way.
    fn run(&self) {
        while self.step() {}
    }

    fn run_for(&self, time: Duration) {
        let end = self.outside.now_ns() + time.as_nanos() as u64;
        while self.network.next_ns().is_some_and(|next| next <= end) {
            self.step();
        }
        self.outside.now.store(end, Ordering::Relaxed);
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.outside.now_ns())
    }

    /// A listener of this host on all addresses, and the address that others connect to.
    fn listener(&self, host: usize, backlog: u32) -> (SocketId, Address) {
        let id = self.network.open(host, Family::V4, Kind::Stream);
        self.network.bind(id, &v4(Ipv4Addr::UNSPECIFIED.into(), 0)).unwrap();
        self.network.listen(id, backlog).unwrap();
        let address = Address::Inet(SocketAddr::new(self.network.address_of(host), port(&self.network, id)));
        self.watch(id);
        (id, address)
    }

    /// A socket without a name.
    fn open(&self, host: usize, family: Family, kind: Kind) -> SocketId {
        let id = self.network.open(host, family, kind);
        self.watch(id);
        id
    }

    fn client(&self, host: usize, to: &Address) -> SocketId {
        let id = self.network.open(host, Family::V4, Kind::Stream);
        assert_eq!(code(self.network.connect(id, to)), libc::EINPROGRESS);
        self.watch(id);
        id
    }

    /// A connection from one host to another: the client's socket and the server's.
    fn connection(&self, from: usize, to: usize) -> (SocketId, SocketId) {
        let (listener, address) = self.listener(to, 16);
        let client = self.client(from, &address);
        self.run();
        let (server, _) = self.network.accept(listener).unwrap();
        self.watch(server);
        self.take(client);
        (client, server)
    }

    fn send(&self, id: SocketId, bytes: &[u8]) -> io::Result<usize> {
        self.network.send(id, &[IoSlice::new(bytes)])
    }

    fn recv(&self, id: SocketId, count: usize) -> io::Result<Vec<u8>> {
        let mut buf = vec![0; count];
        let count = self.network.recv(id, &mut buf, false)?;
        buf.truncate(count);
        Ok(buf)
    }

    /// Reads all bytes that have arrived.
    fn drain(&self, id: SocketId) -> Vec<u8> {
        let mut all = Vec::new();
        while let Ok(bytes) = self.recv(id, 1 << 16) {
            if bytes.is_empty() {
                break;
            }
            all.extend(bytes);
        }
        all
    }

    /// The error of the socket.
    fn error(&self, id: SocketId) -> Option<i32> {
        self.network.take_error(id).unwrap().and_then(|error| error.raw_os_error())
    }

    /// How often the network had this fault.
    fn faults(&self, fault: Fault) -> usize {
        let events = self.outside.events.lock().unwrap();
        events.iter().filter(|event| event.1 == EventKind::NetFault && event.3[0] == fault as u32).count()
    }

    /// Writes until there is no place. Returns how many bytes.
    fn fill(&self, id: SocketId) -> usize {
        let chunk = vec![7; 1 << 16];
        std::iter::from_fn(|| self.send(id, &chunk).ok()).sum()
    }
}

fn v4(ip: IpAddr, port: u16) -> Address {
    Address::Inet(SocketAddr::new(ip, port))
}

fn inet(address: &Address) -> SocketAddr {
    match address {
        Address::Inet(address) => *address,
        other @ (Address::Path(_) | Address::Abstract(_) | Address::Unnamed) => panic!("{other:?}"),
    }
}

fn port(network: &Network, id: SocketId) -> u16 {
    inet(&network.local_addr(id).unwrap()).port()
}

/// The number of the error.
fn code<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
    let error = result.unwrap_err();
    error.raw_os_error().unwrap_or_else(|| panic!("{error}"))
}

fn shown(events: u32) -> String {
    let names = [(IN, "in"), (OUT, "out"), (RDHUP, "rdhup"), (HUP, "hup"), (ERR, "err")];
    let names: Vec<_> = names.into_iter().filter(|(event, _)| events & event != 0).map(|(_, name)| name).collect();
    names.join("|")
}
