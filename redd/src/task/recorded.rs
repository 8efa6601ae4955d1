//! A poll for the flight recorder, while it records each of them, and for the events of a simulated world.
//!
//! Called by the schedulers of tasks: those of runtimes and of `LocalSet`s.

use super::poll::Ran;
use super::runnable::{Runnable, TaskRef};
use crate::observe::recorder::{EventKind, full, full_on_worker, pair};
use crate::primitives::baton::{self, Baton};

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

/// A poll in a simulated world. It keeps the task, whose description may be read when it has ended.
#[derive(Debug)]
pub(crate) struct PollInWorld<'a> {
    baton: &'a Baton,
    task: TaskRef,
}

impl<'a> PollInWorld<'a> {
    /// The poll is about to begin.
    pub(crate) fn begin(baton: &'a Baton, runnable: &Runnable) -> Self {
        Self { baton, task: runnable.task().clone() }
    }

    /// It has ended.
    pub(crate) fn end(self, ran: &Ran) {
        let result = match ran {
            Ran::Done => 0,
            Ran::Requeue(_) => 1,
            Ran::Yielded(_) => 2,
        };
        let Self { baton, task } = self;
        baton.record_task(baton::EventKind::Polled, task.id().number(), &|| format!("{:#}", task.info()), None, result);
    }
}
