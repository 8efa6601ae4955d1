//! `TaskGroup`: tasks that end together.
//!
//! Called by user code. `group_state` does the work; this file has the methods.
//!
//! Long because each method has an example; the code is about 150 lines.

use std::future::Future;
use std::panic::Location;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::group_inner::{DeferSlot, QueuedClosure};
use super::group_state::{GroupOwner, GroupState, Reservation};
use super::group_task::GroupTask;
use super::in_order::InOrder;
use super::local_set;
use super::scope::{CancelScope, Context, Reason};
use super::task_error::{GroupError, TaskError};
use super::task_group_builder::TaskGroupBuilder;
use crate::runtime::Handle;
use crate::scheduler::closures::{allocate, refuse, spawn_on};
use crate::task::{AbortHandle, inherited};

/// Tasks with the same type of output that end together: a group leaves no task behind.
///
/// - [`spawn`](Self::spawn) takes `&self`, so tasks are spawned while others are joined.
/// - [`next`](Self::next) returns the results as the tasks end. A result that is not taken costs its own size and a few bytes;
///   the memory of a finished task is returned at once.
/// - [`close`](Self::close) waits for the tasks and the clean-ups. After it, **none is left**.
/// - **Dropping the group cancels its tasks** with [`Reason::Dropped`]. Each is dropped at its current `.await`, except in a
///   [`shield`](super::shield()). Then the [clean-ups](Self::defer) run. The runtime does that; nothing waits for it.
/// - A group that a group's task starts is cancelled together with the outer group. When the outer group is closed, what the
///   inner one has left is done, too: its tasks and its clean-ups.
///
/// A panic of a task is returned as a [`TaskError`], and does not stop the others unless
/// [`on_panic`](TaskGroupBuilder::on_panic) says so.
///
/// # Examples
/// ```
/// use redd::group::TaskGroup;
/// use redd::time::{Duration, sleep};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let group = TaskGroup::new();
/// for number in [3, 1, 2] {
///     group.spawn(async move {
///         sleep(Duration::from_millis(number)).await;
///         number
///     });
/// }
/// assert_eq!(group.close().await.unwrap(), [1, 2, 3], "in the order in which they ended");
/// # });
/// ```
#[must_use = "dropping a group cancels its tasks"]
pub struct TaskGroup<T: Send + 'static> {
    owner: GroupOwner<T>,
}

