//! A turn of the monitor when a runtime's alarm has fired, and the delivery of the reports.
//!
//! Called by the monitor thread, and by the runtime (start, stop).
//!
//! # Invariants
//! - `hook-last`: the program's hook runs at the end of a turn and without a lock, and a panic in it is caught there.
//! - `not-after-stop`: a turn holds the lock of `StallDetector::monitor` while it acts. `stop` takes that lock after it has set
//!   `has_ended`, so no turn acts for a runtime that is being shut down.

use std::io;
use std::sync::Arc;

use super::monitor_thread::OnAlarm;
use super::options::Mode;
use super::scan::polls;
use crate::observe::late_poll::{self, Stack};
use crate::primitives::atomic::Ordering;
use crate::scheduler::pace::PATIENCE_WITH_STACK;
use crate::scheduler::shared::Shared;
use crate::scheduler::slot::WorkerSlot;
use crate::sys;
use crate::time::clock::real_now;

/// Registers a runtime whose workers run already.
pub(crate) fn start(shared: &Shared) -> io::Result<()> {
    if shared.config.rescue.mode == Mode::Off {
        return Ok(());
    }
    shared.stall_detector.register(shared)?;
    // The workers run already, and could not arm it (`armed-while-awake`).
    let detector = &shared.stall_detector;
    detector.arm(&mut detector.scan_state.lock(), shared.ms_at(real_now()), detector.threshold);
    Ok(())
}

/// Ends the registration. After it has returned, the monitor takes no action for the runtime, but may still be inside a hook.
pub(crate) fn stop(shared: &Shared) {
    let detector = &shared.stall_detector;
    detector.scan_state.lock().has_ended = true; // `alarm-under-lock` of `rescue`
    if let (Some(registration), Some(alarm)) = (detector.registration.get(), detector.alarm.get()) {
        registration.end(alarm);
    }
    // `not-after-stop`: a turn that has begun ends first.
    let ended = detector.monitor.lock().take_ended(shared);
    if shared.config.on_late_poll.is_none() {
        for late in &ended {
            late_poll::write_line(late, shared.config.name.as_deref());
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
        monitor.take_turn(shared)
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
    let reports = now.into_iter().map(|report| report.late).collect();
    late_poll::deliver(reports, shared.config.on_late_poll.as_ref(), shared.config.name.as_deref()); // `hook-last`
}

/// The stack of a poll. It is not taken under the lock, as its thread may need up to `PATIENCE_WITH_STACK` for it.
fn stack(shared: &Shared, slot: &WorkerSlot, before: u64) -> Option<Stack> {
    let frames = sys::stack::of_thread(slot.thread.load(Ordering::Relaxed), PATIENCE_WITH_STACK)?;
    (polls(shared, slot) == before).then_some(Stack(frames))
}
