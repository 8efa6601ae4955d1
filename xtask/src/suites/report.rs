//! What came of the tests, next to the failures that are known.
//!
//! Called by `suites`.

use std::collections::BTreeMap;

use super::run::Verdict;
use crate::plural::count;

/// Areas of Tokio's tests that do not run: no world has processes, signals are those of hosts, and tests of files make their
/// directories with std, outside of the world's disk.
const NOT_RUN: &[&str] = &["fs", "process", "signal"];

/// A known failure is known by its whole name, or by the beginning of it before a `*`.
#[derive(Debug)]
pub(super) struct Known {
    suite: String,
    test: String,
    /// The reason.
    why: String,
    /// Whether it compares words of a message: such tests are counted apart.
    is_wording: bool,
}

impl Known {
    /// Reads the lines `SUITE TEST: why`.
    pub(super) fn read(lines: &str) -> Result<Vec<Self>, String> {
        let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines
            .map(|line| {
                let (name, why) =
                    line.split_once(": ").ok_or_else(|| format!("a known failure without a reason: {line}"))?;
                let (suite, test) =
                    name.split_once(' ').ok_or_else(|| format!("a known failure without a test: {line}"))?;
                let is_wording = why.starts_with("words");
                Ok(Self { suite: suite.to_owned(), test: test.to_owned(), why: why.to_owned(), is_wording })
            })
            .collect()
    }

    /// The reason up to a colon: tests with one such reason are counted together.
    pub(super) fn reason(&self) -> &str {
        self.why.split_once(": ").map_or(&self.why, |(reason, _)| reason)
    }

    pub(super) fn is(&self, suite: &str, test: &str) -> bool {
        self.suite == suite
            && match self.test.split_once('*') {
                None => self.test == test,
                Some((start, end)) => {
                    test.len() >= start.len() + end.len() && test.starts_with(start) && test.ends_with(end)
                }
            }
    }
}

/// Of one test, over all runs.
#[derive(Clone, Copy, Debug, Default)]
struct WorkerCounters {
    passed: usize,
    not: usize,
    does_not_compile: bool,
}

/// All that is known of all tests.
#[derive(Debug)]
pub(crate) struct Report {
    known: Vec<Known>,
    /// By suite and test.
    tests: BTreeMap<(&'static str, String), WorkerCounters>,
}

/// Sums of a suite or one of its areas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    passed: usize,
    failed: usize,
    wording: usize,
}

impl Report {
    /// Reads the known failures: `SUITE TEST: why` or, for the words of a message, `SUITE TEST: words…`.
    pub(super) fn new(known: &str) -> Result<Self, String> {
        let known = Known::read(known)?;
        Ok(Self { known, tests: BTreeMap::new() })
    }

    pub(super) fn add(&mut self, suite: &'static str, test: &str, verdict: Verdict) {
        let counters = self.tests.entry((suite, test.to_owned())).or_default();
        match verdict {
            Verdict::Passed => counters.passed += 1,
            Verdict::Failed | Verdict::TookTooLong | Verdict::WorldFailed | Verdict::DoesNotCompile => {
                counters.not += 1
            }
        }
        counters.does_not_compile |= verdict == Verdict::DoesNotCompile;
        if verdict != Verdict::Passed && self.find(suite, test).is_none() {
            println!("{suite}: {test}: {verdict:?}");
        }
    }

    fn find(&self, suite: &str, test: &str) -> Option<&Known> {
        self.known.iter().find(|known| known.is(suite, test))
    }

