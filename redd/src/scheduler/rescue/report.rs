//! What a program is told about a late poll, and what it may ask for.
//!
//! Called by `monitor`; the types are public as `runtime::{Rescue, LatePoll, CpuUse, RescueAction,
//! Stack}`.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::decide::CpuUse;
use crate::primitives::Mutex;
use crate::scheduler::MAX_RESCUE_WORKERS;
use crate::symbols;
use crate::sys;
use crate::task::Id;
use crate::task::runnable::TaskInfo;

pub(crate) type LatePollHook = Arc<dyn Fn(&LatePoll) + Send + Sync>;

/// What a runtime does about workers that do not come out of a poll. See [`Builder::rescue`].
///
/// [`Builder::rescue`]: crate::runtime::Builder::rescue
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use redd::runtime::{Builder, Rescue};
///
/// let runtime = Builder::new_multi_thread()
///     .rescue(Rescue::new().threshold(Duration::from_millis(20)).max_workers(8))
///     .build()
///     .unwrap();
/// assert_eq!(runtime.block_on(async { 1 + 1 }), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescue {
    pub(crate) mode: Mode,
    pub(crate) threshold: Duration,
    pub(crate) report_after: Duration,
    pub(crate) max_workers: usize,
    pub(crate) with_stack: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Off,
    Report,
    Rescue,
}

impl Rescue {
    /// Looks, reports and rescues: the default of a multi-thread runtime.
    pub fn new() -> Self {
        Self {
            mode: Mode::Rescue,
            threshold: Duration::from_millis(10),
            report_after: Duration::from_millis(100),
            max_workers: 64,
            with_stack: false,
        }
    }

    /// Does not even look.
    pub fn off() -> Self {
        Self { mode: Mode::Off, ..Self::new() }
    }

    /// Looks and reports, and changes nothing about who runs what: the default of a current-thread runtime.
    pub fn report_only() -> Self {
        Self { mode: Mode::Report, ..Self::new() }
    }

    /// How long a poll takes, about, before its worker counts as stuck and is rescued if something waits for it.
    /// Default: 10 ms. Below 2 ms the monitor would see little but itself, so that is the least.
    pub fn threshold(mut self, threshold: Duration) -> Self {
        self.threshold = threshold.clamp(Duration::from_millis(2), Duration::from_secs(3600));
        self
    }

    /// How long a poll takes before it is *late*: reported, and counted. Default: 100 ms. One for which a spare worker
    /// had to start is late at once. A poll that takes ten times as long is reported once more.
    pub fn report_after(mut self, elapsed: Duration) -> Self {
        self.report_after = elapsed;
        self
    }

    /// Whether a late poll is reported with the functions that its thread is in. Default: no. With the feature `stack` they
    /// have names, without it addresses.
    ///
    /// - A signal interrupts the thread: system calls that take no `SA_RESTART`, such as `poll` and `nanosleep`, end with
    ///   `EINTR`, and the code that blocks should expect that. It is a real-time signal that had no handler when the first
    ///   stack was taken.
    /// - The stack is walked in the signal handler. With glibc 2.35 and GCC 12, or newer, that takes no lock; with older ones
    ///   it can hang if another thread loads a library in that moment.
    /// - Such reports are told by a thread of their own, as reading the program's debug information may take a second; when
    ///   eight of them are busy with it, further reports are left out.
    pub fn with_stack(mut self, with_stack: bool) -> Self {
        self.with_stack = with_stack;
        self
    }

    /// For a runtime whose tasks stay on one thread.
    pub(crate) fn without_spares(mut self) -> Self {
        if self.mode == Mode::Rescue {
            self.mode = Mode::Report;
        }
        self
    }

    /// How many spare workers may run at a time. Default: 64, at most 16,384. When the bound is reached, the monitor only reports.
    pub fn max_workers(mut self, count: usize) -> Self {
        self.max_workers = count.min(MAX_RESCUE_WORKERS);
        self
    }
}

impl Default for Rescue {
    fn default() -> Self {
        Self::new()
    }
}

