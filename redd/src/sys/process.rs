//! The system calls behind child processes.
//!
//! Called by `process`.

#![expect(unsafe_code, reason = "system calls")]

use super::check;
use super::faults::{self, Call};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Opens a descriptor that becomes readable when process `pid` ends. `pid` is a child that was not waited for yet, so its
/// number cannot belong to another process.
pub(crate) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    faults::check(Call::PidfdOpen)?;
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: no pointers are passed. The returned descriptor is ours alone, and closed on exec.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        let fd = check(fd as libc::c_int)?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}
