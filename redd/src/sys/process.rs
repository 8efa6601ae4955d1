//! The system calls behind child processes.
//!
//! Called by `process`.

#![expect(unsafe_code, reason = "system calls")]

use super::check;
use super::faults::{self, Call};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A descriptor that becomes readable when process `pid` ends. `pid` is a child that was not waited for yet, so that
/// its number cannot belong to another process.
pub(crate) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    faults::check(Call::PidfdOpen)?;
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: no pointers are passed; the descriptor that comes back is ours alone, and closed on exec.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        let fd = check(fd as libc::c_int)?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Whether operations on a descriptor wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Blocking,
    Nonblocking,
}

/// Sets or unsets `O_NONBLOCK`.
pub(crate) fn set_mode(fd: BorrowedFd<'_>, mode: Mode) -> io::Result<()> {
    // SAFETY: no pointers are passed.
    let before = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    let flags = match mode {
        Mode::Blocking => before & !libc::O_NONBLOCK,
        Mode::Nonblocking => before | libc::O_NONBLOCK,
    };
    if flags != before {
        // SAFETY: no pointers are passed.
        check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags) })?;
    }
    Ok(())
}
