//! The report of a late poll, and the options of rescue.
//!
//! Called by `monitor`; the types are public as `runtime::{Rescue, LatePoll, CpuUse, RescueAction,
//! Stack}`.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::decide::CpuUse;
use crate::observe::report::{Count, Grouped, Place, ReportKind, report};
use crate::observe::symbols;
use crate::scheduler::choices::MAX_RESCUE_WORKERS;
use crate::sys;
use crate::task::Id;
use crate::task::info::TaskInfo;

pub(crate) type LatePollHook = Arc<dyn Fn(&LatePoll) + Send + Sync>;

/// What a runtime does about stalled workers: those whose current poll has run for too long. See [`Builder::rescue`].
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
    /// Detects, reports and rescues: the default of a multi-thread runtime.
    pub fn new() -> Self {
        Self {
            mode: Mode::Rescue,
            threshold: Duration::from_millis(10),
            report_after: Duration::from_millis(100),
            max_workers: 64,
            with_stack: false,
        }
    }

    /// Does not even detect.
    pub fn off() -> Self {
        Self { mode: Mode::Off, ..Self::new() }
    }

    /// Detects and reports, and leaves all work where it is: the default of a current-thread runtime.
    pub fn report_only() -> Self {
        Self { mode: Mode::Report, ..Self::new() }
    }

    /// About how long a poll takes before its worker counts as stalled. It is rescued then, if work waits for it.
    ///
    /// Default: 10 ms. The minimum is 2 ms: below it the monitor would mostly see its own effects.
    pub fn threshold(mut self, threshold: Duration) -> Self {
        self.threshold = threshold.clamp(Duration::from_millis(2), Duration::from_secs(3600));
        self
    }

    /// How long a poll takes before it is *late*: reported, and counted. Default: 100 ms.
    ///
    /// - Only the task's own time counts: time that its thread waited for a CPU, or for a lock of redd, does not. A poll
    ///   that mostly waits for a CPU is reported when it has taken ten times as long.
    /// - A thread that computes, waits for a lock, or reads a file may be printing the backtrace of a panic. Then the report
    ///   waits until the poll ends, and is dropped if it ends in a panic. If the poll goes on, it is reported when it has
    ///   taken ten times as long. Other system calls that block are reported at once.
    /// - A poll that is still not done when it has taken ten times as long as at its report is reported once more.
    /// - A rescue before that is only counted, in [`RuntimeMetrics::rescues`](crate::runtime::RuntimeMetrics::rescues).
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
    /// - Such reports are written by a thread of their own, as reading the program's debug information may take a second; when
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
    /// Nothing yet: other workers are there, or a spare would take a CPU away from another thread.
    LeftAlone,
    /// A parked worker was woken for the work behind it, or a worker started that had not been needed before.
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

/// A poll that takes long: its task, its location, and what was done about it.
///
/// # Examples
/// ```
/// use redd::runtime::{Builder, LatePoll};
/// use std::sync::mpsc;
/// use std::time::Duration;
///
/// let (report, reports) = mpsc::channel();
/// let (end, ended) = mpsc::channel::<()>();
/// let runtime = Builder::new_multi_thread()
///     .on_late_poll(move |late: &LatePoll| drop(report.send((late.elapsed(), late.mend()))))
///     .build()?;
/// runtime.spawn(async move { ended.recv() }); // Blocks its worker.
/// let (elapsed, advice) = reports.recv().unwrap();
/// drop(end);
/// assert!(elapsed >= Duration::from_millis(50));
/// assert!(advice.contains("spawn_blocking"));
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct LatePoll {
    pub(super) task: Option<TaskInfo>,
    /// Or the future of `block_on`, and the caller of that.
    pub(super) root: Option<&'static Location<'static>>,
    pub(super) elapsed: Duration,
    pub(super) is_reminder: bool,
    pub(super) has_ended: bool,
    pub(super) cpu: CpuUse,
    pub(super) computed: Option<Duration>,
    pub(super) system_call: Option<i64>,
    pub(super) wait_channel: Option<String>,
    pub(super) thread_name: Option<String>,
    pub(super) worker: usize,
    pub(super) behind: Behind,
    pub(super) action: RescueAction,
    pub(super) stack: Option<Stack>,
}

/// What waits behind stalled workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Behind {
    /// Tasks in the run queues of stalled workers.
    pub(super) queued: usize,
    /// Tasks from outside.
    pub(super) injected: usize,
    pub(super) has_due_timers: bool,
    /// Timers of a stalled worker, which are not due yet.
    pub(super) has_timers: bool,
    /// Tasks in the queues of active workers.
    pub(super) has_others: bool,
    /// Descriptors are registered, and no worker polls their events.
    pub(super) has_io: bool,
}

