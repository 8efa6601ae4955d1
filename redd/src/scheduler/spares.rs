//! Spare workers: more threads that run the loop, while workers are inside `block_in_place` or stuck.
//!
//! Called by `blocking::block_in_place`, by `rescue`, by the worker loop (`try_retire`) and by shutdown.
//!
//! # Invariants
//! - `one-owner`: as in `worker`: the thread of a slot is the only one that pushes to and pops from its queue.

#![expect(unsafe_code, reason = "owner-only calls of the run queue; the current worker is a raw pointer")]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::roster::join_unless_ended;
use super::worker::{Ended, LOCAL, Local, NEXT_STREAK_MAX, NoRoot, Worker, leave};
use super::{MAX_SPARES, Shared, idle, start};
use crate::observe::report::{self, ReportKind};
use crate::primitives::parker::Parker;
use crate::primitives::thread;
use crate::runtime::context::{self, Entered};

/// How long a spare that has nothing to stand in for stays.
const SPARE_KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How often a spare that sleeps among the workers asks whether it may go; picked by feel.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Where a spare without work waits to be called.
#[derive(Debug)]
pub(crate) struct SpareSeat {
    parker: Parker,
}

/// `block_in_place`: this worker's thread is about to block. What it holds goes to the others, and if nobody is left
/// to run tasks, a spare worker starts.
pub(crate) fn block_in_place<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: set while the worker runs on this thread.
    let Some(local) = (unsafe { LOCAL.get().as_ref() }) else {
        return f();
    };
    if local.slot().standing.is_blocked() {
        return f();
    }
    // SAFETY: the thread that runs the worker keeps its runtime.
    let shared = unsafe { &*local.shared };
    let _place = BlockedPlace::enter(local, shared);
    f()
}

/// While it lives, the worker of this thread counts as blocked.
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
        let serving = shared.workers.roster.block(&slot.standing);
        idle::after_remote_push();
        if serving == 0 {
            match start_spare(shared, MAX_SPARES) {
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
        } else {
            shared.wake_worker();
        }
        Self { local, shared }
    }
}

impl Drop for BlockedPlace<'_> {
    fn drop(&mut self) {
        self.shared.workers.roster.unblock(&self.local.slot().standing);
        self.shared.watch.one_more_serves(self.shared);
    }
}

/// What became of the wish for a spare.
#[derive(Debug)]
pub(super) enum Started {
    Yes,
    /// As many as allowed run already.
    BoundHit,
    /// The system refuses a thread.
    Refused(io::Error),
    /// The runtime has ended.
    Closed,
}

/// One more worker: one that was not needed until now, or a spare unless `bound` of them run: a waiting one, or a new
/// thread.
pub(super) fn start_spare(shared: &Shared, bound: usize) -> Started {
    if shared.idle.take_unstarted() {
        return start::start_one(shared);
    }
    let index = {
        let mut spares = shared.workers.spares.lock();
        if spares.running >= bound {
            return Started::BoundHit;
        }
        spares.running += 1;
        spares.running_max = spares.running_max.max(spares.running);
        if let Some(seat) = spares.parked.pop() {
            shared.workers.roster.join(1);
            drop(spares);
            seat.parker.unpark();
            return Started::Yes;
        }
        match spares.free_slots.pop() {
            Some(index) => index,
            None => {
                // As many slots are made as may run, so there is one.
                spares.made += 1;
                shared.config.workers + spares.made - 1
            }
        }
    };
    // It keeps the runtime from finishing before this spare has left. The monitor is no worker, so it may come late.
    if !join_unless_ended(&shared.workers.alive) {
        give_back(shared, index);
        return Started::Closed;
    }
    shared.workers.roster.join(1);
    let mine = shared.handle().shared;
    let started = thread::spawn_named(shared.config.name_thread(), shared.config.thread_stack_size, move || {
        spare_thread(&mine, index);
    });
    match started {
        Ok(thread) => {
            let threads = &mut shared.workers.threads.lock().started;
            forget_ended(threads);
            threads.push(thread);
            Started::Yes
        }
        Err(error) => {
            shared.workers.roster.leave();
            give_back(shared, index);
            leave(shared);
            Started::Refused(error)
        }
    }
}

/// A spare that ran does not any more; its slot is free for the next.
fn give_back(shared: &Shared, index: usize) {
    let mut spares = shared.workers.spares.lock();
    spares.running -= 1;
    spares.free_slots.push(index);
}

fn spare_thread(shared: &Arc<Shared>, index: usize) {
    let _entered = context::enter(shared.handle());
    let _running = context::mark(Entered::Yes);
    shared.config.hooks.start();
    let mut worker = Worker::new(shared, index);
    let seat = Arc::new(SpareSeat { parker: Parker::new() });
    loop {
        let ended = worker.run(shared, &mut NoRoot);
        if ended == Ended::Closed {
            break;
        }
        // `try_retire` has counted it out.
        drain_to_injector(&mut worker, shared);
        if !wait_for_call(shared, &seat) {
            break;
        }
    }
    worker.drain(shared);
    if shared.is_closed() {
        // SAFETY: tasks of a multi-thread runtime are `Send`.
        unsafe { shared.heap.cancel_all() };
    }
    drop(worker);
    forget_ended(&mut shared.workers.threads.lock().started);
    give_back(shared, index);
    leave(shared);
    shared.config.hooks.stop();
}

/// True if the spare is needed again; false when its keep-alive is over or the runtime closes.
fn wait_for_call(shared: &Shared, seat: &Arc<SpareSeat>) -> bool {
    {
        let mut spares = shared.workers.spares.lock();
        if shared.is_closed() {
            return false;
        }
        spares.running -= 1;
        spares.parked.push(Arc::clone(seat));
    }
    if seat.parker.park_timeout(SPARE_KEEP_ALIVE) {
        return !shared.is_closed();
    }
    let mut spares = shared.workers.spares.lock();
    match spares.parked.iter().position(|other| Arc::ptr_eq(other, seat)) {
        Some(position) => {
            spares.parked.remove(position);
            // Until `give_back`.
            spares.running += 1;
            false
        }
        None => {
            // Called in the last moment: the token is on its way.
            drop(spares);
            seat.parker.park();
            !shared.is_closed()
        }
    }
}

/// Wakes every spare that waits, for shutdown.
pub(crate) fn release_spares(shared: &Shared) {
    let parked = {
        let mut spares = shared.workers.spares.lock();
        spares.running += spares.parked.len();
        std::mem::take(&mut spares.parked)
    };
    for seat in parked {
        shared.workers.roster.join(1);
        seat.parker.unpark();
    }
}

/// A spare goes when enough workers serve without it. If true, it does not count any more.
pub(super) fn try_retire(shared: &Shared) -> bool {
    shared.workers.roster.try_retire(shared.config.workers)
}

/// Lets go of the handles of threads that have ended; the system keeps something of each until then.
fn forget_ended(threads: &mut Vec<thread::JoinHandle<()>>) {
    threads.retain(|thread| !thread::has_ended(thread));
}

/// Hands all queued tasks to the other workers.
pub(super) fn drain_to_injector(worker: &mut Worker, shared: &Shared) {
    worker.next_streak = NEXT_STREAK_MAX;
    while let Some(runnable) = worker.pop_own(shared) {
        shared.inject(runnable);
    }
}
