//! The clock of a runtime: real, or paused and moved by hand. The only reader of the OS clock.
//!
//! Called by `timers` (ticks), `instant` and `sleep` (the current time), `pause` (tests), and the worker loop (jumping to
//! the next timer).
//!
//! Timers count ticks of one millisecond since the clock's start. Deadlines are rounded up to a tick, and the current
//! time is rounded down. So a timer may be late, and is never early.
//!
//! # Invariants
//! - `never-back`: the time that one thread reads from a clock never decreases, even across pause, advance and resume.
//! - `real-until-paused`: `mode` changes to `KEPT` at the first pause and never changes back. So reading a clock that was
//!   never paused costs one relaxed load and a read of the system's clock.
//! - `inhibitors-first`: the inhibitors are read before the scheduler looks for work. So work that ends in between is either
//!   counted or found.

use std::time::{Duration, Instant};

use crate::primitives::atomic::{AtomicU8, AtomicUsize, Ordering};
use crate::primitives::{Mutex, baton, virtual_time};

/// The last valid tick. `u64::MAX` means *no deadline*.
pub(crate) const LAST_TICK: u64 = u64::MAX - 1;

#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/time_clock.rs"]
mod models;

const TICK: Duration = Duration::from_millis(1);

/// The longest duration that ends before the last tick: 285 million years. Longer durations are
/// replaced by [`far_future`].
pub(crate) const LONGEST: Duration = Duration::from_secs(1 << 53);

const REAL: u8 = 0;
/// The clock was paused at least once: `kept` has its time.
const KEPT: u8 = 1;
/// The clock of a simulated world, which was never paused.
const SIMULATED: u8 = 2;

/// The clock of one runtime.
#[derive(Debug)]
pub(crate) struct Clock {
    /// The time of tick 0.
    start: Instant,
    mode: AtomicU8,
    kept: Mutex<Kept>,
    /// The number of operations outside of the scheduler during which paused time must not jump.
    inhibitors: AtomicUsize,
}

/// The time of a clock that was paused at least once.
#[derive(Debug)]
struct Kept {
    base: Instant,
    /// The real time at which this clock was resumed and showed `base`; `None` while paused.
    resumed_at: Option<Instant>,
}

impl Kept {
    fn now(&self) -> Instant {
        match self.resumed_at {
            None => self.base,
            Some(at) => {
                let passed = real_now().saturating_duration_since(at);
                self.base.checked_add(passed).unwrap_or(self.base)
            }
        }
    }
}

/// Why a clock could not be paused, resumed or moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClockError {
    /// It is paused already.
    Paused,
    /// It is running.
    Running,
    /// The new time is out of the range of `Instant`.
    OutOfRange,
}

impl Clock {
    /// Creates a clock that shows the real time.
    pub(crate) fn new() -> Self {
        let start = real_now();
        Self {
            start,
            mode: AtomicU8::new(if baton::is_member() { SIMULATED } else { REAL }),
            kept: Mutex::new(Kept { base: start, resumed_at: None }),
            inhibitors: AtomicUsize::new(0),
        }
    }

    /// Creates a paused clock. It shows its start until it is moved.
    pub(crate) fn new_paused() -> Self {
        let clock = Self::new();
        virtual_time::begin();
        clock.mode.store(KEPT, Ordering::Relaxed);
        clock
    }

    /// Returns the current time of this clock.
    #[inline(always)]
    pub(crate) fn now(&self) -> Instant {
        // Relaxed (`real-until-paused`): a thread that misses a pause reads the real time, as if it had read just before
        // the pause. The kept time is read under the lock.
        if self.mode.load(Ordering::Relaxed) == REAL { system_now() } else { self.virtual_now() }
    }

    #[inline(never)]
    fn virtual_now(&self) -> Instant {
        if self.was_paused() { self.kept.lock().now() } else { real_now() }
    }

    #[inline]
    fn was_paused(&self) -> bool {
        self.mode.load(Ordering::Relaxed) == KEPT
    }

    /// Returns whether a timer with this deadline is due.
    pub(crate) fn has_reached(&self, deadline: Instant) -> bool {
        tick_at_or_after(self.start, deadline) <= self.now_tick()
    }

    /// Returns the time of tick 0.
    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// Returns the current tick.
    #[inline]
    pub(crate) fn now_tick(&self) -> u64 {
        let passed = self.now().saturating_duration_since(self.start);
        millis(passed, u64::from(passed.subsec_millis()))
    }

