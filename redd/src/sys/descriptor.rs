//! What dumps show of a descriptor: the addresses of a socket, or the kind of another file.
//!
//! Also what finds a socket again that a program has taken out: its inode.
//!
//! Called by `driver`. It only asks the system about a number, so it may be called with one that was closed or reused; the
//! caller finds out.

#![expect(unsafe_code, reason = "asks about a descriptor of another owner")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use socket2::{SockAddr, SockRef, Type};

/// Describes what is open under this number, such as `tcp 127.0.0.1:80 to 127.0.0.1:52100` or `pipe:[1234]`.
pub(crate) fn describe(fd: RawFd) -> Option<Box<str>> {
    let link = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    let link = link.to_string_lossy();
    let socket = if link.starts_with("socket:") { describe_socket(fd) } else { None };
    Some(socket.unwrap_or_else(|| link.into()))
}

/// The descriptor with this number, for calls that report an error if it is not open. `None` if the number is negative.
fn borrowed(fd: RawFd) -> Option<BorrowedFd<'static>> {
    // SAFETY: it is not -1, and each caller in this file only asks about it. Nothing is read, written or closed.
    (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Describes a socket: its kind and its addresses. `None` if this is no open socket, or an unusual one. The number
/// may have been closed or reused.
fn describe_socket(fd: RawFd) -> Option<Box<str>> {
    let fd = borrowed(fd)?;
    let socket = SockRef::from(&fd);
    let (local, kind) = (socket.local_addr().ok()?, socket.r#type().ok()?);
    let is_listener = socket.is_listener().unwrap_or(false);
    let is_unix = local.is_unix();
    let kind = match (is_listener, is_unix, kind) {
        (true, true, _) => "unix listener",
        (true, false, _) => "tcp listener",
        (false, true, Type::STREAM) => "unix stream",
        (false, true, Type::DGRAM) => "unix datagram",
        (false, false, Type::STREAM) => "tcp",
        (false, false, Type::DGRAM) => "udp",
        _ => return None,
    };
    let name = |address: &SockAddr| match address.as_socket() {
        Some(address) => Some(address.to_string()),
        None => address.as_pathname().map(|path| path.display().to_string()),
    };
    let local = name(&local).map_or(String::new(), |name| format!(" {name}"));
    let peer = socket.peer_addr().ok().as_ref().and_then(name).map_or(String::new(), |name| format!(" to {name}"));
    Some(format!("{kind}{local}{peer}").into())
}

/// Returns the inode of an open file. That of a socket is not used again while the system runs, or after 2^32 others.
pub(crate) fn inode(fd: BorrowedFd<'_>) -> io::Result<u64> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the system writes a `stat` to memory that is ours.
    super::check(unsafe { libc::fstat(fd.as_raw_fd(), status.as_mut_ptr()) })?;
    // SAFETY: the call has succeeded, so it is written.
    Ok(unsafe { status.assume_init() }.st_ino)
}

/// As [`inode`], of what is open under this number.
pub(crate) fn inode_of(fd: RawFd) -> Option<u64> {
    inode(borrowed(fd)?).ok()
}

/// Whether a socket with this inode is open under any number.
pub(crate) fn is_socket_open(inode: u64) -> bool {
    let name = format!("socket:[{inode}]");
    let is_it =
        |entry: std::fs::DirEntry| std::fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == &*name);
    std::fs::read_dir("/proc/self/fd").is_ok_and(|entries| entries.flatten().any(is_it))
}

/// Returns the linger time of a socket. `None` if it has none, and if the number is no open socket.
pub(crate) fn linger(fd: RawFd) -> Option<Duration> {
    SockRef::from(&borrowed(fd)?).linger().ok().flatten()
}

/// Whether a socket may send broadcasts. Not if the number is no open socket.
pub(crate) fn may_broadcast(fd: RawFd) -> bool {
    borrowed(fd).is_some_and(|fd| SockRef::from(&fd).broadcast().unwrap_or(false))
}

/// Whether the program has set the sizes of a socket's buffers, for sending and receiving. A kernel before 5.14 does not say.
pub(crate) fn buffers_set(fd: BorrowedFd<'_>) -> [bool; 2] {
    let mut locks: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the system writes at most `len` bytes to `locks`, and the length to `len`.
    let result = unsafe {
        let locks = (&raw mut locks).cast();
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_BUF_LOCK, locks, &raw mut len)
    };
    if result != 0 { [false; 2] } else { [locks & 1 != 0, locks & 2 != 0] }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn sockets_have_addresses_and_other_files_have_a_kind() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("is bound");
        let client = TcpStream::connect(address).expect("is listening");
        let from = client.local_addr().expect("is connected");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let bound = udp.local_addr().expect("is bound");
        let (unix, _other) = UnixStream::pair().expect("descriptors left");
        let about = |fd: &dyn AsRawFd| describe(fd.as_raw_fd()).map(String::from);
        assert_eq!(about(&listener), Some(format!("tcp listener {address}")));
        assert_eq!(about(&client), Some(format!("tcp {from} to {address}")));
        assert_eq!(about(&udp), Some(format!("udp {bound}")));
        assert_eq!(about(&unix).as_deref(), Some("unix stream"));
        let directory = tempfile::tempdir().expect("room for a directory");
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).expect("a free path");
        assert_eq!(about(&listener), Some(format!("unix listener {}", path.display())));
        let client = UnixStream::connect(&path).expect("is listening");
        assert_eq!(about(&client), Some(format!("unix stream to {}", path.display())));
        let file = std::fs::File::open("/dev/null").expect("it is there");
        assert_eq!(about(&file).as_deref(), Some("/dev/null"));
        assert_eq!(describe(-1), None);
    }

    #[test]
    fn a_socket_is_open_until_its_last_descriptor_is_closed() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let (fd, inode) = (socket.as_raw_fd(), inode_of(socket.as_raw_fd()).expect("is open"));
        let other = socket.try_clone().expect("descriptors left");
        assert!(inode_of(other.as_raw_fd()) == Some(inode) && is_socket_open(inode));
        drop(socket);
        assert!(inode_of(fd) != Some(inode) && is_socket_open(inode));
        drop(other);
        assert!(!is_socket_open(inode));
        assert_eq!((inode_of(-1), linger(-1)), (None, None));
    }
}
