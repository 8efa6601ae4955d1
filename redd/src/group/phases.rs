//! `Phases`: a shutdown in several steps, each with its time.
//!
//! Called by user code. `phases_core` has what the phases wait for, and `phases_drive` the task that goes through them.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::phases_core::{InPhase, PhasesCore};
use super::phases_drive::ensure_driven;
use super::phases_hold::Hold;
use super::phases_report::Report;
use super::scope::Reason;

/// A shutdown in phases, one after the other, each with a time of its own: for a service that ends without losing a request.
///
/// The program names the phases. What ends in a phase is told by [`TaskGroupBuilder::in_phase`](super::TaskGroupBuilder::in_phase)
/// for the tasks of a group, by [`wait_for`](Self::wait_for) for a future, and by [`hold`](Self::hold) for anything else.
///
/// - A phase is over when nothing is left in it, or when its time is over. Then the next one begins.
/// - When a phase begins, nothing is cancelled and nothing is refused: its tasks go on, and may spawn more. They learn of it by
///   [`reached`](Self::reached) and [`accepting`](Self::accepting).
/// - When a phase is over, its groups are cancelled with [`Reason::Phase`]. So a group that is started afterwards, and a task that is
///   spawned into an older one, end without being polled.
/// - A phase waits for the tasks of a group and for its [clean-ups](super::TaskGroup::defer), and for those of the groups that its
///   tasks have started and closed or dropped. A group that is open, but has none of these, does not count.
/// - When a group is cancelled, [shields](super::shield()), a [grace period](super::TaskGroupBuilder::grace) and clean-ups have their
///   own times, and the next phases do not wait for them. After the last phase they get what the phases have left of their
///   time together.
/// - A phase with a time of zero cancels its groups when it begins, on purpose: for loops that only have to stop.
/// - The whole shutdown takes at most the sum of the times, and 100 ms for cancelled tasks to be dropped.
///
/// It is a cheap handle: clones have the same phases. A task of the runtime named `phases` takes the shutdown from phase to phase.
/// So it goes on when futures of this type are dropped. It runs on the runtime in which a method of this type was called first. If that
/// runtime is shut down meanwhile, the phases end with it, and cancel nothing.
///
/// # Examples
/// ```
/// use redd::group::{Phases, TaskGroup};
/// use redd::time::{Duration, sleep};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let phases = Phases::new()
///     .then("requests", Duration::from_secs(20))
///     .then("background", Duration::from_secs(5));
///
/// let requests = TaskGroup::discarding().name("requests").in_phase(&phases, "requests").start();
/// requests.spawn(sleep(Duration::from_secs(2)));
/// let background = TaskGroup::discarding().name("background").in_phase(&phases, "background").start();
/// background.spawn(std::future::pending());
///
/// phases.start("the user has asked for it"); // Or `phases.on_signals()`.
/// let report = phases.finished().await;
/// assert_eq!(report.took().as_secs(), 2 + 5);
/// let left: Vec<_> = report.left().map(|left| left.name().unwrap()).collect();
/// assert_eq!(left, ["background"]);
/// # });
/// ```
#[derive(Clone)]
pub struct Phases {
    core: Arc<PhasesCore>,
}

impl Phases {
    /// Makes a shutdown without phases. Add them with [`then`](Self::then).
    #[expect(clippy::new_without_default, reason = "without phases it is not of use")]
    pub fn new() -> Self {
        Self { core: PhasesCore::new() }
    }

    /// Adds a phase after the others. It takes at most this time.
    ///
    /// # Panics
    /// Panics if there is a phase with this name, and after the start of the shutdown.
    ///
    /// # Examples
    /// ```
    /// use redd::group::Phases;
    /// use redd::time::Duration;
    ///
    /// let phases = Phases::new()
    ///     .then("accept", Duration::ZERO)
    ///     .then("requests", Duration::from_secs(20))
    ///     .then("flush", Duration::from_secs(2));
    /// assert!(!phases.is_started());
    /// ```
    #[track_caller]
    pub fn then(self, name: &str, within: Duration) -> Self {
        if let Err(why) = self.core.add(name, within) {
            panic!("`Phases::then` cannot add the phase `{name}`: {why}.");
        }
        self
    }