impl<T: Send + 'static> TaskGroup<T> {
    /// Starts a group without a limit. [`builder`](Self::builder) has more options.
    ///
    /// The group belongs to the current runtime: its tasks run there.
    ///
    /// # Panics
    /// Panics outside of a runtime.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "a default that panics outside of a runtime would surprise")]
    pub fn new() -> Self {
        Self::builder().start()
    }

    /// Returns a builder for a group.
    ///
    /// # Examples
    /// ```
    /// use redd::group::{Reason, TaskGroup};
    /// use redd::time::Duration;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let group = TaskGroup::<()>::builder().name("probes").deadline(Duration::from_secs(30)).start();
    /// group.spawn(std::future::pending());
    /// let error = group.close().await.unwrap_err();
    /// assert_eq!((error.name(), error.reason()), (Some("probes"), Some(&Reason::Deadline)));
    /// # });
    /// ```
    pub fn builder() -> TaskGroupBuilder<T> {
        TaskGroupBuilder::new()
    }

    /// Returns a builder for a group that runs at most `tasks` tasks at a time.
    ///
    /// [`spawn`](Self::spawn) never waits: it queues tasks above the limit, and they start in the order of their spawns.
    /// [`ready`](Self::ready) waits until a task would start at once.
    ///
    /// # Panics
    /// Panics if `tasks` is 0.
    ///
    /// # Examples
    /// ```
    /// use redd::group::TaskGroup;
    /// use redd::time::{Duration, Instant, sleep};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let begin = Instant::now();
    /// let group = TaskGroup::limit(10).start();
    /// for _ in 0..100 {
    ///     group.spawn(async { sleep(Duration::from_secs(1)).await });
    /// }
    /// group.close().await.unwrap();
    /// assert_eq!(begin.elapsed().as_secs(), 10);
    /// # });
    /// ```
    #[track_caller]
    pub fn limit(tasks: usize) -> TaskGroupBuilder<T> {
        Self::builder().limit(tasks)
    }

    /// Spawns a task into the group.
    ///
    /// - It may be called from anywhere: the task runs on the runtime of the group.
    /// - The returned handle aborts the task without regard to [shields](super::shield()).
    /// - After the group was cancelled, the task is not polled. Its result is the cancellation.
    ///
    /// # Examples
    /// ```
    /// use redd::group::{Reason, TaskGroup};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let group = TaskGroup::new();
    /// let slow = group.spawn(std::future::pending());
    /// group.spawn(async { "fast" });
    /// assert_eq!(group.next().await.unwrap().unwrap(), "fast");
    /// slow.abort();
    /// assert_eq!(group.next().await.unwrap().unwrap_err().reason(), Some(&Reason::Aborted));
    /// assert!(group.next().await.is_none());
    /// # });
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
    {
        self.spawn_at(future, Location::caller())
    }

    /// As [`spawn`](Self::spawn), for a caller that knows the line of the user.
    pub(super) fn spawn_at<F>(&self, future: F, location: &'static Location<'static>) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
    {
        let state = self.state();
        let reservation = state.reserve();
        let number = reservation.as_ref().map_or(0, |reservation| reservation.number);
        let task = GroupTask::new(future, &state.scope, number);
        let _span = inherited::choose_span(state.options.inherits_span);
        let handle = state.runtime.shared.spawn_at(task, state.options.name.clone(), location);
        state.insert(handle, reservation, false, None)
    }

    /// Spawns a task that need not be `Send` onto the current [`LocalSet`](crate::task::LocalSet) or local runtime.
    ///
    /// # Panics
    /// Panics outside of a `LocalSet` and of a local runtime.
    ///
    /// # Examples
    /// ```
    /// use redd::group::TaskGroup;
    /// use std::rc::Rc;
    ///
    /// redd::runtime::LocalRuntime::new()?.block_on(async {
    ///     let shared = Rc::new(5);
    ///     let group = TaskGroup::new();
    ///     for factor in 1..=3 {
    ///         let shared = Rc::clone(&shared);
    ///         group.spawn_local(async move { *shared * factor });
    ///     }
    ///     assert_eq!(group.close().await.unwrap().iter().sum::<i32>(), 30);
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        let reservation = self.state().reserve();
        let number = reservation.as_ref().map_or(0, |reservation| reservation.number);
        let task = GroupTask::new(future, &self.state().scope, number);
        let _span = inherited::choose_span(self.state().options.inherits_span);
        let handle = local_set::spawn_local_named(task, self.state().options.name.clone(), Location::caller());
        self.state().insert(handle, reservation, false, None)
    }

    /// Runs a closure on the blocking pool; see [`spawn_blocking`](crate::task::spawn_blocking).
    ///
    /// - **A closure that has started cannot be stopped**: [`close`](Self::close) waits for it. Inside,
    ///   [`is_cancelled`](super::is_cancelled) tells it to return.
    /// - It needs a place of the group's [limit](Self::limit), as a task does. Until it has one it is queued, in one order with the
    ///   tasks. If its handle aborts it there, it ends when its turn comes.
    ///
    /// # Panics
    /// The closure is cancelled with a panic, which is its result, if the system refuses a thread.
    ///
    /// # Examples
    /// ```
    /// use redd::group::TaskGroup;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let group = TaskGroup::new();
    /// for range in [0..500_u32, 500..1000] {
    ///     group.spawn_blocking(move || range.filter(|n| n % 7 == 0).count());
    /// }
    /// assert_eq!(group.close().await.unwrap().iter().sum::<usize>(), 143);
    /// # });
    /// ```
    #[track_caller]
    pub fn spawn_blocking<F>(&self, f: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
    {
        let state = self.state();
        let (scope, name) = (&state.scope, state.options.name.clone());
        let shared = &state.runtime.shared;
        if scope.is_cancelled() {
            // It is not called. As a task, it is dropped by the runtime.
            let uncalled = async move { f() };
            let handle = shared.spawn(GroupTask::refused(uncalled, scope), name);
            return state.insert(handle, None, false, None);
        }
        let reservation = state.reserve();
        let _span = inherited::choose_span(state.options.inherits_span);
        let mut context = Some(Context::of_closure(Arc::clone(scope)));
        if reservation.as_ref().is_none_or(Reservation::had_place) {
            let handle = spawn_on(shared, move || Context::enter(&mut context, f), name);
            return state.insert(handle, reservation, true, None);
        }
        let refusal = Arc::new(OnceLock::new());
        let is_refused = Arc::clone(&refusal);
        let closure = move || match is_refused.get() {
            Some(error) => refuse(error),
            None => Context::enter(&mut context, f),
        };
        let (runnable, handle) = allocate(shared, closure, name, Location::caller());
        state.insert(handle, reservation, true, Some(QueuedClosure { runnable, refusal }))
    }

    /// Waits until a task that is spawned then starts at once: back-pressure for a loop that spawns.
    ///
    /// It reserves nothing. If several tasks spawn into the group, they may see the same free place, and one of them queues.
    /// Without a limit, and when the group is cancelled, it returns at once.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Panics
    /// Panics inside of the group's own tasks.
    ///
    /// # Examples
    /// ```
    /// use redd::group::TaskGroup;
    /// use redd::time::{Duration, sleep};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let group = TaskGroup::discarding().limit(64).start();
    /// for _ in 0..1000 {
    ///     group.ready().await;
    ///     group.spawn(sleep(Duration::from_millis(1)));
    ///     assert!(group.len() <= 64, "none is queued");
    /// }
    /// group.close().await.unwrap();
    /// # });
    /// ```
    #[track_caller]
    pub fn ready(&self) -> impl Future<Output = ()> + Send {
        let state = self.state();
        state.forbid_inside("ready");
        state.ready_for_unit(Some(Location::caller()))
    }

    /// Waits until a task has ended, and returns its result. `None` if none is left. Results come in the order of the ends.
    ///
    /// More tasks may be spawned afterwards, and `next` be called again.
    ///
    /// # Errors
    /// Returns why the task has no output: it panicked or was cancelled.
    ///
    /// # Cancel safety
    /// No result is lost if the future is dropped.
    ///
    /// # Panics
    /// Panics inside of the group's own tasks, since it would wait for the end of the task that awaits it.
    ///
    /// # Examples
    /// ```
    /// use redd::group::TaskGroup;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let group = TaskGroup::new();
    /// group.spawn(async { 20 });
    /// group.spawn(async { 22 });
    /// let mut sum = 0;
    /// while let Some(number) = group.next().await {
    ///     sum += number?;
    /// }
    /// assert_eq!(sum, 42);
    /// # Ok::<(), redd::group::TaskError>(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn next(&self) -> impl Future<Output = Option<Result<T, TaskError>>> + Send {
        let state = self.state();
        state.forbid_inside("next");
        state.next_result(Some(Location::caller()))
    }

    /// Returns the results in the order of the spawns, as a stream. No more tasks can be spawned.
    ///
    /// From now on a task that has ended keeps its place in the limit until its result is taken. So at most as many results are
    /// held as the limit allows, and the tasks do not run ahead of the reader.
    ///
    /// # Examples
    /// ```
    /// use redd::group::TaskGroup;
    /// use redd::time::{Duration, sleep};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let group = TaskGroup::limit(2).start();
    /// for number in [30, 10, 20] {
    ///     group.spawn(async move {
    ///         sleep(Duration::from_millis(number)).await;
    ///         number
    ///     });
    /// }
    /// let mut results = group.in_order();
    /// let mut numbers = Vec::new();
    /// while let Some(number) = results.next().await {
    ///     numbers.push(number.unwrap());
    /// }
    /// assert_eq!(numbers, [30, 10, 20]);
    /// # });
    /// ```
    pub fn in_order(self) -> InOrder<T> {
        InOrder::new(self.owner)
    }

    /// Waits until all tasks have ended, runs the clean-ups, and returns the outputs that [`next`](Self::next) has not returned.
    ///
    /// After it no task and no clean-up of the group is left. It does not cancel the tasks; call [`cancel`](Self::cancel) first
    /// to end the group early. A group of `Result`s may also be closed with [`try_close`](Self::try_close).
    ///
    /// # Errors
    /// Returns the first failure that `next` has not returned: the panic or the cancellation of a task. If there is none, the
    /// failure of a clean-up. The outputs are dropped then; take them with `next` to have all of them. Further panics are
    /// reported on standard error. Tasks that were cancelled because another task returned an `Err` do not count, if that output
    /// is returned.
    ///
    /// # Cancel safety
    /// If the future is dropped, the group is dropped with it: its tasks are cancelled.
    ///
    /// # Panics
    /// Panics inside of the group's own tasks and clean-ups.
    ///
    /// # Examples
    /// ```
    /// use redd::group::TaskGroup;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let group = TaskGroup::new();
    /// for number in 0..10 {
    ///     group.spawn(async move { number * number });
    /// }
    /// assert_eq!(group.close().await.unwrap().iter().sum::<u32>(), 285);
    /// assert_eq!(redd::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    /// # });
    /// ```
    #[track_caller]
    pub fn close(self) -> impl Future<Output = Result<Vec<T>, TaskError>> + Send {
        self.state().forbid_inside("close");
        let location = Location::caller();
        async move {
            self.state().finish(location).await;
            let mut results = self.state().take_results();
            self.state().outputs_of(std::iter::from_fn(|| results.pop()))
        }
    }

    /// Cancels the tasks of the group, and of the groups that its tasks have started.
    ///
    /// - A task is dropped at its current `.await`, or at the next one that it reaches. In a [`shield`](super::shield()) that
    ///   happens when the shield has ended or its time is over.
    /// - With a [grace period](TaskGroupBuilder::grace) the tasks first get this time to end by themselves.
    /// - A closure of [`spawn_blocking`](Self::spawn_blocking) that has started is not interrupted.
    /// - It returns at once. [`close`](Self::close) waits until the tasks have been dropped.
    /// - The first reason counts; a later call changes nothing.
    ///
    /// # Examples
    /// ```
    /// use redd::group::TaskGroup;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let group = TaskGroup::<()>::new();
    /// group.spawn(std::future::pending());
    /// group.cancel("no longer needed");
    /// assert!(group.close().await.unwrap_err().to_string().ends_with("was cancelled: no longer needed"));
    /// # });
    /// ```
    pub fn cancel(&self, reason: impl Into<Reason>) {
        self.state().cancel(&reason.into());
    }

    /// Cancels the group when `future` completes: for a `CancellationToken`, a signal, or anything else that can be awaited.
    ///
    /// The future belongs to the group: it runs as a task of its own, and is dropped when the group has ended. Each output counts,
    /// an error, too: the receiver of a channel completes when the sender is dropped.
    ///
    /// # Examples
    /// With a token of tokio-util it is `group.cancel_when(token.cancelled_owned(), "shutdown")`.
    /// ```
    /// use redd::group::TaskGroup;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (stop, stopped) = redd::sync::oneshot::channel::<()>();
    /// let group = TaskGroup::<()>::new();
    /// group.cancel_when(stopped, "the other side asked for it");
    /// group.spawn(std::future::pending());
    /// stop.send(()).unwrap();
    /// assert!(group.close().await.unwrap_err().is_cancelled());
    /// # });
    /// ```
    #[track_caller]
    pub fn cancel_when<F>(&self, future: F, reason: impl Into<Reason>)
    where
        F: Future + Send + 'static,
    {
        let reason = reason.into();
        self.state().watch(future, Location::caller(), move |state, _| state.cancel(&reason));
    }

    /// Returns whether the group was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.state().scope.is_cancelled()
    }

    /// Returns a handle to the cancellation of the group, for code that has no access to the group.
    pub fn scope(&self) -> CancelScope {
        self.state().scope.hand_out()
    }

    /// Adds a clean-up: `future` runs when all tasks of the group have ended, also if the group is cancelled or dropped, or if
    /// the task that owns it is aborted.
    ///
    /// - The clean-ups run one after the other, the last one first.
    /// - Each may take `within`, from when it begins. If it takes longer, it is dropped, and [`close`](Self::close) returns
    ///   [`Reason::CleanUpTooLong`] if there is no other failure.
    /// - No cancellation stops a clean-up. It does not run if the runtime ends first.
    /// - If the group was dropped, nothing waits for it. `Runtime::drain` does.
    ///
    /// # Panics
    /// `future` is cancelled with a panic, which `close` returns, if the runtime was built without `enable_time`.
    ///
    /// # Examples
    /// ```
    /// use redd::group::TaskGroup;
    /// use redd::time::{Duration, sleep};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let (sender, receiver) = redd::sync::oneshot::channel();
    /// let group = TaskGroup::<()>::new();
    /// group.defer(Duration::from_secs(5), async move {
    ///     sleep(Duration::from_secs(1)).await; // For example, a last message to the other side.
    ///     sender.send("said goodbye").unwrap();
    /// });
    /// group.spawn(std::future::pending());
    /// drop(group);
    /// assert_eq!(receiver.await.unwrap(), "said goodbye");
    /// # });
    /// ```
    #[track_caller]
    pub fn defer<F>(&self, within: Duration, future: F) -> Deferred
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let slot = self.state().defer(within, future, Location::caller());
        Deferred { slot: Arc::downgrade(&slot) }
    }

    /// Returns the number of tasks and closures that have not ended, including those that are queued.
    pub fn len(&self) -> usize {
        self.state().unfinished()
    }

    /// Returns whether all tasks have ended. There may be results that were not taken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the name of the group.
    pub fn name(&self) -> Option<&str> {
        self.state().options.name.as_deref()
    }

    pub(super) fn state(&self) -> &Arc<GroupState<T>> {
        &self.owner.0
    }
}

