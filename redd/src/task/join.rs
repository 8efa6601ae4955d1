//! `JoinHandle` and `AbortHandle`: the handles of a spawned task.
//!
//! Called by user code, and by `group::join_set`. The invariants are those of `state` (`join-waker`, `output-owner`).

#![expect(unsafe_code, reason = "a handle owns a reference behind a raw pointer")]

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker, ready};

use super::budget::poll_proceed;
use super::current::{self, CurrentGuard};
use super::header::{Extra, Header, IS_DIRECT};
use super::id::Id;
use super::join_error::JoinError;
use super::runnable::TaskRef;
use super::state::{AfterWake, OnHandleDrop, OnJoinWaker};
use super::waker;
use crate::observe::task_info::TaskInfo;
use crate::observe::waiting::{self, WaitKind};
use crate::primitives::user_code::drop_guarded;

/// The owned handle of a spawned task: await it to get the task's output.
///
/// - Awaiting it returns `Ok(output)`, or a [`JoinError`] if the task panicked or was aborted.
/// - **Dropping it detaches the task**: the task continues to run, and its output is lost. It does not abort the task.
/// - It must not be polled again after it has returned the output.
///
/// # Cancel safety
/// `&mut handle` may be awaited in `select!`: nothing is lost if another branch completes first.
///
/// # Panics
/// Polling it panics after it has returned the output.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let answer = redd::spawn(async { 6 * 7 });
/// assert_eq!(answer.await.unwrap(), 42);
///
/// let forever = redd::spawn(std::future::pending::<()>());
/// forever.abort();
/// assert!(forever.await.unwrap_err().is_cancelled());
/// # });
/// ```
///
/// Wait for a while, and keep the handle:
/// ```
/// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use redd::time::{Duration, sleep, timeout};
///
/// let mut task = redd::spawn(async {
///     sleep(Duration::from_millis(50)).await;
///     "done"
/// });
/// assert!(timeout(Duration::from_millis(1), &mut task).await.is_err());
/// assert_eq!(task.await.unwrap(), "done");
/// # });
/// ```
pub struct JoinHandle<T> {
    task: ManuallyDrop<TaskRef>,
    _output: PhantomData<T>,
}

