//! `JoinSet`: tasks that are joined in the order in which they end.
//!
//! # Invariants
//! - `once-in-ready`: the index of an entry is put into the ready queue once, when its task has ended; the entry leaves
//!   the set when the index is taken out.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::mem;
use std::task::{Context, Poll, Waker, ready};

use super::entry_waker::EntryWakers;
use super::local_set::{self, LocalSet};
use crate::observe::waiting::{self, WaitKind};
use crate::primitives::Mutex;
use crate::runtime::Handle;
use crate::task::{AbortHandle, Builder, Id, JoinError, JoinHandle, coop};

/// A set of tasks with the same output type, joined in the order in which they end.
///
/// - **Finished tasks stay in the set until they are joined.** A set that only grows is a leak: join in a loop, or use
///   plain [`spawn`](crate::spawn) for tasks whose end nobody asks for.
/// - Dropping the set aborts all its tasks. [`detach_all`](Self::detach_all) lets them run on instead.
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
    entries: Vec<SetEntry<T>>,
    /// The first of the list of free entries; `entries.len()` if there is none.
    first_free: usize,
    len: usize,
    /// From the ready queue, in its order: one lock for all that were in there.
    ended: VecDeque<usize>,
    wakers: EntryWakers,
}

enum SetEntry<T> {
    Task(JoinHandle<T>),
    /// The next one that is free.
    Free(usize),
}

/// Which tasks have ended, and who waits to hear of it.
#[derive(Default)]
pub(super) struct Ready {
    inner: Mutex<ReadyInner>,
}

#[derive(Default)]
struct ReadyInner {
    queue: VecDeque<usize>,
    waker: Option<Waker>,
}

impl Ready {
    /// `once-in-ready`: called once for an entry, for a task ends once.
    pub(super) fn push(&self, index: usize) {
        let waker = {
            let mut inner = self.inner.lock();
            inner.queue.push_back(index);
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    #[cfg(test)]
    pub(super) fn take_all(&self) -> VecDeque<usize> {
        mem::take(&mut self.inner.lock().queue)
    }

    /// Moves all tasks that have ended to `ended`, which is empty; or `waker` is called when one has.
    fn take_or_register(&self, ended: &mut VecDeque<usize>, waker: &Waker) {
        {
            let mut inner = self.inner.lock();
            mem::swap(ended, &mut inner.queue);
            if !ended.is_empty() || inner.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
                return;
            }
        }
        // A waker is foreign code: it is cloned and dropped without the lock, and a task may end meanwhile.
        let waker = waker.clone();
        let mut inner = self.inner.lock();
        mem::swap(ended, &mut inner.queue);
        let unused = if ended.is_empty() { inner.waker.replace(waker) } else { Some(waker) };
        drop(inner);
        drop(unused);
    }
}

impl<T> JoinSet<T> {
    /// An empty set.
    pub fn new() -> Self {
        Self { entries: Vec::new(), first_free: 0, len: 0, ended: VecDeque::new(), wakers: EntryWakers::default() }
    }

    /// How many tasks are in the set, finished ones included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no task is in the set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn tasks(&self) -> impl Iterator<Item = &JoinHandle<T>> {
        self.entries.iter().filter_map(|entry| match entry {
            SetEntry::Task(handle) => Some(handle),
            SetEntry::Free(_) => None,
        })
    }

    /// Names the tasks that are spawned through it.
    pub fn build_task(&mut self) -> JoinSetBuilder<'_, T> {
        JoinSetBuilder { set: self, builder: Builder::new() }
    }
}

