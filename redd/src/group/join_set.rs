//! `JoinSet`: a set of tasks, joined in the order in which they end.
//!
//! Called by user code. Each task has a join waker (`entry_waker`) that moves its output to the set's `set_state`, on the
//! thread where the task ends. So a finished task keeps no memory but its output.
//!
//! Long because each method has an example; the code is about 250 lines.

use crate::observe::waiting::located;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::entry_waker::EntryWakers;
use super::local_set::{self, LocalSet};
use super::result_queue::ResultQueue;
use super::set_state::{EndedTask, SetState, TakenOutputs};
use crate::observe::waiting::{self, WaitKind};
use crate::runtime::Handle;
use crate::task::{AbortHandle, Id, JoinError, JoinHandle, coop};

/// A set of tasks with the same output type, joined in the order in which they end.
///
/// - **The outputs of finished tasks stay in the set until they are joined.** A set that only grows is a leak: join in a loop,
///   or use plain [`spawn`](crate::spawn) for tasks that are never joined. The memory of a finished task itself is returned
///   at once.
/// - Dropping the set aborts all its tasks. [`detach_all`](Self::detach_all) lets them continue instead.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut set = redd::task::JoinSet::new();
/// for number in 0..10 {
///     set.spawn(async move { number * number });
/// }
/// let mut sum = 0;
/// while let Some(square) = set.join_next().await {
///     sum += square.unwrap();
/// }
/// assert_eq!(sum, 285);
/// # });
/// ```
pub struct JoinSet<T> {
    state: Arc<SetState<T>>,
    wakers: EntryWakers<SetState<T>>,
    /// The number of tasks that were not joined.
    len: usize,
    /// Outputs taken from the state, in its order. One lock takes all of them.
    ended: TakenOutputs<T>,
    /// The entry that was marked last, by `mark_joined`.
    marked: usize,
    /// The set is `Send` and `Sync` as its handles are.
    _tasks: PhantomData<JoinHandle<T>>,
}

impl<T> JoinSet<T> {
    /// Creates an empty set. It may be called outside of a runtime.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use redd::task::JoinSet;
    ///
    /// let mut set = JoinSet::<u32>::new();
    /// assert!(set.is_empty());
    /// assert!(set.join_next().await.is_none());
    /// # });
    /// ```
    #[track_caller]
    pub fn new() -> Self {
        Self::new_at(Location::caller())
    }

    fn new_at(created_at: &'static Location<'static>) -> Self {
        Self {
            state: SetState::new(created_at),
            wakers: EntryWakers::new(),
            len: 0,
            ended: TakenOutputs(ResultQueue::new()),
            marked: 0,
            _tasks: PhantomData,
        }
    }

