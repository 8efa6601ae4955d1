//! Names to addresses, for programs that want to see them: [`lookup_host`].
//!
//! Called by user code.

use super::addr::{self, ToSocketAddrs};
use std::io;
use std::net::SocketAddr;

/// The addresses of a host.
///
/// - A name is resolved by the system's resolver on the blocking pool, so it knows `/etc/hosts`; nothing is cached.
/// - `connect` and `bind` resolve by themselves. Use this to see or choose the addresses.
///
/// # Cancel safety
/// Nothing is lost when it is dropped, but a resolver that has begun goes on in its thread until it has an answer.
///
/// # Errors
/// The resolver's error, or [`InvalidInput`](io::ErrorKind::InvalidInput) for a string without host or port.
pub async fn lookup_host<T>(host: T) -> io::Result<impl Iterator<Item = SocketAddr>>
where
    T: ToSocketAddrs,
{
    addr::resolve_for_a_unit(&host).await
}
