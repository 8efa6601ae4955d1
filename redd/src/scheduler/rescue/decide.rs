//! What to do about stuck workers: values in, values out.
//!
//! Called by `monitor` each turn.

use std::time::Duration;

use crate::sys::thread::RunState;

/// What a stuck thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CpuUse {
    /// It waits for something: a lock, a file, an answer, a sleep.
    Off,
    /// It computes.
    On,
    /// It would compute, but other threads of the machine have the CPUs.
    Waiting,
    /// It is stopped, by a signal or a debugger.
    Stopped,
    /// The system did not tell.
    Unknown,
}

/// What was read of a thread at a moment.
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
        // A wait for a CPU that goes on is not in it yet; `state` shows that one.
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

/// A worker whose poll goes on and on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspect {
    pub(super) stuck_for: Duration,
    pub(super) cpu: CpuUse,
    /// CPU time that the poll has had since it was first seen.
    pub(super) spent: Duration,
    /// A spare stands in for it already.
    pub(super) has_stand_in: bool,
}

/// The runtime at this moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// Something waits that no serving worker has for itself.
    pub(super) has_work: bool,
    /// Descriptors are registered; with nobody serving, their events wait.
    pub(super) has_io: bool,
    pub(super) sleepers: usize,
    pub(super) serving: usize,
    pub(super) workers: usize,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing waits.
    NothingWaits,
    /// Something waits, and as many workers as ever are there for it.
    AtFullStrength,
    /// A worker sleeps: wake it.
    Wake,
    /// Start a spare for the suspect of this number; with `None`, for a worker that said itself that it blocks.
    Start(Option<usize>),
    /// A spare would help, but not yet, or only take a CPU away from others.
    NotYet,
}

/// How long a computing poll is left alone, as a multiple of the threshold: more threads than CPUs help nobody if it ends
/// soon. One that has had half of that in CPU time computes, also if it must share the CPUs with others.
const PATIENCE_WITH_COMPUTING: u32 = 10;
/// The same for a thread that the system tells nothing about.
const PATIENCE_WITH_UNKNOWN: u32 = 3;
/// The same for a thread that hardly gets a CPU: at some time any wait has an end.
const PATIENCE_WITH_WAITING: u32 = 100;

impl Suspect {
    fn may_be_replaced(&self, threshold: Duration) -> bool {
        let patience = match self.cpu {
            CpuUse::Off => return true,
            CpuUse::Stopped => return false,
            CpuUse::Unknown => PATIENCE_WITH_UNKNOWN,
            CpuUse::On => PATIENCE_WITH_COMPUTING,
            CpuUse::Waiting if self.spent >= threshold * PATIENCE_WITH_COMPUTING / 2 => PATIENCE_WITH_COMPUTING,
            CpuUse::Waiting => PATIENCE_WITH_WAITING,
        };
        self.stuck_for >= threshold * patience
    }
}

/// The order is from cheap to dear: nothing, a thread that sleeps, a new thread.
pub(super) fn decide(situation: Situation, suspects: &[Suspect], threshold: Duration) -> Verdict {
    let nobody_serves = situation.serving == 0;
    let something_waits = situation.has_work || (nobody_serves && situation.has_io);
    if !something_waits {
        return Verdict::NothingWaits;
    }
    if situation.sleepers > 0 {
        return Verdict::Wake;
    }
    if situation.serving >= situation.workers {
        return Verdict::AtFullStrength;
    }
    let may_start = |suspect: &Suspect| suspect.may_be_replaced(threshold);
    let without = |(_, suspect): &(usize, &Suspect)| !suspect.has_stand_in && may_start(suspect);
    match suspects.iter().enumerate().find(without) {
        Some((index, _)) => Verdict::Start(Some(index)),
        // Those that stood in are stuck themselves, or have retired too early (`roster`: `monitor-looks-last`).
        None if nobody_serves && suspects.iter().all(may_start) => Verdict::Start(None),
        None => Verdict::NotYet,
    }
}
