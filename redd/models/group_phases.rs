//! Models of a phase of a shutdown: the driver that waits, beside the end of what it waits for.
//!
//! They run the real state of the phases. The driver is polled by hand, and the member of the phase is not a group, since that would
//! need a runtime.

use std::future::Future;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::{InPhase, PhaseMember, PhasesCore};
use crate::group::phases_report::{HoldInfo, Left};
use crate::group::scope::Reason;
use crate::primitives::atomic::{AtomicUsize, Ordering};
use crate::primitives::checker::thread;
use crate::primitives::{Mutex, mistake, model};
use crate::time::clock::real_now;

/// Counts its wakes.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// As a group, with one task.
struct Member(Mutex<bool>);

impl PhaseMember for Member {
    fn is_busy(&self) -> bool {
        *self.0.lock()
    }

    fn left(&self) -> Vec<Left> {
        Vec::new()
    }

    fn end(self: Arc<Self>, _: Reason) {
        *self.0.lock() = false;
    }
}

fn one_phase() -> Arc<PhasesCore> {
    let core = PhasesCore::new();
    core.add("requests", Duration::MAX).expect("it is the first one");
    core
}

/// The phase begins and is waited for, while `end` runs on another thread.
fn wait_beside(core: &Arc<PhasesCore>, end: impl FnOnce() + Send + 'static) {
    let ender = thread::spawn(end);
    core.begin(0, real_now());
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut done = pin!(core.until(|| !core.has_holds(0..1) && !core.has_busy_group(0..1)));
    let polled = done.as_mut().poll(&mut Context::from_waker(&waker));
    ender.join().expect("it does not panic");
    if polled.is_pending() {
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1, "the end wakes the driver");
        assert_eq!(done.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(()));
    }
}

fn last_hold() {
    let core = one_phase();
    let hold = HoldInfo { name: Arc::from("request"), location: Location::caller(), since: real_now() };
    let key = core.add_hold(0, hold).expect("the phase is not over");
    let ender = Arc::clone(&core);
    wait_beside(&core, move || ender.remove_hold(0, key));
}

fn last_task() {
    let core = one_phase();
    let (member, in_phase) = (Arc::new(Member(Mutex::new(true))), InPhase::new(&core, 0));
    let weak = Arc::downgrade(&member);
    assert!(in_phase.enter(weak).is_none(), "the phase is not over");
    wait_beside(&core, move || {
        *member.0.lock() = false;
        in_phase.emptied();
    });
}

/// The group is done, as one whose last clean-up has run.
fn last_group() {
    let core = one_phase();
    let (member, in_phase) = (Arc::new(Member(Mutex::new(true))), InPhase::new(&core, 0));
    let weak = Arc::downgrade(&member);
    assert!(in_phase.enter(weak).is_none(), "the phase is not over");
    wait_beside(&core, move || {
        let _member = member;
        in_phase.leave();
    });
}

/// A group starts while its phase ends.
fn enter_beside_the_end() {
    let core = one_phase();
    let (member, in_phase) = (Arc::new(Member(Mutex::new(true))), InPhase::new(&core, 0));
    let ender = Arc::clone(&core);
    let ender = thread::spawn(move || ender.end(0, real_now()));
    let weak = Arc::downgrade(&member);
    let is_late = in_phase.enter(weak).is_some();
    ender.join().expect("it does not panic");
    assert!(is_late || !member.is_busy(), "a group that starts is told that its phase is over");
}

model!(loom_a_phase_sees_the_end_of_its_last_hold, last_hold);
model!(loom_a_phase_sees_the_end_of_its_last_group, last_group);
model!(loom_a_group_that_starts_is_told_the_end_of_its_phase, enter_beside_the_end);
model!(loom_a_phase_sees_the_end_of_its_last_task, last_task);

mistake!(
    loom_a_phase_that_looks_before_the_version_is_caught,
    "the end wakes the driver",
    patch "a phase that looks before the version",
    last_task
);

mistake!(
    loom_a_group_that_enters_in_two_steps_is_caught,
    "a group that starts is told that its phase is over",
    patch "a group that enters in two steps",
    enter_beside_the_end
);
