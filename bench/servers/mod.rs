//! The servers that are measured from outside: one source, compiled once per runtime. `rt` is that runtime.
//!
//! `serve-redd KIND WORKERS [counts]` prints its port. Then, for each line of its input, it prints what it has used so
//! far.
//! It ends when its input ends.

#[path = "../workloads/costs.rs"]
mod costs;
mod echo;
#[cfg(not(feature = "smol"))]
mod http;
mod protocol;

use rt::runtime::Builder;

pub fn main() {
    let asked = protocol::asked("serve-… KIND WORKERS [timed|counts]");
    let runtime = Builder::new_multi_thread()
        .worker_threads(asked.workers)
        .enable_all()
        .build()
        .expect("the system has room for threads");
    let started = runtime.spawn(async move {
        match asked.kind.as_str() {
            "tcp_echo" => echo::tcp().await,
            "udp_echo" => echo::udp().await,
            #[cfg(not(feature = "smol"))]
            "http_hyper" => http::hyper().await,
            #[cfg(not(feature = "smol"))]
            "http_axum" => http::axum().await,
            #[cfg(not(feature = "smol"))]
            "mixed" => http::mixed().await,
            kind => protocol::refuse(&format!("no server is called `{kind}`")),
        }
    });
    let port = runtime.block_on(started).expect("does not panic");
    protocol::answer(port);
}
