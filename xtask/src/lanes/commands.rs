//! Commands as lanes run them: cargo and its flags and folders, and the sums of test runs.
//!
//! Called by every lane.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::plural::count;

/// The cargo that runs us, in the repository.
pub(super) fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(arguments);
    remove_own_variables(&mut command);
    // What incremental builds keep takes as much disk as the programs, and a clean checkout has no use for it.
    if std::env::var_os("CARGO_INCREMENTAL").is_none() {
        command.env("CARGO_INCREMENTAL", "0");
    }
    command
}

/// rustup's cargo, which takes `+TOOLCHAIN` as its first argument; the one that runs us belongs to one toolchain.
pub(super) fn rustup_cargo(root: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root);
    remove_own_variables(&mut command);
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(name);
    }
    // A toolchain that is missing is a reason to skip, and not to fetch one.
    command.env("RUSTUP_AUTO_INSTALL", "0");
    command
}

/// What `cargo run` sets for this crate must not leak into builds of others.
pub(super) fn remove_own_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
}

pub(super) fn passes(command: &mut Command) -> bool {
    println!("  $ {}", shown(command));
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("cannot start `{}`: {error}", shown(command));
            false
        }
    }
}

pub(super) fn shown(command: &Command) -> String {
    let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ")
}

/// A package with a library of this text.
pub(super) fn write_package(folder: &Path, manifest: &str, text: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(folder.join("src"))?;
    std::fs::write(folder.join("Cargo.toml"), manifest)?;
    std::fs::write(folder.join("src/lib.rs"), text)
}

/// The caller's flags and ours.
pub(super) fn rustflags(ours: &str) -> String {
    match std::env::var("RUSTFLAGS") {
        Ok(theirs) if !theirs.is_empty() => format!("{theirs} {ours}"),
        _ => ours.to_owned(),
    }
}

/// The seed of the deep lanes: a new one each day, which the lane prints.
pub(super) fn fresh_seed() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a lane's seed is not the runtime's time")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs() / 86_400 * 1_000_000)
}

pub(super) fn target_dir(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// The sums of a test run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TestCount {
    pub(super) succeeded: bool,
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) ignored: u64,
    /// The combinations, seeds or inputs of programs that generate their cases.
    pub(super) cases: u64,
}

impl std::fmt::Display for TestCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} ignored", self.passed, self.failed, self.ignored)?;
        if self.cases > 0 { write!(f, ", {}", count(self.cases, "case")) } else { Ok(()) }
    }
}

impl TestCount {
    /// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; …`, and `3 passed, 0 failed` of a program without harness.
    pub(super) fn add(&mut self, line: &str) {
        let of_harness = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "));
        let numbers = match of_harness {
            Some((_, numbers)) => numbers,
            None if line.ends_with(" failed") && line.contains(" passed, ") => line,
            None => return,
        };
        for part in numbers.split(&[';', ',']).map(str::trim) {
            if let Some((number, what)) = part.split_once(' ') {
                let number = number.parse().unwrap_or(0);
                match what {
                    "passed" => self.passed += number,
                    "cases passed" => self.cases += number,
                    "failed" => self.failed += number,
                    "ignored" => self.ignored += number,
                    _ => {}
                }
            }
        }
    }
}

/// Runs tests, shows their output as it comes, and adds up their results.
pub(super) fn run_tests(command: &mut Command) -> TestCount {
    let mut count = TestCount::default();
    let succeeded = for_each_line(command, |line| count.add(line));
    TestCount { succeeded, ..count }
}

/// Runs a command and shows its output as it comes. Returns whether the command succeeded.
pub(super) fn for_each_line(command: &mut Command, mut take: impl FnMut(&str)) -> bool {
    println!("  $ {}", shown(command));
    let mut child = match command.stdout(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("cannot start `{}`: {error}", shown(command));
            return false;
        }
    };
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            take(&line);
        }
    }
    child.wait().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_test_programs_add_up() {
        let mut count = TestCount::default();
        count.add("running 3 tests");
        count.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.0s");
        count.add("4 passed, 1 failed");
        count.add("900 cases passed, 0 failed");
        count.add("some test that passed, or failed");
        count.add("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0s");
        assert_eq!(count, TestCount { succeeded: false, passed: 8, failed: 3, ignored: 1, cases: 900 });
    }
}
