//! Sleeping until a deadline: `sleep`, `sleep_until`.
//!
//! Called by users, and by `interval` and `timeout`, which are built on it.
//!
//! A timer looks up the current runtime twice:
//! 1. At creation: the runtime must have timers enabled.
//! 2. When it is armed: a worker of the timer's own runtime uses its own wheel.
//!
//! # Invariants
//! - `clock-decides`: a poll that finds the timer armed also reads the clock. A task that polls in a loop without
//!   returning keeps its worker from firing timers, and may be waiting for this one. The first poll of a `sleep` skips
//!   the check, because its deadline was computed from the current time. The coarse clock suffices: it only ends such
//!   a loop.
//! - `home-or-here`: a timer is armed on a wheel of the runtime in which it was created, wherever it is polled.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::Instant;
use super::clock::{LONGEST, far_future, has_surely_reached, is_any_virtual};
use super::timers::{Arming, Timer, TimerState, Timers};
use crate::collections::wake_list::wake_guarded;
use crate::current::{self, Parts};
use crate::observe::resources::{Operation, Resource, ResourceKind, ResourceState};
use crate::observe::waiting::{self, WaitKind};
use crate::primitives::thread;
use crate::task::coop::{has_budget_remaining, poll_proceed};
use crate::task::current::id_or_zero;

/// Waits until `duration` has passed.
///
/// - The duration counts from this call, not from the first poll.
/// - Creating, polling and dropping a [`Sleep`] does not allocate. The only system call reads the time.
/// - A duration that the clock cannot represent is shortened to about 30 years.
///
/// # Cancel safety
/// Dropping the future cancels the timer and has no other effect.
///
/// # Panics
/// - If called outside of a runtime, or in a runtime built without `enable_time`.
/// - If polled after its runtime was shut down.
///
/// # Examples
/// ```
/// use redd::time::{Duration, Instant, sleep};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let start = Instant::now();
/// sleep(Duration::from_millis(2)).await;
/// assert!(start.elapsed() >= Duration::from_millis(2));
/// # });
/// ```
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    Sleep::new("`sleep`", When::In(duration))
}

/// Waits until `deadline`.
///
/// If the deadline has already passed, the future is ready at the latest when the worker next checks its timers.
///
/// # Cancel safety
/// Dropping the future cancels the timer and has no other effect.
///
/// # Panics
/// As [`sleep`].
///
/// # Examples
/// ```
/// use redd::time::{Duration, Instant, sleep_until};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let start = Instant::now();
/// // The work may take a while: the deadline does not move with it.
/// let deadline = start + Duration::from_secs(10);
/// sleep_until(deadline).await;
/// assert!(start.elapsed() >= Duration::from_secs(10));
/// # });
/// ```
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep::new("`sleep_until`", When::At(deadline))
}

/// When a timer fires: after a duration or at a deadline.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    In(Duration),
    At(Instant),
}

pin_project! {
    /// A future that is ready at its deadline, returned by [`sleep`] and [`sleep_until`].
    ///
    /// - It may be polled on any thread, even outside of its runtime. The runtime that created it fires it.
    /// - Once ready it stays ready, until [`reset`](Sleep::reset).
    /// - To keep one in an `Unpin` struct, or to await it by reference in `select!`, pin it with `Box::pin(sleep(..))`
    ///   or `pin!(sleep(..))`.
    ///
    /// # Examples
    /// An idle timeout that every message extends:
    /// ```
    /// use redd::sync::mpsc;
    /// use redd::time::{Duration, Instant, sleep};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let (sender, mut messages) = mpsc::channel(8);
    /// redd::spawn(async move {
    ///     for number in 0..3 {
    ///         sleep(Duration::from_secs(4)).await;
    ///         sender.send(number).await.unwrap();
    ///     }
    ///     std::future::pending::<()>().await;
    /// });
    /// let idle = sleep(Duration::from_secs(5));
    /// redd::pin!(idle);
    /// let mut received = Vec::new();
    /// loop {
    ///     redd::select! {
    ///         Some(number) = messages.recv() => {
    ///             received.push(number);
    ///             idle.as_mut().reset(Instant::now() + Duration::from_secs(5));
    ///         }
    ///         () = &mut idle => break,
    ///     }
    /// }
    /// assert_eq!(received, [0, 1, 2]);
    /// # });
    /// ```
    #[must_use = "a future does nothing until it is awaited"]
    pub struct Sleep {
        deadline: std::time::Instant,
        // The caller gave the deadline, so it may have passed at the first poll.
        is_given: bool,
        #[pin]
        timer: Timer,
        operation: Operation,
        resource: Resource,
    }
}