/// What was done about a late poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RescueAction {
    /// Nothing: no work waits behind it.
    NothingWaits,
    /// Nothing yet: other workers are there, or a spare would take a CPU away from somebody.
    LeftAlone,
    /// A worker that slept was woken for the work behind it, or one started that had not been needed before.
    WokeWorker,
    /// A spare worker was started.
    StartedSpare,
    /// Nothing: as many spare workers as allowed run already.
    BoundHit,
    /// Nothing: the system refused a thread.
    ThreadRefused,
    /// Nothing: this runtime only reports.
    ReportOnly,
}

/// A poll that takes long: who, where, and what was done about it.
#[derive(Debug)]
pub struct LatePoll {
    pub(super) task: Option<TaskInfo>,
    /// Or the future of `block_on`, and who called that.
    pub(super) root: Option<&'static Location<'static>>,
    pub(super) elapsed: Duration,
    pub(super) is_reminder: bool,
    pub(super) cpu: CpuUse,
    pub(super) system_call: Option<i64>,
    pub(super) wait_channel: Option<String>,
    pub(super) thread_name: Option<String>,
    pub(super) worker: usize,
    pub(super) queued: usize,
    pub(super) injected: usize,
    pub(super) has_due_timers: bool,
    pub(super) action: RescueAction,
    pub(super) stack: Option<Stack>,
}

/// The calls that a thread was in, the innermost first; `Display` writes a line for each. See [`Rescue::with_stack`].
#[derive(Clone, Debug)]
pub struct Stack(pub(super) Vec<usize>);

impl Stack {
    /// An address inside of each call.
    pub fn addresses(&self) -> &[usize] {
        &self.0
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for address in &self.0 {
            if !symbols::write(f, *address)? {
                break;
            }
        }
        Ok(())
    }
}

impl LatePoll {
    /// Whether it is no task but the future that `block_on` of a current-thread runtime runs.
    pub fn is_block_on(&self) -> bool {
        self.root.is_some()
    }

    /// The task's id; `None` if it is none, or ended just when it was looked at.
    pub fn task_id(&self) -> Option<Id> {
        self.task.as_ref().map(|task| task.id)
    }

    /// The task's name, if it was spawned with one.
    pub fn task_name(&self) -> Option<&str> {
        self.task.as_ref()?.name.as_deref()
    }

    /// The place in the program that spawned it, or that called `block_on`.
    pub fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.root.or_else(|| self.task.as_ref().map(|task| task.place))
    }

    /// How long the poll has taken by now; it may have begun a few milliseconds earlier.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Whether this poll was reported before, when it had taken a tenth of the time.
    pub fn is_reminder(&self) -> bool {
        self.is_reminder
    }

    /// What its thread does.
    pub fn cpu_use(&self) -> CpuUse {
        self.cpu
    }

    /// The name of the system call that its thread is in, or `syscall` and a number.
    pub fn system_call(&self) -> Option<String> {
        let number = self.system_call?;
        Some(sys::thread::call_name(number).map_or_else(|| format!("syscall {number}"), str::to_owned))
    }

    /// The function of the kernel that its thread sleeps in, where the kernel tells.
    pub fn wait_channel(&self) -> Option<&str> {
        self.wait_channel.as_deref()
    }

    /// The name of its thread, as the system has it.
    pub fn thread_name(&self) -> Option<&str> {
        self.thread_name.as_deref()
    }

    /// The index of its worker; spare workers are numbered behind the others.
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// Tasks in the run queues of stuck workers.
    pub fn queued_tasks(&self) -> usize {
        self.queued
    }

    /// Tasks from outside that wait for any worker.
    pub fn injected_tasks(&self) -> usize {
        self.injected
    }

    /// Whether timers are due that nobody fires.
    pub fn has_due_timers(&self) -> bool {
        self.has_due_timers
    }

    /// The functions that its thread was in, if the runtime was asked for them ([`Rescue::with_stack`]) and the thread
    /// answered before the poll was over.
    pub fn stack(&self) -> Option<&Stack> {
        self.stack.as_ref()
    }

    /// What was done.
    pub fn action(&self) -> RescueAction {
        self.action
    }

    /// What the author of the task can do.
    pub fn mend(&self) -> &'static str {
        match self.cpu {
            CpuUse::Off => {
                "Move what blocks to `spawn_blocking`, wrap it in `block_in_place`, or await an async form of it."
            }
            CpuUse::On => {
                "Call `yield_now().await` in the loop now and then, or move the computation to `spawn_blocking`."
            }
            CpuUse::Waiting | CpuUse::Stopped => {
                "The machine has too few CPUs for what runs on it; the task may be fine."
            }
            CpuUse::Unknown => "Move what blocks or computes to `spawn_blocking`.",
        }
    }
}

