//! The report of a late poll: its contents, its opt-in stack, and its delivery.
//!
//! Called by the monitor of `scheduler::rescue`, which fills in a report, and by the runtime when it ends. The types
//! are public as `runtime::{LatePoll, CpuUse, RescueAction, Stack}`.
//!
//! A report goes to `tracing`, with that feature. Then it goes to the program's hook or, without a hook, to standard
//! error.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::observe::report::{Count, Grouped, Printable, ReportKind, ShortLocation, report};
use crate::observe::symbols;
use crate::observe::task_info::TaskInfo;
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::AtomicU32;
use crate::primitives::user_code::guarded;
use crate::primitives::{Mutex, thread};
use crate::sys;
use crate::task::Id;

/// The most threads that may write reports with stacks at the same time. Further reports have no stack. Not measured.
const REPORTERS_MAX: u32 = 8;

/// The number of threads that write reports with stacks, at most `REPORTERS_MAX`.
static REPORTERS: AtomicU32 = AtomicU32::new(0);

pub(crate) type LatePollHook = Arc<dyn Fn(&LatePoll) + Send + Sync>;

/// What the thread of a stalled worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CpuUse {
    /// It waits for something: a lock, a file, a reply, a sleep.
    Off,
    /// It runs on a CPU.
    On,
    /// It is ready to run, but other threads of the machine occupy the CPUs.
    Waiting,
    /// It was stopped, by a signal or a debugger.
    Stopped,
    /// The system did not report it.
    Unknown,
}

/// What redd did about a late poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RescueAction {
    /// Nothing: no work waits behind it.
    NothingWaits,
    /// Nothing yet: other workers are available, or a spare worker would take a CPU away from another thread.
    LeftAlone,
    /// A parked worker was woken for the work behind it, or a worker that had not been needed before was started.
    WokeWorker,
    /// A spare worker was started.
    StartedSpare,
    /// Nothing: as many spare workers as allowed are running already.
    BoundHit,
    /// Nothing: the system refused a thread.
    ThreadRefused,
    /// Nothing: this runtime only reports.
    ReportOnly,
}

/// A poll that takes too long: its task, its location, and what redd did about it.
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
///     .on_late_poll(move |late: &LatePoll| drop(report.send((late.elapsed(), late.advice()))))
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
    pub(crate) task: Option<TaskInfo>,
    /// Or the location that called `block_on`, if it is a poll of that future.
    pub(crate) root: Option<&'static Location<'static>>,
    pub(crate) elapsed: Duration,
    pub(crate) is_reminder: bool,
    pub(crate) has_ended: bool,
    pub(crate) cpu: CpuUse,
    pub(crate) computed: Option<Duration>,
    pub(crate) system_call: Option<i64>,
    pub(crate) wait_channel: Option<String>,
    pub(crate) thread_name: Option<String>,
    pub(crate) worker: usize,
    pub(crate) behind: Behind,
    pub(crate) action: RescueAction,
    pub(crate) stack: Option<Stack>,
}

/// What waits behind stalled workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Behind {
    /// Tasks in the run queues of stalled workers.
    pub(crate) queued: usize,
    /// Tasks in the injector.
    pub(crate) injected: usize,
    pub(crate) has_due_timers: bool,
    /// Timers of a stalled worker that are not due yet.
    pub(crate) has_timers: bool,
    /// Tasks in the queues of active workers.
    pub(crate) has_others: bool,
    /// Descriptors are registered, and no worker polls their events.
    pub(crate) has_io: bool,
}

