//! `Runnable`, the right to poll a task once, and `Schedule`, which queues it.
//!
//! Called by `scheduler`, `blocking` and `LocalSet`, which implement `Schedule`.

#![expect(unsafe_code, reason = "ownership of a reference behind a raw pointer")]

use std::ptr::NonNull;

use super::cell::{Header, TaskRef};
use super::hooks::UnjoinedPanic;
use crate::observe::report::Place;
use crate::observe::waiting::WaitKind;

/// The scheduler of a slab's tasks. The task room knows nothing else about schedulers.
pub(crate) trait Schedule: Send + Sync {
    /// Queues a task that was woken or cancelled.
    ///
    /// Called on any thread, also while user code holds a lock. So it must not run user code, except for dropping a task
    /// that can no longer be run.
    fn schedule(&self, runnable: Runnable);

    /// A task panicked (not a blocking closure). Its handle will return the panic, if there is one.
    fn task_panicked(&self);

    /// A panic is dropped without having been read: the task's handle was dropped, before or after the panic.
    fn panic_unjoined(&self, panic: &UnjoinedPanic<'_>);

    /// Memory lies idle, and no worker knows it: one should check `TaskSlab::next_trim_at`. Called without a lock of the
    /// slab.
    fn request_trim(&self) {}

    /// Whether this thread keeps the scheduler alive until a call of [`schedule`](Self::schedule) returns, even if the task
    /// ends meanwhile. If not, the caller of `schedule` holds a reference to the task until then.
    fn is_kept_by_this_thread(&self) -> bool {
        false
    }
}

/// A description of a task for reports.
#[derive(Debug)]
pub(crate) struct TaskInfo {
    pub(crate) id: super::Id,
    pub(crate) location: &'static std::panic::Location<'static>,
    pub(crate) name: Option<std::sync::Arc<str>>,
    pub(crate) age: std::time::Duration,
    /// What it recorded when its last poll returned `Pending`, and the location in the program.
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
        write!(f, " (spawned at {}, {} old", Place(self.location), Age(self.age))?;
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

/// An age as reports show it. The clock of ages has a resolution of milliseconds, so a young task has none to show.
struct Age(std::time::Duration);

impl std::fmt::Display for Age {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.as_millis() == 0 { f.write_str("less than 1ms") } else { write!(f, "{:.1?}", self.0) }
    }
}

/// The right to poll a task once. At most one exists per task.
///
/// Dropping it without running it cancels nothing: it only releases the reference. Schedulers run it, `cancel` it, or leave
/// the task to the shutdown.
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

#[cfg(test)]
mod tests {
    use super::Age;
    use std::time::Duration;

    #[test]
    fn an_age_below_the_resolution_of_the_clock_is_not_shown_as_zero() {
        for (age, text) in [(0, "less than 1ms"), (1, "1.0ms"), (1500, "1.5s")] {
            assert_eq!(Age(Duration::from_millis(age)).to_string(), text);
        }
    }
}
