//! Unix sockets and pipes: halves, addresses, credentials. The sockets themselves are in [`net`](super).
//!
//! - Where a path is taken, one with a NUL byte in front is an *abstract* name of Linux: it is not in the file system,
//!   and is free again when the socket is closed. (Differs from Tokio: also for datagram sockets.)
//! - Binding to a path makes a file that stays when the socket is closed: remove it before binding again.
//!
//! Called by user code.

mod addr;
pub(super) mod datagram;
pub(super) mod listener;
pub mod pipe;
pub(super) mod socket;
mod split;
pub(super) mod stream;
mod ucred;

pub use addr::SocketAddr;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use ucred::UCred;

use datagram::UnixDatagram;
use listener::UnixListener;
use stream::UnixStream;

/// The number of a user.
#[expect(non_camel_case_types, reason = "the name that the system's headers give it")]
pub type uid_t = u32;

/// The number of a group.
#[expect(non_camel_case_types, reason = "the name that the system's headers give it")]
pub type gid_t = u32;

/// The number of a process.
#[expect(non_camel_case_types, reason = "the name that the system's headers give it")]
pub type pid_t = i32;
