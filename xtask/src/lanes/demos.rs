//! The programs in `demos`, each of which gets stuck: what redd and Tokio show of them.
//!
//! Called by `cargo xtask demos`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::commands::{cargo, passes, target_dir};
use super::outcome::Outcome;
use crate::demos::{self, Culprit, PAGE};
use crate::plural::count;

/// The program whose task never waits. A dump shows that it runs; `redd stack` shows where.
const RUNNING: &str = "busy_loop";

/// How many programs there are.
const PROGRAMS: usize = 10;

/// When a program prints its report: as shown in the guide, and on a machine that is too busy for that.
const AFTER_MS: [&str; 2] = ["1500", "9000"];

/// A program that has not ended by itself after so many seconds is ended.
const WATCHDOG_S: &str = "120";

pub(super) fn demos(root: &Path) -> Outcome {
    match run(root, false) {
        Ok(outcome) => outcome,
        Err(note) => Outcome { passed: false, note },
    }
}

/// `cargo xtask demos --write`: puts the output of the programs into the guide.
pub(crate) fn write_demos(root: &Path) -> bool {
    let outcome = run(root, true).unwrap_or_else(|note| Outcome { passed: false, note });
    println!("demos: {}, {}", outcome.word(), outcome.note);
    outcome.passed
}

/// Builds the programs for both runtimes, runs them, and compares what they print with the guide, or writes it there.
fn run(root: &Path, writes: bool) -> Result<Outcome, String> {
    let programs = programs(root)?;
    let (on_redd, on_tokio) = (target_dir(root).join("debug"), target_dir(root).join("demos"));
    let mut tokio = cargo(root, &["build", "--manifest-path", "demos/on-tokio/Cargo.toml", "--bins"]);
    if !passes(&mut cargo(root, &["build", "-p", "demos", "-p", "redd-cli", "--bins"])) {
        return Err("the programs do not build for redd".to_owned());
    }
    if !passes(tokio.env("CARGO_TARGET_DIR", &on_tokio)) {
        return Err("the programs do not build for Tokio".to_owned());
    }
    let page = root.join(PAGE);
    let mut text = std::fs::read_to_string(&page).map_err(|error| format!("{PAGE}: {error}"))?;
    let mut rows = Vec::new();
    let mut findings = Vec::new();
    let mut all = String::new();
    for (program, source) in &programs {
        let mut output = run_program(&on_redd, program, AFTER_MS[0])?;
        let differs = !writes && !demos::check_page(&text, program, source, &output).is_empty();
        if differs || *program != RUNNING && !missing(program, source, &output).is_empty() {
            output = run_program(&on_redd, program, AFTER_MS[1])?;
        }
        let stack = if *program == RUNNING { stack(root, &on_redd, program)? } else { String::new() };
        let of_tokio = run_program(&on_tokio.join("debug"), program, AFTER_MS[0])?;
        println!("\n{program} on redd:\n{output}{stack}\n{program} on Tokio:\n{of_tokio}");
        let shown = format!("{output}{stack}");
        rows.extend(demos::culprits(source).into_iter().map(|culprit| Row::of(program, culprit, &shown, &of_tokio)));
        if writes {
            text = demos::with_output(&text, program, &output);
        }
        findings.extend(missing(program, source, &shown));
        findings.extend(demos::check_page(&text, program, source, &output));
        all.push_str(&shown);
    }
    findings.extend(demos::check_examples(&text, &all));
    println!("\n{:<22} {:<24} {:<6} redd", "line", "role", "Tokio");
    rows.iter().for_each(|row| println!("{row}"));
    findings.iter().for_each(|finding| println!("{finding}"));
    if writes {
        std::fs::write(&page, text).map_err(|error| format!("{PAGE}: {error}"))?;
    }
    let named = rows.iter().filter(|row| row.on_redd == "named").count();
    let note = format!(
        "{}, {named} of {} named, {}",
        count(programs.len(), "program"),
        count(rows.len(), "line"),
        count(findings.len(), "finding")
    );
    Ok(Outcome { passed: findings.is_empty(), note })
}

/// A line that the output has to name, and whether it does.
struct Row {
    line: String,
    role: String,
    on_tokio: &'static str,
    on_redd: &'static str,
}

impl Row {
    fn of(program: &str, culprit: Culprit, output: &str, of_tokio: &str) -> Self {
        let is_named = demos::is_named(output, program, culprit.line);
        let on_redd = if is_named { "named" } else { "MISSING" };
        let on_tokio = if demos::is_named(of_tokio, program, culprit.line) { "named" } else { "-" };
        Self { line: format!("{program}.rs:{}", culprit.line), role: culprit.role, on_tokio, on_redd }
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:<22} {:<24} {:<6} {}", self.line, self.role, self.on_tokio, self.on_redd)
    }
}

/// The lines that the output has to name and does not.
fn missing(program: &str, source: &str, output: &str) -> Vec<String> {
    let culprits = demos::culprits(source).into_iter();
    let missing = culprits.filter(|culprit| !demos::is_named(output, program, culprit.line));
    missing.map(|culprit| format!("{program}.rs:{}: redd does not name the line", culprit.line)).collect()
}

/// The name and the text of each program; an error if one has no marked line.
fn programs(root: &Path) -> Result<Vec<(String, String)>, String> {
    let folder = root.join("demos/src/bin");
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut programs = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        programs.push((name, std::fs::read_to_string(&path).map_err(failed)?));
    }
    programs.sort();
    if programs.len() != PROGRAMS {
        return Err(format!("{}, not {PROGRAMS}", count(programs.len(), "program")));
    }
    if let Some((name, _)) = programs.iter().find(|(_, source)| demos::culprits(source).is_empty()) {
        return Err(format!("`{name}` marks no line"));
    }
    Ok(programs)
}

/// What `redd stack` prints of a program whose task computes.
fn stack(root: &Path, folder: &Path, program: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("`redd stack` of `{program}`: {error}");
    let mut command = Command::new(folder.join(program));
    command.env("DEMO_AFTER_MS", AFTER_MS[1]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    // The first line reports the late poll, so the task computes by then.
    let mut line = String::new();
    let read = child.stderr.take().map_or(Ok(0), |stderr| BufReader::new(stderr).read_line(&mut line));
    let output = Command::new(folder.join("redd")).args(["stack", &child.id().to_string()]).output();
    // It may have ended.
    let _ = child.kill();
    child.wait().and(read).map_err(failed)?;
    let output = output.map_err(failed)?;
    if !output.status.success() {
        return Err(format!("`redd stack` of `{program}`: {}", String::from_utf8_lossy(&output.stderr)));
    }
    // The guide shows paths from the repository.
    Ok(String::from_utf8_lossy(&output.stdout).replace(&format!("{}/", root.display()), ""))
}

/// What a program prints, lines of the runtime on standard error first.
fn run_program(folder: &Path, program: &str, after_ms: &str) -> Result<String, String> {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", WATCHDOG_S]).arg(folder.join(program)).env("DEMO_AFTER_MS", after_ms);
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("`timeout {program}`: {error}"))?;
    let (printed, reported) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        return Err(format!("`{program}`: {}\n{reported}{printed}", output.status));
    }
    Ok(format!("{reported}{printed}"))
}
