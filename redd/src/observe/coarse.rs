//! The coarse clock of the process: milliseconds since its first runtime was built, for ages in dumps and reports.
//!
//! Written by the loop of each worker where it reads the clock anyway (`scheduler::shared`). Read where a task is spawned
//! or polled and where a wait begins. It is real time, also while a test has paused the clock of a runtime.
//!
//! # Invariants
//! - `coarse-is-close`: on a worker it is at most about one turn of the loop behind. Otherwise all workers may have slept
//!   for long. So a thread that spawns from outside calls [`refresh`] first, and so does one in `block_on` before it polls.
//! - `coarse-may-step-back`: two threads that write it at the same time may leave the older time. So an age is computed by
//!   [`age`], which reads a start that is slightly in the future as now.
//!
//! # Why not otherwise
//! A clock for each runtime would show the waits on locks and channels, which belong to no runtime, in no common time. To
//! read the system's clock for each wait costs about 20 ns.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::primitives::atomic::{Ordering, fixed};
use crate::primitives::baton;
use crate::primitives::cache_padded::CachePadded;
use crate::primitives::clock;
use crate::sys::outside::outside;

/// On a cache line of its own: it is read at each poll of each task.
static NOW_MS: CachePadded<fixed::AtomicU32> = CachePadded(fixed::AtomicU32::new(0));

/// A start that is at most this far in the future is the trace of a clock that stepped back; a later one is an age of
/// almost 2³² ms.
const STEP_BACK_MS_MAX: u32 = 60 * 60 * 1000;

/// The current time. It wraps around after 49 days; see [`age`].
#[inline]
pub(crate) fn now_ms() -> u32 {
    NOW_MS.0.load(Ordering::Relaxed)
}

/// Brings the clock up to date (`coarse-is-close`).
pub(crate) fn refresh() {
    set(at(clock::now()));
}

/// The time of this clock at `now`.
pub(crate) fn at(now: Instant) -> u32 {
    static START: OnceLock<Instant> = OnceLock::new();
    // Not the time of a simulated world, which may be far from that of the process.
    let start = START.get_or_init(|| if baton::is_member() { outside(clock::system_now) } else { now });
    now.saturating_duration_since(*start).as_millis() as u32
}

/// Sets the clock. It writes only what has changed, because all workers share the cache line.
#[inline]
pub(crate) fn set(ms: u32) {
    // The time of a simulated world is not that of the process.
    if now_ms() != ms && !baton::is_member() {
        NOW_MS.0.store(ms, Ordering::Relaxed);
    }
}

/// The time that has passed since `start_ms` (`coarse-may-step-back`).
pub(crate) fn age(start_ms: u32) -> Duration {
    age_at(now_ms(), start_ms)
}

/// The time from `start_ms` to `now_ms`.
pub(crate) fn age_at(now_ms: u32, start_ms: u32) -> Duration {
    let is_ahead = start_ms.wrapping_sub(now_ms) <= STEP_BACK_MS_MAX;
    Duration::from_millis(if is_ahead { 0 } else { u64::from(now_ms.wrapping_sub(start_ms)) })
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn an_age_survives_the_wrap_of_the_clock_and_a_small_step_back() {
        let ms = |now, start| age_at(now, start).as_millis();
        assert_eq!(ms(5, 2), 3);
        assert_eq!(ms(2, u32::MAX), 3);
        assert_eq!(ms(2, 5), 0);
        assert_eq!(ms(u32::MAX, 2), 0);
        assert_eq!(ms(2, 3 + STEP_BACK_MS_MAX), u128::from(u32::MAX - STEP_BACK_MS_MAX));
    }

    #[test]
    fn a_refresh_brings_the_clock_to_the_present() {
        refresh();
        let first = now_ms();
        let moment = clock::now();
        while clock::now().saturating_duration_since(moment) < Duration::from_millis(2) {
            std::hint::spin_loop();
        }
        refresh();
        assert!(age_at(now_ms(), first) >= Duration::from_millis(1));
    }
}
