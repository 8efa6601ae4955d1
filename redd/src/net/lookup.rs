//! Host names to addresses: [`lookup_host`].
//!
//! Called by user code.

use super::addr::{self, ToSocketAddrs};
use crate::observe::waiting::located;
use std::io;
use std::net::SocketAddr;

/// Resolves a host to its addresses.
///
/// - The system's resolver does it on the blocking pool, so `/etc/hosts` counts. redd caches nothing.
/// - `connect` and `bind` resolve by themselves. Use this to see or choose the addresses.
///
/// # Cancel safety
/// Nothing is lost if the future is dropped. A resolver that has started runs on in its thread.
///
/// # Errors
/// The resolver's error, or [`InvalidInput`](io::ErrorKind::InvalidInput) for a string without host or port.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let mut addresses = redd::net::lookup_host("localhost:80").await?;
/// assert!(addresses.any(|address| address.ip().is_loopback()));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn lookup_host<T>(host: T) -> impl Future<Output = io::Result<impl Iterator<Item = SocketAddr>>>
where
    T: ToSocketAddrs,
{
    located(async move { addr::resolve_for_a_unit(&host).await })
}
