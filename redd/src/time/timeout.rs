//! Giving up in time: `timeout`, `timeout_at`.
//!
//! Called by users.
//!
//! # Invariants
//! - `value-first`: the value is polled before the deadline is looked at, so a value that is there is never lost to a
//!   deadline that has passed.

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

/// Lets `future` run for at most `duration`.
///
/// - The time counts from this call, not from the first poll.
/// - When it is up, the answer is `Err(Elapsed)`; the future is dropped with the `Timeout`.
/// - A future that is ready is never timed out, even when the time is up. A future that blocks its thread cannot be
///   timed out at all.
/// - A duration too long for the clock means about thirty years.
///
/// # Cancel safety
/// Dropping it drops `future`: it is as safe as that.
///
/// # Panics
/// When called outside of a runtime, or in one that was built without `enable_time`.
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

/// Lets `future` run until `deadline`. As [`timeout`] otherwise.
///
/// # Panics
/// As [`timeout`].
#[track_caller]
pub fn timeout_at<F>(deadline: Instant, future: F) -> Timeout<F::IntoFuture>
where
    F: IntoFuture,
{
    Timeout { delay: Sleep::new("`timeout_at`", When::At(deadline)), value: future.into_future() }
}

pin_project! {
    /// A future with a deadline. Made by [`timeout`] and [`timeout_at`].
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
    /// The future that is being timed.
    pub fn get_ref(&self) -> &T {
        &self.value
    }

    /// The future that is being timed.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }

    /// The future, without its deadline.
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
        // What the value waits on says more about this task than its deadline does.
        let value_waits = waiting::take();
        let mut delay = this.delay;
        let is_late = if had_budget && !has_budget_remaining() {
            // A value that is always busy would otherwise never be timed out.
            pin!(unconstrained(poll_fn(|cx| delay.as_mut().poll(cx)))).poll(cx)
        } else {
            delay.poll(cx)
        };
        if let Some(waits) = value_waits {
            waiting::note(waits.kind, waits.place);
        }
        is_late.map(|()| Err(Elapsed::new()))
    }
}
