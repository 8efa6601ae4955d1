//! Miri, and a substitute for it: the replacements of `redd/src/sys` for the calls that it does not have.
//!
//! Called by `cargo xtask miri`.
//!
//! Miri is a component of a nightly toolchain. This lane uses it where it is and fetches nothing. The replacements are
//! tested in every case, in a build with `--cfg miri` for the machine itself.

use std::path::Path;
use std::process::Command;

use super::commands::{TestCount, cargo, run_tests, rustflags, rustup_cargo, target_dir};
use super::outcome::Outcome;

/// How many seeds each test runs with, unless `REDD_MIRI_SEEDS` says otherwise. A seed picks addresses, preemptions,
/// the values that weak memory shows, and failures of `compare_exchange_weak`.
const SEEDS: u32 = 4;

/// The tests of `redd/tests` that make no call that Miri lacks.
const TESTS: &[&str] = &["drain", "groups", "io", "metrics", "panics", "sync", "task_local", "tasks", "time"];

/// Parts of the names of tests that need the world outside: sockets, child processes, signals, files.
const OUTSIDE: &[&str] = &[
    "net::",
    "process::",
    "signal::",
    "fs::",
    "driver::readiness",
    "with_a_paused_clock_a_pending_event",
    "a_closed_descriptor_stays_counted",
];

/// Both rules for when a pointer may be used; no program may break either of them.
const MODELS: &[(&str, &str)] = &[("Stacked Borrows", ""), ("Tree Borrows", "-Zmiri-tree-borrows")];

pub(super) fn miri(root: &Path) -> Outcome {
    let shims = replacements(root);
    if !shims.succeeded || shims.passed == 0 {
        return Outcome { passed: false, note: format!("the replacements, without Miri: {shims}") };
    }
    let version = match version(root) {
        Ok(version) => version,
        Err(why) => {
            return Outcome::skipped(format!("{why}; its replacements, on this machine itself: {shims}"));
        }
    };
    let seeds = std::env::var("REDD_MIRI_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let mut notes = vec![format!("{version}, seeds 0..{seeds}")];
    let mut passed = true;
    for (name, flag) in MODELS {
        let mut sum = TestCount { succeeded: true, ..TestCount::default() };
        // One by one, so that a failure stands below the seed that shows it.
        for seed in 0..seeds {
            let count = run_tests(&mut interpreted(root, flag, seed));
            sum.succeeded &= count.succeeded;
            sum.passed += count.passed;
            sum.failed += count.failed;
            sum.ignored += count.ignored;
        }
        passed &= sum.succeeded && sum.passed > 0;
        notes.push(format!("{name}: {sum}"));
    }
    Outcome { passed, note: notes.join("; ") }
}

/// What Miri says of itself. rustup would not install it for the question.
fn version(root: &Path) -> Result<String, String> {
    let asked = rustup_cargo(root)
        .args(["+nightly", "miri", "--version"])
        .output()
        .map_err(|error| format!("`cargo` does not start: {error}"))?;
    if asked.status.success() {
        return Ok(String::from_utf8_lossy(&asked.stdout).trim().to_owned());
    }
    let text = String::from_utf8_lossy(&asked.stderr).into_owned();
    let complaint = text.lines().find(|line| line.starts_with("error:")).unwrap_or("it does not run").trim();
    Err(format!("no Miri here ({})", complaint.trim_start_matches("error: ")))
}

fn interpreted(root: &Path, model: &str, seed: u32) -> Command {
    let mut command = rustup_cargo(root);
    command.args(["+nightly", "miri", "test", "-p", "redd", "--no-fail-fast", "--lib"]);
    for test in TESTS {
        command.args(["--test", test]);
    }
    command.arg("--");
    command.args(OUTSIDE.iter().map(|part| format!("--skip={part}")));
    // Without isolation: tests look at the real clock. Exposed pointers are permitted for one of them, the place that a task
    // waits at, which `task::header` packs into a word. Leaks are ignored, since Miri counts threads that never end, and
    // the thread of the monitor belongs to the process. The lane `asan` looks for leaks.
    let flags =
        format!("-Zmiri-disable-isolation -Zmiri-permissive-provenance -Zmiri-ignore-leaks -Zmiri-seed={seed} {model}");
    command
        .env("MIRIFLAGS", flags.trim())
        .env("PROPTEST_CASES", "4")
        .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1")
        .env("CARGO_TARGET_DIR", target_dir(root).join("miri"));
    command
}

/// The unit tests and some whole runtimes with what replaces the calls that Miri lacks, on this machine itself.
fn replacements(root: &Path) -> TestCount {
    let arguments = [
        "test",
        "-p",
        "redd",
        "--no-fail-fast",
        "--lib",
        "--test",
        "tasks",
        "--test",
        "time",
        "--test",
        "sync",
        "--test",
        "rescue",
    ];
    let mut command = cargo(root, &arguments);
    command
        .env("RUSTFLAGS", rustflags("--cfg miri"))
        .env("CARGO_TARGET_DIR", target_dir(root).join("miri-replacements"));
    run_tests(&mut command)
}
