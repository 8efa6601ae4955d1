//! `Supervisor`: tasks that are started again when they fail.
//!
//! Called by user code. Each run of a child is a `TaskGroup` with one task, so what the child has started ends with it.
//!
//! # Invariants
//! - `stopped-in-reverse`: children are started in the order in which they were added, and stopped in the reverse order, one
//!   after the other.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use super::scope::{cancelled, is_cancelled};
use super::supervised::{Supervised, SupervisedStage};
use super::task_error::TaskError;
use super::task_group::TaskGroup;
use crate::current;
use crate::observe::waiting::located;
use crate::primitives::count::Count;
use crate::time::{Instant, sleep_until};

type RestartHook = Box<dyn FnMut(&Restart<'_>) + Send>;
type Run = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Runs tasks that do not end, and starts them again when they fail.
///
/// - A child that returns `()` or `Ok(())` is done. When all are done, [`run`](Self::run) returns.
/// - A child that panics, or returns an `Err`, has failed. It is started again after a [back-off](Self::backoff), and with it,
///   depending on the strategy, other children.
/// - Too many failures in a short time end the supervisor: see [`intensity`](Self::intensity).
/// - Children are stopped in the reverse order of their starts, one after the other. A child learns of it by
///   [`cancelled`](super::cancelled), and is dropped when [its time](Self::stop_within) is over.
///
/// Dropping the future of `run` drops all children. Inside of a [`TaskGroup`], the children are cancelled with the group, and none
/// is started again.
///
/// # Examples
/// ```
/// use redd::group::Supervisor;
/// use redd::time::Duration;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let runs = Arc::new(AtomicU32::new(0));
/// let counted = Arc::clone(&runs);
/// let supervisor = Supervisor::one_for_one()
///     .intensity(3, Duration::from_secs(5))
///     .backoff(Duration::from_millis(100)..Duration::from_secs(10))
///     .child("ingest", move || {
///         let run = counted.fetch_add(1, Ordering::Relaxed);
///         async move { if run < 2 { Err("the connection is lost") } else { Ok(()) } }
///     });
/// supervisor.run().await.unwrap();
/// assert_eq!(runs.load(Ordering::Relaxed), 3);
/// # });
/// ```
#[must_use = "nothing is started until `run` is awaited"]
pub struct Supervisor {
    strategy: Strategy,
    restarts_max: usize,
    within: Duration,
    backoff: Range<Duration>,
    children: Vec<Child>,
    on_restart: Option<RestartHook>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strategy {
    OneForOne,
    OneForAll,
    RestForOne,
}

impl Strategy {
    /// The function that makes such a supervisor.
    fn name(self) -> &'static str {
        match self {
            Self::OneForOne => "one_for_one",
            Self::OneForAll => "one_for_all",
            Self::RestForOne => "rest_for_one",
        }
    }
}

struct Child {
    name: String,
    start: Box<dyn FnMut() -> Run + Send>,
    stop_within: Duration,
    location: &'static Location<'static>,
    /// The address of the running supervisor, and the index of the child.
    run_of: (usize, usize),
    stage: ChildStage,
    /// How often it has failed since it last ran for long.
    failures: u32,
    started_at: Option<Instant>,
}

enum ChildStage {
    Running(TaskGroup<Result<(), String>>),
    /// It is started at this time.
    Waiting(Instant),
    Done,
}

/// A restart, as the hook of [`Supervisor::on_restart`] gets it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Restart<'a> {
    /// The name of the child that has failed.
    pub child: &'a str,
    /// Why it failed.
    pub failure: &'a str,
    /// After this time it is started again.
    pub delay: Duration,
}

/// The error of [`Supervisor::run`]: a child has failed too often. All children are stopped.
///
/// # Examples
/// ```
/// use redd::group::Supervisor;
/// use redd::time::Duration;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let supervisor = Supervisor::one_for_one().intensity(3, Duration::from_secs(60)).child("flush", || async {
///     if !std::path::Path::new("/no/such/disk").exists() {
///         panic!("the disk is gone");
///     }
/// });
/// let exhausted = supervisor.run().await.unwrap_err();
/// assert_eq!((exhausted.child(), exhausted.restarts()), ("flush", 3));
/// assert!(exhausted.last().contains("the disk is gone"));
/// # });
/// ```
#[derive(Debug)]
pub struct Exhausted {
    child: String,
    last: String,
    restarts: usize,
    within: Duration,
}

