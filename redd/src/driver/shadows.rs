//! The sockets of a simulated world, and the descriptors that stand for them.
//!
//! Each simulated socket has a *shadow*: a real socket of its family that is never bound or connected. Programs set and read options
//! there, and it has a descriptor number. Bytes and addresses are those of the simulated socket. Neither the inode of a shadow nor its
//! number reaches the network, which numbers sockets by itself.
//!
//! Called by `operations`, and by `Driver` and `Registration` for registered sockets.
//!
//! # Invariants
//! - `by-inode`: a shadow is found by the inode of its socket. So it is found again after a program has taken the descriptor out of a
//!   socket and has passed it in elsewhere, and a descriptor number that is used again means nothing.
//! - `shadow-outlives`: a registered socket is closed in the network before its shadow is closed. One that was taken out is closed when
//!   a driver of the world waits and the shadow is closed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Shutdown};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use super::simulated::{Events, SimulatedDriver};
use super::unix_paths;
use crate::network::{self, Address, Family, Kind, Network, Sink, SocketId};
use crate::primitives::Mutex;
use crate::primitives::baton::{self, Baton};
use crate::sys;

impl Sink for Events {
    fn ready(&self, token: u64, epoll_events: u32) {
        self.add(token, epoll_events);
    }
}

/// The sockets of a world: a part of it.
#[derive(Debug)]
pub(super) struct Shadows {
    network: Arc<Network>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// `by-inode`.
    ids: BTreeMap<u64, SocketId>,
    shadows: BTreeMap<SocketId, Shadow>,
    /// Sockets that a program has taken out of their registration. It may close the descriptor, which reports that to nobody.
    taken_out: Vec<SocketId>,
    /// Connections that were accepted when there was no descriptor for a shadow, with their listener and peer.
    without_shadow: Vec<(SocketId, SocketId, Address)>,
}

/// The descriptor of a simulated socket.
#[derive(Debug)]
struct Shadow {
    inode: u64,
    fd: RawFd,
    family: Family,
    kind: Kind,
    is_listener: bool,
    is_registered: bool,
}

/// The world of the calling thread, for sockets that no driver has.
#[derive(Debug)]
pub(super) struct Here {
    shadows: Arc<Shadows>,
    host: usize,
}

/// `None` on a thread that belongs to no world.
#[inline]
pub(super) fn here() -> Option<Here> {
    if baton::is_any() { find_here() } else { None }
}

#[cold]
fn find_here() -> Option<Here> {
    let (baton, host) = baton::current_host()?;
    Some(Here { shadows: Shadows::of(&baton), host })
}

/// A registered socket in a world.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registered<'a> {
    driver: &'a SimulatedDriver,
    id: SocketId,
}

impl Shadows {
    fn of(baton: &Arc<Baton>) -> Arc<Self> {
        if let Some(shadows) = baton.existing_part() {
            return shadows;
        }
        let network = network::of(baton);
        baton.part(|| Arc::new(Self { network, table: Mutex::new(Table::default()) }))
    }

    /// The simulated socket of this descriptor, if it has one.
    fn find(&self, fd: BorrowedFd<'_>) -> io::Result<Option<SocketId>> {
        let inode = sys::descriptor::inode(fd)?;
        Ok(self.table.lock().ids.get(&inode).copied())
    }

