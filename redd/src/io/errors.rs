//! The two errors that `io` itself makes.

use std::io::{Error, ErrorKind};

/// The error of a writer that accepts no more bytes although it did not fail.
pub(super) fn write_zero() -> Error {
    Error::new(ErrorKind::WriteZero, "the writer took no bytes although there were some left to write")
}

/// The error of a stream that ends within the requested bytes.
pub(super) fn unexpected_eof() -> Error {
    Error::new(ErrorKind::UnexpectedEof, "the stream ended before the buffer was full")
}
