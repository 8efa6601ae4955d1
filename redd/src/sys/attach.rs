//! The system calls behind an attach request: the signal that asks, the directory that the signal names, and the connection.
//!
//! Called by `attach`.
//!
//! # Invariants
//! - `never-fatal`: only the thread that takes requests has a name with the number of the signal. It gets that name after it has
//!   blocked all signals. A blocked signal stays pending, and ends no process whatever its disposition is. The same holds inside
//!   of `sigtimedwait`.
//! - `own-mask`: the mask is that of one thread, which starts no other thread and runs no code of the program. So the program
//!   sees no change: no handler, no other mask, no interrupted call.
//!
//! # Why not otherwise
//! A signal handler belongs to the whole process. The program may replace it, and between a client's look at it and the signal it
//! may be gone; then the signal would end the process. A `signalfd` needs a descriptor, and wakes its reader for every
//! signal of the process.

#![expect(unsafe_code, reason = "system calls, a signal handler")]

use std::ffi::c_int;
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::ptr;
use std::time::Duration;

use super::faults::{self, Call};
use super::{check, thread};
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::{AtomicBool, AtomicU32};

/// What the thread that takes requests received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A client asks to be connected to. Its directory has this key in its name.
    Attach(u64),
    /// This process received the signal of [`on_signal`].
    Signal,
    /// A signal from elsewhere.
    Other,
}

/// Takes the requests of this process, on the thread that has opened it.
#[derive(Debug)]
pub(crate) struct Requests {
    signal: c_int,
}

