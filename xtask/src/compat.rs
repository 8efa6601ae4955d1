//! Programs on other people's crates: what their runs said, next to the versions in their lock file.
//!
//! Called by the lane `compat`, which builds and runs them.

use std::collections::BTreeMap;

/// How often the programs are run; each run has to pass.
pub(crate) const RUNS: usize = 3;

/// What all runs said.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// In the order in which the programs were first heard of.
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    program: String,
    passed: usize,
    why: Option<String>,
}

impl Results {
    /// Reads `NAME passed` and `NAME failed: why`; other lines are the programs' own business.
    pub(crate) fn add(&mut self, line: &str) {
        let Some((program, result)) = line.split_once(' ') else {
            return;
        };
        let why = result.strip_prefix("failed: ");
        if result != "passed" && why.is_none() {
            return;
        }
        let at = self.rows.iter().position(|row| row.program == program).unwrap_or_else(|| {
            self.rows.push(Row { program: program.to_owned(), passed: 0, why: None });
            self.rows.len() - 1
        });
        let row = &mut self.rows[at];
        match why {
            None => row.passed += 1,
            Some(why) => row.why = Some(why.to_owned()),
        }
    }

    /// How many there are, and how many of them passed in every run: one that a crash kept from running did not.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.rows.len(), self.rows.iter().filter(|row| row.passed == RUNS).count())
    }

    /// The table for docs/compatibility.md.
    pub(crate) fn table(&self, lock: &str) -> String {
        let versions = versions(lock);
        let mut table = String::from("| program | crate's version | result |\n|---|---|---|\n");
        for row in &self.rows {
            let version = versions.get(row.program.as_str()).map_or_else(|| "?".to_owned(), |of| of.join(", "));
            let result = match &row.why {
                _ if row.passed == RUNS => "passed".to_owned(),
                None => format!("passed in {} of {RUNS} runs", row.passed),
                Some(why) => format!("passed in {} of {RUNS} runs; {why}", row.passed),
            };
            table.push_str(&format!("| {} | {version} | {result} |\n", row.program));
        }
        table
    }
}

/// The versions of each package in a lock file.
fn versions(lock: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut name = "";
    for line in lock.lines() {
        let value = |key: &str| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"');
        if let Some(value) = value("name") {
            name = value;
        } else if let Some(value) = value("version") {
            versions.entry(name).or_default().push(value);
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.2.3\"\n\n[[package]]\nname = \"b-c\"\nversion = \"0.4.0\"\n";

    #[test]
    fn a_program_passes_if_every_run_passed() {
        let mut results = Results::default();
        for _ in 0..RUNS {
            results.add("a passed");
        }
        results.add("b-c passed");
        results.add("b-c failed: it did not end in time");
        results.add("thread 'main' has failed: that is no result of ours, but `thread` is no program either");
        results.add("noise");
        assert_eq!(results.count(), (2, 1));
        let table = results.table(LOCK);
        assert!(table.contains("| a | 1.2.3 | passed |\n"), "{table}");
        assert!(table.contains("| b-c | 0.4.0 | passed in 1 of 3 runs; it did not end in time |\n"), "{table}");
    }

    #[test]
    fn a_run_that_is_missing_counts_as_one_that_failed() {
        let mut results = Results::default();
        results.add("a passed");
        assert_eq!(results.count(), (1, 0));
        assert!(results.table(LOCK).contains("| a | 1.2.3 | passed in 1 of 3 runs |"));
    }
}
