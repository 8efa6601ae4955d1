//! Models of rescue: which workers are active, which task a poll belongs to, and the end of the runtime. Each has a seeded mistake.

#![expect(unsafe_code, reason = "loom's cells")]

use crate::primitives::checker::sync::Arc;
use crate::primitives::checker::thread;
use crate::primitives::{mistake, model};

use super::poll_mark::{PollMark, is_polling};
use crate::primitives::atomic::{AtomicUsize, Ordering};
use crate::primitives::cell::UnsafeCell;
use crate::scheduler::worker_states::{WorkerState, WorkerStates, join_unless_ended};
use crate::task::header::Header;

/// One worker, and spares.
struct SmallRuntime {
    states: WorkerStates,
    worker: WorkerState,
    /// Spares that were started beside those at the beginning.
    started: AtomicUsize,
    retired: AtomicUsize,
}

#[derive(Clone, Copy, PartialEq)]
enum MonitorChecks {
    Last,
    /// The mistake.
    First,
    /// Another.
    Never,
}

impl SmallRuntime {
    /// The counts of `start_spare`.
    fn start(&self) {
        self.states.join(1);
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    fn block(&self) {
        if self.states.block(&self.worker) == 0 {
            self.start();
        }
    }

    fn monitor(&self, step: impl FnOnce(&WorkerStates, &WorkerState), checks: MonitorChecks) {
        if checks == MonitorChecks::First && self.states.active() == 0 {
            self.start();
        }
        step(&self.states, &self.worker);
        if checks == MonitorChecks::Last && self.states.active() == 0 {
            self.start();
        }
    }

    /// The count is that of the active workers, and there is one.
    #[track_caller]
    fn check(&self, spares: usize) {
        let spares = spares + self.started.load(Ordering::Relaxed) - self.retired.load(Ordering::Relaxed);
        let active = spares + usize::from(self.worker.is_active());
        assert_eq!(self.states.active(), active, "`counted-once`");
        assert!(active > 0, "no worker is active");
    }
}

fn runtime(active: usize) -> SmallRuntime {
    let runtime = SmallRuntime {
        states: WorkerStates::default(),
        worker: WorkerState::new(),
        started: AtomicUsize::new(0),
        retired: AtomicUsize::new(0),
    };
    runtime.states.join(active);
    runtime
}

/// The stalled worker returns from its poll, and then enters `block_in_place`. Meanwhile the monitor clears its mark, and its spare
/// tries to retire.
fn return_and_retire(checks: MonitorChecks) {
    let runtime = runtime(1);
    assert!(runtime.states.mark_stalled(&runtime.worker));
    runtime.states.join(1); // its spare
    let runtime = Arc::new(runtime);
    let worker = {
        let runtime = Arc::clone(&runtime);
        thread::spawn(move || {
            runtime.states.clear_mark(&runtime.worker);
            runtime.block();
        })
    };
    let spare = {
        let runtime = Arc::clone(&runtime);
        thread::spawn(move || {
            if runtime.states.try_retire(1) {
                runtime.retired.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    runtime.monitor(|states, worker| _ = states.clear_mark(worker), checks);
    worker.join().expect("no panic");
    spare.join().expect("no panic");
    runtime.check(1);
}

model!(loom_rescue_stalled_worker_returns_while_its_spare_retires, || return_and_retire(MonitorChecks::Last));

mistake!(loom_rescue_catches_a_monitor_that_does_not_check_last, "no worker is active", || return_and_retire(
    MonitorChecks::First
));

/// The monitor marks a worker that enters `block_in_place`, and perhaps leaves it.
fn mark_and_block(returns: bool, checks: MonitorChecks) {
    let runtime = Arc::new(runtime(1));
    let worker = {
        let runtime = Arc::clone(&runtime);
        thread::spawn(move || {
            runtime.block();
            if returns {
                runtime.states.unblock(&runtime.worker);
            }
        })
    };
    runtime.monitor(|states, worker| _ = states.mark_stalled(worker), checks);
    worker.join().expect("no panic");
    runtime.check(0);
}

model!(loom_rescue_marks_a_worker_that_blocks_in_place, || mark_and_block(false, MonitorChecks::Last));

model!(loom_rescue_marks_a_worker_that_blocks_in_place_and_returns, || mark_and_block(true, MonitorChecks::Last));

mistake!(loom_rescue_catches_a_monitor_that_marks_and_goes_away, "no worker is active", || mark_and_block(
    false,
    MonitorChecks::Never
));

/// A stalled spare ends its poll and retires while the monitor, which saw the poll, marks it. The worker stays active.
fn mark_and_retire(takes_back: bool) {
    let runtime = Arc::new(runtime(2));
    let is_polling = Arc::new(AtomicUsize::new(1));
    let spare = {
        let (runtime, is_polling) = (Arc::clone(&runtime), Arc::clone(&is_polling));
        thread::spawn(move || {
            is_polling.store(0, Ordering::Release);
            runtime.states.clear_mark(&runtime.worker);
            if runtime.states.try_retire(1) {
                runtime.retired.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let turn = || {
        if is_polling.load(Ordering::Acquire) == 0 {
            runtime.states.clear_mark(&runtime.worker);
        }
    };
    runtime.states.mark_stalled(&runtime.worker);
    if takes_back {
        turn();
    }
    spare.join().expect("no panic");
    // The next turn at the latest.
    if takes_back {
        turn();
    }
    let left = 2 - runtime.retired.load(Ordering::Relaxed);
    assert_eq!(runtime.states.active(), left, "the count is right again");
    assert!(left > 0, "no worker is active");
}

model!(loom_rescue_marks_a_spare_that_retires, || mark_and_retire(true));

mistake!(loom_rescue_catches_a_mark_that_is_not_taken_back, "the count is right again", || mark_and_retire(false));

/// The last worker leaves while the monitor starts a spare.
fn shutdown(join: fn(&AtomicUsize) -> bool) {
    let alive = Arc::new(AtomicUsize::new(1));
    let finished = Arc::new(AtomicUsize::new(0));
    let leave = |alive: &AtomicUsize, finished: &AtomicUsize| {
        if alive.fetch_sub(1, Ordering::AcqRel) == 1 {
            assert_eq!(finished.fetch_add(1, Ordering::Relaxed), 0, "the runtime finishes once");
        }
    };
    let worker = {
        let (alive, finished) = (Arc::clone(&alive), Arc::clone(&finished));
        thread::spawn(move || leave(&alive, &finished))
    };
    if join(&alive) {
        leave(&alive, &finished);
    }
    worker.join().expect("no panic");
    assert_eq!(finished.load(Ordering::Relaxed), 1, "the runtime finishes once");
}

model!(loom_rescue_starts_no_spare_after_the_end, || shutdown(join_unless_ended));

mistake!(loom_rescue_catches_a_spare_that_joins_without_a_check, "the runtime finishes once", || {
    shutdown(|alive| {
        alive.fetch_add(1, Ordering::AcqRel);
        true
    });
});

/// A slot of the slab, which is free if its reference count is 0. The mark stores its address as that of a header, and never
/// dereferences it.
struct Place {
    refs: AtomicUsize,
    id: UnsafeCell<u64>,
}

// SAFETY: the model checks which thread may access it; loom checks the cell.
unsafe impl Sync for Place {}

impl Place {
    fn new() -> Self {
        Self { refs: AtomicUsize::new(0), id: UnsafeCell::new(0) }
    }

    fn occupy(&self, id: u64) {
        // The slot is free, so it is ours; the references publish it.
        // SAFETY: loom fails the model if it is not.
        self.id.with_mut(|location| unsafe { *location = id });
        self.refs.store(1, Ordering::Release);
    }

    fn try_ref(&self) -> bool {
        let step = |refs| (refs > 0).then_some(refs + 1);
        self.refs.fetch_update(Ordering::Acquire, Ordering::Relaxed, step).is_ok()
    }

    /// True if it is free now.
    fn release(&self) -> bool {
        self.refs.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

struct Polled {
    mark: PollMark,
    locations: [Place; 2],
}

type TaskOf = fn(&PollMark, u64, &dyn Fn(*mut Header) -> Option<usize>) -> Option<usize>;

/// A worker polls a task that ends with its poll, and then one that moves into the same memory if that is free, and lives
/// on. Meanwhile the monitor names the task of the poll that it sees.
fn naming(task_of: TaskOf) {
    let polled = Arc::new(Polled { mark: PollMark::new(), locations: [Place::new(), Place::new()] });
    let worker = {
        let polled = Arc::clone(&polled);
        thread::spawn(move || {
            let poll = |location: &Place, id| {
                location.occupy(id);
                let polls = polled.mark.begin(std::ptr::from_ref(location).cast_mut().cast());
                polled.mark.end(polls);
            };
            poll(&polled.locations[0], 1);
            let is_free = polled.locations[0].release();
            poll(&polled.locations[usize::from(!is_free)], 2);
        })
    };
    // Also a thread of its own, so that all preemptions within the bound are between these two threads.
    let monitor = thread::spawn(move || {
        let polls = polled.mark.polls();
        if !is_polling(polls) {
            return;
        }
        let keep = |address: *mut Header| {
            let at = polled.locations.iter().position(|location| std::ptr::eq(location, address.cast()))?;
            polled.locations[at].try_ref().then_some(at)
        };
        if let Some(at) = task_of(&polled.mark, polls, &keep) {
            // SAFETY: as above; while we hold the reference, no other thread writes.
            let id = polled.locations[at].id.with(|id| unsafe { *id });
            assert_eq!(id, polls.div_ceil(2), "the right task or none");
            polled.locations[at].release();
        }
    });
    worker.join().expect("no panic");
    monitor.join().expect("no panic");
}

model!(loom_rescue_names_the_right_task_or_none, || naming(|mark, polls, keep| mark.task_of(polls, keep)));

mistake!(loom_rescue_catches_a_name_without_a_second_check, "the right task or none", || naming(|mark, _, keep| keep(
    mark.task.load(Ordering::Acquire)
)));
