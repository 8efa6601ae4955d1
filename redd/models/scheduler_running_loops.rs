//! Models of the end of all waits: running loops, a close, and the last loop that ends.

use super::super::running_loops::{CLOSED, COUNT, LoopAction, RunningLoops};
use crate::primitives::atomic::{AtomicUsize, Ordering};
use crate::primitives::checker::sync::Arc;
use crate::primitives::checker::thread;
use crate::primitives::{mistake, model};

const OPEN_PHASE: usize = 0;
const CLOSED_PHASE: usize = 1;

const UNBORN: usize = 0;
const PUBLISHED: usize = 1;
const CANCELLED: usize = 2;

/// A runtime that consists of its running loops, its phase and one task.
struct Ending {
    running_loops: RunningLoops,
    phase: AtomicUsize,
    task: AtomicUsize,
    /// The number of times that the waits have ended.
    ends: AtomicUsize,
    exit: fn(&RunningLoops) -> LoopAction,
    close: fn(&RunningLoops) -> LoopAction,
}

impl Ending {
    /// Step 5.
    fn apply(&self, action: LoopAction) {
        if action == LoopAction::EndWaits {
            let ends = self.ends.fetch_add(1, Ordering::AcqRel);
            assert_eq!(ends, 0, "the waits end once");
            self.cancel();
        }
    }

    fn cancel(&self) {
        // A spawn publishes before this, or sees the phase.
        let _ = self.task.compare_exchange(PUBLISHED, CANCELLED, Ordering::AcqRel, Ordering::Relaxed);
    }

    fn is_closed(&self) -> bool {
        self.phase.load(Ordering::Acquire) == CLOSED_PHASE
    }

    /// One poll by a running loop, if the runtime is open: it spawns a task, and its waits have not ended.
    fn poll(&self) {
        if self.is_closed() {
            return;
        }
        self.task.store(PUBLISHED, Ordering::Release);
        assert_eq!(self.ends.load(Ordering::Acquire), 0, "no wait ends while a loop runs");
    }

    fn block(&self) {
        self.apply((self.exit)(&self.running_loops));
    }

    fn leave(&self) {
        self.apply((self.exit)(&self.running_loops));
        self.cancel();
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Blocked {
    Stays,
    Returns,
}

/// One worker polls a task that spawns another and then blocks in place, forever or for some time. If there is a second worker,
/// it leaves when it sees the close. This thread closes.
fn end_of_waits(
    others: usize,
    blocked: Blocked,
    exit: fn(&RunningLoops) -> LoopAction,
    close: fn(&RunningLoops) -> LoopAction,
) {
    let ending = Arc::new(Ending {
        running_loops: RunningLoops::default(),
        phase: AtomicUsize::new(OPEN_PHASE),
        task: AtomicUsize::new(UNBORN),
        ends: AtomicUsize::new(0),
        exit,
        close,
    });
    (0..=others).for_each(|_| ending.running_loops.enter());
    let mut workers = Vec::new();
    {
        let ending = Arc::clone(&ending);
        workers.push(thread::spawn(move || {
            ending.poll();
            ending.block();
            if blocked == Blocked::Returns {
                ending.running_loops.enter();
                ending.leave();
            }
        }));
    }
    for _ in 0..others {
        let ending = Arc::clone(&ending);
        // What it does before it sees the close does not matter.
        workers.push(thread::spawn(move || ending.leave()));
    }
    ending.phase.store(CLOSED_PHASE, Ordering::Release);
    ending.apply((ending.close)(&ending.running_loops));
    for worker in workers {
        worker.join().expect("no panic");
    }
    assert_eq!(ending.ends.load(Ordering::Relaxed), 1, "the waits end");
    assert_ne!(ending.task.load(Ordering::Relaxed), PUBLISHED, "a task that no worker polls is cancelled");
}

/// The mistake: checks whether the runtime has closed in a step before the one that counts.
fn exit_in_two_steps(running_loops: &RunningLoops) -> LoopAction {
    let is_closed = running_loops.0.load(Ordering::Acquire) & CLOSED != 0;
    let before = running_loops.0.fetch_sub(1, Ordering::AcqRel);
    match (is_closed, before & COUNT) {
        (false, _) => LoopAction::Continue,
        (true, 1) => LoopAction::EndWaits,
        (true, _) => LoopAction::WakeAnother,
    }
}

/// The mistake: sets the flag, and leaves the rest to the workers.
fn close_without_a_check(running_loops: &RunningLoops) -> LoopAction {
    running_loops.0.fetch_or(CLOSED, Ordering::AcqRel);
    LoopAction::WakeAnother
}

/// The mistake: reads the number and the flag in one step, but does not record that it was the last.
fn exit_without_a_record(running_loops: &RunningLoops) -> LoopAction {
    let before = running_loops.0.fetch_sub(1, Ordering::AcqRel);
    match (before & CLOSED != 0, before & COUNT) {
        (false, _) => LoopAction::Continue,
        (true, 1) => LoopAction::EndWaits,
        (true, _) => LoopAction::WakeAnother,
    }
}

model!(loom_running_loops_waits_end_when_the_only_worker_stays_blocked, || end_of_waits(
    0,
    Blocked::Stays,
    RunningLoops::exit,
    RunningLoops::close
));

model!(loom_running_loops_waits_end_once_when_a_worker_blocks_and_another_leaves, || end_of_waits(
    1,
    Blocked::Stays,
    RunningLoops::exit,
    RunningLoops::close
));

model!(loom_running_loops_waits_end_once_when_a_worker_blocks_and_returns, || end_of_waits(
    0,
    Blocked::Returns,
    RunningLoops::exit,
    RunningLoops::close
));

mistake!(loom_running_loops_catches_an_exit_that_checks_before_it_counts, "the waits end", || end_of_waits(
    0,
    Blocked::Stays,
    exit_in_two_steps,
    RunningLoops::close
));

mistake!(loom_running_loops_catches_a_close_that_does_not_check, "the waits end", || end_of_waits(
    0,
    Blocked::Stays,
    RunningLoops::exit,
    close_without_a_check
));

mistake!(loom_running_loops_catches_an_end_that_is_not_recorded, "the waits end once", || end_of_waits(
    0,
    Blocked::Returns,
    exit_without_a_record,
    RunningLoops::close
));
