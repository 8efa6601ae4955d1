//! Spare workers: more threads that run the loop while workers are inside `block_in_place` or stalled.
//!
//! One thread stands by that has not run user code (`start`: `one-ahead`). When it is called, it first starts the next standby
//! and then becomes a spare. A spare that is not needed waits for a while, and is called before the standby is.
//!
//! Called by `blocking::block_in_place`, by `rescue`, by the worker loop (`try_retire`) and by shutdown.
//!
//! # Invariants
//! - `one-owner`: as in `worker`: the thread of a slot is the only one that pushes to and pops from its queue.
//! - `called-or-wanted`: a call that finds no waiting spare leaves a wish. It does so under the lock under which the next standby
//!   checks for wishes before it waits. So either the call finds the standby or the standby finds the wish.
//! - `closed-under-lock`: a thread checks under that lock whether the runtime has closed before it waits. The shutdown first
//!   closes and then empties the list of waiting spares under the lock, so no thread waits on.

#![expect(unsafe_code, reason = "owner-only calls of the run queue; the current worker is a raw pointer")]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::active::Step;
use super::local::{LOCAL, Local};
use super::pace::NEXT_STREAK_MAX;
use super::rescue::Mode;
use super::worker::{Ended, NoRoot, Worker, arrive_here, leave_here};
use super::worker_states::join_unless_ended;
use super::{MAX_SPARES, Shared, enter, idle, start};
use crate::current::{self, Entered};
use crate::observe::report::{self, ReportKind};
use crate::primitives::atomic::{AtomicUsize, Ordering};
use crate::primitives::parker::Parker;
use crate::primitives::thread;

/// How long a spare that is not needed is kept.
const SPARE_KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How often a spare that is parked among the workers checks whether it may retire. Not measured.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// A thread that waits to be called as a spare.
#[derive(Debug, Default)]
pub(crate) struct ParkedSpare {
    parker: Parker,
    /// For a standby that has been called: its slot plus one, or 0 if it is to end.
    slot: AtomicUsize,
}

/// `block_in_place`: this worker's thread is about to block. Its tasks go to the other workers. If no worker is left to run
/// tasks, a spare worker starts.
pub(crate) fn block_in_place<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: set while the worker runs on this thread.
    let Some(local) = (unsafe { LOCAL.get().as_ref() }) else {
        return f();
    };
    if local.slot().state.is_blocked() {
        return f();
    }
    // SAFETY: the thread that runs the worker keeps its runtime.
    let shared = unsafe { &*local.shared };
    let _place = BlockedPlace::enter(local, shared);
    f()
}

/// A guard: the worker of this thread counts as blocked.
struct BlockedPlace<'a> {
    local: &'a Local,
    shared: &'a Shared,
}

impl<'a> BlockedPlace<'a> {
    fn enter(local: &'a Local, shared: &'a Shared) -> Self {
        let slot = local.slot();
        // SAFETY: `one-owner`: this thread is the worker.
        unsafe {
            if let Some(task) = slot.queue.pop_next() {
                local.push_back(shared, task);
            }
        }
        let serving = shared.workers.states.block(&slot.state);
        idle::after_remote_push();
        match shared.workers.active.exit() {
            Step::Open => {}
            Step::Closed => {
                shared.wake_to_leave();
                return Self { local, shared };
            }
            Step::Last => {
                shared.end_waits();
                // The others may have left before a task of this worker was published.
                shared.cancel_unpolled();
                return Self { local, shared };
            }
        }
        if serving > 0 {
            if shared.config.rescue.mode != Mode::Rescue {
                // Without rescue nothing detects that the active workers block, too. So as many run as before.
                drop(start_spare(shared, MAX_SPARES));
            }
            shared.wake_worker();
        } else {
            match start::insist(shared, start_spare(shared, MAX_SPARES)) {
                Started::Yes | Started::Closed => {}
                Started::BoundHit => report::report(
                    ReportKind::Threads,
                    format_args!(
                        "all {MAX_SPARES} spare workers stand in for blocked ones; tasks wait until one returns. Move \
                     blocking work to `spawn_blocking`."
                    ),
                ),
                Started::Refused(error) => report::report(
                    ReportKind::Threads,
                    format_args!(
                        "all workers are blocked and the system refuses a thread to stand in: {error}. Tasks wait \
                     until one returns; raise the limit of threads, or block less."
                    ),
                ),
            }
        }
        Self { local, shared }
    }
}

impl Drop for BlockedPlace<'_> {
    fn drop(&mut self) {
        self.shared.workers.active.enter();
        self.shared.workers.states.unblock(&self.local.slot().state);
        self.shared.stall_detector.on_unblock(self.shared);
    }
}

