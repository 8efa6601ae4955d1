//! Tests with `sim`: which seeds run, and what the test must not leave behind.
//!
//! Called by the expansion of `#[redd::test(sim)]`, and by users (`seeds`).

use std::future::Future;
use std::ops::Range;
use std::process::Termination;
use std::vec;

use super::explore_kept::{Kept, kept_seeds};
use super::explore_variables::Variables;
use super::report::FailureKind;
use super::settle::settle;
use super::world::World;
use crate::primitives::baton;
use crate::primitives::thread;
use crate::scheduler::enter::expect_current;

/// The seeds of a test: those that are kept, and `0..count`. If the environment variable `REDD_SEED` is set, only the seeds in it.
///
/// A test whose worlds have these seeds can be explored by `cargo redd explore`. Kept seeds are those with which the test has failed:
/// `cargo redd explore --keep` adds them to `tests/seeds/<test>.txt` of the package, where `::` in the path of the test is a dot.
/// [`World::run`] uses the strategy with which a kept seed failed. A line of the file is a seed and a strategy: `37 pct:3`.
///
/// The name of the test is that of its thread, so there are no kept seeds with `--test-threads=1`. [`test(sim)`](crate::test) has them.
///
/// # Panics
/// If the variable is neither a number nor a range such as `100..200`, and if a file of kept seeds has a line that is no seed.
///
/// # Examples
/// ```
/// use redd::sim::{World, seeds};
///
/// for seed in seeds(10) {
///     World::new(seed).host("host", || {}).run().expect_ok();
/// }
/// ```
pub fn seeds(count: u64) -> Seeds {
    Seeds::of(count, &thread::current_name(), None)
}

/// The iterator of [`seeds`].
#[derive(Clone, Debug)]
pub struct Seeds {
    kept: vec::IntoIter<Kept>,
    numbers: Range<u64>,
}

impl Seeds {
    /// `package` is the folder of the test's package when it was compiled.
    fn of(count: u64, test: &str, package: Option<&str>) -> Self {
        match &Variables::get().seeds {
            Some(numbers) => Self { kept: Vec::new().into_iter(), numbers: numbers.clone() },
            None => Self { kept: kept_seeds(test, package).into_iter(), numbers: 0..count },
        }
    }
}

impl Iterator for Seeds {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let kept = self.kept.next();
        Kept::set_running(kept);
        kept.map(|kept| kept.seed).or_else(|| self.numbers.next())
    }
}

/// A test with `sim`, as the expansion of the attribute sees it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct SimulatedTest {
    /// How many seeds run.
    pub seeds: u64,
    /// The folder of the package at compile time.
    pub package: Option<&'static str>,
    /// The path of the module, with the name of the crate.
    pub module: &'static str,
    pub name: &'static str,
}

impl SimulatedTest {
    /// The path by which the test harness knows the test.
    fn path(&self) -> String {
        match self.module.split_once("::") {
            Some((_, module)) => format!("{module}::{}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// Runs the test in one world per seed. The first one that fails fails the test.
    #[track_caller]
    pub fn run<T: Termination + 'static>(&self, body: fn() -> T) {
        let path = self.path();
        for seed in Seeds::of(self.seeds, &path, self.package) {
            World::new(seed).host(&path, body).run().expect_ok();
        }
    }
}

/// The body of a test. It fails the world if a task is left when the body has ended, and everything else waits.
#[doc(hidden)]
pub async fn watch_for_left_tasks<F: Future>(body: F) -> F::Output {
    let output = body.await;
    settle().await;
    let left = expect_current("a test in a simulated world").slab.describe_live();
    if let (Some(baton), false) = (baton::current(), left.is_empty()) {
        let tasks: Vec<_> = left.iter().map(ToString::to_string).collect();
        baton.fail(
            FailureKind::LeftTask,
            format!(
                "the test has ended, and these tasks have not: {}. Await or abort them, or spawn them in a `TaskGroup`.",
                tasks.join("; ")
            ),
        );
    }
    output
}