impl Exhausted {
    /// Returns the name of the child that failed last.
    pub fn child(&self) -> &str {
        &self.child
    }

    /// Returns its failure: the text of its error, or that of its panic.
    pub fn last(&self) -> &str {
        &self.last
    }

    /// Returns how many restarts there were in the time that [`Supervisor::intensity`] sets.
    pub fn restarts(&self) -> usize {
        self.restarts
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { child, last, restarts, within } = self;
        let restarts = Count(*restarts as u64, "restart", "restarts");
        write!(f, "child `{child}` failed again after {restarts} within {within:?}: {last}")
    }
}

impl std::error::Error for Exhausted {}

/// What a child of a [`Supervisor`] returns: `()`, or a `Result<(), E>` whose error can be printed.
#[diagnostic::on_unimplemented(
    message = "a child of a supervisor returns `()` or `Result<(), E>`, not `{Self}`",
    note = "the error implements `Display`, `Send` and `'static`"
)]
pub trait ChildOutput: Send + 'static {
    #[doc(hidden)]
    fn into_result(self) -> Result<(), String>;
}

impl ChildOutput for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: fmt::Display + Send + 'static> ChildOutput for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

impl Supervisor {
    fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            restarts_max: 1,
            within: Duration::from_secs(5),
            backoff: Duration::from_millis(100)..Duration::from_secs(10),
            children: Vec::new(),
            on_restart: None,
        }
    }

    /// Starts only the child again that has failed.
    pub fn one_for_one() -> Self {
        Self::new(Strategy::OneForOne)
    }

    /// Stops all children when one fails, and starts all of them again.
    pub fn one_for_all() -> Self {
        Self::new(Strategy::OneForAll)
    }

    /// Stops the children that were added after the one that fails, and starts it and them again.
    pub fn rest_for_one() -> Self {
        Self::new(Strategy::RestForOne)
    }

    /// Ends the supervisor with [`Exhausted`] when there would be more than `restarts` restarts `within` a time.
    ///
    /// The default is one restart in 5 seconds.
    pub fn intensity(mut self, restarts: usize, within: Duration) -> Self {
        (self.restarts_max, self.within) = (restarts, within);
        self
    }

    /// The time from a failure to the restart: at first `range.start`, twice as long for each further failure of the child, up to
    /// `range.end`. Each is shortened at random by up to a half, so that many children do not start at the same moment.
    ///
    /// The count begins anew when the child has run for `range.end`. The default is 100 ms to 10 s.
    pub fn backoff(mut self, range: Range<Duration>) -> Self {
        self.backoff = range;
        self
    }

    /// Adds a child. `start` makes its future, once for each run. A panic in `start` counts as one of the child.
    #[track_caller]
    pub fn child<S, F>(mut self, name: &str, mut start: S) -> Self
    where
        S: FnMut() -> F + Send + 'static,
        F: Future + Send + 'static,
        F::Output: ChildOutput,
    {
        let start = Box::new(move || {
            let run = start();
            Box::pin(async move { run.await.into_result() }) as Run
        });
        self.children.push(Child {
            name: name.to_owned(),
            start,
            stop_within: Duration::ZERO,
            location: Location::caller(),
            run_of: (0, 0),
            stage: ChildStage::Done,
            failures: 0,
            started_at: None,
        });
        self
    }

    /// The time that the child that was added last may take to stop by itself. Zero by default: it is dropped at its next
    /// `.await`.
    ///
    /// # Panics
    /// Panics if no child was added.
    #[track_caller]
    pub fn stop_within(mut self, time: Duration) -> Self {
        let Some(child) = self.children.last_mut() else {
            panic!(
                "`Supervisor::stop_within` is for the child that was added last, and there is none. Call `child` first."
            )
        };
        child.stop_within = time;
        self
    }

    /// Calls `hook` for each restart, for example to count it.
    pub fn on_restart(mut self, hook: impl FnMut(&Restart<'_>) + Send + 'static) -> Self {
        self.on_restart = Some(Box::new(hook));
        self
    }

    /// Runs the children until all of them are done.
    ///
    /// # Errors
    /// Returns [`Exhausted`] if a child fails too often. The other children are stopped then.
    ///
    /// # Panics
    /// The future panics outside of a runtime, and in one that was built without `enable_time`.
    #[track_caller]
    pub fn run(self) -> impl Future<Output = Result<(), Exhausted>> + Send {
        self.run_until(std::future::pending::<()>())
    }

    /// As [`run`](Self::run), until `stop` completes. Then the children are stopped.
    ///
    /// # Errors
    /// As for `run`.
    ///
    /// # Panics
    /// As for `run`.
    ///
    /// # Examples
    /// ```
    /// use redd::group::{self, Supervisor};
    /// use redd::time::{Duration, sleep};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let (sender, mut receiver) = redd::sync::mpsc::unbounded_channel();
    /// let (first, second) = (sender.clone(), sender);
    /// let supervisor = Supervisor::one_for_one()
    ///     .child("store", move || {
    ///         let sender = first.clone();
    ///         async move {
    ///             group::cancelled().await;
    ///             sender.send("store closed").unwrap();
    ///         }
    ///     })
    ///     .stop_within(Duration::from_secs(5))
    ///     .child("server", move || {
    ///         let sender = second.clone();
    ///         async move {
    ///             group::cancelled().await;
    ///             sleep(Duration::from_secs(1)).await;
    ///             sender.send("server closed").unwrap();
    ///         }
    ///     })
    ///     .stop_within(Duration::from_secs(5));
    /// supervisor.run_until(sleep(Duration::from_secs(60))).await.unwrap();
    /// assert_eq!(receiver.recv().await, Some("server closed"));
    /// assert_eq!(receiver.recv().await, Some("store closed"));
    /// # });
    /// ```
    #[track_caller]
    pub fn run_until<F>(self, stop: F) -> impl Future<Output = Result<(), Exhausted>> + Send + use<F>
    where
        F: Future + Send,
    {
        located(self.supervise(stop, Location::caller()))
    }

    async fn supervise(
        mut self,
        stop: impl Future + Send,
        run_at: &'static Location<'static>,
    ) -> Result<(), Exhausted> {
        let mut stop = pin!(stop);
        let names = self.children.iter().map(|child| child.name.as_str());
        let shown = Supervised::begin(self.strategy.name(), run_at, names);
        (0..).zip(&mut self.children).for_each(|(index, child)| child.run_of = (shown.address(), index));
        let mut failures: VecDeque<Instant> = VecDeque::new();
        self.children.iter_mut().for_each(Child::start);
        loop {
            if self.children.iter().all(|child| matches!(child.stage, ChildStage::Done)) {
                return Ok(());
            }
            shown.set_stages(self.children.iter().map(Child::stage));
            let event = next_event(&mut self.children, stop.as_mut()).await;
            let (index, failure) = match event {
                Event::Stop => {
                    stop_all(&mut self.children).await;
                    return Ok(());
                }
                Event::Due => {
                    let now = Instant::now();
                    let due = |child: &Child| matches!(child.stage, ChildStage::Waiting(at) if at <= now);
                    for (index, child) in (0..).zip(&mut self.children).filter(|(_, child)| due(child)) {
                        child.start();
                        shown.add_restart(index);
                    }
                    continue;
                }
                Event::Ended(index, Ok(())) => {
                    self.children[index].stage = ChildStage::Done;
                    continue;
                }
                Event::Ended(index, Err(failure)) => (index, failure),
            };
            shown.add_failure(index, &failure);
            let now = Instant::now();
            forget_older(&mut failures, now, self.within);
            if failures.len() >= self.restarts_max {
                self.children[index].stage = ChildStage::Done;
                stop_all(&mut self.children).await;
                let child = self.children[index].name.clone();
                return Err(Exhausted { child, last: failure, restarts: failures.len(), within: self.within });
            }
            failures.push_back(now);
            let delay = self.children[index].delay(&self.backoff, now);
            if let Some(hook) = &mut self.on_restart {
                hook(&Restart { child: &self.children[index].name, failure: &failure, delay });
            }
            let due = now.after_or_never(delay);
            self.children[index].stage = ChildStage::Waiting(due);
            shown.set_stages(self.children.iter().map(Child::stage));
            self.stop_for_restart(index, due).await;
        }
    }

    /// Stops what the strategy restarts together with a child that has failed. None starts before `due`.
    async fn stop_for_restart(&mut self, failed: usize, due: Instant) {
        let affected = match self.strategy {
            Strategy::OneForOne => failed..failed + 1,
            Strategy::OneForAll => 0..self.children.len(),
            Strategy::RestForOne => failed..self.children.len(),
        };
        let affected = &mut self.children[affected];
        let was_done: Vec<_> = affected.iter().map(|child| matches!(child.stage, ChildStage::Done)).collect();
        stop_all(affected).await;
        let start_at = Instant::now().max(due);
        for (child, was_done) in affected.iter_mut().zip(was_done) {
            if !was_done {
                child.stage = ChildStage::Waiting(start_at);
            }
        }
    }
}

