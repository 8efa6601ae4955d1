//! The scans for stalled workers: when they run, and what they compare. The rules are on the page of the module `rescue`.
//!
//! Called by the worker loop (`on_wake`, `maybe_scan`, `on_park`), by `stand_in`, and by `monitor`.

use std::io;
use std::time::Duration;

use super::detector::{DISARMED, NEVER, ScanState, Seen, StallDetector};
use super::options::Mode;
use super::{monitor_thread, poll_mark};
use crate::attach;
use crate::observe::{coarse, looks};
use crate::primitives::atomic::{Ordering, fence};
use crate::scheduler::choices::Flavor;
use crate::scheduler::pace::{RAPID_REARMS_MAX, SHORT_LIFE_MS};
use crate::scheduler::shared::Shared;
use crate::scheduler::slot::WorkerSlot;
use crate::sys;

impl StallDetector {
    /// A worker is awake and about to run tasks.
    #[inline]
    pub(in crate::scheduler) fn on_wake(&self, shared: &Shared) {
        // Fence `disarm-vs-wake` (wake side; the other is in `StallDetector::disarm`): we see that the alarm is disarmed, or the
        // thread that disarms it sees that we are awake.
        fence(Ordering::SeqCst);
        if self.due.load(Ordering::Relaxed) == DISARMED {
            self.scan(shared, shared.ms_at(crate::time::clock::real_now()));
        }
    }

    /// Scans if the last scan was at least a step ago. Called by a worker between two polls.
    #[inline]
    pub(in crate::scheduler) fn maybe_scan(&self, shared: &Shared, now: u64) {
        if now >= self.due.load(Ordering::Relaxed) {
            self.scan(shared, now);
        }
    }

    /// A worker has announced that it parks.
    #[inline]
    pub(in crate::scheduler) fn on_park(&self, shared: &Shared) {
        if self.disarms_eagerly.load(Ordering::Relaxed) {
            self.disarm_if_all_parked(shared);
        }
    }

    /// A worker returns from `block_in_place`, in the middle of a poll.
    pub(in crate::scheduler) fn on_unblock(&self, shared: &Shared) {
        // Under the lock: a thread that disarms the alarm holds it while it counts the active workers (`armed-while-awake`).
        if self.due.load(Ordering::Relaxed) != NEVER {
            let state = &mut *self.scan_state.lock();
            if !state.is_armed {
                let now = shared.ms_at(crate::time::clock::real_now());
                self.due.store(now + self.step_ms(), Ordering::Relaxed);
                self.arm(state, now, self.threshold);
            }
        }
    }

    #[cold]
    fn scan(&self, shared: &Shared, now: u64) {
        let state = &mut *self.scan_state.lock();
        if now < self.due.load(Ordering::Relaxed) || state.has_ended {
            return; // Another thread has scanned.
        }
        self.due.store(now + self.step_ms(), Ordering::Relaxed);
        if shared.config.flavor != Flavor::MultiThread {
            // Each `block_on` may be on another thread.
            shared.slot(0).thread.store(sys::thread::current_id(), Ordering::Relaxed);
            if self.alarm.get().is_none() && !self.start_late(shared, now) {
                return;
            }
        }
        let ScanResult { has_suspect, .. } = state.compare(shared, now, self.step_ms());
        if state.monitor_is_active {
            return;
        }
        if has_suspect {
            state.monitor_is_active = true;
            self.arm(state, now, Duration::ZERO);
            return;
        }
        if now.saturating_sub(state.armed_at) >= self.step_ms() {
            state.rapid_rearms = 0;
        } else {
            state.rapid_rearms += 1;
            if state.rapid_rearms >= RAPID_REARMS_MAX {
                state.rapid_rearms = 0;
                self.disarms_eagerly.store(false, Ordering::Relaxed);
            }
        }
        self.arm(state, now, self.threshold);
    }

    /// Registers a current-thread runtime once it is old enough, so that a short one costs nothing. True if it is registered now.
    fn start_late(&self, shared: &Shared, now: u64) -> bool {
        if now < SHORT_LIFE_MS {
            self.due.store(SHORT_LIFE_MS, Ordering::Relaxed);
            return false;
        }
        if shared.config.observe {
            attach::listen();
        }
        // Without the monitor only reports are lost.
        let has_started = shared.config.rescue.mode != Mode::Off && self.register(shared).is_ok();
        if !has_started {
            self.due.store(NEVER, Ordering::Relaxed);
        }
        looks::on_age();
        has_started
    }

    /// How long a current-thread runtime may sleep now: a young one not past the age at which it can be asked from outside. So a program
    /// that waits for something that never happens wakes once.
    #[inline]
    pub(in crate::scheduler) fn bound_sleep(&self, shared: &Shared, timeout: Option<Duration>) -> Option<Duration> {
        if self.due.load(Ordering::Relaxed) == SHORT_LIFE_MS {
            self.bound_first_sleep(shared, timeout)
        } else {
            timeout
        }
    }

