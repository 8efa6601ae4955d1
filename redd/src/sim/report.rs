//! The result of a run: what went wrong, and the hash of what happened.
//!
//! Made by `World::run`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::difference::{difference, last_events};
use super::host_report::HostReport;
use crate::primitives::baton::{Choices, Explore, Record, Tape};
use crate::primitives::count::PlainCount;

pub use crate::primitives::baton::FailureKind;
use crate::primitives::baton::WorldFailure;

/// For runs in which the program is not linked with `redd-sim-libc`.
const STD_IS_REAL: &str = "note: in this run `std::time`, the keys of `HashMap` and the random numbers of the system were real, and not \
    decided by the seed. If the program uses them, add the dev-dependency `redd-sim-libc`, and the line `use redd_sim_libc as _;` to the \
    test.\n";

/// What went wrong in a world.
///
/// # Examples
/// ```
/// use redd::sim::{FailureKind, World};
/// use redd::time::Duration;
///
/// #[redd::main]
/// async fn waits_forever() {
///     redd::time::sleep(Duration::from_secs(1)).await;
///     std::future::pending::<()>().await;
/// }
///
/// let report = World::new(1).host("host", waits_forever).run();
/// let failure = &report.failures()[0];
/// assert_eq!((failure.kind(), failure.at()), (FailureKind::NothingCanHappen, Duration::from_secs(1)));
/// ```
#[derive(Clone, Debug)]
pub struct Failure(pub(super) WorldFailure);

impl Failure {
    /// Returns the kind of the failure.
    pub fn kind(&self) -> FailureKind {
        self.0.kind
    }

    /// Returns the virtual time since the start of the world.
    pub fn at(&self) -> Duration {
        self.0.at
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {:?}: {}", self.0.at, self.0.text)
    }
}

/// What the script of a world, or a random fault, has changed in it: a crash, a restart, the state of the network, a signal.
///
/// `Display` shows it in words, with its time.
///
/// # Examples
/// ```
/// use redd::sim::World;
/// use redd::time::{Duration, sleep};
///
/// #[redd::main]
/// async fn server() {
///     sleep(Duration::from_secs(5)).await;
/// }
///
/// let report = World::new(1).host("server", server).at(Duration::from_secs(3), |w| w.crash("server")).run();
/// let fault = &report.faults()[0];
/// assert_eq!((fault.at(), fault.to_string()), (Duration::from_secs(3), "after 3s: `server` crashes".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(super) at: Duration,
    pub(super) text: String,
}

impl Fault {
    /// Returns the virtual time since the start of the world.
    pub fn at(&self) -> Duration {
        self.at
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {:?}: {}", self.at, self.text)
    }
}

/// The result of [`World::run`](super::World::run).
///
/// # Examples
/// ```
/// use redd::sim::{FailureKind, World};
///
/// let report = World::new(3).host("server", || panic!("no disk")).run();
/// assert_eq!(report.failures()[0].kind(), FailureKind::Host);
/// assert!(report.failures()[0].to_string().contains("no disk"));
/// assert_eq!(report.seed(), 3);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a world that has failed panics only in `expect_ok`"]
pub struct Report {
    pub(super) seed: u64,
    pub(super) explore: Explore,
    /// A tape has made the choices.
    pub(super) is_replay: bool,
    pub(super) choices: Arc<Choices>,
    /// The shrunk run in words, if the run has failed and was to be shrunk.
    pub(super) shrunk: Option<String>,
    pub(super) hash: u64,
    pub(super) events: u64,
    pub(super) elapsed: Duration,
    pub(super) failures: Vec<Failure>,
    pub(super) hosts: Vec<HostReport>,
    pub(super) faults: Vec<Fault>,
    pub(super) skipped: Vec<Duration>,
    pub(super) left: Vec<String>,
    /// The name of the thread that has run the world: in a test, the path of the test.
    pub(super) thread: Option<String>,
    pub(super) record: Arc<Record>,
    pub(super) is_std_simulated: bool,
}

