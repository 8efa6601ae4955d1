//! What redd is next to Tokio: other people's tests, and other people's programs.
//!
//! Called by `cargo xtask suites`, `suites-unstable`, `suites-in-world`, `compat` and `switch`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::commands::{cargo, for_each_line, passes, rustflags, shown, target_dir, write_package};
use super::outcome::Outcome;
use crate::plural::count;
use crate::{compat, dependencies, peers, suites, switch};

pub(super) fn stable_suites(root: &Path) -> Outcome {
    suites(root, "suites", suites::STABLE, 1)
}

pub(super) fn unstable_suites(root: &Path) -> Outcome {
    suites(root, "suites-unstable", suites::UNSTABLE, 1)
}

/// The lane `suites`, so many times in a row: a test that passes in some of the runs is a finding.
pub(crate) fn run_suites(root: &Path, runs: usize) -> bool {
    let outcome = suites(root, "suites", suites::STABLE, runs);
    println!("{}", outcome.note);
    outcome.passed
}

/// Runs Tokio's tests of another version, of all files or of those with a text in their name; returns a sentence for each that must be looked at, and how many passed.
///
/// # Errors
/// A sentence, if they could not be had, or none was built.
pub(crate) fn suite_of_tokio(
    root: &Path,
    version: &'static str,
    only: &'static str,
) -> Result<(Vec<String>, String), String> {
    let suite = suites::of_tokio(version, only);
    let report = suites::run(root, &compat_target_dir(root).join("suites"), &[suite], 1)?;
    Ok((report.findings(), report.note(1)))
}

/// Runs other people's tests, and writes its table into docs/compatibility.md.
fn suites(root: &Path, lane: &str, suites: &[suites::Suite], runs: usize) -> Outcome {
    let report = match suites::run(root, &compat_target_dir(root).join("suites"), suites, runs) {
        Ok(report) => report,
        Err(why) => {
            eprintln!("{why}");
            return Outcome { passed: false, note: "they could not be run".to_owned() };
        }
    };
    let table = report.table();
    println!("\n{table}");
    let findings = report.findings();
    for finding in &findings {
        println!("{finding}");
    }
    Outcome { passed: write_result(root, lane, runs, &table) && findings.is_empty(), note: report.note(runs) }
}

/// Runs Tokio's own tests in worlds, and writes its table into docs/compatibility.md.
pub(super) fn suites_in_world(root: &Path) -> Outcome {
    let (table, outcome) = run_in_world(root, &suites::IN_WORLD[..1], suites::ENOUGH_SEEDS, "");
    let written = !table.is_empty() && write_result(root, "suites-in-world", suites::ENOUGH_SEEDS as usize, &table);
    Outcome { passed: outcome.passed && written, note: outcome.note }
}

/// `cargo xtask suites-in-world --seeds N [TEXT]`: as many seeds of the tests with that text in their name, those of the companions too.
pub(crate) fn run_suites_in_world(root: &Path, seeds: u64, only: &str) -> bool {
    let (_, outcome) = run_in_world(root, suites::IN_WORLD, seeds, only);
    println!("{}", outcome.note);
    outcome.passed
}

fn run_in_world(root: &Path, suites: &'static [suites::Suite], seeds: u64, only: &str) -> (String, Outcome) {
    let report = match suites::run_in_worlds(root, &compat_target_dir(root).join("suites"), suites, seeds, only) {
        Ok(report) => report,
        Err(why) => {
            eprintln!("{why}");
            return (String::new(), Outcome { passed: false, note: "they could not be run".to_owned() });
        }
    };
    let table = report.table();
    println!("\n{table}");
    let findings = report.findings();
    for finding in &findings {
        println!("{finding}");
    }
    (table, Outcome { passed: findings.is_empty(), note: report.note(seeds) })
}

