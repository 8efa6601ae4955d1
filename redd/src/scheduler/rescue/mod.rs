//! Rescue: stalled workers are detected, and the work that waits behind them runs elsewhere.
//!
//! [`StallDetector`] schedules the scans for stalled workers. `monitor` is the process's thread that scans when no worker does,
//! and that acts. `decide` chooses what to do. `report` has what the program is told. Called by the worker loop (`on_wake`,
//! `maybe_scan`, `on_park`), by `spares`, and by the runtime (start, stop).
//!
//! # When a scan runs
//! 1. A worker calls `maybe_scan` when it polls the driver and when it wakes. It scans if the last scan is a **step** ago (half the
//!    threshold, 5 ms).
//! 2. A scan compares every slot's `polls` with those of the last scan, and sets the monitor's alarm to a **threshold** from now
//!    (10 ms). So the alarm fires only if no worker scans for that long.
//! 3. A poll that the last scan saw too is a *suspect*. Then the alarm fires at once.
//! 4. From then on the monitor scans itself, a turn each step, until there is no suspect.
//!
//! - A poll is suspect 5 to 10 ms after it began if another worker is awake, and 10 to 15 ms after if none is.
//! - Under load the monitor never runs: scans cost the workers a lock and a `timerfd_settime` each 5 ms.
//! - When all workers are parked, the alarm fires once, and the monitor finds no poll. From then on the last worker to park stops
//!   the alarm, and the first to wake sets it (*eager*). So a runtime that has work every now and then has no
//!   wake-ups besides its own. This mode ends after many stops within a step each: there two system calls each time cost
//!   more than one wake-up in the end.
//! - A runtime without work has the alarm stopped, and no wake-ups at all.
//! - A current-thread runtime is monitored from its first scan at an age of 100 ms on.
//!
//! # Invariants
//! - `guarded-while-awake`: while an active worker is awake, the alarm is set. The thread that stops the alarm first sets `due` to
//!   0 and then counts the parked workers. A worker that wakes first leaves the park and then reads `due` (fence
//!   `guard-vs-wake`).
//! - `alarm-under-lock`: the alarm is set and stopped under the lock, and no longer after `has_ended`. So a runtime that
//!   has ended is left alone.
//! - `no-mark`: the future of `block_on` on a current-thread runtime has no mark, so that its polls cost nothing. Its worker
//!   is in it if for a step it is not parked, polls no task, and does not scan (`due`).
//! - `own-gap`: an alarm that arrives late says nothing about the workers. The monitor was kept from running (a stopped process,
//!   too few CPUs), and so may have been the workers. The delay does not count, and nothing is done before the next scan.
//!   The exception is a poll that has had so much CPU time that it computes.
//!
//! # Why not otherwise
//! A thread that samples every 10 ms doubles the context switches of a runtime that wakes every 10 ms. A thread that backs off
//! is late when it matters. A signal per worker would interrupt the system calls that it looks for.

mod decide;
#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../../models/scheduler_rescue.rs"]
mod models;
mod monitor;
mod monitor_thread;
pub(crate) mod poll_mark;
mod report;

use std::sync::OnceLock;
use std::time::Duration;

use super::pace::{RAPID_REARMS_MAX, SHORT_LIFE_MS};
use super::{Flavor, Shared, WorkerSlot};
use crate::primitives::Mutex;
use crate::primitives::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use crate::sys;
use crate::sys::alarm::Alarm;

pub use decide::CpuUse;
pub(crate) use monitor_thread::{start, stop};
pub use report::{LatePoll, Rescue, RescueAction, Stack};
pub(crate) use report::{LatePollHook, Mode};

/// `due` of a runtime that is not monitored.
const NEVER: u64 = u64::MAX;
/// `due` when the alarm is stopped.
const UNGUARDED: u64 = 0;
/// Schedules the scans of one runtime. All times are milliseconds since the runtime's start.
#[derive(Debug)]
pub(crate) struct StallDetector {
    /// The time from which on a worker scans.
    due: AtomicU64,
    disarms_eagerly: AtomicBool,
    guard: Mutex<Guard>,
    /// Empty if this runtime is not monitored, or not yet.
    alarm: OnceLock<Alarm>,
    step: Duration,
    threshold: Duration,
    pub(crate) counters: StallCounters,
    registration: OnceLock<monitor_thread::Registration>,
    /// `not-after-stop` of `monitor`.
    monitor: Mutex<monitor::Monitor>,
}

/// The counts for metrics.
#[derive(Debug, Default)]
pub(crate) struct StallCounters {
    pub(crate) late_polls: AtomicU64,
    pub(crate) rescues: AtomicU64,
    pub(crate) longest_poll_ms: AtomicU64,
    pub(crate) locations: Mutex<Vec<(&'static std::panic::Location<'static>, u64)>>,
}

