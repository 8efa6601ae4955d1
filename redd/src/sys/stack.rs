//! The stack of another thread of this process: a signal interrupts that thread, and its handler records the stack.
//!
//! Called by `scheduler::rescue::monitor`, for reports that want it. `docs/decisions/0010` describes the risks.
//!
//! ```text
//!   IDLE ──of_thread──▶ ASKED ──handler──▶ TAKEN ──handler──▶ DONE ──of_thread──▶ IDLE
//!     ▲                   │ given up
//!     └───────────────────┘
//! ```
//!
//! # Invariants
//! - `only-when-asked`: the handler writes only after it has moved the request of its own thread from ASKED to TAKEN. A
//!   requester that gives up moves it from ASKED back to IDLE. So a late signal has no effect.
//! - `signal-safe`: between TAKEN and DONE nothing allocates, panics or takes a lock of ours.

#![expect(unsafe_code, reason = "system calls, a signal handler, the unwinder")]

use std::ffi::{CStr, c_int, c_void};
use std::fmt;
use std::mem;
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

use super::{check, futex_wait, futex_wake_one, thread};
use crate::primitives::Mutex;
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::{AtomicBool, AtomicU32, AtomicU64};
use crate::primitives::thread::is_unwinding;

const IDLE: u32 = 0;
const ASKED: u32 = 1;
const TAKEN: u32 = 2;
const DONE: u32 = 3;

/// The maximum number of frames; a reader of a report needs fewer.
const FRAMES_MAX: usize = 64;

static REQUEST: AtomicU32 = AtomicU32::new(IDLE);
static THREAD: AtomicU32 = AtomicU32::new(0);
static COUNT: AtomicU32 = AtomicU32::new(0);
static IS_PANICKING: AtomicBool = AtomicBool::new(false);
static FRAMES: [AtomicU64; FRAMES_MAX] = [const { AtomicU64::new(0) }; FRAMES_MAX];

/// The signal, once the handler is installed; `None` if all real-time signals are in use.
static SIGNAL: OnceLock<Option<c_int>> = OnceLock::new();
/// Held while a request is under way.
static ASKING: OnceLock<Mutex<()>> = OnceLock::new();

#[repr(C)]
struct Context {
    _opaque: [u8; 0],
}

// The unwinder that panics use; the standard library links it.
unsafe extern "C" {
    fn _Unwind_Backtrace(each: extern "C" fn(*mut Context, *mut c_void) -> c_int, with: *mut c_void) -> c_int;
    fn _Unwind_GetIPInfo(context: *mut Context, is_exact: *mut c_int) -> usize;
}

const GO_ON: c_int = 0;
const END: c_int = 5;

/// What a thread has recorded of itself.
#[derive(Debug)]
pub(crate) struct ThreadStack {
    /// Addresses of the calls that it is in, the innermost first: each inside of the instruction that calls.
    pub(crate) frames: Vec<usize>,
    /// Whether it runs a panic hook or unwinds, also in a panic that the program catches.
    pub(crate) is_panicking: bool,
}

/// The stack of a thread. `None` if it does not respond within `patience`. It may have blocked the signal, or be in a sleep that
/// signals do not end.
pub(crate) fn of_thread(id: u32, patience: Duration) -> Option<ThreadStack> {
    // Miri has neither signals between threads nor this unwinder.
    if cfg!(miri) {
        return None;
    }
    let signal = (*SIGNAL.get_or_init(install))?;
    let _asking = ASKING.get_or_init(Mutex::default).lock();
    if REQUEST.load(Ordering::Relaxed) != IDLE {
        return None; // A handler did not end, and never will.
    }
    THREAD.store(id, Ordering::Relaxed);
    // Release: publishes the thread. Pairs with the Acquire in `take`.
    REQUEST.store(ASKED, Ordering::Release);
    // SAFETY: no pointers are passed; a thread that has ended is an error, and the system refuses a thread of another process.
    let sent = check(unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), id, signal) } as c_int);
    if sent.is_ok() {
        wait_while(ASKED, patience);
    }
    // `only-when-asked`
    if REQUEST.compare_exchange(ASKED, IDLE, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        return None;
    }
    wait_while(TAKEN, patience);
    // Acquire: pairs with the Release in `take`.
    if REQUEST.load(Ordering::Acquire) != DONE {
        return None;
    }
    let count = COUNT.load(Ordering::Relaxed) as usize;
    let frames = FRAMES[..count].iter().map(|frame| frame.load(Ordering::Relaxed) as usize).collect();
    let is_panicking = IS_PANICKING.load(Ordering::Relaxed);
    REQUEST.store(IDLE, Ordering::Relaxed);
    Some(ThreadStack { frames, is_panicking })
}

