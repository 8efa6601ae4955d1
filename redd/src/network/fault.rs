//! Faults: hosts that crash.
//!
//! Called by `network`. Links have their own in `link`.

use super::engine::Engine;
use super::ports::Ports;
use super::socket::Socket;

impl Engine {
    /// The sockets of the host vanish. The caller drops them without the lock.
    pub(super) fn crash(&mut self, host: usize) -> Vec<Socket> {
        self.need_host(host);
        let host = &mut self.hosts[host];
        host.is_up = false;
        host.tcp = Ports::default();
        let ids = std::mem::take(&mut host.sockets);
        ids.into_iter().filter_map(|id| self.sockets.lose(id)).collect()
    }
}
