//! Instructions per operation of the hot paths: counted under callgrind, compared with those of the repository.
//!
//! Called by the lane `instructions`; `cargo xtask instructions --bless` writes the counts anew. A count is the
//! difference of two runs of unlike length, so that startup and warming up cancel.

use std::path::Path;
use std::process::Command;

/// Where the counts are.
pub(crate) const STORED: &str = "bench/instructions.txt";
/// How far a count may be from the stored one.
const TOLERANCE: f64 = 0.03;
/// Differences up to this many instructions are no finding: three percent of a small count is less than one.
const SLACK: f64 = 2.0;
/// The lengths of the two runs; multiples of the rows' batches, and the first one warms up what there is to warm up.
const SHORT: u64 = 2_000;
const LONG: u64 = 6_000;

/// What a comparison says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) lines: Vec<String>,
    pub(crate) failed: Vec<String>,
}

/// The valgrind that is installed, after an attempt to install it where that needs no question: as root, with apt.
pub(crate) fn valgrind() -> Result<String, String> {
    if let Some(version) = first_line("valgrind", &["--version"]) {
        return Ok(version);
    }
    if first_line("id", &["-u"]).as_deref() == Some("0") {
        let arguments = ["install", "--yes", "--no-install-recommends", "valgrind"];
        println!("  $ apt-get {}", arguments.join(" "));
        let _ = Command::new("apt-get").args(arguments).status();
    }
    first_line("valgrind", &["--version"])
        .ok_or_else(|| "valgrind is not installed; `apt-get install valgrind`".to_owned())
}

/// What the counts depend on beside the source.
pub(crate) fn toolchain() -> String {
    let rustc = first_line("rustc", &["--version"]).unwrap_or_else(|| "rustc ?".to_owned());
    format!("{rustc}, {}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
}

/// Counts all rows of the program.
pub(crate) fn count(program: &Path) -> Result<Vec<(String, f64)>, String> {
    let names =
        Command::new(program).output().map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    let names = String::from_utf8_lossy(&names.stdout).into_owned();
    let mut counts = Vec::new();
    for name in names.lines() {
        let (short, long) = (run(program, name, SHORT)?, run(program, name, LONG)?);
        counts.push((name.to_owned(), long.saturating_sub(short) as f64 / (LONG - SHORT) as f64));
    }
    Ok(counts)
}

/// The instructions of one run.
fn run(program: &Path, row: &str, length: u64) -> Result<u64, String> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program).args([row, &length.to_string()]);
    let output = command.output().map_err(|error| format!("cannot start valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    match collected(&text) {
        Some(count) if output.status.success() => Ok(count),
        _ => Err(format!("`{row} {length}` failed under callgrind:\n{text}")),
    }
}

/// Reads `==123== Collected : 4567`.
fn collected(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

/// The text to store.
pub(crate) fn stored_text(toolchain: &str, counts: &[(String, f64)]) -> String {
    let mut text = format!(
        "# Instructions in user space per operation of the rows of bench/instructions, under callgrind.\n\
         # Checked by `cargo xtask instructions` to {} %, written by `cargo xtask instructions --bless`. Counts of another\n\
         # toolchain are shown beside these and do not fail: a compiler's choices are no regression of the source.\n\
         toolchain: {toolchain}\n",
        TOLERANCE * 100.0
    );
    counts.iter().for_each(|(name, count)| text.push_str(&format!("{name}: {count:.1}\n")));
    text
}

/// Compares with the stored text. A count that fell by more than the tolerance fails as well, or the next loss would
/// hide in the gain.
pub(crate) fn compare(stored: &str, toolchain: &str, counts: &[(String, f64)]) -> Comparison {
    let value = |key: &str| stored.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
    let mut comparison = Comparison::default();
    let is_same = value("toolchain") == Some(toolchain);
    if !is_same {
        let theirs = value("toolchain").unwrap_or("(none)");
        comparison.lines.push(format!("stored for {theirs}, this is {toolchain}: shown, not judged"));
    }
    for (name, count) in counts {
        let Some(before) = value(name).and_then(|text| text.parse::<f64>().ok()) else {
            comparison.lines.push(format!("{name:<24} {count:>9.1}  not stored"));
            comparison.failed.push(format!("{name} is not stored"));
            continue;
        };
        let change = (count - before) / before;
        comparison.lines.push(format!("{name:<24} {count:>9.1}  stored {before:>9.1}  {:+.1} %", change * 100.0));
        if is_same && change.abs() > TOLERANCE && (count - before).abs() > SLACK {
            comparison.failed.push(format!("{name} {:+.1} %", change * 100.0));
        }
    }
    comparison
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, f64)]) -> Vec<(String, f64)> {
        of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn counts_within_the_tolerance_pass_and_others_are_named() {
        let stored = stored_text("rustc 1", &counts(&[("a", 100.0), ("b", 100.0), ("c", 100.0), ("d", 20.0)]));
        let now = counts(&[("a", 102.9), ("b", 104.0), ("c", 96.0), ("d", 21.5), ("e", 1.0)]);
        assert_eq!(compare(&stored, "rustc 1", &now).failed, ["b +4.0 %", "c -4.0 %", "e is not stored"]);
    }

    #[test]
    fn another_compiler_is_shown_and_not_judged() {
        let stored = stored_text("rustc 1", &counts(&[("a", 100.0)]));
        let comparison = compare(&stored, "rustc 2", &counts(&[("a", 200.0)]));
        assert_eq!(comparison.failed, [""; 0]);
        assert!(comparison.lines[0].contains("rustc 1") && comparison.lines[1].contains("+100.0 %"), "{comparison:?}");
    }

    #[test]
    fn the_sum_is_read_from_the_end_of_a_run() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 4567\n==7==\n"), Some(4567));
        assert_eq!(collected("==7== valgrind: failed"), None);
    }
}