    /// The simulated socket of this descriptor. A new socket of the system becomes the shadow of a new one.
    fn find_or_adopt(&self, host: usize, fd: BorrowedFd<'_>) -> io::Result<SocketId> {
        if let Some(id) = self.find(fd)? {
            return Ok(id);
        }
        let socket = SockRef::from(&fd);
        let (family, kind) = (family_of(socket.domain()?)?, kind_of(socket.r#type()?)?);
        let is_bound = socket.local_addr().is_ok_and(|address| match address.as_socket() {
            Some(address) => address.port() != 0,
            None => !address.is_unnamed(),
        });
        if is_bound || socket.peer_addr().is_ok() {
            return Err(super::errors::outside_of_world(fd.as_raw_fd()));
        }
        let id = self.network.open(host, family, kind);
        self.add(id, fd, family, kind)?;
        Ok(id)
    }

    fn add(&self, id: SocketId, fd: BorrowedFd<'_>, family: Family, kind: Kind) -> io::Result<()> {
        let inode = sys::descriptor::inode(fd)?;
        let shadow = Shadow { inode, fd: fd.as_raw_fd(), family, kind, is_listener: false, is_registered: false };
        let mut table = self.table.lock();
        table.ids.insert(inode, id);
        table.shadows.insert(id, shadow);
        Ok(())
    }

    /// Passes buffer sizes on that the program has set on the shadow.
    fn pass_buffers_on(&self, id: SocketId, fd: BorrowedFd<'_>) -> io::Result<()> {
        let is_set = sys::descriptor::buffers_set(fd);
        if is_set.contains(&true) {
            let socket = SockRef::from(&fd);
            // The kernel doubles what a program sets, and reports the double.
            let [send, receive] = [socket.send_buffer_size()? / 2, socket.recv_buffer_size()? / 2];
            self.network.set_buffers(id, is_set[0].then_some(send), is_set[1].then_some(receive));
        }
        Ok(())
    }

    /// Closes the simulated sockets whose shadows the program has closed after it had taken them out.
    fn close_abandoned(&self) {
        let taken_out = self.table.lock().taken_out.clone();
        for id in taken_out {
            let shadow = self.table.lock().shadows.get(&id).map(|shadow| (shadow.fd, shadow.inode));
            let is_open =
                |(fd, inode)| sys::descriptor::inode_of(fd) == Some(inode) || sys::descriptor::is_socket_open(inode);
            if !shadow.is_some_and(is_open) {
                self.close(id);
            }
        }
    }

    /// Closes the simulated socket.
    fn close(&self, id: SocketId) {
        let mut table = self.table.lock();
        table.taken_out.retain(|taken_out| *taken_out != id);
        let shadow = table.shadows.remove(&id);
        if let Some(shadow) = &shadow {
            table.ids.remove(&shadow.inode);
        }
        let (lost, kept) =
            std::mem::take(&mut table.without_shadow).into_iter().partition(|(listener, ..)| *listener == id);
        table.without_shadow = kept;
        drop(table);
        let lost: Vec<(SocketId, SocketId, Address)> = lost;
        self.network.unwatch(id);
        // `shadow-outlives`: the descriptor is open.
        self.network.close(id, shadow.and_then(|shadow| sys::descriptor::linger(shadow.fd)));
        lost.into_iter().for_each(|(_, id, _)| self.network.close(id, None));
    }

    fn accept(&self, id: SocketId, listener: BorrowedFd<'_>) -> io::Result<(Socket, SockAddr)> {
        let kept = {
            let mut table = self.table.lock();
            let kept = table.without_shadow.iter().position(|(listener, ..)| *listener == id);
            kept.map(|kept| table.without_shadow.remove(kept))
        };
        let (accepted, peer) = match kept {
            Some((_, accepted, peer)) => (accepted, peer),
            None => self.network.accept(id)?,
        };
        let family = self.table.lock().shadows.get(&id).map_or(Family::V4, |shadow| shadow.family);
        let socket = match new_shadow(family, Kind::Stream) {
            Ok(socket) => socket,
            Err(error) => {
                // The connection stays in the queue of the listener.
                self.table.lock().without_shadow.insert(0, (id, accepted, peer));
                return Err(error);
            }
        };
        inherit_options(&SockRef::from(&listener), &socket);
        self.add(accepted, socket.as_fd(), family, Kind::Stream)?;
        Ok((socket, to_system(&peer)?))
    }

    /// Describes a socket, such as `tcp 10.0.0.1:80 to 10.0.0.2:49152`.
    fn describe(&self, id: SocketId) -> Option<Box<str>> {
        let (family, kind, is_listener) = {
            let table = self.table.lock();
            let shadow = table.shadows.get(&id)?;
            (shadow.family, shadow.kind, shadow.is_listener)
        };
        let kind = match (is_listener, family, kind) {
            (true, Family::Unix, _) => "unix listener",
            (true, Family::V4 | Family::V6, _) => "tcp listener",
            (false, Family::Unix, Kind::Stream) => "unix stream",
            (false, Family::Unix, Kind::Datagram) => "unix datagram",
            (false, Family::V4 | Family::V6, Kind::Stream) => "tcp",
            (false, Family::V4 | Family::V6, Kind::Datagram) => "udp",
        };
        let name = |address: io::Result<Address>| match address {
            Ok(Address::Inet(address)) => Some(address.to_string()),
            Ok(Address::Path(path)) => Some(path.display().to_string()),
            Ok(Address::Abstract(_) | Address::Unnamed) | Err(_) => None,
        };
        let local = name(self.network.local_addr(id)).map_or(String::new(), |name| format!(" {name}"));
        let peer = name(self.network.peer_addr(id)).map_or(String::new(), |name| format!(" to {name}"));
        Some(format!("{kind}{local}{peer}").into())
    }
}

impl Here {
    pub(super) fn open(&self, domain: Domain, ty: Type) -> io::Result<Socket> {
        expect_alive()?;
        let (family, kind) = (family_of(domain)?, kind_of(ty)?);
        let socket = new_shadow(family, kind)?;
        self.shadows.add(self.shadows.network.open(self.host, family, kind), socket.as_fd(), family, kind)?;
        Ok(socket)
    }

    pub(super) fn pair(&self, ty: Type) -> io::Result<(Socket, Socket)> {
        expect_alive()?;
        let kind = kind_of(ty)?;
        let sockets = (new_shadow(Family::Unix, kind)?, new_shadow(Family::Unix, kind)?);
        let ids = self.shadows.network.pair(self.host, kind);
        self.shadows.add(ids.0, sockets.0.as_fd(), Family::Unix, kind)?;
        self.shadows.add(ids.1, sockets.1.as_fd(), Family::Unix, kind)?;
        Ok(sockets)
    }

    pub(super) fn bind(&self, fd: BorrowedFd<'_>, address: &SockAddr) -> io::Result<()> {
        expect_alive()?;
        let id = self.shadows.find_or_adopt(self.host, fd)?;
        let socket = SockRef::from(&fd);
        self.shadows.network.set_reuse(id, socket.reuse_address()?);
        self.shadows.network.set_reuse_port(id, socket.reuse_port()?);
        self.shadows.network.set_only_v6(id, socket.only_v6().unwrap_or(false));
        let address = from_system(address);
        if let Address::Path(path) = &address {
            unix_paths::check_free(path)?;
        }
        self.shadows.network.bind(id, &address)
    }

    pub(super) fn listen(&self, fd: BorrowedFd<'_>, backlog: u32) -> io::Result<()> {
        expect_alive()?;
        let id = self.shadows.find_or_adopt(self.host, fd)?;
        self.shadows.pass_buffers_on(id, fd)?;
        self.shadows.network.listen(id, backlog)?;
        if let Some(shadow) = self.shadows.table.lock().shadows.get_mut(&id) {
            shadow.is_listener = true;
        }
        Ok(())
    }

    pub(super) fn connect(&self, fd: BorrowedFd<'_>, address: &SockAddr) -> io::Result<()> {
        expect_alive()?;
        let id = self.shadows.find_or_adopt(self.host, fd)?;
        self.shadows.pass_buffers_on(id, fd)?;
        let address = from_system(address);
        match self.shadows.network.connect(id, &address) {
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
            Err(error) => Err(unix_paths::explain(error, &address)),
            Ok(()) => Ok(()),
        }
    }

    /// `None` if nothing has happened to the socket, so that its shadow has the result.
    pub(super) fn local_addr(&self, fd: BorrowedFd<'_>) -> io::Result<Option<SockAddr>> {
        let Some(id) = self.shadows.find(fd)? else { return Ok(None) };
        to_system(&self.shadows.network.local_addr(id)?).map(Some)
    }

    pub(super) fn take_error(&self, fd: BorrowedFd<'_>) -> io::Result<Option<io::Error>> {
        match self.shadows.find(fd)? {
            Some(id) => self.shadows.network.take_error(id),
            None => Ok(None),
        }
    }

    /// The descriptor is about to be closed without having been registered.
    pub(super) fn close_unregistered(&self, fd: BorrowedFd<'_>) {
        let Ok(Some(id)) = self.shadows.find(fd) else { return };
        let is_registered = self.shadows.table.lock().shadows.get(&id).is_some_and(|shadow| shadow.is_registered);
        if !is_registered {
            self.shadows.close(id);
        }
    }

    pub(super) fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        expect_alive()?;
        self.shadows.network.resolve(self.host, name)
    }
}

impl SimulatedDriver {
    fn shadows(&self) -> Arc<Shadows> {
        Shadows::of(self.baton())
    }

