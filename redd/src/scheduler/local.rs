//! The worker that a thread is: its queue, and what code on that thread may do with it.
//!
//! Called by the loop in `worker`. Code inside a poll calls it through [`LOCAL`]: a waker pushes to the queue, a timer looks up its
//! wheel, and `block_in_place` moves the LIFO slot's task to the ring.
//!
//! # Invariants
//! - `one-owner`: the thread that `LOCAL` names as a worker is the only one that pushes to and pops from its queue.

#![expect(unsafe_code, reason = "the current worker is a raw pointer; owner-only calls of the run queue; tasks' links")]

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::task::Waker;

use super::local_queue::LocalQueue;
use super::rescue::poll_mark;
use super::shared::{Local, Shared};
use super::slot::WorkerSlot;
use super::{idle, start};
use crate::observe::counters::add;
use crate::primitives::atomic::Ordering;
use crate::primitives::{parker_waker, thread_local};
use crate::task::Runnable;
use crate::task::header::Header;
use crate::task::waker;
use crate::time::timers::{Timers, Unpark};

thread_local! {
    /// The worker that this thread is; null if it is no worker.
    pub(super) static LOCAL: Cell<*const Local> = const { Cell::new(ptr::null()) };
}

impl Local {
    /// If false, the thread is blocked or marked as stalled, so the tasks that it wakes go to other workers.
    #[inline]
    pub(super) fn is_active(&self) -> bool {
        self.slot().state.is_active()
    }

    #[inline]
    pub(super) fn slot(&self) -> &WorkerSlot {
        // SAFETY: the slot lives as long as the runtime, which the thread that runs the worker keeps.
        unsafe { &*self.slot }
    }

    /// # Safety
    /// The calling thread is this worker (`one-owner`), and `shared` is its runtime.
    #[inline]
    pub(super) unsafe fn push(&self, shared: &Shared, runnable: Runnable) {
        self.count_schedule();
        let task = runnable.into_raw();
        let displaced = match &self.queue {
            LocalQueue::Private { ready, .. } => return ready.push(task),
            LocalQueue::Stealable { uses_lifo_slot: false } => task,
            // SAFETY: `one-owner`.
            LocalQueue::Stealable { uses_lifo_slot: true } => match unsafe { (*self.slot).queue.push_lifo(task) } {
                Some(displaced) => displaced,
                None => return,
            },
        };
        // SAFETY: `one-owner`.
        unsafe { self.push_back(shared, displaced) };
    }

    /// Queues a task again that was woken during its poll.
    ///
    /// # Safety
    /// As for `push`.
    #[inline]
    pub(super) unsafe fn requeue(&self, shared: &Shared, runnable: Runnable) {
        self.count_schedule();
        // SAFETY: by the safety contract.
        unsafe { self.push_back(shared, runnable.into_raw()) };
    }

    /// Queues a task again that has yielded. On a current-thread runtime it also runs after the root.
    ///
    /// # Safety
    /// As for `push`.
    #[inline]
    pub(super) unsafe fn requeue_yielded(&self, shared: &Shared, runnable: Runnable) {
        if let LocalQueue::Private { yielded, .. } = &self.queue {
            self.count_schedule();
            yielded.push(runnable.into_raw());
        } else {
            // SAFETY: by the safety contract.
            unsafe { self.requeue(shared, runnable) };
        }
    }

    #[inline]
    fn count_schedule(&self) {
        self.scheduled.set(self.scheduled.get().wrapping_add(1));
    }

    /// Makes the tasks that have yielded ready again.
    #[inline]
    pub(super) fn readmit_yielded(&self) {
        if let LocalQueue::Private { ready, yielded } = &self.queue {
            ready.append(yielded);
        }
    }

    #[inline]
    pub(super) fn has_yielded(&self) -> bool {
        match &self.queue {
            LocalQueue::Stealable { .. } => false,
            LocalQueue::Private { yielded, .. } => !yielded.is_empty(),
        }
    }

    /// Whether other workers take tasks from here, and this one from them.
    #[inline]
    pub(super) fn is_stealable(&self) -> bool {
        matches!(self.queue, LocalQueue::Stealable { .. })
    }

    /// Whether no task is ready here. Tasks that have yielded do not count.
    pub(super) fn is_empty(&self) -> bool {
        match &self.queue {
            LocalQueue::Stealable { .. } => self.slot().queue.is_empty(),
            LocalQueue::Private { ready, .. } => ready.is_empty(),
        }
    }

    pub(super) fn queue_depth(&self) -> usize {
        match &self.queue {
            LocalQueue::Stealable { .. } => self.slot().queue.len(),
            LocalQueue::Private { ready, .. } => ready.len.get(),
        }
    }

    /// How many tasks are ready where other threads cannot count them.
    pub(super) fn private_len(&self) -> usize {
        match &self.queue {
            LocalQueue::Stealable { .. } => 0,
            LocalQueue::Private { ready, .. } => ready.len.get(),
        }
    }

