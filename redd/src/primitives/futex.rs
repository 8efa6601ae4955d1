//! Where a thread sleeps until another one wakes it. In shuttle's models this is part of the schedule.
//!
//! Called by `parker` and `event_count`.

pub(crate) use crate::sys::{futex_wait, futex_wake_one};
