//! Dropping values of user code whose drop may panic.
//!
//! Called by `cell`, `hooks` and `join`.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Drops a value whose drop may panic, such as a panic's payload. The payload of that second panic is leaked: dropping
/// payloads could go on forever.
#[expect(clippy::mem_forget, reason = "a payload whose drop panics cannot be dropped")]
pub(super) fn drop_guarded<T>(value: T) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        mem::forget(again);
    }
}
