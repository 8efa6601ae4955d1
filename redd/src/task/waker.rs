//! The waker of a task: a table for `RawWaker` whose data is the task's header.
//!
//! # Invariants
//! - `waker-is-ref`: each waker owns one reference to its task, except the borrowed one of a poll.
//! - `keep-until-returned`: whoever hands a task to its scheduler keeps the scheduler until that returns: with a reference to
//!   the task, which keeps the heap and its owner (`slab-outlives-slots` in `slab`), or because its thread runs inside the
//!   scheduler.

#![expect(unsafe_code, reason = "RawWaker tables are unsafe by nature")]

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::cell::{self, Header, TaskRef};
use super::runnable::{Runnable, Schedule};
use super::slab::TaskSlab;
use super::spans;
use super::state::AfterWake;

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
    // SAFETY: the waker's reference is ours; after the step below the heap is used only if this thread keeps it.
    let slab = unsafe { TaskSlab::of(task) };
    if !slab.is_entered_here() {
        // SAFETY: the waker's reference is passed on.
        return unsafe { wake_elsewhere(task) };
    }
    match header.state.wake_by_val() {
        // `keep-until-returned`: this thread keeps the heap and its owner.
        // SAFETY: as said; the waker's reference is the `Runnable`'s now.
        AfterWake::Enqueue => unsafe { slab.owner().schedule(Runnable::from_raw(task)) },
        AfterWake::Nothing => {}
        // SAFETY: ours was the last.
        AfterWake::Free => unsafe { cell::free(task) },
        AfterWake::EnqueueThenRelease => unreachable!("this step gives the waker's reference away"),
    }
}

/// As `wake`, on a thread that has not entered the slab.
///
/// # Safety
/// The caller passes on a waker's reference.
#[inline(never)]
unsafe fn wake_elsewhere(task: NonNull<Header>) {
    // SAFETY: the reference is ours until the step below.
    let (header, owner) = unsafe { (task.as_ref(), TaskSlab::of(task).owner_if_open()) };
    let is_kept = owner.is_some_and(Schedule::is_kept_by_this_thread);
    match if is_kept { header.state.wake_by_val() } else { header.state.wake_by_val_elsewhere() } {
        // SAFETY: the waker's reference is the `Runnable`'s now; this thread keeps the scheduler.
        AfterWake::Enqueue => unsafe { enqueue(task) },
        AfterWake::EnqueueThenRelease => {
            // `keep-until-returned`: a worker may run the task to its end, and the runtime may end, before the scheduler has
            // returned. It is gone no earlier than this reference.
            // SAFETY: `waker-is-ref`.
            let kept = unsafe { TaskRef::from_raw(task) };
            // SAFETY: the step made a reference for the `Runnable`.
            unsafe { enqueue(task) };
            drop(kept);
        }
        AfterWake::Nothing => {}
        // SAFETY: ours was the last.
        AfterWake::Free => unsafe { cell::free(task) },
    }
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: called through a waker of this table.
    let (task, header) = unsafe { header(data) };
    spans::waker(WakerOp::WakeByRef, header.id());
    match header.state.wake_by_ref() {
        // SAFETY: the step made a reference for the `Runnable`.
        AfterWake::Enqueue => unsafe { enqueue(task) },
        AfterWake::Nothing => {}
        AfterWake::EnqueueThenRelease | AfterWake::Free => unreachable!("waking by reference releases none"),
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
/// The state said that the task is to be enqueued, so one reference belongs to the `Runnable` made here. The caller keeps
/// the scheduler until this returns (`keep-until-returned`).
pub(super) unsafe fn enqueue(task: NonNull<Header>) {
    // SAFETY: the `Runnable` owns a reference until it is handed over; from then on the caller keeps the heap's owner.
    unsafe {
        let owner = TaskSlab::of(task).owner();
        owner.schedule(Runnable::from_raw(task));
    }
}
