//! The credentials of the peer of a Unix socket.
//!
//! Called by `stream`.

use crate::driver::operations::Socket;
use std::io;

/// The id of a user.
#[expect(non_camel_case_types, reason = "the name that the system's headers give it")]
pub type uid_t = u32;

/// The id of a group.
#[expect(non_camel_case_types, reason = "the name that the system's headers give it")]
pub type gid_t = u32;

/// The id of a process.
#[expect(non_camel_case_types, reason = "the name that the system's headers give it")]
pub type pid_t = i32;

/// Process, user and group of a peer, as they were when it connected or made the pair.
///
/// # Examples
/// ```
/// use redd::net::UnixStream;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (left, _right) = UnixStream::pair()?;
/// let peer = left.peer_cred()?;
/// assert_eq!(peer.pid(), Some(std::process::id() as i32));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub struct UCred {
    pid: Option<pid_t>,
    uid: uid_t,
    gid: gid_t,
}

impl UCred {
    /// Returns the effective user.
    pub fn uid(&self) -> uid_t {
        self.uid
    }

    /// Returns the effective group.
    pub fn gid(&self) -> gid_t {
        self.gid
    }

    /// Returns the process, or `None` where the kernel does not report it. The process may have ended, and its id may
    /// belong to another one now.
    pub fn pid(&self) -> Option<pid_t> {
        self.pid
    }

    pub(super) fn of_peer(socket: Socket<'_>) -> io::Result<Self> {
        let credentials = socket.peer_credentials()?;
        Ok(Self {
            // A peer in another process namespace is shown as 0.
            pid: (credentials.pid != 0).then_some(credentials.pid),
            uid: credentials.uid,
            gid: credentials.gid,
        })
    }
}
