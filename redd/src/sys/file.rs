//! What std cannot do with a file: read only what is in memory, set the times of a path, also of a symbolic link, and keep
//! reads from changing a time.
//!
//! Called by `fs` and `disk`.

#![expect(unsafe_code, reason = "system calls")]

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::faults::{self, Call};
use super::{check, check_len, set_status_flags, status_flags, timespec};

/// What a read that must not wait has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadNow {
    /// This many bytes, which may be fewer than asked for before the end of the file. 0 is the end.
    Read(usize),
    /// Some of the bytes are not in memory, or a lock is taken. A later read may succeed.
    WouldBlock,
    /// This file has no such reads, or the process has none.
    Unsupported,
}

/// Whether the kernel, or a filter of system calls, has no reads that do not wait.
static IS_PREADV2_MISSING: AtomicBool = AtomicBool::new(false);

/// Reads what is in the page cache: at the file's own position, which it moves, or else at `position`. Never waits for a disk,
/// unless the file was opened with `O_DIRECT`: such a read passes the cache, and the kernel waits for it.
///
/// `buf` is not empty.
///
/// # Errors
/// Any error that does not mean one of the other two. The file cannot be read so; an ordinary read reports why.
pub(crate) fn read_now(fd: BorrowedFd<'_>, buf: &mut [MaybeUninit<u8>], position: Option<u64>) -> io::Result<ReadNow> {
    read_unless_missing(&IS_PREADV2_MISSING, fd, buf, position)
}

fn read_unless_missing(
    is_missing: &AtomicBool,
    fd: BorrowedFd<'_>,
    buf: &mut [MaybeUninit<u8>],
    position: Option<u64>,
) -> io::Result<ReadNow> {
    debug_assert!(!buf.is_empty(), "a read of no bytes finds no end");
    // Relaxed: a hint. The call below finds out again.
    if cfg!(miri) || is_missing.load(Ordering::Relaxed) {
        return Ok(ReadNow::Unsupported);
    }
    loop {
        match interpret(preadv2_nowait(fd, buf, position), is_zero_an_end) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
                is_missing.store(true, Ordering::Relaxed);
                return Ok(ReadNow::Unsupported);
            }
            result => return result,
        }
    }
}

fn preadv2_nowait(fd: BorrowedFd<'_>, buf: &mut [MaybeUninit<u8>], position: Option<u64>) -> io::Result<usize> {
    faults::check(Call::ReadNow)?;
    let slice = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    // The position in two halves, of which a machine of 64 bits uses the first one. -1 is that of the file itself.
    let position = position.map_or(-1, |position| position as i64);
    // SAFETY: the system writes at most `buf.len()` bytes to memory that is ours to write, and only reads `slice`.
    let result = unsafe {
        libc::syscall(
            libc::SYS_preadv2,
            fd.as_raw_fd(),
            &raw const slice,
            1,
            position as libc::c_long,
            (position >> 32) as libc::c_long,
            libc::RWF_NOWAIT,
        )
    };
    check_len(result as libc::ssize_t)
}

/// What the result of the system means. `is_zero_an_end` is called if nothing was read.
fn interpret(result: io::Result<usize>, is_zero_an_end: impl FnOnce() -> bool) -> io::Result<ReadNow> {
    match result {
        Ok(0) if !is_zero_an_end() => Ok(ReadNow::WouldBlock),
        Ok(len) => Ok(ReadNow::Read(len)),
        Err(error) => match error.raw_os_error() {
            Some(libc::EAGAIN) => Ok(ReadNow::WouldBlock),
            // `EINVAL` and `EPERM` have more than one cause: an old kernel or a filter, but also a property of this file.
            Some(libc::EOPNOTSUPP | libc::EINVAL | libc::EPERM) => Ok(ReadNow::Unsupported),
            _ => Err(error),
        },
    }
}

/// Linux 5.9 and 5.10 may read nothing before the end of a file: see `preadv2(2)`.
fn is_zero_an_end() -> bool {
    static IS_ZERO_AN_END: OnceLock<bool> = OnceLock::new();
    *IS_ZERO_AN_END.get_or_init(|| kernel_release().is_some_and(|release| is_fixed(&release)))
}

/// Whether a kernel with this release reads nothing only at the end of a file.
fn is_fixed(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    !matches!((numbers.next(), numbers.next()), (Some(Ok(5)), Some(Ok(9 | 10))))
}

fn kernel_release() -> Option<String> {
    let mut names = MaybeUninit::<libc::utsname>::uninit();
    // SAFETY: the system writes a `utsname` to memory that is ours.
    check(unsafe { libc::uname(names.as_mut_ptr()) }).ok()?;
    // SAFETY: the call has succeeded, so it is written.
    let names = unsafe { names.assume_init() };
    // SAFETY: the system ends each of the names with a zero byte.
    let release = unsafe { CStr::from_ptr(names.release.as_ptr()) };
    Some(release.to_string_lossy().into_owned())
}

/// Whether this is a regular file: no directory, device, pipe or socket.
pub(crate) fn is_regular(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the system writes a `stat` to memory that is ours.
    check(unsafe { libc::fstat(fd.as_raw_fd(), status.as_mut_ptr()) })?;
    // SAFETY: the call has succeeded, so it is written.
    Ok(unsafe { status.assume_init() }.st_mode & libc::S_IFMT == libc::S_IFREG)
}