impl Report {
    /// Returns the seed of the world.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the hash of all that happened: which thread and task ran when, what it woke and spawned, and every choice.
    ///
    /// Two runs of one seed of one program have the same hash. If they do not, the program depends on something that is not simulated.
    pub fn event_hash(&self) -> u64 {
        self.hash
    }

    /// Returns how many events the hash has.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Returns the strategy that has made the choices, unless a tape has.
    pub fn explore(&self) -> Explore {
        self.explore
    }

    /// Returns how many choices were made. If there is only one candidate, that is not a choice.
    pub fn choices(&self) -> u64 {
        self.choices.count
    }

    /// Returns the tape of the run: [`World::replay`](super::World::replay) repeats the run with it. It is empty unless the world keeps
    /// its events ([`World::record`](super::World::record)) or replays a tape.
    pub fn tape(&self) -> &Tape {
        &self.choices.tape
    }

    /// Returns the virtual time from the start of the world to its end.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Returns what went wrong, in the order in which it did.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// Returns what has become of the hosts, in the order in which they were added.
    pub fn hosts(&self) -> &[HostReport] {
        &self.hosts
    }

    /// Returns what has become of the host with this name.
    ///
    /// # Panics
    /// If the world had no such host.
    ///
    /// # Examples
    /// ```
    /// use redd::sim::{HostOutcome, World};
    ///
    /// let report = World::new(1).host("server", || Err::<(), _>("no disk")).run();
    /// assert!(matches!(report.host("server").outcome(), HostOutcome::Failed(_)));
    /// ```
    #[track_caller]
    pub fn host(&self, name: &str) -> &HostReport {
        // Not in a closure, which would not have the location of the caller.
        let Some(host) = self.hosts.iter().find(|host| host.name() == name) else {
            let names: Vec<_> = self.hosts.iter().map(HostReport::name).collect();
            panic!(
                "`Report::host` got the name of a host that the world did not have: `{name}`. Its hosts were: `{}`. Use one of these names.",
                names.join("`, `")
            )
        };
        host
    }

    /// Returns what the script and random faults have changed in the world, in the order of time.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Returns the times of those steps of the script that were not run, because all hosts had ended or the world had failed.
    ///
    /// # Examples
    /// ```
    /// use redd::sim::World;
    /// use redd::time::Duration;
    ///
    /// let report = World::new(1).host("short", || ()).at(Duration::from_secs(9), |w| w.crash("short")).run();
    /// report.expect_ok();
    /// assert_eq!(report.skipped(), [Duration::from_secs(9)]);
    /// ```
    pub fn skipped(&self) -> &[Duration] {
        &self.skipped
    }

    /// Returns the names of the threads that a crash has left: they wait for something that never comes, outside of a `block_on`. They
    /// stay until the process ends.
    pub fn left_threads(&self) -> &[String] {
        &self.left
    }

    /// Adds a failure.
    pub(super) fn fail(&mut self, kind: FailureKind, text: String) {
        self.failures.push(Failure(WorldFailure { kind, text, at: self.elapsed }));
    }

    /// Returns the first event that differs from that of another run, with the five before it. `None` if all events are equal.
    ///
    /// Both worlds keep their events: [`World::record`](super::World::record).
    ///
    /// # Examples
    /// ```
    /// use redd::sim::World;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// static IS_SECOND: AtomicBool = AtomicBool::new(false); // A leak: it is not reset between two runs.
    /// let run = || {
    ///     let world = World::new(1).record(true).host("host", || {
    ///         redd::sim::chance("retry", 50);
    ///         if IS_SECOND.swap(true, Ordering::Relaxed) {
    ///             redd::sim::chance("give up", 50);
    ///         }
    ///     });
    ///     world.run()
    /// };
    /// let difference = run().first_difference(&run()).unwrap();
    /// assert!(difference.contains("chance"), "{difference}");
    /// ```
    pub fn first_difference(&self, other: &Self) -> Option<String> {
        let mut text = difference(&self.record, &other.record)?;
        if !self.is_std_simulated {
            text.push_str(STD_IS_REAL);
        }
        Some(text)
    }

