//! What the program gets from a group: the waits for results, for a free place and for the end; and the results themselves.
//!
//! Called by `task_group` and `in_order`.

use std::future::Future;
use std::mem;
use std::panic::Location;
use std::sync::Arc;

use super::group_inner::{CancelledBy, DONE, EndedTask, GroupPhase, NEXT, READY};
use super::group_state::GroupState;
use super::result_queue::ResultQueue;
use super::scope::Reason;
use super::task_error::TaskError;
use crate::observe::waiting::WaitKind;
use crate::sync::wait_list::{CallSite, Guard, PermitsState};
use crate::sync::wait_until::wait_until;
use crate::task::ended::Ended;

impl<T: Send + 'static> GroupState<T> {
    /// Waits for the next result. `None` if all tasks have ended and no result is left.
    pub(super) fn next_ended(&self, location: CallSite) -> impl Future<Output = Option<EndedTask<T>>> + Send {
        let take = |registers: bool| {
            let mut inner = self.inner.lock();
            let task = inner.ended.pop();
            if task.is_some() || inner.unfinished == 0 {
                return Some(task);
            }
            if registers {
                inner.waits |= NEXT;
            }
            None
        };
        self.wait_until(WaitKind::GroupTask, location, take)
    }

    /// Waits until a task that is spawned then would start at once, or the group is cancelled.
    pub(super) fn wait_ready(&self, location: CallSite) -> impl Future<Output = ()> + Send {
        let is_ready = |registers: bool| {
            let mut inner = self.inner.lock();
            if inner.free_places > 0 || self.scope.is_cancelled() {
                return Some(());
            }
            if registers {
                inner.waits |= READY;
            }
            None
        };
        self.wait_until(WaitKind::GroupPlace, location, is_ready)
    }

    /// Waits until no task and no clean-up is left, after `close`.
    pub(super) fn wait_done(&self, location: CallSite) -> impl Future<Output = ()> + Send {
        let is_done = |registers: bool| {
            let mut inner = self.inner.lock();
            if inner.phase == GroupPhase::Done {
                return Some(());
            }
            if registers {
                inner.waits |= DONE;
            }
            None
        };
        self.wait_until(WaitKind::GroupEnd, location, is_done)
    }

    /// Waits until `poll` returns a value. It is called with `true` if it has to ask for a notification.
    fn wait_until<R>(
        &self,
        kind: WaitKind,
        location: CallSite,
        poll: impl Fn(bool) -> Option<R> + Copy + Send,
    ) -> impl Future<Output = R> + Send {
        let registers = move |list: &mut Guard<'_>| {
            let output = poll(true);
            if output.is_none() {
                // Dumps find the group by the list.
                list.set_permits(PermitsState { taken: None, out: None, address: std::ptr::from_ref(self).addr() });
            }
            output
        };
        wait_until(&self.waiters, kind, location, move || poll(false), registers)
    }

    /// The number of tasks that have not ended.
    pub(super) fn unfinished(&self) -> usize {
        self.inner.lock().unfinished
    }

    /// Takes the results that are there.
    pub(super) fn take_results(&self) -> ResultQueue<EndedTask<T>> {
        mem::replace(&mut self.inner.lock().ended, ResultQueue::new())
    }

    /// The first failure of a clean-up.
    pub(super) fn take_failed_clean_up(&self) -> Option<TaskError> {
        let failed = self.inner.lock().failed_clean_up.take();
        let (task, unread) = failed?;
        unread.read();
        self.result_of(task).err()
    }

    /// Closes the group, and waits until it is done.
    pub(super) async fn finish(self: &Arc<Self>, location: &'static Location<'static>) {
        self.close();
        self.wait_done(Some(location)).await;
    }

    /// The outcome of the group, from the results that were not taken.
    pub(super) fn outputs_of(&self, results: impl Iterator<Item = EndedTask<T>>) -> Result<Vec<T>, TaskError> {
        let options = &self.options;
        let (mut outputs, mut error, mut cancelled_sibling, mut has_error_output) = (Vec::new(), None, None, false);
        for task in results {
            if error.is_some() && task.is_panic() {
                // Its drop reports it.
                continue;
            }
            match self.result_of(task) {
                Ok(output) => {
                    has_error_output |= options.is_error.is_some_and(|is_error| is_error(&output));
                    outputs.push(output);
                }
                Err(sibling) if matches!(sibling.reason(), Some(Reason::SiblingFailed(_))) => {
                    cancelled_sibling.get_or_insert(sibling);
                }
                Err(failed) => {
                    error.get_or_insert(failed);
                }
            }
        }
        let error = error.or(if has_error_output { None } else { cancelled_sibling });
        match error.or_else(|| self.take_failed_clean_up()) {
            Some(error) => Err(error),
            None => Ok(outputs),
        }
    }

    /// The result of a task, as the program gets it.
    pub(super) fn result_of<R>(&self, task: EndedTask<R>) -> Result<R, TaskError> {
        let EndedTask { id, spawned_at, cancelled_by, ended, .. } = task;
        let name = || self.options.name.clone();
        match ended {
            Ended::Output(output) => Ok(output),
            Ended::Panicked(panic) => Err(TaskError::panicked(panic.into_error(), name(), spawned_at)),
            Ended::Cancelled => {
                let reason = match cancelled_by {
                    CancelledBy::Scope => self.scope.reason().unwrap_or(Reason::Aborted),
                    CancelledBy::Abort => Reason::Aborted,
                    CancelledBy::Shutdown => Reason::Shutdown,
                    CancelledBy::OwnTime => Reason::CleanUpTooLong,
                };
                Err(TaskError::cancelled(id, reason, name(), spawned_at))
            }
        }
    }
}
