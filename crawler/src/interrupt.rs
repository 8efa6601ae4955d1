//! The signals by which a user or a service manager ends a crawl.
//!
//! Called by `main`, `output` and `crawl`.

use std::io;

use redd::signal::unix::{Signal, SignalKind, signal};

/// The signals SIGINT (Ctrl-C) and SIGTERM. While this exists, they do not end the process.
#[derive(Debug)]
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// # Errors
    /// If the system refuses a handler.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for one of them. If this is dropped, no signal is lost.
    pub(crate) async fn recv(&mut self) {
        redd::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
