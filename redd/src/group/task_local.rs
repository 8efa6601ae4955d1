//! Values that belong to a task: `task_local!`'s keys and the future that carries a value.
//!
//! The value lives in the future. During a poll it is in a thread-local slot, where `with` finds it; afterwards it
//! returns to the future. Both moves swap two `Option`s, so scopes of one key nest: the inner future holds the outer value
//! meanwhile.
//!
//! Called by user code, and by the expansion of `task_local!`. The values of keys with `#[inherited]` are cloned for each task that
//! is spawned while they are set: `task::inherited` does that, and this file has its view of a key.
//!
//! # Invariants
//! - `swapped-back`: the function that swaps a value into the slot swaps it out before it returns, also in a panic.
//! - `dropped-inside`: the future is dropped with its value in the slot, so that its destructor can read it.

use std::cell::{BorrowMutError, RefCell};
use std::fmt;
use std::future::Future;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::LocalKey as ThreadLocalKey;

use pin_project_lite::pin_project;

use crate::task::inherited::{InheritedKey, InheritedValue};

/// A key for a value that each task has for itself. Declared with [`task_local!`](crate::task_local).
///
/// - The key has a value only inside [`scope`](Self::scope) and [`sync_scope`](Self::sync_scope).
/// - **A spawned task does not inherit the value**, unless the key is declared with `#[inherited]`. Wrap the spawned future in a
///   scope of its own.
///
/// # Examples
/// ```
/// redd::task_local! {
///     static NUMBER: u32;
/// }
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let sum = NUMBER.scope(1, async { NUMBER.get() + NUMBER.scope(2, async { NUMBER.get() }).await });
/// assert_eq!(sum.await, 3);
/// # });
/// ```
pub struct LocalKey<T: 'static> {
    /// For the expansion of `task_local!` only.
    #[doc(hidden)]
    pub inner: ThreadLocalKey<RefCell<Option<T>>>,
    /// For the expansion of `task_local!` only: set for a key with `#[inherited]`.
    #[doc(hidden)]
    pub inherited: Option<&'static InheritedKey>,
}