impl Requests {
    /// Blocks all signals on the calling thread, and chooses the one that it takes. `None` if all real-time signals are in use.
    pub(crate) fn open() -> io::Result<Option<Self>> {
        faults::check(Call::AttachSignal)?;
        // Miri has no signals.
        if cfg!(miri) {
            return Ok(None);
        }
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigset_t` is plain data, and the system fills it in.
        let mut all: libc::sigset_t = unsafe { mem::zeroed() };
        // SAFETY: both sets are ours. A full set is a valid argument: the kernel leaves out what cannot be blocked.
        unsafe {
            libc::sigfillset(&raw mut all);
            // A fault of this thread must end the process as it does elsewhere.
            for fault in
                [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGTRAP, libc::SIGSYS]
            {
                libc::sigdelset(&raw mut all, fault);
            }
            // `own-mask`
            let errno = libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, before.as_mut_ptr());
            if errno != 0 {
                return Err(io::Error::from_raw_os_error(errno));
            }
        }
        // SAFETY: it was written.
        let before = unsafe { before.assume_init() };
        Ok(free_signal(&before).map(|signal| Self { signal }))
    }

    /// Gives the calling thread the name by which clients find it and the signal (`never-fatal`).
    pub(crate) fn publish(&self) {
        // Without memory of its own: an allocator may give each thread that allocates some.
        let mut name = *b"redd-attach:00\0\0";
        let tens = self.signal as u8 / 10;
        (name[12], name[13]) = (b'0' + tens, b'0' + self.signal as u8 % 10);
        // SAFETY: sixteen bytes that end in a zero are read.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    }

    /// Waits for the next signal to this thread.
    pub(crate) fn wait(&self) -> io::Result<Received> {
        loop {
            if let Some(received) = self.wait_for(None)? {
                return Ok(received);
            }
        }
    }

    /// As [`wait`](Self::wait), at most for `timeout`. `None` if no signal came.
    pub(crate) fn wait_for(&self, timeout: Option<Duration>) -> io::Result<Option<Received>> {
        let timeout = timeout.map(super::timespec);
        let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: `sigset_t` is plain data, and the system fills it in.
        let mut set: libc::sigset_t = unsafe { mem::zeroed() };
        let mut info = MaybeUninit::<libc::siginfo_t>::uninit();
        loop {
            faults::check(Call::AttachSignal)?;
            // SAFETY: the set and the description are ours; the kernel writes to the latter.
            let taken = unsafe {
                libc::sigemptyset(&raw mut set);
                libc::sigaddset(&raw mut set, self.signal);
                // Without a time it waits for as long as it takes.
                check(libc::sigtimedwait(&raw const set, info.as_mut_ptr(), timeout))
            };
            match taken {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                // A debugger, or the process was stopped.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // SAFETY: it was written.
        let info = unsafe { info.assume_init() };
        Ok(Some(match info.si_code {
            // SAFETY: a signal that was queued with a value has one.
            libc::SI_QUEUE => Received::Attach(unsafe { info.si_value() }.sival_ptr as u64),
            // The C library may report the second as the first.
            libc::SI_USER | libc::SI_TKILL if WAS_SIGNALLED.swap(false, Ordering::Relaxed) => Received::Signal,
            _ => Received::Other,
        }))
    }
}

/// A real-time signal with the default disposition that the program does not block, from the end that programs use least.
/// No handler is installed for it, so code that chooses the same number for its handler does not notice.
fn free_signal(blocked: &libc::sigset_t) -> Option<c_int> {
    (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev().find(|signal| {
        // SAFETY: the set is only read.
        disposition(*signal) == Some(libc::SIG_DFL)
            && unsafe { libc::sigismember(ptr::from_ref(blocked), *signal) } == 0
    })
}

/// The handler of a signal, or one of the constants.
fn disposition(signal: c_int) -> Option<libc::sighandler_t> {
    // SAFETY: `sigaction` is plain data for which zeros are valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: the system writes to memory that is ours.
    let read = check(unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) });
    read.is_ok().then_some(action.sa_sigaction)
}

/// The thread and the signal that the handler of [`on_signal`] uses.
static TAKER: AtomicU32 = AtomicU32::new(0);
static TAKEN: AtomicU32 = AtomicU32::new(0);
static WAS_SIGNALLED: AtomicBool = AtomicBool::new(false);

/// From now on `signal` is passed to the calling thread, which has opened `requests`. False if the program has a handler for it,
/// which stays. A signal that is ignored is taken: shells start programs in the background so.
pub(crate) fn on_signal(requests: &Requests, signal: c_int) -> bool {
    TAKER.store(thread::current_id(), Ordering::Relaxed);
    // Release: publishes the thread. Pairs with the Acquire in `pass_on`.
    TAKEN.store(requests.signal as u32, Ordering::Release);
    if !matches!(disposition(signal), Some(libc::SIG_DFL | libc::SIG_IGN)) {
        return false;
    }
    // SAFETY: `sigaction` is plain data for which zeros are valid: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = pass_on as extern "C" fn(c_int) as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler makes one store and one system call, both allowed in a handler, and it stays forever.
    check(unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) }).is_ok()
}

extern "C" fn pass_on(_signal: c_int) {
    // SAFETY: the address of this thread's `errno` is valid on this thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above; the interrupted code expects to find its value again.
    let before = unsafe { *errno };
    WAS_SIGNALLED.store(true, Ordering::Relaxed);
    // Acquire: pairs with the Release in `on_signal`.
    let signal = TAKEN.load(Ordering::Acquire);
    // SAFETY: no pointers are passed. In a forked child the thread does not exist, which is an error.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), TAKER.load(Ordering::Relaxed), signal) };
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// Opens the directory `name` in `folder` if it belongs to this process's user or to root, and only its owner may enter it.
pub(crate) fn open_rendezvous(folder: &Path, name: &str) -> io::Result<File> {
    faults::check(Call::AttachOpen)?;
    let directory = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW)
        .open(folder.join(name))?;
    let status = directory.metadata()?;
    if is_trusted(status.uid()) && status.mode() & 0o7777 == 0o700 {
        Ok(directory)
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// Connects to the socket `s` in that directory, if its listener is a process of the same user or of root. Does not wait for room
/// in the listener's queue.
pub(crate) fn connect(directory: &File) -> io::Result<UnixStream> {
    faults::check(Call::AttachConnect)?;
    let mut address = libc::sockaddr_un { sun_family: libc::AF_UNIX as libc::sa_family_t, sun_path: [0; 108] };
    // Through the descriptor, so that the directory that was checked is the one that is used.
    let path = format!("/proc/self/fd/{}/s", directory.as_raw_fd());
    for (to, from) in address.sun_path.iter_mut().zip(path.bytes()) {
        *to = from as libc::c_char;
    }
    // SAFETY: no pointers are passed; the descriptor that comes back is ours alone.
    let socket = unsafe {
        let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        OwnedFd::from_raw_fd(check(libc::socket(libc::AF_UNIX, kind, 0))?)
    };
    // SAFETY: the kernel reads an address that is ours, zeros behind the path included.
    check(unsafe {
        libc::connect(socket.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as libc::socklen_t)
    })?;
    let stream = UnixStream::from(socket);
    if !is_trusted(listener_of(&stream)?) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// The user who listens at the other end.
fn listener_of(stream: &UnixStream) -> io::Result<u32> {
    faults::check(Call::AttachPeer)?;
    let mut credentials = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `credentials`, and the length to `len`.
    check(unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut len,
        )
    })?;
    Ok(credentials.uid)
}

/// Whether the other end of the connection is gone.
pub(crate) fn has_hung_up(stream: &UnixStream) -> bool {
    let mut asked = libc::pollfd { fd: stream.as_raw_fd(), events: 0, revents: 0 };
    // SAFETY: the kernel reads and writes one `pollfd` that is ours.
    unsafe { libc::poll(&raw mut asked, 1, 0) > 0 }
}

/// Whether a user may look into this process: its own, or root.
fn is_trusted(user: u32) -> bool {
    // SAFETY: no pointers are passed, and it cannot fail.
    user == 0 || user == unsafe { libc::geteuid() }
}

/// Whether the system keeps the memory of this process from its own user: it was started with the rights of its file's owner,
/// has changed its user since, or asked for it.
pub(crate) fn is_protected() -> bool {
    // SAFETY: no pointers are passed, and it cannot fail.
    let dumpable = unsafe { libc::prctl(libc::PR_GET_DUMPABLE) };
    dumpable != 1 || runs_with_foreign_rights()
}

/// Whether this process was started with the rights of its file's owner. Then the environment is not to be trusted.
pub(crate) fn runs_with_foreign_rights() -> bool {
    // SAFETY: no pointers are passed; an unknown entry is zero.
    !cfg!(miri) && unsafe { libc::getauxval(libc::AT_SECURE) } != 0
}
