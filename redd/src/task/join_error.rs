//! `JoinError`: why a task has no output.
//!
//! Called by user code. Made by `cell` (a panic, a cancellation) and by `group::join_set`.

use std::any::Any;
use std::fmt;
use std::io;

use super::id::Id;

/// The error of a task that has no output: it was aborted, or it panicked.
///
/// It converts to an [`io::Error`], so `?` works in functions that return `io::Result`.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let panicked = redd::spawn(async {
///     if true {
///         panic!("no more eggs");
///     }
/// });
/// let error = panicked.await.unwrap_err();
/// assert!(error.is_panic());
/// assert!(error.to_string().ends_with("panicked with message \"no more eggs\""));
/// # });
/// ```
pub struct JoinError {
    id: Id,
    reason: Reason,
}

enum Reason {
    Cancelled,
    /// The payload. The lock only makes the error `Sync`.
    Panic(std::sync::Mutex<Box<dyn Any + Send + 'static>>),
}

impl JoinError {
    pub(crate) fn cancelled(id: Id) -> Self {
        Self { id, reason: Reason::Cancelled }
    }

    pub(crate) fn panic(id: Id, payload: Box<dyn Any + Send + 'static>) -> Self {
        Self { id, reason: Reason::Panic(std::sync::Mutex::new(payload)) }
    }

    /// Returns whether the task was aborted, or its runtime was shut down.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::Runtime;
    ///
    /// let runtime = Runtime::new()?;
    /// let task = runtime.spawn(std::future::pending::<()>());
    /// drop(runtime);
    /// let error = Runtime::new()?.block_on(task).unwrap_err();
    /// assert!(error.is_cancelled());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_cancelled(&self) -> bool {
        matches!(self.reason, Reason::Cancelled)
    }

    /// Returns whether the task panicked.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let task = redd::spawn(async { assert_eq!(1 + 1, 3) });
    /// assert!(task.await.unwrap_err().is_panic());
    /// # });
    /// ```
    pub fn is_panic(&self) -> bool {
        matches!(self.reason, Reason::Panic(_))
    }

    /// Returns the panic's payload, for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    /// Panics if the task did not panic. Check [`is_panic`](Self::is_panic) first, or use
    /// [`try_into_panic`](Self::try_into_panic).
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let task = redd::spawn(async { panic!("a bug") });
    /// let payload = task.await.unwrap_err().into_panic();
    /// assert_eq!(payload.downcast_ref(), Some(&"a bug"));
    /// # });
    /// ```
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(error) => panic!(
                "`JoinError::into_panic` was called, but {error}. Check `is_panic` first, or use `try_into_panic`."
            ),
        }
    }

    /// Returns the panic's payload, if the task panicked.
    ///
    /// # Errors
    /// Returns the error itself if the task was cancelled.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let task = redd::spawn(std::future::pending::<()>());
    /// task.abort();
    /// match task.await.unwrap_err().try_into_panic() {
    ///     Ok(payload) => std::panic::resume_unwind(payload),
    ///     Err(error) => assert!(error.is_cancelled()),
    /// }
    /// # });
    /// ```
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send + 'static>, Self> {
        match self.reason {
            Reason::Panic(payload) => Ok(payload.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())),
            Reason::Cancelled => Err(self),
        }
    }

    /// Returns the id of the task.
    pub fn id(&self) -> Id {
        self.id
    }

    /// Calls `f` with the panic's message, if it is text.
    pub(crate) fn with_message<R>(&self, f: impl FnOnce(Option<&str>) -> R) -> R {
        let Reason::Panic(payload) = &self.reason else {
            return f(None);
        };
        let payload = payload.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let text = payload.downcast_ref::<String>().map(String::as_str);
        f(text.or_else(|| payload.downcast_ref::<&'static str>().copied()))
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
