//! System calls that std does not have.

#![expect(unsafe_code, reason = "system calls")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::process::{Target, User, is_taker};

/// The user with whose rights this process runs.
pub(crate) fn own_user() -> User {
    // SAFETY: no pointers are passed, and neither can fail.
    unsafe { User { uid: libc::geteuid(), gid: libc::getegid() } }
}

/// Runs `f` with the rights of `user`. Only root can; for the own user nothing changes.
pub(crate) fn as_user<R>(user: User, f: impl FnOnce() -> R) -> io::Result<R> {
    let own = own_user();
    if user.uid == own.uid {
        return Ok(f());
    }
    let _back = Back(own);
    set_user(user)?;
    Ok(f())
}

struct Back(User);

impl Drop for Back {
    fn drop(&mut self) {
        // Root is still the saved user, so this cannot fail.
        let _ = set_user(self.0);
    }
}

fn set_user(user: User) -> io::Result<()> {
    let check = |result: libc::c_int| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    let is_back = user.uid == 0;
    // The group is changed while the user is root.
    // SAFETY: no pointers are passed, here and below.
    let group = || check(unsafe { libc::setegid(user.gid) });
    // SAFETY: as above.
    let own = || check(unsafe { libc::seteuid(user.uid) });
    if is_back { own().and_then(|()| group()) } else { group().and_then(|()| own()) }
}

/// A signal with a value, as the kernel takes it: 128 bytes.
#[repr(C)]
struct QueuedSignal {
    signal: i32,
    errno: i32,
    code: i32,
    _gap: i32,
    pid: u32,
    uid: u32,
    value: u64,
    _rest: [u64; 12],
}

const _: () = assert!(size_of::<QueuedSignal>() == 128);
const _: () = assert!(size_of::<QueuedSignal>() == size_of::<libc::siginfo_t>());

/// A descriptor for one thread (Linux 6.9).
const PIDFD_THREAD: libc::c_int = libc::O_EXCL;
/// The signal goes to that thread (Linux 6.9).
const PIDFD_SIGNAL_THREAD: libc::c_uint = 1;

/// Sends `value` to the thread that takes requests, and to no other thread.
pub(crate) fn send(target: &Target, value: u64) -> io::Result<()> {
    let info = QueuedSignal {
        signal: target.signal,
        errno: 0,
        code: libc::SI_QUEUE,
        _gap: 0,
        pid: std::process::id(),
        uid: own_user().uid,
        value,
        _rest: [0; 12],
    };
    // SAFETY: no pointers are passed.
    let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, target.thread, PIDFD_THREAD) };
    if let Ok(fd @ 0..) = i32::try_from(opened) {
        // SAFETY: it has just been opened, and only we have it.
        let thread = unsafe { OwnedFd::from_raw_fd(fd) };
        // The descriptor is that of this thread from now on, even if its number becomes another one's.
        if !is_taker(target) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        let (fd, flags) = (thread.as_raw_fd(), PIDFD_SIGNAL_THREAD);
        // SAFETY: the kernel reads 128 bytes that are ours.
        let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, target.signal, &raw const info, flags) };
        return if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    }
    if !is_taker(target) {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    // An older kernel: between the check and the signal the thread could end, and its number could become another one's.
    // SAFETY: the kernel reads 128 bytes that are ours.
    let sent = unsafe {
        libc::syscall(libc::SYS_rt_tgsigqueueinfo, target.pid, target.thread, target.signal, &raw const info)
    };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A descriptor for a process, which is readable when the process has ended (Linux 5.3).
pub(crate) fn open_process(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    match i32::try_from(opened) {
        // SAFETY: it has just been opened, and only we have it.
        Ok(fd @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The process at the other end.
pub(crate) fn peer(stream: &UnixStream) -> io::Result<u32> {
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    let (fd, to) = (stream.as_raw_fd(), (&raw mut credentials).cast());
    // SAFETY: the kernel writes at most `len` bytes to `credentials`, and the length to `len`.
    let got = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, to, &raw mut len) };
    if got == 0 { Ok(credentials.pid as u32) } else { Err(io::Error::last_os_error()) }
}

/// Waits until there is something to read or to accept. False if `patience` is over first.
pub(crate) fn is_readable(fd: BorrowedFd<'_>, patience: Duration) -> io::Result<bool> {
    let mut asked = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let ms = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the kernel reads and writes one `pollfd` that is ours.
    match unsafe { libc::poll(&raw mut asked, 1, ms) } {
        -1 => Err(io::Error::last_os_error()),
        count => Ok(count > 0),
    }
}

/// Makes a directory below an open one, for its owner alone.
pub(crate) fn make_directory(folder: &File, name: &str) -> io::Result<()> {
    let name = std::ffi::CString::new(name).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the kernel reads a text that is ours.
    let made = unsafe { libc::mkdirat(folder.as_raw_fd(), name.as_ptr(), 0o700) };
    if made == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
