//! What a simulated world refuses: the place of the call and its task, added to the error.
//!
//! Called by `driver::readiness`, `io::stdio` and `process`.

use std::fmt;
use std::io;
use std::panic::Location;

use super::describe;
use crate::observe::report::{Printable, ShortLocation};
use crate::primitives::thread;

/// The error of a call that a simulated world refuses. `text` says what is refused and what to do instead; the caller's place and its task
/// are added.
#[cold]
#[track_caller]
pub(crate) fn refused(text: impl fmt::Display) -> io::Error {
    refused_at(Location::caller(), text)
}

/// As [`refused`], for a call whose place is known.
#[cold]
pub(crate) fn refused_at(place: &'static Location<'static>, text: impl fmt::Display) -> io::Error {
    let caller = match describe::current() {
        None => format!("thread `{}`", thread::current_name()),
        Some(task) => {
            let name = task.name.map_or_else(String::new, |name| format!(" `{}`", Printable(&name)));
            format!("task {}{name}, spawned at {}", task.id, ShortLocation(task.location))
        }
    };
    let text = format!("{text} (called at {} by {caller})", ShortLocation(place));
    io::Error::new(io::ErrorKind::Unsupported, text)
}