/// The result of a call for a spare.
#[derive(Debug)]
pub(super) enum Started {
    /// One runs, or is on its way.
    Yes,
    /// As many as allowed run already.
    BoundHit,
    /// The system refuses a thread.
    Refused(io::Error),
    /// The runtime has ended.
    Closed,
}

/// Spare workers: those that wait for a call, and how many run.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    /// The slots that no spare has, counted from the first spare's on.
    free_slots: Vec<usize>,
    made: usize,
    /// The number of spares that do not wait, now and at most.
    pub(crate) running: usize,
    pub(crate) running_max: usize,
    /// The spares that have run, and are not needed now.
    parked: Vec<Arc<ParkedSpare>>,
    /// The thread that has not run user code (`one-ahead` of `start`).
    standby: Option<Arc<ParkedSpare>>,
    /// Calls that found no waiting spare. The next standby takes one of them and does not wait.
    wanted: usize,
}

/// What a call has found.
#[derive(Debug)]
pub(super) enum Called {
    Parked(Arc<ParkedSpare>),
    /// Its slot is this one.
    Standby(Arc<ParkedSpare>, usize),
    /// `called-or-wanted`
    Nobody,
    BoundHit,
}

impl Spares {
    /// Takes a spare to run, unless `bound` of them run.
    pub(super) fn call(&mut self, bound: usize) -> Called {
        if self.running >= bound {
            return Called::BoundHit;
        }
        if let Some(parked_spare) = self.parked.pop() {
            self.count_in();
            return Called::Parked(parked_spare);
        }
        match self.standby.take() {
            Some(parked_spare) => Called::Standby(parked_spare, self.take_slot()),
            None => {
                // The monitor calls again each turn, so its wishes must not add up beyond its bound. Those of others stay.
                if self.running + self.wanted < bound {
                    self.wanted += 1;
                }
                Called::Nobody
            }
        }
    }

    /// A standby has arrived. If a call waits for it and a worker is missing, returns its slot. Otherwise it waits.
    pub(super) fn arrive(
        &mut self,
        parked_spare: &Arc<ParkedSpare>,
        is_missing: bool,
        slots_max: usize,
    ) -> Option<usize> {
        // A spare that has retired since the call keeps its slot.
        if self.wanted > 0 && is_missing && self.running + self.parked.len() < slots_max {
            self.wanted -= 1;
            return Some(self.take_slot());
        }
        self.wanted = 0;
        debug_assert!(self.standby.is_none(), "`one-ahead`: a standby starts its successor after it was called");
        self.standby = Some(Arc::clone(parked_spare));
        None
    }

    /// Takes the standby, which is to end.
    pub(super) fn take_standby(&mut self) -> Option<Arc<ParkedSpare>> {
        self.standby.take()
    }

    fn count_in(&mut self) {
        self.running += 1;
        self.running_max = self.running_max.max(self.running);
    }

    fn take_slot(&mut self) -> usize {
        self.count_in();
        // As many slots are made as may run, so there is one.
        self.free_slots.pop().unwrap_or_else(|| {
            self.made += 1;
            self.made - 1
        })
    }

    /// A spare no longer runs. Its slot is free for the next one.
    fn give_back(&mut self, slot: usize) {
        self.running -= 1;
        self.free_slots.push(slot);
    }
}

/// Has one more worker run: a waiting spare, unless `bound` of them run; otherwise the next thread that the system grants.
pub(super) fn start_spare(shared: &Shared, bound: usize) -> Started {
    if !shared.is_in_own_process() {
        // A forked child has no spare threads.
        return Started::Closed;
    }
    let called = shared.workers.spares.lock().call(bound);
    match called {
        Called::Parked(parked_spare) => {
            shared.workers.states.join(1);
            parked_spare.parker.unpark();
            Started::Yes
        }
        Called::Standby(parked_spare, slot) => {
            let is_counted = count_in_alive(shared, slot);
            parked_spare.call(is_counted.then_some(slot));
            if is_counted { Started::Yes } else { Started::Closed }
        }
        Called::Nobody => start::start_if_refused(shared, true),
        Called::BoundHit => start::start_if_refused(shared, false),
    }
}

/// Counts a spare in `alive`, so that the runtime does not finish before it has left. False if the runtime has finished: the
/// monitor is not a worker, so it may call late.
fn count_in_alive(shared: &Shared, slot: usize) -> bool {
    let is_counted = join_unless_ended(&shared.workers.alive);
    if is_counted {
        shared.workers.states.join(1);
    } else {
        shared.workers.spares.lock().give_back(slot);
    }
    is_counted
}

