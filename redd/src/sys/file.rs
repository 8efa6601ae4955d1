//! What std cannot do with a file: set the times of a path, also of a symbolic link, and keep reads from changing a time.
//!
//! Called by `disk`.

#![expect(unsafe_code, reason = "system calls")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use super::{check, status_flags, timespec};

/// Sets the times of the last read and the last modification. `time` is since 1970. A symbolic link is not followed.
pub(crate) fn set_times(path: &Path, time: Duration) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let times = [timespec(time), timespec(time)];
    // SAFETY: path and times live across the call, which only reads them.
    check(unsafe { libc::utimensat(libc::AT_FDCWD, path.as_ptr(), times.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) })?;
    Ok(())
}

/// Lets reads of this open file leave the time of the last read as it is. Only the file's owner may do that.
pub(crate) fn keep_read_time(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = status_flags(fd)? | libc::O_NOATIME;
    // SAFETY: no pointers are passed; the kernel checks the descriptor.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags) })?;
    Ok(())
}
