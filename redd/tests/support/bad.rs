//! Shared by the tests of bad input.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use redd::runtime::Builder;

/// Runs a future in a runtime with all drivers.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().expect("there is room for its descriptors").block_on(test)
}

#[track_caller]
pub(crate) fn assert_kind<T: Debug>(result: io::Result<T>, kind: ErrorKind) {
    assert_eq!(result.expect_err("bad input was accepted").kind(), kind);
}

/// A path that every system call refuses.
pub(crate) fn with_nul() -> &'static Path {
    Path::new(OsStr::from_bytes(b"a\0b"))
}
