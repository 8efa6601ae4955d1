//! All waits of tasks on the objects of this room.
//!
//! Called by dumps.

use super::{wait_cell, wait_list};
use crate::observe::coarse;
use crate::observe::waiter::WaiterInfo;

/// Adds the waits of the process to `waiters`, also those of other runtimes, and of threads. Returns how many were left
/// out: see [`wait_list::collect`].
///
/// It brings the coarse clock up to date, for the ages of the waits.
pub(crate) fn collect(waiters: &mut Vec<WaiterInfo>) -> usize {
    coarse::refresh();
    wait_cell::collect(waiters);
    wait_list::collect(waiters)
}

/// As [`collect`], for what can be in a list: locks, permits, notifications and the like.
pub(crate) fn collect_lists(waiters: &mut Vec<WaiterInfo>) -> usize {
    coarse::refresh();
    wait_list::collect(waiters)
}
