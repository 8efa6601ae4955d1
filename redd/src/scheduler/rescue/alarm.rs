//! A turn of the monitor when a runtime's alarm has fired, and the delivery of the reports.
//!
//! Called by the monitor thread, and by the runtime (start, stop).
//!
//! # Invariants
//! - `hook-last`: the program's hook runs after everything else of a turn, without a lock, and a panic of it is caught there.
//! - `not-after-stop`: a turn holds the lock of `StallDetector::monitor` while it acts. `stop` takes it after the end is announced,
//!   so no turn acts for a runtime that is being shut down.

use std::io;
use std::sync::Arc;

use super::monitor_thread::OnAlarm;
use super::report::{LatePoll, Mode, Stack, write_line};
use super::scan::polls;
use crate::observe::late_poll;
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::AtomicU32;
use crate::primitives::{Mutex, thread};
use crate::scheduler::pace::{PATIENCE_WITH_STACK, REPORTERS_MAX};
use crate::scheduler::shared::Shared;
use crate::scheduler::slot::WorkerSlot;
use crate::sys;
use crate::task::hooks::guarded;
use crate::time::clock::real_now;

/// Threads that write reports with stacks; at most `REPORTERS_MAX`. In a storm, or without a thread, stacks are left out.
static REPORTERS: AtomicU32 = AtomicU32::new(0);

/// Registers a runtime whose workers run already.
pub(crate) fn start(shared: &Shared) -> io::Result<()> {
    if shared.config.rescue.mode == Mode::Off {
        return Ok(());
    }
    shared.stall_detector.register(shared)?;
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
        registration.end(alarm);
    }
    // `not-after-stop`: a turn that has begun ends first.
    let ended = detector.monitor.lock().take_ended(shared);
    if shared.config.on_late_poll.is_none() {
        for late in &ended {
            write_line(late, shared.config.name.as_deref());
        }
    }
}

impl OnAlarm for Shared {
    fn on_alarm(self: Arc<Self>) {
        run_turn(&self);
    }
}

/// Runs a turn of the monitor, and delivers the reports.
fn run_turn(shared: &Arc<Shared>) {
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