impl Behind {
    /// Whether work waits that no active worker has in its own queue.
    pub(crate) fn has_work(&self) -> bool {
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

/// The functions that a thread was in, the innermost first. `Display` writes a line for each. See
/// [`Rescue::with_stack`](crate::runtime::Rescue::with_stack).
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
pub struct Stack(pub(crate) Vec<usize>);

impl Stack {
    /// Returns an address inside of each function.
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
    /// Returns whether this is not a task, but the future that `block_on` of a current-thread runtime runs.
    pub fn is_block_on(&self) -> bool {
        self.root.is_some()
    }

    /// Returns the task's id. `None` if this is not a task, or if the task ended at the moment of the report.
    pub fn task_id(&self) -> Option<Id> {
        self.task.as_ref().map(|task| task.id)
    }

    /// Returns the task's name, if it was spawned with one.
    pub fn task_name(&self) -> Option<&str> {
        self.task.as_ref()?.name.as_deref()
    }

    /// Returns the location in the program that spawned the task, or that called `block_on`.
    pub fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.root.or_else(|| self.task.as_ref().map(|task| task.location))
    }

    /// Returns how long the poll has taken so far. It may have begun a few milliseconds earlier.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Returns how much CPU time the thread used in this poll, for the time that it was monitored. `None` if the system
    /// does not report it.
    pub fn cpu_time(&self) -> Option<Duration> {
        self.computed
    }

    /// Returns whether the poll has ended meanwhile; see
    /// [`Rescue::report_after`](crate::runtime::Rescue::report_after).
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Returns whether this poll was reported before, when it had taken a tenth of the time.
    pub fn is_reminder(&self) -> bool {
        self.is_reminder
    }

    /// Returns what the thread did for most of the poll.
    pub fn cpu_use(&self) -> CpuUse {
        self.cpu
    }

    /// Returns the name of the system call that the thread is in, or `syscall` and a number.
    pub fn system_call(&self) -> Option<String> {
        let number = self.system_call?;
        Some(sys::thread::call_name(number).map_or_else(|| format!("syscall {number}"), str::to_owned))
    }

    /// Returns the kernel function that the thread sleeps in, if the kernel reports it.
    pub fn wait_channel(&self) -> Option<&str> {
        self.wait_channel.as_deref()
    }

    /// Returns the system's name of the thread.
    pub fn thread_name(&self) -> Option<&str> {
        self.thread_name.as_deref()
    }

    /// Returns the index of the worker. Spare workers have indices after the others.
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// Returns how many tasks were in the run queues of stalled workers at the moment of the rescue, or are now if
    /// there was none.
    pub fn queued_tasks(&self) -> usize {
        self.behind.queued
    }

    /// Returns how many tasks in the injector waited for any worker at that moment.
    pub fn injected_tasks(&self) -> usize {
        self.behind.injected
    }

    /// Returns whether timers were due at that moment that no worker fired.
    pub fn has_due_timers(&self) -> bool {
        self.behind.has_due_timers
    }

    /// Returns the functions that the thread was in, if [`Rescue::with_stack`](crate::runtime::Rescue::with_stack)
    /// enabled that and the thread recorded them before the poll ended.
    pub fn stack(&self) -> Option<&Stack> {
        self.stack.as_ref()
    }

    /// Returns what redd did.
    pub fn action(&self) -> RescueAction {
        self.action
    }

    /// Returns advice for the author of the task: how to make the poll shorter, or how to move its work off the worker.
    pub fn advice(&self) -> &'static str {
        match self.cpu {
            CpuUse::Off => {
                "Move what blocks to `spawn_blocking`, wrap it in `block_in_place`, or await an async form of it."
            }
            CpuUse::On => {
                "Call `yield_now().await` in the loop from time to time, or move the computation to `spawn_blocking`."
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
                    write!(f, " `{}`", Printable(name))?;
                }
                write!(f, " (spawned at {})", ShortLocation(task.location))?;
            }
            None => match self.root {
                Some(location) => write!(f, "the future of `block_on` (called at {})", ShortLocation(location))?,
                None => f.write_str("a task")?,
            },
        }
        let elapsed = Grouped(self.elapsed.as_millis() as u64);
        f.write_str(if self.has_ended { " did not reach" } else { " has not reached" })?;
        write!(f, " an `.await` for {elapsed} ms")?;
        if let Some(name) = &self.thread_name {
            write!(f, ", on thread `{}`", Printable(name))?;
        }
        f.write_str(match self.cpu {
            CpuUse::Off => ", off the CPU",
            CpuUse::On => ", on the CPU",
            CpuUse::Waiting => ", waiting for a CPU",
            CpuUse::Stopped => ", stopped",
            CpuUse::Unknown => "",
        })?;
        // A thread that mostly computes may be in any system call at this moment.
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
        f.write_str(self.advice())?;
        match &self.stack {
            Some(stack) => write!(f, " Its thread is in:{stack}"),
            None => Ok(()),
        }
    }
}