/// Forgets the failures that were not within this time.
fn forget_older(failures: &mut VecDeque<Instant>, now: Instant, within: Duration) {
    while failures.front().is_some_and(|failed_at| now.duration_since(*failed_at) >= within) {
        failures.pop_front();
    }
}

enum Event {
    Stop,
    /// A child is to be started.
    Due,
    Ended(usize, Result<(), String>),
}

/// Waits for the first event.
async fn next_event(children: &mut [Child], mut stop: Pin<&mut impl Future>) -> Event {
    let due = children.iter().filter_map(|child| match child.stage {
        ChildStage::Waiting(at) => Some(at),
        ChildStage::Running(_) | ChildStage::Done => None,
    });
    let mut timer = due.min().map(|at| Box::pin(sleep_until(at)));
    // The children are cancelled together with the group around them. None is started again.
    let mut cancelled = pin!(cancelled());
    let mut ends: Vec<_> = children
        .iter()
        .enumerate()
        .filter_map(|(index, child)| match &child.stage {
            ChildStage::Running(group) => Some((index, Box::pin(group.next()))),
            ChildStage::Waiting(_) | ChildStage::Done => None,
        })
        .collect();
    let event = poll_fn(|cx| {
        if stop.as_mut().poll(cx).is_ready() || cancelled.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Event::Stop);
        }
        for (index, end) in &mut ends {
            if let Poll::Ready(result) = end.as_mut().poll(cx) {
                if is_cancelled() {
                    // Since the look above, and it may be why the child has ended.
                    return Poll::Ready(Event::Stop);
                }
                let result = match result {
                    Some(Ok(result)) => result,
                    Some(Err(error)) => Err(describe(error)),
                    None => Ok(()),
                };
                return Poll::Ready(Event::Ended(*index, result));
            }
        }
        match timer.as_mut().map(|timer| timer.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(Event::Due),
            Some(Poll::Pending) | None => Poll::Pending,
        }
    });
    event.await
}