impl<T: 'static> LocalKey<T> {
    /// Returns a future that runs `future` with `value` set.
    ///
    /// - The value is visible to `future` and to everything that it calls, on every thread that polls it.
    /// - It is still visible while `future` is dropped.
    /// - It is dropped with the returned future. [`TaskLocalFuture::take_value`] takes it out.
    ///
    /// # Panics
    /// The returned future panics when it is polled from inside a [`with`](Self::with) of the same key. It also panics
    /// when it is polled again after it has completed.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// redd::task_local! {
    ///     static REQUEST: u64;
    /// }
    ///
    /// fn log_line(text: &str) -> String {
    ///     format!("[{}] {text}", REQUEST.get())
    /// }
    ///
    /// let first = redd::spawn(REQUEST.scope(1, async { log_line("received") }));
    /// let second = redd::spawn(REQUEST.scope(2, async { log_line("received") }));
    /// assert_eq!(first.await.unwrap(), "[1] received");
    /// assert_eq!(second.await.unwrap(), "[2] received");
    /// # });
    /// ```
    pub fn scope<F>(&'static self, value: T, future: F) -> TaskLocalFuture<T, F>
    where
        F: Future,
    {
        TaskLocalFuture { key: self, value: Some(value), future: Some(future), _pinned: PhantomPinned }
    }

    /// Runs a closure with `value` set.
    ///
    /// # Panics
    /// Panics when it is called from inside a [`with`](Self::with) of the same key, or while the thread's locals are being
    /// destroyed.
    ///
    /// # Examples
    /// ```
    /// redd::task_local! {
    ///     static DEPTH: u32;
    /// }
    ///
    /// let sum = DEPTH.sync_scope(1, || {
    ///     let inner = DEPTH.sync_scope(2, || DEPTH.get());
    ///     inner + DEPTH.get()
    /// });
    /// assert_eq!(sum, 3);
    /// ```
    #[track_caller]
    pub fn sync_scope<F, R>(&'static self, value: T, f: F) -> R
    where
        F: FnOnce() -> R,
    {
        match self.enter(&mut Some(value), f) {
            Ok(result) => result,
            Err(reason) => panic!("{reason}"),
        }
    }

    /// Calls `f` with a reference to the value.
    ///
    /// # Panics
    /// Panics when there is no value: the caller is not inside a scope of this key.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// redd::task_local! {
    ///     static USER: String;
    /// }
    ///
    /// let len = USER.scope("Ada".to_owned(), async { USER.with(|user| user.len()) });
    /// assert_eq!(len.await, 3);
    /// # });
    /// ```
    #[track_caller]
    pub fn with<F, R>(&'static self, f: F) -> R
    where
        F: FnOnce(&T) -> R,
    {
        match self.try_with(f) {
            Ok(result) => result,
            Err(error) => panic!("{error}"),
        }
    }

    /// Calls `f` with a reference to the value, if there is one.
    ///
    /// # Errors
    /// Returns `AccessError` when the caller is not inside a scope of this key. `f` is not called then.
    ///
    /// # Examples
    /// ```
    /// redd::task_local! {
    ///     static USER: String;
    /// }
    ///
    /// fn greeting() -> String {
    ///     USER.try_with(|user| format!("Hello {user}")).unwrap_or_else(|_| "Hello".to_owned())
    /// }
    ///
    /// assert_eq!(greeting(), "Hello");
    /// assert_eq!(USER.sync_scope("Ada".to_owned(), greeting), "Hello Ada");
    /// ```
    pub fn try_with<F, R>(&'static self, f: F) -> Result<R, AccessError>
    where
        F: FnOnce(&T) -> R,
    {
        self.inner.try_with(|slot| slot.borrow().as_ref().map(f)).ok().flatten().ok_or(AccessError { _private: () })
    }

    /// Swaps `value` into the slot, runs `f`, swaps it back (`swapped-back`).
    fn enter<R>(&'static self, value: &mut Option<T>, f: impl FnOnce() -> R) -> Result<R, &'static str> {
        self.swap(value)?;
        let _guard = SwapBack { key: self, value };
        Ok(f())
    }

    /// Exchanges `value` with the one in the slot.
    fn swap(&'static self, value: &mut Option<T>) -> Result<(), &'static str> {
        let (is_set, was_set) = self
            .inner
            .try_with(|slot| {
                let mut slot = slot.try_borrow_mut()?;
                std::mem::swap(&mut *slot, value);
                Ok((slot.is_some(), value.is_some()))
            })
            .map_err(|_| DESTROYED)?
            .map_err(|_: BorrowMutError| BORROWED)?;
        match self.inherited {
            Some(inherited) if is_set != was_set => inherited.change(is_set),
            _ => {}
        }
        Ok(())
    }
}

impl<T: Clone + 'static> LocalKey<T> {
    /// Returns a clone of the value.
    ///
    /// # Panics
    /// Panics when there is no value: the caller is not inside a scope of this key.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// redd::task_local! {
    ///     static NUMBER: u32;
    /// }
    ///
    /// assert_eq!(NUMBER.scope(7, async { NUMBER.get() }).await, 7);
    /// # });
    /// ```
    #[track_caller]
    pub fn get(&'static self) -> T {
        self.with(T::clone)
    }

    /// Returns a clone of the value, if there is one.
    ///
    /// # Errors
    /// Returns `AccessError` when the caller is not inside a scope of this key.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// redd::task_local! {
    ///     static NUMBER: u32;
    /// }
    ///
    /// // A spawned task does not inherit the value of a key without `#[inherited]`.
    /// let inherited = NUMBER.scope(7, async { redd::spawn(async { NUMBER.try_get() }).await });
    /// assert!(inherited.await.unwrap().is_err());
    /// # });
    /// ```
    pub fn try_get(&'static self) -> Result<T, AccessError> {
        self.try_with(T::clone)
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("LocalKey { .. }")
    }
}

/// Swaps the value out of the slot when the scope ends, also by a panic (`swapped-back`).
struct SwapBack<'a, T: 'static> {
    key: &'static LocalKey<T>,
    value: &'a mut Option<T>,
}

impl<T: 'static> Drop for SwapBack<'_, T> {
    fn drop(&mut self) {
        // It cannot fail: the slot existed when we entered, and every borrow of it ended inside the scope. If the slot is
        // gone all the same, the thread is ending, and no code can read it any more.
        let _ = self.key.swap(self.value);
    }
}

/// The value of a key that a task has inherited.
struct InheritedLocal<T: 'static> {
    key: &'static LocalKey<T>,
    value: Option<T>,
}

impl<T: Send> InheritedValue for InheritedLocal<T> {
    fn swap(&mut self) -> Result<(), &'static str> {
        self.key.swap(&mut self.value)
    }
}

/// Clones the value that an inherited key has on this thread. For the expansion of `task_local!` only.
#[doc(hidden)]
pub fn inherit<T>(key: &'static LocalKey<T>) -> Option<Box<dyn InheritedValue>>
where
    T: Clone + Send + 'static,
{
    let value = key.try_get().ok()?;
    Some(Box::new(InheritedLocal { key, value: Some(value) }))
}

/// The reasons why a scope cannot be entered.
const BORROWED: &str = "a task-local scope was entered while a `with` of the same key was looking at the value it would \
                        replace. End the `with` first, for example by cloning the value: `KEY.get()`.";
const DESTROYED: &str = "a task-local scope was entered on a thread that is ending, whose thread-locals are gone. Do not \
                         poll tasks from destructors of thread-locals.";

pin_project! {
    /// A future that runs with a task-local value set. Created by [`LocalKey::scope`].
    pub struct TaskLocalFuture<T, F>
    where
        T: 'static,
    {
        key: &'static LocalKey<T>,
        value: Option<T>,
        #[pin]
        future: Option<F>,
        // As in Tokio: a later version may hold a pinned value without breaking programs.
        #[pin]
        _pinned: PhantomPinned,
    }

    impl<T: 'static, F> PinnedDrop for TaskLocalFuture<T, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if std::mem::needs_drop::<F>() && this.future.is_some() {
                // `dropped-inside`, if there is a slot. Otherwise the future is dropped with the other fields.
                let _ = this.key.enter(this.value, || this.future.set(None));
            }
        }
    }
}

