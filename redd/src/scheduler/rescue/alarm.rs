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

use super::monitor::{Report, count};
use super::monitor_thread::OnAlarm;
use super::options::Mode;
use super::scan::polls;
use crate::observe::late_poll::{self, LatePoll, Stack};
use crate::primitives::atomic::Ordering;
use crate::scheduler::pace::{MUCH_LATER, PATIENCE_WITH_STACK};
use crate::scheduler::shared::Shared;
use crate::sys;
use crate::sys::stack::ThreadStack;
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
        reports.retain_mut(|report| !report.wants_stack || add_stack(shared, report));
    }
    let (held, now): (Vec<_>, Vec<_>) = reports.into_iter().partition(|report| report.is_held);
    if !held.is_empty() {
        shared.stall_detector.monitor.lock().hold(held);
    }
    let reports: Vec<_> = now.into_iter().map(|report| report.late).collect();
    // Those that have ended are counted already.
    let is_first = |late: &&LatePoll| !late.is_reminder && !late.has_ended;
    reports.iter().filter(is_first).for_each(|late| count(shared, late));
    late_poll::deliver(reports, shared.config.on_late_poll.as_ref(), shared.config.name.as_deref()); // `hook-last`
}

/// Adds the stack of a poll. It is not taken under the lock, as its thread may need up to `PATIENCE_WITH_STACK` for it. False if
/// there is nothing to report now: the thread is in a panic, which has its own message. A panic that takes too long is reported.
fn add_stack(shared: &Shared, report: &mut Report) -> bool {
    let slot = shared.slot(report.late.worker);
    let Some(ThreadStack { frames, is_panicking }) =
        sys::stack::of_thread(slot.thread.load(Ordering::Relaxed), PATIENCE_WITH_STACK)
    else {
        return true;
    };
    if polls(shared, slot) != report.polls {
        return true;
    }
    if is_panicking && report.late.elapsed < shared.config.rescue.report_after.saturating_mul(MUCH_LATER * MUCH_LATER) {
        shared.stall_detector.monitor.lock().excuse(report);
        return false;
    }
    report.late.stack = Some(Stack(frames));
    true
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use super::*;
    use crate::observe::late_poll::{Behind, CpuUse, RescueAction};
    use crate::primitives::{thread, user_code::guarded};
    use crate::runtime::{Builder, Rescue};
    use crate::scheduler::rescue::decide::Lateness;

    /// Waits in its drop, as a panic waits for the output of its backtrace.
    struct WaitsInDrop(Receiver<()>);

    impl Drop for WaitsInDrop {
        fn drop(&mut self) {
            self.0.recv().expect("the test continues");
        }
    }

    const AFTER: Duration = Duration::from_secs(60);

    /// Whether a poll that has taken this long is reported.
    fn is_reported(shared: &Shared, elapsed: Duration) -> bool {
        loop {
            let late = LatePoll {
                task: None,
                root: None,
                elapsed,
                is_reminder: false,
                has_ended: false,
                cpu: CpuUse::On,
                computed: None,
                system_call: None,
                wait_channel: None,
                thread_name: None,
                worker: 0,
                behind: Behind::default(),
                action: RescueAction::ReportOnly,
                stack: None,
            };
            let polls = polls(shared, shared.slot(0));
            let mut report = Report { late, polls, is_held: false, wants_stack: true };
            let is_reported = add_stack(shared, &mut report);
            // Otherwise the thread had no CPU, and did not respond in time.
            if !is_reported || report.late.stack.is_some() {
                return is_reported;
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no signals between threads")]
    fn a_poll_in_a_panic_is_excused_and_is_judged_anew_when_the_program_has_caught_the_panic() {
        if sys::emulation::skips("rescue: stack", "it has no frame of the interrupted code for the unwinder") {
            return;
        }
        let rescue = Rescue::report_only().report_after(AFTER).with_stack(true);
        let runtime = Builder::new_multi_thread().worker_threads(1).rescue(rescue).build().expect("a runtime");
        let shared = &runtime.handle().shared;
        let (go_on, may_go_on) = channel();
        let (catches, has_caught) = channel();
        let (end, ended) = channel::<()>();
        let task = runtime.spawn(async move {
            guarded(|| {
                let _waits = WaitsInDrop(may_go_on);
                std::panic::resume_unwind(Box::new("it is caught"));
            });
            catches.send(()).expect("the test waits");
            ended.recv().expect_err("the test ends it");
        });
        let monitor = &shared.stall_detector.monitor;
        let is_tracked = || {
            let monitor = monitor.lock();
            let track = monitor.tracks.first();
            track.is_some_and(|track| track.reading.is_some() && track.polls == polls(shared, shared.slot(0)))
        };
        while !is_tracked() {
            thread::yield_now();
        }
        let elapsed = AFTER * 2;
        while shared.slot(0).mark.polls() != 1 || is_reported(shared, elapsed) {
            thread::yield_now(); // until it unwinds
        }
        {
            let monitor = monitor.lock();
            let lateness = |elapsed| monitor.tracks[0].whole(elapsed).lateness(AFTER, false);
            assert_eq!(lateness(elapsed + AFTER / 2), Lateness::NotLate, "the panic's time is not the task's");
            assert_eq!(lateness(elapsed + AFTER * 2), Lateness::Late, "the time after it is");
        }
        assert!(is_reported(shared, AFTER * 100), "a panic that takes too long");
        go_on.send(()).expect("it waits");
        has_caught.recv().expect("it continues");
        assert!(is_reported(shared, elapsed), "it is in no panic");
        drop(end);
        runtime.block_on(task).expect("the panic was caught");
    }
}
