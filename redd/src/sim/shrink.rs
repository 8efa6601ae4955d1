//! Looks for the simplest run that fails as a given one does.
//!
//! Called by `explore`.
//!
//! # Steps
//! 1. Try the plain order.
//! 2. Drop all deviations of one kind: chances first. Then all choices among as many.
//! 3. Drop deviations from the end: what the run did after the mistake.
//! 4. Drop groups of deviations, each half as large as those before: delta debugging, by Zeller and Hildebrandt, "Simplifying and
//!    isolating failure-inducing input", 2002.
//! 5. Make each value smaller, such as a latency.
//! 6. Try random tapes with fewer deviations: with one, two and three. Continue with the first one that fails.
//!
//! A deviation that is dropped may change how many choices come before the next one. Then the next one is about another choice. So each
//! tape is also tried by kind: *the third choice among five threads* instead of *the choice of step 80*. Step 4 also tries to move those
//! after it, and step 6 begins anew.

use std::collections::BTreeSet;
use std::fmt;

use super::report::{Failure, Report};
use super::world::World;
use crate::primitives::baton::{ChoiceKind, Deviation, FailureKind, Plan, Tape};
use crate::primitives::count::PlainCount;
use crate::primitives::rng::Rng;

/// Step 6 tries at most so many deviations.
const ENOUGH: usize = 3;

/// Runs of step 6 for each number of deviations, if there are few already.
const POLISHING_RUNS: u32 = 100;

/// Up to so many deviations, step 4 tries to move those after a dropped one.
const MOVED_MAX: usize = 8;

/// The largest value that step 6 tries.
const VALUE_MAX: u32 = 3;

/// The result of [`World::shrink`]: the simplest run that was found.
///
/// Its text has each deviation in words, the failure, and the command that repeats the run.
#[derive(Clone, Debug)]
pub struct Shrunk {
    pub(super) report: Report,
    pub(super) first: usize,
    pub(super) runs: u32,
}

impl Shrunk {
    /// Returns the report of the simplest run. It has the events and the tape.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Returns how many runs the search needed.
    pub fn runs(&self) -> u32 {
        self.runs
    }

    /// Returns what each deviation means, in the order of the tape.
    ///
    /// # Examples
    /// ```
    /// use redd::sim::{World, chance};
    ///
    /// let world = World::new(1).host("host", || assert!(!chance("disk full", 99)));
    /// assert_eq!(world.shrink(10).unwrap().words(), ["chance `disk full` is true"]);
    /// ```
    pub fn words(&self) -> &[String] {
        &self.report.choices.words
    }
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, first, runs } = self;
        match report.tape().len() {
            0 => write!(f, "fails in the plain order")?,
            count => {
                let deviations = PlainCount(count as u64, "deviation", "deviations");
                write!(f, "fails with {deviations} from the plain order")?;
            }
        }
        writeln!(f, " (shrunk from {first} in {}):", PlainCount(*runs as u64, "run", "runs"))?;
        for (deviation, words) in report.tape().deviations.iter().zip(self.words()) {
            let (step, value) = (deviation.step, deviation.value);
            match (words.is_empty(), deviation.among) {
                (true, Some((bound, _))) => writeln!(f, "  at step {step}: the choice is {value}, below {bound}")?,
                _ => writeln!(f, "  at step {step}: {words}")?,
            }
        }
        if let Some(failure) = report.failures.first() {
            writeln!(f, "  {failure}")?;
        }
        write!(f, "to repeat the shrunk run: {}", report.command())
    }
}

/// What makes two failures the same: the kind, and the first line of the text without its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FailureClass {
    pub(super) kind: FailureKind,
    pub(super) text: String,
}

impl FailureClass {
    pub(super) fn of(failure: &Failure) -> Self {
        let line = failure.0.text.lines().next().unwrap_or_default();
        let (mut text, mut rest) = (String::new(), line);
        while let Some(first) = rest.chars().next() {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let (word, left) = rest.split_at(if end == 0 { first.len_utf8() } else { end });
            text.push_str(if first.is_ascii_digit() { "#" } else { word });
            rest = left;
        }
        // Ages are in real time: `less than 1ms` or `2.5s`.
        while text.contains("#.#") {
            text = text.replace("#.#", "#");
        }
        Self { kind: failure.kind(), text: text.replace("less than #", "#") }
    }
}

/// `None` if the run does not fail.
pub(super) fn shrink(world: &World, plan: &Plan, runs: u32) -> Option<Shrunk> {
    let plan = Plan { keeps_tape: true, ..plan.clone() };
    let report = world.run_once(&plan);
    let class = FailureClass::of(report.failures.first()?);
    let tape = report.tape().clone();
    let mut search = Search { world, plan, class, runs: 1, runs_max: runs.max(2), tried: BTreeSet::new(), best: tape };
    let first = search.best.len();
    search.simplify();
    search.restart(report.choices());
    let plan = Plan { keeps_events: true, tape: Some(search.best.clone()), ..search.plan.clone() };
    let mut report = world.run_once(&plan);
    if report.choices.misfit.is_some() || report.failures.first().map(FailureClass::of) != Some(search.class) {
        report = world.run_once(&Plan { keeps_events: true, ..search.plan }); // Some state has outlived a run.
    }
    Some(Shrunk { report, first, runs: search.runs + 1 })
}