/// Delivers the reports of a runtime, which may have this name. Reports with a stack are delivered on a separate
/// thread: reading the program's debug information may take a second, and the monitor must rescue other workers
/// meanwhile. Beyond `REPORTERS_MAX` threads, or if the system refuses the thread, the stacks are left out.
pub(crate) fn deliver(reports: Vec<LatePoll>, hook: Option<&LatePollHook>, runtime: Option<&str>) {
    if reports.iter().all(|late| late.stack.is_none()) {
        deliver_here(reports, hook, runtime);
        return;
    }
    let reports = Arc::new(Mutex::new(reports));
    let reporter = ReportThread::new();
    if reporter.is_some() {
        let theirs = Arc::clone(&reports);
        let (own_hook, own_name) = (hook.cloned(), runtime.map(str::to_owned));
        let started = thread::spawn_named("redd-report".to_owned(), None, move || {
            let _reporter = reporter;
            let reports = std::mem::take(&mut *theirs.lock());
            deliver_here(reports, own_hook.as_ref(), own_name.as_deref());
        });
        if started.is_ok() {
            return;
        }
    }
    // Without the stacks, which are what takes the time.
    let reports = std::mem::take(&mut *reports.lock());
    deliver_here(reports.into_iter().map(|late| LatePoll { stack: None, ..late }).collect(), hook, runtime);
}

/// Delivers the reports on this thread. A panic of the hook or of a subscriber is caught.
fn deliver_here(reports: Vec<LatePoll>, hook: Option<&LatePollHook>, runtime: Option<&str>) {
    for late in reports {
        guarded(|| emit(&late));
        guarded(|| match hook {
            Some(hook) => hook(&late),
            None => write_line(&late, runtime),
        });
    }
}

/// Emits a late poll as a warning of target `redd::late_poll`.
#[cfg_attr(not(feature = "tracing"), allow(unused_variables, reason = "only a subscriber reads it"))]
fn emit(late: &LatePoll) {
    #[cfg(feature = "tracing")]
    tracing::warn!(
        target: "redd::late_poll",
        task = late.task_id().map(tracing::field::display),
        name = late.task_name(),
        spawned_at = late.spawned_at().map(tracing::field::display),
        has_ended = late.has_ended(),
        computed_ms = late.cpu_time().map(|time| time.as_millis() as u64),
        elapsed_ms = late.elapsed().as_millis() as u64,
        cpu = ?late.cpu_use(),
        system_call = late.system_call(),
        wait_channel = late.wait_channel(),
        action = ?late.action(),
        "{late}"
    );
}

/// Writes the line of a late poll to standard error, unless the rate limit is reached.
pub(crate) fn write_line(late: &LatePoll, runtime: Option<&str>) {
    match runtime {
        Some(name) => report(ReportKind::LatePoll, format_args!("late poll of runtime `{}`: {late}", Printable(name))),
        None => report(ReportKind::LatePoll, format_args!("late poll: {late}")),
    }
}

/// A guard that counts one thread that writes reports.
struct ReportThread;

impl ReportThread {
    /// Returns `None` if there are enough.
    fn new() -> Option<Self> {
        // Dropped, and so uncounted, if it is one too many.
        let (reporter, others) = (Self, REPORTERS.fetch_add(1, Ordering::Relaxed));
        (others < REPORTERS_MAX).then_some(reporter)
    }
}

impl Drop for ReportThread {
    fn drop(&mut self) {
        REPORTERS.fetch_sub(1, Ordering::Relaxed);
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
            thread_name: Some("redd-worker-0".to_owned()),
            worker: 0,
            behind: Behind { queued: 1, injected: 2000, has_due_timers: true, has_timers: true, ..Behind::default() },
            action: RescueAction::StartedSpare,
            stack: None,
        }
    }

    #[test]
    fn the_line_has_what_the_poll_did_what_waits_and_what_was_done() {
        assert_eq!(
            late().to_string(),
            "a task has not reached an `.await` for 1,002 ms, on thread `redd-worker-0`, off the CPU (hrtimer_nanosleep), \
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
            "a task did not reach an `.await` for 1,002 ms, on thread `redd-worker-0`, on the CPU, computed 610 of 1,002 \
             ms. Nothing waits behind it. Call `yield_now().await` in the loop from time to time, or move the computation to \
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
                "the future of `block_on` (called at {location}) has not reached an `.await` for 1,002 ms, waiting for a CPU, \
                 computed 1 of 1,002 ms. Behind it: tasks of other workers, timers, I/O. Nothing was done: this runtime \
                 only reports. The machine has too few CPUs for what runs on it; the task may be fine."
            )
        );
    }

    #[test]
    fn no_line_refers_to_work_that_does_not_exist() {
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

    #[test]
    fn a_report_thread_that_panics_counts_itself_out() {
        let reporters: Vec<_> = (0..REPORTERS_MAX).map_while(|_| ReportThread::new()).collect();
        assert!(ReportThread::new().is_none(), "{} run", reporters.len());
        assert_eq!(guarded(|| std::panic::resume_unwind(Box::new(reporters))), None::<()>);
        assert!(ReportThread::new().is_some());
    }
}
