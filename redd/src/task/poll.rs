//! Poll a task once: budget, panic, finish or complete.
//!
//! Called by the scheduler's loop (`Runnable::run`), by shutdown (`take_over`) and by the blocking pool.
//!
//! # Invariants
//! - `current-is-honest`: while user code of a task runs (poll, drop of its future or output), `task::id()` names it.

#![expect(unsafe_code, reason = "calls through the task's table")]

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll};
use std::time::Duration;

use super::cell::{self, End, Header};
use super::hooks::TaskHook;
use super::runnable::{Runnable, Start, TaskInfo, start};
use super::slab::Heap;
use super::state::{OnComplete, OnPending, Output};
use super::{Id, budget, waker};
use crate::observe::waiting;
use crate::primitives::atomic::Ordering;
use crate::primitives::thread_local;

thread_local! {
    /// The task whose code runs on this thread.
    static CURRENT: Cell<*const Header> = const { Cell::new(ptr::null()) };
    /// The current poll asked to go to the back of the queue.
    static HAS_YIELDED: Cell<bool> = const { Cell::new(false) };
}

/// Names the current task while it lives (`current-is-honest`).
pub(super) struct CurrentGuard(*const Header);

impl CurrentGuard {
    pub(super) fn enter(task: NonNull<Header>) -> Self {
        Self(CURRENT.replace(task.as_ptr()))
    }
}

impl Drop for CurrentGuard {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// The id of the task whose code runs on this thread.
pub(super) fn current_id() -> Option<Id> {
    let task = CURRENT.get();
    // SAFETY: set for as long as the guard's owner holds a reference.
    unsafe { task.as_ref() }.map(|header| Id::from_u64(header.id()))
}

/// Whether this thread runs code of a task or blocking closure of that heap.
pub(crate) fn current_is_of(heap: &Heap) -> bool {
    // SAFETY: set for as long as the guard's owner holds a reference, so the heap lives too.
    NonNull::new(CURRENT.get().cast_mut()).is_some_and(|task| ptr::eq(unsafe { Heap::of(task) }, heap))
}

/// Asks that the current poll end at the back of the queue without a wake, if `waker` is that of the current task.
pub(super) fn yield_current(waker: &std::task::Waker) -> bool {
    let Some(task) = NonNull::new(CURRENT.get().cast_mut()) else {
        return false;
    };
    let is_own = waker::is_of(waker, task);
    if is_own {
        HAS_YIELDED.set(true);
    }
    is_own
}

/// What the scheduler does after a poll.
#[derive(Debug)]
#[must_use]
pub(crate) enum Ran {
    /// Nothing: the task waits, or has ended.
    Done,
    /// It was woken while it ran: put it at the back of the queue.
    Requeue(Runnable),
    /// It gives way to others: put it behind them.
    Yielded(Runnable),
}

impl Runnable {
    /// Polls the task once.
    #[inline]
    pub(crate) fn run(self) -> Ran {
        let task = self.into_raw();
        match start(task) {
            Start::Poll => {}
            Start::DropFuture => {
                // SAFETY: `start` gave us the poll lock; the `Runnable`'s reference is ours.
                unsafe { cancel_locked(task) };
                return Ran::Done;
            }
            Start::Gone => return Ran::Done,
        }
        // SAFETY: we own the `Runnable`'s reference until the poll ends.
        let header = unsafe { task.as_ref() };
        // A `LocalSet` polls its tasks inside the poll of another: that one's wish is put back afterwards.
        let outer_has_yielded = HAS_YIELDED.replace(false);
        let polled = {
            let _current = CurrentGuard::enter(task);
            // SAFETY: our reference outlives the poll.
            let waker = unsafe { waker::borrowed(task) };
            let mut cx = Context::from_waker(&waker);
            let _ = waiting::take();
            // SAFETY: we hold the poll lock.
            budget::with_full(|| unsafe { (header.vtable().poll)(task, &mut cx) })
        };
        let has_yielded = HAS_YIELDED.replace(outer_has_yielded);
        match polled {
            Poll::Pending => {
                header.set_waiting(waiting::take());
                match header.state.finish_poll(has_yielded) {
                    OnPending::Nothing => {}
                    OnPending::Requeue => {
                        // SAFETY: the state says that the `Runnable`'s reference stays with us.
                        let runnable = unsafe { Runnable::from_raw(task) };
                        return if has_yielded { Ran::Yielded(runnable) } else { Ran::Requeue(runnable) };
                    }
                    // SAFETY: we still hold the poll lock and the reference.
                    OnPending::DropFuture => unsafe { cancel_locked(task) },
                }
            }
            // SAFETY: we hold the poll lock, the reference, and the output is in the cell.
            Poll::Ready(end) => unsafe {
                if end == End::Panicked && !header.vtable().is_blocking {
                    Heap::of(task).owner().task_panicked();
                }
                complete(task);
            },
        }
        Ran::Done
    }

    /// A second reference to the task, only to describe it.
    pub(crate) fn keep(&self) -> KeptTask {
        self.header().state.add_ref();
        KeptTask(self.task())
    }

