//! The builder of a `TaskGroup`.
//!
//! Called by user code.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::group_state::Options;
use super::phases::Phases;

/// What happens to the other tasks of a group when one fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// They are cancelled, with [`Reason::SiblingFailed`](super::Reason::SiblingFailed).
    CancelOthers,
    /// They go on.
    KeepGoing,
}

/// Configures a [`TaskGroup`](super::TaskGroup). Made by `TaskGroup::builder`, `TaskGroup::limit` and `TaskGroup::discarding`.
///
/// # Examples
/// ```
/// use redd::group::{OnError, TaskGroup};
/// use redd::time::Duration;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let group = TaskGroup::limit(16)
///     .name("downloads")
///     .deadline(Duration::from_secs(30))
///     .grace(Duration::from_secs(1))
///     .on_error(OnError::CancelOthers)
///     .start();
/// group.spawn(async { std::fs::read("/dev/null") });
/// assert_eq!(group.try_close().await.unwrap(), [[0; 0]]);
/// # });
/// ```
#[must_use = "no group is started until `start` is called"]
pub struct TaskGroupBuilder<T> {
    pub(super) options: Options<T>,
}

impl<T> TaskGroupBuilder<T> {
    pub(super) fn new() -> Self {
        let options = Options {
            limit: usize::MAX,
            deadline: None,
            grace: Duration::ZERO,
            cancels_on_panic: false,
            cancels_on_error: false,
            is_error: None,
            discards: false,
            child_of: None,
            name: None,
            in_phase: None,
            inherits_span: None,
        };
        Self { options }
    }

    /// It is the run of this child of a supervisor.
    pub(super) fn child_of(mut self, supervisor: usize, index: usize) -> Self {
        self.options.child_of = Some((supervisor, index));
        self
    }

    /// Runs at most `tasks` tasks at a time; see [`TaskGroup::limit`](super::TaskGroup::limit).
    ///
    /// # Panics
    /// Panics if `tasks` is 0.
    #[track_caller]
    pub fn limit(mut self, tasks: usize) -> Self {
        assert!(tasks > 0, "a `TaskGroup` with a limit of 0 would never run a task. Use a limit of at least 1.");
        self.options.limit = tasks;
        self
    }

    /// Cancels the tasks with [`Reason::Deadline`](super::Reason::Deadline) when the group is this old.
    ///
    /// Shields and clean-ups have their own times, which count extra.
    ///
    /// # Examples
    /// ```
    /// use redd::group::TaskGroup;
    /// use redd::time::{Duration, sleep};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let group = TaskGroup::builder().deadline(Duration::from_secs(2)).start();
    /// for seconds in [1, 3] {
    ///     group.spawn(async move {
    ///         sleep(Duration::from_secs(seconds)).await;
    ///         seconds
    ///     });
    /// }
    /// assert_eq!(group.next().await.unwrap().unwrap(), 1);
    /// assert!(group.next().await.unwrap().unwrap_err().is_deadline());
    /// # });
    /// ```
    pub fn deadline(mut self, within: Duration) -> Self {
        self.options.deadline = Some(within);
        self
    }

