//! Faults: connections that are reset, and hosts that crash.
//!
//! Called by `handle`. Links have their own in `link`.

use super::engine::{Engine, Fault};

impl Engine {
    /// Each connection between the hosts gets a reset at both ends.
    pub(super) fn reset_between(&mut self, one: usize, other: usize) {
        self.need_host(one.max(other));
        let both = [(one, other), (other, one)];
        for (host, peer) in both.into_iter().take(if one == other { 1 } else { 2 }) {
            let ids: Vec<_> = self.hosts[host].sockets.iter().copied().collect();
            for id in ids {
                let peer_host = self.sockets.get_mut(id).and_then(|socket| socket.tcp()?.peer).map(|peer| peer.host);
                if peer_host == Some(peer) {
                    self.fault(Fault::Reset, id, 0);
                    self.reset(id);
                }
            }
        }
    }

    /// The sockets of the host vanish.
    pub(super) fn crash(&mut self, host: usize) {
        self.need_host(host);
        let host = &mut self.hosts[host];
        host.is_up = false;
        host.tcp.crash();
        host.udp.crash();
        // Their files are gone, too, as in a directory such as `/run` that is empty when a host starts.
        host.unix.clear();
        let ids = std::mem::take(&mut host.sockets);
        for id in ids {
            self.unwatch(id);
            self.sockets.lose(id);
        }
    }
}