#[derive(Debug)]
struct Guard {
    /// By slot.
    seen: Vec<Seen>,
    is_set: bool,
    /// When the alarm is to fire, and when it was set.
    expected: u64,
    set_at: u64,
    /// The monitor scans itself, each step.
    monitor_is_active: bool,
    rapid_rearms: u32,
    has_ended: bool,
}

/// What the last scan saw of a slot.
#[derive(Clone, Copy, Debug)]
struct Seen {
    polls: u64,
    since: u64,
}

impl Seen {
    fn is_polling(self) -> bool {
        poll_mark::is_polling(self.polls)
    }
}

impl StallDetector {
    pub(crate) fn new(rescue: &Rescue) -> Self {
        let is_on = rescue.mode != Mode::Off;
        Self {
            due: AtomicU64::new(if is_on { UNGUARDED } else { NEVER }),
            disarms_eagerly: AtomicBool::new(false),
            guard: Mutex::new(Guard {
                seen: Vec::new(),
                is_set: false,
                expected: 0,
                set_at: 0,
                monitor_is_active: false,
                rapid_rearms: 0,
                has_ended: false,
            }),
            alarm: OnceLock::new(),
            step: rescue.threshold / 2,
            threshold: rescue.threshold,
            counters: StallCounters::default(),
            registration: OnceLock::new(),
            monitor: Mutex::default(),
        }
    }

    fn step_ms(&self) -> u64 {
        self.step.as_millis() as u64
    }

    /// A worker is awake and about to run tasks.
    #[inline]
    pub(super) fn on_wake(&self, shared: &Shared) {
        // Fence `guard-vs-wake` (wake side; the other is in `StallDetector::disarm`): we see that the alarm is stopped, or the
        // thread that stops it sees that we are awake.
        fence(Ordering::SeqCst);
        if self.due.load(Ordering::Relaxed) == UNGUARDED {
            self.scan(shared, shared.ms_at(crate::time::clock::real_now()));
        }
    }

    /// Scans if it is time; called by a worker between two polls.
    #[inline]
    pub(super) fn maybe_scan(&self, shared: &Shared, now: u64) {
        if now >= self.due.load(Ordering::Relaxed) {
            self.scan(shared, now);
        }
    }

    /// A worker has announced that it parks.
    #[inline]
    pub(super) fn on_park(&self, shared: &Shared) {
        if self.disarms_eagerly.load(Ordering::Relaxed) {
            self.disarm_if_all_parked(shared);
        }
    }

    /// A worker comes out of `block_in_place`, in the middle of a poll.
    pub(super) fn on_unblock(&self, shared: &Shared) {
        // Under the lock: a thread that stops the alarm holds it while it counts the active workers (`guarded-while-awake`).
        if self.due.load(Ordering::Relaxed) != NEVER {
            let guard = &mut *self.guard.lock();
            if !guard.is_set {
                let now = shared.ms_at(crate::time::clock::real_now());
                self.due.store(now + self.step_ms(), Ordering::Relaxed);
                self.set(guard, now, self.threshold);
            }
        }
    }

    #[cold]
    fn scan(&self, shared: &Shared, now: u64) {
        let guard = &mut *self.guard.lock();
        if now < self.due.load(Ordering::Relaxed) || guard.has_ended {
            return; // Another thread was faster.
        }
        self.due.store(now + self.step_ms(), Ordering::Relaxed);
        if shared.config.flavor != Flavor::MultiThread {
            // Each `block_on` may be on another thread.
            shared.slot(0).thread.store(sys::thread::current_id(), Ordering::Relaxed);
            if self.alarm.get().is_none() && !self.start_late(shared, now) {
                return;
            }
        }
        let Compared { has_suspect, .. } = guard.compare(shared, now, self.step_ms());
        if guard.monitor_is_active {
            return;
        }
        if has_suspect {
            guard.monitor_is_active = true;
            self.set(guard, now, Duration::ZERO);
            return;
        }
        if now.saturating_sub(guard.set_at) >= self.step_ms() {
            guard.rapid_rearms = 0;
        } else {
            guard.rapid_rearms += 1;
            if guard.rapid_rearms >= RAPID_REARMS_MAX {
                guard.rapid_rearms = 0;
                self.disarms_eagerly.store(false, Ordering::Relaxed);
            }
        }
        self.set(guard, now, self.threshold);
    }

    /// Registers a current-thread runtime once it is old enough, so that a short one costs nothing. True if it is registered now.
    fn start_late(&self, shared: &Shared, now: u64) -> bool {
        if now < SHORT_LIFE_MS {
            self.due.store(SHORT_LIFE_MS, Ordering::Relaxed);
            return false;
        }
        // Without the monitor only reports are lost.
        let has_started = monitor_thread::register(shared).is_ok();
        if !has_started {
            self.due.store(NEVER, Ordering::Relaxed);
        }
        has_started
    }

