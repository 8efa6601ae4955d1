//! The decision what to do about stalled workers: values in, values out.
//!
//! Called by `monitor` each turn.

use std::time::Duration;

use crate::observe::late_poll::CpuUse;
use crate::scheduler::pace::{
    COMPUTING_AT_LEAST, MUCH_LATER, PATIENCE_WITH_COMPUTING, PATIENCE_WITH_UNKNOWN, PATIENCE_WITH_WAITING,
};
use crate::sys::thread::RunState;

/// The state of a thread, as the monitor read it at one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) at_ms: u64,
    pub(super) cpu: Option<Duration>,
    pub(super) delay: Option<Duration>,
    pub(super) state: Option<RunState>,
}

impl Reading {
    /// What the thread did between two readings.
    pub(super) fn since(&self, before: &Self) -> CpuUse {
        let (Some(cpu), Some(cpu_before), Some(state)) = (self.cpu, before.cpu, self.state) else {
            return CpuUse::Unknown;
        };
        let passed = Duration::from_millis(self.at_ms.saturating_sub(before.at_ms));
        if passed.is_zero() {
            return CpuUse::Unknown;
        }
        let cpu = cpu.saturating_sub(cpu_before);
        // A wait for a CPU that has not ended is not in `delay` yet; `state` shows such a wait.
        let delay = self.delay.zip(before.delay).map_or(Duration::ZERO, |(now, before)| now.saturating_sub(before));
        match state {
            RunState::Stopped => CpuUse::Stopped,
            RunState::Runnable if cpu >= passed / 2 => CpuUse::On,
            RunState::Runnable => CpuUse::Waiting,
            RunState::Sleeping if delay >= passed / 2 => CpuUse::Waiting,
            RunState::Sleeping if cpu >= passed / 2 => CpuUse::On,
            RunState::Sleeping => CpuUse::Off,
        }
    }
}

/// A poll from its start to now.
#[derive(Clone, Copy, Debug)]
pub(super) struct WholePoll {
    pub(super) elapsed: Duration,
    /// CPU time that its thread used; `None` if the system does not report it.
    pub(super) computed: Option<Duration>,
    /// Time that its thread waited for a CPU.
    pub(super) delay: Duration,
    /// Time that is not the task's, as far as scans saw it: its thread waited for locks of redd, or was in a panic.
    pub(super) excused: Duration,
    pub(super) is_stopped: bool,
}

/// What a late poll is reported as, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lateness {
    /// Not yet late, or not because of the task.
    NotLate,
    /// Its thread may print the backtrace of a panic. A report now could wrongly attribute that time to the task.
    MayPanic,
    Late,
}

impl WholePoll {
    /// The time that the task itself has taken: it computed, or waited for something outside of redd.
    fn own(&self) -> Duration {
        // CPU time is always the task's own, even if the reported waits for a CPU are inconsistent with it.
        let own = self.elapsed.saturating_sub(self.delay).saturating_sub(self.excused);
        own.max(self.computed.unwrap_or_default())
    }

    /// A poll is late if the task itself took `report_after`. `can_panic`: what the thread does now may be the output of a panic.
    pub(super) fn lateness(&self, report_after: Duration, can_panic: bool) -> Lateness {
        if self.elapsed.saturating_sub(self.excused) >= report_after.saturating_mul(MUCH_LATER) {
            Lateness::Late
        } else if self.own() < report_after {
            Lateness::NotLate
        } else if can_panic {
            Lateness::MayPanic
        } else {
            Lateness::Late
        }
    }

    /// What the task spent most of its own time on. If that time alone is no reason for a report, the poll waited for a CPU.
    pub(super) fn cpu_use(&self, report_after: Duration) -> CpuUse {
        match self.computed {
            _ if self.is_stopped => CpuUse::Stopped,
            None => CpuUse::Unknown,
            Some(_) if self.own() < report_after => CpuUse::Waiting,
            Some(computed) if computed >= self.own() / 2 => CpuUse::On,
            Some(_) => CpuUse::Off,
        }
    }
}

