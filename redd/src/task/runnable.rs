//! `Runnable`: the right to poll a task once; and how a task asks to be queued.

#![expect(unsafe_code, reason = "ownership of a reference behind a raw pointer")]

use std::ptr::NonNull;

use super::cell::{Header, TaskRef};
use super::hooks::UnjoinedPanic;
use crate::observe::report::Place;
use crate::observe::waiting::WaitKind;

/// Who queues the tasks of a slab. The task room knows nothing else of a scheduler.
pub(crate) trait Schedule: Send + Sync {
    /// Queues a task that was woken or cancelled. Called on any thread, also while a lock of foreign code is held:
    /// it must not run foreign code other than dropping a task that can no longer be run.
    fn schedule(&self, runnable: Runnable);

    /// A task panicked (not a blocking closure); its handle will say so, if there is one.
    fn task_panicked(&self);

    /// A panic is thrown away unseen: the task's handle is gone, or goes without having been awaited.
    fn panic_unjoined(&self, panic: &UnjoinedPanic<'_>);

    /// Memory lies idle, and no worker has noticed: one should look at [`TaskSlab::next_trim_at`](super::slab::TaskSlab). Called
    /// without a lock of the slab.
    fn request_trim(&self) {}

    /// Whether this thread keeps the scheduler until a call of [`schedule`](Self::schedule) on it returns, whatever
    /// becomes of the task meanwhile. If not, the caller of `schedule` keeps a reference to the task until then.
    fn is_kept_by_this_thread(&self) -> bool {
        false
    }
}

/// A task as reports name it.
#[derive(Debug)]
pub(crate) struct TaskInfo {
    pub(crate) id: super::Id,
    pub(crate) location: &'static std::panic::Location<'static>,
    pub(crate) name: Option<std::sync::Arc<str>>,
    pub(crate) age: std::time::Duration,
    /// What it noted when its last poll was pending, and where the program asked for it.
    pub(crate) waiting: Option<(WaitKind, Option<&'static std::panic::Location<'static>>)>,
    pub(crate) is_running: bool,
    pub(crate) is_complete: bool,
    pub(crate) is_queued: bool,
    /// A closure of the blocking pool.
    pub(crate) is_blocking: bool,
}

impl std::fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", if self.is_blocking { "closure" } else { "task" }, self.id)?;
        if let Some(name) = &self.name {
            write!(f, " `{name}`")?;
        }
        write!(f, " (spawned at {}, {:.1?} old", Place(self.location), self.age)?;
        match self.waiting {
            _ if self.is_running => f.write_str(", running")?,
            _ if self.is_blocking && !self.is_complete => f.write_str(", waits for a thread")?,
            _ if self.is_queued => f.write_str(", queued")?,
            Some((kind, Some(location))) => write!(f, ", waits: {kind:?} at {}", Place(location))?,
            Some((kind, None)) => write!(f, ", waits: {kind:?}")?,
            None => {}
        }
        f.write_str(")")
    }
}

/// The right to poll a task once. At most one exists per task.
///
/// Dropping it without running it cancels nothing: it only lets the reference go. Schedulers run it, `cancel` it, or
/// leave the task to `shutdown`.
#[derive(Debug)]
#[must_use = "a task whose `Runnable` is dropped is never polled again"]
pub(crate) struct Runnable(TaskRef);

impl Runnable {
    /// # Safety
    /// The caller passes on the reference that the state word counts for the `Runnable`.
    pub(crate) unsafe fn from_raw(task: NonNull<Header>) -> Self {
        // SAFETY: by this function's duty.
        Self(unsafe { TaskRef::from_raw(task) })
    }

    /// The task, with its reference; for intrusive queues.
    pub(crate) fn into_raw(self) -> NonNull<Header> {
        self.0.into_raw()
    }

    /// The task's address, as [`TaskSlab::ref_at`](super::slab::TaskSlab) takes it: good for the whole cell, unlike one that is made
    /// from the reference of [`header`](Self::header).
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