    /// Registers the socket of this descriptor; its readiness is reported with `token`. Returns its number.
    pub(super) fn register(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<u32> {
        self.check_thread()?;
        let shadows = self.shadows();
        let id = shadows.find_or_adopt(self.host(), fd)?;
        {
            let mut table = shadows.table.lock();
            let Some(shadow) = table.shadows.get_mut(&id) else { return Err(io::ErrorKind::NotFound.into()) };
            if std::mem::replace(&mut shadow.is_registered, true) {
                return Err(io::Error::from_raw_os_error(libc::EEXIST));
            }
            shadow.fd = fd.as_raw_fd();
            table.taken_out.retain(|taken_out| *taken_out != id);
        }
        shadows.pass_buffers_on(id, fd)?;
        shadows.network.watch(id, Arc::clone(self.events()) as Arc<dyn Sink>, token);
        Ok(id.number())
    }

    /// Ends a registration. The program has the descriptor from here on.
    pub(super) fn unregister(&self, number: u32) {
        let (shadows, id) = (self.shadows(), SocketId::from_number(number));
        shadows.network.unwatch(id);
        let mut table = shadows.table.lock();
        if let Some(shadow) = table.shadows.get_mut(&id) {
            shadow.is_registered = false;
            table.taken_out.push(id);
        }
    }

    /// The program has run for a while: sockets that it has taken out may be closed by now.
    pub(super) fn close_abandoned(&self) {
        if let (Some(shadows), true) = (self.baton().existing_part::<Shadows>(), self.baton().is_here()) {
            shadows.close_abandoned();
        }
    }

    /// Ends a registration, and closes the socket.
    pub(super) fn close(&self, number: u32) {
        // On a thread outside of the world it stays open: when that thread runs is no event of the world.
        if self.baton().is_here() {
            self.shadows().close(SocketId::from_number(number));
        }
    }

    pub(super) fn describe(&self, number: u32) -> Option<Box<str>> {
        self.shadows().describe(SocketId::from_number(number))
    }

    pub(super) fn socket(&self, number: u32) -> Registered<'_> {
        Registered { driver: self, id: SocketId::from_number(number) }
    }

