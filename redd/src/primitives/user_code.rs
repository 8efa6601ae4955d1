//! Running user code that may panic: closures, hooks, and the drops of user values.
//!
//! Called by every room that runs user code on a thread of the runtime. Wakers are called by
//! `collections::wake_list::wake_guarded`.
//!
//! # Invariants
//! - `panics-end-here`: a panic of the user code, and a panic while its payload is dropped, do not reach the caller. The
//!   panic hook has printed the message by then.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls user code, and returns `None` if it panics (`panics-end-here`).
pub(crate) fn guarded<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(payload) => {
            drop_guarded(payload);
            None
        }
    }
}

/// Drops a value whose drop may panic, such as a panic's payload.
///
/// If the drop panics, the payload of that second panic is leaked: its drop may panic too, and so on without end.
#[expect(clippy::mem_forget, reason = "a payload whose drop panics cannot be dropped")]
pub(crate) fn drop_guarded<T>(value: T) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        mem::forget(again);
    }
}
