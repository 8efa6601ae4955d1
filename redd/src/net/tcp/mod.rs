//! TCP: the halves of streams. The sockets themselves are in [`net`](super).
//!
//! Called by user code.

pub(super) mod listener;
mod open;
pub(super) mod socket;
mod split;
pub(super) mod stream;

pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};

use listener::TcpListener;
use stream::TcpStream;