    fn check_thread(&self) -> io::Result<()> {
        if self.baton().is_here() { expect_alive() } else { Err(super::errors::foreign_thread()) }
    }
}

impl Registered<'_> {
    fn shadows(self) -> io::Result<Arc<Shadows>> {
        self.driver.check_thread()?;
        Ok(self.driver.shadows())
    }

    fn network(self) -> io::Result<Arc<Network>> {
        Ok(Arc::clone(&self.shadows()?.network))
    }

    pub(super) fn recv(self, buf: &mut [u8], is_peek: bool) -> io::Result<usize> {
        self.network()?.recv(self.id, buf, is_peek)
    }

    pub(super) fn recv_uninit(self, buf: &mut [MaybeUninit<u8>], is_peek: bool) -> io::Result<usize> {
        self.recv(sys::net::zeroed(buf), is_peek)
    }

    pub(super) fn recv_from(self, buf: &mut [u8], is_peek: bool) -> io::Result<(usize, SockAddr)> {
        let (len, sender) = self.network()?.recv_from(self.id, buf, is_peek)?;
        Ok((len, to_system(&sender)?))
    }

    pub(super) fn recv_from_uninit(self, buf: &mut [MaybeUninit<u8>], is_peek: bool) -> io::Result<(usize, SockAddr)> {
        self.recv_from(sys::net::zeroed(buf), is_peek)
    }

