//! The network as text, for the dump of a world.
//!
//! Called by `network`.

use std::fmt::Write as _;

use super::engine::Engine;
use super::socket::{Role, Socket};

impl Engine {
    pub(super) fn describe(&self, out: &mut String) {
        let _ = writeln!(out, "Network: {} packets on their way.", self.queue.len());
        for (id, socket) in self.sockets.iter() {
            let host = &self.hosts[socket.host].name;
            let _ = writeln!(out, "  socket {} of `{host}`: {}", id.0, describe(socket));
        }
    }
}

fn describe(socket: &Socket) -> String {
    match &socket.role {
        Role::Tcp(tcp) => {
            let end = |address: Option<std::net::SocketAddr>| {
                address.map_or_else(|| "none".to_owned(), |address| address.to_string())
            };
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
        Role::Plain => format!("{:?} {:?}", socket.family, socket.kind),
    }
}
