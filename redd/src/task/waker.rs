//! The waker of a task: a table for `RawWaker` whose data is the task's header.
//!
//! # Invariants
//! - `waker-is-ref`: each waker owns one reference to its task, except the borrowed one of a poll.

#![expect(unsafe_code, reason = "RawWaker tables are unsafe by nature")]

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::cell::{self, Header, TaskRef};
use super::runnable::Runnable;
use super::slab::Heap;
use super::spans;
use super::state::OnWake;

/// What is done to a waker, for who watches.
#[derive(Debug, Clone, Copy)]
pub(super) enum WakerOp {
    Clone,
    Wake,
    WakeByRef,
    Drop,
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// The waker for one poll: it borrows the poller's reference.
///
/// # Safety
/// The poller's reference outlives the value.
pub(super) unsafe fn borrowed(task: NonNull<Header>) -> ManuallyDrop<Waker> {
    // SAFETY: the table's functions fit a header; the reference is the poller's, so it is not released here.
    ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(task.as_ptr().cast(), &TABLE)) })
}

/// Whether this is a waker of `task`.
pub(super) fn is_of(waker: &Waker, task: NonNull<Header>) -> bool {
    std::ptr::eq(waker.data(), task.as_ptr().cast()) && std::ptr::eq(waker.vtable(), &TABLE)
}

/// Whether this is a waker of any task, which runs no user code.
pub(crate) fn is_of_task(waker: &Waker) -> bool {
    std::ptr::eq(waker.vtable(), &TABLE)
}

/// # Safety
/// `data` comes from a waker of this table, so it is a live header (`waker-is-ref`).
unsafe fn header<'a>(data: *const ()) -> (NonNull<Header>, &'a Header) {
    // SAFETY: by this function's duty.
    unsafe {
        let task = NonNull::new_unchecked(data.cast_mut().cast::<Header>());
        (task, task.as_ref())
    }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: called through a waker of this table.
    let (_, header) = unsafe { header(data) };
    spans::waker(WakerOp::Clone, header.id());
    header.state.add_ref();
    RawWaker::new(data, &TABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: called through a waker of this table.
    let (task, header) = unsafe { header(data) };
    spans::waker(WakerOp::Wake, header.id());
    match header.state.wake_by_val() {
        // SAFETY: the waker's reference is the `Runnable`'s now.
        OnWake::Enqueue => unsafe { enqueue(task) },
        OnWake::Nothing => {}
        // SAFETY: ours was the last.
        OnWake::Free => unsafe { cell::free(task) },
    }
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: called through a waker of this table.
    let (task, header) = unsafe { header(data) };
    spans::waker(WakerOp::WakeByRef, header.id());
    match header.state.wake_by_ref() {
        // SAFETY: the step made a reference for the `Runnable`.
        OnWake::Enqueue => unsafe { enqueue(task) },
        OnWake::Nothing => {}
        OnWake::Free => unreachable!("waking by reference releases none"),
    }
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: called through a waker of this table.
    let (task, header) = unsafe { header(data) };
    spans::waker(WakerOp::Drop, header.id());
    // SAFETY: `waker-is-ref`.
    drop(unsafe { TaskRef::from_raw(task) });
}

/// Hands the task to its scheduler.
///
/// # Safety
/// The state answered `Enqueue`, so one reference belongs to the `Runnable` made here.
pub(super) unsafe fn enqueue(task: NonNull<Header>) {
    // SAFETY: the `Runnable` owns a reference, so the heap lives at least until it is handed over, and the scheduler
    // is kept by whoever runs or drops it.
    unsafe {
        let owner = Heap::of(task).owner();
        owner.schedule(Runnable::from_raw(task));
    }
}
