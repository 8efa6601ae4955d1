//! What the network calls a socket, its kinds, and its addresses.
//!
//! Called by every file of the room.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;

/// A socket of a world. The network numbers sockets by the order of opening, and never uses a number again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SocketId(pub(super) u32);

impl SocketId {
    /// The number alone, for a registration with a driver.
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    pub(crate) fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// The family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
    Unix,
}

/// The kind of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Stream,
    Datagram,
}

/// The address of a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Address {
    Inet(SocketAddr),
    /// A Unix socket with a path.
    Path(PathBuf),
    /// A Unix socket with a name that is no file.
    Abstract(Vec<u8>),
    /// A Unix socket without a name.
    #[default]
    Unnamed,
}

/// The error with this number.
pub(super) fn os<T>(code: i32) -> io::Result<T> {
    Err(io::Error::from_raw_os_error(code))
}

/// An error of this room, for what the simulated network does not have.
pub(super) fn unsupported<T>(text: &'static str) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, text))
}

/// An address as the network compares it: an IPv4 address inside of an IPv6 address is the IPv4 address.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// An address as a socket of this family reports it.
pub(super) fn shown(family: Family, address: SocketAddr) -> SocketAddr {
    match (family, address.ip()) {
        (Family::V6, IpAddr::V4(ip)) => SocketAddr::V6(SocketAddrV6::new(ip.to_ipv6_mapped(), address.port(), 0, 0)),
        (Family::V4 | Family::V6 | Family::Unix, _) => address,
    }
}

/// The unspecified address of the family.
pub(super) fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        Family::V4 | Family::Unix => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    }
}

/// An address of a destination: the unspecified address means this host.
pub(super) fn destination(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Which addresses a bound socket receives from the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    v4: Scope,
    v6: Scope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    None,
    All,
    One(IpAddr),
}

impl Scope {
    fn overlaps(self, other: Self) -> bool {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => false,
            (Self::All, _) | (_, Self::All) => true,
            (Self::One(one), Self::One(other)) => one == other,
        }
    }
}

impl Reach {
    /// `only_v6` is the option `IPV6_V6ONLY`.
    pub(super) fn new(ip: IpAddr, only_v6: bool) -> Self {
        match ip {
            IpAddr::V4(v4) if v4.is_unspecified() => Self { v4: Scope::All, v6: Scope::None },
            IpAddr::V4(_) => Self { v4: Scope::One(ip), v6: Scope::None },
            IpAddr::V6(v6) if v6.is_unspecified() && only_v6 => Self { v4: Scope::None, v6: Scope::All },
            IpAddr::V6(v6) if v6.is_unspecified() => Self { v4: Scope::All, v6: Scope::All },
            IpAddr::V6(_) => Self { v4: Scope::None, v6: Scope::One(ip) },
        }
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        self.v4.overlaps(other.v4) || self.v6.overlaps(other.v6)
    }

    /// How well it matches this address: 0 if it does not, and more the closer it is.
    pub(super) fn score(self, ip: IpAddr) -> u32 {
        let (mine, other) = if ip.is_ipv4() { (self.v4, self.v6) } else { (self.v6, self.v4) };
        match mine {
            Scope::None => 0,
            // A socket of the same family is closer than one of both families.
            Scope::All => 1 + u32::from(other == Scope::None),
            Scope::One(one) => {
                if one == ip {
                    4
                } else {
                    0
                }
            }
        }
    }
}
