//! Spare workers: more threads that run the loop, while workers are inside `block_in_place`.
//!
//! Called by `blocking::block_in_place`, by the worker loop (`try_retire`) and by shutdown.
//!
//! # Invariants
//! - `one-owner`: as in `worker`: the thread of a slot is the only one that pushes to and pops from its queue.

#![expect(unsafe_code, reason = "owner-only calls of the run queue; the current worker is a raw pointer")]

use std::sync::Arc;
use std::time::Duration;

use super::worker::{Ended, LOCAL, Local, NEXT_STREAK_MAX, NoRoot, Worker, leave};
use super::{MAX_SPARES, Shared, idle};
use crate::primitives::atomic::Ordering;
use crate::primitives::parker::Parker;
use crate::primitives::thread;
use crate::runtime::context::{self, Entered};

/// How long a spare that has nothing to stand in for stays.
const SPARE_KEEP_ALIVE: Duration = Duration::from_secs(10);

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
    if local.is_blocked.get() {
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
        // SAFETY: `one-owner`: this thread is the worker.
        unsafe {
            let queue = &(*local.slot).queue;
            if let Some(task) = queue.pop_next() {
                local.push_back(shared, task);
            }
        }
        local.is_blocked.set(true);
        shared.slot(local.index).is_blocked.store(true, Ordering::Relaxed);
        // AcqRel: pairs with the increment below and with those of spares; carries nothing else.
        shared.workers.blocked.fetch_add(1, Ordering::Relaxed);
        let active = shared.workers.active.fetch_sub(1, Ordering::AcqRel) - 1;
        idle::after_remote_push();
        if active == 0 {
            start_spare(shared);
        } else {
            shared.wake_worker();
        }
        Self { local, shared }
    }
}

impl Drop for BlockedPlace<'_> {
    fn drop(&mut self) {
        self.shared.workers.active.fetch_add(1, Ordering::AcqRel);
        self.shared.workers.blocked.fetch_sub(1, Ordering::Relaxed);
        self.shared.slot(self.local.index).is_blocked.store(false, Ordering::Relaxed);
        self.local.is_blocked.set(false);
    }
}

/// One more worker: a waiting spare, or a new thread.
fn start_spare(shared: &Shared) {
    let index = {
        let mut spares = shared.workers.spares.lock();
        if let Some(seat) = spares.parked.pop() {
            shared.workers.active.fetch_add(1, Ordering::AcqRel);
            drop(spares);
            seat.parker.unpark();
            return;
        }
        match spares.free_slots.pop() {
            Some(index) => index,
            None if spares.made < MAX_SPARES => {
                spares.made += 1;
                shared.config.workers + spares.made - 1
            }
            None => {
                eprintln!(
                    "redd: all {} spare workers stand in for blocked ones; tasks wait until one returns. Move blocking \
                     work to `spawn_blocking`.",
                    MAX_SPARES
                );
                return;
            }
        }
    };
    // A closed runtime needs nobody; the count keeps it from finishing before this spare has left.
    shared.workers.alive.fetch_add(1, Ordering::AcqRel);
    shared.workers.active.fetch_add(1, Ordering::AcqRel);
    let mine = shared.handle().shared;
    let started = thread::spawn_named(shared.config.name_thread(), shared.config.thread_stack_size, move || {
        spare_thread(&mine, index);
    });
    match started {
        Ok(thread) => shared.workers.threads.lock().push(thread),
        Err(error) => {
            shared.workers.active.fetch_sub(1, Ordering::AcqRel);
            shared.workers.spares.lock().free_slots.push(index);
            leave(shared);
            eprintln!(
                "redd: all workers are blocked and the system refuses a thread to stand in: {error}. Tasks wait until \
                 one returns; raise the limit of threads, or block less."
            );
        }
    }
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
    shared.workers.spares.lock().free_slots.push(index);
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
        spares.parked.push(Arc::clone(seat));
    }
    if seat.parker.park_timeout(SPARE_KEEP_ALIVE) {
        return !shared.is_closed();
    }
    let mut spares = shared.workers.spares.lock();
    match spares.parked.iter().position(|other| Arc::ptr_eq(other, seat)) {
        Some(position) => {
            spares.parked.remove(position);
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
    let parked = std::mem::take(&mut shared.workers.spares.lock().parked);
    for seat in parked {
        shared.workers.active.fetch_add(1, Ordering::AcqRel);
        seat.parker.unpark();
    }
}

/// A spare goes when enough workers are active without it. If true, it does not count as active any more.
pub(super) fn try_retire(shared: &Shared) -> bool {
    let enough = shared.config.workers;
    // In one step, or a worker that blocks between look and count would rely on this spare. AcqRel: pairs with the
    // decrement in `BlockedPlace::enter`; a plain count.
    let active = &shared.workers.active;
    active.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |active| (active > enough).then(|| active - 1)).is_ok()
}

/// Hands all queued tasks to the other workers.
fn drain_to_injector(worker: &mut Worker, shared: &Shared) {
    worker.next_streak = NEXT_STREAK_MAX;
    while let Some(runnable) = worker.pop_own(shared) {
        shared.inject(runnable);
    }
}