/// As [`sleep`], for a future that was made at `location`.
#[track_caller]
pub(crate) fn sleep_at(duration: Duration, location: &'static Location<'static>) -> Sleep {
    Sleep::new_at("`sleep`", When::In(duration), location)
}

/// A timer for the runtime's own use. It works even if the runtime was built without `enable_time`.
pub(crate) fn sleep_on(timers: &Timers, duration: Duration) -> Sleep {
    Sleep {
        deadline: deadline_of(When::In(duration), timers),
        is_given: false,
        timer: Timer::new(timers, Location::caller()),
        operation: Resource::NONE.operation(""),
        resource: Resource::NONE,
    }
}

impl Sleep {
    /// A timer of the current runtime. `what` is the function that the user called.
    #[inline]
    #[track_caller]
    pub(super) fn new(what: &str, when: When) -> Self {
        Self::new_at(what, when, Location::caller())
    }

    /// As [`new`](Self::new), for a timer that waits at `location`.
    // Only small constructors call it.
    #[inline(always)]
    #[track_caller]
    fn new_at(what: &str, when: When, location: &'static Location<'static>) -> Self {
        let made = current::with_parts(|parts| {
            let timers = parts.timers()?;
            Some((deadline_of(when, timers), Timer::new(timers, location)))
        });
        match made {
            Some(Some((deadline, timer))) => {
                let resource = Resource::new(ResourceKind::Sleep);
                Self {
                    deadline,
                    is_given: matches!(when, When::At(_)),
                    timer,
                    operation: resource.operation("Sleep::new_timeout"),
                    resource,
                }
            }
            Some(None) => current::disabled(what, "the timer", "enable_time"),
            None => current::missing(what),
        }
    }

    /// Returns the time at which the future becomes ready.
    ///
    /// # Examples
    /// ```
    /// use redd::time::{Duration, Instant, sleep_until};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let deadline = Instant::now() + Duration::from_secs(1);
    /// assert_eq!(sleep_until(deadline).deadline(), deadline);
    /// # });
    /// ```
    pub fn deadline(&self) -> Instant {
        Instant::from_std(self.deadline)
    }

    /// Returns whether the timer has fired.
    ///
    /// A timer fires only after it was polled or reset. Before that this is `false`, even past the deadline.
    ///
    /// # Examples
    /// ```
    /// use redd::time::{Duration, sleep};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let mut delay = std::pin::pin!(sleep(Duration::from_secs(1)));
    /// assert!(!delay.is_elapsed());
    /// delay.as_mut().await;
    /// assert!(delay.is_elapsed());
    /// # });
    /// ```
    pub fn is_elapsed(&self) -> bool {
        self.timer.is_fired()
    }

    /// Changes the deadline, whether or not the timer has fired.
    ///
    /// - A task that waits for the timer is woken at the new deadline.
    /// - May be called on any thread, inside or outside of a runtime.
    ///
    /// # Examples
    /// ```
    /// use redd::time::{Duration, Instant, sleep};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mut patience = std::pin::pin!(sleep(Duration::from_secs(3600)));
    /// patience.as_mut().reset(Instant::now() + Duration::from_millis(1));
    /// patience.as_mut().await;
    /// assert!(patience.is_elapsed());
    /// # });
    /// ```
    pub fn reset(self: Pin<&mut Self>, deadline: Instant) {
        let mut this = self.project();
        *this.deadline = deadline.into_std();
        *this.is_given = true;
        this.resource.record_state(|| [ResourceState::Duration(millis_until(*this.deadline))]);
        let waker = this.timer.as_mut().disarm();
        match arm(this.timer, *this.deadline, waker) {
            Arming::Armed | Arming::ArmedEarliest => {}
            // The woken task finds the timer ready, or panics because the runtime is gone.
            Arming::Due(waker) | Arming::Gone(waker) => wake_guarded(waker),
        }
    }

