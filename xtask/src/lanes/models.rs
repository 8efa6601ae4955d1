//! Models of the concurrent parts: loom tries every interleaving within a bound, shuttle picks schedules at random.
//!
//! Called by `cargo xtask loom`, `loom-shadow` and `shuttle`.

use std::path::Path;
use std::process::Command;

use super::commands::{TestCount, cargo, for_each_line, fresh_seed, rustflags, target_dir};
use super::mistakes;
use super::outcome::Outcome;
use crate::plural;

pub(super) fn loom(root: &Path) -> Outcome {
    models(root, Shadow::Off)
}

pub(super) fn loom_with_shadow(root: &Path) -> Outcome {
    models(root, Shadow::On)
}

/// Whether loom's atomics have a shadow: see `redd/models/primitives/atomic.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shadow {
    Off,
    On,
}

fn models(root: &Path, shadow: Shadow) -> Outcome {
    let mut filters = vec!["loom_"];
    if shadow == Shadow::On {
        // Some mistakes show only at the usual bound. The lane `loom` checks that they are caught.
        filters.extend(["--skip", "catches", "--skip", "caught", "--skip", "mistake"]);
    }
    let target = target_dir(root).join("loom");
    let (mut count, mut models) = run_models(&mut loom_command(root, &target, shadow, &filters));
    if count.succeeded && count.passed == 0 {
        eprintln!("no model ran: the filter `loom_` matched nothing, so this lane would prove nothing");
    }
    let mut passed = count.succeeded && count.passed > 0;
    if passed && shadow == Shadow::Off {
        passed = in_seeded_copy(root, &target, &mut count, &mut models, |copy| {
            // In the copy every mistake is off but that of the test: the other models would run as before.
            loom_command(copy, &target, shadow, &[PATCHED, "--skip=shuttle_"])
        });
    }
    let note = format!(
        "models: {count}; {}; {} of {} caught",
        plural::count(models.executions, "execution"),
        models.caught,
        plural::count(models.mistakes, "seeded mistake")
    );
    Outcome { passed, note }
}

/// The end of the names of tests that need a mistake of `redd/models/mistakes.txt`.
const PATCHED: &str = "::patched";

/// Runs tests in the copy with the seeded mistakes, and adds up. False if they failed, or if there were none.
fn in_seeded_copy(
    root: &Path,
    target: &Path,
    count: &mut TestCount,
    models: &mut ModelCount,
    command: impl FnOnce(&Path) -> Command,
) -> bool {
    let copy = match mistakes::seeded_copy(root, target) {
        Ok(copy) => copy,
        Err(why) => {
            eprintln!("{why}");
            return false;
        }
    };
    let (more, more_models) = run_models(&mut command(&copy));
    if more.succeeded && more.passed == 0 {
        eprintln!("no seeded mistake was tried: no test of the copy is named `…{PATCHED}`, see `mistake!`");
    }
    count.passed += more.passed;
    count.failed += more.failed;
    count.ignored += more.ignored;
    models.executions += more_models.executions;
    models.mistakes += more_models.mistakes;
    models.caught += more_models.caught;
    more.succeeded && more.passed > 0
}