impl<T: 'static> JoinSet<T> {
    /// Spawns a task into the set; see [`spawn`](crate::spawn).
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.insert(crate::runtime::spawn(future))
    }

    /// As [`spawn`](Self::spawn), on a runtime of choice.
    #[track_caller]
    pub fn spawn_on<F>(&mut self, future: F, handle: &Handle) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.insert(handle.spawn(future))
    }

    /// Spawns a task that need not be `Send` on the current `LocalSet` or local runtime.
    ///
    /// # Panics
    /// Outside of both.
    #[track_caller]
    pub fn spawn_local<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.insert(local_set::spawn_local(future))
    }

    /// As [`spawn_local`](Self::spawn_local), on a `LocalSet` of choice; it may run later.
    #[track_caller]
    pub fn spawn_local_on<F>(&mut self, future: F, local_set: &LocalSet) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.insert(local_set.spawn_local(future))
    }

    /// Runs a closure on the blocking pool; see [`spawn_blocking`](crate::task::spawn_blocking).
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, f: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.insert(crate::blocking::spawn_blocking(f))
    }

    /// As [`spawn_blocking`](Self::spawn_blocking), on a runtime of choice.
    #[track_caller]
    pub fn spawn_blocking_on<F>(&mut self, f: F, handle: &Handle) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.insert(handle.spawn_blocking(f))
    }

    fn insert(&mut self, handle: JoinHandle<T>) -> AbortHandle {
        let abort = handle.abort_handle();
        let index = self.first_free;
        let waker = self.wakers.waker(index);
        if !handle.give_waker(waker) {
            self.wakers.ready.push(index);
        }
        match self.entries.get_mut(index) {
            Some(entry) => {
                if let SetEntry::Free(next) = mem::replace(entry, SetEntry::Task(handle)) {
                    self.first_free = next;
                }
            }
            None => {
                self.entries.push(SetEntry::Task(handle));
                self.first_free = self.entries.len();
            }
        }
        self.len += 1;
        abort
    }

    /// Waits until one of the tasks has ended, and takes it out of the set. `None` if the set is empty.
    ///
    /// # Cancel safety
    /// If another branch of `select!` wins, no task was taken out.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// As [`join_next`](Self::join_next), with the task's id; a `JoinError` carries it itself.
    pub async fn join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        poll_fn(|cx| self.poll_join_next_with_id(cx)).await
    }

    /// Takes out a task that has ended, if there is one.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        Some(self.take_ready()?.1)
    }

    /// As [`try_join_next`](Self::try_join_next), with the task's id.
    pub fn try_join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        let (id, output) = self.take_ready()?;
        Some(output.map(|output| (id, output)))
    }

    fn take_ready(&mut self) -> Option<(Id, Result<T, JoinError>)> {
        if self.ended.is_empty() {
            mem::swap(&mut self.ended, &mut self.wakers.ready.inner.lock().queue);
        }
        let index = self.ended.pop_front()?;
        Some(self.take(index))
    }

    fn take(&mut self, index: usize) -> (Id, Result<T, JoinError>) {
        let SetEntry::Task(handle) = mem::replace(&mut self.entries[index], SetEntry::Free(self.first_free)) else {
            unreachable!("`once-in-ready`: the entry is still in the set");
        };
        self.first_free = index;
        self.len -= 1;
        (handle.id(), handle.take_finished())
    }

    /// Polls for a task that has ended.
    ///
    /// - `Ready(None)`: the set is empty.
    /// - `Pending`: none has ended, or the task's budget is used up; the waker will be called.
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        let joined = ready!(self.poll_ready(cx));
        Poll::Ready(joined.map(|(_, output)| output))
    }

    /// As [`poll_join_next`](Self::poll_join_next), with the task's id.
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
        if self.ended.is_empty() {
            self.wakers.ready.take_or_register(&mut self.ended, cx.waker());
        }
        match self.ended.pop_front() {
            Some(index) => {
                unit.made_progress();
                Poll::Ready(Some(self.take(index)))
            }
            None => {
                waiting::note(WaitKind::Join, None);
                Poll::Pending
            }
        }
    }

    /// Aborts all tasks and waits until they have ended; their outputs are dropped.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }

    /// Waits for all tasks and gives their outputs, in the order in which they ended.
    ///
    /// # Panics
    /// If a task panicked, its panic goes on here and the other tasks are aborted. If a task was cancelled, this
    /// panics.
    pub async fn join_all(mut self) -> Vec<T> {
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
    }

    /// Aborts all tasks. They stay in the set until they are joined.
    pub fn abort_all(&mut self) {
        self.tasks().for_each(JoinHandle::abort);
    }

    /// Takes all tasks out of the set and lets them run on.
    pub fn detach_all(&mut self) {
        // A new queue: the tasks' wakers still know the old one.
        self.wakers = EntryWakers::default();
        self.ended.clear();
        self.first_free = 0;
        self.len = 0;
        self.entries.clear();
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.tasks().for_each(JoinHandle::abort);
    }
}

debug_struct!([T] JoinSet<T> as "JoinSet", self => { len: self.len() });

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

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

/// Spawns a named task into a set. Made by [`JoinSet::build_task`].
#[derive(Debug)]
#[must_use = "nothing is spawned until `spawn` is called"]
pub struct JoinSetBuilder<'a, T> {
    set: &'a mut JoinSet<T>,
    builder: Builder<'a>,
}

impl<'a, T: 'static> JoinSetBuilder<'a, T> {
    /// The task's name.
    pub fn name(self, name: &'a str) -> Self {
        Self { builder: self.builder.name(name), ..self }
    }

    /// As [`JoinSet::spawn`].
    ///
    /// # Errors
    /// None today; as in Tokio it is an `io::Result`.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> std::io::Result<AbortHandle>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        Ok(self.set.insert(self.builder.spawn(future)?))
    }

    /// As [`JoinSet::spawn_on`].
    ///
    /// # Errors
    /// As for [`spawn`](Self::spawn).
    #[track_caller]
    pub fn spawn_on<F>(self, future: F, handle: &Handle) -> std::io::Result<AbortHandle>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        Ok(self.set.insert(self.builder.spawn_on(future, handle)?))
    }

    /// As [`JoinSet::spawn_blocking`].
    ///
    /// # Errors
    /// The system refuses a thread.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn_blocking<F>(self, f: F) -> std::io::Result<AbortHandle>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        Ok(self.set.insert(self.builder.spawn_blocking(f)?))
    }

    /// As [`JoinSet::spawn_blocking_on`].
    ///
    /// # Errors
    /// The system refuses a thread.
    #[track_caller]
    pub fn spawn_blocking_on<F>(self, f: F, handle: &Handle) -> std::io::Result<AbortHandle>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        Ok(self.set.insert(self.builder.spawn_blocking_on(f, handle)?))
    }

    /// As [`JoinSet::spawn_local`].
    ///
    /// # Errors
    /// None today; as in Tokio it is an `io::Result`.
    ///
    /// # Panics
    /// Outside of a `LocalSet` and a local runtime.
    #[track_caller]
    pub fn spawn_local<F>(self, future: F) -> std::io::Result<AbortHandle>
    where
        F: Future<Output = T> + 'static,
    {
        Ok(self.set.insert(self.builder.spawn_local(future)?))
    }

    /// As [`JoinSet::spawn_local_on`].
    ///
    /// # Errors
    /// None today; as in Tokio it is an `io::Result`.
    #[track_caller]
    pub fn spawn_local_on<F>(self, future: F, local_set: &LocalSet) -> std::io::Result<AbortHandle>
    where
        F: Future<Output = T> + 'static,
    {
        Ok(self.set.insert(self.builder.spawn_local_on(future, local_set)?))
    }
}
