//! The results of groups as `Stream`s. Only with the feature `stream`.
//!
//! Called by user code.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::group_inner::EndedTask;
use super::group_state::GroupState;
use super::in_order::InOrder;
use super::task_error::TaskError;
use super::task_group::TaskGroup;
use crate::task::coop;

type Waiting<'a, T> = Pin<Box<dyn Future<Output = Option<EndedTask<T>>> + Send + 'a>>;

/// The results of a group as its tasks end, as a stream. Made by [`TaskGroup::results`].
///
/// # Examples
/// ```
/// use futures::{StreamExt as _, TryStreamExt as _};
/// use redd::group::TaskGroup;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let group = TaskGroup::limit(8).start();
/// for number in 1..=100 {
///     group.spawn(async move { number });
/// }
/// let sum = group.results().try_fold(0, |sum, number| async move { Ok(sum + number) });
/// assert_eq!(sum.await?, 5050);
/// group.close().await?;
/// # Ok::<(), redd::group::TaskError>(()) }).unwrap();
/// ```
#[must_use = "a stream does nothing until it is polled"]
pub struct Results<'a, T: Send + 'static> {
    state: &'a Arc<GroupState<T>>,
    location: &'static Location<'static>,
    waiting: Option<Waiting<'a, T>>,
}

impl<T: Send + 'static> TaskGroup<T> {
    /// Returns the results as a stream, in the order in which the tasks end: [`next`](Self::next) for code that takes a stream.
    ///
    /// The stream ends when no task and no result is left. If tasks are spawned afterwards, it has further items. Dropping it changes
    /// nothing: results that it has not yielded are still there. Only with the feature `stream`.
    ///
    /// # Panics
    /// Panics inside a task of the group: that one would wait for itself.
    ///
    /// # Examples
    /// ```
    /// use futures::StreamExt as _;
    /// use redd::group::TaskGroup;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let group = TaskGroup::new();
    /// group.spawn(async { 1 });
    /// let mut results = group.results();
    /// let mut count = 0;
    /// while let Some(Ok(number)) = results.next().await {
    ///     count += 1;
    ///     if number < 3 {
    ///         group.spawn(async move { number + 1 });
    ///     }
    /// }
    /// assert_eq!(count, 3);
    /// # });
    /// ```
    #[track_caller]
    pub fn results(&self) -> Results<'_, T> {
        self.state().forbid_inside("results");
        Results { state: self.state(), location: Location::caller(), waiting: None }
    }
}

impl<T: Send + 'static> Stream for Results<'_, T> {
    type Item = Result<T, TaskError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { state, location, waiting } = &mut *self;
        let (state, location) = (*state, *location);
        let next = waiting.get_or_insert_with(|| Box::pin(coop::cooperative(state.next_ended(Some(location)))));
        let ended = ready!(next.as_mut().poll(cx));
        *waiting = None;
        Poll::Ready(ended.map(|task| state.result_of(task)))
    }
}

debug_struct!([T: Send + 'static] Results<'_, T> as "Results", self => { .. });

impl<T: Send + 'static> Stream for InOrder<T> {
    type Item = Result<T, TaskError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        InOrder::poll_next(&mut self, cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.order.len(), Some(self.order.len()))
    }
}