    /// Lets the tasks go on for this time after a cancellation, so that they can end by themselves. Zero by default.
    ///
    /// They learn of it by [`cancelled`](super::cancelled) and [`is_cancelled`](super::is_cancelled). There is no grace period when
    /// the group is dropped.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.options.grace = grace;
        self
    }

    /// What happens to the other tasks when one panics. The default is [`OnError::KeepGoing`].
    ///
    /// # Examples
    /// ```
    /// use redd::group::{OnError, TaskGroup};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let group = TaskGroup::<()>::builder().on_panic(OnError::CancelOthers).start();
    /// group.spawn(async { panic!("a bug") });
    /// group.spawn(std::future::pending());
    /// assert!(group.close().await.unwrap_err().is_panic());
    /// # });
    /// ```
    pub fn on_panic(mut self, on_panic: OnError) -> Self {
        self.options.cancels_on_panic = on_panic == OnError::CancelOthers;
        self
    }

    /// The tasks of the group end in this phase of a shutdown: the phase waits for them, and cancels them when its time is over.
    ///
    /// If the phase is over when the group is started, the group is cancelled at once, with
    /// [`Reason::Phase`](super::Reason::Phase). [`Phases`] has the details.
    ///
    /// # Panics
    /// Panics if there is no phase with this name.
    ///
    /// # Examples
    /// ```
    /// use redd::group::{Phases, Reason, TaskGroup};
    /// use redd::time::{Duration, sleep};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let phases = Phases::new().then("requests", Duration::from_secs(20));
    /// let requests = TaskGroup::builder().in_phase(&phases, "requests").start();
    /// for seconds in [10, 30] {
    ///     requests.spawn(sleep(Duration::from_secs(seconds)));
    /// }
    /// phases.start("shutdown");
    /// assert!(requests.next().await.unwrap().is_ok());
    /// let error = requests.next().await.unwrap().unwrap_err();
    /// assert_eq!(error.reason(), Some(&Reason::Phase("requests".into())));
    /// # });
    /// ```
    #[track_caller]
    pub fn in_phase(mut self, phases: &Phases, phase: &str) -> Self {
        self.options.in_phase = Some(phases.place_of_group(phase));
        self
    }

    /// Runs the tasks, closures and clean-ups of the group inside of the `tracing` span that is current where they are spawned or
    /// deferred, or not, whatever [`Builder::inherit_span`](crate::runtime::Builder::inherit_span) says.
    ///
    /// Only with the feature `tracing`.
    ///
    /// # Examples
    /// ```
    /// use redd::group::TaskGroup;
    /// use tracing::{Span, info_span};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let group = TaskGroup::builder().inherit_span(true).start();
    /// info_span!("request").in_scope(|| group.spawn(async { Span::current().is_none() }));
    /// // A program with a subscriber would see `request` inside of the task.
    /// assert_eq!(group.close().await.unwrap(), [true]);
    /// # });
    /// ```
    #[cfg(feature = "tracing")]
    pub fn inherit_span(mut self, inherits: bool) -> Self {
        self.options.inherits_span = Some(inherits);
        self
    }

    /// Gives the group and its tasks a name, for dumps and errors.
    ///
    /// Each task carries it, which costs a little more for each spawn.
    pub fn name(mut self, name: &str) -> Self {
        self.options.name = Some(Arc::from(name));
        self
    }
}

impl<V, E> TaskGroupBuilder<Result<V, E>> {
    /// What happens to the other tasks when one panics or returns an `Err`. The default is [`OnError::KeepGoing`].
    ///
    /// # Examples
    /// ```
    /// use redd::group::{OnError, TaskGroup};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let group = TaskGroup::<Result<(), &str>>::builder().on_error(OnError::CancelOthers).start();
    /// group.spawn(async { Err("refused") });
    /// group.spawn(std::future::pending());
    /// assert_eq!(group.close().await.unwrap(), [Err("refused")]);
    /// # });
    /// ```
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.options.is_error = Some(Result::is_err);
        self.options.cancels_on_error = on_error == OnError::CancelOthers;
        self.on_panic(on_error)
    }
}

impl<T: NoValue> TaskGroupBuilder<T> {
    /// Keeps no results; see [`TaskGroup::discarding`](super::TaskGroup::discarding).
    ///
    /// At most one failure is kept, the first one: an `Err`, a panic or a cancellation. An `Err` or a panic takes the place of a
    /// cancellation. Further `Err`s are dropped.
    ///
    /// # Examples
    /// ```
    /// use redd::group::{GroupError, TaskGroup};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let group = TaskGroup::builder().discarding().start();
    /// for number in 0..100 {
    ///     group.spawn(async move { if number == 50 { Err("fifty") } else { Ok(()) } });
    /// }
    /// assert!(matches!(group.try_close().await, Err(GroupError::Failed("fifty"))));
    /// # });
    /// ```
    pub fn discarding(mut self) -> Self {
        self.options.is_error = Some(T::is_error);
        self.options.discards = true;
        self
    }
}

/// What the tasks of a group return that keeps no results: `()` or `Result<(), E>`.
pub trait NoValue: sealed::Sealed {
    #[doc(hidden)]
    fn is_error(&self) -> bool;
}

impl NoValue for () {
    fn is_error(&self) -> bool {
        false
    }
}

impl<E> NoValue for Result<(), E> {
    fn is_error(&self) -> bool {
        self.is_err()
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl<E> Sealed for Result<(), E> {}
}

impl<T> fmt::Debug for TaskGroupBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { limit, deadline, grace, name, .. } = &self.options;
        let limit = Some(limit).filter(|limit| **limit < usize::MAX);
        f.debug_struct("TaskGroupBuilder")
            .field("limit", &limit)
            .field("deadline", deadline)
            .field("grace", grace)
            .field("name", name)
            .finish_non_exhaustive()
    }
}