    /// Sentences about what must be fixed: new failures, flaky tests, and known failures that pass now.
    pub(crate) fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for ((suite, test), counters) in &self.tests {
            let known = self.find(suite, test).is_some();
            let runs = counters.passed + counters.not;
            if counters.does_not_compile && !known {
                findings.push(format!("{suite} {test}: does not compile"));
            } else if counters.not > 0 && !known {
                findings.push(format!("{suite} {test}: failed in {} of {}", counters.not, count(runs, "run")));
            } else if known && counters.passed > 0 {
                findings.push(format!(
                    "{suite} {test}: known to fail, but passed in {} of {}",
                    counters.passed,
                    count(runs, "run")
                ));
            }
        }
        findings
    }

    /// Tests by suite, and Tokio's own by area: a test counts as passed if it did in each run.
    pub(crate) fn sums(&self) -> BTreeMap<(&'static str, &str), Sum> {
        let mut sums: BTreeMap<(&'static str, &str), Sum> = BTreeMap::new();
        for ((suite, test), counters) in &self.tests {
            let area = area(suite, test);
            for area in [area, "all"].into_iter().skip(usize::from(area == "all")) {
                let sum = sums.entry((suite, area)).or_default();
                if counters.not == 0 {
                    sum.passed += 1;
                } else if self.find(suite, test).is_some_and(|known| known.is_wording) {
                    sum.wording += 1;
                } else {
                    sum.failed += 1;
                }
            }
        }
        sums
    }

    /// One line about each suite.
    pub(crate) fn note(&self, runs: usize) -> String {
        let sums = self.sums();
        let all = sums.iter().filter(|((_, area), _)| *area == "all");
        let said: Vec<_> =
            all.map(|((suite, _), sum)| format!("{suite} {} of {}", sum.passed, sum.passed + sum.failed)).collect();
        format!("{}, runs: {runs}", said.join(", "))
    }

    /// The sums as a table.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "| tests of | area | tests | passed | failed | words of a message |\n|---|---|---|---|---|---|\n",
        );
        for ((suite, area), Sum { passed, failed, wording }) in self.sums() {
            table.push_str(&format!(
                "| {suite} | {area} | {} | {passed} | {failed} | {wording} |\n",
                passed + failed + wording
            ));
        }
        table
    }
}

/// Whether a file of tests runs in worlds.
pub(super) fn has_world(suite: &str, file: &str) -> bool {
    !NOT_RUN.contains(&area(suite, file))
}

/// Tokio's files are named after the area they test.
pub(super) fn area(suite: &str, test: &str) -> &'static str {
    const AREAS: &[(&str, &[&str])] = &[
        ("fs", &["fs"]),
        ("io", &["io_", "buffered", "duplex_"]),
        ("macros", &["macros_"]),
        ("net", &["net_", "tcp_", "udp", "uds_", "unix_"]),
        ("process", &["process_"]),
        ("rt", &["rt_", "no_rt", "dump"]),
        ("signal", &["signal_"]),
        ("sync", &["sync_"]),
        ("task", &["task_", "join_handle_", "coop_"]),
        ("time", &["time_", "test_clock"]),
        ("tracing", &["tracing_"]),
    ];
    if ["tokio", "tokio-unstable", "world-tokio"].contains(&suite) {
        let is_in = |starts: &[&str]| starts.iter().any(|start| test.starts_with(start));
        return AREAS.iter().find(|(_, starts)| is_in(starts)).map_or("other", |(name, _)| name);
    }
    "all"
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str =
        "# why\ntokio macros_join::size*: they are smaller\ntokio rt_basic::*says: words of a message\n";

    #[test]
    fn known_failures_are_told_from_new_ones() {
        let mut report = Report::new(KNOWN).expect("it is in the form");
        report.add("tokio", "macros_join::size_1", Verdict::Failed);
        report.add("tokio", "rt_basic::a::says", Verdict::Failed);
        report.add("tokio", "rt_basic::runs", Verdict::Passed);
        assert_eq!(report.findings(), Vec::<String>::new());
        report.add("tokio", "rt_basic::runs", Verdict::TookTooLong);
        report.add("tokio", "macros_join::size_1", Verdict::Passed);
        let findings = report.findings();
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].ends_with("known to fail, but passed in 1 of 2 runs"), "{findings:?}");
        assert!(findings[1].ends_with("rt_basic::runs: failed in 1 of 2 runs"), "{findings:?}");
        report.add("tokio", "rt_new", Verdict::DoesNotCompile);
        assert_eq!(report.findings()[2], "tokio rt_new: does not compile");
    }

    #[test]
    fn sums_are_by_area_and_count_words_apart() {
        let mut report = Report::new(KNOWN).expect("it is in the form");
        report.add("tokio", "macros_join::size_1", Verdict::Failed);
        report.add("tokio", "rt_basic::a::says", Verdict::Failed);
        report.add("tokio", "rt_basic::runs", Verdict::Passed);
        let table = report.table();
        assert!(table.contains("| tokio | all | 3 | 1 | 1 | 1 |\n"), "{table}");
        assert!(table.contains("| tokio | rt | 2 | 1 | 0 | 1 |\n"), "{table}");
    }

    #[test]
    fn a_known_failure_needs_a_reason() {
        assert!(Report::new("tokio rt_basic::runs\n").is_err());
    }
}