    /// Returns whether `std::time`, the keys of `HashMap` and the random numbers of the system followed from the seed in this run.
    ///
    /// They do if the program is linked with the package `redd-sim-libc`. Otherwise they are those of the system, and a program that uses
    /// them may do something else in each run. A report of a failure then says so.
    ///
    /// # Examples
    /// ```
    /// use redd::sim::World;
    /// use std::time::Instant;
    ///
    /// let report = World::new(1).host("host", || {}).run();
    /// assert!(!report.is_std_simulated(), "this example is not linked with it");
    /// ```
    pub fn is_std_simulated(&self) -> bool {
        self.is_std_simulated
    }

    /// Panics if anything went wrong: with the failures, the seed, the hash, and the command that repeats the run.
    ///
    /// # Panics
    /// If [`failures`](Self::failures) is not empty.
    #[track_caller]
    pub fn expect_ok(&self) -> &Self {
        assert!(self.failures.is_empty(), "{self}");
        self
    }

    /// The variables that repeat the run, and the command.
    pub(super) fn command(&self) -> String {
        let variables = match (self.is_replay, self.explore) {
            (true, _) => format!("REDD_SEED={} REDD_TAPE={}", self.seed, self.choices.tape),
            (false, Explore::Random) => format!("REDD_SEED={}", self.seed),
            (false, explore) => format!("REDD_SEED={} REDD_EXPLORE={explore}", self.seed),
        };
        let package = std::env::var("CARGO_PKG_NAME").map(|name| format!(" -p {name}")).unwrap_or_default();
        // The main thread runs no test of the harness.
        match self.thread.as_deref().filter(|name| *name != "main") {
            Some(test) => format!("{variables} cargo test{package} -- --exact {test}{}", ignored(std::env::args())),
            None => format!("{variables} and the same command"),
        }
    }
}

/// The option without which the harness skips a test that is ignored.
fn ignored(mut arguments: impl Iterator<Item = String>) -> &'static str {
    if arguments.any(|argument| argument == "--ignored") { " --ignored" } else { "" }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, hash, events, elapsed, .. } = self;
        let events = PlainCount(*events, "event", "events");
        if self.failures.is_empty() {
            write!(f, "seed {seed}: no failure; hash {hash:016x} of {events} in {elapsed:?} of virtual time")?;
            return self.write_script(f, "\n");
        }
        writeln!(f, "the simulated world of seed {seed} has failed")?;
        for failure in &self.failures {
            writeln!(f, "  {failure}")?;
        }
        writeln!(f, "the hosts:")?;
        for host in &self.hosts {
            writeln!(f, "  {host}")?;
        }
        self.write_script(f, "")?;
        let last = last_events(&self.record);
        if !last.is_empty() {
            writeln!(f, "the last events:\n{last}")?;
        }
        if let Some(shrunk) = &self.shrunk {
            writeln!(f, "{shrunk}")?;
        }
        if !self.is_std_simulated {
            f.write_str(STD_IS_REAL)?;
        }
        write!(f, "hash {hash:016x} of {events}; to repeat this run: {}", self.command())
    }
}

impl Report {
    /// What the script has done and not done, and what crashes have left. Nothing, not even `first`, if there is none of it.
    fn write_script(&self, f: &mut fmt::Formatter<'_>, first: &str) -> fmt::Result {
        let mut lines: Vec<String> = Vec::new();
        if !self.faults.is_empty() {
            lines.push("what was done to it:".to_owned());
            lines.extend(self.faults.iter().map(|fault| format!("  {fault}")));
        }
        lines.extend(self.skipped.iter().map(|time| format!("the step of the script at {time:?} was not run")));
        if !self.left.is_empty() {
            lines.push(format!("threads that a crash has left: `{}`", self.left.join("`, `")));
        }
        if lines.is_empty() {
            return Ok(());
        }
        let last = if first.is_empty() { "\n" } else { "" };
        write!(f, "{first}{}{last}", lines.join("\n"))
    }
}
