//! A clock that tests control: `pause`, `advance`, `resume`.
//!
//! Called by users' tests.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use super::clock::ClockError;
use crate::collections::wake_list::WakeList;
use crate::current::{self, Parts};

/// Pauses the clock of the current runtime.
///
/// - When no task can run, a paused clock jumps to the next timer: a `sleep` of an hour takes no time.
///   It does not jump while a blocking task runs.
/// - [`advance`] moves the clock explicitly.
/// - Only a `current_thread` runtime can be paused. `Builder::start_paused` pauses it from the start.
/// - Sockets and other processes are not affected: waiting for them takes real time.
///
/// # Panics
/// - Panics if the clock is already paused.
/// - Panics outside of a runtime, in a runtime built without `enable_time`, and in a multi-thread runtime.
///
/// # Examples
/// ```
/// use redd::time::{self, Duration, Instant};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// time::pause();
/// let start = Instant::now();
/// time::sleep(Duration::from_secs(3600)).await;
/// assert!(start.elapsed() >= Duration::from_secs(3600));
/// # });
/// ```
#[track_caller]
pub fn pause() {
    // A closure does not know the caller's line, so the panics are outside.
    let is_paused_now =
        with_parts("`time::pause`", |parts| parts.enabled.pause.then(|| parts.timers.clock().pause().is_ok()));
    let Some(is_paused_now) = is_paused_now else {
        panic!(
            "`time::pause` was called in a multi-thread runtime, whose clock cannot be stopped. Use a runtime built with \
             `Builder::new_current_thread()`, which is what `#[redd::test]` gives."
        );
    };
    assert!(
        is_paused_now,
        "`time::pause` was called while the clock of this runtime was paused already. Call it once, and not in a \
         runtime built with `start_paused(true)`; `time::resume` ends a pause."
    );
}

/// Resumes a paused clock, from the time that it shows.
///
/// # Panics
/// - If the clock is not paused.
/// - If called outside of a runtime, or in a runtime built without `enable_time`.
///
/// # Examples
/// ```
/// use redd::time::{self, Duration, Instant};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let start = Instant::now();
/// time::advance(Duration::from_secs(60)).await;
/// time::resume();
/// // Real time again, on top of the minute.
/// time::sleep(Duration::from_millis(1)).await;
/// assert!(start.elapsed() >= Duration::from_millis(60_001));
/// # });
/// ```
#[track_caller]
pub fn resume() {
    if with_parts("`time::resume`", |parts| parts.timers.clock().resume()).is_err() {
        panic!("`time::resume` was called while the clock of this runtime was running. Call `time::pause` first.");
    }
}

/// Moves a paused clock forward by `duration`, fires the timers that are due, and yields once to other tasks.
///
/// - The clock moves in one jump: a task that sleeps twice within `duration` starts its second sleep after the jump.
///   To stop at every timer on the way, `sleep` for `duration` instead.
/// - It does not wait until the woken tasks have finished their work.
///
/// # Panics
/// - If the clock is not paused, or would leave the range of [`Instant`](super::Instant).
/// - If called outside of a runtime, or in a runtime built without `enable_time`.
///
/// # Examples
/// ```
/// use redd::time::{self, Duration, Instant};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// time::pause();
/// let start = Instant::now();
/// time::advance(Duration::from_secs(5)).await;
/// assert_eq!(start.elapsed(), Duration::from_secs(5));
/// # });
/// ```
pub async fn advance(duration: Duration) {
    jump(duration);
    let mut has_yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[track_caller]
fn jump(duration: Duration) {
    with_parts("`time::advance`", |Parts { timers, .. }| {
        match timers.clock().advance(duration) {
            Ok(()) => {}
            Err(ClockError::OutOfRange) => panic!(
                "`time::advance` was called with {duration:?}, which moves the clock out of the range of `Instant`. \
                 Move it by less."
            ),
            Err(ClockError::Running | ClockError::Paused) => panic!(
                "`time::advance` was called while the clock of this runtime was running. Call `time::pause` first, or \
                 build the runtime with `start_paused(true)`."
            ),
        }
        // Fired here, and not when the worker next checks its timers: the woken tasks are queued before this task yields.
        let now = timers.now_tick();
        let mut wakers = WakeList::new();
        for slot in 0..=timers.shared_slot() {
            timers.expire(slot, now, &mut wakers);
        }
        wakers.wake_all();
    });
}

/// Runs `f` with the parts of the current runtime, which has timers enabled.
#[track_caller]
fn with_parts<R>(what: &str, f: impl FnOnce(&Parts) -> R) -> R {
    let f = |parts: &Parts| parts.enabled.time.then(|| f(parts));
    match current::with_parts(f) {
        Some(Some(result)) => result,
        Some(None) => current::disabled(what, "the timer", "enable_time"),
        None => current::missing(what),
    }
}
