//! Why an operation on a descriptor fails: its runtime has shut down, or a simulated world refuses it.
//!
//! Called by the driver, and by other rooms whose operations end with their runtime.

use crate::primitives::thread;
use std::io;
use std::os::fd::RawFd;

/// The inner error of the `io::Error` that every operation on a descriptor returns after its runtime has shut down.
#[derive(Debug)]
struct ShutDown;

error_texts! {
    [] ShutDown,
    _ => "the redd runtime that drives this descriptor has shut down, or it is being shutdown: keep the `Runtime` \
          alive as long as its sockets, or take the descriptor out and use it without a runtime",
}

/// Why a descriptor is refused that a program wants to wait for in a simulated world.
pub(crate) fn not_simulated(fd: RawFd) -> String {
    format!(
        "a simulated world cannot wait for {}: of descriptors it has only the sockets of `redd::net`. Run this code outside of the world, or \
         use such a socket, a channel or `io::duplex` instead",
        described(fd)
    )
}

/// Why a closure of the program is refused that operates on a simulated socket.
pub(crate) fn user_io() -> &'static str {
    "a system call of the program on a socket of a simulated world would reach a descriptor that carries no bytes. Use the methods of the \
     socket, such as `try_read` and `recv_from`, or run this code outside of the world"
}

/// The error of a socket that a program has bound or connected without redd.
pub(super) fn outside_of_world(fd: RawFd) -> io::Error {
    unsupported(format!(
        "{} is bound or connected in the real network, and a simulated world has a network of its own. Bind and connect it with the \
         types of `redd::net`, or pass a socket that is neither bound nor connected",
        described(fd)
    ))
}

/// The error of an operation on a simulated socket by a thread that does not belong to the world.
pub(super) fn foreign_thread() -> io::Error {
    unsupported(format!(
        "thread `{}` does not belong to the simulated world of this socket. Use the socket on a thread of the world, such as a task or a \
         closure of `spawn_blocking`",
        thread::current_name()
    ))
}

/// The error of a thread of a world that uses a runtime outside of it.
pub(super) fn runtime_outside() -> io::Error {
    unsupported(format!(
        "thread `{}` belongs to a simulated world, and this runtime does not. Build the runtime on a thread of the world",
        thread::current_name()
    ))
}

fn described(fd: RawFd) -> Box<str> {
    crate::sys::descriptor::describe(fd).unwrap_or_else(|| "a descriptor".into())
}

fn unsupported(text: String) -> io::Error {
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
