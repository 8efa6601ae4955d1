//! One attempt to write a text to standard error, without waiting and without a signal to the process.
//!
//! Called by `observe::report`. It does not use std's `Stderr`, because user code may hold that lock while it waits for the
//! reader of a full pipe.
//!
//! # Invariants
//! - `no-wait`: the attempt fails with `EAGAIN` where the system would make the thread wait.
//! - `flags-untouched`: the flags of the program's own descriptor do not change. All processes that share the pipe or the
//!   terminal would see that.
//! - `no-signal`: `SIGPIPE`, `SIGXFSZ` and `SIGTTOU` that the write causes do not reach the process.

#![expect(unsafe_code, reason = "system calls")]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use super::{check, check_len, faults};

/// The most bytes that one call writes. A pipe accepts them all or none.
const PIECE: usize = libc::PIPE_BUF;

/// How many times signals may interrupt a call before the attempt fails. Not measured.
const INTERRUPTS_MAX: u32 = 16;

/// What an attempt has written.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) bytes: usize,
    /// Why some of the text was not written.
    pub(crate) error: Option<io::Error>,
}

/// Writes `text` to the standard error of this process, as far as that is possible now.
pub(crate) fn try_write(text: &[u8]) -> Attempt {
    // SAFETY: for a number that is not a descriptor, the calls below return an error.
    try_write_to(unsafe { BorrowedFd::borrow_raw(libc::STDERR_FILENO) }, text)
}

fn try_write_to(fd: BorrowedFd<'_>, text: &[u8]) -> Attempt {
    #[cfg(miri)]
    return write_pieces(text, |piece| Way::Plain.write(fd, piece));
    #[cfg(not(miri))]
    match Way::to(fd) {
        Ok(way) => with_signals_blocked(|| write_pieces(text, |piece| way.write(fd, piece))),
        Err(error) => Attempt { bytes: 0, error: Some(error) },
    }
}

