//! The parent's ends of a child's standard streams.
//!
//! # Invariants
//! - `only-our-end`: `O_NONBLOCK` is set on the parent's end; the two ends of a pipe have flags of their own, so the
//!   child does not notice.

use crate::driver::Driver;
use crate::driver::Source;
use crate::driver::readiness::ready::Interest;
use crate::driver::readiness::source::{Short, current_driver};
use crate::io::forward::{forward_descriptor, read_traits, write_traits};
use crate::io::{AsyncRead, AsyncWrite, ReadBuf};
use crate::sys::set_nonblocking;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::process::{self as std_process, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll};

/// The parent's end of a child's standard input: what is written here, the child reads.
///
/// - Dropping it closes it: the child reads the end of its input.
/// - The system's buffer takes some ten kilobytes; a child that does not read makes writes wait.
#[derive(Debug)]
pub struct ChildStdin {
    source: Source<std_process::ChildStdin>,
}

/// The parent's end of a child's standard output.
///
/// - Dropping it closes it: the child's next write fails.
#[derive(Debug)]
pub struct ChildStdout {
    source: Source<std_process::ChildStdout>,
}

/// The parent's end of a child's standard error.
///
/// - Dropping it closes it: the child's next write fails.
#[derive(Debug)]
pub struct ChildStderr {
    source: Source<std_process::ChildStderr>,
}

fn register<T: AsFd>(pipe: T, interest: Interest, driver: Arc<Driver>) -> io::Result<Source<T>> {
    // `only-our-end`.
    set_nonblocking(pipe.as_fd(), true)?;
    Source::new_with_driver(driver, pipe, interest)
}

fn into_blocking<T: AsFd + Into<OwnedFd>>(source: Source<T>) -> io::Result<OwnedFd> {
    let pipe = source.into_inner()?;
    set_nonblocking(pipe.as_fd(), false)?;
    Ok(pipe.into())
}

/// What all three ends have in common.
macro_rules! pipe_end {
    ($name:ident, $interest:expr) => {
        impl $name {
            /// Registers a pipe of the standard library with the runtime that this thread is in.
            ///
            /// # Panics
            /// Outside of a runtime, and in one that was built without I/O.
            ///
            /// # Errors
            /// The system refuses it.
            #[track_caller]
            pub fn from_std(inner: std_process::$name) -> io::Result<Self> {
                Self::register(inner, current_driver())
            }

            pub(super) fn register(inner: std_process::$name, driver: Arc<Driver>) -> io::Result<Self> {
                let source = register(inner, $interest, driver)?;
                Ok(Self { source })
            }

            /// The descriptor, in blocking mode and without its registration.
            ///
            /// # Errors
            /// The system refuses to end the registration or to change the mode.
            pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
                into_blocking(self.source)
            }
        }

        impl TryInto<Stdio> for $name {
            type Error = io::Error;

            fn try_into(self) -> io::Result<Stdio> {
                Ok(self.into_owned_fd()?.into())
            }
        }

        forward_descriptor!($name, self => *self.source);
    };
}

pipe_end!(ChildStdin, Interest::WRITABLE);
pipe_end!(ChildStdout, Interest::READABLE);
pipe_end!(ChildStderr, Interest::READABLE);

write_traits! {
    ChildStdin, self => self.source,
    /// Does nothing: a pipe is closed by dropping it.
    poll_shutdown => Ok(())
}

read_traits!(ChildStdout, self => self.source, Short::WouldBlock);
read_traits!(ChildStderr, self => self.source, Short::WouldBlock);
