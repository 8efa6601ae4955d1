//! Errors of timers.
//!
//! [`timeout`](super::timeout()) returns [`Elapsed`].

use std::io;

/// The deadline of a [`timeout`](super::timeout()) passed. Converts into an [`io::Error`] of kind `TimedOut`.
///
/// # Examples
/// ```
/// use std::io;
///
/// use redd::time::{Duration, sleep, timeout};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// async fn request() -> io::Result<u32> {
///     timeout(Duration::from_secs(1), sleep(Duration::from_secs(2))).await?;
///     Ok(200)
/// }
/// assert_eq!(request().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
/// # });
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl Elapsed {
    pub(super) const fn new() -> Self {
        Self(())
    }
}

error_texts! {
    [] Elapsed,
    _ => "the deadline passed before the operation was complete",
}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}

/// Why a timer failed.
///
/// No function of redd returns it. It exists for code that creates and inspects such errors itself.
///
/// # Examples
/// ```
/// use redd::time::error::Error;
///
/// let error = Error::shutdown();
/// assert!(error.is_shutdown() && !error.is_at_capacity() && !error.is_invalid());
/// assert_eq!(error.to_string(), "the timer's runtime was shut down");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Error(ErrorKind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorKind {
    Shutdown,
    AtCapacity,
    Invalid,
}

impl Error {
    /// Creates the error for a timer whose runtime was shut down.
    pub fn shutdown() -> Self {
        Self(ErrorKind::Shutdown)
    }

    /// Returns whether the timer's runtime was shut down.
    pub fn is_shutdown(&self) -> bool {
        self.0 == ErrorKind::Shutdown
    }

    /// Creates the error for a runtime that has no room for another timer.
    pub fn at_capacity() -> Self {
        Self(ErrorKind::AtCapacity)
    }

    /// Returns whether the runtime has no room for another timer.
    pub fn is_at_capacity(&self) -> bool {
        self.0 == ErrorKind::AtCapacity
    }

    /// Creates the error for a timer with invalid settings.
    pub fn invalid() -> Self {
        Self(ErrorKind::Invalid)
    }

    /// Returns whether the timer's settings are invalid.
    pub fn is_invalid(&self) -> bool {
        self.0 == ErrorKind::Invalid
    }
}

error_texts! {
    [] Error,
    Self(ErrorKind::Shutdown) => "the timer's runtime was shut down",
    Self(ErrorKind::AtCapacity) => "the runtime has no room for another timer",
    Self(ErrorKind::Invalid) => "the timer's settings are invalid",
}
