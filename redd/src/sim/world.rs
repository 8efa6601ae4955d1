//! `World`: its hosts, and the run.
//!
//! Called by users, and by `check` for tests with `sim`.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{ExitCode, Termination};
use std::sync::Arc;
use std::time::Duration;

use super::report::{Failure, FailureKind, Report};
use crate::observe::report::{self, ReportKind};
use crate::primitives::baton::{self, Baton, Explore, HostThread, Plan, Tape, WorldEnded};
use crate::primitives::thread;
use crate::primitives::user_code::drop_guarded;
use crate::runtime::simulated::LIMIT;

/// How long the world waits for an event before it reports that a thread seems to block outside of redd.
const PATIENCE: Duration = Duration::from_secs(10);

type Main = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

#[derive(Clone)]
struct Host {
    name: String,
    main: Main,
}

/// A simulated world: hosts that run on one virtual clock, in an order that one seed decides.
///
/// # Examples
/// ```
/// use redd::sim::World;
/// use redd::time::{Duration, sleep};
/// use std::sync::Mutex;
///
/// static ORDER: Mutex<Vec<&str>> = Mutex::new(Vec::new());
///
/// #[redd::main]
/// async fn server() {
///     sleep(Duration::from_secs(2)).await;
///     ORDER.lock().unwrap().push("server");
/// }
///
/// #[redd::main]
/// async fn client() {
///     sleep(Duration::from_secs(1)).await;
///     ORDER.lock().unwrap().push("client");
/// }
///
/// let report = World::new(42).host("server", server).host("client", client).limit(Duration::from_secs(60)).run();
/// report.expect_ok();
/// assert_eq!(*ORDER.lock().unwrap(), ["client", "server"]);
/// ```
#[must_use = "a world does nothing until `run`"]
pub struct World {
    seed: u64,
    limit: Duration,
    keeps_events: bool,
    pub(super) explore: Explore,
    pub(super) tape: Option<Tape>,
    hosts: Vec<Host>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.hosts.iter().map(|host| &host.name).collect();
        f.debug_struct("World").field("seed", &self.seed).field("limit", &self.limit).field("hosts", &hosts).finish()
    }
}

impl World {
    /// A world without hosts. All its choices follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, limit: LIMIT, keeps_events: false, explore: Explore::default(), tape: None, hosts: Vec::new() }
    }

    /// Adds a host: a thread that runs `main`. Runtimes that are built on it belong to the world.
    ///
    /// `main` may be the unmodified `main` function of a program, with `#[redd::main]`. It returns what a `main` function may return.
    pub fn host<T: Termination>(mut self, name: &str, main: impl Fn() -> T + Send + Sync + 'static) -> Self {
        let main = Arc::new(move || {
            let code = main().report();
            if code == ExitCode::SUCCESS { Ok(()) } else { Err(format!("it has returned {code:?}")) }
        });
        self.hosts.push(Host { name: name.to_owned(), main });
        self
    }

    /// Keeps all events of the run, in 24 bytes each, for [`Report::first_difference`], and its [`Report::tape`]. Default: only their
    /// hash.
    pub fn record(mut self, keeps: bool) -> Self {
        self.keeps_events = keeps;
        self
    }

    /// Sets the virtual time after which the run fails. Default: 24 hours.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// What the world is asked for.
    pub(super) fn plan(&self) -> Plan {
        Plan {
            seed: self.seed,
            explore: self.explore,
            tape: self.tape.clone(),
            keeps_events: self.keeps_events,
            keeps_tape: false,
        }
    }

    /// One run. Called by `explore`, which has `World::run`.
    #[track_caller]
    pub(super) fn run_once(&self, plan: &Plan) -> Report {
        let baton = baton::new_world_of(plan, self.limit);
        let hosts = self.hosts.iter().cloned().enumerate();
        let threads: Vec<_> = hosts.map(|(index, host)| start(&baton, index, host)).collect();
        baton.start();
        baton.wait_until_over(PATIENCE, |thread| {
            report::report(
                ReportKind::Shutdown,
                format_args!(
                    "thread `{thread}` of a simulated world has run for {PATIENCE:?} without an event of the world. It computes, or it \
                     waits for something outside of the world: a lock or channel of std, another thread, or a file. While it waits no other \
                     thread of the world can run. Use the locks and channels of `redd::sync`, and `spawn_blocking`."
                ),
            );
        });
        threads.into_iter().filter(|_| baton.has_ended()).for_each(|thread| drop(thread.join()));
        let (hash, events) = baton.hash();
        Report {
            seed: plan.seed,
            explore: plan.explore,
            is_replay: plan.tape.is_some(),
            choices: Arc::new(baton.choices()),
            shrunk: None,
            hash,
            events,
            elapsed: baton.passed(),
            failures: baton.failures().into_iter().map(Failure).collect(),
            thread: Some(thread::current_name()),
            record: Arc::new(baton.take_record()),
        }
    }
}

/// Starts the thread of a host. It waits for the baton.
#[track_caller]
fn start(baton: &Arc<Baton>, index: usize, host: Host) -> HostThread {
    let mine = Arc::clone(baton);
    let name = host.name.clone();
    let started = baton.start_host(index, &name, move || {
        if let Some(text) = run_main(&host) {
            mine.fail(FailureKind::Host, text);
        }
    });
    started.unwrap_or_else(|error| {
        panic!(
            "the system refuses a thread for a host of a simulated world: {error}. Raise the limit of threads (`ulimit -u`)."
        )
    })
}

/// What went wrong in the function of a host.
fn run_main(host: &Host) -> Option<String> {
    let name = &host.name;
    match catch_unwind(AssertUnwindSafe(|| (host.main)())) {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("host `{name}` has failed: {error}")),
        Err(payload) => {
            let text = message_of(&*payload).map(|message| format!("host `{name}` has panicked: {message}"));
            drop_guarded(payload);
            text
        }
    }
}

/// The message of a panic. `None` if the world has made it.
fn message_of(payload: &(dyn Any + Send)) -> Option<&str> {
    if payload.is::<WorldEnded>() {
        return None;
    }
    let text = payload.downcast_ref::<&str>().copied();
    Some(text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("(not a text)"))
}
