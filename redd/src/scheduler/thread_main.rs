//! What the threads of a runtime run: workers, and standbys that become spares.
//!
//! `build` passes these functions to the runtime; `start` starts threads with them.

#![expect(unsafe_code, reason = "cancels tasks")]

use std::sync::Arc;
use std::time::Duration;

use super::enter::enter;
use super::leave::{arrive_here, leave_here};
use super::root::NoRoot;
use super::shared::{Shared, Worker};
use super::spares::ParkedSpare;
use super::stand_in::count_in_alive;
use super::start;
use super::worker::Ended;
use super::workers::{drop_ended, workers_at_build};
use crate::current::{self, Entered};
use crate::observe::counters::add;
use crate::observe::recorder::EventKind;
use crate::primitives::thread;

/// How long a spare that is not needed waits for a call before its thread ends.
const SPARE_KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The thread of a worker.
pub(super) fn worker_thread(shared: &Arc<Shared>, index: usize) {
    arrive_here(shared);
    let config = &shared.config;
    if index >= workers_at_build(config) {
        add(&shared.slot(index).unparks, 1);
    }
    // The workers that `build` starts after this one are not its successors.
    let is_head = index + 1 >= workers_at_build(config);
    let runs_hooks = config.hooks.run_before_tasks();
    if is_head && runs_hooks {
        start::start_successor(shared);
    }
    let _entered = enter(Arc::clone(shared));
    let _running = current::mark(Entered::Yes);
    config.hooks.start();
    let mut worker = Worker::new(shared, index);
    if is_head && !runs_hooks {
        worker.become_clean();
    }
    worker.run_thread(shared);
    drop(worker);
    leave_here(shared);
    config.hooks.stop();
}

/// The thread of a standby: clean until it is called.
pub(super) fn standby_thread(shared: &Arc<Shared>) {
    let parked_spare = Arc::new(ParkedSpare::default());
    let register = || {
        let mut spares = shared.workers.spares.lock();
        if shared.is_closed() {
            return None; // `closed-under-lock`
        }
        let is_missing = shared.workers.states.active() < shared.config.workers;
        Some(spares.arrive(&parked_spare, is_missing, shared.spare_slots_max()))
    };
    let slot = match register() {
        None => None,
        Some(None) => parked_spare.wait(),
        Some(Some(slot)) => count_in_alive(shared, slot).then_some(slot),
    };
    let Some(slot) = slot else { return };
    arrive_here(shared);
    let counted = Counted { shared, slot, is_active: true };
    start::start_successor(shared); // `one-ahead`
    let _entered = enter(Arc::clone(shared));
    let _running = current::mark(Entered::Yes);
    spare_thread(counted, &parked_spare);
    shared.config.hooks.stop();
}

/// A guard: a spare that is counted. When its thread ends, even by a panic, the guard corrects the counts.
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
        drop_ended(&mut shared.workers.threads.lock().started);
        shared.workers.spares.lock().give_back(slot);
        leave_here(shared);
    }
}

fn spare_thread(mut counted: Counted<'_>, parked_spare: &Arc<ParkedSpare>) {
    let shared = counted.shared;
    shared.config.hooks.start();
    // For the standby after the next one. The name is made here, as a hook of the program may make it.
    let name = shared.config.name_thread();
    shared.workers.threads.lock().standby_names.push_back(name);
    let mut worker = Worker::new(shared, shared.config.workers + counted.slot);
    loop {
        worker.record(shared, EventKind::SpareStarted, 0);
        let ended = worker.run(shared, &mut NoRoot);
        if ended == Ended::Closed {
            break;
        }
        // `try_retire` has subtracted it.
        counted.is_active = false;
        worker.hand_over(shared);
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
            // It was called at the last moment, so the parker's token follows.
            drop(spares);
            parked_spare.parker.park();
            !shared.is_closed()
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::primitives::atomic::Ordering;
    use crate::runtime::{Builder, Rescue};
    use crate::scheduler::local::LOCAL;
    use crate::task;
    use std::sync::Barrier;

    #[test]
    fn the_number_in_a_spares_name_is_that_of_its_slot() {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).rescue(Rescue::off()).build().expect("nothing is refused");
        for _ in 0..3 {
            let together = Arc::new(Barrier::new(6));
            let tasks = Vec::from_iter((0..6).map(|_| {
                let together = Arc::clone(&together);
                runtime.spawn(async move {
                    // SAFETY: a worker of the runtime polls the task, so it is set.
                    let index = unsafe { LOCAL.get().as_ref() }.expect("on a worker").index;
                    let expected = match index.checked_sub(2) {
                        None => format!("redd-worker-{index}"),
                        Some(slot) => format!("redd-spare-{slot}"),
                    };
                    assert_eq!(thread::current_name(), expected);
                    task::block_in_place(|| together.wait());
                })
            }));
            tasks.into_iter().for_each(|task| runtime.block_on(task).expect("the name is right"));
        }
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
