//! Where a thread sleeps until another one wakes it. In shuttle's models and in simulated worlds this is part of the schedule.
//!
//! Called by `parker` and `event_count`. The functions stay out of line: they make a system call, and inlined they would cost the fast
//! paths of their callers registers.

use super::atomic::AtomicU32;
use super::baton;
use crate::sys;
use std::time::Duration;

/// As `sys::futex_wait`.
#[inline(never)]
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    if baton::is_any() {
        if let Some(was_woken) = baton::wait_word(word, expected, timeout) {
            return was_woken;
        }
    }
    sys::futex_wait(word, expected, timeout)
}

/// As `sys::futex_wake_one`.
#[inline(never)]
pub(crate) fn futex_wake_one(word: &AtomicU32) -> bool {
    (baton::is_any() && baton::wake_word(word)) || sys::futex_wake_one(word)
}
