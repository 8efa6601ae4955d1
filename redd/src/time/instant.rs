//! A moment on the runtime's clock.
//!
//! Called by users and by the rest of the room.

use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

use super::clock;
use crate::runtime::context;

/// A moment on a monotonic clock: [`std::time::Instant`], except that [`now`](Instant::now) asks the clock of the
/// runtime, which a test can [`pause`](super::pause).
///
/// The arithmetic is that of the standard type, to and from which it converts for free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(std::time::Instant);

impl Instant {
    /// What time it is on the clock of the runtime that this thread is in; the system's outside of one.
    ///
    /// # Examples
    /// ```
    /// use redd::time::Instant;
    ///
    /// let earlier = Instant::now();
    /// assert!(Instant::now() >= earlier);
    /// ```
    #[inline]
    pub fn now() -> Self {
        if clock::was_any_paused() {
            return Self(now_here());
        }
        Self(clock::real_now())
    }

    /// The same moment from the standard type.
    pub fn from_std(instant: std::time::Instant) -> Self {
        Self(instant)
    }

    /// The same moment as the standard type.
    pub fn into_std(self) -> std::time::Instant {
        self.0
    }

    /// How long after `earlier` it is; zero if it is before.
    pub fn duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// How long after `earlier` it is; `None` if it is before.
    pub fn checked_duration_since(&self, earlier: Self) -> Option<Duration> {
        self.0.checked_duration_since(earlier.0)
    }

    /// How long after `earlier` it is; zero if it is before.
    pub fn saturating_duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// How long ago it was.
    pub fn elapsed(&self) -> Duration {
        Self::now().duration_since(*self)
    }

    /// The moment that much later; `None` if the clock cannot express it.
    pub fn checked_add(&self, duration: Duration) -> Option<Self> {
        self.0.checked_add(duration).map(Self)
    }

    /// The moment that much earlier; `None` if the clock cannot express it.
    pub fn checked_sub(&self, duration: Duration) -> Option<Self> {
        self.0.checked_sub(duration).map(Self)
    }

    /// `duration` after this, or so late that nobody sees the difference.
    pub(super) fn after_or_never(self, duration: Duration) -> Self {
        self.checked_add(duration)
            .filter(|_| duration <= clock::LONGEST)
            .unwrap_or_else(|| Self(clock::far_future(self.0)))
    }
}

#[cold]
fn now_here() -> std::time::Instant {
    context::with_current(|handle| handle.timers().map(|timers| timers.clock().now()))
        .flatten()
        .unwrap_or_else(clock::real_now)
}

impl From<std::time::Instant> for Instant {
    fn from(instant: std::time::Instant) -> Self {
        Self(instant)
    }
}

impl From<Instant> for std::time::Instant {
    fn from(instant: Instant) -> Self {
        instant.0
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    #[track_caller]
    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

impl AddAssign<Duration> for Instant {
    #[track_caller]
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    #[track_caller]
    fn sub(self, duration: Duration) -> Self {
        Self(self.0 - duration)
    }
}

impl SubAssign<Duration> for Instant {
    #[track_caller]
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}
