//! What dumps show of a descriptor: the addresses of a socket, or the kind of another file.
//!
//! Called by `driver`. It only asks the system about a number, so it may be called with one that was closed or reused; the
//! caller finds out.

use std::os::fd::RawFd;

/// Describes what is open under this number, such as `tcp 127.0.0.1:80 to 127.0.0.1:52100` or `pipe:[1234]`.
pub(crate) fn describe(fd: RawFd) -> Option<Box<str>> {
    let link = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    let link = link.to_string_lossy();
    #[cfg(feature = "net")]
    if link.starts_with("socket:") {
        return Some(super::net::describe(fd).unwrap_or_else(|| link.into()));
    }
    Some(link.into())
}

#[cfg(all(test, feature = "net", not(any(loom, shuttle))))]
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
        let (reader, _writer) = crate::sys::net::pipe().expect("descriptors left");
        assert!(about(&reader).is_some_and(|about| about.starts_with("pipe:")));
        assert_eq!(describe(-1), None);
    }
}
