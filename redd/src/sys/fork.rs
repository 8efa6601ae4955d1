//! Whether this process is a forked copy of the one that made a runtime.
//!
//! A child has the memory of its parent, but of its threads only the one that forked; and it shares the kernel's side
//! of the parent's epoll. So a runtime belongs to its process: in the child it panics, and it does not touch the parent's epoll.
//!
//! Called by `scheduler`, `runtime`, `blocking` (which runtime is whose), `sys::epoll`.

#![expect(unsafe_code, reason = "a system call")]

use std::panic::Location;

use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::{AtomicBool, AtomicU32};

/// How many forks there were between the process that first called this module and this process.
static FORKS: AtomicU32 = AtomicU32::new(0);
static IS_WATCHING: AtomicBool = AtomicBool::new(false);

/// Identifies a process, so that a forked child is recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    /// This one.
    pub(crate) fn current() -> Self {
        // Relaxed, here and below: the number changes only in the one thread of a new process, before it returns from
        // `fork`.
        if !IS_WATCHING.swap(true, Ordering::Relaxed) {
            // SAFETY: the handler does one thing, an atomic addition, which is allowed in a new process. An error (no
            // memory) leaves forks unnoticed, which is how they were before.
            let _ = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        }
        Self(FORKS.load(Ordering::Relaxed))
    }

    /// False in a child of that process.
    #[inline]
    pub(crate) fn is_current(self) -> bool {
        self.0 == FORKS.load(Ordering::Relaxed)
    }
}

/// Panics because a forked child uses a runtime of its parent.
#[cold]
#[track_caller]
pub(crate) fn panic_in_child(what: &str, location: Option<&Location<'_>>) -> ! {
    let location = location.unwrap_or(Location::caller());
    panic!(
        "{what}, called at {location}, was used in a process that was made by `fork`, on a runtime of its parent: the runtime's threads exist \
         only there. Make the runtime after the fork, or let the child call `exec` at once, as `process::Command` does."
    );
}

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
