//! The worker that a thread is: its queue, and what code on that thread may do with it.
//!
//! Called by the loop in `worker`, and through [`LOCAL`] by code inside a poll: a waker pushes to the queue, a timer asks for its
//! wheel, `block_in_place` hands the tasks over.
//!
//! # Invariants
//! - `one-owner`: the thread that `LOCAL` names as a worker is the only one that pushes to and pops from its queue.

#![expect(unsafe_code, reason = "the current worker is a raw pointer; owner-only calls of the run queue; tasks' links")]

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::task::Waker;

use super::counters::add;
use super::rescue::poll_mark;
use super::{Config, Flavor, Shared, WorkerSlot, idle, start};
use crate::primitives::atomic::Ordering;
use crate::primitives::{parker, thread_local};
use crate::task::Runnable;
use crate::task::header::Header;
use crate::task::waker;

thread_local! {
    /// The worker that this thread is; null if it is no worker.
    pub(super) static LOCAL: Cell<*const Local> = const { Cell::new(ptr::null()) };
    /// The address of the runtime of which this thread is a worker, from its first step to `leave`, also while its loop does
    /// not run. Zero if it is no worker.
    pub(super) static WORKER_OF: Cell<usize> = const { Cell::new(0) };
}

/// The part of a worker that code on its thread reaches during a poll.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) shared: *const Shared,
    pub(super) index: usize,
    pub(super) slot: *const WorkerSlot,
    pub(super) queue: LocalQueue,
    /// This thread has not run user code. It starts its successor before it does (`one-ahead` of `start`).
    pub(super) is_clean: Cell<bool>,
    /// Tasks queued here since the last `publish`.
    pub(super) scheduled: Cell<u32>,
}

/// Where a worker's own tasks are. The flavor of the runtime decides it once.
#[derive(Debug)]
pub(super) enum LocalQueue {
    /// Of a multi-thread runtime: the run queue in the worker's slot, from which other workers steal.
    Stealable { uses_next_slot: bool },
    /// Of a current-thread runtime: no worker steals, so these are plain lists in order of arrival.
    Private {
        ready: Fifo,
        /// Tasks that gave way: they run again after all others, and after the root.
        yielded: Fifo,
    },
}

impl LocalQueue {
    pub(super) fn new(config: &Config) -> Self {
        if config.flavor == Flavor::MultiThread {
            Self::Stealable { uses_next_slot: config.use_next_slot }
        } else {
            Self::Private { ready: Fifo::new(), yielded: Fifo::new() }
        }
    }
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
            LocalQueue::Stealable { uses_next_slot: false } => task,
            // SAFETY: `one-owner`.
            LocalQueue::Stealable { uses_next_slot: true } => match unsafe { (*self.slot).queue.push_next(task) } {
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

    /// Queues a task again that gave way. Without other workers it runs after the root, too.
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

    /// Tasks that gave way get their turn again.
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

    /// Whether no task is ready here. Tasks that gave way do not count.
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
        // Of two tasks this worker can take only one next; a single one is not worth a wake. Between polls no task has to wait:
        // the start of the next poll makes the offer (`Worker::pop_own`). While some worker has never run a task, no other
        // worker searches by chance, so a single task is worth a wake.
        let has_clean = shared.workers.has_clean.load(Ordering::Relaxed);
        // SAFETY: as above.
        if (has_clean || queue.len() >= 2) && poll_mark::is_polling(unsafe { (*self.slot).mark.polls() }) {
            if has_clean {
                // That worker may park for the first time just now, and a poll that blocks does not repeat the offer.
                idle::after_remote_push();
            }
            shared.wake_worker();
        }
    }
}

impl Local {
    /// `one-ahead`: this thread is about to run user code.
    pub(super) fn leave_clean(&self, shared: &Shared) {
        if self.is_clean.replace(false) {
            start::start_successor(shared);
        }
    }
}

/// A worker that may be clean is about to call a waker. False if it is no longer clean. Wakers of tasks and of `block_on` run
/// no user code.
pub(super) fn before_wake(waker: &Waker) -> bool {
    // SAFETY: set while the worker runs on this thread.
    let Some(local) = (unsafe { LOCAL.get().as_ref() }) else { return false };
    if !(waker::is_of_task(waker) || parker::is_of_parker(waker)) {
        // SAFETY: the thread that runs the worker keeps its runtime.
        local.leave_clean(unsafe { &*local.shared });
    }
    local.is_clean.get()
}

/// A list of queued tasks through their `next` links, for one thread.
#[derive(Debug)]
pub(super) struct Fifo {
    head: Cell<*mut Header>,
    tail: Cell<*mut Header>,
    len: Cell<usize>,
}

impl Fifo {
    const fn new() -> Self {
        Self { head: Cell::new(ptr::null_mut()), tail: Cell::new(ptr::null_mut()), len: Cell::new(0) }
    }

    #[inline]
    fn push(&self, task: NonNull<Header>) {
        // SAFETY: the list owns a reference of each task in it, and the link belongs to the queue that holds the task.
        unsafe {
            task.as_ref().set_next(ptr::null_mut());
            match self.tail.replace(task.as_ptr()).as_ref() {
                Some(tail) => tail.set_next(task.as_ptr()),
                None => self.head.set(task.as_ptr()),
            }
        }
        self.len.set(self.len.get() + 1);
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.head.get().is_null()
    }

    /// Moves all of `other` to the end.
    #[inline]
    fn append(&self, other: &Self) {
        let head = other.head.replace(ptr::null_mut());
        if head.is_null() {
            return;
        }
        // SAFETY: as in `push`.
        match unsafe { self.tail.replace(other.tail.replace(ptr::null_mut())).as_ref() } {
            Some(tail) => tail.set_next(head),
            None => self.head.set(head),
        }
        self.len.set(self.len.get() + other.len.take());
    }

    #[inline]
    pub(super) fn pop(&self) -> Option<NonNull<Header>> {
        let task = NonNull::new(self.head.get())?;
        // SAFETY: as in `push`.
        let next = unsafe { task.as_ref().next() };
        self.head.set(next);
        if next.is_null() {
            self.tail.set(ptr::null_mut());
        }
        self.len.set(self.len.get() - 1);
        Some(task)
    }
}

/// Records that the current poll of this thread's worker has panicked.
pub(crate) fn note_panic() {
    // SAFETY: set while the worker runs on this thread.
    if let Some(local) = unsafe { LOCAL.get().as_ref() } {
        local.slot().mark.note_panic();
    }
}

/// Whether this thread is a worker of that runtime whose loop runs.
pub(crate) fn runs_here(shared: *const Shared) -> bool {
    // SAFETY: set while the worker runs on this thread.
    unsafe { LOCAL.get().as_ref() }.is_some_and(|local| ptr::eq(local.shared, shared))
}

/// The address of the runtime of which this thread is a worker that has not left, or zero. Such a worker keeps its runtime
/// alive.
pub(crate) fn worker_of() -> usize {
    WORKER_OF.get()
}
