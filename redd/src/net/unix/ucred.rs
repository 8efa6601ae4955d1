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
