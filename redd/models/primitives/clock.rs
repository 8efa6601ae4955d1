//! The clock of shuttle's models, which is part of the schedule.
//!
//! # Invariants
//! - `any-moment`: a sleep with an end may end at any moment. Then the clock is at that end or later. So a model covers
//!   threads that are late, and the same schedule has the same times.

use std::cell::Cell;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// The number of turns after which a sleep with an end is over at the latest.
const LONGEST_SLEEP: u32 = 6;

std::thread_local! {
    /// For one execution. All its threads are one thread of the system.
    static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Starts a new execution.
pub(super) fn reset() {
    PASSED.set(Duration::ZERO);
}

#[expect(clippy::disallowed_methods, reason = "where the modelled clock starts")]
pub(crate) fn now() -> Instant {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + PASSED.get()
}

pub(crate) fn system_now() -> Instant {
    now()
}

pub(crate) fn has_surely_passed(instant: Instant) -> bool {
    instant <= now()
}

/// Lets other threads run until the sleep is over: because `is_over` returns true, or at any moment (`any-moment`).
pub(super) fn sleep_turns(timeout: Duration, mut is_over: impl FnMut() -> bool) -> bool {
    let end = PASSED.get().saturating_add(timeout.min(Duration::from_secs(1 << 20)));
    for _ in 0..shuttle::rand::Rng::gen_range(&mut shuttle::rand::thread_rng(), 1..=LONGEST_SLEEP) {
        shuttle::thread::yield_now();
        if is_over() {
            return true;
        }
    }
    PASSED.set(PASSED.get().max(end));
    false
}