    #[cold]
    fn bound_first_sleep(&self, shared: &Shared, timeout: Option<Duration>) -> Option<Duration> {
        // `coarse-is-close`: if this turn of the loop was long, the sleep may be longer by as much.
        let left = Duration::from_millis(SHORT_LIFE_MS).saturating_sub(coarse::age(shared.started_coarse_ms));
        let is_ready = !shared.config.observe || attach::is_listening();
        if timeout.is_some_and(|timeout| timeout <= left) || (is_ready && !looks::is_postponed()) {
            return timeout;
        }
        Some(left)
    }

    /// Registers the runtime with the monitor thread.
    pub(super) fn register(&self, shared: &Shared) -> io::Result<()> {
        let (registration, alarm) = monitor_thread::register(shared.weak())?;
        self.alarm.get_or_init(|| alarm);
        self.registration.get_or_init(|| registration);
        Ok(())
    }

    #[cold]
    fn disarm_if_all_parked(&self, shared: &Shared) {
        let state = &mut *self.scan_state.lock();
        if state.is_armed && !state.monitor_is_active {
            self.disarm(state, shared);
        }
    }

    /// Disarms the alarm if all workers are parked. Returns whether they are.
    pub(super) fn disarm(&self, state: &mut ScanState, shared: &Shared) -> bool {
        if state.has_ended {
            return true;
        }
        let due = self.due.swap(DISARMED, Ordering::Relaxed);
        // Fence `disarm-vs-wake` (disarm side; the other is in `StallDetector::on_wake`).
        fence(Ordering::SeqCst);
        let all_sleep = match shared.config.flavor {
            Flavor::MultiThread => {
                // While no worker is active, the monitor may have to start a thread, so the alarm stays armed.
                let active = shared.workers.states.active();
                active > 0 && shared.idle.load().sleepers as usize == active
            }
            Flavor::CurrentThread | Flavor::Local => sleeps_with_root(shared),
        };
        if all_sleep {
            if let Some(alarm) = self.alarm.get() {
                alarm.set(None); // `alarm-under-lock`
            }
            state.is_armed = false;
        } else {
            self.due.store(due, Ordering::Relaxed);
        }
        all_sleep
    }

    /// Arms the alarm to fire after `delay`. `alarm-under-lock`: `state` comes from the lock.
    pub(super) fn arm(&self, state: &mut ScanState, now: u64, delay: Duration) {
        if state.has_ended {
            return;
        }
        if let Some(alarm) = self.alarm.get() {
            state.is_armed = true;
            state.armed_at = now;
            state.expected = now + delay.as_millis() as u64;
            alarm.set(Some(delay));
        }
    }
}

/// The result of a scan.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScanResult {
    /// The last scan saw one of the polls, too.
    pub(super) has_suspect: bool,
    /// `own-gap`
    pub(super) is_late: bool,
}

/// Set in the number of a root's poll, and in no task's.
pub(super) const OF_ROOT: u64 = 1 << 63;

/// The number of the poll that the slot's worker is in; an even number if it is in none.
pub(super) fn polls(shared: &Shared, slot: &WorkerSlot) -> u64 {
    if slot.state.is_blocked() {
        return 0; // A worker in `block_in_place` has announced that it blocks.
    }
    let polls = slot.mark.polls();
    if shared.config.flavor == Flavor::MultiThread || poll_mark::is_polling(polls) || sleeps_with_root(shared) {
        return polls;
    }
    // `no-mark`: the worker is awake. Each of these numbers changes when it does anything other than poll the root.
    let due = shared.stall_detector.due.load(Ordering::Relaxed);
    let moves = polls.wrapping_add(slot.parks.load(Ordering::Relaxed)).wrapping_add(due);
    moves << 1 | 1 | OF_ROOT
}

/// Whether the worker of a current-thread runtime is parked, or no thread runs it.
pub(crate) fn sleeps_with_root(shared: &Shared) -> bool {
    shared.idle.load().sleepers > 0 || shared.core.lock().worker.is_some()
}

impl ScanState {
    /// Compares all slots with the last scan. `step` is that of the stall detector.
    pub(super) fn compare(&mut self, shared: &Shared, now: u64, step: u64) -> ScanResult {
        let late = if self.is_armed { now.saturating_sub(self.expected) } else { 0 };
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
        ScanResult { has_suspect, is_late }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use crate::runtime::{Builder, Rescue};

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
            let is_disarmed = detector.disarm(&mut detector.scan_state.lock(), &shared);
            shared.workers.states.unblock(state);
            is_disarmed
        });
        assert!(!runtime.block_on(task).expect("no panic"));
    }
}
