//! Why a task of a group has no output.
//!
//! Called by user code. Made by `group_results`.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::Arc;

use super::scope::Reason;
use crate::task::{Id, JoinError};

/// The error of a group's task that has no output: it panicked, or it was cancelled.
///
/// It names the task: its id, the name of its group, and the line that spawned it. It converts to an [`io::Error`].
///
/// # Examples
/// ```
/// use redd::group::TaskGroup;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let group = TaskGroup::<()>::builder().name("eggs").start();
/// group.spawn(async { panic!("no more eggs") });
/// let error = group.close().await.unwrap_err();
/// assert!(error.is_panic());
/// assert_eq!(error.name(), Some("eggs"));
/// assert!(error.to_string().ends_with("panicked with message \"no more eggs\""));
/// # });
/// ```
pub struct TaskError(Box<Details>);

/// On the heap, so that the result of a task that ends well stays small.
struct Details {
    id: Id,
    name: Option<Arc<str>>,
    spawned_at: &'static Location<'static>,
    cause: Cause,
}

enum Cause {
    Panicked(JoinError),
    Cancelled(Reason),
}

impl TaskError {
    pub(super) fn panicked(error: JoinError, name: Option<Arc<str>>, spawned_at: &'static Location<'static>) -> Self {
        Self(Box::new(Details { id: error.id(), name, spawned_at, cause: Cause::Panicked(error) }))
    }

    pub(super) fn cancelled(
        id: Id,
        reason: Reason,
        name: Option<Arc<str>>,
        spawned_at: &'static Location<'static>,
    ) -> Self {
        Self(Box::new(Details { id, name, spawned_at, cause: Cause::Cancelled(reason) }))
    }

    /// Returns the id of the task.
    pub fn id(&self) -> Id {
        self.0.id
    }

    /// Returns the name of the task's group, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Returns the line that spawned the task.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.0.spawned_at
    }

    /// Returns whether the task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.0.cause, Cause::Panicked(_))
    }

    /// Returns whether the task was cancelled. [`reason`](Self::reason) returns why.
    pub fn is_cancelled(&self) -> bool {
        !self.is_panic()
    }

    /// Returns whether the task was cancelled because the time of its group was over.
    pub fn is_deadline(&self) -> bool {
        self.reason() == Some(&Reason::Deadline)
    }

    /// Returns why the task was cancelled. `None` if it panicked.
    pub fn reason(&self) -> Option<&Reason> {
        match &self.0.cause {
            Cause::Cancelled(reason) => Some(reason),
            Cause::Panicked(_) => None,
        }
    }

    /// Returns the panic's payload, for [`std::panic::resume_unwind`].
    ///
    /// # Errors
    /// Returns the error itself if the task was cancelled.
    ///
    /// # Examples
    /// ```
    /// use redd::group::TaskGroup;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let group = TaskGroup::<()>::new();
    /// group.spawn(async { panic!("a bug") });
    /// let payload = group.next().await.unwrap().unwrap_err().try_into_panic().unwrap();
    /// assert_eq!(payload.downcast_ref(), Some(&"a bug"));
    /// # });
    /// ```
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send + 'static>, Self> {
        let Details { id, name, spawned_at, cause } = *self.0;
        match cause {
            Cause::Panicked(error) => error.try_into_panic().map_err(|error| Self::panicked(error, name, spawned_at)),
            Cause::Cancelled(reason) => Err(Self::cancelled(id, reason, name, spawned_at)),
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { id, name, spawned_at, cause } = &*self.0;
        write!(f, "task {id}")?;
        if let Some(name) = name {
            write!(f, " `{name}`")?;
        }
        write!(f, " (spawned at {spawned_at}) ")?;
        match cause {
            Cause::Cancelled(reason) => write!(f, "was cancelled: {reason}"),
            Cause::Panicked(error) => error.with_message(|message| match message {
                Some(text) => write!(f, "panicked with message {text:?}"),
                None => f.write_str("panicked"),
            }),
        }
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskError({self})")
    }
}

impl std::error::Error for TaskError {}

impl From<TaskError> for io::Error {
    fn from(error: TaskError) -> Self {
        let kind = if error.is_deadline() { io::ErrorKind::TimedOut } else { io::ErrorKind::Other };
        Self::new(kind, error)
    }
}

/// The error of [`TaskGroup::try_close`](super::TaskGroup::try_close): the first failure of the group.
///
/// If the tasks return an [`io::Result`], it converts to an [`io::Error`], so that `?` returns it from such a function:
/// ```
/// use redd::group::TaskGroup;
/// use std::io;
///
/// async fn read(paths: Vec<String>) -> io::Result<Vec<Vec<u8>>> {
///     let files = TaskGroup::limit(4).start();
///     for path in paths {
///         files.spawn(redd::fs::read(path));
///     }
///     Ok(files.try_close().await?)
/// }
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let error = read(vec!["/no/such/file".to_owned()]).await.unwrap_err();
/// assert_eq!(error.kind(), io::ErrorKind::NotFound);
/// # });
/// ```
///
/// # Examples
/// ```
/// use redd::group::{GroupError, OnError, TaskGroup};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let group = TaskGroup::builder().on_error(OnError::CancelOthers).start();
/// group.spawn(async { "7".parse::<u32>() });
/// group.spawn(async { "seven".parse::<u32>() });
/// match group.try_close().await {
///     Err(GroupError::Failed(error)) => assert_eq!(error.to_string(), "invalid digit found in string"),
///     other => panic!("{other:?}"),
/// }
/// # });
/// ```
#[derive(Debug)]
pub enum GroupError<E> {
    /// A task returned this error.
    Failed(E),
    /// A task panicked or was cancelled.
    Task(TaskError),
}

impl<E: fmt::Display> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Task(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error> std::error::Error for GroupError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error) => error.source(),
            Self::Task(_) => None,
        }
    }
}

impl From<GroupError<Self>> for io::Error {
    /// Returns the error of the task, or the [`TaskError`] as an error.
    fn from(error: GroupError<Self>) -> Self {
        match error {
            GroupError::Failed(error) => error,
            GroupError::Task(error) => error.into(),
        }
    }
}
