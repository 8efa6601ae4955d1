//! TCP: the halves of streams. The sockets themselves are in [`net`](super).
//!
//! Called by user code.

pub(super) mod listener;
pub(super) mod socket;
mod split;
mod split_owned;
pub(super) mod stream;

pub use split::{ReadHalf, WriteHalf};
pub use split_owned::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};

use listener::TcpListener;
use stream::TcpStream;