impl Behind {
    /// Work waits that no active worker has for itself.
    pub(super) fn has_work(&self) -> bool {
        self.queued > 0 || self.injected > 0 || self.has_due_timers || self.has_timers || self.has_others
    }
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queued = Count(self.queued as u64, "queued task", "queued tasks");
        let injected = Count(self.injected as u64, "task from outside", "tasks from outside");
        let parts: [(bool, &dyn fmt::Display); 6] = [
            (self.queued > 0, &queued),
            (self.injected > 0, &injected),
            (self.has_others, &"tasks of other workers"),
            (self.has_due_timers, &"due timers"),
            (self.has_timers && !self.has_due_timers, &"timers"),
            (self.has_io, &"I/O"),
        ];
        let mut parts = parts.iter().filter(|(is_there, _)| *is_there);
        let Some((_, first)) = parts.next() else { return f.write_str("Nothing waits behind it.") };
        write!(f, "Behind it: {first}")?;
        parts.try_for_each(|(_, part)| write!(f, ", {part}"))?;
        f.write_str(".")
    }
}

/// The calls that a thread was in, the innermost first; `Display` writes a line for each. See [`Rescue::with_stack`].
///
/// # Examples
/// ```
/// use redd::runtime::{Builder, LatePoll, Rescue};
/// use std::sync::mpsc;
///
/// let (report, reports) = mpsc::channel();
/// let (end, ended) = mpsc::channel::<()>();
/// let runtime = Builder::new_multi_thread()
///     .rescue(Rescue::new().with_stack(true))
///     .on_late_poll(move |late: &LatePoll| drop(report.send(late.stack().cloned())))
///     .build()?;
/// runtime.spawn(async move { ended.recv() }); // Blocks its worker.
/// // `None`: the thread did not record its stack before the poll was over.
/// if let Some(stack) = reports.recv().unwrap() {
///     assert!(!stack.addresses().is_empty());
/// }
/// drop(end);
/// # std::io::Result::Ok(())
/// ```
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

    /// The location in the program that spawned it, or that called `block_on`.
    pub fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.root.or_else(|| self.task.as_ref().map(|task| task.location))
    }

    /// How long the poll has taken by now; it may have begun a few milliseconds earlier.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// How much CPU time its thread had in this poll, as far as it was monitored; `None` if the system does not report it.
    pub fn cpu_time(&self) -> Option<Duration> {
        self.computed
    }

    /// Whether the poll has ended meanwhile; see [`Rescue::report_after`].
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether this poll was reported before, when it had taken a tenth of the time.
    pub fn is_reminder(&self) -> bool {
        self.is_reminder
    }

    /// What its thread did for most of the poll.
    pub fn cpu_use(&self) -> CpuUse {
        self.cpu
    }

    /// The name of the system call that its thread is in, or `syscall` and a number.
    pub fn system_call(&self) -> Option<String> {
        let number = self.system_call?;
        Some(sys::thread::call_name(number).map_or_else(|| format!("syscall {number}"), str::to_owned))
    }

    /// The function of the kernel that its thread sleeps in, where the kernel reports it.
    pub fn wait_channel(&self) -> Option<&str> {
        self.wait_channel.as_deref()
    }

    /// The name of its thread in the system.
    pub fn thread_name(&self) -> Option<&str> {
        self.thread_name.as_deref()
    }

    /// The index of its worker; spare workers are numbered behind the others.
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// Tasks in the run queues of stalled workers, at the moment of the rescue, or now if there was none.
    pub fn queued_tasks(&self) -> usize {
        self.behind.queued
    }

    /// Tasks from outside that waited for any worker at that moment.
    pub fn injected_tasks(&self) -> usize {
        self.behind.injected
    }

    /// Whether timers were due at that moment that no worker fired.
    pub fn has_due_timers(&self) -> bool {
        self.behind.has_due_timers
    }

    /// The functions that its thread was in, if the runtime was asked for them ([`Rescue::with_stack`]) and the thread
    /// recorded them before the poll was over.
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
                write!(f, " (spawned at {})", Place(task.location))?;
            }
            None => match self.root {
                Some(location) => write!(f, "the future of `block_on` (called at {})", Place(location))?,
                None => f.write_str("a task")?,
            },
        }
        let elapsed = Grouped(self.elapsed.as_millis() as u64);
        f.write_str(if self.has_ended { " did not come" } else { " has not come" })?;
        write!(f, " to an `.await` for {elapsed} ms")?;
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
        // A thread that mostly computes may be in any call at this moment.
        if matches!(self.cpu, CpuUse::Off | CpuUse::Unknown) {
            if let Some(call) = self.system_call() {
                write!(f, " in {call}")?;
            }
            if let Some(channel) = &self.wait_channel {
                write!(f, " ({channel})")?;
            }
        }
        if let Some(computed) = self.computed {
            write!(f, ", computed {} of {elapsed} ms", Grouped(computed.min(self.elapsed).as_millis() as u64))?;
        }
        write!(f, ". {} ", self.behind)?;
        f.write_str(match self.action {
            RescueAction::NothingWaits => "",
            RescueAction::LeftAlone => "It was left alone. ",
            RescueAction::WokeWorker => "Another worker was woken or started. ",
            RescueAction::StartedSpare => "A spare worker was started. ",
            RescueAction::BoundHit => "No spare worker was started: as many as allowed run already. ",
            RescueAction::ThreadRefused => "No spare worker was started: the system refused a thread. ",
            RescueAction::ReportOnly => "Nothing was done: this runtime only reports. ",
        })?;
        f.write_str(self.mend())?;
        match &self.stack {
            Some(stack) => write!(f, " Its thread is in:{stack}"),
            None => Ok(()),
        }
    }
}

