//! An alarm implemented by a thread: it is [`super::alarm`] where the system has no `timerfd`, such as under Miri.
//!
//! Called by `alarm`. Its own tests run everywhere.
//!
//! # Invariants
//! - `set-forgets`: a deadline from before the last `set` never signals the descriptor after that `set` returned.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use super::epoll::EventFd;
use super::faults::{self, Call};
use super::{futex_wait, futex_wake_one};
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::AtomicU32;
use crate::primitives::thread::{self, JoinHandle};
use crate::primitives::{Arc, Mutex, clock};

/// As [`super::alarm::Alarm`].
#[derive(Debug)]
pub(crate) struct ThreadAlarm {
    plan: Arc<Plan>,
    /// Empty only while it is dropped.
    keeper: Option<JoinHandle<()>>,
}

/// The state that the alarm and its thread share.
#[derive(Debug)]
struct Plan {
    next: Mutex<Next>,
    /// Counts the changes of `next`. The thread sleeps on this word.
    changes: AtomicU32,
    signal: EventFd,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    Nothing,
    GoOffAt(Instant),
    Leave,
}

impl ThreadAlarm {
    pub(crate) fn new() -> io::Result<Self> {
        faults::check(Call::TimerFd)?;
        let plan = Plan { next: Mutex::new(Next::Nothing), changes: AtomicU32::new(0), signal: EventFd::new()? };
        let plan = Arc::new(plan);
        let kept = Arc::clone(&plan);
        let keeper = thread::spawn_named("redd-alarm".to_owned(), None, move || kept.keep())?;
        Ok(Self { plan, keeper: Some(keeper) })
    }

    /// Sets the alarm to go off after `delay`, or never. This replaces the previous setting.
    pub(crate) fn set(&self, delay: Option<Duration>) {
        // A deadline beyond the clock's range is never reached.
        let at = delay.and_then(|delay| clock::now().checked_add(delay));
        self.plan.change(at.map_or(Next::Nothing, Next::GoOffAt));
    }
}

impl Drop for ThreadAlarm {
    fn drop(&mut self) {
        self.plan.change(Next::Leave);
        if let Some(keeper) = self.keeper.take() {
            // The thread runs no user code, and this module does not panic.
            let _ = keeper.join();
        }
    }
}

/// For an epoll, edge-triggered: it need not be read.
impl AsRawFd for ThreadAlarm {
    fn as_raw_fd(&self) -> RawFd {
        self.plan.signal.as_raw_fd()
    }
}

impl Plan {
    fn change(&self, next: Next) {
        let mut current = self.next.lock();
        *current = next;
        // `set-forgets`: under the lock, which the thread holds while it signals.
        self.signal.drain();
        drop(current);
        // Relaxed: the lock publishes `next`; a sleeper compares the word only with the value it read before.
        self.changes.fetch_add(1, Ordering::Relaxed);
        futex_wake_one(&self.changes);
    }

    /// The loop of the thread.
    fn keep(&self) {
        loop {
            // Relaxed, and before the lock: a later change is then either seen under the lock, or ends the sleep at once.
            let seen = self.changes.load(Ordering::Relaxed);
            let mut next = self.next.lock();
            let timeout = match *next {
                Next::Leave => return,
                Next::Nothing => None,
                Next::GoOffAt(at) => match at.checked_duration_since(clock::now()) {
                    Some(left) if !left.is_zero() => Some(left),
                    _ => {
                        *next = Next::Nothing;
                        self.signal.signal();
                        None
                    }
                },
            };
            drop(next);
            futex_wait(&self.changes, seen, timeout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::alarm::tests::goes_off_as_it_is_set;

    #[test]
    fn an_alarm_kept_by_a_thread_is_one_of_the_system_to_its_callers() {
        let alarm = ThreadAlarm::new().expect("a thread and a descriptor");
        goes_off_as_it_is_set(alarm.as_raw_fd(), |delay| alarm.set(delay));
        alarm.set(Some(Duration::MAX));
        drop(alarm);
        faults::plan(Call::ThreadStart, 0, libc::EAGAIN);
        assert_eq!(ThreadAlarm::new().expect_err("planned").raw_os_error(), Some(libc::EAGAIN));
    }
}
