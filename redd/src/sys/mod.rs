//! The system calls of the runtime. Every call goes through this room, and tests can make each of them fail
//! ([`faults`]).
//!
//! Called by most rooms. Functions return `io::Result` and retry
//! `EINTR` themselves where a caller could only retry, too.
//!
//! Miri lacks some of these calls. Under `cfg(miri)` each of them is replaced or left out here, so that whole runtimes
//! run there. `cargo xtask miri` also builds these replacements for the machine itself and runs tests on them.

#![expect(unsafe_code, reason = "system calls")]

pub(crate) mod affinity;
pub(crate) mod alarm;
pub(crate) mod attach;
pub(crate) mod cached;
pub(crate) mod clock;
pub(crate) mod descriptor;
pub(crate) mod emulation;
pub(crate) mod epoll;
pub(crate) mod faults;
pub(crate) mod file;
pub(crate) mod fork;
pub(crate) mod images;
pub(crate) mod net;
pub(crate) mod outside;
pub(crate) mod process;
pub(crate) mod stack;
pub(crate) mod stderr;
pub(crate) mod thread;
#[cfg(any(miri, test))]
pub(crate) mod thread_alarm;
pub(crate) mod ticks;

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Converts the -1 of a system call into the error.
#[inline]
pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// As [`check`], for calls that return a size.
#[inline]
pub(crate) fn check_len(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// `read`, into memory that need not be initialised. Returns how many bytes at its start are initialised now.
pub(crate) fn read_uninit(fd: BorrowedFd<'_>, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    faults::check(faults::Call::Read)?;
    // SAFETY: the system writes at most `buf.len()` bytes to memory that is ours to write.
    check_len(unsafe { libc::read(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len()) })
}

/// As [`read_uninit`], for a socket.
pub(crate) fn recv_uninit(fd: BorrowedFd<'_>, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    faults::check(faults::Call::Read)?;
    if buf.is_empty() {
        return Ok(0); // As `read` returns; `recv` would wait for bytes.
    }
    // SAFETY: the system writes at most `buf.len()` bytes to memory that is ours to write.
    check_len(unsafe { libc::recv(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), 0) })
}

/// The flags a descriptor was opened with, and those set since: access mode, `O_NONBLOCK`, …
pub(crate) fn status_flags(fd: BorrowedFd<'_>) -> io::Result<libc::c_int> {
    // SAFETY: no pointers are passed; the kernel checks the descriptor.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })
}

/// Sets or unsets `O_NONBLOCK`, which all descriptors of the same open file share.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>, is_nonblocking: bool) -> io::Result<()> {
    let before = status_flags(fd)?;
    let after = if is_nonblocking { before | libc::O_NONBLOCK } else { before & !libc::O_NONBLOCK };
    if before != after { set_status_flags(fd, after) } else { Ok(()) }
}

/// Replaces those flags of [`status_flags`] that can change, such as `O_APPEND` and `O_NONBLOCK`.
pub(crate) fn set_status_flags(fd: BorrowedFd<'_>, flags: libc::c_int) -> io::Result<()> {
    // SAFETY: no pointers are passed; the kernel checks the descriptor.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags) })?;
    Ok(())
}

/// Returns the monotonic clock in milliseconds, which started before this process.
pub(crate) fn monotonic_ms() -> u64 {
    let _outside = outside::Outside::begin(); // In a simulated world, too.
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the system writes a `timespec` to memory that is ours. This clock is always there.
    let time = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr());
        time.assume_init()
    };
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// Converts a duration to the system's type.
fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Sleeps while `*word == expected`, at most for `timeout`. Returns on any wake-up, also a spurious one; true if
/// another thread's wake (or nothing at all) ended it, false if it did not sleep or the time was up.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    let spec = timeout.map(timespec);
    let spec_ptr = spec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `word` and `spec` live across the call; the kernel only reads them.
    let result = unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, expected, spec_ptr)
    };
    result == 0
}

/// Wakes one thread that sleeps in [`futex_wait`] on this word; false if none does.
pub(crate) fn futex_wake_one(word: &AtomicU32) -> bool {
    // SAFETY: the kernel uses the address only as a key.
    let woken =
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1) };
    woken > 0
}

/// Lets the system have the pages of a block back until they are touched again; what was in them is lost.
///
/// # Safety
/// The caller owns the block, and no code relies on its contents. It begins and ends at a page boundary.
pub(crate) unsafe fn give_back_pages(block: std::ptr::NonNull<u8>, len: usize) {
    // Refused where a page is larger than the block, or locked: then it stays.
    #[cfg(all(target_os = "linux", not(miri)))]
    // SAFETY: by the safety contract. With this advice the mapping stays.
    let _ = unsafe { libc::madvise(block.as_ptr().cast(), len, libc::MADV_DONTNEED) };
    #[cfg(any(not(target_os = "linux"), miri))]
    let _ = (block, len);
}
