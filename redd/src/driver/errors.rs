//! The error of operations on a descriptor whose runtime has shut down.
//!
//! Called by the driver, and by other rooms whose operations end with their runtime.

use std::io;

/// The inner error of the `io::Error` that every operation on a descriptor returns after its runtime has shut down.
#[derive(Debug)]
struct ShutDown;

error_texts! {
    [] ShutDown,
    _ => "the redd runtime that drives this descriptor has shut down, or it is being shutdown: keep the `Runtime` \
          alive as long as its sockets, or take the descriptor out and use it without a runtime",
}

/// Returns the error of every operation on a descriptor whose runtime has shut down.
pub(crate) fn shutdown_error() -> io::Error {
    io::Error::other(ShutDown)
}

/// Whether `error` is a [`shutdown_error`].
pub(crate) fn is_shutdown_error(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<ShutDown>())
}
