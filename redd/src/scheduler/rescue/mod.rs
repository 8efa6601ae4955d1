//! Rescue: workers that do not come out of a poll are noticed, and what waits behind them goes on.
//!
//! [`StallDetector`] says who looks and when; `monitor` is the process's thread that looks when nobody else does, and acts; `decide` says
//! what to do; `report` is what the program is told. Called by the worker loop (`wake_up`, `maybe_scan`, `on_park`),
//! by `spares`, and by the runtime (start, stop).
//!
//! # Who looks
//! The workers watch each other, and a monitor thread watches that somebody does. A worker comes by when it looks for
//! I/O and when it wakes; if the last look is a **step** ago (half the threshold, 5 ms), it compares every slot's `polls`
//! with what the last look saw, and puts the monitor's alarm off to a **threshold** from now (10 ms). So the alarm goes
//! off only if no worker came by for that long, or at once if a look finds a suspect: a poll that was there at the last
//! look too. Then the monitor has its own rhythm, a turn each step, until no worker is suspect any more.
//!
//! - A poll is suspect 5 to 10 ms after it began if another worker is awake, and 10 to 15 ms after if none is.
//! - Under load the monitor never runs: looking costs the workers a lock and a `timerfd_settime` each 5 ms.
//! - When all workers sleep, the alarm goes off once, and the monitor finds nobody. From then on the last worker to fall
//!   asleep stops the alarm and the first to wake sets it (*eager*), so that a runtime that has something to do every now and
//!   then has no wake-ups beside its own. It ends when that happens many times within a step each, where two system
//!   calls each time would cost more than one wake-up in the end.
//! - A runtime with nothing to do has the alarm stopped, and no wake-ups at all.
//! - A current-thread runtime is watched from its first look at an age of 100 ms on.
//!
//! # Invariants
//! - `guarded-while-awake`: while a worker that serves is awake, the alarm is set. Whoever stops it says so first (`due`
//!   becomes 0) and looks for sleepers after; who wakes is no sleeper first and looks at `due` after (fence
//!   `guard-vs-wake`).
//! - `alarm-under-lock`: the alarm is set and stopped under the lock, and not any more after `has_ended`, so that a
//!   runtime that ends is left alone.
//! - `no-mark`: the future of `block_on` on a current-thread runtime has no mark, so that its polls cost nothing. Its worker
//!   is in it if it neither sleeps, nor polls a task, nor has looked since (`due`), for a step.
//! - `own-gap`: an alarm that is heard late says nothing about the workers: the monitor was kept from running (a stopped
//!   process, too few CPUs), and so were they, perhaps. The time that it is late does not count, and nothing is done
//!   before the next look, unless a poll has had so much CPU time that it computes, whoever waited for whom.
//!
//! # Why not otherwise
//! A thread that samples every 10 ms costs a runtime that wakes every 10 ms twice its context switches. A thread that
//! backs off is late when it counts. A signal per worker would end the sleeps of the system calls that it looks for.

mod decide;
#[cfg(all(test, any(loom, shuttle)))]
mod models;
mod monitor;
pub(crate) mod poll_mark;
mod report;

use std::sync::OnceLock;
use std::time::Duration;

use super::{Flavor, Shared, WorkerSlot};
use crate::primitives::Mutex;
use crate::primitives::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use crate::sys;
use crate::sys::alarm::Alarm;

pub use decide::CpuUse;
pub(crate) use monitor::{start, stop};
pub use report::{LatePoll, Rescue, RescueAction, Stack};
pub(crate) use report::{LatePollHook, Mode};

/// `due` of a runtime that does not watch.
const NEVER: u64 = u64::MAX;
/// `due` when the alarm is stopped.
const UNGUARDED: u64 = 0;
/// How old a current-thread runtime is before it is watched; picked by feel.
const SHORT_LIFE_MS: u64 = 100;
/// So many times in a row the alarm may be stopped and set again within a step before that ends.
const RAPID_REARMS_MAX: u32 = 16;

