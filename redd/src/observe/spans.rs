//! Tasks as `tracing` spans, and the operations on their wakers as events. Without the feature `tracing` every call of this
//! file compiles to nothing.
//!
//! Called by `runtime::Builder` (hooks), by `task::waker`, and by `task::inherited` (spans of the program).

#![cfg_attr(not(feature = "tracing"), allow(unused_variables, reason = "only a subscriber reads them"))]

#[cfg(feature = "tracing")]
mod program;
#[cfg(feature = "tracing")]
mod table;

#[cfg(feature = "tracing")]
pub(crate) use program::ProgramSpan;

use super::hooks::TaskHooks;
use crate::task::Id;

/// Whether tasks can inherit spans of the program.
pub(crate) const HAS_SPANS: bool = cfg!(feature = "tracing");

/// Wraps the program's hooks in those that maintain the spans.
pub(crate) fn around(hooks: TaskHooks) -> TaskHooks {
    #[cfg(feature = "tracing")]
    let hooks = table::around(hooks);
    hooks
}

/// There are no spans without the feature.
#[cfg(not(feature = "tracing"))]
pub(crate) enum ProgramSpan {}

#[cfg(not(feature = "tracing"))]
impl ProgramSpan {
    pub(crate) fn current() -> Option<Self> {
        None
    }

    pub(crate) fn enter(&self) {}

    pub(crate) fn exit(&self) {}
}

/// Records an operation, by the name that tokio-console reads, on a waker of this task.
#[inline(always)]
pub(crate) fn waker(op: &'static str, task: Id) {
    #[cfg(feature = "tracing")]
    table::waker(op, task);
}
