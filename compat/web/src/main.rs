//! Small jobs on crates that speak HTTP and QUIC, each against a server of its own on loopback, on redd.
//!
//! Called by `cargo xtask compat`.

mod authority;
mod quinn;
mod reqwest;
mod tonic;

use std::process::ExitCode;

redd::assert_active!();

fn main() -> ExitCode {
    // Reqwest and quinn ask for the process's choice.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("two choices of a provider of cryptography");
    }
    harness::run(&[
        ("reqwest", || Box::pin(reqwest::run())),
        ("tonic", || Box::pin(tonic::run())),
        ("quinn", || Box::pin(quinn::run())),
    ])
}
