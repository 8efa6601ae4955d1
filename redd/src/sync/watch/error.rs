//! The errors of sending to and receiving from a watch channel.

use std::fmt;

/// There is no receiver. It returns the value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError").finish_non_exhaustive()
    }
}

error_texts! {
    [T] SendError<T>,
    _ => "the watch channel has no receiver",
}

/// All senders are dropped.
#[derive(Clone, Debug)]
pub struct RecvError(pub(super) ());

error_texts! {
    [] RecvError,
    _ => "the watch channel has no sender any more",
}
