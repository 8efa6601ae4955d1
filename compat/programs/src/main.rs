//! Small programs on widely used crates, each with a peer on loopback, on redd through the facade.
//!
//! `programs` runs all of them, `programs NAME …` some. Each prints one line: `NAME passed`, `NAME failed: why` or
//! `NAME skipped: why`. The exit code is an error if any has failed. Each runs on a current-thread and on a
//! multi-thread runtime. The other packages of this workspace do the same with crates that take longer to build.
//!
//! Called by `cargo xtask compat`.

mod axum;
mod hyper;
mod tokio_rustls;
mod tokio_stream;
mod tokio_tungstenite;
mod tokio_util;
mod tower;

use std::process::ExitCode;

redd::assert_active!();

fn main() -> ExitCode {
    harness::run(&[
        ("axum", || Box::pin(axum::run())),
        ("hyper", || Box::pin(hyper::run())),
        ("tokio-util", || Box::pin(tokio_util::run())),
        ("tokio-stream", || Box::pin(tokio_stream::run())),
        ("tower", || Box::pin(tower::run())),
        ("tokio-tungstenite", || Box::pin(tokio_tungstenite::run())),
        ("tokio-rustls", || Box::pin(tokio_rustls::run())),
    ])
}
