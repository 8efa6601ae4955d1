//! Tests of Tokio and its companions in simulated worlds: do they pass, and do two processes with one seed do the same?
//!
//! Called by the lane `suites-in-world`.
//!
//! Each thread of a test that builds a runtime gets a world, by `redd/models/runtime_suite_in_world.rs`. Each test runs twice with each seed. Then
//! both processes must have the same verdict and the same hashes of events.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::report::{self, Known};
use super::run::{self, Program, Verdict};
use super::{Suite, build, prepare, unpack};

/// Names of tests that fail in a world, one a line, each with the reason.
const KNOWN: &str = "compat/known-failures-in-world.txt";
/// How long one run may take. Most of those that take longer wait forever, for a thread that has no baton.
const LIMIT: Duration = Duration::from_secs(20);
/// With these reasons a test may pass now and then: threads outside of the world, and real time, follow no seed.
const FOLLOWS_NO_SEED: &[&str] = &["std threads", "std time"];
/// With fewer seeds a known failure that passes is no finding.
pub(crate) const ENOUGH_SEEDS: u64 = 3;
/// With this reason a test fails in some orders alone: as many seeds have to pass before it counts as one that passes.
const IN_SOME_ORDERS: (&str, u64) = ("order", 100);

/// What came of one test, over all seeds.
#[derive(Debug, Default)]
struct Tested {
    /// The seed and the verdict of each run that did not pass. The second run of a seed is here only if the first one passed.
    failed: Vec<(u64, Verdict)>,
    /// It had a world. Other tests build no runtime.
    has_world: bool,
    /// The first difference between the two runs of a seed.
    difference: Option<String>,
}

/// What came of all tests.
#[derive(Debug)]
pub(crate) struct WorldReport {
    known: Vec<Known>,
    tests: BTreeMap<(&'static str, String), Tested>,
    seeds: u64,
}

/// Sums of an area.
#[derive(Debug, Default)]
struct Sum {
    tests: usize,
    in_world: usize,
    passed: usize,
    differ: usize,
    /// How many fail for each reason.
    reasons: BTreeMap<String, usize>,
}

/// Builds `suites` for worlds, and runs the tests whose name contains `only` with the seeds below `seeds`.
///
/// # Errors
/// A sentence, if the tests could not be had at all.
pub(crate) fn run(
    root: &Path,
    target: &Path,
    suites: &'static [Suite],
    seeds: u64,
    only: &str,
) -> Result<WorldReport, String> {
    let known = std::fs::read_to_string(root.join(KNOWN)).map_err(|error| format!("{KNOWN}: {error}"))?;
    let mut report = WorldReport { known: Known::read(&known)?, tests: BTreeMap::new(), seeds };
    let results = target.join("results");
    std::fs::create_dir_all(&results).map_err(|error| format!("{}: {error}", results.display()))?;
    let unpacked = unpack(target, suites)?;
    for suite in suites {
        let folder = prepare(root, target, &unpacked, suite)?;
        let programs = build(&folder, target, suite)?;
        for missing in programs.missing {
            let tested = Tested { failed: vec![(0, Verdict::DoesNotCompile)], ..Tested::default() };
            report.tests.insert((suite.name, missing), tested);
        }
        let tested = run::run_each(&folder, &programs.built, |program, test| {
            let name = format!("{}::{test}", program.name);
            if !name.contains(only) {
                return Ok(None);
            }
            let tested = test_in_worlds(&folder, program, test, seeds, &results)?;
            if report.find(suite.name, &name).is_none() {
                tested.failed.iter().for_each(|(seed, verdict)| println!("{name}: {verdict:?} with seed {seed}"));
            }
            Ok(Some(tested))
        })?;
        report.tests.extend(tested.into_iter().filter_map(|(test, tested)| Some(((suite.name, test), tested?))));
    }
    Ok(report)
}

fn test_in_worlds(folder: &Path, program: &Program, test: &str, seeds: u64, results: &Path) -> Result<Tested, String> {
    let mut tested = Tested::default();
    for seed in 0..seeds {
        let run = |keeps_events| run_in_world(run::command(folder, program), test, seed, results, keeps_events);
        let (verdict, lines) = run(false)?;
        tested.has_world |= !lines.is_empty();
        if verdict != Verdict::Passed {
            tested.failed.push((seed, verdict));
        }
        if verdict == Verdict::TookTooLong {
            break; // It would take so long with each seed.
        }
        if lines.is_empty() || tested.difference.is_some() {
            continue;
        }
        let (other, other_lines) = run(false)?;
        if verdict != other {
            if verdict == Verdict::Passed {
                tested.failed.push((seed, other));
            }
            tested.difference = Some(format!("seed {seed}: {verdict:?}, and then {other:?}"));
        } else if hashes(&lines) != hashes(&other_lines) {
            let (_, one) = run(true)?;
            let (_, other) = run(true)?;
            tested.difference = Some(format!("seed {seed}: {}", first_difference(&one, &other)));
        }
    }
    Ok(tested)
}

/// Runs a test in a world. Returns the lines that its worlds have written.
fn run_in_world(
    mut command: Command,
    test: &str,
    seed: u64,
    results: &Path,
    keeps_events: bool,
) -> Result<(Verdict, Vec<String>), String> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let path: PathBuf = results.join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
    let _ = std::fs::remove_file(&path);
    command.env("REDD_SUITE_SEED", seed.to_string()).env("REDD_SUITE_RESULT", &path);
    // Not on the main thread, whose values outlive the harness.
    command.env("RUST_TEST_THREADS", "2");
    if keeps_events {
        command.env("REDD_SUITE_EVENTS", "1");
    }
    let verdict = run::run_one(command, test, LIMIT)?;
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let _ = std::fs::remove_file(&path);
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    let has_failed = verdict == Verdict::Passed && lines.iter().any(|line| line.starts_with("failure "));
    Ok((if has_failed { Verdict::WorldFailed } else { verdict }, lines))
}

