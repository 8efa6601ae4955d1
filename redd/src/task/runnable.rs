//! `TaskRef`, a reference to a task; `Runnable`, the right to poll it once; `Schedule`, which queues it.
//!
//! Called by `slab`, `waker` and `poll`, and by `scheduler`, `blocking` and `LocalSet`, which implement `Schedule`.

#![expect(unsafe_code, reason = "ownership of a reference behind a raw pointer")]

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;

use super::header::Header;
use crate::observe::hooks::UnjoinedPanic;

/// The scheduler of a slab's tasks. The task room uses schedulers only through this trait.
pub(crate) trait Schedule: Send + Sync {
    /// Queues a task that was woken or cancelled.
    ///
    /// Called on any thread, also while user code holds a lock. So it must not run user code, except for dropping a task
    /// that can no longer be run.
    fn schedule(&self, runnable: Runnable);

    /// A task panicked (not a blocking closure). Its handle will return the panic, if there is one.
    fn task_panicked(&self);

    /// A panic was dropped without having been read, because the task's handle was dropped before or after the panic.
    fn panic_unjoined(&self, panic: &UnjoinedPanic<'_>);

    /// Memory is idle, and no worker has noticed it yet: a worker should check `TaskSlab::next_trim_at`. Called without
    /// a lock of the slab.
    fn request_trim(&self) {}

    /// Whether this thread keeps the scheduler alive until a call of [`schedule`](Self::schedule) returns, even if the task
    /// ends meanwhile. If not, the caller of `schedule` holds a reference to the task until then.
    fn is_kept_by_this_thread(&self) -> bool {
        false
    }
}

/// A counted reference to a task. Dropping the last one frees the task.
#[derive(Debug)]
pub(crate) struct TaskRef(NonNull<Header>);

// SAFETY: it gives access only to the state word, and to fields that do not change after the spawn.
unsafe impl Send for TaskRef {}
// SAFETY: as above.
unsafe impl Sync for TaskRef {}
impl UnwindSafe for TaskRef {}
impl RefUnwindSafe for TaskRef {}

impl TaskRef {
    /// # Safety
    /// The caller gives up a reference that the state word counts.
    pub(super) unsafe fn from_raw(task: NonNull<Header>) -> Self {
        Self(task)
    }

    /// The task, with the reference.
    pub(super) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).0
    }

    pub(super) fn as_raw(&self) -> NonNull<Header> {
        self.0
    }
}

impl Deref for TaskRef {
    type Target = Header;

    #[inline]
    fn deref(&self) -> &Header {
        // SAFETY: a reference is held.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for TaskRef {
    #[inline]
    fn clone(&self) -> Self {
        self.state.add_ref();
        Self(self.0)
    }
}

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        if self.state.drop_refs(1) {
            // SAFETY: ours was the last.
            unsafe { Header::free(self.0) };
        }
    }
}

/// The right to poll a task once. At most one exists per task.
///
/// Dropping it without running it does not cancel the task: it only releases the reference. Schedulers run it, `cancel`
/// it, or leave the task to the shutdown.
#[derive(Debug)]
#[must_use = "a task whose `Runnable` is dropped is never polled again"]
pub(crate) struct Runnable(TaskRef);

impl Runnable {
    /// # Safety
    /// The caller gives up the reference that the state word counts for the `Runnable`.
    pub(crate) unsafe fn from_raw(task: NonNull<Header>) -> Self {
        // SAFETY: by the safety contract.
        Self(unsafe { TaskRef::from_raw(task) })
    }

    /// The task, with its reference; for intrusive queues.
    pub(crate) fn into_raw(self) -> NonNull<Header> {
        self.0.into_raw()
    }

    /// The task's address, for `TaskSlab::ref_at`. It is valid for the whole cell, unlike an address made from the reference
    /// of [`header`](Self::header).
    pub(crate) fn as_ptr(&self) -> *mut Header {
        self.0.as_raw().as_ptr()
    }

    pub(crate) fn header(&self) -> &Header {
        &self.0
    }

    /// The reference, to be cloned or to describe the task.
    pub(crate) fn task(&self) -> &TaskRef {
        &self.0
    }
}