/// See the module page. All times are milliseconds since the runtime's start.
#[derive(Debug)]
pub(crate) struct StallDetector {
    /// From when on a worker that comes by looks.
    due: AtomicU64,
    disarms_eagerly: AtomicBool,
    guard: Mutex<Guard>,
    /// Empty: this runtime does not watch, or not yet.
    alarm: OnceLock<Alarm>,
    step: Duration,
    threshold: Duration,
    pub(crate) counters: StallCounters,
    registration: OnceLock<monitor::Registration>,
    /// `not-after-stop` of `monitor`.
    monitor: Mutex<monitor::Monitor>,
}

/// What metrics show.
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
    /// When the alarm is to go off, and when it was set.
    expected: u64,
    set_at: u64,
    /// The monitor has a rhythm of its own.
    monitor_is_active: bool,
    rapid_rearms: u32,
    has_ended: bool,
}

/// What the last look saw of a slot.
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
        // Fence `guard-vs-wake` (wake side; the other is in `StallDetector::disarm`): we see that the alarm is stopped, or who
        // stops it sees that we are awake.
        fence(Ordering::SeqCst);
        if self.due.load(Ordering::Relaxed) == UNGUARDED {
            self.scan(shared, shared.ms_at(crate::time::clock::real_now()));
        }
    }

    /// A worker has a moment.
    #[inline]
    pub(super) fn maybe_scan(&self, shared: &Shared, now: u64) {
        if now >= self.due.load(Ordering::Relaxed) {
            self.scan(shared, now);
        }
    }

    /// A worker has announced that it sleeps.
    #[inline]
    pub(super) fn on_park(&self, shared: &Shared) {
        if self.disarms_eagerly.load(Ordering::Relaxed) {
            self.disarm_if_all_parked(shared);
        }
    }

    /// A worker comes out of `block_in_place`, in the middle of a poll.
    pub(super) fn on_unblock(&self, shared: &Shared) {
        // Under the lock, which whoever stops the alarm holds while it counts those who serve (`guarded-while-awake`).
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
            return; // Someone was faster.
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

    /// A current-thread runtime is watched only if it lives a while, so that a short one costs nothing. True: it is now.
    fn start_late(&self, shared: &Shared, now: u64) -> bool {
        if now < SHORT_LIFE_MS {
            self.due.store(SHORT_LIFE_MS, Ordering::Relaxed);
            return false;
        }
        // Without one nothing is lost but reports.
        let has_started = monitor::register(shared).is_ok();
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

    /// Stops the alarm if nobody needs it; true if so.
    fn disarm(&self, guard: &mut Guard, shared: &Shared) -> bool {
        if guard.has_ended {
            return true;
        }
        let due = self.due.swap(UNGUARDED, Ordering::Relaxed);
        // Fence `guard-vs-wake` (stop side; the other is in `StallDetector::on_wake`).
        fence(Ordering::SeqCst);
        let all_sleep = match shared.config.flavor {
            Flavor::MultiThread => shared.idle.load().sleepers as usize == shared.workers.states.active(),
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

/// What a look has found.
#[derive(Clone, Copy, Debug)]
struct Compared {
    /// A poll is there that the last look saw too.
    has_suspect: bool,
    /// `own-gap`
    is_late: bool,
}

/// Set in the number of a root's poll, which no task's has.
const OF_ROOT: u64 = 1 << 63;

/// The number of the poll that the slot's worker is in; even if it is in none.
fn polls(shared: &Shared, slot: &WorkerSlot) -> u64 {
    if slot.state.is_blocked() {
        return 0; // A worker in `block_in_place` says itself what it does.
    }
    let polls = slot.mark.polls();
    if shared.config.flavor == Flavor::MultiThread || poll_mark::is_polling(polls) || sleeps_with_root(shared) {
        return polls;
    }
    // `no-mark`: it is awake; if all that changes when it does anything else stays as it is, it polls the root.
    let due = shared.stall_detector.due.load(Ordering::Relaxed);
    let moves = polls.wrapping_add(slot.parks.load(Ordering::Relaxed)).wrapping_add(due);
    moves << 1 | 1 | OF_ROOT
}

/// Whether the worker of a current-thread runtime sleeps, or nobody runs it.
fn sleeps_with_root(shared: &Shared) -> bool {
    shared.idle.load().sleepers > 0 || shared.core.lock().worker.is_some()
}

impl Guard {
    /// Looks at all slots. `step` is that of the watch.
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
