//! `task::Id`, and the id of the current task.

use std::fmt;

/// The id of a task: unique among all tasks of the process, including tasks that have ended.
///
/// It has no meaning beyond that. In particular ids do not tell in which order tasks were spawned.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let (first, second) = (redd::spawn(async {}), redd::spawn(async {}));
/// assert_ne!(first.id(), second.id());
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub(super) u64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Returns the id of the current task.
///
/// # Panics
/// Panics outside of a task. The future of `block_on` is not a task; use [`try_id`] there.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let task = redd::spawn(async { redd::task::id() });
/// let id = task.id();
/// assert_eq!(task.await.unwrap(), id);
/// # });
/// ```
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

/// Returns the id of the current task, or `None` outside of a task.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// assert_eq!(redd::task::try_id(), None, "the future of `block_on` is not a task");
/// let task = redd::spawn(async { redd::task::try_id() });
/// assert!(task.await.unwrap().is_some());
/// # });
/// ```
pub fn try_id() -> Option<Id> {
    super::poll::current_id()
}
