//! What can go wrong with time.
//!
//! Called by `timeout`, which answers with [`Elapsed`].

use std::io;

/// The time of a [`timeout`](super::timeout()) is up. Converts into an [`io::Error`] of kind `TimedOut`.
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

/// Why a timer could not do its work.
///
/// No function of redd answers with it; it is here for code that makes and inspects such errors itself.
#[derive(Clone, Copy, Debug)]
pub struct Error(Kind);

/// The kinds of [`Error`], each with what it says.
macro_rules! kinds {
    ($($Kind:ident, $make:ident, $is:ident, $text:literal;)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Kind {
            $($Kind,)+
        }

        impl Error {
            $(
                #[doc = concat!("Says that ", $text, ".")]
                pub fn $make() -> Self {
                    Self(Kind::$Kind)
                }

                #[doc = concat!("Whether ", $text, ".")]
                pub fn $is(&self) -> bool {
                    self.0 == Kind::$Kind
                }
            )+
        }

        error_texts! {
            [] Error,
            $(Self(Kind::$Kind) => $text,)+
        }
    };
}

kinds! {
    Shutdown, shutdown, is_shutdown, "the timer's runtime was shut down";
    AtCapacity, at_capacity, is_at_capacity, "the runtime has no room for another timer";
    Invalid, invalid, is_invalid, "the timer's settings are invalid";
}