impl ParkedSpare {
    /// Calls a standby to a slot, or to its end.
    pub(super) fn call(&self, slot: Option<usize>) {
        // Release: pairs with the Acquire in `wait`.
        self.slot.store(slot.map_or(0, |slot| slot + 1), Ordering::Release);
        self.parker.unpark();
    }

    /// The slot that a standby is called to; `None` if it is to end.
    fn wait(&self) -> Option<usize> {
        self.parker.park();
        // Acquire: pairs with the Release in `call`.
        self.slot.load(Ordering::Acquire).checked_sub(1)
    }
}

/// The thread of a standby: clean until it is called.
pub(super) fn standby_thread(shared: &Arc<Shared>) {
    let parked_spare = Arc::new(ParkedSpare::default());
    let sits_down = || {
        let mut spares = shared.workers.spares.lock();
        if shared.is_closed() {
            return None; // `closed-under-lock`
        }
        let is_missing = shared.workers.states.active() < shared.config.workers;
        Some(spares.arrive(&parked_spare, is_missing, shared.spare_slots_max()))
    };
    let slot = match sits_down() {
        None => None,
        Some(None) => parked_spare.wait(),
        Some(Some(slot)) => count_in_alive(shared, slot).then_some(slot),
    };
    let Some(slot) = slot else { return };
    arrive_here(shared);
    let counted = Counted { shared, slot, is_active: true };
    start::start_successor(shared); // `one-ahead`
    let _entered = enter::enter(shared.arc());
    let _running = current::mark(Entered::Yes);
    spare_thread(counted, &parked_spare);
    shared.config.hooks.stop();
}

/// A guard: a spare that is counted. The counts are right again when its thread ends, also by a panic.
struct Counted<'a> {
    shared: &'a Arc<Shared>,
    slot: usize,
    is_active: bool,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let Self { shared, slot, is_active } = *self;
        if thread::panicking() && is_active {
            shared.workers.states.leave_slot(&shared.slot(shared.config.workers + slot).state);
        }
        forget_ended(&mut shared.workers.threads.lock().started);
        shared.workers.spares.lock().give_back(slot);
        leave_here(shared);
    }
}

fn spare_thread(mut counted: Counted<'_>, parked_spare: &Arc<ParkedSpare>) {
    let shared = counted.shared;
    shared.config.hooks.start();
    // For the standby after the next one. The name is made here, as user code may make it.
    let name = shared.config.name_thread();
    shared.workers.threads.lock().standby_names.push_back(name);
    let mut worker = Worker::new(shared, shared.config.workers + counted.slot);
    loop {
        let ended = worker.run(shared, &mut NoRoot);
        if ended == Ended::Closed {
            break;
        }
        // `try_retire` has subtracted it.
        counted.is_active = false;
        drain_to_injector(&mut worker, shared);
        if !wait_for_call(shared, parked_spare) {
            break;
        }
        counted.is_active = true;
    }
    worker.drain(shared);
    if shared.is_closed() {
        // SAFETY: tasks of a multi-thread runtime are `Send`.
        unsafe { shared.slab.cancel_all() };
    }
}

/// True if the spare is needed again; false when its keep-alive is over or the runtime closes.
fn wait_for_call(shared: &Shared, parked_spare: &Arc<ParkedSpare>) -> bool {
    {
        let mut spares = shared.workers.spares.lock();
        if shared.is_closed() {
            return false; // `closed-under-lock`
        }
        spares.running -= 1;
        spares.parked.push(Arc::clone(parked_spare));
    }
    if parked_spare.parker.park_timeout(SPARE_KEEP_ALIVE) {
        return !shared.is_closed();
    }
    let mut spares = shared.workers.spares.lock();
    match spares.parked.iter().position(|other| Arc::ptr_eq(other, parked_spare)) {
        Some(position) => {
            spares.parked.remove(position);
            // Until `give_back`.
            spares.running += 1;
            false
        }
        None => {
            // It was called in the last moment: the token is on its way.
            drop(spares);
            parked_spare.parker.park();
            !shared.is_closed()
        }
    }
}

/// Wakes every spare that waits, and the standby, to end. The runtime has closed (`closed-under-lock`).
pub(crate) fn release_spares(shared: &Shared) {
    let (parked, standby) = {
        let mut spares = shared.workers.spares.lock();
        spares.running += spares.parked.len();
        (std::mem::take(&mut spares.parked), spares.take_standby())
    };
    for parked_spare in parked {
        shared.workers.states.join(1);
        parked_spare.parker.unpark();
    }
    if let Some(parked_spare) = standby {
        parked_spare.call(None);
    }
}

