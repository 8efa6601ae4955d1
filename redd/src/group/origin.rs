//! When a task group or a supervisor was made, and by which task, for dumps.
//!
//! Called by `group_state` and `supervised`.

use crate::observe::coarse;
use crate::task::current;

#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    /// The id of the task. 0 if that was no task.
    pub(super) creator: u64,
    /// On the coarse clock of the process.
    pub(super) created_ms: u32,
}

impl Origin {
    /// Made now, by the task whose code runs on this thread.
    pub(super) fn here() -> Self {
        Self { creator: current::id_or_zero(), created_ms: coarse::now_ms() }
    }
}
