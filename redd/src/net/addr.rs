//! Addresses as programs write them: [`ToSocketAddrs`], and what becomes of them.
//!
//! Called by `tcp`, `udp` and `lookup`.
//!
//! # Invariants
//! - `no-thread-for-literals`: only a host name goes to the blocking pool; an address that is written out, and a
//!   string that cannot be one, are answered at once.

use crate::blocking;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{option, vec};

/// What `bind`, `connect`, `send_to` and [`lookup_host`](super::lookup_host) take as an address.
///
/// - Addresses that are written out (`"127.0.0.1:80"`, `("::1", 80)`, [`SocketAddr`], …) cost nothing.
/// - A host name (`"example.org:80"`, `("example.org", 80)`) is resolved by the system's resolver on the blocking pool.
///   Dropping the future does not interrupt the resolver; its answer is thrown away.
/// - A name may resolve to several addresses. Those who connect or bind try one after the other.
/// - It cannot be implemented outside of redd; as in Tokio, that is so that it can change.
///
/// # Errors
/// A string that is no address is [`InvalidInput`](io::ErrorKind::InvalidInput), where it is used.
pub trait ToSocketAddrs: sealed::ToSocketAddrsPriv {}

pub(crate) mod sealed {
    use super::Resolving;

    /// Keeps `ToSocketAddrs` closed, and does its work.
    pub trait ToSocketAddrsPriv {
        /// Begins to resolve.
        #[doc(hidden)]
        fn resolve(&self) -> Resolving;
    }
}
use sealed::ToSocketAddrsPriv;

/// The addresses that something stands for.
#[derive(Clone, Debug)]
pub enum Addresses {
    /// At most one.
    One(option::IntoIter<SocketAddr>),
    /// As many as the resolver, or the caller, has named.
    Many(vec::IntoIter<SocketAddr>),
}

impl Iterator for Addresses {
    type Item = SocketAddr;

    fn next(&mut self) -> Option<SocketAddr> {
        match self {
            Self::One(one) => one.next(),
            Self::Many(many) => many.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::One(one) => one.size_hint(),
            Self::Many(many) => many.size_hint(),
        }
    }
}

/// The future of [`Addresses`].
#[must_use = "a future does nothing until it is awaited"]
pub enum Resolving {
    /// The answer was at hand.
    Done(Option<io::Result<Addresses>>),
    /// The resolver has been asked.
    Asking(Pin<Box<dyn Future<Output = io::Result<Addresses>> + Send + Sync>>),
}

impl Resolving {
    fn one(address: SocketAddr) -> Self {
        Self::Done(Some(Ok(Addresses::One(Some(address).into_iter()))))
    }

    /// Asks the system's resolver, which blocks the thread it is asked on.
    fn ask(host: &str, port: u16) -> Self {
        let host = host.to_owned();
        Self::Asking(Box::pin(blocking::run(move || {
            let found = std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), port))?;
            Ok(Addresses::Many(found))
        })))
    }
}

impl Future for Resolving {
    type Output = io::Result<Addresses>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Done(answer) => Poll::Ready(answer.take().expect("a finished future is not polled again")),
            Self::Asking(answer) => answer.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Resolving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(answer) => f.debug_tuple("Done").field(answer).finish(),
            Self::Asking(_) => f.write_str("Asking"),
        }
    }
}

/// Begins to resolve `address`.
pub(super) fn resolve(address: &(impl ToSocketAddrs + ?Sized)) -> Resolving {
    address.resolve()
}

/// The first success of `attempt`, or the error of the last one.
pub(super) fn first_success<R>(
    addresses: Addresses,
    mut attempt: impl FnMut(SocketAddr) -> io::Result<R>,
) -> io::Result<R> {
    let mut last = None;
    for address in addresses {
        match attempt(address) {
            Ok(success) => return Ok(success),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(no_address))
}

/// The error of an address that stands for none.
pub(super) fn no_address() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "there is no address to use: the slice is empty, or the name could not resolve to any address. Check the \
         name, or pass at least one address",
    )
}

/// Some of a string that a caller passed, for a message.
fn excerpt(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}

fn invalid(message: String) -> Resolving {
    Resolving::Done(Some(Err(io::Error::new(io::ErrorKind::InvalidInput, message))))
}

/// What stands for addresses, and how it is resolved.
macro_rules! addresses {
    ($([$($generics:tt)*] $Address:ty, $address:ident => $resolving:expr;)*) => {$(
        impl<$($generics)*> ToSocketAddrs for $Address {}

        impl<$($generics)*> ToSocketAddrsPriv for $Address {
            fn resolve(&self) -> Resolving {
                let $address = self;
                $resolving
            }
        }
    )*};
}

addresses! {
    [] SocketAddr, address => Resolving::one(*address);
    [] SocketAddrV4, address => Resolving::one(SocketAddr::V4(*address));
    [] SocketAddrV6, address => Resolving::one(SocketAddr::V6(*address));
    [] (IpAddr, u16), pair => Resolving::one(SocketAddr::from(*pair));
    [] (Ipv4Addr, u16), pair => Resolving::one(SocketAddr::from(*pair));
    [] (Ipv6Addr, u16), pair => Resolving::one(SocketAddr::from(*pair));
    [] &[SocketAddr], list => Resolving::Done(Some(Ok(Addresses::Many(Vec::from(*list).into_iter()))));
    [T: ToSocketAddrs + ?Sized] &T, address => (**address).resolve();
    [] (String, u16), pair => (pair.0.as_str(), pair.1).resolve();
    [] String, text => text.as_str().resolve();
}

impl ToSocketAddrs for str {}

impl ToSocketAddrsPriv for str {
    fn resolve(&self) -> Resolving {
        // `no-thread-for-literals`: also for what can only fail.
        if let Ok(address) = self.parse() {
            return Resolving::one(address);
        }
        let Some((host, port)) = self.rsplit_once(':') else {
            return invalid(format!(
                "{} is an invalid socket address, for it has no port: write it as `host:port`",
                excerpt(self)
            ));
        };
        let Ok(port) = port.parse() else {
            return invalid(format!(
                "{} is an invalid socket address, for {} is an invalid port value: write a number from 0 to 65535 \
                 behind the last colon, and an IPv6 address in brackets, as in `[::1]:80`",
                excerpt(self),
                excerpt(port)
            ));
        };
        (host, port).resolve()
    }
}

impl ToSocketAddrs for (&str, u16) {}

impl ToSocketAddrsPriv for (&str, u16) {
    fn resolve(&self) -> Resolving {
        let (host, port) = *self;
        // `no-thread-for-literals`.
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Resolving::one(SocketAddr::new(ip, port));
        }
        if host.is_empty() {
            return invalid(
                "the host name is empty: write the host in front of the port, as in `localhost:80`".to_owned(),
            );
        }
        if host.contains('\0') {
            return invalid(format!(
                "the host name {} contains a NUL character, which no name has: pass it without",
                excerpt(host)
            ));
        }
        Resolving::ask(host, port)
    }
}
