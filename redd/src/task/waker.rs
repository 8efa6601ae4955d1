//! The waker of a task: a table for `RawWaker` whose data is the task's header.
//!
//! Called by user code through `Waker`, by `poll` (the borrowed waker) and by `join` (abort).
//!
//! # Invariants
//! - `waker-is-ref`: each waker owns one reference to its task, except the borrowed one of a poll.
//! - `keep-until-returned`: a thread that passes a task to its scheduler keeps the scheduler alive until that call returns.
//!   Either it runs inside the scheduler, or it has a reference to the task. That keeps the slab and its owner
//!   (`slab-outlives-slots` in `slab`).

#![expect(unsafe_code, reason = "RawWaker tables are unsafe by nature")]

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::header::Header;
use super::id::Id;
use super::runnable::{Runnable, Schedule, TaskRef};
use super::slab::TaskSlab;
use super::state::AfterWake;
use crate::observe::spans;

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// The waker for one poll: it borrows the poller's reference.
///
/// # Safety
/// The poller's reference outlives the value.
#[inline]
pub(super) unsafe fn borrowed(task: NonNull<Header>) -> ManuallyDrop<Waker> {
    // SAFETY: the table's functions fit a header; the reference is the poller's, so it is not released here.
    ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(task.as_ptr().cast(), &TABLE)) })
}

/// Whether this is a waker of `task`.
#[inline]
pub(super) fn is_of(waker: &Waker, task: NonNull<Header>) -> bool {
    std::ptr::eq(waker.data(), task.as_ptr().cast()) && std::ptr::eq(waker.vtable(), &TABLE)
}

/// Whether this is a waker of any task, which runs no user code.
#[inline]
pub(crate) fn is_of_task(waker: &Waker) -> bool {
    std::ptr::eq(waker.vtable(), &TABLE)
}

/// The task that this waker wakes. `None` if it is not the waker of a task, but for example that of a set of futures.
#[inline]
pub(crate) fn task_of(waker: &Waker) -> Option<Id> {
    // SAFETY: it is of this table.
    is_of_task(waker).then(|| unsafe { header(waker.data()).1.id() })
}

/// # Safety
/// `data` comes from a waker of this table, so it is a live header (`waker-is-ref`).
#[inline]
unsafe fn header<'a>(data: *const ()) -> (NonNull<Header>, &'a Header) {
    // SAFETY: by the safety contract.
    unsafe {
        let task = NonNull::new_unchecked(data.cast_mut().cast::<Header>());
        (task, task.as_ref())
    }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: called through a waker of this table.
    let (_, header) = unsafe { header(data) };
    spans::waker("waker.clone", header.id());
    header.state.add_ref();
    RawWaker::new(data, &TABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: called through a waker of this table.
    let (task, header) = unsafe { header(data) };
    spans::waker("waker.wake", header.id());
    // SAFETY: the waker's reference is ours; after the transition below the slab is used only if this thread keeps it.
    let slab = unsafe { TaskSlab::of(task) };
    if !slab.is_entered_here() {
        // SAFETY: the waker's reference is passed on.
        return unsafe { wake_elsewhere(task) };
    }
    match header.state.wake_by_val() {
        // `keep-until-returned`: this thread keeps the slab and its owner.
        // SAFETY: as just explained. The waker's reference is the `Runnable`'s now.
        AfterWake::Enqueue => unsafe { slab.owner().schedule(Runnable::from_raw(task)) },
        AfterWake::Nothing => {}
        // SAFETY: ours was the last.
        AfterWake::Free => unsafe { Header::free(task) },
        AfterWake::EnqueueThenRelease => unreachable!("this transition gives the waker's reference away"),
    }
}

/// As `wake`, on a thread that has not entered the slab.
///
/// # Safety
/// The caller gives up a waker's reference.
#[inline(never)]
unsafe fn wake_elsewhere(task: NonNull<Header>) {
    // SAFETY: the reference is ours until the transition below.
    let (header, owner) = unsafe { (task.as_ref(), TaskSlab::of(task).owner_if_open()) };
    let is_kept = owner.is_some_and(Schedule::is_kept_by_this_thread);
    match if is_kept { header.state.wake_by_val() } else { header.state.wake_by_val_elsewhere() } {
        // SAFETY: the waker's reference is the `Runnable`'s now; this thread keeps the scheduler.
        AfterWake::Enqueue => unsafe { enqueue(task) },
        AfterWake::EnqueueThenRelease => {
            // `keep-until-returned`: a worker may run the task to its end, and the runtime may end, before the scheduler has
            // returned. The scheduler stays at least as long as this reference.
            // SAFETY: `waker-is-ref`.
            let kept = unsafe { TaskRef::from_raw(task) };
            // SAFETY: the transition made a reference for the `Runnable`.
            unsafe { enqueue(task) };
            drop(kept);
        }
        AfterWake::Nothing => {}
        // SAFETY: ours was the last.
        AfterWake::Free => unsafe { Header::free(task) },
    }
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: called through a waker of this table.
    let (task, header) = unsafe { header(data) };
    spans::waker("waker.wake_by_ref", header.id());
    match header.state.wake_by_ref() {
        // SAFETY: the transition made a reference for the `Runnable`.
        AfterWake::Enqueue => unsafe { enqueue(task) },
        AfterWake::Nothing => {}
        AfterWake::EnqueueThenRelease | AfterWake::Free => unreachable!("waking by reference releases none"),
    }
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: called through a waker of this table.
    let (task, header) = unsafe { header(data) };
    spans::waker("waker.drop", header.id());
    // SAFETY: `waker-is-ref`.
    drop(unsafe { TaskRef::from_raw(task) });
}

/// Passes the task to its scheduler.
///
/// # Safety
/// A transition returned that the task is to be enqueued, so one reference belongs to the `Runnable` made here. The caller
/// keeps the scheduler alive until this returns (`keep-until-returned`).
pub(super) unsafe fn enqueue(task: NonNull<Header>) {
    // SAFETY: the `Runnable` owns a reference until it is passed on. From then on the caller keeps the slab's owner.
    unsafe {
        let owner = TaskSlab::of(task).owner();
        owner.schedule(Runnable::from_raw(task));
    }
}
