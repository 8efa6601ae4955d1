//! A point in time on the runtime's clock.
//!
//! Called by users and by the rest of the room.

use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

use super::clock;
use crate::current;

/// A point in time on a monotonic clock.
///
/// It wraps [`std::time::Instant`] and converts to and from it at no cost. The arithmetic is that of the standard type.
/// Only [`now`](Instant::now) differs: it reads the clock of the runtime, which a test can [`pause`](super::pause).
///
/// # Examples
/// ```
/// use redd::time::{Duration, Instant, sleep};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let start = Instant::now();
/// let deadline = start + Duration::from_secs(2);
/// sleep(Duration::from_secs(3)).await;
/// assert!(Instant::now() > deadline);
/// assert!(Instant::now() - start >= Duration::from_secs(3));
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(std::time::Instant);

impl Instant {
    /// Returns the current time of the current runtime's clock, or of the system's clock outside of a runtime.
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
        if clock::is_any_virtual() {
            return Self(now_here());
        }
        Self(clock::system_now())
    }

    /// Converts from the standard type.
    ///
    /// # Examples
    /// ```
    /// use redd::time::Instant;
    ///
    /// let standard = std::time::Instant::now();
    /// assert_eq!(Instant::from_std(standard).into_std(), standard);
    /// ```
    pub fn from_std(instant: std::time::Instant) -> Self {
        Self(instant)
    }

    /// Converts into the standard type.
    pub fn into_std(self) -> std::time::Instant {
        self.0
    }

    /// Returns the time that passed since `earlier`, or zero if `earlier` is later.
    ///
    /// # Examples
    /// ```
    /// use redd::time::{Duration, Instant};
    ///
    /// let start = Instant::now();
    /// let end = start + Duration::from_millis(20);
    /// assert_eq!(end.duration_since(start), Duration::from_millis(20));
    /// assert_eq!(start.duration_since(end), Duration::ZERO);
    /// ```
    pub fn duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// Returns the time that passed since `earlier`, or `None` if `earlier` is later.
    ///
    /// # Examples
    /// ```
    /// use redd::time::{Duration, Instant};
    ///
    /// let start = Instant::now();
    /// let end = start + Duration::from_millis(20);
    /// assert_eq!(end.checked_duration_since(start), Some(Duration::from_millis(20)));
    /// assert_eq!(start.checked_duration_since(end), None);
    /// ```
    pub fn checked_duration_since(&self, earlier: Self) -> Option<Duration> {
        self.0.checked_duration_since(earlier.0)
    }

    /// Returns the time that passed since `earlier`, or zero if `earlier` is later. The same as
    /// [`duration_since`](Self::duration_since).
    pub fn saturating_duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// Returns the time that has passed since this instant, or zero if it is in the future.
    ///
    /// # Examples
    /// ```
    /// use redd::time::{self, Duration, Instant};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let start = Instant::now();
    /// time::advance(Duration::from_secs(5)).await;
    /// assert_eq!(start.elapsed(), Duration::from_secs(5));
    /// # });
    /// ```
    pub fn elapsed(&self) -> Duration {
        Self::now().duration_since(*self)
    }

    /// Returns the instant `duration` later, or `None` if the clock cannot represent it.
    ///
    /// # Examples
    /// ```
    /// use redd::time::{Duration, Instant};
    ///
    /// let now = Instant::now();
    /// assert_eq!(now.checked_add(Duration::from_secs(1)), Some(now + Duration::from_secs(1)));
    /// assert_eq!(now.checked_add(Duration::MAX), None);
    /// ```
    pub fn checked_add(&self, duration: Duration) -> Option<Self> {
        self.0.checked_add(duration).map(Self)
    }

    /// Returns the instant `duration` earlier, or `None` if the clock cannot represent it.
    ///
    /// # Examples
    /// ```
    /// use redd::time::{Duration, Instant};
    ///
    /// let now = Instant::now();
    /// let later = now + Duration::from_secs(1);
    /// assert_eq!(later.checked_sub(Duration::from_secs(1)), Some(now));
    /// assert_eq!(now.checked_sub(Duration::MAX), None);
    /// ```
    pub fn checked_sub(&self, duration: Duration) -> Option<Self> {
        self.0.checked_sub(duration).map(Self)
    }

    /// Returns the instant `duration` later, or about 30 years later if the clock cannot represent that.
    pub(crate) fn after_or_never(self, duration: Duration) -> Self {
        self.checked_add(duration)
            .filter(|_| duration <= clock::LONGEST)
            .unwrap_or_else(|| Self(clock::far_future(self.0)))
    }
}

#[cold]
fn now_here() -> std::time::Instant {
    current::with_parts(|parts| parts.timers().map(|timers| timers.clock().now()))
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
