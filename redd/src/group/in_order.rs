//! `InOrder`: the results of a group in the order of its spawns.
//!
//! Called by user code.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::group_inner::EndedTask;
use super::group_state::GroupOwner;
use super::scope::{CancelScope, Reason};
use super::task_error::TaskError;
use crate::observe::waiting::located;
use crate::task::coop;

type Waiting<T> = Pin<Box<dyn Future<Output = Option<EndedTask<T>>> + Send>>;

/// The results of a group in the order of its spawns. Made by [`TaskGroup::in_order`](super::TaskGroup::in_order).
///
/// It has the methods of a stream. With the feature `stream` it is one: it implements `futures_core::Stream`. Without it,
/// `futures::stream::poll_fn` makes one. Dropping it is like dropping the group.
///
/// # Examples
/// ```
/// use futures::StreamExt as _;
/// use redd::group::TaskGroup;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let group = TaskGroup::limit(8).start();
/// for number in 0..100 {
///     group.spawn(async move { number });
/// }
/// let mut results = group.in_order();
/// let stream = futures::stream::poll_fn(move |cx| results.poll_next(cx));
/// let numbers: Vec<_> = stream.map(Result::unwrap).collect().await;
/// assert!(numbers.into_iter().eq(0..100));
/// # });
/// ```
#[must_use = "dropping it cancels the tasks of the group"]
pub struct InOrder<T: Send + 'static> {
    owner: GroupOwner<T>,
    /// The numbers of the tasks whose results were not yielded.
    pub(super) order: VecDeque<u64>,
    /// Results that came before their turn.
    held: BTreeMap<u64, EndedTask<T>>,
    /// Waits for the next result, in the order of the ends.
    waiting: Option<Waiting<T>>,
}

impl<T: Send + 'static> InOrder<T> {
    pub(super) fn new(owner: GroupOwner<T>) -> Self {
        let (order, ended) = owner.0.keep_order();
        let held = ended.into_iter().map(|task| (task.number, task)).collect();
        Self { owner, order, held, waiting: None }
    }

    /// Waits for the result of the next task, in the order of the spawns. `None` at the end.
    ///
    /// A group that [discards](super::TaskGroup::discarding) has no results but its first failure, which comes when all tasks
    /// have ended.
    ///
    /// # Errors
    /// Returns why the task has no output: it panicked or was cancelled.
    ///
    /// # Cancel safety
    /// No result is lost if the future is dropped.
    #[track_caller]
    #[expect(clippy::should_implement_trait, reason = "it is that of a stream: it returns a future")]
    pub fn next(&mut self) -> impl Future<Output = Option<Result<T, TaskError>>> + Send {
        located(poll_fn(|cx| self.poll_next(cx)))
    }

    /// Polls for the next result. [`next`](Self::next) is the same as a future.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, TaskError>>> {
        let unit = ready!(coop::poll_proceed(cx));
        let task = loop {
            let Some(next) = self.order.front() else {
                unit.made_progress();
                return Poll::Ready(None);
            };
            if let Some(task) = self.held.remove(next) {
                break task;
            }
            let state = &self.owner.0;
            let waiting = self.waiting.get_or_insert_with(|| {
                let state = Arc::clone(state);
                Box::pin(async move { state.next_ended(None).await })
            });
            let ended = ready!(waiting.as_mut().poll(cx));
            self.waiting = None;
            match ended {
                Some(task) => {
                    self.held.insert(task.number, task);
                }
                // All tasks have ended. The group has discarded what is not held.
                None => self.order.retain(|number| self.held.contains_key(number)),
            }
        };
        unit.made_progress();
        self.order.pop_front();
        let state = &self.owner.0;
        if task.has_place {
            state.release_place();
        }
        Poll::Ready(Some(state.result_of(task)))
    }

    /// Waits until all tasks have ended, runs the clean-ups, and returns the outputs that were not yielded, in the order of the
    /// spawns.
    ///
    /// # Errors
    /// As for [`TaskGroup::close`](super::TaskGroup::close), but the first failure in the order of the spawns.
    ///
    /// # Cancel safety
    /// If the future is dropped, the group is dropped with it: its tasks are cancelled.
    ///
    /// # Examples
    /// ```
    /// use redd::group::TaskGroup;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let group = TaskGroup::limit(1).start();
    /// for number in 0..4 {
    ///     group.spawn(async move { number });
    /// }
    /// let mut results = group.in_order();
    /// assert_eq!(results.next().await.unwrap().unwrap(), 0);
    /// assert_eq!(results.close().await.unwrap(), [1, 2, 3]);
    /// # });
    /// ```
    #[track_caller]
    pub fn close(mut self) -> impl Future<Output = Result<Vec<T>, TaskError>> + Send {
        self.owner.0.forbid_inside("close");
        let location = Location::caller();
        async move {
            // No result waits for its turn any more.
            drop(self.waiting.take());
            for task in self.held.values_mut() {
                if std::mem::take(&mut task.has_place) {
                    self.owner.0.release_place();
                }
            }
            self.owner.0.release_places_of_ended();
            self.owner.0.finish(location).await;
            let mut results = self.owner.0.take_results();
            while let Some(task) = results.pop() {
                self.held.insert(task.number, task);
            }
            self.owner.0.outputs_of(std::mem::take(&mut self.held).into_values())
        }
    }

    /// Cancels the tasks; see [`TaskGroup::cancel`](super::TaskGroup::cancel).
    pub fn cancel(&self, reason: impl Into<Reason>) {
        self.owner.0.cancel(&reason.into());
    }

    /// Returns a handle to the cancellation of the group.
    pub fn scope(&self) -> CancelScope {
        self.owner.0.scope.hand_out()
    }
}

debug_struct!([T: Send + 'static] InOrder<T> as "InOrder", self => { left: self.order.len(), .. });
