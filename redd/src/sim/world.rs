//! `World`: its hosts, and the run.
//!
//! Called by users, and by `check` for tests with `sim`.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{ExitCode, Termination};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::report::{Failure, FailureKind, Report};
use crate::observe::report::{self, ReportKind};
use crate::primitives::baton::{self, Baton, HostThread, WorldEnded};
use crate::primitives::thread;
use crate::primitives::user_code::drop_guarded;
use crate::runtime::simulated::LIMIT;

/// How long the world waits for an event before it reports that a thread seems to block outside of redd.
const PATIENCE: Duration = Duration::from_secs(10);

type Main = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

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
    start: Option<Duration>,
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
        Self { seed, limit: LIMIT, keeps_events: false, start: None, hosts: Vec::new() }
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

    /// Keeps all events of the run, in 24 bytes each, for [`Report::first_difference`]. Default: only their hash.
    pub fn record(mut self, keeps: bool) -> Self {
        self.keeps_events = keeps;
        self
    }

    /// Sets what `SystemTime` shows the program when the world starts. Default: 2026-01-01 00:00:00 UTC.
    ///
    /// It has an effect if the program is linked with the package `redd-sim-libc`. Otherwise `SystemTime` shows the real time:
    /// [`Report::is_std_simulated`].
    ///
    /// # Panics
    /// If the time is before 1970, or after 2554, which 64 bits of nanoseconds do not reach.
    ///
    /// # Examples
    /// ```
    /// use redd::sim::World;
    /// use std::time::{Duration, SystemTime};
    ///
    /// // A second before a leap day.
    /// let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_709_164_799);
    /// let report = World::new(1)
    ///     .start_at(start)
    ///     .host("host", move || {
    ///         # if false {
    ///         assert_eq!(SystemTime::now(), start);
    ///         # }
    ///     })
    ///     .run();
    /// report.expect_ok();
    /// ```
    #[track_caller]
    pub fn start_at(mut self, time: SystemTime) -> Self {
        let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).ok();
        let Some(start) = since_1970.filter(|start| u64::try_from(start.as_nanos()).is_ok()) else {
            panic!("`World::start_at` was called with {time:?}. Pass a time from 1970 to 2554.");
        };
        self.start = Some(start);
        self
    }

    /// Sets the virtual time after which the run fails. Default: 24 hours.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs all hosts until they and all their threads have ended.
    ///
    /// If the world cannot continue, the future of each `block_on` ends with a panic, which the world catches, and the runtimes shut down.
    /// A thread that waits forever outside of a `block_on` is left behind.
    ///
    /// # Panics
    /// If it is called in a world, and if the system refuses a thread.
    #[track_caller]
    pub fn run(self) -> Report {
        assert!(
            !baton::is_member(),
            "`World::run` was called on thread `{}`, which belongs to a world. Start worlds outside of others.",
            thread::current_name()
        );
        let baton = baton::new_world(self.seed, self.limit, self.keeps_events);
        self.start.iter().for_each(|start| baton.set_unix_origin(*start));
        let threads: Vec<_> =
            self.hosts.into_iter().enumerate().map(|(index, host)| start(&baton, index, host)).collect();
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
            seed: self.seed,
            hash,
            events,
            elapsed: baton.passed(),
            failures: baton.failures().into_iter().map(Failure).collect(),
            thread: Some(thread::current_name()),
            record: Arc::new(baton.take_record()),
            is_std_simulated: baton.simulates_std(),
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
