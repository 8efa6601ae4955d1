//! What the monitor has recorded of each long poll.
//!
//! Called by `monitor`.

use std::time::Duration;

use super::decide::{Reading, WholePoll, computes};
use crate::observe::late_poll::{Behind, CpuUse, LatePoll, RescueAction};
use crate::primitives::atomic::Ordering;
use crate::primitives::lock_wait::waits_for_lock;
use crate::scheduler::slot::WorkerSlot;
use crate::sys;
use crate::sys::thread::RunState;

/// What the monitor thread has recorded of one runtime.
#[derive(Debug, Default)]
pub(super) struct Monitor {
    /// By slot.
    pub(super) tracks: Vec<Track>,
}

/// What the monitor has recorded of one poll.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) polls: u64,
    pub(super) first: Option<Reading>,
    pub(super) reading: Option<Reading>,
    pub(super) cpu: Option<CpuUse>,
    /// Since when each scan saw its thread wait for a CPU. The system counts such a wait only when it has ended.
    pub(super) waits_since: Option<u64>,
    /// Time that is not the task's, as far as scans saw it: its thread waited for locks of redd, or was in a panic.
    pub(super) excused: Duration,
    pub(super) has_stand_in: bool,
    pub(super) was_rescued: bool,
    pub(super) action: Option<RescueAction>,
    /// What waited when that action was taken.
    pub(super) behind: Option<Behind>,
    /// How long the poll had taken at its last report.
    pub(super) reported_at: Option<Duration>,
    pub(super) has_reminded: bool,
    /// A report that is held until the end of the poll, and the number of the worker's polls that had panicked before it.
    pub(super) held: Option<LatePoll>,
    pub(super) panics: u64,
}

impl Track {
    /// Reads the state of the thread, and compares it with the reading before.
    pub(super) fn read(&mut self, slot: &WorkerSlot, now: u64) {
        let thread = slot.thread.load(Ordering::Relaxed);
        let reading = Reading {
            at_ms: now,
            cpu: sys::thread::cpu_time(thread),
            delay: sys::thread::run_delay(thread),
            state: sys::thread::run_state(thread),
        };
        self.cpu = self.reading.as_ref().map(|before| reading.since(before));
        self.first.get_or_insert(reading);
        if let Some(before) = self.reading {
            if waits_for_lock(thread) {
                self.excused += Duration::from_millis(now.saturating_sub(before.at_ms));
            }
            // The thread is runnable, has not run, and the system has counted no wait that has ended. So it waits for a CPU.
            let waits_for_cpu =
                reading.state == Some(RunState::Runnable) && (reading.cpu, reading.delay) == (before.cpu, before.delay);
            self.waits_since = if waits_for_cpu { self.waits_since.or(Some(before.at_ms)) } else { None };
        }
        self.reading = Some(reading);
    }

    /// The poll as a whole, as far as scans saw it.
    pub(super) fn whole(&self, elapsed: Duration) -> WholePoll {
        let (Some(first), Some(last)) = (&self.first, &self.reading) else {
            return WholePoll {
                elapsed,
                computed: None,
                delay: Duration::ZERO,
                excused: self.excused,
                is_stopped: false,
            };
        };
        let counted = last.delay.zip(first.delay).map_or(Duration::ZERO, |(now, then)| now.saturating_sub(then));
        let not_ended = self.waits_since.map_or(0, |since| last.at_ms.saturating_sub(since));
        WholePoll {
            elapsed,
            computed: last.cpu.zip(first.cpu).map(|(now, then)| now.saturating_sub(then)),
            delay: counted + Duration::from_millis(not_ended),
            excused: self.excused,
            is_stopped: last.state == Some(RunState::Stopped),
        }
    }

    /// The thread is in a panic. What it has done so far may be the output of that panic, so none of it counts.
    pub(super) fn excuse(&mut self, late: &LatePoll) {
        (self.first, self.waits_since, self.held) = (self.reading, None, None);
        self.excused = late.elapsed;
        if !late.is_reminder {
            self.reported_at = None;
        }
    }

    /// Whether the readings show that the poll is a computation.
    pub(super) fn computes(&self, threshold: Duration) -> bool {
        let (Some(first), Some(now)) = (&self.first, &self.reading) else { return false };
        let spent = now.cpu.unwrap_or_default().saturating_sub(first.cpu.unwrap_or_default());
        computes(spent, Duration::from_millis(now.at_ms - first.at_ms), threshold)
    }

    /// Records the strongest action that was taken. Returns whether this is the first rescue of the poll.
    #[must_use]
    pub(super) fn record_action(&mut self, action: RescueAction, behind: Behind) -> bool {
        let strength = |action: RescueAction| match action {
            RescueAction::NothingWaits | RescueAction::ReportOnly => 0,
            RescueAction::LeftAlone => 1,
            RescueAction::WokeWorker => 2,
            RescueAction::BoundHit | RescueAction::ThreadRefused => 3,
            RescueAction::StartedSpare => 4,
        };
        if self.action.is_none_or(|before| strength(action) > strength(before)) {
            self.action = Some(action);
            self.behind = (action != RescueAction::NothingWaits && action != RescueAction::LeftAlone).then_some(behind);
        }
        let helped = matches!(action, RescueAction::WokeWorker | RescueAction::StartedSpare);
        helped && !std::mem::replace(&mut self.was_rescued, true)
    }
}
