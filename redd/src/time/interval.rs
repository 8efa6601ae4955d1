//! Periodic ticks: `interval`, `interval_at`.
//!
//! Called by users.
//!
//! # Invariants
//! - `one-deadline`: the sleep's deadline is the next tick. Only taking that tick or a `reset` changes it.

use crate::observe::waiting::located;
use std::future::poll_fn;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::Instant;
use super::sleep::{Sleep, When};

/// A tick that is taken at most this late does not count as missed. Tokio's value: programs can observe it.
const SLACK: Duration = Duration::from_millis(5);

/// Creates an [`Interval`] that ticks every `period`, starting immediately.
///
/// Ticks are due at multiples of `period` after the first one, no matter how long the work between them takes. If the
/// work takes longer than `period`, [`MissedTickBehavior`] chooses when the next ticks happen.
///
/// # Panics
/// - If `period` is zero.
/// - If called outside of a runtime, or in a runtime built without `enable_time`.
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

/// Creates an [`Interval`] that ticks every `period`, starting at `start`.
///
/// # Panics
/// As [`interval`].
///
/// # Examples
/// ```
/// use redd::time::{Duration, Instant, interval_at};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let start = Instant::now();
/// let minute = Duration::from_secs(60);
/// // The first tick is after a full period, not immediately.
/// let mut ticks = interval_at(start + minute, minute);
/// assert_eq!(ticks.tick().await - start, minute);
/// assert_eq!(ticks.tick().await - start, 2 * minute);
/// # });
/// ```
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

/// Chooses when an [`Interval`] ticks after a tick that was taken more than 5 milliseconds late.
///
/// For a period of 50 ms and a tick at 0 whose work takes 125 ms, the next ticks are at (in milliseconds):
///
/// | | | | | |
/// |---|---|---|---|---|
/// | `Burst` | 125 | 125 | 150 | 200 |
/// | `Delay` | 125 | 175 | 225 | 275 |
/// | `Skip`  | 125 | 150 | 200 | 250 |
///
/// # Examples
/// ```
/// use redd::time::{Duration, Instant, MissedTickBehavior, interval, sleep};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let start = Instant::now();
/// let mut ticks = interval(Duration::from_millis(50));
/// ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
/// ticks.tick().await;
/// sleep(Duration::from_millis(125)).await;
/// let mut at = Vec::new();
/// for _ in 0..3 {
///     ticks.tick().await;
///     at.push(start.elapsed().as_millis());
/// }
/// assert_eq!(at, [125, 150, 200]);
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// Catches up: missed ticks follow immediately, one after the other. No tick is lost.
    #[default]
    Burst,
    /// Starts over: the next tick is a full period after the late one was taken.
    Delay,
    /// Skips missed ticks: the next tick is at the next multiple of the period.
    Skip,
}

impl MissedTickBehavior {
    /// Returns the tick after the one that was due at `due` and is taken late, at `now`.
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

/// A series of periodic ticks, returned by [`interval`] and [`interval_at`].
///
/// It does not implement `Stream`. To get a stream, wrap [`poll_tick`](Interval::poll_tick).
pub struct Interval {
    delay: Pin<Box<Sleep>>,
    period: Duration,
    behavior: MissedTickBehavior,
}

debug_struct!([] Interval as "Interval", self => {
    next_tick: self.delay.deadline(),
    period: self.period,
    missed_tick_behavior: self.behavior,
});

impl Interval {
    #[track_caller]
    fn new(what: &str, first: When, period: Duration) -> Self {
        Self { delay: Box::pin(Sleep::new(what, first)), period, behavior: MissedTickBehavior::default() }
    }

    /// Waits for the next tick and returns the time at which it was due, which may be in the past.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, no tick is lost: the next call waits for the same tick.
    ///
    /// # Examples
    /// ```
    /// use redd::time::{Duration, interval};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let mut ticks = interval(Duration::from_secs(10));
    /// let mut polled = 0;
    /// let first = ticks.tick().await;
    /// while ticks.tick().await - first < Duration::from_secs(30) {
    ///     polled += 1;
    /// }
    /// assert_eq!(polled, 2);
    /// # });
    /// ```
    #[track_caller]
    pub fn tick(&mut self) -> impl Future<Output = Instant> {
        located(async move { poll_fn(|cx| self.poll_tick(cx)).await })
    }

