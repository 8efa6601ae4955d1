//! What the clocks of std show when a world starts, and whether they show a world its own time at all.
//!
//! Called by `world` when there is a new one, and by `interposed`.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// The clock behind `Instant` at virtual time 0. It is the same in each run, because programs make random numbers of it.
pub(super) const MONOTONIC: Duration = Duration::from_secs(1_000_000);

/// The time of day at virtual time 0, unless the world has another one: 2026-01-01T00:00:00Z, since 1970.
pub(super) const UNIX: Duration = Duration::from_secs(1_767_225_600);

thread_local! {
    /// What all clocks show the calling thread, in nanoseconds, while they stand.
    static STOPPED_NS: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The `Instant` of virtual time 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) instant: Instant,
    /// Whether std asks this program for the time.
    pub(super) is_simulated: bool,
}

impl Origin {
    /// Stops the clocks for the calling thread. If `Instant` shows that, std asks this program for the time.
    pub(super) fn find() -> Self {
        let instant = read_at(MONOTONIC);
        let later = read_at(MONOTONIC + Duration::from_secs(1));
        // The system's clock goes on from the first reading to the third one.
        let is_simulated =
            later.checked_duration_since(instant) == Some(Duration::from_secs(1)) && read_at(MONOTONIC) == instant;
        Self { instant, is_simulated }
    }
}

/// Reads the clock behind `Instant` while it stands at `time`.
#[expect(clippy::disallowed_methods, reason = "where the virtual clock starts")]
fn read_at(time: Duration) -> Instant {
    STOPPED_NS.set(Some(time.as_nanos() as u64));
    let instant = Instant::now();
    STOPPED_NS.set(None);
    instant
}

/// What all clocks show the calling thread, in nanoseconds, if they stand.
pub(super) fn stopped_ns() -> Option<u64> {
    STOPPED_NS.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_not_linked_with_what_replaces_the_clocks() {
        let before = crate::primitives::clock::system_now();
        let origin = Origin::find();
        assert!(!origin.is_simulated);
        assert!(origin.instant >= before, "the real time");
        assert_eq!(stopped_ns(), None);
    }
}