    /// Returns the time at which `tick` begins.
    pub(crate) fn instant_of(&self, tick: u64) -> Instant {
        self.start.checked_add(Duration::from_millis(tick)).unwrap_or_else(|| far_future(self.start))
    }

    /// Pauses the clock at its current time.
    pub(crate) fn pause(&self) -> Result<(), ClockError> {
        let mut kept = self.kept.lock();
        if !self.was_paused() {
            kept.base = real_now();
        } else if kept.resumed_at.is_some() {
            // `never-back`: it is paused at the time that it shows now.
            kept.base = kept.now();
        } else {
            return Err(ClockError::Paused);
        }
        kept.resumed_at = None;
        virtual_time::begin();
        self.mode.store(KEPT, Ordering::Relaxed);
        Ok(())
    }

    /// Resumes the clock from the time that it shows.
    pub(crate) fn resume(&self) -> Result<(), ClockError> {
        let mut kept = self.kept.lock();
        if !self.was_paused() || kept.resumed_at.is_some() {
            return Err(ClockError::Running);
        }
        kept.resumed_at = Some(real_now());
        Ok(())
    }

    /// Moves a paused clock forward.
    pub(crate) fn advance(&self, by: Duration) -> Result<(), ClockError> {
        let mut kept = self.kept.lock();
        if !self.was_paused() || kept.resumed_at.is_some() {
            return Err(ClockError::Running);
        }
        let base = kept.base.checked_add(by).ok_or(ClockError::OutOfRange)?;
        if tick_at_or_after(self.start, base) == LAST_TICK {
            return Err(ClockError::OutOfRange);
        }
        kept.base = base;
        Ok(())
    }

    /// Moves a paused clock forward to `instant`. The scheduler calls it when all tasks wait for timers.
    ///
    /// Has no effect on a running clock, or if `instant` has been reached (`never-back`). It moves by whole milliseconds,
    /// as Tokio's clock does. So the time between two reads is the same in each run, whatever fraction of a millisecond
    /// the clock was paused at.
    pub(crate) fn advance_to(&self, instant: Instant) {
        if !self.was_paused() {
            return;
        }
        let mut kept = self.kept.lock();
        if kept.resumed_at.is_none() && kept.base < instant {
            let millis = tick_at_or_after(kept.base, instant);
            kept.base = kept.base.checked_add(Duration::from_millis(millis)).unwrap_or(instant);
        }
    }

    #[inline]
    pub(crate) fn is_paused(&self) -> bool {
        self.was_paused() && self.kept.lock().resumed_at.is_none()
    }

    /// Reports the start of work outside of the scheduler (a blocking task). Paused time does not jump until it ends.
    pub(crate) fn inhibit_auto_advance(&self) {
        self.inhibitors.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends one [`inhibit_auto_advance`](Self::inhibit_auto_advance).
    ///
    /// The caller wakes the task that waits for the work before this call. After it, the caller unparks the scheduler,
    /// which may have parked without a jump.
    pub(crate) fn allow_auto_advance(&self) {
        // Release: publishes the wake of the waiting task (`inhibitors-first`). Pairs with Acquire in
        // `Clock::can_auto_advance`.
        let before = self.inhibitors.fetch_sub(1, Ordering::Release);
        debug_assert!(before > 0, "each allow ends one inhibit");
    }

    /// Decides what a scheduler with a paused clock does. `is_idle` looks for work and returns whether there is none.
    ///
    /// 1. Read the inhibitors.
    /// 2. Call `is_idle`.
    ///
    /// The order matters (`inhibitors-first`): if the inhibitors no longer count an operation, `is_idle` sees the task
    /// that the operation woke.
    pub(crate) fn when_idle(&self, is_idle: impl FnOnce() -> bool) -> WhenIdle {
        let may_jump = self.can_auto_advance();
        match (is_idle(), may_jump) {
            (false, _) => WhenIdle::HasWork,
            (true, true) => WhenIdle::Jump,
            (true, false) => WhenIdle::Wait,
        }
    }

    /// Returns whether the clock is paused and no inhibitor prevents a jump.
    fn can_auto_advance(&self) -> bool {
        // Acquire: sees the wakes before the count was decremented. Pairs with Release in `Clock::allow_auto_advance`.
        self.is_paused() && self.inhibitors.load(Ordering::Acquire) == 0
    }
}

/// What a scheduler with a paused clock does next; returned by [`Clock::when_idle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum WhenIdle {
    /// Run the work that was found.
    HasWork,
    /// Move the clock to the next timer.
    Jump,
    /// Park until work outside of the scheduler ends.
    Wait,
}