impl<T: 'static, F> TaskLocalFuture<T, F> {
    /// Takes the value out, for example when the future has completed. Returns `None` if it was taken before.
    ///
    /// If the future is polled afterwards, it runs without a value.
    ///
    /// # Examples
    /// ```
    /// redd::task_local! {
    ///     static NAME: String;
    /// }
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut greeting = Box::pin(NAME.scope("Ada".to_owned(), async { NAME.with(String::len) }));
    /// assert_eq!(greeting.as_mut().await, 3);
    /// assert_eq!(greeting.as_mut().take_value().as_deref(), Some("Ada"));
    /// # });
    /// ```
    pub fn take_value(self: Pin<&mut Self>) -> Option<T> {
        self.project().value.take()
    }
}

impl<T: 'static, F: Future> Future for TaskLocalFuture<T, F> {
    type Output = F::Output;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let polled = this.key.enter(this.value, || {
            let poll = this.future.as_mut().as_pin_mut()?.poll(cx);
            if poll.is_ready() {
                this.future.set(None);
            }
            Some(poll)
        });
        match polled {
            Ok(Some(poll)) => poll,
            Ok(None) => panic!(
                "a `TaskLocalFuture` was polled again after it had completed. Await it once, or `fuse` it before polling \
                 it in a loop."
            ),
            Err(reason) => panic!("{reason}"),
        }
    }
}

// Not the future: most have no `Debug`.
debug_struct!([T: fmt::Debug + 'static, F] TaskLocalFuture<T, F> as "TaskLocalFuture", self => {
    value: self.value,
    ..
});

/// The error of [`LocalKey::try_with`]: the caller is outside of any scope of the key.
///
/// # Examples
/// ```
/// redd::task_local! {
///     static NUMBER: u32;
/// }
///
/// let error = NUMBER.try_get().unwrap_err();
/// assert!(error.to_string().starts_with("task-local value not set"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AccessError {
    _private: (),
}

debug_struct!([] AccessError as "AccessError", self => {});

error_texts! {
    [] AccessError,
    _ => "task-local value not set: it was read outside of any scope of its key. Set it first: \
          `KEY.scope(value, future).await`; a spawned task needs a scope of its own.",
}
