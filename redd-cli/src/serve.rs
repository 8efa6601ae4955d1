//! `redd metrics --listen` and `redd web`: what a process replies, over HTTP. This program serves it, and never the process.
//!
//! hyper reads and writes HTTP, and runs on redd. A request is answered on a thread of the blocking pool, one after the other: the
//! process serves one client at a time, too.

mod ended;
pub(crate) mod http;
pub(crate) mod metrics;
mod pages;
pub(crate) mod web;

use std::io::Write as _;
use std::net::SocketAddr;

use redd::net::TcpListener;
use redd::runtime::{Builder, Runtime};
use redd::signal::unix::{Signal, SignalKind, signal};

/// A runtime that `redd ps` does not list.
fn runtime() -> Result<Runtime, String> {
    let built = Builder::new_current_thread().name("redd").enable_all().observe(false).build();
    built.map_err(|error| format!("no runtime can be started: {error}"))
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let failed = |error| format!("{address} cannot be listened on: {error}");
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Ctrl-C from now on.
fn ctrl_c() -> Result<Signal, String> {
    signal(SignalKind::interrupt()).map_err(|error| format!("Ctrl-C cannot be waited for: {error}"))
}

/// Prints a line at once: standard output may be a pipe.
fn announce(line: &str) {
    let mut out = std::io::stdout().lock();
    // The reader of a pipe may have had enough.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
