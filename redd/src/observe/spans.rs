//! Tasks as `tracing` spans, and the operations on their wakers as events. Without the feature `tracing` every call of this
//! file compiles to nothing.
//!
//! Called by `runtime::Builder` (hooks) and by `task::waker`.

#![cfg_attr(not(feature = "tracing"), allow(unused_variables, reason = "only a subscriber reads them"))]

#[cfg(feature = "tracing")]
mod table;

use super::hooks::TaskHooks;
use crate::task::Id;

/// Wraps the program's hooks in those that maintain the spans.
pub(crate) fn around(hooks: TaskHooks) -> TaskHooks {
    #[cfg(feature = "tracing")]
    let hooks = table::around(hooks);
    hooks
}

/// Records an operation, by the name that tokio-console reads, on a waker of this task.
#[inline(always)]
pub(crate) fn waker(op: &'static str, task: Id) {
    #[cfg(feature = "tracing")]
    table::waker(op, task);
}
