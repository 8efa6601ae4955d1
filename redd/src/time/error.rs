//! What can go wrong with time.
//!
//! Called by `timeout`, which answers with [`Elapsed`].

use std::fmt;
use std::io;

/// The time of a [`timeout`](super::timeout()) is up. Converts into an [`io::Error`] of kind `TimedOut`.
#[derive(Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl Elapsed {
    pub(super) const fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline passed before the operation was complete")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}

/// Why a timer could not do its work.
///
/// No function of redd answers with it; it is here for code that makes and inspects such errors itself.
#[derive(Clone, Copy, Debug)]
pub struct Error(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Shutdown,
    AtCapacity,
    Invalid,
}

impl Error {
    /// The runtime was shut down.
    pub fn shutdown() -> Self {
        Self(Kind::Shutdown)
    }

    /// Whether the runtime was shut down.
    pub fn is_shutdown(&self) -> bool {
        self.0 == Kind::Shutdown
    }

    /// There is no room for another timer.
    pub fn at_capacity() -> Self {
        Self(Kind::AtCapacity)
    }

    /// Whether there was no room for another timer.
    pub fn is_at_capacity(&self) -> bool {
        self.0 == Kind::AtCapacity
    }

    /// The timer was set up in a way that makes no sense.
    pub fn invalid() -> Self {
        Self(Kind::Invalid)
    }

    /// Whether the timer was set up in a way that makes no sense.
    pub fn is_invalid(&self) -> bool {
        self.0 == Kind::Invalid
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Shutdown => "the timer's runtime was shut down",
            Kind::AtCapacity => "the runtime has no room for another timer",
            Kind::Invalid => "the timer's settings are invalid",
        })
    }
}

impl std::error::Error for Error {}
