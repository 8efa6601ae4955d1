//! One poll of a task: the budget, panics, and the transition after the poll.
//!
//! Called by the scheduler's loop (`Runnable::run`), by shutdown (`take_over`) and by the blocking pool.

#![expect(unsafe_code, reason = "calls through the task's table")]

use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::current::{self, CurrentGuard};
use super::describe::call_hook;
use super::header::{End, Header};
use super::runnable::Runnable;
use super::slab::TaskSlab;
use super::state::{OnComplete, OnPending, OnStart, Output};
use super::{budget, waker};
use crate::observe::recorder::{self, EventKind};
use crate::observe::waiting;

/// What the scheduler does after a poll.
#[derive(Debug)]
#[must_use]
pub(crate) enum Ran {
    /// Nothing: the task waits, or has ended.
    Done,
    /// It was woken while it ran: put it at the back of the queue.
    Requeue(Runnable),
    /// It yielded: put it behind the other tasks.
    Yielded(Runnable),
}

impl Runnable {
    /// Cancels the task instead of polling it: its future is dropped here, and its joiner gets a cancellation error.
    pub(crate) fn cancel(self) {
        let start = self.header().state.start_poll();
        // SAFETY: the outcome is that of this `Runnable`.
        unsafe { end_unpolled(self.into_raw(), start) };
    }

    /// Polls the task once.
    #[inline]
    pub(crate) fn run(self) -> Ran {
        let task = self.into_raw();
        // SAFETY: the `Runnable`'s reference is ours.
        match unsafe { task.as_ref() }.state.start_poll() {
            OnStart::Poll => {}
            end @ (OnStart::DropFuture | OnStart::Discard | OnStart::Free) => {
                // SAFETY: as above.
                unsafe { end_unpolled(task, end) };
                return Ran::Done;
            }
        }
        // SAFETY: we own the `Runnable`'s reference until the poll ends.
        let header = unsafe { task.as_ref() };
        // A `LocalSet` polls its tasks inside the poll of another task, so the flag of that task is restored afterwards.
        let outer_has_yielded = current::replace_has_yielded(false);
        let polled = {
            let _current = CurrentGuard::enter(task);
            // SAFETY: our reference outlives the poll.
            let waker = unsafe { waker::borrowed(task) };
            let mut cx = Context::from_waker(&waker);
            let _ = waiting::take();
            // SAFETY: our reference outlives the poll.
            unsafe { Header::extra(task) }.count_poll();
            // SAFETY: we hold the poll lock.
            budget::with_full(|| unsafe { (header.vtable().poll)(task, &mut cx) })
        };
        let has_yielded = current::replace_has_yielded(outer_has_yielded);
        match polled {
            Poll::Pending => {
                header.set_waiting(waiting::take());
                match header.state.finish_poll(has_yielded) {
                    OnPending::Nothing => {}
                    OnPending::Requeue => {
                        // SAFETY: by the outcome of the transition, the `Runnable`'s reference stays with us.
                        let runnable = unsafe { Runnable::from_raw(task) };
                        return if has_yielded { Ran::Yielded(runnable) } else { Ran::Requeue(runnable) };
                    }
                    // SAFETY: we still hold the poll lock and the reference.
                    OnPending::DropFuture => unsafe { cancel_locked(task) },
                }
            }
            // SAFETY: we hold the poll lock, the reference, and the output is in the cell.
            Poll::Ready(end) => unsafe {
                if end == End::Panicked {
                    recorder::here(EventKind::Panic, header.id().number());
                    if !header.vtable().is_blocking {
                        TaskSlab::of(task).owner().task_panicked();
                    }
                }
                complete(task);
            },
        }
        Ran::Done
    }
}

/// Finishes a `Runnable` that is not polled.
///
/// # Safety
/// `start` is the outcome of `start_poll` for this `Runnable`, and the caller gives up the `Runnable`'s reference.
#[cold]
unsafe fn end_unpolled(task: NonNull<Header>, start: OnStart) {
    match start {
        // SAFETY: the step gave us the poll lock; the reference is ours.
        OnStart::Poll | OnStart::DropFuture => unsafe { cancel_locked(task) },
        OnStart::Discard => {}
        // SAFETY: ours was the last reference.
        OnStart::Free => unsafe { Header::free(task) },
    }
}

/// Drops the future and completes the task as cancelled.
///
/// # Safety
/// The caller holds the poll lock and one reference beside the existence one; both references are released.
pub(super) unsafe fn cancel_locked(task: NonNull<Header>) {
    {
        let _current = CurrentGuard::enter(task);
        // SAFETY: by the safety contract.
        unsafe { (task.as_ref().vtable().cancel)(task, None) };
    }
    // SAFETY: by the safety contract; the output is in the cell.
    unsafe { complete(task) };
}

/// # Safety
/// The caller holds the poll lock and one reference beside the existence one; the output is in the cell. Both
/// references are released.
unsafe fn complete(task: NonNull<Header>) {
    // SAFETY: a reference is held until the end of this function.
    let (header, slab) = unsafe { (task.as_ref(), TaskSlab::of(task)) };
    if let Some(hook) = &slab.hooks.on_terminate {
        // SAFETY: as above.
        unsafe { call_hook(task, hook, None, None) };
    }
    slab.count_completed(header.vtable());
    let mut output = Output::Present;
    loop {
        match header.state.complete(output) {
            OnComplete::DropOutput => {
                let _current = CurrentGuard::enter(task);
                // SAFETY: before COMPLETE without JOIN the output is ours.
                unsafe { (header.vtable().drop_stage)(task) };
                output = Output::Dropped;
            }
            OnComplete::WakeJoiner => {
                // SAFETY: `join-waker`: with COMPLETE and JOIN_WAKER set the cell is ours from here on.
                let waker = header.join_waker.with_mut(|waker| unsafe { (*waker).take() });
                crate::collections::wake_list::wake_guarded(waker);
                if header.state.drop_refs(2) {
                    // SAFETY: those were the last.
                    unsafe { Header::free(task) };
                }
                return;
            }
            OnComplete::Nothing => return,
            OnComplete::Free => {
                // SAFETY: by the outcome of the transition, no reference is left.
                unsafe { Header::free(task) };
                return;
            }
        }
    }
}

impl TaskSlab {
    /// Cancels every task that no thread polls; the pollers of the others cancel them after their poll.
    ///
    /// It repeats until a pass finds none, because dropping a future may spawn. Returns the number of tasks that are still
    /// being polled.
    ///
    /// # Safety
    /// If the slab holds tasks that are not `Send`, this is their thread.
    pub(crate) unsafe fn cancel_all(self: &Arc<Self>) -> usize {
        loop {
            let (mut cancelled, mut running) = (0, 0);
            self.for_each_live(|task| {
                if task.vtable().is_blocking {
                    return;
                }
                if task.state.take_over() {
                    cancelled += 1;
                    // SAFETY: we took the poll lock; the walk's reference is the second one.
                    unsafe { cancel_locked(task.into_raw()) };
                } else {
                    running += usize::from(task.state.load().is_running());
                }
            });
            if cancelled == 0 {
                return running;
            }
        }
    }
}
