//! Programs as users write them: one source, compiled once with Tokio and once with redd under Tokio's name.
//!
//! `apps-redd PROGRAM WORKERS timed|counts [ARGUMENT]` prints its port. Then, for each line of its input, it prints what
//! it has used so far. `queue` has no port; for each line it works that many milliseconds, and prints what that cost.
//! Each ends when its input ends.

mod chat;
#[path = "../workloads/costs.rs"]
mod costs;
mod files;
mod greeter;
mod hello;
#[path = "../servers/protocol.rs"]
mod protocol;
mod proxy;
mod queue;

use std::future::Future;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

pub fn main() {
    let asked = protocol::asked("apps-… PROGRAM WORKERS [timed|counts [ARGUMENT]]");
    let argument = asked.argument;
    let runtime = workers(asked.workers);
    match asked.kind.as_str() {
        "files" => serve(&runtime, |listener| files::serve(listener, argument)),
        "upstream" => serve(&runtime, proxy::upstream),
        "proxy" => serve(&runtime, |listener| proxy::serve(listener, argument)),
        "chat" => serve(&runtime, chat::serve),
        "grpc" => serve(&runtime, greeter::serve),
        "queue" => queue::run(&runtime),
        program => protocol::refuse(&format!("no program is called `{program}`")),
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
