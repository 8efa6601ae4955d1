//! `task::Id`, which identifies a task.
//!
//! Called by user code. The slab assigns ids.

use std::fmt;

/// The id of a task: unique among all tasks of the process, including tasks that have ended.
///
/// It has no other meaning. In particular, ids do not show in which order tasks were spawned.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let (first, second) = (redd::spawn(async {}), redd::spawn(async {}));
/// assert_ne!(first.id(), second.id());
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub(crate) u64);

impl Id {
    /// The id with this number, which a task had.
    pub(crate) fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number that waiters carry (`WaiterInfo::task`). It is never 0.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