fn loom_command(root: &Path, target: &Path, shadow: Shadow, filters: &[&str]) -> Command {
    let mut command = cargo(root, &["test", "--release", "--lib", "-p", "redd", "--", "--test-threads=1"]);
    command
        .args(filters)
        .env("RUSTFLAGS", rustflags("--cfg loom"))
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
        // A search that is cut off says nothing; a model that is too large must be made smaller.
        .env_remove("LOOM_MAX_DURATION")
        .env_remove("LOOM_MAX_PERMUTATIONS");
    // With shadows a bound of 2 takes more than the deep lanes have time for.
    let (preemptions, branches) = match shadow {
        Shadow::Off => ("2", "10000"),
        Shadow::On => {
            command.env("REDD_SHADOW", "1");
            ("1", "40000")
        }
    };
    for (name, value) in [("LOOM_MAX_PREEMPTIONS", preemptions), ("LOOM_MAX_BRANCHES", branches)] {
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
    command
}

/// Runs tests, shows their output as it comes, and adds up their results and what the models print.
fn run_models(command: &mut Command) -> (TestCount, ModelCount) {
    let (mut count, mut models) = (TestCount::default(), ModelCount::default());
    count.succeeded = for_each_line(command, |line| {
        count.add(line);
        models.add(line);
    });
    (count, models)
}

/// Schedules of each model in `deep`.
const DEEP_SCHEDULES: u64 = 10_000;

pub(super) fn shuttle(root: &Path) -> Outcome {
    shuttle_from(root, DEEP_SCHEDULES, fresh_seed(), "")
}

/// `cargo xtask shuttle --seeds N --from S MODEL`.
pub(crate) fn run_shuttle(root: &Path, seeds: u64, from: u64, model: &str) -> bool {
    let outcome = shuttle_from(root, seeds, from, model);
    println!("shuttle: {}", outcome.note);
    outcome.passed
}

/// Runs the models in schedules that shuttle picks; a failing one prints the line that replays it.
fn shuttle_from(root: &Path, seeds: u64, from: u64, model: &str) -> Outcome {
    // Loom's mistakes are those of loom: some need weak memory, which shuttle has not.
    // Those of shuttle are called `shuttle_notices_…`.
    const ALL: &[&str] =
        &["loom_", "shuttle_", "--skip=loom_catches", "--skip=_catches_", "--skip=caught", "--skip=mistake"];
    let (target, one) = (target_dir(root).join("shuttle"), [model]);
    let command = |root: &Path, filters: &[&str]| {
        let mut command = cargo(root, &["test", "--release", "--lib", "-p", "redd", "--", "--test-threads=1"]);
        command
            .args(filters)
            .env("RUSTFLAGS", rustflags("--cfg shuttle"))
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
            .env("REDD_SCHEDULES", seeds.to_string())
            .env("REDD_SEED", from.to_string());
        command
    };
    let (mut count, mut models) = run_models(&mut command(root, if model.is_empty() { ALL } else { &one }));
    // A name that is not found may be that of a test in the copy.
    if count.succeeded && (model.is_empty() || count.passed == 0) {
        let filters = [if model.is_empty() { "shuttle_notices" } else { model }, "--skip=loom_"];
        count.succeeded = in_seeded_copy(root, &target, &mut count, &mut models, |copy| command(copy, &filters));
    }
    let note = format!("models: {count}; {}, from seed {from}", plural::count(models.executions, "schedule"));
    Outcome { passed: count.succeeded && count.passed > 0, note }
}

/// What the models say between the words of the test harness.
#[derive(Debug, Default, PartialEq, Eq)]
struct ModelCount {
    executions: u64,
    mistakes: u64,
    caught: u64,
}

impl ModelCount {
    /// Reads `test a::loom_b - should panic ... executions: 7; ok`.
    fn add(&mut self, line: &str) {
        let Some((name, rest)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) else { return };
        let counts = rest.split("executions: ").skip(1);
        self.executions += counts.filter_map(|text| text.split(';').next()?.parse::<u64>().ok()).sum::<u64>();
        if name.ends_with(" - should panic") {
            self.mistakes += 1;
            self.caught += u64::from(rest.ends_with("ok"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executions_and_mistakes_of_models_are_counted() {
        let mut count = ModelCount::default();
        count.add("test a::loom_b ... executions: 12; executions: 3; ok");
        count.add("test a::loom_catches_c - should panic ... executions: 7; ok");
        count.add("test a::loom_catches_d - should panic ... executions: 1; FAILED");
        count.add("test a::e ... ok");
        assert_eq!(count, ModelCount { executions: 23, mistakes: 2, caught: 1 });
    }
}