/// A worker that the last scan saw in the same poll.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspect {
    pub(super) stuck_for: Duration,
    /// `None` if it was read only once.
    pub(super) cpu: Option<CpuUse>,
    /// The readings show that it computes; see [`computes`].
    pub(super) computes: bool,
    /// A spare runs for it already.
    pub(super) has_stand_in: bool,
}

/// The runtime at this moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// Work waits that is not in the queue of an active worker.
    pub(super) has_work: bool,
    /// Descriptors are registered. Without an active worker their events wait.
    pub(super) has_io: bool,
    pub(super) sleepers: usize,
    pub(super) active: usize,
    pub(super) workers: usize,
}

/// The action to take now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing waits.
    NothingWaits,
    /// Work waits, and the full number of workers is active.
    AtFullStrength,
    /// A worker is parked: wake it.
    Wake,
    /// Start a spare for the suspect with this index; with `None`, for a worker that is in `block_in_place`.
    Start(Option<usize>),
    /// A spare is not justified yet, or would only compete for a CPU.
    NotYet,
}

/// Whether a poll that has used the CPU time `spent` since it was first seen, `watched_for` ago, is a computation for which other
/// tasks need not wait. A poll that could not run has not used that much, so the result is valid at any time (`own-gap`).
pub(super) fn computes(spent: Duration, watched_for: Duration, threshold: Duration) -> bool {
    let enough =
        if watched_for >= threshold * PATIENCE_WITH_COMPUTING { COMPUTING_AT_LEAST } else { PATIENCE_WITH_COMPUTING };
    spent >= threshold * enough
}

impl Suspect {
    fn may_be_replaced(&self, threshold: Duration) -> bool {
        match self.cpu {
            Some(CpuUse::Stopped) => false,
            Some(CpuUse::Off) => true,
            _ if self.computes => true,
            Some(CpuUse::Waiting) => self.stuck_for >= threshold * PATIENCE_WITH_WAITING,
            Some(CpuUse::Unknown) => self.stuck_for >= threshold * PATIENCE_WITH_UNKNOWN,
            Some(CpuUse::On) | None => false,
        }
    }
}

