//! `JoinHandle`, `AbortHandle`, `JoinError`.

#![expect(unsafe_code, reason = "a handle owns a reference behind a raw pointer")]

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker, ready};

use super::cell::{self, Header, TaskRef};
use super::poll::CurrentGuard;
use super::state::{AfterWake, OnHandleDrop, OnJoinWaker};
use super::{Id, coop, waker};
use crate::observe::waiting::{self, WaitKind};

/// The owner's view of a spawned task: await it for the output, or drop it and let the task run on.
///
/// - Awaiting gives `Ok(output)`, or a [`JoinError`] if the task panicked or was aborted.
/// - Dropping it detaches the task: it runs on, and nobody learns its output. It does not abort.
/// - It may be polled until it has given the output once.
///
/// # Cancel safety
/// `&mut handle` may be awaited in `select!`: nothing is lost if another branch wins.
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
pub struct JoinHandle<T> {
    task: ManuallyDrop<TaskRef>,
    _output: PhantomData<T>,
}

// SAFETY: the output is moved out by value, so it need not be `Sync`; through `&JoinHandle` only the state word is reached.
unsafe impl<T: Send> Sync for JoinHandle<T> {}
impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}
impl<T> Unpin for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// # Safety
    /// The caller passes on the handle's reference of a task whose output is `T`.
    pub(super) unsafe fn from_raw(task: NonNull<Header>) -> Self {
        // SAFETY: by this function's duty.
        Self { task: ManuallyDrop::new(unsafe { TaskRef::from_raw(task) }), _output: PhantomData }
    }

    /// Asks the task to end: its future is dropped at the await point where it stands, or where it stops next.
    ///
    /// - Awaiting the handle afterwards gives an error that [`is_cancelled`](JoinError::is_cancelled), unless the task
    ///   ended before the request reached it.
    /// - A closure of [`spawn_blocking`](super::spawn_blocking) that has started runs on to its end.
    pub fn abort(&self) {
        abort(&self.task);
    }

    /// Whether the task has ended (its output stands ready, or it was cancelled or panicked).
    pub fn is_finished(&self) -> bool {
        self.task.state.load().is_complete()
    }

    /// A handle that can abort the task but not join it.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle { task: TaskRef::clone(&self.task) }
    }

    /// The task's id.
    pub fn id(&self) -> Id {
        self.task.id()
    }

    /// Sets the waker that completion wakes; false if the task is complete already.
    pub(crate) fn set_waker(&self, waker: &Waker) -> bool {
        self.set_waker_with(|slot| match slot {
            Some(old) => old.clone_from(waker),
            slot => *slot = Some(waker.clone()),
        })
    }

    /// As [`set_waker`](Self::set_waker) for a waker that is handed over.
    pub(crate) fn give_waker(&self, waker: Waker) -> bool {
        self.set_waker_with(|slot| *slot = Some(waker))
    }

    fn set_waker_with(&self, put: impl FnOnce(&mut Option<Waker>)) -> bool {
        let header = &**self.task;
        let now = header.state.load();
        if now.is_complete() {
            return false;
        }
        if now.has_join_waker() {
            // `join-waker`: the completer takes the waker out, so the cell may be looked at only with the bit taken back.
            if header.state.take_back_join_waker() == OnJoinWaker::Complete {
                return false;
            }
        }
        header.join_waker.with_mut(|slot| {
            // SAFETY: `join-waker`: the bit is clear, so the cell is ours.
            let unwinding = EmptyOnUnwind(unsafe { &mut *slot });
            put(unwinding.0);
            #[expect(clippy::mem_forget, reason = "it borrows, and is for a panic alone")]
            mem::forget(unwinding);
        });
        match header.state.set_join_waker() {
            OnJoinWaker::Done => true,
            OnJoinWaker::Complete => {
                // SAFETY: the bit is still clear, the cell is ours: leave it empty.
                drop(header.join_waker.with_mut(|slot| unsafe { (*slot).take() }));
                false
            }
        }
    }

    /// Takes the output of a task whose end was seen.
    pub(crate) fn take_finished(self) -> Result<T, JoinError> {
        assert!(self.is_finished(), "a task's output was asked for before its end: this is a bug in redd, report it");
        match self.take_output() {
            Poll::Ready(output) => output,
            Poll::Pending => {
                unreachable!("the handle goes with its output, so this is the first time")
            }
        }
    }

    /// Takes the output of a complete task; `Pending` if it was taken before.
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
        let unit = ready!(coop::poll_proceed(cx));
        if self.set_waker(cx.waker()) {
            waiting::note(WaitKind::Join, Some(self.task.location()));
            return Poll::Pending;
        }
        unit.made_progress();
        let output = self.take_output();
        assert!(
            output.is_ready(),
            "a `JoinHandle` was polled after it had given its task's output. Await each handle once; to look again, keep \
             the output."
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
            // Nobody else can come: no read-modify-write needed.
            task.state.release_unshared();
            // SAFETY: ours was the last reference.
            unsafe { cell::free(task.into_raw()) };
            return;
        }
        match task.state.drop_handle() {
            OnHandleDrop::DropOutput => drop_output(&task),
            // A panic of this foreign code does not keep the reference.
            // SAFETY: `join-waker`: the step cleared the bit before completion, so the cell is ours.
            OnHandleDrop::DropWaker => drop(task.join_waker.with_mut(|slot| unsafe { (*slot).take() })),
        }
    }
}

