//! Unix sockets and pipes: halves, addresses, credentials. The sockets themselves are in [`net`](super).
//!
//! - A path that begins with a NUL byte is an *abstract name* of Linux. It is not in the file system, and becomes free when
//!   the socket is closed. (Differs from Tokio: datagram sockets take abstract names too.)
//! - Binding to a path creates a file that stays when the socket is closed. Remove it before you bind again.
//!
//! Called by user code.

mod addr;
pub(super) mod datagram;
pub(super) mod listener;
mod open;
pub mod pipe;
pub(super) mod socket;
mod split;
pub(super) mod stream;
mod ucred;

pub use addr::SocketAddr;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use ucred::{UCred, gid_t, pid_t, uid_t};

use datagram::UnixDatagram;
use listener::UnixListener;
use stream::UnixStream;