/// Chooses the cheapest action that helps: none, a wake of a parked worker, a spare.
pub(super) fn decide(situation: Situation, suspects: &[Suspect], threshold: Duration) -> Verdict {
    let none_active = situation.active == 0;
    let something_waits = situation.has_work || (none_active && situation.has_io);
    if !something_waits {
        return Verdict::NothingWaits;
    }
    if situation.sleepers > 0 {
        return Verdict::Wake;
    }
    if situation.active >= situation.workers {
        return Verdict::AtFullStrength;
    }
    let may_start = |suspect: &Suspect| suspect.may_be_replaced(threshold);
    let without = |(_, suspect): &(usize, &Suspect)| !suspect.has_stand_in && may_start(suspect);
    match suspects.iter().enumerate().find(without) {
        Some((index, _)) => Verdict::Start(Some(index)),
        // The spares are stalled, too, or have retired too early (`worker_states`: `monitor-checks-last`).
        None if none_active && suspects.iter().all(may_start) => Verdict::Start(None),
        None => Verdict::NotYet,
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const THRESHOLD: Duration = Duration::from_millis(10);
    const ALL_BUSY: Situation = Situation { has_work: true, has_io: false, sleepers: 0, active: 0, workers: 1 };

    fn stalled(ms: u64, cpu: CpuUse) -> Suspect {
        let stuck_for = Duration::from_millis(ms);
        let spent = if cpu == CpuUse::On { stuck_for } else { Duration::ZERO };
        Suspect { stuck_for, cpu: Some(cpu), computes: computes(spent, stuck_for, THRESHOLD), has_stand_in: false }
    }

    #[test]
    fn without_work_that_waits_nothing_is_done() {
        let suspects = [stalled(10_000, CpuUse::Off)];
        let idle = Situation { has_work: false, ..ALL_BUSY };
        assert_eq!(decide(idle, &suspects, THRESHOLD), Verdict::NothingWaits);
        let with_sockets = Situation { has_io: true, ..idle };
        assert_eq!(decide(with_sockets, &suspects, THRESHOLD), Verdict::Start(Some(0)), "no worker polls their events");
        let with_active = Situation { active: 1, ..with_sockets };
        assert_eq!(decide(with_active, &suspects, THRESHOLD), Verdict::NothingWaits);
    }

    #[test]
    fn a_sleeper_is_woken_before_a_thread_is_started() {
        for sleepers in 0..2 {
            let situation = Situation { sleepers, active: sleepers, workers: 2, ..ALL_BUSY };
            let expected = if sleepers > 0 { Verdict::Wake } else { Verdict::Start(Some(0)) };
            assert_eq!(decide(situation, &[stalled(10, CpuUse::Off)], THRESHOLD), expected);
        }
    }

    #[test]
    fn a_spare_starts_at_once_for_a_thread_off_the_cpu_later_for_one_on_it_and_last_for_one_that_waits() {
        for (cpu, first_ms) in [
            (CpuUse::Off, Some(5)),
            (CpuUse::Unknown, Some(30)),
            (CpuUse::On, Some(60)),
            (CpuUse::Waiting, Some(1000)),
            (CpuUse::Stopped, None),
        ] {
            for ms in [5, 29, 30, 59, 60, 999, 1000, 100_000] {
                let expected = first_ms.is_some_and(|first| ms >= first);
                let verdict = decide(ALL_BUSY, &[stalled(ms, cpu)], THRESHOLD);
                assert_eq!(verdict == Verdict::Start(Some(0)), expected, "{cpu:?} for {ms} ms: {verdict:?}");
            }
        }
        let unread = Suspect { cpu: None, ..stalled(10_000, CpuUse::Off) };
        assert_eq!(decide(ALL_BUSY, &[unread], THRESHOLD), Verdict::NotYet);
    }

    #[test]
    fn a_poll_that_has_used_enough_cpu_time_is_replaced_whatever_its_thread_does_now() {
        let ms = Duration::from_millis;
        for (spent, watched_for, expected) in [(59, 59, false), (60, 60, true), (19, 500, false), (20, 60, true)] {
            let computes = computes(ms(spent), ms(watched_for), THRESHOLD);
            assert_eq!(computes, expected, "{spent} ms of {watched_for}");
            for cpu in [Some(CpuUse::On), Some(CpuUse::Waiting), None] {
                let verdict = decide(ALL_BUSY, &[Suspect { computes, cpu, ..stalled(5, CpuUse::On) }], THRESHOLD);
                assert_eq!(verdict == Verdict::Start(Some(0)), expected, "{cpu:?} {spent} ms of {watched_for}");
            }
        }
    }

    #[test]
    fn each_stalled_worker_gets_one_spare_and_no_more_than_the_workers_run() {
        let replaced = Suspect { has_stand_in: true, ..stalled(50, CpuUse::Off) };
        let both = [replaced, stalled(50, CpuUse::Off)];
        let situation = Situation { active: 1, workers: 2, ..ALL_BUSY };
        assert_eq!(decide(situation, &both, THRESHOLD), Verdict::Start(Some(1)));
        assert_eq!(decide(Situation { active: 2, ..situation }, &both, THRESHOLD), Verdict::AtFullStrength);
        assert_eq!(decide(situation, &[replaced, replaced], THRESHOLD), Verdict::NotYet);
        assert_eq!(decide(ALL_BUSY, &[replaced], THRESHOLD), Verdict::Start(None), "no worker is active");
    }

    const AFTER: Duration = Duration::from_millis(100);

    /// In milliseconds.
    fn whole(elapsed: u64, computed: u64, delay: u64, excused: u64) -> WholePoll {
        let [elapsed, computed, delay, excused] = [elapsed, computed, delay, excused].map(Duration::from_millis);
        WholePoll { elapsed, computed: Some(computed), delay, excused, is_stopped: false }
    }

    #[test]
    fn a_poll_is_late_when_the_task_itself_took_so_long() {
        for (poll, expected) in [
            (whole(99, 99, 0, 0), Lateness::NotLate),
            (whole(100, 100, 0, 0), Lateness::Late),
            (whole(100, 0, 0, 0), Lateness::Late),
            // It was kept from running, which the task did not cause.
            (whole(500, 20, 420, 0), Lateness::NotLate),
            (whole(520, 20, 420, 0), Lateness::Late),
            (whole(999, 20, 979, 0), Lateness::NotLate),
            (whole(1000, 20, 980, 0), Lateness::Late),
            // A lock of redd does not count as the task's own time.
            (whole(199, 5, 0, 100), Lateness::NotLate),
            (whole(60_000, 5, 0, 59_950), Lateness::NotLate),
            // What it computed is its own, also if the rest adds up to more than there is.
            (whole(900, 100, 890, 0), Lateness::Late),
            (whole(900, 99, 890, 0), Lateness::NotLate),
        ] {
            assert_eq!(poll.lateness(AFTER, false), expected, "{poll:?}");
        }
    }

    #[test]
    fn a_thread_that_may_panic_is_reported_much_later() {
        for (elapsed, expected) in
            [(99, Lateness::NotLate), (100, Lateness::MayPanic), (999, Lateness::MayPanic), (1000, Lateness::Late)]
        {
            assert_eq!(whole(elapsed, elapsed, 0, 0).lateness(AFTER, true), expected, "{elapsed} ms");
        }
    }

    #[test]
    fn the_whole_poll_tells_what_the_task_does() {
        for (poll, expected) in [
            // Two seconds of computing beside five other threads, for each state of its thread at this moment.
            (whole(6000, 2000, 3990, 0), CpuUse::On),
            (whole(130, 60, 10, 0), CpuUse::On),
            (whole(130, 59, 10, 0), CpuUse::Off),
            (whole(6000, 40, 5900, 0), CpuUse::Off),
            (whole(6000, 40, 5901, 0), CpuUse::Waiting),
            (whole(1000, 99, 901, 0), CpuUse::Waiting),
        ] {
            assert_eq!(poll.cpu_use(AFTER), expected, "{poll:?}");
        }
        assert_eq!(WholePoll { is_stopped: true, ..whole(500, 0, 0, 0) }.cpu_use(AFTER), CpuUse::Stopped);
        assert_eq!(WholePoll { computed: None, ..whole(500, 0, 0, 0) }.cpu_use(AFTER), CpuUse::Unknown);
    }

    #[test]
    fn readings_tell_blocked_computing_and_waiting_threads_apart() {
        let before = Reading {
            at_ms: 100,
            cpu: Some(Duration::from_millis(7)),
            delay: Some(Duration::from_millis(3)),
            state: Some(RunState::Runnable),
        };
        let after = |cpu_ms: u64, delay_ms: u64, state| {
            let reading = Reading {
                at_ms: 110,
                cpu: Some(Duration::from_millis(7 + cpu_ms)),
                delay: Some(Duration::from_millis(3 + delay_ms)),
                state: Some(state),
            };
            reading.since(&before)
        };
        assert_eq!(after(0, 0, RunState::Sleeping), CpuUse::Off);
        assert_eq!(after(9, 0, RunState::Runnable), CpuUse::On);
        assert_eq!(after(6, 1, RunState::Sleeping), CpuUse::On);
        assert_eq!(after(1, 0, RunState::Runnable), CpuUse::Waiting, "it still waits");
        assert_eq!(after(1, 8, RunState::Sleeping), CpuUse::Waiting);
        assert_eq!(after(9, 0, RunState::Stopped), CpuUse::Stopped);
        assert_eq!(Reading { cpu: None, ..before }.since(&before), CpuUse::Unknown);
    }
}
