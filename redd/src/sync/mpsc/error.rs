//! The errors of sending to and receiving from an mpsc channel.

use std::fmt;

/// The receiver is closed or dropped. It returns the message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

debug_struct!([T] SendError<T> as "SendError", self => { .. });

error_texts! {
    [T] SendError<T>,
    _ => "the channel's receiver is closed or dropped",
}

/// As in Tokio, a name that programs may still have in a signature. No function returns it: `recv` returns an `Option`.
#[doc(hidden)]
#[deprecated(note = "no function returns it: `recv` returns an `Option`")]
#[derive(Debug, Clone)]
pub struct RecvError(());

#[expect(deprecated, reason = "it stays as long as Tokio has it")]
impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the channel is closed and empty")
    }
}

#[expect(deprecated, reason = "it stays as long as Tokio has it")]
impl std::error::Error for RecvError {}

/// Why a message could not be sent at once. It returns the message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// The channel is full.
    Full(T),
    /// The receiver is closed or dropped.
    Closed(T),
}

impl<T> TrySendError<T> {
    /// Returns the message that was not sent.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::mpsc;
    ///
    /// let (sender, _receiver) = mpsc::channel(1);
    /// sender.try_send("first").unwrap();
    /// let refused = sender.try_send("second").unwrap_err();
    /// assert_eq!(refused.into_inner(), "second");
    /// ```
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(message) | Self::Closed(message) => message,
        }
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(..) => "Full(..)",
            Self::Closed(..) => "Closed(..)",
        })
    }
}

error_texts! {
    [T] TrySendError<T>,
    Self::Full(..) => "the channel is full",
    Self::Closed(..) => "the channel's receiver is closed or dropped",
}

impl<T> From<SendError<T>> for TrySendError<T> {
    fn from(SendError(message): SendError<T>) -> Self {
        Self::Closed(message)
    }
}

/// Why a message could not be sent in time. It returns the message.
///
/// # Examples
/// ```
/// use redd::sync::mpsc;
/// use std::time::Duration;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (sender, _receiver) = mpsc::channel(1);
/// sender.send("first").await.unwrap();
/// let error = sender.send_timeout("second", Duration::from_millis(1)).await.unwrap_err();
/// assert_eq!(error.into_inner(), "second");
/// # });
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendTimeoutError<T> {
    /// There was no room in time.
    Timeout(T),
    /// The receiver is closed or dropped.
    Closed(T),
}

impl<T> SendTimeoutError<T> {
    /// Returns the message that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            Self::Timeout(message) | Self::Closed(message) => message,
        }
    }
}

impl<T> fmt::Debug for SendTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout(..) => "Timeout(..)",
            Self::Closed(..) => "Closed(..)",
        })
    }
}

error_texts! {
    [T] SendTimeoutError<T>,
    Self::Timeout(..) => "the channel had no room in time",
    Self::Closed(..) => "the channel's receiver is closed or dropped",
}

/// Why there is no message to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// No message is available now. One may arrive later.
    Empty,
    /// No message is available, and none will arrive.
    Disconnected,
}

error_texts! {
    [] TryRecvError,
    Self::Empty => "the channel is empty",
    Self::Disconnected => "the channel is empty and all its senders are dropped",
}
