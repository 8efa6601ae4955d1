//! The errors of receiving from a oneshot channel.

/// The sender was dropped without sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecvError(pub(super) ());

error_texts! {
    [] RecvError,
    _ => "the oneshot channel ended without a value: the sender was dropped or the receiver closed",
}

/// Why there is no value to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// The value has not been sent yet.
    Empty,
    /// The value will never be sent, or has been taken.
    Closed,
}

error_texts! {
    [] TryRecvError,
    Self::Empty => "the oneshot channel has no value yet",
    Self::Closed => "the oneshot channel is closed: no value will come",
}