    #[cold]
    fn disarm_if_all_parked(&self, shared: &Shared) {
        let guard = &mut *self.guard.lock();
        if guard.is_set && !guard.monitor_is_active {
            self.disarm(guard, shared);
        }
    }

    /// Stops the alarm if all workers are parked. Returns whether they are.
    fn disarm(&self, guard: &mut Guard, shared: &Shared) -> bool {
        if guard.has_ended {
            return true;
        }
        let due = self.due.swap(UNGUARDED, Ordering::Relaxed);
        // Fence `guard-vs-wake` (stop side; the other is in `StallDetector::on_wake`).
        fence(Ordering::SeqCst);
        let all_sleep = match shared.config.flavor {
            Flavor::MultiThread => {
                // With no active worker a thread may be asked for, so the alarm stays.
                let active = shared.workers.states.active();
                active > 0 && shared.idle.load().sleepers as usize == active
            }
            Flavor::CurrentThread | Flavor::Local => sleeps_with_root(shared),
        };
        if all_sleep {
            if let Some(alarm) = self.alarm.get() {
                alarm.set(None); // `alarm-under-lock`
            }
            guard.is_set = false;
        } else {
            self.due.store(due, Ordering::Relaxed);
        }
        all_sleep
    }

    /// `alarm-under-lock`: the caller holds it.
    fn set(&self, guard: &mut Guard, now: u64, delay: Duration) {
        if guard.has_ended {
            return;
        }
        if let Some(alarm) = self.alarm.get() {
            guard.is_set = true;
            guard.set_at = now;
            guard.expected = now + delay.as_millis() as u64;
            alarm.set(Some(delay));
        }
    }
}

/// The result of a scan.
#[derive(Clone, Copy, Debug)]
struct Compared {
    /// There is a poll that the last scan saw too.
    has_suspect: bool,
    /// `own-gap`
    is_late: bool,
}

/// Set in the number of a root's poll, and in no task's.
const OF_ROOT: u64 = 1 << 63;

/// The number of the poll that the slot's worker is in; an even number if it is in none.
fn polls(shared: &Shared, slot: &WorkerSlot) -> u64 {
    if slot.state.is_blocked() {
        return 0; // A worker in `block_in_place` has announced that it blocks.
    }
    let polls = slot.mark.polls();
    if shared.config.flavor == Flavor::MultiThread || poll_mark::is_polling(polls) || sleeps_with_root(shared) {
        return polls;
    }
    // `no-mark`: it is awake. It polls the root if nothing changes that changes when it does anything else.
    let due = shared.stall_detector.due.load(Ordering::Relaxed);
    let moves = polls.wrapping_add(slot.parks.load(Ordering::Relaxed)).wrapping_add(due);
    moves << 1 | 1 | OF_ROOT
}

/// Whether the worker of a current-thread runtime is parked, or no thread runs it.
fn sleeps_with_root(shared: &Shared) -> bool {
    shared.idle.load().sleepers > 0 || shared.core.lock().worker.is_some()
}

impl Guard {
    /// Compares all slots with the last scan. `step` is that of the stall detector.
    fn compare(&mut self, shared: &Shared, now: u64, step: u64) -> Compared {
        let late = if self.is_set { now.saturating_sub(self.expected) } else { 0 };
        let is_late = late > 2 * step;
        if is_late {
            // `own-gap`
            self.expected = now;
            self.seen.iter_mut().for_each(|seen| seen.since = (seen.since + late).min(now));
        }
        let mut has_suspect = false;
        for (index, slot) in shared.slots().enumerate() {
            let seen = Seen { polls: polls(shared, slot), since: now };
            let polls = seen.polls;
            match self.seen.get_mut(index) {
                Some(before) if before.polls == polls => has_suspect |= seen.is_polling(),
                Some(before) => *before = seen,
                None => self.seen.push(seen),
            }
        }
        Compared { has_suspect, is_late }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::runtime::Builder;

    #[test]
    fn the_alarm_stays_while_no_worker_is_active() {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).rescue(Rescue::new()).build().expect("nothing is refused");
        let shared = std::sync::Arc::clone(&runtime.handle().shared);
        let task = runtime.spawn(async move {
            // As in `block_in_place`, before a spare runs.
            let state = &shared.slot(0).state;
            assert_eq!(shared.workers.states.block(state), 0);
            let detector = &shared.stall_detector;
            let is_disarmed = detector.disarm(&mut detector.guard.lock(), &shared);
            shared.workers.states.unblock(state);
            is_disarmed
        });
        assert!(!runtime.block_on(task).expect("no panic"));
    }
}
