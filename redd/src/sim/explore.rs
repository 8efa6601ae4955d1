//! `World::run` and the ways in which a world explores orders: strategies, tapes and shrinking.
//!
//! Called by users, and by `check` for tests with `sim`.

use super::explore_kept::Kept;
use super::explore_variables::Variables;
use super::report::Report;
use super::shrink::{self, Shrunk};
use super::told;
use super::world::World;
use crate::primitives::baton::{self, Explore, FailureKind, Plan, Tape};
use crate::primitives::thread;

impl World {
    /// Chooses how the world explores the orders of its threads and tasks. Default: [`Explore::Random`].
    ///
    /// The environment variable `REDD_EXPLORE` overrides it.
    ///
    /// # Examples
    /// ```
    /// use redd::sim::{Explore, World};
    /// use redd::task::{JoinSet, yield_now};
    /// use std::sync::{Arc, atomic::{AtomicU32, Ordering}};
    ///
    /// // Two tasks read a counter, yield, and write it: an update is lost if one reads between the other's read and write.
    /// let main = || {
    ///     redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    ///         let counter = Arc::new(AtomicU32::new(0));
    ///         let mut tasks = JoinSet::new();
    ///         for name in ["left", "right"] {
    ///             let counter = counter.clone();
    ///             tasks.build_task().name(name).spawn(async move {
    ///                 yield_now().await;
    ///                 if name == "right" {
    ///                     yield_now().await;
    ///                     yield_now().await;
    ///                 }
    ///                 let read = counter.load(Ordering::Relaxed);
    ///                 yield_now().await;
    ///                 counter.store(read + 1, Ordering::Relaxed);
    ///             })?;
    ///         }
    ///         while tasks.join_next().await.is_some() {}
    ///         assert_eq!(counter.load(Ordering::Relaxed), 2);
    ///         std::io::Result::Ok(())
    ///     })
    /// };
    /// let failing = |explore: Explore| {
    ///     (0..1000).find(|seed| !World::new(*seed).explore(explore).host("host", main).run().failures().is_empty())
    /// };
    /// assert_eq!(failing(Explore::Plain), None);
    /// assert!(failing(Explore::Delay { budget: 2 }).is_some());
    /// ```
    pub fn explore(mut self, explore: Explore) -> Self {
        self.explore = explore;
        self
    }

    /// Replays a run of this seed: its choices are those of the tape, and those of the plain order where the tape has none.
    ///
    /// The run fails with [`FailureKind::Tape`] if the tape does not fit, because the program has changed since.
    ///
    /// # Examples
    /// ```
    /// use redd::sim::{FailureKind, World};
    ///
    /// let world = || World::new(7).record(true).host("host", || { redd::sim::chance("retry", 50); });
    /// let report = world().run();
    /// let again = world().replay(report.tape().clone()).run();
    /// assert_eq!(report.event_hash(), again.event_hash());
    ///
    /// let of_another_program = "0:1/3t".parse()?;
    /// let report = world().replay(of_another_program).run();
    /// assert_eq!(report.failures()[0].kind(), FailureKind::Tape);
    /// assert!(report.to_string().contains("step 0 is a choice of a chance among 2"), "{report}");
    /// # Ok::<(), redd::sim::TapeError>(())
    /// ```
    pub fn replay(mut self, tape: Tape) -> Self {
        self.tape = Some(tape);
        self
    }

    /// Runs all hosts until they and all their threads have ended, and stops the services.
    ///
    /// If the world cannot continue, the future of each `block_on` ends with a panic, which the world catches, and the runtimes shut down.
    /// A thread that waits forever outside of a `block_on` is left behind.
    ///
    /// A world whose hosts have ended is over, although its script may have further steps. If a host is down, the script goes on as long
    /// as it may restart it.
    ///
    /// # Panics
    /// If it is called in a world, if all hosts are services, if the system refuses a thread, if [`faults`](Self::faults) got the name
    /// of an unknown host, and if an [environment variable](crate::sim#variables) is wrong.
    #[track_caller]
    pub fn run(self) -> Report {
        expect_outside("World::run");
        let variables = Variables::get();
        let mut plan = self.asked();
        plan.keeps_events |= variables.events.is_some();
        let mut report = self.run_once(&plan);
        report.expect_fit();
        let shrunk = match variables.shrink {
            Some(runs) if !report.failures.is_empty() && !report.is_replay => shrink::shrink(&self, &plan, runs),
            _ => None,
        };
        if let Some(file) = &variables.events {
            told::append_events(file, &report);
        }
        if let Some(file) = &variables.outcomes {
            told::append_outcome(file, &report, shrunk.as_ref());
        }
        report.shrunk = shrunk.map(|shrunk| shrunk.to_string());
        report
    }

    /// Runs the world, and if the run fails, looks for the simplest run that fails in the same way. Returns `None` if it does not fail.
    ///
    /// The simplest run has the fewest deviations from the plain order: see [`Tape`]. Each candidate is a run of this world, and counts
    /// if its first failure has the same kind and the same message, apart from numbers. `runs` limits how many there are; a few hundred
    /// are enough for most.
    ///
    /// The functions of the hosts run many times. If they change a static variable, later runs see it.
    ///
    /// # Panics
    /// As for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use redd::sim::{World, chance};
    ///
    /// let world = World::new(1).host("host", || {
    ///     let faults = [99, 99, 99, 99].map(|percent| chance("a fault", percent));
    ///     assert!(!faults[2], "the third fault is not handled");
    /// });
    /// // Most likely all four are true.
    /// let shrunk = world.shrink(100).unwrap();
    /// assert_eq!(shrunk.report().tape().to_string(), "2:1/2c");
    /// assert!(shrunk.to_string().contains("chance `a fault` is true"), "{shrunk}");
    /// ```
    #[track_caller]
    pub fn shrink(self, runs: u32) -> Option<Shrunk> {
        expect_outside("World::shrink");
        shrink::shrink(&self, &self.asked(), runs)
    }

    /// What the world, a kept seed and the environment ask for.
    fn asked(&self) -> Plan {
        self.asked_with(Variables::get())
    }

    fn asked_with(&self, variables: &Variables) -> Plan {
        let mut plan = self.plan();
        plan.explore = Kept::explore_of(plan.seed).or(variables.explore).unwrap_or(plan.explore);
        // A program may have worlds of other seeds, too, in which the tape would mean something else.
        let is_meant = variables.seeds.as_ref().is_some_and(|seeds| seeds.contains(&plan.seed));
        plan.tape = variables.tape.clone().filter(|_| is_meant).or(plan.tape);
        plan
    }
}

#[track_caller]
fn expect_outside(what: &str) {
    assert!(
        !baton::is_member(),
        "`{what}` was called on thread `{}`, which belongs to a world. Start worlds outside of others.",
        thread::current_name()
    );
}

impl Report {
    /// Adds a failure if the tape that was replayed does not fit.
    fn expect_fit(&mut self) {
        if let Some(misfit) = self.choices.misfit.clone() {
            self.fail(
                FailureKind::Tape,
                format!(
                    "{misfit}. The program, its seed or redd has changed since the tape was written, so this is another run. Look for the \
                     failure again without the tape."
                ),
            );
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_tape_of_the_environment_is_for_worlds_of_its_seed_alone() {
        let tape: Option<Tape> = Some("3:1".parse().expect("a tape"));
        let variables = Variables { seeds: Some(7..8), tape: tape.clone(), ..Variables::default() };
        assert_eq!(World::new(7).asked_with(&variables).tape, tape);
        assert_eq!(World::new(8).asked_with(&variables).tape, None);
    }
}