impl<V: Send + 'static, E: Send + 'static> TaskGroup<Result<V, E>> {
    /// As [`close`](Self::close), for tasks that return a `Result`: returns all values, or the first failure.
    ///
    /// # Errors
    /// Returns the first failure that [`next`](Self::next) has not returned, in the order of the ends: an `Err` of a task, a
    /// panic or a cancellation. The other results are dropped; further panics are reported on standard error.
    ///
    /// # Cancel safety
    /// As for `close`.
    ///
    /// # Panics
    /// As for `close`.
    ///
    /// # Examples
    /// ```
    /// use redd::group::TaskGroup;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let group = TaskGroup::new();
    /// for text in ["1", "2", "3"] {
    ///     group.spawn(async { text.parse::<u32>() });
    /// }
    /// let sum: u32 = group.try_close().await.unwrap().iter().sum();
    /// assert_eq!(sum, 6);
    /// # });
    /// ```
    #[track_caller]
    pub fn try_close(self) -> impl Future<Output = Result<Vec<V>, GroupError<E>>> + Send {
        self.state().forbid_inside("try_close");
        let location = Location::caller();
        async move {
            self.state().finish(location).await;
            let mut results = self.state().take_results();
            let (mut values, mut failure, mut cancelled_sibling) = (Vec::new(), None, None);
            while let Some(task) = results.pop() {
                if failure.is_some() && task.is_panic() {
                    // Its drop reports it.
                    continue;
                }
                match self.state().result_of(task) {
                    Ok(Ok(value)) => values.push(value),
                    Ok(Err(error)) => {
                        failure.get_or_insert(GroupError::Failed(error));
                    }
                    Err(sibling) if matches!(sibling.reason(), Some(Reason::SiblingFailed(_))) => {
                        cancelled_sibling.get_or_insert(GroupError::Task(sibling));
                    }
                    Err(error) => {
                        failure.get_or_insert(GroupError::Task(error));
                    }
                }
            }
            let clean_up = || self.state().take_failed_clean_up().map(GroupError::Task);
            match failure.or(cancelled_sibling).or_else(clean_up) {
                Some(failure) => Err(failure),
                None => Ok(values),
            }
        }
    }
}

