//! The end of a runtime: it closes, its workers leave, and the last one cancels the remaining tasks.
//!
//! Called by the loop and by the threads' main functions, by `start` and `stand_in`, and by the runtime's shutdown.
//!
//! # Invariants
//! - `closed-cancels`: after the phase is CLOSED no task stays alive that no worker polls. A thread that spawns afterwards
//!   cancels the task itself, and every worker that leaves cancels all tasks that it finds.

#![expect(unsafe_code, reason = "cancels tasks")]

use std::cell::Cell;
use std::ptr;

use super::choices::Flavor;
use super::enter;
use super::running_loops::LoopAction;
use super::shared::Shared;
use crate::observe::counters::add;
use crate::observe::recorder;
use crate::primitives::atomic::Ordering;
use crate::primitives::thread_local;
use crate::task::Runnable;

thread_local! {
    /// The address of the runtime of which this thread is a worker, from its first step to `leave`, also while its loop does
    /// not run. Zero if it is no worker.
    pub(super) static WORKER_OF: Cell<usize> = const { Cell::new(0) };
}

impl Shared {
    /// Closes the runtime: from now on no work is accepted. Idempotent.
    pub(crate) fn close(&self) {
        self.phase.close();
        self.injector.close();
        if self.config.flavor == Flavor::MultiThread && self.workers.running_loops.close() == LoopAction::EndWaits {
            self.end_waits();
            self.cancel_unpolled();
        }
    }

    /// The simulated host of the calling thread, to which this runtime belongs, has crashed: the runtime ends, and nothing waits for it.
    #[cold]
    pub(crate) fn end_after_crash(&self) {
        self.close();
        if self.config.flavor == Flavor::MultiThread {
            release_spares(self);
            self.wake_to_leave();
        }
        self.blocking.shutdown();
    }

    /// Step 5 of `running_loops`: no further event is delivered, so all waits for one end. Operations that need not wait still work,
    /// for the destructors of tasks that are cancelled later. May be called again. The caller holds no lock.
    pub(crate) fn end_waits(&self) {
        self.parts.timers.shutdown();
        self.parts.driver.end_waits();
    }

    /// Cancels the tasks of a closed runtime that no worker polls. Needed when the thread that would do so may itself wait for
    /// them. Does nothing on a thread where tasks that are not `Send` cannot be dropped.
    pub(crate) fn cancel_unpolled(&self) {
        if self.config.flavor == Flavor::Local && !self.is_local_here() {
            return;
        }
        let _entered = enter::enter(self.arc());
        // SAFETY: only tasks of a local runtime are not `Send`, and then this is their thread.
        unsafe { self.slab.cancel_all() };
    }
}

/// This thread is counted as a worker until [`leave_here`]: a shutdown that its hooks begin must not wait for it.
pub(super) fn arrive_here(shared: &Shared) {
    WORKER_OF.set(ptr::from_ref(shared).addr());
    if !shared.config.observe {
        recorder::hide_thread();
    }
}

/// As [`leave`], for the worker that this thread was.
pub(super) fn leave_here(shared: &Shared) {
    WORKER_OF.set(0);
    leave(shared);
}

/// A worker has left its loop for good. The last one finishes the runtime.
pub(super) fn leave(shared: &Shared) {
    // AcqRel: the last one sees all that the others did. Pairs with itself.
    if shared.workers.alive.fetch_sub(1, Ordering::AcqRel) == 1 {
        finish(shared);
    } else {
        shared.wake_to_leave();
        // A shutdown may wait for fewer than all workers.
        shared.workers.ended.unpark();
    }
}

/// Cancels and ends everything. The last worker has left.
pub(crate) fn finish(shared: &Shared) {
    shared.close();
    let _entered = enter::enter(shared.arc());
    // SAFETY: the injector owned the reference.
    shared.injector.drain(|task| drop(unsafe { Runnable::from_raw(task) }));
    // SAFETY: tasks of a multi-thread runtime are `Send`; of another flavor this is called on their thread.
    unsafe { shared.slab.cancel_all() };
    shared.parts.timers.shutdown();
    shared.parts.driver.shutdown();
    shared.slab.close();
    wake_unstarted(shared);
    release_spares(shared);
    shared.workers.ended.unpark();
}

/// The metrics of workers that never had a thread show a wake-up at the end, as those of the others do.
fn wake_unstarted(shared: &Shared) {
    let unstarted = shared.workers.threads.lock().unstarted.len();
    (0..shared.config.workers).rev().take(unstarted).for_each(|index| add(&shared.slot(index).unparks, 1));
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

/// The address of the runtime of which this thread is a worker that has not left, or zero. Such a worker keeps its runtime
/// alive.
pub(crate) fn worker_of() -> usize {
    WORKER_OF.get()
}