    /// # Safety
    /// As for `push`; the caller passes on the task's `Runnable` reference.
    pub(super) unsafe fn push_back(&self, shared: &Shared, task: NonNull<Header>) {
        if let LocalQueue::Private { ready, .. } = &self.queue {
            ready.push(task);
            return;
        }
        // SAFETY: the slot lives as long as `shared`.
        let queue = unsafe { &(*self.slot).queue };
        // SAFETY: `one-owner`.
        unsafe {
            queue.push(task, |batch| {
                let counters = &(*self.slot).counters;
                add(&counters.overflows, 1);
                add(&counters.overflowed_tasks, batch.len() as u64);
                if let Err(refused) = shared.injector.push_batch(batch) {
                    // The batch carries the references of its `Runnable`s.
                    refused.for_each(|task| drop(Runnable::from_raw(task)));
                }
            });
        }
        // A single task is not worth a wake: this worker runs it next. Of two tasks, one has to wait. Between polls no wake is
        // needed: the start of the next poll makes the offer (`Worker::pop_own`). While some worker has never run a task, no
        // other worker may happen to search, so a single task is worth a wake. Without rescue a single task may wait forever.
        let offers_each = shared.workers.offers_each.load(Ordering::Relaxed);
        // SAFETY: as above.
        if (offers_each || queue.len() >= 2) && poll_mark::is_polling(unsafe { (*self.slot).mark.polls() }) {
            if offers_each {
                // Another worker may be about to park, and a poll that blocks does not repeat the offer.
                idle::fence_after_publish();
            }
            shared.wake_worker();
        }
    }
}

impl Local {
    /// Notices whether wakes and spawns are recorded.
    pub(super) fn follow_recording(&self, shared: &Shared) {
        self.direct.set(if shared.instrumentation.follows_wakes() { ptr::null() } else { shared });
    }

    /// `one-ahead`: this thread is about to run user code.
    pub(super) fn leave_clean(&self, shared: &Shared) {
        if self.is_clean.replace(false) {
            start::start_successor(shared);
        }
    }
}

/// Called by a worker that may be clean, before it calls a waker. Returns whether the worker is still clean. Wakers of tasks
/// and of `block_on` run no user code.
pub(super) fn before_wake(waker: &Waker) -> bool {
    // SAFETY: set while the worker runs on this thread.
    let Some(local) = (unsafe { LOCAL.get().as_ref() }) else { return false };
    if !(waker::is_of_task(waker) || parker_waker::is_of_parker(waker)) {
        // SAFETY: the thread that runs the worker keeps its runtime.
        local.leave_clean(unsafe { &*local.shared });
    }
    local.is_clean.get()
}

/// Records that the current poll of this thread's worker has panicked.
pub(crate) fn record_panic() {
    // SAFETY: set while the worker runs on this thread.
    if let Some(local) = unsafe { LOCAL.get().as_ref() } {
        local.slot().mark.record_panic();
    }
}

/// Whether this thread is a worker of that runtime whose loop runs.
pub(crate) fn runs_here(shared: *const Shared) -> bool {
    // SAFETY: set while the worker runs on this thread.
    unsafe { LOCAL.get().as_ref() }.is_some_and(|local| ptr::eq(local.shared, shared))
}

/// The slot on whose wheel this thread arms timers: its worker's own slot, or the shared one.
pub(super) fn timer_slot_here(timers: &Timers) -> usize {
    // SAFETY: set while the worker runs on this thread.
    if let Some(local) = unsafe { LOCAL.get().as_ref() } {
        // SAFETY: the thread that runs the worker keeps its runtime.
        let shared = unsafe { &*local.shared };
        if ptr::eq(&raw const shared.parts.timers, timers) && local.index < shared.config.workers && local.is_active() {
            return local.index;
        }
    }
    timers.shared_slot()
}

impl Unpark for Shared {
    fn unpark_for_timer(&self) {
        self.wake_worker_after_publish();
    }
}

/// The index of the worker that this thread is, in any runtime. A spare has none: programs use the index to find a
/// worker's own entry in a table.
pub(crate) fn current_worker_index() -> Option<usize> {
    // SAFETY: set while the worker runs on this thread.
    let local = unsafe { LOCAL.get().as_ref() }?;
    // SAFETY: the thread that runs the worker keeps its runtime.
    let workers = unsafe { &*local.shared }.config.workers;
    (local.index < workers).then_some(local.index)
}

impl Shared {
    /// The number of tasks in a worker's own queue. The list of a current-thread runtime is counted exactly only on its own
    /// thread. Other threads get the number of the last poll of the driver.
    pub(crate) fn queue_depth(&self, worker: usize) -> usize {
        // SAFETY: set while the worker runs on this thread.
        match unsafe { LOCAL.get().as_ref() } {
            Some(local) if ptr::eq(local.shared, self) && local.index == worker => local.queue_depth(),
            _ => {
                let slot = self.slot(worker);
                slot.queue.len() + slot.counters.fifo_len.load(Ordering::Relaxed) as usize
            }
        }
    }
}
