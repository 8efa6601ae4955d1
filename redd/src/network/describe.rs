//! The network as text, for the dump of a world.
//!
//! Called by `handle`.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::engine::Engine;
use super::socket::{Role, Socket};

impl Engine {
    pub(super) fn describe(&self, out: &mut String) {
        if self.sockets.iter().next().is_none() {
            return;
        }
        let packets = match self.queue.len() {
            1 => "1 packet on its way".to_owned(),
            count => format!("{count} packets on their way"),
        };
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
                "TCP {:?}, {} to {}, {} bytes to read, {} bytes not acknowledged, {} to accept",
                tcp.state,
                end(tcp.local),
                end(tcp.remote),
                tcp.input.bytes.len(),
                tcp.out.bytes.len(),
                tcp.listening.queue.len(),
            )
        }
        Role::Udp(udp) => {
            format!("UDP {} to {}, {} datagrams to read", end(udp.local), end(udp.remote), udp.queue.len())
        }
        Role::UnixStream(stream) => format!(
            "Unix stream {:?} {:?} to {:?}, {} bytes to read, {} to accept",
            stream.state,
            stream.name,
            stream.peer_name,
            stream.bytes.len(),
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
