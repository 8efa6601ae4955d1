//! What a case saw, as text.

use redd::io::Ready;
use redd::time::error::Elapsed;
use std::fmt::Display;
use std::io;

/// A value that has one text on all systems: numbers, texts, and errors by their names.
pub(crate) trait Show {
    fn show(&self) -> String;
}

macro_rules! shown_by_debug {
    ($($type:ty),*) => { $(impl Show for $type { fn show(&self) -> String { format!("{self:?}") } })* };
}

shown_by_debug!(
    bool,
    usize,
    i32,
    u32,
    u16,
    u8,
    String,
    &str,
    Vec<usize>,
    Vec<bool>,
    Vec<u32>,
    Option<std::time::Duration>
);

/// A value that is shown as it displays itself.
pub(crate) struct Word<T>(pub(crate) T);

impl<T: Display> Show for Word<T> {
    fn show(&self) -> String {
        self.0.to_string()
    }
}

impl Show for () {
    fn show(&self) -> String {
        "ok".to_owned()
    }
}

impl Show for Elapsed {
    fn show(&self) -> String {
        "elapsed".to_owned()
    }
}

impl Show for Ready {
    /// The flags, in a fixed order.
    fn show(&self) -> String {
        let flags = [
            (self.is_readable(), "R"),
            (self.is_writable(), "W"),
            (self.is_read_closed(), "RC"),
            (self.is_write_closed(), "WC"),
            (self.is_error(), "E"),
        ];
        let set: Vec<_> = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| *name).collect();
        set.join("+")
    }
}

/// The names of the errors that Linux gives here.
const ERRORS: &[(i32, &str)] = &[
    (libc::EACCES, "EACCES"),
    (libc::EADDRINUSE, "EADDRINUSE"),
    (libc::EADDRNOTAVAIL, "EADDRNOTAVAIL"),
    (libc::EAFNOSUPPORT, "EAFNOSUPPORT"),
    (libc::EBADF, "EBADF"),
    (libc::ECONNABORTED, "ECONNABORTED"),
    (libc::ECONNREFUSED, "ECONNREFUSED"),
    (libc::ECONNRESET, "ECONNRESET"),
    (libc::EDESTADDRREQ, "EDESTADDRREQ"),
    (libc::EINVAL, "EINVAL"),
    (libc::EISCONN, "EISCONN"),
    (libc::EMSGSIZE, "EMSGSIZE"),
    (libc::ENETUNREACH, "ENETUNREACH"),
    (libc::ENOENT, "ENOENT"),
    (libc::ENOTCONN, "ENOTCONN"),
    (libc::ENOTDIR, "ENOTDIR"),
    (libc::EOPNOTSUPP, "EOPNOTSUPP"),
    (libc::EPERM, "EPERM"),
    (libc::EPIPE, "EPIPE"),
    (libc::EPROTOTYPE, "EPROTOTYPE"),
    (libc::ETIMEDOUT, "ETIMEDOUT"),
];

impl Show for io::Error {
    /// The name of the system's error, or the kind of one that redd made. `WouldBlock` is both: whether redd asks the system depends on
    /// which events it has seen.
    fn show(&self) -> String {
        match self.raw_os_error() {
            Some(number) if self.kind() != io::ErrorKind::WouldBlock => {
                let name = ERRORS.iter().find(|(error, _)| *error == number);
                name.map_or_else(|| format!("error {number}"), |(_, name)| (*name).to_owned())
            }
            _ => format!("{:?}", self.kind()),
        }
    }
}

impl<T: Show, E: Show> Show for Result<T, E> {
    fn show(&self) -> String {
        match self {
            Ok(value) => value.show(),
            Err(error) => error.show(),
        }
    }
}

impl Show for Option<io::Error> {
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), Show::show)
    }
}

impl Show for &io::Error {
    fn show(&self) -> String {
        (*self).show()
    }
}
