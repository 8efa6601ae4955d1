//! Time limits for futures: `timeout`, `timeout_at`.
//!
//! Called by users.
//!
//! # Invariants
//! - `value-first`: the value is polled before the deadline is checked. A value that is ready is never lost to a deadline
//!   that has passed.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::Instant;
use super::error::Elapsed;
use super::sleep::{Sleep, When};
use crate::observe::waiting;
use crate::task::coop::{has_budget_remaining, unconstrained};

/// Runs `future` for at most `duration`.
///
/// - The duration counts from this call, not from the first poll.
/// - Returns `Err(Elapsed)` if the deadline passes first. The future is dropped together with the [`Timeout`].
/// - A future that is ready when polled is never timed out, even past the deadline.
/// - A future that blocks its thread cannot be timed out.
/// - A duration that the clock cannot represent is shortened to about 30 years.
///
/// # Cancel safety
/// Dropping the `Timeout` drops `future`, so it is as cancel safe as `future`. That includes a timeout that elapses.
///
/// # Errors
/// [`Elapsed`](super::error::Elapsed) if `future` was not ready in time. It converts into an `io::Error` of kind
/// `TimedOut`, so `?` works in functions that return `io::Result`.
///
/// # Panics
/// If called outside of a runtime, or in a runtime built without `enable_time`.
///
/// # Examples
/// ```
/// use redd::time::{Duration, timeout};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let never = std::future::pending::<()>();
/// assert!(timeout(Duration::from_millis(1), never).await.is_err());
/// assert_eq!(timeout(Duration::from_secs(60), async { 7 }).await, Ok(7));
/// # });
/// ```
#[inline]
#[track_caller]
pub fn timeout<F>(duration: Duration, future: F) -> Timeout<F::IntoFuture>
where
    F: IntoFuture,
{
    Timeout { delay: Sleep::new("`timeout`", When::In(duration)), value: future.into_future() }
}

/// Runs `future` until `deadline` at most. Otherwise as [`timeout`].
///
/// # Errors
/// As [`timeout`].
///
/// # Panics
/// As [`timeout`].
///
/// # Examples
/// ```
/// use redd::time::{Duration, Instant, sleep, timeout_at};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// // One deadline for two steps.
/// let deadline = Instant::now() + Duration::from_secs(10);
/// assert!(timeout_at(deadline, sleep(Duration::from_secs(7))).await.is_ok());
/// assert!(timeout_at(deadline, sleep(Duration::from_secs(7))).await.is_err());
/// assert!(Instant::now() >= deadline);
/// # });
/// ```
#[track_caller]
pub fn timeout_at<F>(deadline: Instant, future: F) -> Timeout<F::IntoFuture>
where
    F: IntoFuture,
{
    Timeout { delay: Sleep::new("`timeout_at`", When::At(deadline)), value: future.into_future() }
}

pin_project! {
    /// A future with a deadline, returned by [`timeout`] and [`timeout_at`].
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is awaited"]
    pub struct Timeout<T> {
        #[pin]
        value: T,
        #[pin]
        delay: Sleep,
    }
}

impl<T> Timeout<T> {
    /// Returns the inner future.
    ///
    /// # Examples
    /// ```
    /// use redd::time::{Duration, timeout};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let limited = timeout(Duration::from_secs(1), std::future::ready(7));
    /// assert_eq!(format!("{:?}", limited.get_ref()), "Ready(Some(7))");
    /// # });
    /// ```
    pub fn get_ref(&self) -> &T {
        &self.value
    }

    /// Returns the inner future.
    ///
    /// # Examples
    /// ```
    /// use redd::time::{Duration, timeout};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let mut limited = timeout(Duration::from_secs(1), std::future::ready(7));
    /// *limited.get_mut() = std::future::ready(8);
    /// assert_eq!(limited.await, Ok(8));
    /// # });
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }

    /// Returns the inner future, without its deadline.
    ///
    /// # Examples
    /// ```
    /// use redd::time::{Duration, timeout};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let limited = timeout(Duration::ZERO, std::future::ready(7));
    /// assert_eq!(limited.into_inner().await, 7);
    /// # });
    /// ```
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T: Future> Future for Timeout<T> {
    type Output = Result<T::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let had_budget = has_budget_remaining();
        // `value-first`.
        if let Poll::Ready(value) = this.value.poll(cx) {
            return Poll::Ready(Ok(value));
        }
        // The wait of the value describes this task better than its deadline does.
        let value_waits = waiting::take();
        let mut delay = this.delay;
        let is_late = if had_budget && !has_budget_remaining() {
            // The value used up the budget. Without this the deadline of a busy value would never be checked.
            pin!(unconstrained(poll_fn(|cx| delay.as_mut().poll(cx)))).poll(cx)
        } else {
            delay.poll(cx)
        };
        if let Some(waits) = value_waits {
            waiting::record(waits.kind, waits.location);
        }
        is_late.map(|()| Err(Elapsed::new()))
    }
}
