//! Programs on other people's crates: what their runs said, next to the versions in their lock file, and the table of it
//! in docs/compatibility.md.
//!
//! Called by the lane `compat`, which builds and runs them.

use std::collections::BTreeMap;

/// How often the programs are run; each run has to pass.
pub(crate) const RUNS: usize = 3;

/// The packages of programs that are built with the usual flags, the quick ones first.
pub(crate) const PACKAGES: &[&str] = &["programs", "web", "data", "wire"];

/// Behind the last of a lane's lines in docs/compatibility.md.
const END: &str = "<!-- up to here -->\n";

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
    skipped: usize,
    why: Option<String>,
}

impl Row {
    /// Skipped in every run: there is no such peer on this machine.
    fn is_skipped(&self) -> bool {
        self.skipped == RUNS
    }
}

/// How many programs there are of each kind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Count {
    /// In every run.
    pub(crate) passed: usize,
    /// In any run: one that a crash kept from running has failed.
    pub(crate) failed: usize,
    /// In every run.
    pub(crate) skipped: usize,
}

impl Results {
    /// Reads `NAME passed`, `NAME failed: why` and `NAME skipped: why`; other lines are the programs' own business.
    pub(crate) fn add(&mut self, line: &str) {
        let Some((program, result)) = line.split_once(' ') else {
            return;
        };
        if result == "passed" {
            self.row(program).passed += 1;
        } else if let Some(why) = result.strip_prefix("failed: ") {
            self.row(program).why = Some(why.to_owned());
        } else if let Some(why) = result.strip_prefix("skipped: ") {
            let row = self.row(program);
            row.skipped += 1;
            row.why.get_or_insert_with(|| why.to_owned());
        }
    }

    /// A package of which nothing can be said by its programs.
    pub(crate) fn fail(&mut self, package: &str, why: &str) {
        self.row(&format!("({package})")).why = Some(why.to_owned());
    }

    fn row(&mut self, program: &str) -> &mut Row {
        let at = self.rows.iter().position(|row| row.program == program).unwrap_or_else(|| {
            self.rows.push(Row { program: program.to_owned(), passed: 0, skipped: 0, why: None });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    pub(crate) fn count(&self) -> Count {
        let passed = self.rows.iter().filter(|row| row.passed == RUNS).count();
        let skipped = self.rows.iter().filter(|row| row.is_skipped()).count();
        Count { passed, failed: self.rows.len() - passed - skipped, skipped }
    }

    /// The table for docs/compatibility.md.
    pub(crate) fn table(&self, lock: &str) -> String {
        let versions = versions(lock);
        let mut table = String::from("| program | crate's version | result |\n|---|---|---|\n");
        for row in &self.rows {
            let version = versions.get(row.program.as_str()).map_or_else(|| "?".to_owned(), |of| of.join(", "));
            let result = match &row.why {
                _ if row.passed == RUNS => "passed".to_owned(),
                Some(why) if row.is_skipped() => format!("SKIPPED: {why}"),
                None => format!("passed in {} of {RUNS} runs", row.passed),
                Some(why) => format!("passed in {} of {RUNS} runs; {why}", row.passed),
            };
            table.push_str(&format!("| {} | {version} | {result} |\n", row.program));
        }
        table
    }
}

/// What the lane wrote last; nothing, if the document has no place for it.
pub(crate) fn written_text<'a>(document: &'a str, lane: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&begin(lane))?;
    Some(rest.split_once(END)?.0)
}

fn begin(lane: &str) -> String {
    format!("<!-- written by `cargo xtask {lane}` -->\n")
}

/// The document with this text in the place of what the lane wrote last; nothing, if it has no such place.
pub(crate) fn replace_text(document: &str, lane: &str, text: &str) -> Option<String> {
    let begin = begin(lane);
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{begin}{text}{END}{after}"))
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
        assert_eq!(results.count(), Count { passed: 1, failed: 1, skipped: 0 });
        let table = results.table(LOCK);
        assert!(table.contains("| a | 1.2.3 | passed |\n"), "{table}");
        assert!(table.contains("| b-c | 0.4.0 | passed in 1 of 3 runs; it did not end in time |\n"), "{table}");
    }

    #[test]
    fn a_run_that_is_missing_counts_as_one_that_failed() {
        let mut results = Results::default();
        results.add("a passed");
        assert_eq!(results.count(), Count { passed: 0, failed: 1, skipped: 0 });
        assert!(results.table(LOCK).contains("| a | 1.2.3 | passed in 1 of 3 runs |"));
    }

    #[test]
    fn a_program_without_its_peer_is_skipped_and_a_package_that_does_not_build_has_failed() {
        let mut results = Results::default();
        for _ in 0..RUNS {
            results.add("a skipped: there is no such server");
        }
        results.fail("web", "it does not build");
        assert_eq!(results.count(), Count { passed: 0, failed: 1, skipped: 1 });
        let table = results.table(LOCK);
        assert!(table.contains("| a | 1.2.3 | SKIPPED: there is no such server |"), "{table}");
        assert!(table.contains("| (web) | ? | passed in 0 of 3 runs; it does not build |"), "{table}");
    }

    #[test]
    fn the_text_takes_the_place_of_the_last_one_of_its_lane() {
        let other = format!("<!-- written by `cargo xtask other` -->\nkept\n{END}");
        let document = format!("{other}before\n<!-- written by `cargo xtask compat` -->\nold\n{END}after\n");
        let new = replace_text(&document, "compat", "| new |\n").expect("the place is there");
        assert_eq!(new, document.replace("old", "| new |"));
        assert!(replace_text("no place", "compat", "").is_none());
        assert_eq!(written_text(&new, "compat"), Some("| new |\n"));
        assert_eq!(written_text(&new, "elsewhere"), None);
    }
}
