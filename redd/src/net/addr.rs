//! Addresses as programs write them: [`ToSocketAddrs`], and their resolution.
//!
//! Called by `tcp`, `udp` and `lookup`.
//!
//! # Invariants
//! - `no-thread-for-literals`: only a host name goes to the blocking pool; an address that is written out, and a
//!   string that cannot be one, return at once.

use crate::blocking;
use crate::driver::operations;
use crate::task::coop::consume_budget;
use socket2::SockAddr;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::{option, vec};

/// An address argument of `bind`, `connect`, `send_to` and [`lookup_host`](super::lookup_host).
///
/// - Addresses that are written out (`"127.0.0.1:80"`, `("::1", 80)`, [`SocketAddr`], …) cost nothing.
/// - A host name (`"example.org:80"`, `("example.org", 80)`) is resolved by the system's resolver on the blocking pool.
///   Dropping the future does not interrupt the resolver; its result is discarded.
/// - A name may resolve to several addresses. `connect` and `bind` try them one after the other.
/// - It cannot be implemented outside of redd; as in Tokio, that is so that it can change.
///
/// # Errors
/// A string that is not an address is an [`InvalidInput`](io::ErrorKind::InvalidInput) error of the function that takes it.
///
/// # Examples
/// ```
/// use redd::net::TcpListener;
/// use std::net::Ipv4Addr;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let by_text = TcpListener::bind("127.0.0.1:0").await?;
/// let by_pair = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
/// let error = TcpListener::bind("127.0.0.1").await.unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "there is no port");
/// # drop((by_text, by_pair));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub trait ToSocketAddrs: sealed::ToSocketAddrsPriv {}

pub(crate) mod sealed {
    use super::Resolution;
    use std::io;

    /// Keeps `ToSocketAddrs` closed, and does its work.
    pub trait ToSocketAddrsPriv {
        /// Finds out whether the resolver is needed.
        #[doc(hidden)]
        fn classify(&self) -> io::Result<Resolution>;
    }
}
use sealed::ToSocketAddrsPriv;

/// The addresses that a value resolves to.
#[derive(Clone, Debug)]
pub enum Addresses {
    /// At most one.
    One(option::IntoIter<SocketAddr>),
    /// As many as the resolver or the caller has given.
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

/// What an address argument needs.
#[derive(Debug)]
pub enum Resolution {
    /// Nothing: here are the addresses.
    Addresses(Addresses),
    /// The resolver has to look up this host; the port is added to its addresses.
    Host(String, u16),
}

impl Resolution {
    fn one(address: SocketAddr) -> io::Result<Self> {
        Ok(Self::Addresses(Addresses::One(Some(address).into_iter())))
    }
}

/// Resolves `address`: a name with the system's resolver, which blocks a thread of the blocking pool.
pub(super) fn resolve<A>(address: &A) -> impl Future<Output = io::Result<Addresses>> + use<A>
where
    A: ToSocketAddrs + ?Sized,
{
    let sight = address.classify();
    async move {
        match sight? {
            Resolution::Addresses(addresses) => Ok(addresses),
            Resolution::Host(host, port) => {
                if let Some(resolved) = operations::resolve(&host) {
                    let addresses: Vec<_> = resolved?.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
                    return Ok(Addresses::Many(addresses.into_iter()));
                }
                let ask = move || std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), port));
                blocking::run(ask).await.map(Addresses::Many)
            }
        }
    }
}

/// Like [`resolve`], but spends a unit of the budget: for operations that may complete at once every time.
pub(super) fn resolve_for_a_unit<A>(address: &A) -> impl Future<Output = io::Result<Addresses>> + use<A>
where
    A: ToSocketAddrs + ?Sized,
{
    let resolved = resolve(address);
    async move {
        consume_budget().await;
        resolved.await
    }
}

/// Returns the first success of `attempt`, or the error of the last one.
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

/// The error of an argument that resolves to no address.
pub(super) fn no_address() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "there is no address to use: the slice is empty, or the name could not resolve to any address. Check the \
         name, or pass at least one address",
    )
}

/// The IP address of a socket.
pub(super) fn ip(address: SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "the socket has no IP address: it was made from a descriptor of another family; use the type that fits it",
        )
    })
}

/// The beginning of a string that a caller passed, for a message.
fn excerpt(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}

fn invalid(message: String) -> io::Result<Resolution> {
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// Types that are addresses, and their resolution.
macro_rules! addresses {
    ($([$($generics:tt)*] $Address:ty, $address:ident => $sight:expr;)*) => {$(
        impl<$($generics)*> ToSocketAddrs for $Address {}

        impl<$($generics)*> ToSocketAddrsPriv for $Address {
            fn classify(&self) -> io::Result<Resolution> {
                let $address = self;
                $sight
            }
        }
    )*};
}

addresses! {
    [] SocketAddr, address => Resolution::one(*address);
    [] SocketAddrV4, address => Resolution::one(SocketAddr::V4(*address));
    [] SocketAddrV6, address => Resolution::one(SocketAddr::V6(*address));
    [] (IpAddr, u16), pair => Resolution::one(SocketAddr::from(*pair));
    [] (Ipv4Addr, u16), pair => Resolution::one(SocketAddr::from(*pair));
    [] (Ipv6Addr, u16), pair => Resolution::one(SocketAddr::from(*pair));
    [] &[SocketAddr], list => Ok(Resolution::Addresses(Addresses::Many(Vec::from(*list).into_iter())));
    [T: ToSocketAddrs + ?Sized] &T, address => (**address).classify();
    [] (String, u16), pair => (pair.0.as_str(), pair.1).classify();
    [] String, text => text.as_str().classify();
}

impl ToSocketAddrs for str {}

impl ToSocketAddrsPriv for str {
    fn classify(&self) -> io::Result<Resolution> {
        // `no-thread-for-literals`: nor for a string that can only fail.
        if let Ok(address) = self.parse() {
            return Resolution::one(address);
        }
        let Some((host, port)) = self.rsplit_once(':') else {
            return invalid(format!(
                "{} is an invalid socket address: it has no port: write it as `host:port`",
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
        (host, port).classify()
    }
}

impl ToSocketAddrs for (&str, u16) {}

impl ToSocketAddrsPriv for (&str, u16) {
    fn classify(&self) -> io::Result<Resolution> {
        let (host, port) = *self;
        // `no-thread-for-literals`.
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Resolution::one(SocketAddr::new(ip, port));
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
        Ok(Resolution::Host(host.to_owned(), port))
    }
}