    /// Completes when the shutdown starts: for a server that should no longer accept connections.
    ///
    /// The future has the form that servers ask for, such as `with_graceful_shutdown` of axum.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Panics
    /// Panics if there is no phase.
    ///
    /// # Examples
    /// With axum it is
    /// ```text
    /// let server = axum::serve(listener, app).with_graceful_shutdown(phases.accepting());
    /// phases.wait_for("requests", "http", server).await
    /// ```
    /// and with a loop that accepts:
    /// ```
    /// use redd::group::Phases;
    /// use redd::net::{TcpListener, TcpStream};
    /// use redd::time::Duration;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let phases = Phases::new().then("requests", Duration::from_secs(20));
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let client = TcpStream::connect(listener.local_addr()?).await?;
    /// # let stopper = phases.clone();
    /// let mut accepting = std::pin::pin!(phases.accepting());
    /// let mut accepted = 0;
    /// loop {
    ///     redd::select! {
    ///         () = &mut accepting => break,
    ///         connection = listener.accept() => {
    ///             accepted += 1;
    /// #           stopper.start("shutdown");
    ///         }
    ///     }
    /// }
    /// assert_eq!(accepted, 1);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn accepting(&self) -> impl Future<Output = ()> + Send + use<> {
        self.assert_any("accepting");
        self.begun(0, Location::caller())
    }

    /// Completes when this phase begins.
    ///
    /// It also completes when the runtime that drives the phases is shut down before.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Panics
    /// Panics if there is no phase with this name.
    ///
    /// # Examples
    /// ```
    /// use redd::group::{Phases, Supervisor};
    /// use redd::time::{Duration, sleep};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let phases = Phases::new().then("requests", Duration::from_secs(20)).then("background", Duration::from_secs(5));
    /// let supervisor = Supervisor::one_for_one().child("ingest", || sleep(Duration::from_secs(3600)));
    /// let background = phases.wait_for("background", "supervisor", supervisor.run_until(phases.reached("background")));
    /// phases.start("shutdown");
    /// background.await.unwrap().unwrap();
    /// assert!(phases.finished().await.is_clean());
    /// # });
    /// ```
    #[track_caller]
    pub fn reached(&self, phase: &str) -> impl Future<Output = ()> + Send + use<> {
        self.begun(self.index("reached", phase), Location::caller())
    }

    fn begun(&self, index: usize, location: &'static Location<'static>) -> impl Future<Output = ()> + Send + use<> {
        let core = Arc::clone(&self.core);
        ensure_driven(&core);
        async move { core.wait_begun(index, Some(location)).await }
    }

    /// Runs a future that ends in this phase: the phase waits for it. `name` is for the report.
    ///
    /// It is for what is not a task of a group, such as a server, or the shutdown of a connection pool. The phase waits from this call
    /// on, also if the returned future is not polled; if that is dropped, it does not wait any more.
    ///
    /// # Errors
    /// Returns [`Reason::Phase`] if the phase was over before the future has completed. It is dropped then. If the phase was over before
    /// this call, the future is not polled.
    ///
    /// # Cancel safety
    /// As that of the future.
    ///
    /// # Panics
    /// Panics if there is no phase with this name.
    ///
    /// # Examples
    /// ```
    /// use redd::group::Phases;
    /// use redd::time::{Duration, sleep};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let phases = Phases::new().then("flush", Duration::from_secs(2));
    /// let starts = phases.reached("flush");
    /// let flush = redd::spawn(phases.wait_for("flush", "write the index", async {
    ///     starts.await;
    ///     sleep(Duration::from_secs(1)).await;
    ///     "written"
    /// }));
    /// phases.start("shutdown");
    /// let report = phases.finished().await;
    /// assert!(report.is_clean());
    /// assert_eq!(flush.await.unwrap(), Ok("written"));
    /// # });
    /// ```
    #[track_caller]
    pub fn wait_for<F>(
        &self,
        phase: &str,
        name: &str,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Reason>> + use<F>
    where
        F: IntoFuture,
    {
        let location = Location::caller();
        let hold = self.hold_at(self.index("wait_for", phase), name, location);
        hold.wait_for(future.into_future(), location)
    }

    /// This phase waits until the returned hold is dropped. `name` is for the report.
    ///
    /// If the phase is over, the hold has no effect: see [`Hold::is_expired`]. It costs an allocation and a short lock, which all holds
    /// of the phases share.
    ///
    /// # Panics
    /// Panics if there is no phase with this name.
    #[track_caller]
    pub fn hold(&self, phase: &str, name: &str) -> Hold {
        self.hold_at(self.index("hold", phase), name, Location::caller())
    }

    fn hold_at(&self, index: usize, name: &str, location: &'static Location<'static>) -> Hold {
        ensure_driven(&self.core);
        Hold::new(&self.core, index, name, location)
    }

    /// Starts the shutdown: the first phase begins. If it has started, this does nothing.
    ///
    /// It may be called on any thread. Outside of a runtime, and if no method of this type was called in one, the first phase lasts
    /// until that happens.
    ///
    /// # Panics
    /// Panics if there is no phase.
    ///
    /// # Examples
    /// ```
    /// use redd::group::Phases;
    /// use redd::time::Duration;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let phases = Phases::new().then("requests", Duration::from_secs(20));
    /// phases.start("an operator has asked for it");
    /// phases.start("this does nothing");
    /// assert_eq!(phases.finished().await.reason(), "an operator has asked for it");
    /// # });
    /// ```
    #[track_caller]
    pub fn start(&self, reason: impl Into<Cow<'static, str>>) {
        self.assert_any("start");
        self.start_at(reason.into(), Location::caller());
    }

    pub(crate) fn start_at(&self, reason: Cow<'static, str>, location: &'static Location<'static>) {
        self.core.start(reason, location);
        ensure_driven(&self.core);
    }

    /// Ends all phases now, and starts the shutdown if it has not started: each group is cancelled, in the order of the phases.
    ///
    /// The report has the `reason`; see [`Report::ended_early`]. If all phases are over, this does nothing.
    ///
    /// # Panics
    /// Panics if there is no phase.
    ///
    /// # Examples
    /// ```
    /// use redd::group::Phases;
    /// use redd::time::Duration;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let phases = Phases::new().then("requests", Duration::from_secs(20));
    /// let _hold = phases.hold("requests", "GET /slow");
    /// phases.start("shutdown");
    /// phases.end_now("the user is impatient");
    /// let report = phases.finished().await;
    /// assert_eq!(report.ended_early(), Some("the user is impatient"));
    /// assert_eq!((report.took().as_secs(), report.left().count()), (0, 1));
    /// # });
    /// ```
    #[track_caller]
    pub fn end_now(&self, reason: impl Into<Cow<'static, str>>) {
        self.assert_any("end_now");
        self.end_now_at(reason.into(), Location::caller());
    }

    pub(crate) fn end_now_at(&self, reason: Cow<'static, str>, location: &'static Location<'static>) {
        self.core.start(reason.clone(), location);
        self.core.end_now(reason);
        ensure_driven(&self.core);
    }

    /// Returns whether the shutdown has started.
    pub fn is_started(&self) -> bool {
        self.core.is_started()
    }

    /// Waits until all phases are over, and returns the report. It does not start the shutdown.
    ///
    /// A task that awaits this must not be in a phase itself, since the phase would wait for it until its time is over.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped: the phases go on.
    ///
    /// # Panics
    /// Panics if there is no phase.
    ///
    /// # Examples
    /// ```
    /// use redd::group::Phases;
    /// use redd::runtime::Runtime;
    /// use std::time::Duration;
    ///
    /// let runtime = Runtime::new()?;
    /// let phases = Phases::new().then("requests", Duration::from_secs(20));
    /// let report = runtime.block_on(async {
    ///     // Here the program runs, until something starts the shutdown.
    ///     phases.start("the work is done");
    ///     phases.finished().await
    /// });
    /// // What belongs to no phase gets one more second.
    /// let left = runtime.drain(Duration::from_secs(1));
    /// assert!(report.is_clean() && left.is_empty());
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn finished(&self) -> impl Future<Output = Report> + Send + use<> {
        self.assert_any("finished");
        let (core, location) = (Arc::clone(&self.core), Location::caller());
        ensure_driven(&core);
        async move {
            ensure_driven(&core);
            core.wait_report(Some(location)).await
        }
    }

    /// A place in this phase for a group.
    #[track_caller]
    pub(super) fn place_of_group(&self, phase: &str) -> InPhase {
        let place = InPhase::new(&self.core, self.index("in_phase", phase));
        ensure_driven(&self.core);
        place
    }

    #[track_caller]
    fn index(&self, method: &str, phase: &str) -> usize {
        match self.core.find(phase) {
            Ok(index) => index,
            Err(names) if names.is_empty() => no_phase(method),
            Err(names) => panic!(
                "`{method}` got the name of a phase that there is not: `{phase}`. The phases are: `{}`. Use one of these names, or add \
                 the phase with `Phases::then`.",
                names.join("`, `")
            ),
        }
    }

    #[track_caller]
    fn assert_any(&self, method: &str) {
        if self.core.phases() == 0 {
            no_phase(method);
        }
    }
}

#[track_caller]
fn no_phase(method: &str) -> ! {
    panic!(
        "`{method}` was called for a `Phases` without a phase. Add one first: `Phases::new().then(\"requests\", time)`."
    );
}

impl fmt::Debug for Phases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Phases").field("started", &self.core.reason()).finish_non_exhaustive()
    }
}
