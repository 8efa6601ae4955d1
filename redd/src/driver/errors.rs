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

/// The error of a descriptor that a program wants to wait for in a simulated world. `what` describes the descriptor.
pub(crate) fn not_simulated(what: &Option<Box<str>>) -> io::Error {
    let what = what.as_deref().unwrap_or("a descriptor");
    let text = format!(
        "a simulated world cannot wait for {what}: sockets, pipes, signals and processes are not simulated. Run this code outside of \
         the world, or replace the socket by a channel or `io::duplex`"
    );
    io::Error::new(io::ErrorKind::Unsupported, text)
}

/// Returns the error of every operation on a descriptor whose runtime has shut down.
pub(crate) fn shutdown_error() -> io::Error {
    io::Error::other(ShutDown)
}

/// Whether `error` is a [`shutdown_error`].
pub(crate) fn is_shutdown_error(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<ShutDown>())
}