impl TaskGroup<()> {
    /// Returns a builder for a group of tasks without results: nothing is kept of a task that has ended.
    ///
    /// It is for services that spawn a task for each request, for as long as they run. At most one failure is kept: the first one
    /// since the last call of [`next`](Self::next), for that or for [`close`](Self::close). Further panics are reported on standard
    /// error. For tasks that return a `Result<(), E>`, call [`discarding`](TaskGroupBuilder::discarding) of [`builder`](Self::builder).
    ///
    /// # Examples
    /// ```
    /// use redd::group::TaskGroup;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let requests = TaskGroup::discarding().limit(64).start();
    /// for _ in 0..10_000 {
    ///     requests.ready().await;
    ///     requests.spawn(async {});
    /// }
    /// assert!(requests.close().await.unwrap().is_empty());
    /// # });
    /// ```
    pub fn discarding() -> TaskGroupBuilder<()> {
        TaskGroupBuilder::new().discarding()
    }
}

impl<T: Send + 'static> TaskGroupBuilder<T> {
    /// Starts the group, in the current runtime.
    ///
    /// # Panics
    /// Panics outside of a runtime.
    #[track_caller]
    pub fn start(self) -> TaskGroup<T> {
        self.start_at(Location::caller())
    }

    #[track_caller]
    pub(super) fn start_at(self, location: &'static Location<'static>) -> TaskGroup<T> {
        let runtime = Handle::expect_current("`TaskGroup`");
        TaskGroup { owner: GroupOwner(GroupState::start(self.options, runtime, location)) }
    }
}