fn describe(error: TaskError) -> String {
    error.to_string()
}

/// Stops the children that run (`stopped-in-reverse`). They are done then.
async fn stop_all(children: &mut [Child]) {
    for child in children.iter_mut().rev() {
        if let ChildStage::Running(group) = std::mem::replace(&mut child.stage, ChildStage::Done) {
            group.cancel("its supervisor stops it");
            // How it ends is of no interest any more.
            let _ = group.close().await;
        }
    }
}

impl Child {
    fn start(&mut self) {
        let (supervisor, index) = self.run_of;
        let builder = TaskGroup::builder().child_of(supervisor, index);
        let group = builder.name(&self.name).grace(self.stop_within).start_at(self.location);
        let run = catch_unwind(AssertUnwindSafe(|| (self.start)()));
        // A panic there counts as one of the child.
        let run = run.unwrap_or_else(|payload| Box::pin(async move { resume_unwind(payload) }));
        group.spawn_at(run, self.location);
        self.started_at = Some(Instant::now());
        self.stage = ChildStage::Running(group);
    }

    /// What dumps show of its stage.
    fn stage(&self) -> SupervisedStage {
        match self.stage {
            ChildStage::Running(_) => SupervisedStage::Running,
            ChildStage::Waiting(at) => SupervisedStage::Waiting(at.into_std()),
            ChildStage::Done => SupervisedStage::Done,
        }
    }

    /// The time until it is started again, after a failure now.
    fn delay(&mut self, backoff: &Range<Duration>, now: Instant) -> Duration {
        if self.started_at.is_some_and(|started_at| now.duration_since(started_at) >= backoff.end) {
            self.failures = 0;
        }
        let doubled = backoff.start.saturating_mul(1 << self.failures.min(30)).min(backoff.end);
        self.failures += 1;
        let (half, parts) = (doubled / 2, 1 << 16);
        half + half.saturating_mul(current::random_below(parts)) / parts
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let children: Vec<_> = self.children.iter().map(|child| &child.name).collect();
        f.debug_struct("Supervisor")
            .field("strategy", &self.strategy)
            .field("children", &children)
            .finish_non_exhaustive()
    }
}