impl fmt::Display for LatePoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.task {
            Some(task) => {
                write!(f, "task {}", task.id)?;
                if let Some(name) = &task.name {
                    write!(f, " `{name}`")?;
                }
                write!(f, " (spawned at {})", task.place)?;
            }
            None => match self.root {
                Some(place) => write!(f, "the future of `block_on` (called at {place})")?,
                None => f.write_str("a task")?,
            },
        }
        write!(f, " has not come to an `.await` for {} ms", self.elapsed.as_millis())?;
        if let Some(name) = &self.thread_name {
            write!(f, ", on thread `{name}`")?;
        }
        f.write_str(match self.cpu {
            CpuUse::Off => ", off the CPU",
            CpuUse::On => ", on the CPU",
            CpuUse::Waiting => ", waiting for a CPU",
            CpuUse::Stopped => ", stopped",
            CpuUse::Unknown => "",
        })?;
        if let Some(call) = self.system_call() {
            write!(f, " in {call}")?;
        }
        if let Some(channel) = &self.wait_channel {
            write!(f, " ({channel})")?;
        }
        write!(f, ". Behind it: {} queued, {} injected", self.queued, self.injected)?;
        if self.has_due_timers {
            f.write_str(", due timers")?;
        }
        f.write_str(match self.action {
            RescueAction::NothingWaits => ". Nothing had to be done. ",
            RescueAction::LeftAlone => ". It was left alone. ",
            RescueAction::WokeWorker => ". Another worker was woken or started for them. ",
            RescueAction::StartedSpare => ". A spare worker was started for them. ",
            RescueAction::BoundHit => ". They wait: as many spare workers as allowed run already. ",
            RescueAction::ThreadRefused => ". They wait: the system refused a thread for a spare worker. ",
            RescueAction::ReportOnly => ". They wait: this runtime only reports. ",
        })?;
        f.write_str(self.mend())?;
        match &self.stack {
            Some(stack) => write!(f, " Its thread is in:{stack}"),
            None => Ok(()),
        }
    }
}

/// Lines that may follow each other at once, and how long it takes until one more may. Picked by feel: a log keeps the
/// first ones of a storm and stays readable.
const BURST: u32 = 5;
const MS_PER_LINE: u64 = 1000;

/// The default report: a line on standard error, some a second at most.
#[derive(Debug)]
pub(super) struct Lines(Mutex<Budget>);

#[derive(Debug)]
struct Budget {
    lines: u32,
    since_ms: u64,
    suppressed: u64,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Budget { lines: BURST, since_ms: 0, suppressed: 0 }))
    }

    /// `Some` if a line may be written now: with how many were not since the last.
    fn admit(&self, now_ms: u64) -> Option<u64> {
        let mut budget = self.0.lock();
        let earned = now_ms.saturating_sub(budget.since_ms) / MS_PER_LINE;
        if earned > 0 {
            budget.lines = u32::try_from(earned).unwrap_or(BURST).saturating_add(budget.lines).min(BURST);
            budget.since_ms += earned * MS_PER_LINE;
        }
        if budget.lines == 0 {
            budget.suppressed += 1;
            return None;
        }
        budget.lines -= 1;
        Some(std::mem::take(&mut budget.suppressed))
    }

    pub(super) fn write(&self, late: &LatePoll, runtime: Option<&str>, now_ms: u64) {
        let Some(suppressed) = self.admit(now_ms) else {
            return;
        };
        let of = runtime.map(|name| format!(" of runtime `{name}`")).unwrap_or_default();
        let more =
            if suppressed == 0 { String::new() } else { format!(" ({suppressed} reports were left out before this.)") };
        eprintln!("redd: late poll{of}: {late}{more}");
    }
}