/// Builds the workspace in `compat`, starts the peers of its programs, runs them, and writes down what they said.
pub(super) fn run_compat(root: &Path) -> Outcome {
    const LOCK: &str = "compat/Cargo.lock";
    let failed = |note: &str| Outcome { passed: false, note: note.to_owned() };
    let (usual, console) = (compat_target_dir(root), compat_target_dir(root).join("console"));
    for (folder, packages) in [(&usual, compat::PACKAGES), (&console, &["console"])] {
        for package in packages {
            // What an earlier build has left must not pass for what this one could not build.
            let _ = std::fs::remove_file(folder.join("debug").join(package));
        }
    }
    let build = ["build", "--manifest-path", "compat/Cargo.toml", "--keep-going"];
    let mut is_built = passes(cargo(root, &build).env("CARGO_TARGET_DIR", &usual));
    // Its crate refuses to work without this flag, which changes every crate, and so it has a folder of its own.
    is_built &= passes(
        cargo(root, &build)
            .args(["-p", "console"])
            .env("RUSTFLAGS", rustflags("--cfg tokio_unstable"))
            .env("CARGO_TARGET_DIR", &console),
    );
    // Read after the build, which may have changed it; and also if it failed, which the real Tokio would explain.
    let lock = std::fs::read_to_string(root.join(LOCK)).unwrap_or_default();
    let findings = dependencies::check_lock(LOCK, &lock);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() || !lock.contains("\nname = \"tokio\"\n") {
        return failed("the lock file has no facade, or more than the facade");
    }
    if !falls_back_loudly(root) {
        return failed("`assert_active!` does not compile with the facade, or compiles without it");
    }
    let peers = peers::start();
    let mut results = compat::Results::default();
    let mut succeeded = is_built;
    for _ in 0..compat::RUNS {
        for package in compat::PACKAGES {
            succeeded &= run_package(&usual, package, &peers, &mut results);
        }
        succeeded &= run_package(&console, "console", &peers, &mut results);
    }
    drop(peers);
    let table = results.table(&lock);
    println!("\n{table}");
    succeeded &= write_result(root, "compat", compat::RUNS, &table);
    let counts = results.count();
    let note = format!(
        "programs: {} passed, {} failed, {} skipped, {} runs each",
        counts.passed,
        counts.failed,
        counts.skipped,
        compat::RUNS
    );
    Outcome { passed: succeeded && counts.passed > 0 && counts.failed == 0, note }
}

/// Switches all programs, and writes the table of them.
pub(super) fn switch_all(root: &Path) -> Outcome {
    switch_programs(root, &[], true)
}

/// `cargo xtask switch [--write] NAME…`: these programs, and with `--write` their rows of the table.
pub(crate) fn run_switch(root: &Path, words: &[&str]) -> bool {
    let names: Vec<&str> = words.iter().copied().filter(|word| *word != "--write").collect();
    let outcome = switch_programs(root, &names, names.len() < words.len());
    println!("\n{}", outcome.note);
    outcome.passed
}

/// Those of these names, or all. The table is written behind each program: the whole takes an hour.
fn switch_programs(root: &Path, names: &[&str], writes: bool) -> Outcome {
    if let Some(name) = names.iter().find(|name| switch::PROGRAMS.iter().all(|program| program.name != **name)) {
        return Outcome { passed: false, note: format!("`{name}` is not on the list in xtask/src/switch/programs.rs") };
    }
    if !passes(&mut cargo(root, &["build", "--quiet", "--package", "redd-cli", "--bin", "cargo-redd"])) {
        return Outcome { passed: false, note: "`cargo redd` cannot be built".to_owned() };
    }
    let (target, tool) = (target_dir(root).join("switch"), target_dir(root).join("debug/cargo-redd"));
    let lane = switch::Lane { root, target: &target, tool: &tool };
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    for program in switch::PROGRAMS.iter().filter(|program| names.is_empty() || names.contains(&program.name)) {
        println!("{}", program.name);
        match switch::switch(&lane, program) {
            Ok(row) => {
                if !row.passed() {
                    failed.push(program.name.to_owned());
                }
                rows.push(row);
                if writes && !write_rows(root, &rows) {
                    failed.push("the table".to_owned());
                }
            }
            Err(why) => {
                eprintln!("{why}");
                failed.push(format!("{}: {why}", program.name));
            }
        }
    }
    println!("\n{}", switch::table("", &rows));
    let note = match failed.as_slice() {
        [] => format!("{} switched", count(rows.len(), "program")),
        failed => format!("{}; failed: {}", count(rows.len(), "program"), failed.join(", ")),
    };
    Outcome { passed: failed.is_empty(), note }
}

