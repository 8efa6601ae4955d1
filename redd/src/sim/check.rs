//! Tests with `sim`: which seeds run, and what the test must not leave behind.
//!
//! Called by the expansion of `#[redd::test(sim)]`, and by users (`seeds`).

use std::future::Future;
use std::ops::Range;
use std::process::Termination;

use super::report::FailureKind;
use super::settle::settle;
use super::world::World;
use crate::primitives::baton;
use crate::primitives::thread;
use crate::scheduler::enter::expect_current;

/// The environment variable with the only seed to run.
const VARIABLE: &str = "REDD_SEED";

/// The seeds of a test: `0..count`, or only the one in the environment variable `REDD_SEED`.
///
/// # Panics
/// If the variable is set and is not a number.
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
    Seeds(match std::env::var(VARIABLE) {
        Err(_) => 0..count,
        Ok(text) => {
            let Ok(seed) = text.trim().parse::<u64>() else {
                panic!(
                    "the environment variable {VARIABLE} is {text:?}, which is not a seed. Set it to a number, or unset it."
                );
            };
            seed..seed.saturating_add(1)
        }
    })
}

/// The iterator of [`seeds`].
#[derive(Clone, Debug)]
pub struct Seeds(Range<u64>);

impl Iterator for Seeds {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0.next()
    }
}

/// Runs a test in one world per seed. The first one that fails fails the test.
#[track_caller]
#[doc(hidden)]
pub fn test_in_worlds<T: Termination + 'static>(count: u64, test: fn() -> T) {
    let name = thread::current_name();
    for seed in seeds(count) {
        World::new(seed).host(&name, test).run().expect_ok();
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
