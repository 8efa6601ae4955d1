//! A poll for the flight recorder, while it records each of them.
//!
//! Called by the schedulers of tasks: those of runtimes and of `LocalSet`s.

use super::poll::Ran;
use super::runnable::{Runnable, TaskRef};
use crate::observe::recorder::{EventKind, full, full_on_worker, pair};

/// A poll that is recorded. It keeps the task, so that the state can be read when the task has ended.
#[derive(Debug)]
pub(crate) struct RecordedPoll(TaskRef);

impl RecordedPoll {
    /// The poll is about to begin.
    #[cold]
    pub(crate) fn begin(runnable: &Runnable) -> Self {
        full_on_worker(EventKind::PollStart, runnable.header().id().number());
        Self(runnable.task().clone())
    }

    /// It has ended.
    #[cold]
    pub(crate) fn end(self, ran: &Ran) {
        let id = self.0.id().number();
        if self.0.state.load().is_complete() {
            full(EventKind::TaskEnd, id);
            full(EventKind::SpawnedAt, std::ptr::from_ref(self.0.location()).expose_provenance() as u64);
        } else {
            full(EventKind::PollEnd, id);
        }
        if matches!(ran, Ran::Yielded(_)) {
            full(EventKind::Wake, pair(id, id));
        }
    }
}