// SAFETY: the output is moved out by value, so it need not be `Sync`. Through `&JoinHandle` only the state word is used.
unsafe impl<T: Send> Sync for JoinHandle<T> {}
impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}
impl<T> Unpin for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// # Safety
    /// The caller gives up the handle's reference to a task whose output is `T`.
    pub(super) unsafe fn from_raw(task: NonNull<Header>) -> Self {
        // SAFETY: by the safety contract.
        Self { task: ManuallyDrop::new(unsafe { TaskRef::from_raw(task) }), _output: PhantomData }
    }

    /// Requests the task to end: its future is dropped at its current await point, or at the next one that it reaches.
    ///
    /// - Awaiting the handle afterwards returns an error that [`is_cancelled`](JoinError::is_cancelled), unless the task
    ///   ended before the request reached it.
    /// - It returns at once. To know that the future has been dropped, await the handle.
    /// - A closure of [`spawn_blocking`](super::spawn_blocking) that has started is not interrupted.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let finished = redd::spawn(async { 1 });
    /// redd::task::yield_now().await;
    /// finished.abort();
    /// assert_eq!(finished.await.unwrap(), 1, "it had ended before");
    ///
    /// let waiting = redd::spawn(std::future::pending::<()>());
    /// waiting.abort();
    /// assert!(waiting.await.unwrap_err().is_cancelled());
    /// # });
    /// ```
    pub fn abort(&self) {
        abort(&self.task);
    }

    /// Returns whether the task has ended: its output is ready, or it was cancelled or panicked.
    ///
    /// It may be false for a moment after [`abort`](Self::abort).
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let task = redd::spawn(async {});
    /// assert!(!task.is_finished());
    /// redd::task::yield_now().await;
    /// assert!(task.is_finished());
    /// # });
    /// ```
    pub fn is_finished(&self) -> bool {
        self.task.state.load().is_complete()
    }

    /// Returns a handle that can abort the task but not join it.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let task = redd::spawn(std::future::pending::<()>());
    /// let abort = task.abort_handle();
    /// redd::spawn(async move { abort.abort() });
    /// assert!(task.await.unwrap_err().is_cancelled());
    /// # });
    /// ```
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle { task: TaskRef::clone(&self.task) }
    }

    /// Returns the task's id.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let task = redd::spawn(async { redd::task::id() });
    /// let id = task.id();
    /// assert_eq!(task.await.unwrap(), id);
    /// # });
    /// ```
    pub fn id(&self) -> Id {
        self.task.id()
    }

    /// Sets the waker that completion calls, and records for dumps that the current task waits at `location`. Returns false
    /// if the task is complete already.
    #[inline]
    fn set_waker(&self, waker: &Waker, location: &'static Location<'static>) -> bool {
        self.set_waker_with(|slot| {
            let joiner = match waker::task_of(waker) {
                Some(task) => task.0 | IS_DIRECT,
                None => current::id_or_zero(),
            };
            match slot {
                Some(old) => {
                    self.extra().continue_join(joiner, location);
                    old.clone_from(waker);
                }
                slot => {
                    self.extra().begin_join(joiner, location);
                    *slot = Some(waker.clone());
                }
            }
        })
    }

    /// Records for dumps that the current task waits for this one, among others.
    #[track_caller]
    pub(crate) fn mark_joined(&self) {
        self.extra().continue_join(current::id_or_zero(), Location::caller());
    }

    #[inline]
    fn extra(&self) -> &Extra {
        // SAFETY: the handle has a reference.
        unsafe { Header::extra(self.task.as_raw()) }
    }

    /// Sets the waker that completion calls, by value. Returns false if the task is complete already.
    pub(crate) fn give_waker(&self, waker: Waker) -> bool {
        self.set_waker_with(|slot| *slot = Some(waker))
    }

    #[inline]
    fn set_waker_with(&self, put: impl FnOnce(&mut Option<Waker>)) -> bool {
        let header = &**self.task;
        let now = header.state.load();
        if now.is_complete() {
            return false;
        }
        if now.has_join_waker() {
            // `join-waker`: the completing thread takes the waker out, so clear the bit before touching the cell.
            if header.state.take_back_join_waker() == OnJoinWaker::Complete {
                return false;
            }
        }
        header.join_waker.with_mut(|slot| {
            // SAFETY: `join-waker`: the bit is clear, so the cell is ours.
            let unwinding = EmptyOnUnwind(unsafe { &mut *slot });
            put(unwinding.0);
            #[expect(clippy::mem_forget, reason = "it only borrows; its drop is for a panic")]
            mem::forget(unwinding);
        });
        match header.state.set_join_waker() {
            OnJoinWaker::Done => true,
            OnJoinWaker::Complete => {
                // SAFETY: `join-waker`: the bit is still clear, so the cell is ours. It must be empty afterwards.
                drop(header.join_waker.with_mut(|slot| unsafe { (*slot).take() }));
                false
            }
        }
    }

    /// The line that spawned the task.
    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.task.location()
    }

    /// Takes the output of a task that is known to have ended, and passes it on with the task. Then it gives up the
    /// handle's reference.
    #[inline]
    pub(super) fn into_output_with<R>(self, f: impl FnOnce(&TaskRef, Result<T, JoinError>) -> R) -> R {
        debug_assert!(self.is_finished(), "the caller knows that the task has ended");
        let Poll::Ready(output) = self.take_output() else {
            unreachable!("the handle is consumed with its output, so this is the first time")
        };
        let result = f(&self.task, output);
        let task = ManuallyDrop::new(self).task.as_raw();
        // SAFETY: the handle's reference is still there, and it is not used after this.
        if unsafe { task.as_ref() }.state.drop_consumed_handle() {
            // SAFETY: ours was the last reference.
            unsafe { Header::free(task) };
        }
        result
    }

    /// Takes the output of a complete task. Returns `Pending` if it was taken before.
    fn take_output(&self) -> Poll<Result<T, JoinError>> {
        let mut output = Poll::Pending;
        // SAFETY: COMPLETE was seen and JOIN is ours, so the output is ours; `T` is the task's output type.
        unsafe { (self.task.vtable().take_output)(self.task.as_raw(), NonNull::from(&mut output).cast()) };
        output
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let unit = ready!(poll_proceed(cx));
        if self.set_waker(cx.waker(), Location::caller()) {
            waiting::record(WaitKind::Join, Some(self.task.location()));
            return Poll::Pending;
        }
        unit.made_progress();
        let output = self.take_output();
        assert!(
            output.is_ready(),
            "a `JoinHandle` was polled after it had returned its task's output. Await each handle once; to use the output \
             again, keep it."
        );
        output
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        // SAFETY: the handle is not used after its drop.
        let task = unsafe { ManuallyDrop::take(&mut self.task) };
        if task.state.is_finished_and_ours() {
            drop_output(&task);
            // No other thread can get a reference, so no read-modify-write is needed.
            task.state.release_unshared();
            // SAFETY: ours was the last reference.
            unsafe { Header::free(task.into_raw()) };
            return;
        }
        match task.state.drop_handle() {
            OnHandleDrop::DropOutput => drop_output(&task),
            // This is user code. If it panics, the reference is still released.
            // SAFETY: `join-waker`: the transition cleared the bit before completion, so the cell is ours.
            OnHandleDrop::DropWaker => drop(task.join_waker.with_mut(|slot| unsafe { (*slot).take() })),
        }
    }
}

