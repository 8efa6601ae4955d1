//! Addresses of Unix sockets.
//!
//! Called by everything in `unix`.

use socket2::SockAddr;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net;
use std::path::Path;

/// An address of a Unix socket: a path, an abstract name, or nothing.
#[derive(Clone)]
pub struct SocketAddr(net::SocketAddr);

impl SocketAddr {
    /// Whether the socket is bound to nothing, as clients usually are.
    pub fn is_unnamed(&self) -> bool {
        self.0.is_unnamed()
    }

    /// The path, if it is one.
    pub fn as_pathname(&self) -> Option<&Path> {
        self.0.as_pathname()
    }

    /// The abstract name without its leading NUL byte, if it is one.
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        self.0.as_abstract_name()
    }

    pub(super) fn as_std(&self) -> &net::SocketAddr {
        &self.0
    }

    /// What the system has written.
    pub(super) fn from_system(address: &SockAddr) -> io::Result<Self> {
        let address = if let Some(path) = address.as_pathname() {
            net::SocketAddr::from_pathname(path)
        } else if let Some(name) = address.as_abstract_namespace() {
            net::SocketAddr::from_abstract_name(name)
        } else {
            // An empty path is how std spells the address of a socket that is not bound.
            net::SocketAddr::from_pathname("")
        };
        address.map(Self)
    }
}

impl fmt::Debug for SocketAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<net::SocketAddr> for SocketAddr {
    fn from(address: net::SocketAddr) -> Self {
        Self(address)
    }
}

impl From<SocketAddr> for net::SocketAddr {
    fn from(address: SocketAddr) -> Self {
        address.0
    }
}

/// The address that a caller's path means: with a NUL byte in front it is an abstract name.
///
/// std would bind to an unnamed address for an empty path, and so would hide the mistake.
pub(super) fn from_path(path: &Path) -> io::Result<net::SocketAddr> {
    let mended = |error: io::Error, mend: &str| {
        const BYTES_MAX: usize = 120;
        let bytes = path.as_os_str().as_bytes();
        let shown = OsStr::from_bytes(&bytes[..bytes.len().min(BYTES_MAX)]);
        io::Error::new(error.kind(), format!("the Unix socket path {shown:?} cannot be used ({error}): {mend}"))
    };
    match path.as_os_str().as_bytes() {
        [0, name @ ..] => net::SocketAddr::from_abstract_name(name)
            .map_err(|error| mended(error, "an abstract name has at most 107 bytes")),
        [] => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the Unix socket path is empty: pass the path of a file, or a name with a NUL byte in front",
        )),
        _ => net::SocketAddr::from_pathname(path).map_err(|error| {
            mended(
                error,
                "a path has at most 107 bytes and no NUL byte in it. Use a shorter directory, or a relative path",
            )
        }),
    }
}

/// The same, as socket2 takes it.
pub(super) fn to_system(address: &net::SocketAddr) -> io::Result<SockAddr> {
    if let Some(path) = address.as_pathname() {
        SockAddr::unix(path)
    } else if let Some(name) = address.as_abstract_name() {
        // socket2 takes a NUL byte in front for an abstract name, as we do.
        let bytes: Vec<u8> = std::iter::once(0).chain(name.iter().copied()).collect();
        SockAddr::unix(OsStr::from_bytes(&bytes))
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the Unix socket address is unnamed, so nothing can be bound or reached there: pass a path or an abstract name",
        ))
    }
}