/// Retires a spare if enough workers are active without it. If true, it is no longer counted.
pub(super) fn try_retire(shared: &Shared) -> bool {
    shared.workers.states.try_retire(shared.config.workers)
}

/// Drops the handles of threads that have ended. The system keeps some memory of each until then.
pub(super) fn forget_ended(threads: &mut Vec<thread::JoinHandle<()>>) {
    threads.retain(|thread| !thread::has_ended(thread));
}

/// Hands all queued tasks to the other workers.
pub(super) fn drain_to_injector(worker: &mut Worker, shared: &Shared) {
    worker.next_streak = NEXT_STREAK_MAX;
    while let Some(runnable) = worker.pop_own(shared) {
        shared.inject(runnable);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::runtime::{Builder, Rescue};

    fn parked_spare() -> Arc<ParkedSpare> {
        Arc::new(ParkedSpare::default())
    }

    #[test]
    fn a_call_finds_a_spare_that_has_run_before_the_standby() {
        let mut spares = Spares::default();
        assert_eq!(spares.arrive(&parked_spare(), true, 8), None, "nothing has called");
        assert!(matches!(spares.call(8), Called::Standby(_, 0)));
        assert_eq!(spares.arrive(&parked_spare(), true, 8), None);
        spares.running -= 1;
        spares.parked.push(parked_spare());
        assert!(matches!(spares.call(8), Called::Parked(_)));
        assert!(matches!(spares.call(8), Called::Standby(_, 1)));
        assert_eq!((spares.running, spares.running_max), (2, 2));
    }

    #[test]
    fn a_call_that_finds_nobody_is_for_the_next_standby_if_a_worker_is_still_missing() {
        let mut spares = Spares::default();
        assert!(matches!(spares.call(8), Called::Nobody));
        assert!(matches!(spares.call(8), Called::Nobody));
        assert_eq!(spares.arrive(&parked_spare(), true, 8), Some(0));
        assert_eq!(spares.arrive(&parked_spare(), false, 8), None);
        assert_eq!(spares.wanted, 0, "the others have come back");
        assert!(spares.standby.is_some());
    }

    #[test]
    fn calls_that_are_repeated_wish_for_no_more_than_their_bound_and_take_back_no_wish() {
        let mut spares = Spares::default();
        for (bound, wanted) in [(1, 1), (1, 1), (8, 2), (8, 3), (1, 3), (2, 3)] {
            assert!(matches!(spares.call(bound), Called::Nobody));
            assert_eq!(spares.wanted, wanted, "bound {bound}");
        }
    }

    #[test]
    fn no_more_run_than_the_bound_says_and_no_more_slots_are_used_than_there_are() {
        let mut spares = Spares::default();
        assert!(matches!(spares.call(0), Called::BoundHit));
        assert!(matches!(spares.call(1), Called::Nobody));
        assert!(matches!(spares.call(1), Called::Nobody));
        assert_eq!(spares.arrive(&parked_spare(), true, 1), Some(0));
        assert!(matches!(spares.call(1), Called::BoundHit));
        assert_eq!(spares.arrive(&parked_spare(), true, 1), None, "the only slot is taken");
        spares.give_back(0);
        assert!(matches!(spares.call(1), Called::Standby(_, 0)));
    }

    #[test]
    fn a_spare_that_panics_is_counted_out() {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).rescue(Rescue::off()).build().expect("nothing is refused");
        let shared = Arc::clone(&runtime.handle().shared);
        let counts = || {
            let workers = &shared.workers;
            (workers.alive.load(Ordering::Relaxed), workers.states.active(), workers.spares.lock().running)
        };
        assert_eq!(counts(), (1, 1, 0));
        for is_stalled in [false, true] {
            let mine = Arc::clone(&shared);
            let spare = thread::spawn_named("spare".to_owned(), None, move || {
                let slot = mine.workers.spares.lock().take_slot();
                assert!(count_in_alive(&mine, slot));
                let _counted = Counted { shared: &mine, slot, is_active: true };
                if is_stalled {
                    assert!(mine.workers.states.mark_stalled(&mine.slot(1 + slot).state));
                }
                panic!("inside of a spare");
            });
            assert!(spare.expect("a test may start a thread").join().is_err());
            assert_eq!(counts(), (1, 1, 0));
            assert!(!shared.workers.states.has_inactive());
        }
    }
}