debug_struct!([T: Send + 'static] TaskGroup<T> as "TaskGroup", self => { name: self.name(), len: self.len(), .. });

/// Spawns each future of an iterator into the group.
///
/// # Examples
/// ```
/// use redd::group::TaskGroup;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let mut group = TaskGroup::limit(2).start();
/// group.extend((1..=4).map(|n| async move { n * n }));
/// assert_eq!(group.close().await.unwrap().iter().sum::<u32>(), 30);
/// # });
/// ```
impl<T, F> Extend<F> for TaskGroup<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    #[track_caller]
    fn extend<I: IntoIterator<Item = F>>(&mut self, futures: I) {
        for future in futures {
            self.spawn(future);
        }
    }
}

/// A clean-up of a group that has not run. Returned by [`TaskGroup::defer`]; it may be ignored.
#[derive(Clone)]
pub struct Deferred {
    slot: Weak<DeferSlot>,
}

impl Deferred {
    /// Drops the clean-up without running it. Returns false if it runs or has run.
    ///
    /// # Examples
    /// ```
    /// use redd::group::TaskGroup;
    /// use redd::time::Duration;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let group = TaskGroup::<()>::new();
    /// let roll_back = group.defer(Duration::from_secs(1), async { panic!("there is nothing to roll back") });
    /// assert!(roll_back.dismiss(), "the transaction is committed");
    /// group.close().await.unwrap();
    /// # });
    /// ```
    pub fn dismiss(&self) -> bool {
        self.slot.upgrade().is_some_and(|slot| slot.dismiss())
    }
}

debug_struct!([] Deferred as "Deferred", self => { .. });