    /// Polls for the next tick. Only the task that polled last is woken when the tick is due.
    ///
    /// # Examples
    /// ```
    /// use redd::time::{Duration, interval};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let mut ticks = interval(Duration::from_secs(1));
    /// let first = std::future::poll_fn(|cx| ticks.poll_tick(cx)).await;
    /// let second = std::future::poll_fn(|cx| ticks.poll_tick(cx)).await;
    /// assert_eq!(second - first, Duration::from_secs(1));
    /// # });
    /// ```
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

    /// Schedules the next tick one period from now.
    ///
    /// # Examples
    /// ```
    /// use redd::time::{Duration, Instant, interval, sleep};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let mut ticks = interval(Duration::from_secs(10));
    /// ticks.tick().await;
    /// sleep(Duration::from_secs(7)).await;
    /// ticks.reset();
    /// let before = Instant::now();
    /// ticks.tick().await;
    /// assert_eq!(before.elapsed().as_secs(), 10);
    /// # });
    /// ```
    pub fn reset(&mut self) {
        self.reset_at(Instant::now().after_or_never(self.period));
    }

    /// Schedules the next tick now.
    ///
    /// # Examples
    /// ```
    /// use redd::time::{Duration, Instant, interval};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let mut ticks = interval(Duration::from_secs(10));
    /// ticks.tick().await;
    /// let before = Instant::now();
    /// ticks.reset_immediately();
    /// ticks.tick().await;
    /// assert!(before.elapsed() < Duration::from_secs(1));
    /// # });
    /// ```
    pub fn reset_immediately(&mut self) {
        self.reset_at(Instant::now());
    }

    /// Schedules the next tick `after` from now. The period stays the same.
    ///
    /// # Examples
    /// ```
    /// use redd::time::{Duration, Instant, interval};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let mut ticks = interval(Duration::from_secs(10));
    /// ticks.tick().await;
    /// // Back off once, for a minute.
    /// ticks.reset_after(Duration::from_secs(60));
    /// let before = Instant::now();
    /// ticks.tick().await;
    /// assert_eq!(before.elapsed().as_secs(), 60);
    /// ticks.tick().await;
    /// assert_eq!(before.elapsed().as_secs(), 70);
    /// # });
    /// ```
    pub fn reset_after(&mut self, after: Duration) {
        self.reset_at(Instant::now().after_or_never(after));
    }

    /// Schedules the next tick at `deadline`. The period stays the same.
    ///
    /// # Examples
    /// ```
    /// use redd::time::{Duration, Instant, interval};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let mut ticks = interval(Duration::from_secs(10));
    /// let deadline = Instant::now() + Duration::from_secs(3);
    /// ticks.reset_at(deadline);
    /// assert_eq!(ticks.tick().await, deadline);
    /// # });
    /// ```
    pub fn reset_at(&mut self, deadline: Instant) {
        self.delay.as_mut().reset(deadline);
    }

    /// Returns what happens after missed ticks. The default is [`MissedTickBehavior::Burst`].
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.behavior
    }

    /// Chooses what happens after missed ticks.
    ///
    /// [`MissedTickBehavior`] has an example.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.behavior = behavior;
    }

    /// Returns the time between two ticks.
    ///
    /// # Examples
    /// ```
    /// use redd::time::{Duration, MissedTickBehavior, interval};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let ticks = interval(Duration::from_secs(10));
    /// assert_eq!(ticks.period(), Duration::from_secs(10));
    /// assert_eq!(ticks.missed_tick_behavior(), MissedTickBehavior::Burst);
    /// # });
    /// ```
    pub fn period(&self) -> Duration {
        self.period
    }
}