    /// Changes the deadline, for a caller that polls the timer before it waits again.
    pub(super) fn reset_before_poll(self: Pin<&mut Self>, deadline: Instant) {
        let this = self.project();
        *this.deadline = deadline.into_std();
        *this.is_given = true;
        this.resource.record_state(|| [ResourceState::Duration(millis_until(*this.deadline))]);
        drop(this.timer.disarm());
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let deadline = &*this.deadline;
        let poll = || {
            let unit = ready!(poll_proceed(cx));
            let location = this.timer.location();
            let is_fired = match this.timer.as_mut().poll(cx, id_or_zero) {
                TimerState::Fired => true,
                TimerState::Waiting => fire_if_reached(this.timer, *deadline),
                TimerState::Idle => {
                    this.timer.as_mut().begin_wait(id_or_zero());
                    match arm(this.timer.as_mut(), *deadline, Some(cx.waker().clone())) {
                        Arming::Armed | Arming::ArmedEarliest => {
                            *this.is_given && fire_if_reached(this.timer, *deadline)
                        }
                        Arming::Due(_) => true,
                        Arming::Gone(_) => ends_detached(location),
                    }
                }
                TimerState::Detached => ends_detached(location),
            };
            if is_fired {
                unit.made_progress();
                Poll::Ready(())
            } else {
                waiting::record(WaitKind::Timer, Some(location));
                Poll::Pending
            }
        };
        this.operation.poll_timer(has_budget_remaining, || ResourceState::Duration(millis_until(*deadline)), poll)
    }
}

debug_struct!([] Sleep as "Sleep", self => {
    deadline: self.deadline,
    is_elapsed: self.is_elapsed(),
    made_at: format_args!("{}", self.timer.location()),
});

// The constructors share it: inlined into each, it costs them registers that they save and restore.
#[inline(never)]
fn deadline_of(when: When, timers: &Timers) -> std::time::Instant {
    match when {
        When::At(deadline) => deadline.into_std(),
        When::In(duration) => {
            let now = timers.clock().now();
            if duration.as_secs() > LONGEST.as_secs() {
                return far_future(now);
            }
            now.checked_add(duration).unwrap_or_else(|| far_future(now))
        }
    }
}

fn millis_until(deadline: std::time::Instant) -> u64 {
    let left = Instant::from_std(deadline).saturating_duration_since(Instant::now());
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}

/// Fires an armed timer if its deadline has been reached (`clock-decides`).
#[inline]
fn fire_if_reached(timer: Pin<&mut Timer>, deadline: std::time::Instant) -> bool {
    let is_reached = if is_any_virtual() { has_reached(&timer, deadline) } else { has_surely_reached(deadline) };
    if is_reached {
        timer.fire();
    }
    is_reached
}

/// Reads the clock of the timer's runtime. Returns false if this thread is not in that runtime.
#[cold]
fn has_reached(timer: &Timer, deadline: std::time::Instant) -> bool {
    let ask = |parts: &Parts| {
        let timers = parts.timers().filter(|timers| timers.is_home_of(timer));
        timers.is_some_and(|timers| timers.clock().has_reached(deadline))
    };
    current::with_parts(ask).unwrap_or(false)
}

/// Arms an idle timer on the wheel of this worker, or on the shared wheel if this thread is no active worker.
#[inline]
fn arm(timer: Pin<&mut Timer>, deadline: std::time::Instant, waker: Option<Waker>) -> Arming {
    let home = timer.home();
    // `home-or-here`: a worker of another runtime counts as a thread outside.
    let here = |parts: &Parts| match parts.timers() {
        Some(timers) if timers.is_home_of(&timer) => timers.wheel_here(),
        Some(_) | None => home,
    };
    let wheel = current::with_parts(here).unwrap_or(home);
    let arming = timer.arm(wheel, deadline, waker);
    // A worker checks its own wheel before it parks. For the shared wheel a worker has to be unparked.
    if matches!(arming, Arming::ArmedEarliest) && std::ptr::eq(wheel, home) {
        home.unpark_owner();
    }
    arming
}

/// A destructor that waits while its thread unwinds gets the end instead of a second panic, which would abort the process.
#[cold]
fn ends_detached(location: &Location<'_>) -> bool {
    if thread::panicking() {
        return true;
    }
    panic!(
        "a timer was polled after its runtime was shut down. It was made at {location}. Finish or drop what waits for \
         it before the runtime goes, or keep the `Runtime` alive longer."
    )
}