/// Writes piece by piece. Pieces end at the end of a line if they contain one, so that lines of other writers do not get
/// in between.
fn write_pieces(text: &[u8], mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> Attempt {
    let (mut bytes, mut interrupts) = (0, 0);
    let error = loop {
        let rest = &text[bytes..];
        if rest.is_empty() {
            break None;
        }
        let most = &rest[..rest.len().min(PIECE)];
        let is_last = most.len() == rest.len();
        let line_end = if is_last { None } else { most.iter().rposition(|byte| *byte == b'\n') };
        match write(&most[..line_end.map_or(most.len(), |end| end + 1)]) {
            Ok(0) => break Some(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted && interrupts < INTERRUPTS_MAX => interrupts += 1,
            Err(error) => break Some(error),
        }
    };
    Attempt { bytes, error }
}

/// How to write to a descriptor without waiting (`no-wait`).
#[derive(Debug)]
enum Way {
    /// The write itself never waits for another process.
    Plain,
    Socket,
    /// The same pipe or terminal, opened once more with `O_NONBLOCK` (`flags-untouched`).
    Reopened(OwnedFd),
    /// Checks first whether the descriptor is writable. Another writer may be faster, so this is only for descriptors
    /// that cannot be opened.
    AskFirst,
}

impl Way {
    fn to(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let mut status = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the system writes a `stat` to memory that is ours.
        check(unsafe { libc::fstat(fd.as_raw_fd(), status.as_mut_ptr()) })?;
        // SAFETY: it was written.
        let kind = unsafe { status.assume_init() }.st_mode & libc::S_IFMT;
        if kind == libc::S_IFREG || super::status_flags(fd)? & libc::O_NONBLOCK != 0 {
            return Ok(Self::Plain);
        }
        if kind == libc::S_IFSOCK {
            return Ok(Self::Socket);
        }
        // SAFETY: no pointers are passed.
        if kind != libc::S_IFIFO && unsafe { libc::isatty(fd.as_raw_fd()) } != 1 {
            return Ok(Self::AskFirst); // `/dev/null` and the like
        }
        match reopen(fd) {
            Ok(own) => Ok(Self::Reopened(own)),
            // A pipe without a reader cannot be opened for writing.
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Err(io::Error::from_raw_os_error(libc::EPIPE)),
            // No `/proc`, no descriptor left, or another user's pipe.
            Err(_) => Ok(Self::AskFirst),
        }
    }

    fn write(&self, fd: BorrowedFd<'_>, piece: &[u8]) -> io::Result<usize> {
        faults::check(faults::Call::WriteReport)?;
        let fd = match self {
            Self::Plain => fd.as_raw_fd(),
            Self::Reopened(own) => own.as_raw_fd(),
            Self::Socket => {
                let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
                // SAFETY: the system reads `piece.len()` bytes that are borrowed for the call.
                return check_len(unsafe { libc::send(fd.as_raw_fd(), piece.as_ptr().cast(), piece.len(), flags) });
            }
            Self::AskFirst => {
                let mut asked = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
                // SAFETY: the system reads and writes one `pollfd` that is ours.
                check(unsafe { libc::poll(&raw mut asked, 1, 0) })?;
                if asked.revents & libc::POLLERR != 0 {
                    return Err(io::Error::from_raw_os_error(libc::EPIPE));
                }
                if asked.revents & libc::POLLOUT == 0 {
                    return Err(io::Error::from_raw_os_error(libc::EAGAIN));
                }
                fd.as_raw_fd()
            }
        };
        // SAFETY: the system reads `piece.len()` bytes that are borrowed for the call.
        check_len(unsafe { libc::write(fd, piece.as_ptr().cast(), piece.len()) })
    }
}

/// Another open file of the same pipe or terminal, with flags of its own.
fn reopen(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let path = CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).expect("a number contains no zero byte");
    let flags = libc::O_WRONLY | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
    // SAFETY: the path is a string that ends in a zero byte.
    let own = check(unsafe { libc::open(path.as_ptr(), flags) })?;
    // SAFETY: the system has just made it, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(own) })
}

/// Runs `write`, and consumes the signals that it causes before they are delivered (`no-signal`). The signals go to the
/// thread that writes, so blocking them in this thread is enough. A terminal lets a thread write that blocks `SIGTTOU`.
fn with_signals_blocked(write: impl FnOnce() -> Attempt) -> Attempt {
    // SAFETY: the system fills the sets that it gets, all of which are ours.
    unsafe {
        let (mut blocked, mut before, mut pending) = (empty_set(), empty_set(), empty_set());
        for signal in [libc::SIGPIPE, libc::SIGXFSZ, libc::SIGTTOU] {
            libc::sigaddset(&raw mut blocked, signal);
        }
        libc::sigpending(&raw mut pending);
        if libc::pthread_sigmask(libc::SIG_BLOCK, &raw const blocked, &raw mut before) != 0 {
            return Attempt { bytes: 0, error: Some(io::ErrorKind::Other.into()) };
        }
        let attempt = write();
        let caused = match attempt.error.as_ref().and_then(io::Error::raw_os_error) {
            Some(libc::EPIPE) => Some(libc::SIGPIPE),
            Some(libc::EFBIG) => Some(libc::SIGXFSZ),
            _ => None,
        };
        // A signal that was already pending belongs to the program.
        if let Some(signal) = caused.filter(|signal| libc::sigismember(&raw const pending, *signal) == 0) {
            let mut caused = empty_set();
            libc::sigaddset(&raw mut caused, signal);
            let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            while libc::sigtimedwait(&raw const caused, ptr::null_mut(), &raw const at_once) == -1
                && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
            {}
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
        attempt
    }
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the call initializes the set, and cannot fail for one that is ours.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pipe() -> (File, File) {
        let mut ends = [0; 2];
        // SAFETY: the system writes two numbers to memory that is ours.
        check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }).expect("descriptors left");
        // SAFETY: the system has just made them.
        unsafe { (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])) }
    }

    fn errno(attempt: &Attempt) -> Option<i32> {
        attempt.error.as_ref().and_then(io::Error::raw_os_error)
    }

    /// Fills what is behind `fd`, and returns how much was written.
    fn fill(fd: impl AsFd) -> usize {
        let mut total = 0;
        loop {
            let attempt = try_write_to(fd.as_fd(), &[b'.'; 4096]);
            total += attempt.bytes;
            if attempt.error.is_some() {
                assert_eq!(errno(&attempt), Some(libc::EAGAIN));
                return total;
            }
        }
    }

    #[test]
    fn a_text_reaches_files_pipes_sockets_and_devices_whole() {
        let text: Vec<u8> = (0..3000).flat_map(|line| format!("line {line}\n").into_bytes()).collect();
        let mut file = tempfile::tempfile().expect("a file");
        assert!(try_write_to(file.as_fd(), &text).error.is_none());
        let mut written = Vec::new();
        std::io::Seek::rewind(&mut file).expect("a file");
        file.read_to_end(&mut written).expect("readable");
        assert!(written == text);

        let (mut reader, writer) = pipe();
        let (mut near, far) = UnixStream::pair().expect("descriptors left");
        for (reader, writer) in
            [(&mut reader as &mut dyn Read, writer.as_fd()), (&mut near as &mut dyn Read, far.as_fd())]
        {
            let attempt = try_write_to(writer, &text);
            assert!(attempt.error.is_none(), "{attempt:?}");
            let mut written = vec![0; text.len()];
            reader.read_exact(&mut written).expect("it was written");
            assert!(written == text);
            assert_eq!(super::super::status_flags(writer).expect("open") & libc::O_NONBLOCK, 0, "`flags-untouched`");
        }
        let null = File::options().write(true).open("/dev/null").expect("it is there");
        assert!(try_write_to(null.as_fd(), &text).error.is_none());
        let full = File::options().write(true).open("/dev/full").expect("it is there");
        assert_eq!(errno(&try_write_to(full.as_fd(), &text)), Some(libc::ENOSPC));
    }

    #[test]
    #[cfg_attr(miri, ignore = "a plain write waits there for a reader")]
    fn what_is_full_is_an_error_at_once_and_takes_text_again_when_it_was_read() {
        let (mut reader, writer) = pipe();
        let total = fill(&writer);
        assert!(total >= PIECE);
        assert!(
            matches!(Way::AskFirst.write(writer.as_fd(), b"x"), Err(error) if error.raw_os_error() == Some(libc::EAGAIN))
        );
        reader.read_exact(&mut vec![0; total]).expect("it was written");
        assert!(try_write_to(writer.as_fd(), b"x").error.is_none());
        assert!(matches!(Way::AskFirst.write(writer.as_fd(), b"x"), Ok(1)));

        let (mut near, far) = UnixStream::pair().expect("descriptors left");
        let total = fill(&far);
        near.read_exact(&mut vec![0; total]).expect("it was written");
        assert!(try_write_to(far.as_fd(), b"x").error.is_none());
    }

    #[test]
    #[cfg_attr(miri, ignore = "signals are not masked there")]
    fn a_reader_that_has_gone_and_a_closed_descriptor_are_errors_and_no_signal() {
        // With the default action a signal would end this process.
        // SAFETY: no handler is installed.
        let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let (reader, writer) = pipe();
        let own = reopen(writer.as_fd()).expect("it has a reader");
        drop(reader);
        assert_eq!(errno(&try_write_to(writer.as_fd(), b"x")), Some(libc::EPIPE));
        for way in [Way::Plain, Way::Reopened(own), Way::AskFirst] {
            let attempt = with_signals_blocked(|| write_pieces(b"x", |piece| way.write(writer.as_fd(), piece)));
            assert_eq!(errno(&attempt), Some(libc::EPIPE), "{way:?}");
        }
        let (near, far) = UnixStream::pair().expect("descriptors left");
        drop(near);
        assert_eq!(errno(&try_write_to(far.as_fd(), b"x")), Some(libc::EPIPE));
        // SAFETY: as above.
        unsafe { libc::signal(libc::SIGPIPE, before) };
        // SAFETY: the number is above all limits, so it is not a descriptor.
        let closed = unsafe { BorrowedFd::borrow_raw(i32::MAX) };
        assert_eq!(errno(&try_write_to(closed, b"x")), Some(libc::EBADF));
    }

    #[test]
    #[cfg_attr(miri, ignore = "signals are not masked there")]
    fn a_signal_that_was_pending_before_stays() {
        let (reader, writer) = pipe();
        drop(reader);
        // SAFETY: the sets are ours, and the signal goes to this thread, which blocks it.
        unsafe {
            let (mut set, mut before) = (empty_set(), empty_set());
            libc::sigaddset(&raw mut set, libc::SIGPIPE);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before);
            libc::pthread_kill(libc::pthread_self(), libc::SIGPIPE);
            assert_eq!(errno(&try_write_to(writer.as_fd(), b"x")), Some(libc::EPIPE));
            let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            assert_eq!(libc::sigtimedwait(&raw const set, ptr::null_mut(), &raw const at_once), libc::SIGPIPE);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
        }
    }

    #[test]
    fn interrupts_and_short_writes_go_on_and_other_errors_end_the_attempt() {
        for (calls, bytes, error) in [
            (vec![Err(libc::EINTR), Ok(2), Err(libc::EINTR), Ok(9)], 8, None),
            (vec![Ok(3), Err(libc::ENOSPC)], 3, Some(libc::ENOSPC)),
            (vec![Err(libc::EAGAIN)], 0, Some(libc::EAGAIN)),
            (vec![Err(libc::EINTR); 17], 0, Some(libc::EINTR)),
        ] {
            let mut script = calls.into_iter();
            let attempt = write_pieces(b"a report", |piece| match script.next().expect("no call more") {
                Ok(count) => Ok(piece.len().min(count)),
                Err(errno) => Err(io::Error::from_raw_os_error(errno)),
            });
            assert_eq!((attempt.bytes, errno(&attempt), script.next()), (bytes, error, None));
        }
        assert_eq!(write_pieces(b"x", |_| Ok(0)).error.map(|error| error.kind()), Some(io::ErrorKind::WriteZero));
        let long = [[b'a'; 4000], [b'b'; 4000]].join(&b'\n');
        let mut pieces = Vec::new();
        let attempt = write_pieces(&long, |piece| {
            pieces.push(piece.len());
            Ok(piece.len())
        });
        assert_eq!((attempt.bytes, pieces), (8001, vec![4001, 4000]));
    }

    #[test]
    fn each_error_that_a_test_asks_for_comes_out() {
        let (_reader, writer) = pipe();
        for planned in [libc::EPIPE, libc::EAGAIN, libc::ENOSPC, libc::EBADF, libc::EIO] {
            faults::plan(faults::Call::WriteReport, 0, planned);
            let attempt = try_write_to(writer.as_fd(), b"x");
            assert_eq!((attempt.bytes, errno(&attempt)), (0, Some(planned)));
        }
        faults::plan(faults::Call::WriteReport, 0, libc::EINTR);
        assert_eq!(try_write_to(writer.as_fd(), b"x").bytes, 1);
    }
}