fn drop_output(task: &TaskRef) {
    let _current = CurrentGuard::enter(task.as_raw());
    // SAFETY: `output-owner`: the task is complete and JOIN was ours. `drop_stage` catches panics.
    unsafe { (task.vtable().drop_stage)(task.as_raw()) };
}

/// Clears the join waker's cell if a waker's clone or drop panics. With the bit clear no other code would clear it
/// (`join-waker`).
struct EmptyOnUnwind<'a>(&'a mut Option<Waker>);

impl Drop for EmptyOnUnwind<'_> {
    fn drop(&mut self) {
        drop_guarded(self.0.take());
    }
}

debug_struct!([T: fmt::Debug] JoinHandle<T> as "JoinHandle", self => { id: self.id(), is_finished: self.is_finished() });

fn abort(task: &TaskRef) {
    match task.state.cancel() {
        // SAFETY: the transition made a reference for the `Runnable`. The caller's reference keeps the scheduler.
        AfterWake::Enqueue => unsafe { waker::enqueue(task.as_raw()) },
        AfterWake::Nothing => {}
        AfterWake::EnqueueThenRelease | AfterWake::Free => unreachable!("cancelling releases no reference"),
    }
}

/// A handle that aborts a task from anywhere, but cannot join it.
///
/// It can be cloned, and does not depend on the task's output type. Dropping it does nothing to the task.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use redd::task::AbortHandle;
///
/// let (number, text) = (redd::spawn(async { 1 }), redd::spawn(std::future::pending::<String>()));
/// let handles: Vec<AbortHandle> = vec![number.abort_handle(), text.abort_handle()];
/// assert_eq!(number.await.unwrap(), 1);
/// handles.iter().for_each(AbortHandle::abort);
/// assert!(text.await.unwrap_err().is_cancelled());
/// assert!(handles.iter().all(AbortHandle::is_finished));
/// # });
/// ```
#[derive(Clone)]
pub struct AbortHandle {
    task: TaskRef,
}

impl AbortHandle {
    /// Requests the task to end; see [`JoinHandle::abort`].
    pub fn abort(&self) {
        abort(&self.task);
    }

    /// Wakes the task, so that it is polled once more.
    pub(crate) fn wake(&self) {
        match self.task.state.wake_by_ref() {
            // SAFETY: the transition made a reference for the `Runnable`. This handle's reference keeps the scheduler.
            AfterWake::Enqueue => unsafe { waker::enqueue(self.task.as_raw()) },
            AfterWake::Nothing => {}
            AfterWake::EnqueueThenRelease | AfterWake::Free => unreachable!("waking by reference releases none"),
        }
    }

    /// Describes the task for reports.
    pub(crate) fn info(&self) -> TaskInfo {
        self.task.info()
    }

    /// Returns whether the task has ended; see [`JoinHandle::is_finished`].
    pub fn is_finished(&self) -> bool {
        self.task.state.load().is_complete()
    }

    /// Returns the task's id.
    pub fn id(&self) -> Id {
        self.task.id()
    }
}

debug_struct!([] AbortHandle as "AbortHandle", self => { id: self.id(), is_finished: self.is_finished() });
