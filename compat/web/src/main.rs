//! Small programs on crates for HTTP and QUIC, each with a server of its own on loopback, on redd.
//!
//! Called by `cargo xtask compat`.

mod authority;
mod quinn;
mod reqwest;
mod tonic;

use std::process::ExitCode;

redd::assert_active!();

fn main() -> ExitCode {
    // Reqwest and quinn use the default provider of the process.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("two choices of a provider of cryptography");
    }
    harness::run(&[
        ("reqwest", || Box::pin(reqwest::run())),
        ("tonic", || Box::pin(tonic::run())),
        ("quinn", || Box::pin(quinn::run())),
    ])
}
