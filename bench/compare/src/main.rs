//! Runs the same workloads on redd and on Tokio, interleaved, and prints each row's ratio.
//!
//! `cargo run --release -p bench -- compare [--rounds N] [ROW…]`; a row's name may end in `*`. What blocked workers do
//! to the others: `blockers [--runs N] [VARIANT…]`, and as a picture `heartbeat-plot [FILE]`.

mod blockers;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
struct Measure {
    operations: u64,
    wall_ns: u64,
    cpu_ns: u64,
    voluntary: u64,
    allocations: u64,
    bytes: f64,
}

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let command = if args.is_empty() { String::new() } else { args.remove(0) };
    let mut count = None;
    if let Some(at) = args.iter().position(|arg| arg == "--rounds" || arg == "--runs") {
        count = args.get(at + 1).and_then(|text| text.parse().ok());
        if count.is_none() {
            eprintln!("`{}` needs a number", args[at]);
            return ExitCode::from(2);
        }
        args.drain(at..at + 2);
    }
    let done = match command.as_str() {
        "compare" => compare(count.unwrap_or(9), &args),
        "blockers" => blockers::run(count.unwrap_or(40), &args),
        "heartbeat-plot" => {
            blockers::plot(Path::new(args.first().map_or("../docs/guide/heartbeat.svg", String::as_str)))
        }
        _ => {
            eprintln!(
                "usage: bench compare [--rounds N] [ROW…]     (a row's name may end in `*`)\n       bench blockers [--runs N] [VARIANT…]\n       bench heartbeat-plot [FILE]"
            );
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(rounds: usize, wanted: &[String]) -> Result<(), String> {
    let folder = build()?;
    let (redd, tokio) = (folder.join("on-redd"), folder.join("on-tokio"));
    println!(
        "CPU per operation in ns, median of {rounds} interleaved rounds (minimum); ratio redd/Tokio, with the middle half of the rounds' ratios.\n"
    );
    println!(
        "| row | redd | Tokio | ratio | middle half | wall ratio | switches/1000 op redd, Tokio | allocations/op redd, Tokio |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (row, operations) in rows(&redd)? {
        let matches = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => row.starts_with(prefix),
            None => row == *pattern,
        };
        if !wanted.is_empty() && !wanted.iter().any(matches) {
            continue;
        }
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            // Who goes first alternates, so that a machine that slows down does not favour one.
            if round % 2 == 0 {
                ours.push(run(&redd, &row, operations, false)?);
                theirs.push(run(&tokio, &row, operations, false)?);
            } else {
                theirs.push(run(&tokio, &row, operations, false)?);
                ours.push(run(&redd, &row, operations, false)?);
            }
        }
        let counted = (run(&redd, &row, operations, true)?, run(&tokio, &row, operations, true)?);
        print_row(&row, &ours, &theirs, &counted);
    }
    Ok(())
}

fn print_row(row: &str, ours: &[Measure], theirs: &[Measure], counted: &(Measure, Measure)) {
    let is_memory = ours[0].bytes > 0.0;
    let value =
        |measure: &Measure| if is_memory { measure.bytes } else { measure.cpu_ns as f64 / measure.operations as f64 };
    let wall = |measure: &Measure| measure.wall_ns as f64 / measure.operations as f64;
    let ratios = sorted(ours.iter().zip(theirs).map(|(ours, theirs)| value(ours) / value(theirs)));
    let walls = sorted(ours.iter().zip(theirs).map(|(ours, theirs)| wall(ours) / wall(theirs)));
    let (mine, other) = (sorted(ours.iter().map(value)), sorted(theirs.iter().map(value)));
    let switches = |all: &[Measure]| {
        middle(&sorted(all.iter().map(|measure| measure.voluntary as f64 * 1000.0 / measure.operations as f64)))
    };
    let allocations = |measure: &Measure| measure.allocations as f64 / measure.operations as f64;
    println!(
        "| {row} | {:.1} ({:.1}) | {:.1} ({:.1}) | **{:.2}** | {:.2}-{:.2} | {:.2} | {:.2}, {:.2} | {:.2}, {:.2} |",
        middle(&mine),
        mine[0],
        middle(&other),
        other[0],
        middle(&ratios),
        ratios[ratios.len() / 4],
        ratios[ratios.len() * 3 / 4],
        middle(&walls),
        switches(ours),
        switches(theirs),
        allocations(&counted.0),
        allocations(&counted.1),
    );
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn middle(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// Builds both binaries; answers the folder where they are.
fn build() -> Result<PathBuf, String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the crate stands in its workspace")?;
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "-p", "on-redd", "-p", "on-tokio"])
        .current_dir(workspace)
        .status()
        .map_err(|error| format!("cargo could not be started: {error}"))?;
    if !status.success() {
        return Err("the workloads do not build; see above".into());
    }
    let me = std::env::current_exe().map_err(|error| format!("where am I: {error}"))?;
    Ok(me.parent().ok_or("a binary stands in a folder")?.to_path_buf())
}

fn rows(binary: &Path) -> Result<Vec<(String, u64)>, String> {
    let text = output(Command::new(binary))?;
    let parse = |line: &str| {
        let (row, operations) = line.split_once(' ')?;
        Some((row.to_owned(), operations.parse().ok()?))
    };
    text.lines().map(|line| parse(line).ok_or_else(|| format!("not a row: {line}"))).collect()
}

fn run(binary: &Path, row: &str, operations: u64, count_allocations: bool) -> Result<Measure, String> {
    let mut command = Command::new(binary);
    command.arg(row).arg(operations.to_string());
    if count_allocations {
        command.arg("allocations");
    }
    let text = output(command)?;
    serde_json::from_str(&text).map_err(|error| format!("{row}: {error} in {text}"))
}

fn output(mut command: Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?} could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{command:?}: {error}"))
}
