//! Spare workers as stand-ins: one runs in the place of a worker that blocks on purpose (`block_in_place`) or is stalled.
//!
//! Called by `blocking::block_in_place`, by `rescue`, and by the loop (`try_retire`).
//!
//! # Invariants
//! - `one-owner`: as in `local`: the thread of a slot is the only one that pushes to and pops from its queue.

#![expect(unsafe_code, reason = "owner-only calls of the run queue; the current worker is a raw pointer")]

use super::choices::MAX_SPARES;
use super::local::LOCAL;
use super::rescue::options::Mode;
use super::running_loops::LoopAction;
use super::shared::{Local, Shared};
use super::spares::{Called, Started};
use super::worker_states::join_unless_ended;
use super::{idle, start};
use crate::observe::report::{self, ReportKind};

/// `block_in_place`: this worker's thread is about to block. The other workers may steal its tasks. A spare worker
/// starts if no worker is left to run tasks, and always if rescue is off.
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
    let _place = BlockedInPlace::enter(local, shared);
    f()
}

/// A guard: the worker of this thread counts as blocked.
struct BlockedInPlace<'a> {
    local: &'a Local,
    shared: &'a Shared,
}

impl<'a> BlockedInPlace<'a> {
    fn enter(local: &'a Local, shared: &'a Shared) -> Self {
        let slot = local.slot();
        // SAFETY: `one-owner`: this thread is the worker.
        unsafe {
            if let Some(task) = slot.queue.take_lifo() {
                local.push_back(shared, task);
            }
        }
        let active_left = shared.workers.states.block(&slot.state);
        idle::fence_after_publish();
        match shared.workers.running_loops.exit() {
            LoopAction::Continue => {}
            LoopAction::WakeAnother => {
                shared.wake_to_leave();
                return Self { local, shared };
            }
            LoopAction::EndWaits => {
                shared.end_waits();
                // The others may have left before a task of this worker was published.
                shared.cancel_unpolled();
                return Self { local, shared };
            }
        }
        if active_left > 0 {
            if shared.config.rescue.mode != Mode::Rescue {
                // Without rescue nothing detects that the active workers block, too. So the number of active workers is kept.
                drop(start_spare(shared, MAX_SPARES));
            }
            shared.wake_worker();
        } else {
            match start::retry_refused(shared, start_spare(shared, MAX_SPARES)) {
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
                        "all workers are blocked and the system refuses a thread to stand in: {error}. Tasks, \
                     timers and I/O wait until one returns. If a blocked worker waits for a task or a timer, it waits forever. \
                     Raise the limit of threads (`ulimit -u`, `pids.max` of the cgroup), or block less."
                    ),
                ),
            }
        }
        Self { local, shared }
    }
}

impl Drop for BlockedInPlace<'_> {
    fn drop(&mut self) {
        self.shared.workers.running_loops.enter();
        self.shared.workers.states.unblock(&self.local.slot().state);
        self.shared.stall_detector.on_unblock(self.shared);
    }
}

/// Makes one more worker run: a waiting spare, unless `bound` of them run; otherwise the next thread that the system grants.
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
        Called::NoneWaiting => start::start_if_refused(shared, true),
        Called::BoundHit => start::start_if_refused(shared, false),
    }
}

/// Counts a spare in `alive`, so that the runtime does not finish before the spare has left. False if the runtime has finished: the
/// monitor is not a worker, so it may call late.
pub(super) fn count_in_alive(shared: &Shared, slot: usize) -> bool {
    let is_counted = join_unless_ended(&shared.workers.alive);
    if is_counted {
        shared.workers.states.join(1);
    } else {
        shared.workers.spares.lock().give_back(slot);
    }
    is_counted
}

/// Retires a spare if enough workers are active without it. If true, it is no longer counted.
pub(super) fn try_retire(shared: &Shared) -> bool {
    shared.workers.states.try_retire(shared.config.workers)
}
