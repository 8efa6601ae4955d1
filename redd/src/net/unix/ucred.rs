//! Who is at the other end of a Unix socket.
//!
//! Called by `stream`.

use super::{gid_t, pid_t, uid_t};
use crate::sys;
use std::io;
use std::os::fd::BorrowedFd;

/// Process, user and group of a peer, as they were when it connected (or made the pair).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub struct UCred {
    pid: Option<pid_t>,
    uid: uid_t,
    gid: gid_t,
}

impl UCred {
    /// The effective user.
    pub fn uid(&self) -> uid_t {
        self.uid
    }

    /// The effective group.
    pub fn gid(&self) -> gid_t {
        self.gid
    }

    /// The process. `None` where the system does not say; the number may have been given to another process since.
    pub fn pid(&self) -> Option<pid_t> {
        self.pid
    }

    pub(super) fn of_peer(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let credentials = sys::net::peer_credentials(socket)?;
        Ok(Self {
            // A peer in another process namespace is shown as 0.
            pid: (credentials.pid != 0).then_some(credentials.pid),
            uid: credentials.uid,
            gid: credentials.gid,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_peer_of_a_pair_is_this_process() {
        let (one, _two) = UnixStream::pair().expect("descriptors left");
        let peer = UCred::of_peer(one.as_fd()).expect("is a Unix socket");
        assert_eq!(peer.pid(), pid_t::try_from(std::process::id()).ok());
    }

    #[test]
    fn a_socket_of_another_family_has_no_credentials() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let credentials = UCred::of_peer(listener.as_fd());
        assert!(credentials.is_err() || credentials.is_ok_and(|peer| peer.pid().is_none()));
    }
}