/// Whether reads of this file use the page cache. Those of a file that was opened with `O_DIRECT` pass it, and one with `O_PATH`
/// has no reads and no position.
pub(crate) fn uses_cache(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(status_flags(fd)? & (libc::O_DIRECT | libc::O_PATH) == 0)
}

/// Whether this file can be sealed. Only files that are in memory can: those on tmpfs, and those of `memfd_create`.
///
/// It never waits, because the kernel asks no file system. `fstatfs` would ask a server.
pub(crate) fn can_be_sealed(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: no pointers are passed; the kernel checks the descriptor.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) >= 0 }
}

/// Drops what the page cache has of this file and what is on the disk, too.
#[cfg(all(test, not(any(miri, loom, shuttle))))]
pub(crate) fn drop_cached(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers are passed; the kernel checks the descriptor.
    match unsafe { libc::posix_fadvise(fd.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) } {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

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
    set_status_flags(fd, status_flags(fd)? | libc::O_NOATIME)
}

#[cfg(all(test, not(any(miri, loom, shuttle))))]
mod tests {
    use super::*;
    use std::io::{Seek, Write};
    use std::os::fd::AsFd;

    fn file(contents: &[u8]) -> std::fs::File {
        let mut file = tempfile::tempfile().expect("room for a file");
        file.write_all(contents).expect("room for its contents");
        file.rewind().expect("a file has a position");
        file
    }

    fn now(file: &std::fs::File, len: usize) -> io::Result<ReadNow> {
        read_now(file.as_fd(), &mut vec![MaybeUninit::uninit(); len], None)
    }

    #[test]
    fn bytes_in_the_cache_are_read_and_move_the_position() {
        if crate::sys::emulation::skips("bytes_in_the_cache", "it may lack the call") {
            return;
        }
        let mut file = file(b"salmon");
        match now(&file, 4).expect("a file that is open for reading") {
            ReadNow::Read(len) => {
                assert_eq!(len, 4);
                assert_eq!(file.stream_position().expect("a file has a position"), 4);
                assert_eq!(now(&file, 4).expect("as before"), ReadNow::Read(2));
                if is_zero_an_end() {
                    assert_eq!(now(&file, 4).expect("as before"), ReadNow::Read(0));
                }
            }
            // The directory of temporary files is on a file system without such reads.
            ReadNow::Unsupported => assert_eq!(file.stream_position().expect("a file has a position"), 0),
            ReadNow::WouldBlock => panic!("the bytes were written just now"),
        }
    }

    #[test]
    fn refusals_leave_the_position_as_it_is_and_only_a_missing_call_is_remembered() {
        let mut file = file(b"salmon");
        let is_missing = AtomicBool::new(false);
        let now = |file: &std::fs::File| {
            read_unless_missing(&is_missing, file.as_fd(), &mut [MaybeUninit::uninit(); 4], None)
        };
        for (errno, expected) in [
            (libc::EAGAIN, ReadNow::WouldBlock),
            (libc::EOPNOTSUPP, ReadNow::Unsupported),
            (libc::EINVAL, ReadNow::Unsupported),
            (libc::EPERM, ReadNow::Unsupported),
        ] {
            faults::plan(Call::ReadNow, 0, errno);
            assert_eq!(now(&file).expect("no error of a read"), expected, "{errno}");
            assert_eq!(file.stream_position().expect("a file has a position"), 0);
            assert!(!is_missing.load(Ordering::Relaxed), "{errno} may be due to this file");
        }
        faults::plan(Call::ReadNow, 0, libc::EIO);
        assert_eq!(now(&file).expect_err("it was injected").raw_os_error(), Some(libc::EIO));
        faults::plan(Call::ReadNow, 0, libc::EINTR);
        assert_ne!(now(&file).expect("it is repeated"), ReadNow::WouldBlock);
        file.rewind().expect("a file has a position");
        faults::plan(Call::ReadNow, 0, libc::ENOSYS);
        assert_eq!(now(&file).expect("no error of a read"), ReadNow::Unsupported);
        assert_eq!(now(&file).expect("no error of a read"), ReadNow::Unsupported, "it is not called again");
        assert_eq!(file.stream_position().expect("a file has a position"), 0);
    }

    #[test]
    fn zero_is_the_end_except_for_the_kernels_whose_manual_says_otherwise() {
        assert_eq!(interpret(Ok(0), || true).expect("no error"), ReadNow::Read(0));
        assert_eq!(interpret(Ok(0), || false).expect("no error"), ReadNow::WouldBlock);
        assert_eq!(interpret(Ok(1), || false).expect("no error"), ReadNow::Read(1));
        for broken in ["5.9", "5.9.0-rc1", "5.10.0-32-amd64", "5.10.223"] {
            assert!(!is_fixed(broken), "{broken}");
        }
        for fixed in ["5.8.18", "5.11.0", "5.100.1", "6.9.3", "6.10", "15.10", "4.18.0-553.el8"] {
            assert!(is_fixed(fixed), "{fixed}");
        }
        assert!(kernel_release().is_some_and(|release| release.contains('.')));
    }

    #[test]
    fn only_regular_files_are_regular() {
        let regular = file(b"");
        assert!(is_regular(regular.as_fd()).expect("is open") && uses_cache(regular.as_fd()).expect("is open"));
        let (pipe, _other) = std::os::unix::net::UnixStream::pair().expect("descriptors left");
        let device = std::fs::File::open("/dev/zero").expect("it is there");
        assert!(!is_regular(pipe.as_fd()).expect("is open") && !is_regular(device.as_fd()).expect("is open"));
    }
}
