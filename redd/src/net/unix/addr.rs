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
///
/// # Examples
/// ```
/// use redd::net::UnixListener;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let listener = UnixListener::bind("\0redd-example-address")?;
/// let address = listener.local_addr()?;
/// assert_eq!(address.as_abstract_name(), Some(&b"redd-example-address"[..]));
/// assert_eq!(address.as_pathname(), None);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct SocketAddr(net::SocketAddr);

impl SocketAddr {
    /// Returns `true` if the socket is not bound, as those of clients usually are.
    pub fn is_unnamed(&self) -> bool {
        self.0.is_unnamed()
    }

    /// Returns the path, if the address is one.
    pub fn as_pathname(&self) -> Option<&Path> {
        self.0.as_pathname()
    }

    /// Returns the abstract name without its leading NUL byte, if the address is one.
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        self.0.as_abstract_name()
    }

    pub(super) fn as_std(&self) -> &net::SocketAddr {
        &self.0
    }

    /// The address that the kernel has written.
    pub(super) fn from_system(address: &SockAddr) -> io::Result<Self> {
        let address = if let Some(path) = address.as_pathname() {
            net::SocketAddr::from_pathname(path)
        } else if let Some(name) = address.as_abstract_namespace() {
            net::SocketAddr::from_abstract_name(name)
        } else {
            // The standard library writes the address of an unbound socket as an empty path.
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

/// The address of a path. A path that begins with a NUL byte is an abstract name.
///
/// The standard library would bind an unnamed address for an empty path, which would hide the mistake.
pub(super) fn from_path(path: &Path) -> io::Result<net::SocketAddr> {
    let with_fix = |error: io::Error, fix: &str| {
        const BYTES_MAX: usize = 120;
        let bytes = path.as_os_str().as_bytes();
        let shown = OsStr::from_bytes(&bytes[..bytes.len().min(BYTES_MAX)]);
        io::Error::new(error.kind(), format!("the Unix socket path {shown:?} cannot be used ({error}): {fix}"))
    };
    match path.as_os_str().as_bytes() {
        [0, name @ ..] => net::SocketAddr::from_abstract_name(name)
            .map_err(|error| with_fix(error, "an abstract name has at most 107 bytes")),
        [] => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the Unix socket path is empty: pass the path of a file, or a name with a NUL byte in front",
        )),
        _ => net::SocketAddr::from_pathname(path).map_err(|error| {
            with_fix(
                error,
                "a path has at most 107 bytes and no NUL byte in it. Use a shorter directory, or a relative path",
            )
        }),
    }
}

/// The address in the type of `socket2`.
pub(super) fn to_system(address: &net::SocketAddr) -> io::Result<SockAddr> {
    if let Some(path) = address.as_pathname() {
        SockAddr::unix(path)
    } else if let Some(name) = address.as_abstract_name() {
        // `socket2` takes a leading NUL byte for an abstract name, as we do.
        let bytes: Vec<u8> = std::iter::once(0).chain(name.iter().copied()).collect();
        SockAddr::unix(OsStr::from_bytes(&bytes))
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the Unix socket address is unnamed, so nothing can be bound or reached there: pass a path or an abstract name",
        ))
    }
}
