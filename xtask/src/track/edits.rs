//! The steps of a bump, and the files that name the tracked version.
//!
//! Called by `track`.

use std::path::Path;
use std::process::Command;

use crate::tracked::{RECORD, TOKIO};

/// Written by programs, or about the past: no bump edits them.
const NOT_EDITED: &[&str] = &[
    "Cargo.lock",
    "CHANGELOG.md",
    "docs/benchmarks/",
    "docs/decisions/",
    "docs/internals/",
    "xtask/api/",
    "heartbeat.svg",
];

/// One line for each step.
pub(super) fn steps(root: &Path) -> Vec<String> {
    let mut steps = vec![
        format!("1. `TOKIO` and `RECORD` in xtask/src/tracked.rs, and `version` in tokio/Cargo.toml ({TOKIO} now)"),
        format!("2. `cargo xtask api-diff --record` writes the new record; remove {RECORD}"),
        "3. what is missing, in redd/src and tokio/src; new features in tokio/Cargo.toml and decision 0002".to_owned(),
        "4. `cargo xtask suites`, `suites-unstable` and `compat`; docs/compatibility.md and CHANGELOG.md".to_owned(),
        "5. the version in these files:".to_owned(),
    ];
    match files(root) {
        Ok(files) => steps.extend(files.into_iter().map(|file| format!("   {file}"))),
        Err(why) => steps.push(format!("   not listed: {why}")),
    }
    steps
}

/// Each file with the number of its lines that name the tracked version, or Tokio's minor version.
fn files(root: &Path) -> Result<Vec<String>, String> {
    let minor = TOKIO.rsplit_once('.').map_or(TOKIO, |(minor, _)| minor);
    let mut command = Command::new("git");
    command.current_dir(root).args([
        "grep",
        "--count",
        "--fixed-strings",
        "-e",
        TOKIO,
        "-e",
        &format!("Tokio {minor}"),
    ]);
    let output = command.output().map_err(|error| format!("`git` does not start: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok(edited(&String::from_utf8_lossy(&output.stdout)))
}

/// Reads `FILE:COUNT`.
fn edited(listed: &str) -> Vec<String> {
    let files = listed.lines().filter_map(|line| line.rsplit_once(':'));
    let is_edited =
        |file: &str| !NOT_EDITED.iter().any(|part| file.starts_with(part) || file.ends_with(&format!("/{part}")));
    files
        .filter(|(file, _)| is_edited(file))
        .map(|(file, count)| format!("{file}: {count} {}", if count == "1" { "line" } else { "lines" }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_programs_and_of_the_past_are_left_out() {
        let listed = "README.md:2\nCargo.lock:1\ncompat/Cargo.lock:1\nCHANGELOG.md:3\nxtask/api/tokio-1.0.0.txt:1\ntokio/Cargo.toml:1\n";
        assert_eq!(edited(listed), ["README.md: 2 lines", "tokio/Cargo.toml: 1 line"]);
    }
}
