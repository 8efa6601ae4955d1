//! What sending to and receiving from an mpsc channel can fail with.

use std::fmt;

/// The receiver is closed or dropped; the value comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

debug_struct!([T] SendError<T> as "SendError", self => { .. });

error_texts! {
    [T] SendError<T>,
    _ => "the channel's receiver is closed or dropped",
}

/// An error that gives a value back, for one of two reasons: it was not sent yet, or it never can be.
macro_rules! returned_value {
    ($(#[$attribute:meta])* $Error:ident, $(#[$reason:meta])* $NotYet:ident, $text:literal) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub enum $Error<T> {
            $(#[$reason])*
            $NotYet(T),
            /// The receiver is closed or dropped.
            Closed(T),
        }

        impl<T> $Error<T> {
            /// The value that was not sent.
            pub fn into_inner(self) -> T {
                match self {
                    Self::$NotYet(value) | Self::Closed(value) => value,
                }
            }
        }

        impl<T> fmt::Debug for $Error<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    Self::$NotYet(..) => concat!(stringify!($NotYet), "(..)"),
                    Self::Closed(..) => "Closed(..)",
                })
            }
        }

        error_texts! {
            [T] $Error<T>,
            Self::$NotYet(..) => $text,
            Self::Closed(..) => "the channel's receiver is closed or dropped",
        }
    };
}

returned_value! {
    /// Why a value could not be sent at once; it comes back.
    TrySendError,
    /// The channel is full.
    Full, "the channel is full"
}

impl<T> From<SendError<T>> for TrySendError<T> {
    fn from(SendError(value): SendError<T>) -> Self {
        Self::Closed(value)
    }
}

returned_value! {
    /// Why a value could not be sent in time; it comes back.
    SendTimeoutError,
    /// There was no room in time.
    Timeout, "the channel had no room in time"
}

/// Why there is no message to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// No message is there now; one may come.
    Empty,
    /// No message is there, and none will come.
    Disconnected,
}

error_texts! {
    [] TryRecvError,
    Self::Empty => "the channel is empty",
    Self::Disconnected => "the channel is empty and all its senders are dropped",
}