    /// Fills the buffers in turn. A full one is followed by the next, while there are bytes.
    pub(super) fn recv_vectored(self, bufs: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        let mut total = 0;
        for buf in bufs.iter_mut().filter(|buf| !buf.is_empty()) {
            match self.recv(buf, false) {
                Ok(len) => {
                    total += len;
                    if len < buf.len() {
                        break;
                    }
                }
                Err(error) if total == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(total)
    }

    pub(super) fn send(self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.network()?.send(self.id, bufs)
    }

    /// `EACCES` for a broadcast that the program has not permitted itself (`SO_BROADCAST`).
    fn check_broadcast(self, address: &SockAddr) -> io::Result<()> {
        let is_broadcast = address.as_socket_ipv4().is_some_and(|address| address.ip().is_broadcast());
        if is_broadcast {
            let fd = self.shadows()?.table.lock().shadows.get(&self.id).map(|shadow| shadow.fd);
            if !fd.is_some_and(sys::descriptor::may_broadcast) {
                return Err(io::Error::from_raw_os_error(libc::EACCES));
            }
        }
        Ok(())
    }

    pub(super) fn send_to(self, buf: &[u8], address: &SockAddr) -> io::Result<usize> {
        self.check_broadcast(address)?;
        let address = from_system(address);
        self.network()?.send_to(self.id, buf, &address).map_err(|error| unix_paths::explain(error, &address))
    }

    pub(super) fn accept(self, listener: BorrowedFd<'_>) -> io::Result<(Socket, SockAddr)> {
        self.shadows()?.accept(self.id, listener)
    }

    pub(super) fn connect(self, address: &SockAddr) -> io::Result<()> {
        self.check_broadcast(address)?;
        let address = from_system(address);
        self.network()?.connect(self.id, &address).map_err(|error| unix_paths::explain(error, &address))
    }

    pub(super) fn shutdown(self, how: Shutdown) -> io::Result<()> {
        self.network()?.shutdown(self.id, how)
    }

    pub(super) fn local_addr(self) -> io::Result<SockAddr> {
        to_system(&self.network()?.local_addr(self.id)?)
    }

    pub(super) fn peer_addr(self) -> io::Result<SockAddr> {
        to_system(&self.network()?.peer_addr(self.id)?)
    }

    pub(super) fn take_error(self) -> io::Result<Option<io::Error>> {
        self.network()?.take_error(self.id)
    }
}

/// `EIO` on a thread whose host has crashed since it was started.
fn expect_alive() -> io::Result<()> {
    if baton::is_dead() { Err(io::Error::from_raw_os_error(libc::EIO)) } else { Ok(()) }
}

fn family_of(domain: Domain) -> io::Result<Family> {
    match domain {
        Domain::IPV4 => Ok(Family::V4),
        Domain::IPV6 => Ok(Family::V6),
        Domain::UNIX => Ok(Family::Unix),
        _ => Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT)),
    }
}

fn kind_of(ty: Type) -> io::Result<Kind> {
    match ty {
        Type::STREAM => Ok(Kind::Stream),
        Type::DGRAM => Ok(Kind::Datagram),
        _ => Err(io::Error::from_raw_os_error(libc::ESOCKTNOSUPPORT)),
    }
}

/// Opens a shadow.
fn new_shadow(family: Family, kind: Kind) -> io::Result<Socket> {
    let ty = match kind {
        Kind::Stream => Type::STREAM,
        Kind::Datagram => Type::DGRAM,
    };
    let open = |domain| Socket::new(domain, ty.nonblocking(), None::<Protocol>);
    match family {
        Family::Unix => open(Domain::UNIX),
        Family::V4 => open(Domain::IPV4),
        // A machine without IPv6 has no such socket, but its worlds have.
        Family::V6 => open(Domain::IPV6).or_else(|error| match error.raw_os_error() {
            Some(libc::EAFNOSUPPORT) => open(Domain::IPV4),
            _ => Err(error),
        }),
    }
}

/// An accepted socket begins with the options of its listener.
fn inherit_options(listener: &Socket, socket: &Socket) {
    // An option that this family lacks is not inherited.
    let _ = listener.keepalive().and_then(|value| socket.set_keepalive(value));
    let _ = listener.tcp_nodelay().and_then(|value| socket.set_tcp_nodelay(value));
    let _ = listener.linger().and_then(|value| socket.set_linger(value));
    let _ = listener.ttl_v4().and_then(|value| socket.set_ttl_v4(value));
    let _ = listener.tos_v4().and_then(|value| socket.set_tos_v4(value));
}

/// An address of a program, for the network.
fn from_system(address: &SockAddr) -> Address {
    if let Some(address) = address.as_socket() {
        Address::Inet(address)
    } else if let Some(path) = address.as_pathname() {
        Address::Path(PathBuf::from(path))
    } else if let Some(name) = address.as_abstract_namespace() {
        Address::Abstract(name.to_vec())
    } else {
        Address::Unnamed
    }
}

/// An address of the network, for a program.
fn to_system(address: &Address) -> io::Result<SockAddr> {
    match address {
        Address::Inet(address) => Ok(SockAddr::from(*address)),
        Address::Path(path) => SockAddr::unix(path),
        Address::Abstract(name) => {
            // `socket2` takes a leading NUL byte for an abstract name.
            let bytes: Vec<u8> = std::iter::once(0).chain(name.iter().copied()).collect();
            SockAddr::unix(OsStr::from_bytes(&bytes))
        }
        Address::Unnamed => SockAddr::unix(Path::new("")),
    }
}
