//! The network as text, for the dump of a world.
//!
//! Called by `handle`.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::engine::Engine;
use super::socket::{Role, Socket};

use crate::primitives::count::{PlainCount, bytes};

impl Engine {
    pub(super) fn describe(&self, out: &mut String) {
        if self.sockets.iter().next().is_none() {
            return;
        }
        let packets = PlainCount(self.queue.len() as u64, "packet on its way", "packets on their way");
        let _ = writeln!(out, "Network: {packets}.");
        for (id, socket) in self.sockets.iter() {
            let host = &self.hosts[socket.host].name;
            let _ = writeln!(out, "  socket {} of `{host}`: {}", id.0, describe(socket));
        }
    }
}

fn describe(socket: &Socket) -> String {
    match &socket.role {
        Role::Tcp(tcp) => {
            format!(
                "TCP {:?}, {} to {}, {} to read, {} not acknowledged, {} to accept",
                tcp.state,
                end(tcp.local),
                end(tcp.remote),
                bytes(tcp.input.bytes.len()),
                bytes(tcp.out.bytes.len()),
                tcp.listening.queue.len(),
            )
        }
        Role::Udp(udp) => {
            format!(
                "UDP {} to {}, {} to read",
                end(udp.local),
                end(udp.remote),
                PlainCount(udp.queue.len() as u64, "datagram", "datagrams")
            )
        }
        Role::UnixStream(stream) => format!(
            "Unix stream {:?} {:?} to {:?}, {} to read, {} to accept",
            stream.state,
            stream.name,
            stream.peer_name,
            bytes(stream.bytes.len()),
            stream.queue.len(),
        ),
        Role::UnixDatagram(datagram) => {
            format!("Unix datagrams {:?} to {:?}, {} to read", datagram.name, datagram.peer_name, datagram.queue.len())
        }
    }
}

fn end(address: Option<SocketAddr>) -> String {
    address.map_or_else(|| "none".to_owned(), |address| address.to_string())
}
