//! TCP: the halves of streams. The sockets themselves are in [`net`](super).
//!
//! Called by user code.

mod listener;
mod socket;
mod split;
mod split_owned;
mod stream;

pub use split::{ReadHalf, WriteHalf};
pub use split_owned::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};

pub(super) use listener::TcpListener;
pub(super) use socket::TcpSocket;
pub(super) use stream::TcpStream;
