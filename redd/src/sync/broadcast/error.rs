//! The errors of sending to and receiving from a broadcast channel.

use crate::primitives::count::PlainCount;

/// There is no receiver. It returns the message.
#[derive(Debug)]
pub struct SendError<T>(pub T);

error_texts! {
    [T] SendError<T> where T: Debug,
    _ => "the broadcast channel has no receiver",
}

/// Why no message was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// All senders are dropped and all messages are received.
    Closed,
    /// The receiver fell behind and lost so many messages. It continues with the oldest that is left.
    Lagged(u64),
}

error_texts! {
    [] RecvError,
    Self::Closed => "the broadcast channel has no sender any more",
    Self::Lagged(lost) => "the receiver fell behind and lost {}" [PlainCount(*lost, "message", "messages")],
}

/// Why there is no message to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// No message is available now. One may arrive later.
    Empty,
    /// All senders are dropped and all messages are received.
    Closed,
    /// The receiver fell behind and lost so many messages. It continues with the oldest that is left.
    Lagged(u64),
}

error_texts! {
    [] TryRecvError,
    Self::Empty => "the broadcast channel has no new message",
    Self::Closed => "the broadcast channel has no sender any more",
    Self::Lagged(lost) => "the receiver fell behind and lost {}" [PlainCount(*lost, "message", "messages")],
}
