//! The monitor thread: waits for the alarms of all runtimes, has `monitor` run a turn, and delivers the reports.
//!
//! A process has one, started for the first runtime that is monitored. It sleeps in an epoll on the alarms of all runtimes, and
//! never ends. Called by the runtime (start, stop); `StallDetector` sets the alarms.
//!
//! # Invariants
//! - `survives`: a panic in a turn is a bug in redd. It is reported, and does not end the thread.
//! - `hook-last`: the program's hook runs after everything else of a turn, without a lock, and a panic of it is caught there.
//! - `not-after-stop`: a turn holds the lock of `StallDetector::monitor` while it acts. `stop` takes it after the end is announced,
//!   so no turn acts for a runtime that is being shut down.
//!
//! # Why not otherwise
//! A thread for each runtime doubles the cost of a short runtime, and a program with a runtime on each core has as many
//! threads that do nothing.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, OnceLock, Weak};

use super::polls;
use super::report::{LatePoll, Mode, Stack, write_line};
use crate::observe::late_poll;
use crate::observe::report::{self, ReportKind};
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::AtomicU32;
use crate::primitives::{Mutex, thread};
use crate::scheduler::pace::{PATIENCE_WITH_STACK, REPORTERS_MAX};
use crate::scheduler::{Shared, WorkerSlot};
use crate::sys;
use crate::sys::alarm::Alarm;
use crate::sys::epoll::{Epoll, EventBuffer, flags};
use crate::sys::fork::Process;
use crate::task::hooks::guarded;
use crate::time::clock::real_now;

/// Threads that write reports with stacks; at most `REPORTERS_MAX`. In a storm, or without a thread, stacks are left out.
static REPORTERS: AtomicU32 = AtomicU32::new(0);

/// The monitor of a process: a child of `fork` has none, and must not touch its parent's epoll.
#[derive(Debug)]
struct MonitorThread {
    process: Process,
    epoll: Epoll,
    runtimes: Mutex<Runtimes>,
}

#[derive(Debug, Default)]
struct Runtimes {
    next: u64,
    watched: Vec<(u64, Weak<Shared>)>,
}

static MONITOR_THREAD: OnceLock<Mutex<Option<Arc<MonitorThread>>>> = OnceLock::new();

impl MonitorThread {
    /// The one of this process.
    fn open() -> io::Result<Arc<Self>> {
        let mut monitor_thread = MONITOR_THREAD.get_or_init(Mutex::default).lock();
        if let Some(monitor_thread) =
            monitor_thread.as_ref().filter(|monitor_thread| monitor_thread.process.is_current())
        {
            return Ok(Arc::clone(monitor_thread));
        }
        let new = Self { process: Process::current(), epoll: Epoll::new()?, runtimes: Mutex::default() };
        let new = Arc::new(new);
        let mine = Arc::clone(&new);
        drop(thread::spawn_named("redd-monitor".to_owned(), None, move || mine.on_alarm())?);
        *monitor_thread = Some(Arc::clone(&new));
        Ok(new)
    }

    /// The thread.
    fn on_alarm(&self) {
        let mut events = EventBuffer::with_capacity(16);
        loop {
            if let Err(error) = self.epoll.wait(&mut events, None) {
                return report::report(
                    ReportKind::Own,
                    format_args!(
                        "the monitor ends, so blocked workers are not noticed any more: waiting in its epoll failed: \
                         {error}. Its descriptor was closed or changed by other code of this process; find what closes \
                         descriptors that are not its own."
                    ),
                );
            }
            for (_, number) in events.iter() {
                let find = |runtimes: &Runtimes| {
                    runtimes.watched.iter().find(|(known, _)| *known == number).and_then(|(_, shared)| shared.upgrade())
                };
                let shared = find(&self.runtimes.lock());
                let attended = shared.map(|shared| guarded(|| on_alarm(&shared)));
                if let Some(None) = attended {
                    // `survives`
                    report::report(
                        ReportKind::Own,
                        format_args!(
                            "the monitor panicked and goes on. This is a bug in redd; please report it with the message of \
                             the panic."
                        ),
                    );
                }
            }
        }
    }
}

/// The registration of a runtime with the monitor thread.
#[derive(Debug)]
pub(super) struct Registration {
    monitor_thread: Arc<MonitorThread>,
    number: u64,
}

/// Registers this runtime with the monitor.
pub(super) fn register(shared: &Shared) -> io::Result<()> {
    let (monitor_thread, alarm) = (MonitorThread::open()?, Alarm::new()?);
    let number = {
        let mut runtimes = monitor_thread.runtimes.lock();
        runtimes.next += 1;
        let number = runtimes.next;
        runtimes.watched.push((number, Arc::downgrade(&shared.arc())));
        number
    };
    let registration = Registration { monitor_thread, number };
    if let Err(error) = registration.monitor_thread.epoll.add(alarm.as_raw_fd(), flags::IN | flags::ET, number) {
        registration.leave();
        return Err(error);
    }
    shared.stall_detector.alarm.get_or_init(|| alarm);
    shared.stall_detector.registration.get_or_init(|| registration);
    Ok(())
}