    /// Returns the number of tasks in the set, including finished tasks that have not been joined.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let mut set = redd::task::JoinSet::new();
    /// set.spawn(async { 1 });
    /// set.spawn(std::future::pending());
    /// assert_eq!(set.len(), 2);
    /// set.join_next().await;
    /// assert_eq!(set.len(), 1);
    /// # });
    /// ```
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the set has no tasks. A finished task counts until it is joined.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let mut set = redd::task::JoinSet::new();
    /// set.spawn(async {});
    /// assert!(!set.is_empty());
    /// set.join_next().await;
    /// assert!(set.is_empty());
    /// # });
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: 'static> JoinSet<T> {
    /// Spawns a task into the set; see [`spawn`](crate::spawn).
    ///
    /// The task runs also if the set is never polled. The returned handle can abort it; the set joins it.
    ///
    /// # Panics
    /// Panics outside of a runtime.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let mut set = redd::task::JoinSet::new();
    /// let slow = set.spawn(std::future::pending());
    /// set.spawn(async { "fast" });
    /// assert_eq!(set.join_next().await.unwrap().unwrap(), "fast");
    /// slow.abort();
    /// assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
    /// # });
    /// ```
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.insert(crate::runtime::spawn(future))
    }

    /// Spawns a task into the set, on the runtime of `handle`. It may be called outside of a runtime.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::Runtime;
    /// use redd::task::JoinSet;
    ///
    /// let runtime = Runtime::new()?;
    /// let mut set = JoinSet::new();
    /// set.spawn_on(async { 1 + 1 }, runtime.handle());
    /// let sum = runtime.block_on(set.join_next()).unwrap()?;
    /// assert_eq!(sum, 2);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn_on<F>(&mut self, future: F, handle: &Handle) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.insert(handle.spawn(future))
    }

    /// Spawns a task that need not be `Send` onto the current [`LocalSet`] or local runtime.
    ///
    /// # Panics
    /// Panics outside of a `LocalSet` and of a local runtime.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::LocalRuntime;
    /// use redd::task::JoinSet;
    /// use std::rc::Rc;
    ///
    /// LocalRuntime::new()?.block_on(async {
    ///     let shared = Rc::new(5);
    ///     let mut set = JoinSet::new();
    ///     for factor in 1..=3 {
    ///         let shared = Rc::clone(&shared);
    ///         set.spawn_local(async move { *shared * factor });
    ///     }
    ///     assert_eq!(set.join_all().await.iter().sum::<i32>(), 30);
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn_local<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.insert(local_set::spawn_local(future))
    }

    /// Spawns a task that need not be `Send` onto `local_set`. It starts when that set runs.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use redd::task::{JoinSet, LocalSet};
    /// use std::rc::Rc;
    ///
    /// let local = LocalSet::new();
    /// let mut set = JoinSet::new();
    /// let text = Rc::new("not Send");
    /// set.spawn_local_on(async move { text.len() }, &local);
    /// let joined = local.run_until(set.join_next()).await;
    /// assert_eq!(joined.unwrap().unwrap(), 8);
    /// # });
    /// ```
    #[track_caller]
    pub fn spawn_local_on<F>(&mut self, future: F, local_set: &LocalSet) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.insert(local_set.spawn_local(future))
    }

    /// Runs a closure on the blocking pool; see [`spawn_blocking`](crate::task::spawn_blocking).
    ///
    /// A closure that has started cannot be aborted: dropping the set does not stop it.
    ///
    /// # Panics
    /// Panics outside of a runtime, and if the pool has no thread and the system refuses one.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let mut set = redd::task::JoinSet::new();
    /// for range in [0..500_u32, 500..1000] {
    ///     set.spawn_blocking(move || range.filter(|n| n % 7 == 0).count());
    /// }
    /// assert_eq!(set.join_all().await.iter().sum::<usize>(), 143);
    /// # });
    /// ```
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, f: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.insert(crate::blocking::spawn_blocking(f))
    }

    /// As [`spawn_blocking`](Self::spawn_blocking), on the blocking pool of `handle`. It may be called outside of a runtime.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::Runtime;
    /// use redd::task::JoinSet;
    ///
    /// let runtime = Runtime::new()?;
    /// let mut set = JoinSet::new();
    /// set.spawn_blocking_on(|| std::thread::current().id(), runtime.handle());
    /// let thread = runtime.block_on(set.join_next()).unwrap()?;
    /// assert_ne!(thread, std::thread::current().id());
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn_blocking_on<F>(&mut self, f: F, handle: &Handle) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.insert(handle.spawn_blocking(f))
    }

    pub(super) fn insert(&mut self, handle: JoinHandle<T>) -> AbortHandle {
        let abort = handle.abort_handle();
        self.state.insert(handle, &mut self.wakers);
        self.len += 1;
        abort
    }

    /// Waits until one of the tasks has ended, and removes it from the set. Returns `None` if the set is empty.
    ///
    /// # Cancel safety
    /// If another branch of `select!` completes first, no task has been removed.
    ///
    /// # Errors
    /// Returns a [`JoinError`] if the task panicked or was aborted. The other tasks continue.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let mut set = redd::task::JoinSet::new();
    /// set.spawn(async { "7".parse::<u32>() });
    /// set.spawn(async { "seven".parse::<u32>() });
    /// let (mut parsed, mut failed) = (0, 0);
    /// while let Some(joined) = set.join_next().await {
    ///     match joined.expect("parsing does not panic") {
    ///         Ok(_) => parsed += 1,
    ///         Err(_) => failed += 1,
    ///     }
    /// }
    /// assert_eq!((parsed, failed), (1, 1));
    /// # });
    /// ```
    #[track_caller]
    pub fn join_next(&mut self) -> impl Future<Output = Option<Result<T, JoinError>>> {
        located(async move { poll_fn(|cx| self.poll_join_next(cx)).await })
    }

    /// As [`join_next`](Self::join_next), with the task's id. An error carries the id itself: [`JoinError::id`].
    ///
    /// # Cancel safety
    /// If another branch of `select!` completes first, no task has been removed.
    ///
    /// # Errors
    /// As for [`join_next`](Self::join_next).
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use std::collections::HashMap;
    ///
    /// let mut set = redd::task::JoinSet::new();
    /// let mut names = HashMap::new();
    /// for name in ["a", "bcd"] {
    ///     names.insert(set.spawn(async move { name.len() }).id(), name);
    /// }
    /// while let Some(joined) = set.join_next_with_id().await {
    ///     let (id, len) = joined.unwrap();
    ///     assert_eq!(names[&id].len(), len);
    /// }
    /// # });
    /// ```
    #[track_caller]
    pub fn join_next_with_id(&mut self) -> impl Future<Output = Option<Result<(Id, T), JoinError>>> {
        located(async move { poll_fn(|cx| self.poll_join_next_with_id(cx)).await })
    }

    /// Removes a task that has ended, without waiting. Returns `None` if no task has ended, also if the set is empty.
    ///
    /// # Errors
    /// As for [`join_next`](Self::join_next).
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let mut set = redd::task::JoinSet::new();
    /// set.spawn(async { 42 });
    /// assert!(set.try_join_next().is_none(), "it has not run yet");
    /// redd::task::yield_now().await;
    /// assert_eq!(set.try_join_next().unwrap().unwrap(), 42);
    /// # });
    /// ```
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        Some(self.take_ready()?.1)
    }

    /// As [`try_join_next`](Self::try_join_next), with the task's id.
    ///
    /// # Errors
    /// As for [`join_next`](Self::join_next).
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let mut set = redd::task::JoinSet::new();
    /// let task = set.spawn(async { 42 });
    /// redd::task::yield_now().await;
    /// assert_eq!(set.try_join_next_with_id().unwrap().unwrap(), (task.id(), 42));
    /// # });
    /// ```
    pub fn try_join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        let (id, output) = self.take_ready()?;
        Some(output.map(|output| (id, output)))
    }

    fn take_ready(&mut self) -> Option<(Id, Result<T, JoinError>)> {
        if self.ended.0.is_empty() {
            self.state.take_into(&mut self.ended.0);
        }
        let task = self.ended.0.pop()?;
        Some(self.take(task))
    }

    fn take(&mut self, task: EndedTask<T>) -> (Id, Result<T, JoinError>) {
        self.len -= 1;
        self.state.count_joined();
        (task.id, task.into_result())
    }

    /// Polls for a task that has ended, and removes it from the set.
    ///
    /// - `Ready(None)`: the set is empty.
    /// - `Pending`: no task has ended, or the calling task's [budget](crate::task::coop) is used up. The waker will be called.
    ///
    /// # Errors
    /// As for [`join_next`](Self::join_next).
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use std::future::poll_fn;
    /// use std::task::Poll;
    ///
    /// let mut set = redd::task::JoinSet::new();
    /// set.spawn(async { 42 });
    /// // A hand-written future that gives up at once.
    /// let first = poll_fn(|cx| Poll::Ready(set.poll_join_next(cx).is_pending())).await;
    /// assert!(first, "the task has not run yet");
    /// let joined = poll_fn(|cx| set.poll_join_next(cx)).await;
    /// assert_eq!(joined.unwrap().unwrap(), 42);
    /// # });
    /// ```
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        let joined = ready!(self.poll_ready(cx));
        Poll::Ready(joined.map(|(_, output)| output))
    }

    /// As [`poll_join_next`](Self::poll_join_next), with the task's id.
    ///
    /// # Errors
    /// As for [`join_next`](Self::join_next).
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let mut set = redd::task::JoinSet::new();
    /// let task = set.spawn(async { 42 });
    /// let joined = std::future::poll_fn(|cx| set.poll_join_next_with_id(cx)).await;
    /// assert_eq!(joined.unwrap().unwrap(), (task.id(), 42));
    /// # });
    /// ```
    pub fn poll_join_next_with_id(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(Id, T), JoinError>>> {
        let joined = ready!(self.poll_ready(cx));
        Poll::Ready(joined.map(|(id, output)| output.map(|output| (id, output))))
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Id, Result<T, JoinError>)>> {
        let unit = ready!(coop::poll_proceed(cx));
        if self.is_empty() {
            // An empty set stays empty, so this costs a unit too.
            unit.made_progress();
            return Poll::Ready(None);
        }
        if self.ended.0.is_empty() {
            self.state.take_or_register(&mut self.ended.0, cx.waker());
        }
        match self.ended.0.pop() {
            Some(task) => {
                unit.made_progress();
                Poll::Ready(Some(self.take(task)))
            }
            None => {
                self.state.mark_joined(&mut self.marked);
                waiting::record(WaitKind::Join, None);
                Poll::Pending
            }
        }
    }

    /// Aborts all tasks and waits until they have ended. Their outputs are dropped.
    ///
    /// # Cancel safety
    /// If the future is dropped, all tasks have been aborted, and those that were not joined are still in the set.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use std::sync::Arc;
    ///
    /// let resource = Arc::new(());
    /// let mut set = redd::task::JoinSet::new();
    /// for _ in 0..3 {
    ///     let resource = Arc::clone(&resource);
    ///     set.spawn(async move {
    ///         std::future::pending::<()>().await;
    ///         drop(resource);
    ///     });
    /// }
    /// set.shutdown().await;
    /// assert!(set.is_empty());
    /// assert_eq!(Arc::strong_count(&resource), 1, "the tasks have let go of it");
    /// # });
    /// ```
    #[track_caller]
    pub fn shutdown(&mut self) -> impl Future<Output = ()> {
        located(async move {
            self.abort_all();
            while self.join_next().await.is_some() {}
        })
    }

    /// Waits for all tasks and returns their outputs, in the order in which they ended.
    ///
    /// # Cancel safety
    /// If the future is dropped, the set is dropped: tasks that have not ended are aborted, and outputs are lost.
    ///
    /// # Panics
    /// If a task panicked, this resumes its panic and aborts the other tasks. If a task was aborted, this panics.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use redd::time::{Duration, sleep};
    ///
    /// let mut set = redd::task::JoinSet::new();
    /// for ms in [3, 1, 2] {
    ///     set.spawn(async move {
    ///         sleep(Duration::from_millis(20 * ms)).await;
    ///         ms
    ///     });
    /// }
    /// let mut outputs = set.join_all().await;
    /// outputs.sort_unstable();
    /// assert_eq!(outputs, [1, 2, 3]);
    /// # });
    /// ```
    #[track_caller]
    pub fn join_all(mut self) -> impl Future<Output = Vec<T>> {
        located(async move {
            let mut outputs = Vec::with_capacity(self.len());
            while let Some(joined) = self.join_next().await {
                match joined {
                    Ok(output) => outputs.push(output),
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(error) => panic!(
                        "`JoinSet::join_all` cannot give all outputs: {error}. Use `join_next` to handle tasks that are aborted."
                    ),
                }
            }
            outputs
        })
    }

    /// Aborts all tasks. They stay in the set until they are joined.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let mut set = redd::task::JoinSet::new();
    /// set.spawn(std::future::pending::<()>());
    /// set.abort_all();
    /// assert_eq!(set.len(), 1);
    /// assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
    /// # });
    /// ```
    pub fn abort_all(&mut self) {
        self.state.abort_all();
    }

    /// Removes all tasks from the set without aborting them: they continue to run. Their outputs are lost.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use redd::sync::oneshot;
    ///
    /// let (sender, receiver) = oneshot::channel();
    /// let mut set = redd::task::JoinSet::new();
    /// set.spawn(async move { sender.send("still running").unwrap() });
    /// set.detach_all();
    /// assert!(set.is_empty());
    /// assert_eq!(receiver.await.unwrap(), "still running");
    /// # });
    /// ```
    pub fn detach_all(&mut self) {
        // A new state: wakers that are called meanwhile know the old one.
        let created_at = self.state.created_at;
        drop(self.state.close());
        *self = Self::new_at(created_at);
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        let unfinished: Vec<_> = self.state.close().collect();
        unfinished.iter().for_each(JoinHandle::abort);
    }
}

debug_struct!([T] JoinSet<T> as "JoinSet", self => { len: self.len() });

impl<T> Default for JoinSet<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

///
/// Spawns each future of an iterator.
///
/// # Panics
/// Panics outside of a runtime.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use redd::task::JoinSet;
///
/// let set: JoinSet<u32> = (1..=4).map(|n| async move { n * n }).collect();
/// assert_eq!(set.join_all().await.iter().sum::<u32>(), 30);
/// # });
/// ```
impl<T, F> FromIterator<F> for JoinSet<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> Self {
        let mut set = Self::new();
        set.extend(futures);
        set
    }
}

///
/// Spawns each future of an iterator into the set.
///
/// # Panics
/// Panics outside of a runtime.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let mut set = redd::task::JoinSet::new();
/// set.extend((0..3).map(std::future::ready));
/// assert_eq!(set.len(), 3);
/// # });
/// ```
impl<T, F> Extend<F> for JoinSet<T>
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