/// These rows into the table, and those of the other programs as they are.
fn write_rows(root: &Path, rows: &[switch::Row]) -> bool {
    let document = std::fs::read_to_string(root.join("docs/compatibility.md")).unwrap_or_default();
    let old = compat::written_text(&document, "switch").unwrap_or_default();
    write_result(root, "switch", 1, &switch::table(old, rows))
}

/// Runs a package of programs once. Not by `cargo run -p`, which would build for the features of this package alone.
fn run_package(folder: &Path, package: &str, peers: &[peers::Peer], results: &mut compat::Results) -> bool {
    let mut command = Command::new(folder.join("debug").join(package));
    command.envs(peers.iter().map(|peer| (peer.variable.0, &peer.variable.1)));
    let mut heard = false;
    let succeeded = for_each_line(&mut command, |line| {
        heard = true;
        results.add(line);
    });
    if !heard {
        results.fail(package, "it does not build, or does not run");
    }
    succeeded
}

/// A crate that says `assert_active!` compiles with the patch, and does not compile without it.
fn falls_back_loudly(root: &Path) -> bool {
    let folder = target_dir(root).join("fallback");
    let manifest = format!(
        "[package]\nname = \"fallback\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         redd = {{ path = {:?}, default-features = false }}\ntokio = \"1\"\n",
        root.join("redd")
    );
    if let Err(error) = write_package(&folder, &manifest, "//! Redd, or a failure.\n\nredd::assert_active!();\n") {
        eprintln!("{}: {error}", folder.display());
        return false;
    }
    let check = |patched: bool| {
        let mut command = cargo(&folder, &["check", "--quiet"]);
        if patched {
            command.arg("--config").arg(format!("patch.crates-io.tokio.path={:?}", root.join("tokio")));
        }
        println!("  $ {} ({})", shown(&command), folder.display());
        command.output()
    };
    match (check(true), check(false)) {
        (Ok(patched), Ok(plain)) => {
            let words = String::from_utf8_lossy(&plain.stderr).into_owned();
            let is_named = words.contains("IS_REDD_PLEASE_CHECK_THE_PATCH_SECTION");
            if !patched.status.success() || plain.status.success() || !is_named {
                eprintln!("with the patch: {}\n{}", patched.status, String::from_utf8_lossy(&patched.stderr));
                eprintln!("without it: {}\n{words}", plain.status);
            }
            patched.status.success() && !plain.status.success() && is_named
        }
        (patched, plain) => {
            eprintln!("cannot start cargo: {:?}", patched.err().or(plain.err()));
            false
        }
    }
}

/// Writes a lane's text into docs/compatibility.md, behind the date.
fn write_result(root: &Path, lane: &str, runs: usize, table: &str) -> bool {
    let path = root.join("docs/compatibility.md");
    let date = Command::new("date").arg("+%Y-%m-%d").output().map(|output| output.stdout).unwrap_or_default();
    let text = format!(
        "State of {}, {runs} run{}:\n\n{table}",
        String::from_utf8_lossy(&date).trim(),
        if runs == 1 { "" } else { "s each" }
    );
    let document = std::fs::read_to_string(&path).unwrap_or_default();
    let Some(document) = compat::replace_text(&document, lane, &text) else {
        eprintln!("{} has no place for what `{lane}` found", path.display());
        return false;
    };
    match std::fs::write(&path, document) {
        Ok(()) => true,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            false
        }
    }
}

/// The folder of the builds of `compat`, which is a workspace of its own.
fn compat_target_dir(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("compat/target"), PathBuf::from)
}
