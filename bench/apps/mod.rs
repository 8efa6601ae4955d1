//! Programs as users write them: one source, compiled once with Tokio and once with redd under Tokio's name.
//!
//! `apps-redd PROGRAM WORKERS [counts] [ARGUMENT]` prints its port. Then, for each line of its input, it prints what it
//! has used so far. It ends when its input ends.

#[path = "../workloads/costs.rs"]
mod costs;
mod files;
#[path = "../servers/protocol.rs"]
mod protocol;

use std::future::Future;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

pub fn main() {
    let Some(asked) = protocol::asked() else {
        eprintln!("usage: apps-… PROGRAM WORKERS [counts] [ARGUMENT]");
        std::process::exit(2);
    };
    let argument = std::env::args().last().unwrap_or_default();
    let runtime = workers(asked.workers);
    match asked.kind.as_str() {
        "files" => serve(&runtime, |listener| files::serve(listener, argument)),
        program => {
            eprintln!("no program is called `{program}`");
            std::process::exit(2);
        }
    }
}

fn workers(count: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(count).enable_all().build().expect("the system has room for threads")
}

/// Runs a server until the input of this process ends.
fn serve<F>(runtime: &Runtime, server: impl FnOnce(TcpListener) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("loopback has a port");
    let port = listener.local_addr().expect("it is bound").port();
    drop(runtime.spawn(server(listener)));
    protocol::answer(port);
}
