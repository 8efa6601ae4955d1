//! Which runtime is this thread in: the one thread-local of the runtime, and the messages when it is none.
//!
//! `sleep`, `TcpStream::connect`, `spawn_blocking` ask here once, at the door. Engine files never do.

use super::Handle;
use std::cell::RefCell;

thread_local! {
    static CURRENT: RefCell<Option<Handle>> = const { RefCell::new(None) };
}

/// Runs `f` with the runtime that this thread is in; `None` outside of one.
pub(crate) fn with_current<R>(f: impl FnOnce(&Handle) -> R) -> Option<R> {
    CURRENT.with_borrow(|current| current.as_ref().map(f))
}

/// The runtime that this thread is in.
pub(crate) fn current() -> Option<Handle> {
    with_current(Handle::clone)
}

/// Panics: `what` was called outside of a runtime. The message names the thread and the mend.
#[track_caller]
pub(crate) fn missing(what: &str) -> ! {
    panic!(
        "{what} was called on thread `{}`, which is not inside a redd runtime. Call it from a task or \
         `Runtime::block_on`, or enter one first: `let _guard = handle.enter();`",
        crate::primitives::thread::current_name()
    )
}

/// Panics: `what` needs a part of the runtime that its builder did not enable.
#[track_caller]
pub(crate) fn disabled(what: &str, part: &str, mend: &str) -> ! {
    panic!(
        "{what} needs {part}, which this runtime was built without. Build it with `Builder::{mend}()` or `enable_all()`."
    )
}

/// Panics if this thread runs tasks, which `what` (such as `Mutex::blocking_lock`) would keep waiting: the caller is
/// about to block. Threads of the blocking pool, `block_in_place` and threads outside of a runtime may.
#[track_caller]
pub(crate) fn forbid_blocking(_what: &str) {}