    /// Calls a hook with this task's description.
    pub(crate) fn tell(&self, hook: &TaskHook, schedule_latency: Option<Duration>) {
        // SAFETY: a `Runnable` owns a reference.
        unsafe { Header::tell(self.task(), hook, schedule_latency) };
    }
}

/// Keeps a task's memory, not its future.
#[derive(Debug)]
pub(crate) struct KeptTask(NonNull<Header>);

impl KeptTask {
    /// Calls a hook with this task's description.
    pub(crate) fn tell(&self, hook: &TaskHook, schedule_latency: Option<Duration>) {
        // SAFETY: it owns a reference.
        unsafe { Header::tell(self.0, hook, schedule_latency) };
    }

    pub(crate) fn info(&self) -> TaskInfo {
        // SAFETY: it owns a reference.
        unsafe { info(self.0) }
    }
}

impl Drop for KeptTask {
    fn drop(&mut self) {
        // SAFETY: it owns a reference, which becomes the `Runnable`'s to release.
        drop(unsafe { Runnable::from_raw(self.0) });
    }
}

/// A queued task that its scheduler will not poll any more.
pub(super) fn cancel_queued(runnable: Runnable) {
    let task = runnable.into_raw();
    match start(task) {
        // SAFETY: `start` gave us the poll lock; the `Runnable`'s reference is ours.
        Start::Poll | Start::DropFuture => unsafe { cancel_locked(task) },
        Start::Gone => {}
    }
}

/// Drops the future and completes the task as cancelled.
///
/// # Safety
/// The caller holds the poll lock and one reference beside the existence one; both references are released.
pub(super) unsafe fn cancel_locked(task: NonNull<Header>) {
    {
        let _current = CurrentGuard::enter(task);
        // SAFETY: by this function's duty.
        unsafe { (task.as_ref().vtable().cancel)(task) };
    }
    // SAFETY: by this function's duty; the output is in the cell.
    unsafe { complete(task) };
}

/// # Safety
/// The caller holds the poll lock and one reference beside the existence one; the output is in the cell. Both
/// references are released.
unsafe fn complete(task: NonNull<Header>) {
    // SAFETY: a reference is held until the end of this function.
    let (header, heap) = unsafe { (task.as_ref(), Heap::of(task)) };
    if let Some(hook) = &heap.hooks.on_terminate {
        // SAFETY: as above.
        unsafe { Header::tell(task, hook, None) };
    }
    heap.count_completed(header.vtable());
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
                // SAFETY: `join-waker`: with COMPLETE and JOIN_WAKER set the cell is ours for good.
                let waker = header.join_waker.with_mut(|waker| unsafe { (*waker).take() });
                if let Some(waker) = waker {
                    crate::collections::wake_list::wake_guarded(waker);
                }
                if header.state.drop_refs(2) {
                    // SAFETY: those were the last.
                    unsafe { cell::free(task) };
                }
                return;
            }
            OnComplete::Nothing => return,
            OnComplete::Free => {
                // SAFETY: the state says so.
                unsafe { cell::free(task) };
                return;
            }
        }
    }
}

impl Heap {
    /// Cancels every task that nobody polls; the pollers of the others see it after their poll. Repeats until a pass
    /// finds none, because dropping a future may spawn. Returns the number of tasks that are still being polled.
    ///
    /// # Safety
    /// If the heap holds tasks that are not `Send`, this is their thread.
    pub(crate) unsafe fn cancel_all(&self) -> usize {
        loop {
            let (mut cancelled, mut running) = (0, 0);
            self.for_each_live(|task| {
                // SAFETY: the walk gave us a reference.
                let header = unsafe { task.as_ref() };
                let state = &header.state;
                if !header.vtable().is_blocking && state.take_over() {
                    cancelled += 1;
                    // SAFETY: we took the poll lock; the walk's reference is the second one.
                    unsafe { cancel_locked(task) };
                } else {
                    running += usize::from(!header.vtable().is_blocking && state.load().is_running());
                    if state.drop_refs(1) {
                        // SAFETY: the walk's reference was the last.
                        unsafe { cell::free(task) };
                    }
                }
            });
            if cancelled == 0 {
                return running;
            }
        }
    }

    /// The task at `address`, if one is alive there now; see `ref_at`.
    pub(crate) fn keep_at(&self, address: *mut Header) -> Option<KeptTask> {
        self.ref_at(address).map(KeptTask)
    }

    /// Descriptions of the tasks and blocking closures that have not ended, for reports.
    pub(crate) fn describe_live(&self) -> Vec<TaskInfo> {
        let mut tasks = Vec::new();
        self.for_each_live(|task| {
            // SAFETY: the walk gave us a reference.
            tasks.push(unsafe { info(task) });
            // SAFETY: as above; the reference is released here.
            drop(unsafe { Runnable::from_raw(task) });
        });
        tasks.retain(|task| !task.is_complete);
        tasks
    }
}

/// # Safety
/// The caller has a reference.
pub(super) unsafe fn info(task: NonNull<Header>) -> TaskInfo {
    // SAFETY: by this function's duty.
    let (header, heap, extra) = unsafe { (task.as_ref(), Heap::of(task), Header::extra(task)) };
    let state = header.state.load();
    TaskInfo {
        id: Id::from_u64(header.id()),
        place: header.place(),
        name: heap.name(extra.name),
        age: Duration::from_millis(u64::from(heap.coarse_ms.load(Ordering::Relaxed).wrapping_sub(extra.spawned_ms))),
        waiting: header.waiting(),
        is_running: state.is_running(),
        is_complete: state.is_complete(),
        is_queued: state.is_queued(),
        is_blocking: header.vtable().is_blocking,
    }
}
