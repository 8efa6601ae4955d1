//! Faults: hosts that crash.
//!
//! Called by `network`. Links have their own in `link`.

use super::engine::{Engine, UnixName};
use super::ports::Ports;

impl Engine {
    /// The sockets of the host vanish.
    pub(super) fn crash(&mut self, host: usize) {
        self.need_host(host);
        let host = &mut self.hosts[host];
        host.is_up = false;
        (host.tcp, host.udp) = (Ports::default(), Ports::default());
        // The files of Unix sockets are the disk's business.
        host.unix.retain(|name, socket| {
            *socket = None;
            matches!(name, UnixName::Path(_))
        });
        let ids = std::mem::take(&mut host.sockets);
        for id in ids {
            self.unwatch(id);
            self.sockets.lose(id);
        }
    }
}