/// Returns whether any clock of this process was ever paused or simulated. If not, all clocks show [`system_now`].
#[inline]
pub(crate) fn is_any_virtual() -> bool {
    virtual_time::is_any()
}

/// Returns whether a timer with this deadline is due on a clock that was never paused. Cheap: `true` is certain, `false`
/// may be a few milliseconds out of date.
#[inline]
pub(crate) fn has_surely_reached(deadline: Instant) -> bool {
    // One tick more: a timer may be a tick late, but is never early, whatever the start of its clock.
    deadline.checked_add(TICK).is_some_and(crate::primitives::clock::has_surely_passed)
}

/// The monotonic clock of the system, or that of the simulated world to which this thread belongs.
#[inline]
pub(crate) fn real_now() -> Instant {
    crate::primitives::clock::now()
}

/// The monotonic clock of the system.
#[inline]
pub(crate) fn system_now() -> Instant {
    crate::primitives::clock::system_now()
}

/// Returns the time about 30 years after `now`. It replaces deadlines that cannot be represented.
pub(crate) fn far_future(now: Instant) -> Instant {
    // `now` may come from the program and be too late to add to.
    now.checked_add(Duration::from_secs(86_400 * 365 * 30)).unwrap_or(now)
}

/// Returns the first tick that begins at or after `deadline`, for a clock with this start.
#[inline]
pub(crate) fn tick_at_or_after(start: Instant, deadline: Instant) -> u64 {
    let until = deadline.saturating_duration_since(start);
    millis(until, u64::from(until.subsec_nanos().div_ceil(1_000_000)))
}

#[inline]
fn millis(duration: Duration, rounded_subsec_millis: u64) -> u64 {
    duration.as_secs().saturating_mul(1000).saturating_add(rounded_subsec_millis).min(LAST_TICK)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_rounded_up_and_the_present_down() {
        let clock = Clock::new_paused();
        let start = clock.start();
        assert_eq!(tick_at_or_after(start, start), 0);
        assert_eq!(tick_at_or_after(start, start + Duration::from_nanos(1)), 1);
        assert_eq!(tick_at_or_after(start, start + Duration::from_millis(1)), 1);
        assert_eq!(tick_at_or_after(start, start + Duration::from_micros(1999)), 2);
        assert_eq!(tick_at_or_after(start, start + Duration::from_nanos(1_999_999_999)), 2000);
        clock.advance(Duration::from_micros(1999)).expect("it is paused");
        assert_eq!(clock.now_tick(), 1);
        assert_eq!(clock.instant_of(2), start + Duration::from_millis(2));
    }

    #[test]
    fn deadlines_before_the_start_or_too_far_ahead_have_a_tick() {
        let clock = Clock::new();
        let start = clock.start();
        let before = start.checked_sub(Duration::from_secs(1)).expect("in range");
        assert_eq!(tick_at_or_after(start, before), 0);
        let mut far = start;
        for exponent in (0..63).rev() {
            far = far.checked_add(Duration::from_secs(1 << exponent)).unwrap_or(far);
        }
        assert_eq!(tick_at_or_after(start, far), LAST_TICK);
    }

    #[test]
    fn a_clock_jumps_only_forward_and_only_while_paused_without_inhibitors() {
        let clock = Clock::new();
        assert!(!clock.can_auto_advance());
        clock.advance_to(far_future(clock.now()));
        assert!(clock.now() < clock.start() + Duration::from_secs(86_400 * 365));

        clock.pause().expect("it runs");
        assert!(clock.can_auto_advance());
        clock.inhibit_auto_advance();
        assert!(!clock.can_auto_advance());
        clock.allow_auto_advance();
        assert!(clock.can_auto_advance());

        let now = clock.now();
        clock.advance_to(now + Duration::from_millis(5));
        clock.advance_to(now);
        assert_eq!(clock.now(), now + Duration::from_millis(5));
        clock.advance_to(now + Duration::from_micros(5001));
        assert_eq!(clock.now(), now + Duration::from_millis(6));
        assert_eq!(clock.advance(Duration::MAX), Err(ClockError::OutOfRange));
    }
}