/// The lines with the hashes of worlds. Threads of std that have worlds of their own end in any order.
fn hashes(lines: &[String]) -> Vec<&String> {
    let mut hashes: Vec<_> = lines.iter().filter(|line| line.starts_with("world ")).collect();
    hashes.sort_unstable();
    hashes
}

/// The first events that differ.
fn first_difference(one: &[String], other: &[String]) -> String {
    let events = |lines: &[String]| -> Vec<String> {
        lines.iter().filter_map(|line| line.strip_prefix("event ")).map(str::to_owned).collect()
    };
    let (one, other) = (events(one), events(other));
    let Some(at) = (0..one.len().max(other.len())).find(|at| one.get(*at) != other.get(*at)) else {
        return "the runs with recorded events are equal".to_owned();
    };
    let event = |events: &[String]| events.get(at).map_or("nothing", String::as_str).to_owned();
    format!("event {at}: {} | {}", event(&one), event(&other))
}

impl WorldReport {
    fn find(&self, suite: &str, test: &str) -> Option<&Known> {
        self.known.iter().find(|known| known.is(suite, test))
    }

    /// Sentences about what must be fixed.
    pub(crate) fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for ((suite, test), tested) in &self.tests {
            let Some(known) = self.find(suite, test) else {
                let failed = tested.failed.iter().map(|(seed, verdict)| format!("{verdict:?} with seed {seed}"));
                let differs = tested.difference.iter().map(|difference| format!("two runs differ: {difference}"));
                findings.extend(failed.chain(differs).map(|what| format!("{suite} {test}: {what}")));
                continue;
            };
            let (order, orders) = IN_SOME_ORDERS;
            let enough = if known.reason() == order { orders } else { ENOUGH_SEEDS };
            let may_pass = self.seeds < enough || FOLLOWS_NO_SEED.contains(&known.reason());
            if tested.failed.is_empty() && !may_pass {
                findings.push(format!("{suite} {test}: known to fail, but passed with each seed"));
            }
        }
        findings
    }

    fn sums(&self) -> BTreeMap<(&'static str, &'static str), Sum> {
        let mut sums: BTreeMap<_, Sum> = BTreeMap::new();
        for ((suite, test), tested) in &self.tests {
            let area = report::area(suite, test);
            for area in [area, "all"].into_iter().skip(usize::from(area == "all")) {
                let sum = sums.entry((*suite, area)).or_default();
                sum.tests += 1;
                sum.in_world += usize::from(tested.has_world);
                sum.passed += usize::from(tested.failed.is_empty());
                sum.differ += usize::from(tested.difference.is_some() && tested.failed.is_empty());
                if !tested.failed.is_empty() {
                    let reason = self.find(suite, test).map_or("unknown", Known::reason);
                    *sum.reasons.entry(reason.to_owned()).or_default() += 1;
                }
            }
        }
        sums
    }

    /// One line about each suite.
    pub(crate) fn note(&self, seeds: u64) -> String {
        let sums = self.sums();
        let all = sums.iter().filter(|((_, area), _)| *area == "all");
        let said: Vec<_> = all.map(|((suite, _), sum)| format!("{suite} {} of {}", sum.passed, sum.tests)).collect();
        format!("{}, seeds: {seeds}", said.join(", "))
    }

    /// The sums as a table.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "| tests of | area | tests | in a world | passed | | failed, by reason |\n|---|---|---|---|---|---|---|\n",
        );
        for ((suite, area), Sum { tests, in_world, passed, differ, reasons }) in self.sums() {
            let mut reasons: Vec<_> = reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
            if differ > 0 {
                reasons.push(format!("differ from run to run {differ}"));
            }
            table.push_str(&format!(
                "| {suite} | {area} | {tests} | {in_world} | {passed} | {:.1} % | {} |\n",
                passed as f64 * 100.0 / tests as f64,
                reasons.join(", ")
            ));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "world-tokio sync_a::b: order: they start in another one\n\
                         world-tokio sync_a::c: std threads: one of them sends\n\
                         world-tokio sync_a::e: files: one of the system\n";

    fn report(tests: impl IntoIterator<Item = (&'static str, Tested)>, seeds: u64) -> WorldReport {
        let tests = tests.into_iter().map(|(test, tested)| (("world-tokio", test.to_owned()), tested)).collect();
        WorldReport { known: Known::read(KNOWN).expect("it is in the form"), tests, seeds }
    }

    fn failed() -> Tested {
        Tested { failed: vec![(2, Verdict::WorldFailed)], has_world: true, ..Tested::default() }
    }

    #[test]
    fn what_fails_or_differs_without_a_reason_is_a_finding() {
        let differs = Tested { difference: Some("line 7".to_owned()), ..Tested::default() };
        let report = report([("sync_a::a", failed()), ("sync_a::b", failed()), ("time_a::d", differs)], 3);
        let findings = report.findings();
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert_eq!(findings[0], "world-tokio sync_a::a: WorldFailed with seed 2");
        assert_eq!(findings[1], "world-tokio time_a::d: two runs differ: line 7");
        let table = report.table();
        assert!(table.contains("| world-tokio | sync | 2 | 2 | 0 | 0.0 % | order 1, unknown 1 |\n"), "{table}");
        assert!(table.contains("| world-tokio | time | 1 | 0 | 1 | 100.0 % | differ from run to run 1 |\n"), "{table}");
    }

    #[test]
    fn a_known_failure_that_passes_with_enough_seeds_is_a_finding_unless_it_follows_no_seed() {
        let both = || [("sync_a::c", Tested::default()), ("sync_a::e", Tested::default())];
        assert_eq!(report(both(), 2).findings(), Vec::<String>::new());
        let findings = report(both(), 3).findings();
        assert_eq!(findings, ["world-tokio sync_a::e: known to fail, but passed with each seed"]);
    }

    #[test]
    fn a_test_that_relies_on_an_order_passes_only_after_many_seeds() {
        let one = || [("sync_a::b", Tested::default())];
        assert_eq!(report(one(), 99).findings(), Vec::<String>::new());
        let findings = report(one(), 100).findings();
        assert_eq!(findings, ["world-tokio sync_a::b: known to fail, but passed with each seed"]);
    }

    #[test]
    fn hashes_of_worlds_are_compared_without_their_order() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let (one, other) = (lines("world 01 5\nfailure x\nworld 02 6"), lines("world 02 6\nworld 01 5"));
        assert_eq!(hashes(&one), hashes(&other));
        assert_ne!(hashes(&one), hashes(&one[1..]));
        let (one, other) = (lines("world 01 2\nevent a\nevent b"), lines("world 02 1\nfailure x\nevent a"));
        assert_eq!(first_difference(&one, &other), "event 1: b | nothing");
    }
}