impl Registration {
    fn leave(&self) {
        self.monitor_thread.runtimes.lock().watched.retain(|(number, _)| *number != self.number);
    }
}

/// Registers a runtime whose workers run already.
pub(crate) fn start(shared: &Shared) -> io::Result<()> {
    if shared.config.rescue.mode == Mode::Off {
        return Ok(());
    }
    register(shared)?;
    // The workers run already, and could not set it (`guarded-while-awake`).
    let detector = &shared.stall_detector;
    detector.set(&mut detector.guard.lock(), shared.ms_at(real_now()), detector.threshold);
    Ok(())
}

/// Ends the registration. When this returns, the monitor does nothing for the runtime, but may still be inside a hook.
pub(crate) fn stop(shared: &Shared) {
    let detector = &shared.stall_detector;
    detector.guard.lock().has_ended = true; // `alarm-under-lock` of `rescue`
    if let (Some(registration), Some(alarm)) = (detector.registration.get(), detector.alarm.get()) {
        registration.leave();
        // An error would mean that the descriptor was closed by other code; then it is gone too.
        let _ = registration.monitor_thread.epoll.delete(alarm.as_raw_fd());
    }
    // `not-after-stop`: a turn that has begun ends first.
    let ended = detector.monitor.lock().take_ended(shared);
    if shared.config.on_late_poll.is_none() {
        for late in &ended {
            write_line(late, shared.config.name.as_deref());
        }
    }
}

/// An alarm has fired.
fn on_alarm(shared: &Arc<Shared>) {
    let mut reports = {
        let monitor = &mut *shared.stall_detector.monitor.lock(); // `not-after-stop`
        monitor.on_alarm(shared)
    };
    if reports.is_empty() {
        return;
    }
    if shared.config.rescue.with_stack {
        for report in reports.iter_mut().filter(|report| report.wants_stack) {
            report.late.stack = stack(shared, shared.slot(report.late.worker), report.polls);
        }
    }
    let (held, now): (Vec<_>, Vec<_>) = reports.into_iter().partition(|report| report.is_held);
    if !held.is_empty() {
        shared.stall_detector.monitor.lock().hold(held);
    }
    let reports: Vec<LatePoll> = now.into_iter().map(|report| report.late).collect();
    if reports.iter().all(|late| late.stack.is_none()) {
        deliver(shared, reports);
        return;
    }
    let reports = Arc::new(Mutex::new(reports));
    // Reading the program's debug information may take a second, and other workers are to be rescued meanwhile.
    let (mine, theirs) = (Arc::clone(shared), Arc::clone(&reports));
    let reporter = ReportThread::new();
    if reporter.is_some() {
        let started = thread::spawn_named("redd-report".to_owned(), None, move || {
            let _reporter = reporter;
            let reports = std::mem::take(&mut *theirs.lock());
            deliver(&mine, reports);
        });
        if started.is_ok() {
            return;
        }
    }
    // Without the stacks, which take the time.
    let reports = std::mem::take(&mut *reports.lock());
    deliver(shared, reports.into_iter().map(|late| LatePoll { stack: None, ..late }).collect());
}

/// A guard: one thread writes reports.
struct ReportThread;

impl ReportThread {
    /// `None` if there are enough.
    fn new() -> Option<Self> {
        // Dropped if it is one too many.
        let (reporter, others) = (Self, REPORTERS.fetch_add(1, Ordering::Relaxed));
        (others < REPORTERS_MAX).then_some(reporter)
    }
}

impl Drop for ReportThread {
    fn drop(&mut self) {
        REPORTERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// `hook-last`: delivers the reports to the hook, or to standard error.
fn deliver(shared: &Shared, reports: Vec<LatePoll>) {
    for late in reports {
        guarded(|| late_poll::emit(&late));
        match &shared.config.on_late_poll {
            Some(hook) => {
                guarded(|| hook(&late));
            }
            None => {
                guarded(|| write_line(&late, shared.config.name.as_deref()));
            }
        }
    }
}

/// The stack of a poll. It is not taken under the lock, as its thread may take a while.
fn stack(shared: &Shared, slot: &WorkerSlot, before: u64) -> Option<Stack> {
    let frames = sys::stack::of_thread(slot.thread.load(Ordering::Relaxed), PATIENCE_WITH_STACK)?;
    (polls(shared, slot) == before).then_some(Stack(frames))
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_turn_of_the_monitor_is_survived_and_so_is_a_report_thread_that_counts_itself_out() {
        let reporters: Vec<_> = (0..REPORTERS_MAX).map_while(|_| ReportThread::new()).collect();
        assert!(ReportThread::new().is_none(), "{} run", reporters.len());
        assert_eq!(guarded(|| std::panic::resume_unwind(Box::new(reporters))), None::<()>);
        assert!(ReportThread::new().is_some());
    }
}
