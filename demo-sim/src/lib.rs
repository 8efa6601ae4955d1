//! Programs in simulated worlds.
//!
//! The programs are ordinary ones for Tokio. The tests run them as hosts of `redd::sim::World`.

pub mod raft;
pub mod repeat;
pub mod service;
pub mod shop;
pub mod wire;

/// A client of reqwest whose requests take at most this time.
///
/// # Errors
/// If it cannot be built.
pub fn http_client(timeout: std::time::Duration) -> reqwest::Result<reqwest::Client> {
    // reqwest asks for a provider of TLS if any package of the workspace uses TLS. An error says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(timeout).build()
}
