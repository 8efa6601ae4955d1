//! Where a thread sleeps in the system, and what time it is; in shuttle's models both are part of the schedule.
//!
//! Called by `parker` and `bell` (futex), `driver` (epoll) and `time::clock`.

#[cfg(not(all(test, shuttle)))]
pub(crate) use real::{futex_wait, futex_wake_one, has_surely_passed, now, wait_outside};

#[cfg(all(test, shuttle))]
#[path = "../../models/primitives/system.rs"]
mod modelled;
#[cfg(all(test, shuttle))]
pub(super) use modelled::reset;
#[cfg(all(test, shuttle))]
pub(crate) use modelled::{futex_wait, futex_wake_one, has_surely_passed, now, wait_outside};

#[cfg(not(all(test, shuttle)))]
mod real {
    use crate::sys::clock::{monotonic, monotonic_coarse};
    pub(crate) use crate::sys::{futex_wait, futex_wake_one};
    use std::io;
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};

    /// Waits for an event outside of this process. The call returns whether it has happened.
    #[inline(always)]
    pub(crate) fn wait_outside(
        timeout: Option<Duration>,
        mut wait: impl FnMut(Option<Duration>) -> io::Result<bool>,
    ) -> io::Result<()> {
        wait(timeout).map(drop)
    }

    /// The monotonic clock.
    #[inline]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock of the system")]
    pub(crate) fn now() -> Instant {
        Instant::now()
    }

    /// Whether `instant` has passed, by the coarse clock: true is certain, false may be some milliseconds behind.
    #[inline]
    pub(crate) fn has_surely_passed(instant: Instant) -> bool {
        /// One moment on both clocks, the second read after the first.
        static ANCHOR: OnceLock<Option<(Instant, Duration)>> = OnceLock::new();

        let Some((anchor, reading)) = *ANCHOR.get_or_init(|| Some((now(), monotonic()?))) else {
            return false;
        };
        monotonic_coarse()
            .and_then(|coarse| coarse.checked_sub(reading))
            .is_some_and(|passed| instant.saturating_duration_since(anchor) <= passed)
    }
}
