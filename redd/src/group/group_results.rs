//! What the program gets from a group: the waits for results, for a free place and for the end; and the results themselves.
//!
//! Called by `task_group` and `in_order`.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::mem;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Poll, ready};

use super::group_inner::{CancelledBy, DONE, EndedTask, GroupEntry, GroupPhase, NEXT, READY};
use super::group_state::{GroupGuard, GroupState, STEPS_PER_LOCK};
use super::result_queue::ResultQueue;
use super::scope::Reason;
use super::task_error::TaskError;
use crate::observe::waiting::WaitKind;
use crate::primitives::atomic::Ordering;
use crate::sync::wait_list::{CallSite, PermitsState};
use crate::sync::wait_until::wait_until;
use crate::task::coop;
use crate::task::ended::Ended;

impl<T: Send + 'static> GroupState<T> {
    /// Waits for the next result. `None` if all tasks have ended and no result is left.
    pub(super) fn next_ended(&self, location: CallSite) -> impl Future<Output = Option<EndedTask<T>>> + Send {
        let quick = || self.take_ended();
        wait_until(&self.inner, WaitKind::GroupTask, location, quick, |inner| self.take_or_wait(inner))
    }

    /// As [`next_ended`](Self::next_ended), for a unit of the task's budget. Returns what the program gets.
    pub(super) async fn next_result(&self, location: CallSite) -> Option<Result<T, TaskError>> {
        let quick = for_unit(|| self.take_ended().map(|ended| Some(self.result_of(ended?))));
        match quick.await {
            Some(result) => result,
            None => Some(self.result_of(coop::cooperative(self.next_ended(location)).await?)),
        }
    }

    /// Takes a result. `Some(None)` if none will come. It may miss one that comes just now.
    #[inline]
    fn take_ended(&self) -> Option<Option<EndedTask<T>>> {
        if !self.has_result.load(Ordering::Relaxed) {
            return None;
        }
        let mut inner = self.inner.lock();
        let task = inner.ended.pop();
        if task.is_none() && inner.unfinished > 0 {
            self.has_result.store(false, Ordering::Relaxed);
            return None;
        }
        Some(task)
    }

    /// Takes a result, or records that one is waited for.
    fn take_or_wait(&self, inner: &mut GroupGuard<'_, T>) -> Option<Option<EndedTask<T>>> {
        let task = inner.ended.pop();
        if task.is_none() && inner.unfinished > 0 {
            self.has_result.store(false, Ordering::Relaxed);
            self.wait_for(inner, NEXT);
            return None;
        }
        Some(task)
    }

    /// Waits until a task that is spawned then would start at once, or the group is cancelled. It costs a unit of the task's
    /// budget.
    pub(super) async fn ready_for_unit(&self, location: CallSite) {
        let quick = || {
            let may_be = self.has_place.load(Ordering::Relaxed) || self.scope.is_cancelled();
            (may_be && self.is_ready(&self.inner.lock())).then_some(())
        };
        let locked = |inner: &mut GroupGuard<'_, T>| {
            if self.is_ready(inner) {
                return Some(());
            }
            self.wait_for(inner, READY);
            None
        };
        if for_unit(quick).await.is_none() {
            coop::cooperative(wait_until(&self.inner, WaitKind::GroupPlace, location, quick, locked)).await;
        }
    }

    /// Records that the calling task is about to wait for what `waits` says.
    #[inline]
    fn wait_for(&self, inner: &mut GroupGuard<'_, T>, waits: u8) {
        inner.waits |= waits;
        // Dumps find the group by the list.
        inner.set_permits(PermitsState { taken: None, out: None, address: std::ptr::from_ref(self).addr() });
    }

    fn is_ready(&self, inner: &GroupGuard<'_, T>) -> bool {
        inner.free_places > 0 || self.scope.is_cancelled()
    }

    /// Waits until no task and no clean-up is left, after `close`.
    pub(super) fn wait_done(&self, location: CallSite) -> impl Future<Output = ()> + Send {
        let is_done = |inner: &mut GroupGuard<'_, T>| {
            if inner.phase == GroupPhase::Done {
                return Some(());
            }
            self.wait_for(inner, DONE);
            None
        };
        let quick = || (self.inner.lock().phase == GroupPhase::Done).then_some(());
        wait_until(&self.inner, WaitKind::GroupEnd, location, quick, is_done)
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

    /// From now on, a task that ends keeps its place until its result is yielded. Returns the numbers of all tasks whose results
    /// were not taken, in the order of their spawns, and those results that are there. Meanwhile no task is added.
    pub(super) fn keep_order(&self) -> (VecDeque<u64>, Vec<EndedTask<T>>) {
        let (mut ended, count) = {
            let mut inner = self.inner.lock();
            inner.keeps_places = true;
            (mem::replace(&mut inner.ended, ResultQueue::new()), inner.entries.len())
        };
        let mut numbers = Vec::new();
        for first in (0..count).step_by(STEPS_PER_LOCK) {
            let inner = self.inner.lock();
            let entries = &inner.entries[first..count.min(first + STEPS_PER_LOCK)];
            numbers.extend(entries.iter().filter_map(|entry| match entry {
                GroupEntry::Task { number, .. } | GroupEntry::Reserved { number, .. } => Some(*number),
                GroupEntry::Free(_) | GroupEntry::Watcher(_) | GroupEntry::CleanUp(_) => None,
            }));
        }
        let mut results: Vec<_> = std::iter::from_fn(|| ended.pop()).collect();
        // Those that ended during the walk (`ended-in-one-step`). No task was added: the caller owns the group.
        ended = mem::replace(&mut self.inner.lock().ended, ResultQueue::new());
        results.extend(std::iter::from_fn(|| ended.pop()));
        numbers.extend(results.iter().map(|task| task.number));
        numbers.sort_unstable();
        numbers.dedup();
        (numbers.into(), results)
    }

    /// The opposite of [`keep_order`](Self::keep_order): results need no places any more.
    pub(super) fn release_places_of_ended(&self) {
        let mut ended = {
            let mut inner = self.inner.lock();
            inner.keeps_places = false;
            mem::replace(&mut inner.ended, ResultQueue::new())
        };
        let mut kept = ResultQueue::new();
        while let Some(mut task) = ended.pop() {
            if mem::take(&mut task.has_place) {
                self.release_place();
            }
            kept.push(task);
        }
        let mut inner = self.inner.lock();
        while let Some(task) = inner.ended.pop() {
            kept.push(task);
        }
        inner.ended = kept;
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
    #[inline]
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

/// Calls `f` once, before a future that waits is made: that is large. If `f` returns a value, it costs a unit of the task's budget.
fn for_unit<R>(mut f: impl FnMut() -> Option<R>) -> impl Future<Output = Option<R>> {
    poll_fn(move |cx| {
        let unit = ready!(coop::poll_proceed(cx));
        let output = f();
        if output.is_some() {
            unit.made_progress();
        }
        Poll::Ready(output)
    })
}