fn drop_output(task: &TaskRef) {
    let _current = CurrentGuard::enter(task.as_raw());
    // SAFETY: complete and JOIN was ours: the output is ours (`output-owner`). The table guards against panics.
    unsafe { (task.vtable().drop_stage)(task.as_raw()) };
}

/// Empties the join waker's cell if a waker's clone or drop panics: with the bit clear nobody else would (`join-waker`).
struct EmptyOnUnwind<'a>(&'a mut Option<Waker>);

impl Drop for EmptyOnUnwind<'_> {
    fn drop(&mut self) {
        cell::drop_guarded(self.0.take());
    }
}

debug_struct!([T: fmt::Debug] JoinHandle<T> as "JoinHandle", self => { id: self.id() });

fn abort(task: &TaskRef) {
    match task.state.cancel() {
        // SAFETY: the step made a reference for the `Runnable`; the caller's keeps the scheduler.
        AfterWake::Enqueue => unsafe { waker::enqueue(task.as_raw()) },
        AfterWake::Nothing => {}
        AfterWake::EnqueueThenRelease | AfterWake::Free => unreachable!("cancelling releases no reference"),
    }
}

/// Aborts a task from anywhere; it cannot join it. Dropping it does nothing to the task.
#[derive(Clone)]
pub struct AbortHandle {
    task: TaskRef,
}

impl AbortHandle {
    /// As [`JoinHandle::abort`].
    pub fn abort(&self) {
        abort(&self.task);
    }

    /// As [`JoinHandle::is_finished`].
    pub fn is_finished(&self) -> bool {
        self.task.state.load().is_complete()
    }

    /// The task's id.
    pub fn id(&self) -> Id {
        self.task.id()
    }
}

debug_struct!([] AbortHandle as "AbortHandle", self => { id: self.id() });

/// Why a task has no output: it was aborted, or it panicked.
pub struct JoinError {
    id: Id,
    reason: Reason,
}

enum Reason {
    Cancelled,
    /// Behind a lock only to make the error `Sync`.
    Panic(std::sync::Mutex<Box<dyn Any + Send + 'static>>),
}

impl JoinError {
    pub(crate) fn cancelled(id: Id) -> Self {
        Self { id, reason: Reason::Cancelled }
    }

    pub(crate) fn panic(id: Id, payload: Box<dyn Any + Send + 'static>) -> Self {
        Self { id, reason: Reason::Panic(std::sync::Mutex::new(payload)) }
    }

    /// Whether the task was aborted, or its runtime went away.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.reason, Reason::Cancelled)
    }

    /// Whether the task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.reason, Reason::Panic(_))
    }

    /// The panic's payload, for `std::panic::resume_unwind`.
    ///
    /// # Panics
    /// If the task did not panic; ask [`is_panic`](Self::is_panic), or use [`try_into_panic`](Self::try_into_panic).
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(error) => panic!(
                "`JoinError::into_panic` was called, but {error}. Ask `is_panic` first, or use `try_into_panic`."
            ),
        }
    }

    /// The panic's payload, or the error back if the task was cancelled.
    ///
    /// # Errors
    /// The error itself, if the task did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send + 'static>, Self> {
        match self.reason {
            Reason::Panic(payload) => Ok(payload.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())),
            Reason::Cancelled => Err(self),
        }
    }

    /// The id of the task.
    pub fn id(&self) -> Id {
        self.id
    }

    /// The panic's message, if it is text.
    pub(super) fn with_message<R>(&self, tell: impl FnOnce(Option<&str>) -> R) -> R {
        let Reason::Panic(payload) = &self.reason else {
            return tell(None);
        };
        let payload = payload.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let text = payload.downcast_ref::<String>().map(String::as_str);
        tell(text.or_else(|| payload.downcast_ref::<&'static str>().copied()))
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Cancelled => write!(f, "task {} was cancelled", self.id),
            Reason::Panic(_) => self.with_message(|message| match message {
                Some(text) => write!(f, "task {} panicked with message {text:?}", self.id),
                None => write!(f, "task {} panicked", self.id),
            }),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Cancelled => write!(f, "JoinError::Cancelled({:?})", self.id),
            Reason::Panic(_) => self.with_message(|message| match message {
                Some(text) => write!(f, "JoinError::Panic({:?}, {text:?}, ...)", self.id),
                None => write!(f, "JoinError::Panic({:?}, ...)", self.id),
            }),
        }
    }
}

impl std::error::Error for JoinError {}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        Self::other(match error.reason {
            Reason::Cancelled => "the task was cancelled before it had a result",
            Reason::Panic(_) => "the task panicked before it had a result",
        })
    }
}
