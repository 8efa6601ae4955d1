//! The result of a run: what went wrong, and the hash of what happened.
//!
//! Made by `World::run`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::difference::{difference, last_events};
use crate::primitives::baton::{Choices, Explore, Record, Tape};

pub use crate::primitives::baton::FailureKind;
use crate::primitives::baton::WorldFailure;

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
    /// The name of the thread that has run the world: in a test, the path of the test.
    pub(super) thread: Option<String>,
    pub(super) record: Arc<Record>,
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

    /// Returns how many choices were made. A choice of one is none.
    pub fn choices(&self) -> u64 {
        self.choices.count
    }

    /// Returns the tape of the run: [`World::replay`](super::World::replay) repeats the run with it. It is empty unless the world keeps
    /// its events: [`World::record`](super::World::record).
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
        difference(&self.record, &other.record)
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
            Some(test) => format!("{variables} cargo test{package} -- --exact {test}"),
            None => format!("{variables} and the same command"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, hash, events, elapsed, .. } = self;
        if self.failures.is_empty() {
            return write!(
                f,
                "seed {seed}: no failure; hash {hash:016x} of {events} events in {elapsed:?} of virtual time"
            );
        }
        writeln!(f, "the simulated world of seed {seed} has failed")?;
        for failure in &self.failures {
            writeln!(f, "  {failure}")?;
        }
        let last = last_events(&self.record);
        if !last.is_empty() {
            writeln!(f, "the last events:\n{last}")?;
        }
        if let Some(shrunk) = &self.shrunk {
            writeln!(f, "{shrunk}")?;
        }
        write!(f, "hash {hash:016x} of {events} events; to repeat this run: {}", self.command())
    }
}