fn wait_while(state: u32, patience: Duration) {
    while REQUEST.load(Ordering::Relaxed) == state && futex_wait(&REQUEST, state, Some(patience)) {}
}

/// Writes a line with the program or library of an address and the offset in it, as `addr2line` accepts it. Returns
/// true if more lines may follow.
pub(crate) fn write_module(f: &mut fmt::Formatter<'_>, address: usize) -> Result<bool, fmt::Error> {
    // SAFETY: `Dl_info` is plain data for which zeros are valid.
    let mut info: libc::Dl_info = unsafe { mem::zeroed() };
    // SAFETY: the address is only looked up; the loader writes to memory that is ours.
    if unsafe { libc::dladdr(address as *const c_void, &raw mut info) } == 0 || info.dli_fname.is_null() {
        return write!(f, "\n    {address:#x}").map(|()| true);
    }
    // SAFETY: the loader's own string, which lives as long as the module; code of it is being run.
    let name = unsafe { CStr::from_ptr(info.dli_fname) }.to_string_lossy();
    write!(f, "\n    {name}+{:#x}", address - info.dli_fbase as usize).map(|()| true)
}

/// A real-time signal that is not in use, searched from the end of the range that programs use least.
fn install() -> Option<c_int> {
    // The first walk loads what it needs; that must not happen in the handler (`signal-safe`).
    let mut walk = Walk { count: FRAMES_MAX, is_inside: false };
    // SAFETY: `each_frame` gets the walk as it was passed; it is full, so it writes nothing.
    unsafe { _Unwind_Backtrace(each_frame, (&raw mut walk).cast()) };
    (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev().find(|signal| {
        // SAFETY: `sigaction` is plain data for which zeros are valid: no flags, an empty mask, the default.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        // SAFETY: the system writes to memory that is ours.
        let read = check(unsafe { libc::sigaction(*signal, ptr::null(), &raw mut action) });
        if read.is_err() || action.sa_sigaction != libc::SIG_DFL {
            return false;
        }
        action.sa_sigaction = handle as extern "C" fn(c_int) as usize;
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: the handler is `signal-safe` and stays forever.
        check(unsafe { libc::sigaction(*signal, &raw const action, ptr::null_mut()) }).is_ok()
    })
}

extern "C" fn handle(_signal: c_int) {
    // SAFETY: it is this thread's own; the interrupted code expects to find its value again.
    unsafe {
        let errno = *libc::__errno_location();
        take();
        *libc::__errno_location() = errno;
    }
}

fn take() {
    // Acquire: pairs with the Release in `of_thread`. In one step (`only-when-asked`).
    let is_asked = || REQUEST.compare_exchange(ASKED, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok();
    let is_mine = || THREAD.load(Ordering::Relaxed) == thread::current_id();
    // A request for another thread may be under way: that one's handler takes it.
    if !is_mine() || !is_asked() {
        return;
    }
    if !is_mine() {
        // In between, our request was withdrawn and the next one was made. That one gets no stack, rather than ours.
        REQUEST.store(IDLE, Ordering::Relaxed);
        return;
    }
    let mut walk = Walk { count: 0, is_inside: false };
    // SAFETY: `each_frame` gets the walk as it was passed. `signal-safe`: what it loads is loaded since `install`.
    unsafe { _Unwind_Backtrace(each_frame, (&raw mut walk).cast()) };
    COUNT.store(walk.count as u32, Ordering::Relaxed);
    // `signal-safe`: it reads a counter of the process, then one of the thread.
    IS_PANICKING.store(is_unwinding(), Ordering::Relaxed);
    // Release: publishes the frames and the panic. Pairs with the Acquire in `of_thread`.
    REQUEST.store(DONE, Ordering::Release);
    futex_wake_one(&REQUEST);
}

struct Walk {
    count: usize,
    /// Whether the walk is past the handler's own frames.
    is_inside: bool,
}

extern "C" fn each_frame(context: *mut Context, walk: *mut c_void) -> c_int {
    // SAFETY: `walk` is what was passed to `_Unwind_Backtrace`, and nothing else uses it meanwhile.
    let walk = unsafe { &mut *walk.cast::<Walk>() };
    let mut is_exact = 0;
    // SAFETY: the context is the unwinder's, and valid during this call.
    let address = unsafe { _Unwind_GetIPInfo(context, &raw mut is_exact) };
    // The interrupted frame is the first whose address is that of the next instruction and not a return address.
    walk.is_inside |= is_exact != 0;
    if !walk.is_inside {
        return GO_ON;
    }
    let Some(frame) = FRAMES.get(walk.count).filter(|_| address != 0) else { return END };
    // The instruction after a call that does not return may belong to another function, so this is the call itself.
    frame.store(address.saturating_sub(usize::from(is_exact == 0)) as u64, Ordering::Relaxed);
    walk.count += 1;
    GO_ON
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no signals between threads")]
    fn a_thread_that_blocks_and_one_that_computes_tell_where_they_are_and_go_on() {
        if crate::sys::emulation::skips("sys::stack", "it has no frame of the interrupted code for the unwinder") {
            return;
        }
        for computes in [false, true] {
            let (sender, receiver) = channel();
            let (release, released) = channel::<()>();
            let blocked = crate::primitives::thread::spawn_named("blocked".to_owned(), None, move || {
                sender.send(thread::current_id()).expect("the test waits");
                if computes {
                    while released.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {}
                } else {
                    released.recv().expect_err("it is let go");
                }
            });
            let id = receiver.recv().expect("it starts");
            for _ in 0..100 {
                let stack = of_thread(id, Duration::from_secs(60)).expect("it answers");
                assert!(stack.frames.len() > 3 && !stack.is_panicking, "{stack:?}");
            }
            drop(release);
            blocked.expect("it started").join().expect("it does not panic");
        }
        assert!(of_thread(0, Duration::from_secs(60)).is_none(), "there is no such thread");
    }

    /// Waits in its drop.
    struct WaitsInDrop(std::sync::mpsc::Sender<u32>, std::sync::mpsc::Receiver<()>);

    impl Drop for WaitsInDrop {
        fn drop(&mut self) {
            self.0.send(thread::current_id()).expect("the test waits");
            self.1.recv().expect("the test continues");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no signals between threads")]
    fn a_thread_in_a_panic_that_is_caught_is_seen_to_panic_until_it_is_caught() {
        if crate::sys::emulation::skips("sys::stack", "it has no frame of the interrupted code for the unwinder") {
            return;
        }
        let (sender, receiver) = channel();
        let (go_on, may_go_on) = channel();
        let (end, ended) = channel::<()>();
        let thread = crate::primitives::thread::spawn_named("panics".to_owned(), None, move || {
            let waits = WaitsInDrop(sender.clone(), may_go_on);
            crate::primitives::user_code::guarded(|| {
                let _waits = waits;
                std::panic::resume_unwind(Box::new("unwinds"));
            });
            sender.send(thread::current_id()).expect("the test waits");
            ended.recv().expect_err("it is let go");
        });
        let is_panicking = |id| of_thread(id, Duration::from_secs(60)).expect("it answers").is_panicking;
        assert!(is_panicking(receiver.recv().expect("it starts")));
        go_on.send(()).expect("it waits");
        assert!(!is_panicking(receiver.recv().expect("it goes on")));
        drop(end);
        thread.expect("it started").join().expect("it catches the panic");
    }
}
