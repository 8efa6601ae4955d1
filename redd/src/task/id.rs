//! `task::Id`.

use std::fmt;

/// Names a task, uniquely among all tasks of the process, also ended ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub(super) u64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of the task that runs this code.
///
/// # Panics
/// Outside of a task; the future of `block_on` is none. Use [`try_id`] there.
#[track_caller]
pub fn id() -> Id {
    match try_id() {
        Some(id) => id,
        None => panic!(
            "`task::id` was called on thread `{}` outside of a task. Call it from a spawned task, or use `task::try_id`.",
            crate::primitives::thread::current_name()
        ),
    }
}

/// The id of the task that runs this code; `None` outside of a task.
pub fn try_id() -> Option<Id> {
    super::poll::current_id()
}