/// Writes the line of a late poll to standard error, if it may have one now.
pub(super) fn write_line(late: &LatePoll, runtime: Option<&str>) {
    match runtime {
        Some(name) => report(ReportKind::LatePoll, format_args!("late poll of runtime `{name}`: {late}")),
        None => report(ReportKind::LatePoll, format_args!("late poll: {late}")),
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn late() -> LatePoll {
        LatePoll {
            task: None,
            root: None,
            elapsed: Duration::from_millis(1002),
            is_reminder: false,
            has_ended: false,
            cpu: CpuUse::Off,
            computed: Some(Duration::from_micros(1900)),
            system_call: None,
            wait_channel: Some("hrtimer_nanosleep".to_owned()),
            thread_name: Some("redd-worker".to_owned()),
            worker: 0,
            behind: Behind { queued: 1, injected: 2000, has_due_timers: true, has_timers: true, ..Behind::default() },
            action: RescueAction::StartedSpare,
            stack: None,
        }
    }

    #[test]
    fn the_line_says_what_the_poll_did_what_waits_and_what_was_done() {
        assert_eq!(
            late().to_string(),
            "a task has not come to an `.await` for 1,002 ms, on thread `redd-worker`, off the CPU (hrtimer_nanosleep), \
             computed 1 of 1,002 ms. Behind it: 1 queued task, 2,000 tasks from outside, due timers. A spare worker was \
             started. Move what blocks to `spawn_blocking`, wrap it in `block_in_place`, or await an async form of it."
        );
        let computing = LatePoll {
            has_ended: true,
            cpu: CpuUse::On,
            computed: Some(Duration::from_millis(610)),
            behind: Behind::default(),
            action: RescueAction::NothingWaits,
            ..late()
        };
        assert_eq!(
            computing.to_string(),
            "a task did not come to an `.await` for 1,002 ms, on thread `redd-worker`, on the CPU, computed 610 of 1,002 \
             ms. Nothing waits behind it. Call `yield_now().await` in the loop now and then, or move the computation to \
             `spawn_blocking`."
        );
        let location = Location::caller();
        let kept = LatePoll {
            root: Some(location),
            cpu: CpuUse::Waiting,
            thread_name: None,
            behind: Behind { has_io: true, has_timers: true, has_others: true, ..Behind::default() },
            action: RescueAction::ReportOnly,
            ..late()
        };
        assert_eq!(
            kept.to_string(),
            format!(
                "the future of `block_on` (called at {location}) has not come to an `.await` for 1,002 ms, waiting for a CPU, \
                 computed 1 of 1,002 ms. Behind it: tasks of other workers, timers, I/O. Nothing was done: this runtime \
                 only reports. The machine has too few CPUs for what runs on it; the task may be fine."
            )
        );
    }

    #[test]
    fn no_action_is_said_to_be_for_what_is_not_there() {
        for action in [
            RescueAction::NothingWaits,
            RescueAction::LeftAlone,
            RescueAction::WokeWorker,
            RescueAction::StartedSpare,
            RescueAction::BoundHit,
            RescueAction::ThreadRefused,
            RescueAction::ReportOnly,
        ] {
            let line = LatePoll { action, behind: Behind::default(), ..late() }.to_string();
            assert!(line.contains("ms. Nothing waits behind it. "), "{line}");
            assert!(!line.contains("them") && !line.contains("They"), "{line}");
        }
    }
}
