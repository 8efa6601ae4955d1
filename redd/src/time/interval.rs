//! Ticks at a fixed distance: `interval`, `interval_at`.
//!
//! Called by users.
//!
//! # Invariants
//! - `one-deadline`: the sleep's deadline is the next tick; it is reset only after that tick was taken, or by a reset.

use std::future::poll_fn;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::Instant;
use super::sleep::{Sleep, When};

/// A tick that is taken at most this late was not missed. The figure is Tokio's, and programs can observe it.
const SLACK: Duration = Duration::from_millis(5);

/// Ticks every `period`; the first tick is at once.
///
/// - Ticks are at multiples of `period` after the first, however long the work between them takes.
///   If it takes longer than `period`, [`MissedTickBehavior`] says what happens.
///
/// # Panics
/// When `period` is zero; when called outside of a runtime, or in one that was built without `enable_time`.
///
/// # Examples
/// ```
/// use redd::time::{Duration, interval};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let mut ticks = interval(Duration::from_millis(2));
/// let first = ticks.tick().await;
/// let second = ticks.tick().await;
/// assert_eq!(second - first, Duration::from_millis(2));
/// # });
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    assert_not_zero("`interval`", period);
    Interval::new("`interval`", When::In(Duration::ZERO), period)
}

/// Ticks every `period`, the first time at `start`. As [`interval`] otherwise.
///
/// # Panics
/// As [`interval`].
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert_not_zero("`interval_at`", period);
    Interval::new("`interval_at`", When::At(start), period)
}

#[track_caller]
fn assert_not_zero(what: &str, period: Duration) {
    assert!(
        !period.is_zero(),
        "{what} was called at {} with a period of zero, which would tick without end. Pass a period of at least a \
         nanosecond, or call `task::yield_now` in a loop.",
        Location::caller()
    );
}

/// What an [`Interval`] does after ticks that were taken more than 5 milliseconds late.
///
/// For a period of 50 ms and a tick at 0 whose work takes 125 ms, the next ticks are at:
///
/// | | | | | |
/// |---|---|---|---|---|
/// | `Burst` | 125 | 125 | 150 | 200 |
/// | `Delay` | 125 | 175 | 225 | 275 |
/// | `Skip`  | 125 | 150 | 200 | 250 |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// Catch up: missed ticks follow at once, one after the other. No tick is lost.
    #[default]
    Burst,
    /// Start over: the next tick is a full period after the late one.
    Delay,
    /// Leave missed ticks out: the next tick is at the next multiple of the period.
    Skip,
}

impl MissedTickBehavior {
    /// The tick after the one that was due at `due` and is taken at `now`, late.
    fn next_tick(self, due: Instant, now: Instant, period: Duration) -> Instant {
        match self {
            Self::Burst => due.after_or_never(period),
            Self::Delay => now.after_or_never(period),
            Self::Skip => {
                let late = now.saturating_duration_since(due).as_nanos() % period.as_nanos();
                // No program is five hundred years late. What is left of the current period:
                now.after_or_never(period - Duration::from_nanos(u64::try_from(late).unwrap_or(u64::MAX)))
            }
        }
    }
}

/// A series of ticks. Made by [`interval`] and [`interval_at`].
///
/// It is no stream; to get one, wrap [`poll_tick`](Interval::poll_tick).
#[derive(Debug)]
pub struct Interval {
    delay: Pin<Box<Sleep>>,
    period: Duration,
    behavior: MissedTickBehavior,
}

impl Interval {
    #[track_caller]
    fn new(what: &str, first: When, period: Duration) -> Self {
        Self { delay: Box::pin(Sleep::new(what, first)), period, behavior: MissedTickBehavior::default() }
    }

    /// Waits for the next tick; answers when it was due, which may be before now.
    ///
    /// # Cancel safety
    /// If it is dropped, no tick was taken.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Polls for the next tick. The task that polled last is woken when it is due.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(self.delay.as_mut().poll(cx));
        let due = self.delay.deadline();
        let now = Instant::now();
        let next = if now.saturating_duration_since(due) > SLACK {
            self.behavior.next_tick(due, now, self.period)
        } else {
            due.after_or_never(self.period)
        };
        // `one-deadline`. No task waits for it now: the next `poll_tick` arms it.
        self.delay.as_mut().reset_before_poll(next);
        Poll::Ready(due)
    }

    /// Makes the next tick one period from now.
    pub fn reset(&mut self) {
        self.reset_at(Instant::now().after_or_never(self.period));
    }

    /// Makes the next tick due now.
    pub fn reset_immediately(&mut self) {
        self.reset_at(Instant::now());
    }

    /// Makes the next tick due `after` from now.
    pub fn reset_after(&mut self, after: Duration) {
        self.reset_at(Instant::now().after_or_never(after));
    }

    /// Makes the next tick due at `deadline`. The period stays.
    pub fn reset_at(&mut self, deadline: Instant) {
        self.delay.as_mut().reset(deadline);
    }

    /// What happens after missed ticks.
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.behavior
    }

    /// Chooses what happens after missed ticks.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.behavior = behavior;
    }

    /// The distance between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }
}
