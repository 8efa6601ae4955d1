//! The clock of the system, or that of the simulated world to which the calling thread belongs.
//!
//! Called by `time::clock`, `spin` and the alarms of `sys`. In shuttle's models the time is part of the schedule.

use super::baton;
use crate::sys::clock::{monotonic, monotonic_coarse};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The monotonic clock.
#[inline]
pub(crate) fn now() -> Instant {
    if baton::is_any() {
        if let Some(now) = baton::now() {
            return now;
        }
    }
    system_now()
}

/// The monotonic clock of the system.
#[inline]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock of the system")]
pub(crate) fn system_now() -> Instant {
    Instant::now()
}

/// Whether `instant` has passed, by the coarse clock: true is certain, false may be some milliseconds behind.
#[inline]
pub(crate) fn has_surely_passed(instant: Instant) -> bool {
    /// One moment on both clocks, the second read after the first.
    static ANCHOR: OnceLock<Option<(Instant, Duration)>> = OnceLock::new();

    let Some((anchor, reading)) = *ANCHOR.get_or_init(|| Some((system_now(), monotonic()?))) else {
        return false;
    };
    monotonic_coarse()
        .and_then(|coarse| coarse.checked_sub(reading))
        .is_some_and(|passed| instant.saturating_duration_since(anchor) <= passed)
}