struct Search<'a> {
    world: &'a World,
    plan: Plan,
    class: FailureClass,
    runs: u32,
    runs_max: u32,
    /// Tapes that were tried, and whether that was by kind.
    tried: BTreeSet<(Tape, bool)>,
    /// The simplest tape that fails.
    best: Tape,
}

impl Search<'_> {
    /// Runs a tape. If it fails as it should, what was chosen in that run is the best tape.
    fn try_tape(&mut self, tape: Tape) -> bool {
        self.try_tape_as(tape, false)
    }

    /// As [`try_tape`](Self::try_tape). With `by_kind` the deviations are for the choices of their kind, and not of their step.
    fn try_tape_as(&mut self, tape: Tape, by_kind: bool) -> bool {
        if self.runs >= self.runs_max || !self.tried.insert((tape.clone(), by_kind)) {
            return false;
        }
        self.runs += 1;
        let report = self.world.run_once(&Plan { tape: Some(tape), by_kind, ..self.plan.clone() });
        let fails = report.failures.first().is_some_and(|failure| FailureClass::of(failure) == self.class);
        if fails {
            self.best = report.tape().clone();
        }
        fails
    }

    /// Tries the best tape without some of its deviations.
    fn try_without(&mut self, drops: impl Fn(usize, &Deviation) -> bool) -> bool {
        let left = self.best.deviations.iter().enumerate().filter(|(index, deviation)| !drops(*index, deviation));
        let left = Tape::of(left.map(|(_, deviation)| *deviation).collect());
        left.len() < self.best.len() && (self.try_tape(left.clone()) || self.try_tape_as(left, true))
    }

    /// Steps 1 to 5.
    fn simplify(&mut self) {
        if self.best.is_empty() || self.try_tape(Tape::default()) {
            return;
        }
        for kind in [ChoiceKind::Chance, ChoiceKind::Value, ChoiceKind::Wake, ChoiceKind::Thread, ChoiceKind::Task] {
            self.try_without(|_, deviation| deviation.among.is_some_and(|among| among.1 == kind));
        }
        // What has many values, such as a latency, matters less often than what has few.
        let mut bounds: Vec<_> = self.best.deviations.iter().filter_map(|deviation| deviation.among).collect();
        bounds.sort_unstable_by(|one, other| other.cmp(one));
        bounds.dedup();
        for among in bounds {
            self.try_without(|_, deviation| deviation.among == Some(among));
        }
        self.cut_end();
        self.drop_groups();
        if self.lower_values() {
            self.drop_groups();
        }
    }

    /// Step 3.
    fn cut_end(&mut self) {
        let mut kept = self.best.len() / 2;
        while kept > 0 && kept < self.best.len() {
            if self.try_without(|index, _| index >= kept) {
                kept = kept.min(self.best.len()) / 2;
            } else {
                kept += (self.best.len() - kept).div_ceil(2);
            }
        }
    }

    /// Step 4.
    fn drop_groups(&mut self) {
        let mut size = self.best.len().div_ceil(2);
        while size > 0 && self.runs < self.runs_max {
            let mut is_smaller = false;
            // The last ones first: those before them stay what they are.
            let mut end = self.best.len();
            while end > 0 {
                let start = end.saturating_sub(size);
                is_smaller |= self.try_without(|index, _| (start..end).contains(&index))
                    || size == 1 && self.best.len() <= MOVED_MAX && self.try_moved_without(start);
                end = start.min(self.best.len());
            }
            if size == 1 && is_smaller {
                continue;
            }
            size /= 2;
        }
    }

    /// Tries the best tape without the deviation with this index, and with those after it some steps earlier or later.
    fn try_moved_without(&mut self, dropped: usize) -> bool {
        let tapes = [-1, 1, -2, 2].map(|steps| {
            let mut deviations = self.best.deviations.clone();
            deviations.remove(dropped);
            for deviation in &mut deviations[dropped..] {
                deviation.step = deviation.step.saturating_add_signed(steps);
            }
            Tape::of(deviations)
        });
        let len = self.best.len();
        tapes.into_iter().any(|tape| tape.len() == len - 1 && self.try_tape(tape))
    }

    /// Step 5. Returns whether any value became lower.
    fn lower_values(&mut self) -> bool {
        let mut is_lower = false;
        let mut index = self.best.len();
        while index > 0 {
            index -= 1;
            while let Some(value) = self.best.deviations.get(index).map(|deviation| deviation.value) {
                let with = |value: u32| {
                    let mut deviations = self.best.deviations.clone();
                    deviations[index].value = value;
                    Tape::of(deviations)
                };
                let (one, half) = (with(1), with(value / 2));
                if value < 2 || !(self.try_tape(one) || self.try_tape(half)) {
                    break;
                }
                is_lower = true;
                if self.best.deviations.get(index).is_none_or(|deviation| deviation.value >= value) {
                    break;
                }
            }
            index = index.min(self.best.len());
        }
        is_lower
    }

    /// Step 6. `steps` is the number of choices of a run.
    fn restart(&mut self, steps: u64) {
        let simplest = self.best.clone();
        let rng = Rng::new(self.plan.seed);
        let count_max = ENOUGH.min(simplest.len().saturating_sub(1));
        let runs_max = if simplest.len() > ENOUGH { self.runs_max } else { POLISHING_RUNS };
        for count in 1..=count_max {
            // Each number of deviations gets the same part of what is left.
            let left = runs_max.min((self.runs_max - self.runs) / (count_max + 1 - count) as u32);
            for _ in 0..left {
                let deviation = |_| Deviation {
                    step: rng.next_u64() % steps.max(1),
                    value: 1 + rng.below(VALUE_MAX),
                    among: None,
                    nth: 0,
                };
                if self.try_tape(Tape::of((0..count).map(deviation).collect())) {
                    self.simplify();
                    if self.best.len() > simplest.len() {
                        self.best = simplest;
                    }
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::primitives::baton::WorldFailure;
    use crate::sim::chance;

    #[test]
    fn numbers_and_further_lines_do_not_make_another_failure() {
        let class = |text: &str| {
            let failure = WorldFailure { kind: FailureKind::Host, text: text.to_owned(), at: Duration::ZERO };
            FailureClass::of(&Failure(failure)).text
        };
        assert_eq!(class("task 12 at 0x7f3a (src/a.rs:3:14) lost 7%\n  left: 5"), "task # at # (src/a.rs:#:#) lost #%");
        assert_eq!(class("v2 of id9 é"), "v2 of id9 é");
        assert_eq!(class(""), "");
        assert_eq!(class("task 1 (less than 1ms old) panicked"), class("task 2 (12.5s old) panicked"));
        assert_ne!(class("lost"), class("lost twice"));
    }

    /// A world that fails if chances with these numbers are true.
    fn needs(numbers: &'static [usize], seed: u64) -> World {
        World::new(seed).host("host", move || {
            let mut happened = [false; 40];
            happened.fill_with(|| chance("fault", 60));
            assert!(!numbers.iter().all(|number| happened[*number]), "all have happened");
        })
    }

    #[test]
    fn exactly_the_chances_that_matter_are_left() {
        for numbers in [&[7][..], &[3, 31], &[0, 20, 39], &[5, 6, 7, 8]] {
            let seed = (0..1000).find(|seed| {
                let plan = Plan { seed: *seed, ..Plan::default() };
                !needs(numbers, *seed).run_once(&plan).failures.is_empty()
            });
            let shrunk = needs(numbers, seed.expect("one of them fails")).shrink(1000).expect("it fails");
            let steps: Vec<_> =
                shrunk.report.tape().deviations.iter().map(|deviation| deviation.step as usize).collect();
            assert_eq!(steps, numbers, "{shrunk}");
            assert_eq!(shrunk.words().len(), numbers.len());
        }
    }

    #[test]
    fn a_world_that_does_not_fail_is_not_shrunk_and_one_that_always_fails_has_no_deviations() {
        assert!(World::new(1).host("host", || ()).shrink(100).is_none());
        let shrunk = World::new(1).host("host", || {
            (0..20).for_each(|_| {
                chance("fault", 50);
            });
            panic!("always");
        });
        let shrunk = shrunk.shrink(100).expect("it fails");
        assert!(
            shrunk.report.tape().is_empty() && shrunk.to_string().starts_with("fails in the plain order"),
            "{shrunk}"
        );
    }

    #[test]
    fn another_failure_is_not_mistaken_for_the_one_that_is_shrunk() {
        let world = |seed| {
            World::new(seed).host("host", || {
                let [first, second] = [chance("first", 50), chance("second", 50)];
                assert!(!first, "the first");
                assert!(!second, "the second");
            })
        };
        let mut seen = BTreeSet::new();
        for seed in 0..40 {
            let Some(shrunk) = world(seed).shrink(100) else { continue };
            let tape = shrunk.report.tape().to_string();
            assert_eq!(shrunk.report.failures[0].0.text.contains("the first"), tape == "0:1/2c", "{shrunk}");
            seen.insert(tape);
        }
        assert_eq!(seen, ["0:1/2c".to_owned(), "1:1/2c".to_owned()].into());
    }
}
