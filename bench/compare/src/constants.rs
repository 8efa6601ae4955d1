//! The effect of the scheduler's tuning constants: redd with another value of one of them, compared with redd as it is.
//!
//! Called by `main` for `bench constants`.
//!
//! 1. Copies the tracked files of the repository into the target folder.
//! 2. Builds the workloads from the copy, once as it is, and once for each other value of a constant.
//! 3. Runs the rows of the constant on both binaries. The rounds are interleaved, and the order alternates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::measure::{Measure, Spread, ratio};
use crate::{output, workspace};

/// A constant, other values of it, and the workloads that it affects.
struct Constant {
    /// The path below `redd/src`.
    file: &'static str,
    name: &'static str,
    values: &'static [&'static str],
    rows: &'static [&'static str],
}

const PACE: &str = "scheduler/pace.rs";
const OUTSIDE: &[&str] = &["spawn_1000_join_outside", "yield_200"];
const OFFERS: &[&str] = &["fan_out_fan_in", "spawn_1000_join_2_workers"];
const DRIVER: &[&str] = &["tcp_echo_1_inside", "tcp_echo_64_inside", "interval_100"];

const CONSTANTS: &[Constant] = &[
    Constant { file: PACE, name: "LIFO_STREAK_MAX", values: &["1", "9"], rows: &["ping_pong", "fan_out_fan_in"] },
    Constant { file: PACE, name: "INJECTOR_PATIENCE_NS", values: &["50_000.0", "800_000.0"], rows: OUTSIDE },
    Constant { file: PACE, name: "INJECTOR_INTERVAL_FIRST", values: &["15", "244"], rows: OUTSIDE },
    Constant { file: PACE, name: "INJECTOR_INTERVAL_MAX", values: &["31", "508"], rows: OUTSIDE },
    Constant { file: PACE, name: "SMOOTHING", values: &["2", "32"], rows: OUTSIDE },
    Constant { file: PACE, name: "INJECTED_BATCH_MAX", values: &["32", "512"], rows: &["spawn_1000_join_outside"] },
    Constant {
        file: PACE,
        name: "LAPS_WITHOUT_POLL",
        values: &["4", "64"],
        rows: &["yield_1_current", "spawn_await_current"],
    },
    Constant { file: PACE, name: "OFFER_NS", values: &["25_000.0", "400_000.0"], rows: OFFERS },
    Constant { file: PACE, name: "OFFER_MAX", values: &["16", "256"], rows: OFFERS },
    Constant { file: PACE, name: "EVENTS_MAX", values: &["16", "256"], rows: DRIVER },
    Constant { file: PACE, name: "POLLS_PER_EVENT", values: &["1", "8"], rows: DRIVER },
    Constant {
        file: PACE,
        name: "DRIVER_DEFER",
        values: &["Duration::from_micros(250)", "Duration::from_millis(4)"],
        rows: DRIVER,
    },
    Constant {
        file: PACE,
        name: "DRIVER_GAP_MAX",
        values: &["Duration::from_micros(250)", "Duration::from_millis(4)"],
        rows: DRIVER,
    },
    Constant {
        file: PACE,
        name: "LEASE_PATIENCE",
        values: &["Duration::from_micros(25)", "Duration::from_micros(400)"],
        rows: &["spawn_blocking_many_tasks", "tcp_echo_64_inside"],
    },
    Constant { file: PACE, name: "SHORT_LIFE_MS", values: &["25", "400"], rows: &["startup_current", "interval_1"] },
    Constant { file: PACE, name: "RAPID_REARMS_MAX", values: &["4", "64"], rows: &["interval_1", "interval_100"] },
    Constant {
        file: "sync/mpsc/chain.rs",
        name: "SLOTS_PER_BLOCK",
        values: &["8", "128"],
        rows: &["mpsc_bounded", "mpsc_unbounded", "mpsc_8_producers_unbounded"],
    },
];

/// Compares the constants with these names, or all of them.
pub fn run(names: &[String], rounds: usize) -> Result<(), String> {
    if let Some(unknown) = names.iter().find(|name| CONSTANTS.iter().all(|constant| constant.name != **name)) {
        let known: Vec<&str> = CONSTANTS.iter().map(|constant| constant.name).collect();
        return Err(format!("no constant is called `{unknown}`; there are {}", known.join(", ")));
    }
    let tree = Tree::copy()?;
    let unchanged = tree.build("unchanged")?;
    println!("| constant | value | other value | row | CPU, other/value | switches/1000: value, other |");
    println!("|---|---|---|---|---|---|");
    for constant in CONSTANTS.iter().filter(|one| names.is_empty() || names.iter().any(|name| name == one.name)) {
        let path = tree.root.join("redd/src").join(constant.file);
        let source = read(&path)?;
        for value in constant.values {
            let (before, changed) = replace(&source, constant.name, value)?;
            write(&path, &changed)?;
            let other = tree.build(&format!("{}-{}", constant.name, value.replace([':', '(', ')'], "-")));
            write(&path, &source)?;
            let other = other?;
            for row in constant.rows {
                let line = compare(row, &unchanged, &other, rounds)?;
                println!("| `{}` | {before} | {value} | `{row}` | {line} |", constant.name);
            }
        }
    }
    Ok(())
}

/// Runs a row on both binaries, and returns the last two columns of its line.
fn compare(row: &str, unchanged: &Path, other: &Path, rounds: usize) -> Result<String, String> {
    let mut cpu = Vec::new();
    let mut switches: BTreeMap<bool, Vec<f64>> = BTreeMap::new();
    for round in 0..rounds {
        let mut measured = BTreeMap::new();
        for is_other in if round % 2 == 0 { [false, true] } else { [true, false] } {
            let mut command = Command::new(if is_other { other } else { unchanged });
            command.arg(row);
            let text = output(command)?;
            let measure: Measure = serde_json::from_str(&text).map_err(|error| format!("{row}: {error} in {text}"))?;
            let value = |name| measure.metric(name).ok_or_else(|| format!("{row} prints no `{name}`"));
            measured.insert(is_other, value("cpu_ns")?);
            switches.entry(is_other).or_default().push(value("switches")? * 1000.0);
        }
        cpu.push(ratio(measured[&true], measured[&false]));
    }
    let cpu = Spread::of(cpu).ok_or("there was no round")?;
    let mut median = |is_other| Spread::of(switches.remove(&is_other).unwrap_or_default()).map_or(0.0, |it| it.median);
    Ok(format!("**{:.2}** ({:.2}–{:.2}) | {:.1}, {:.1}", cpu.median, cpu.min, cpu.max, median(false), median(true)))
}

/// A copy of the repository.
struct Tree {
    root: PathBuf,
    /// Where the built binaries are kept.
    binaries: PathBuf,
}

impl Tree {
    fn copy() -> Result<Self, String> {
        let bench = workspace()?;
        let original = bench.parent().ok_or("the workspace is a folder of the repository")?;
        let folder = bench.join("target/constants");
        let tree = Self { root: folder.join("tree"), binaries: folder.join("binaries") };
        let mut list = Command::new("git");
        list.arg("ls-files").current_dir(original);
        let files = output(list)?;
        create(&tree.binaries)?;
        for file in files.lines() {
            let (from, to) = (original.join(file), tree.root.join(file));
            let Ok(content) = std::fs::read(&from) else { continue }; // It is deleted, but still tracked.
            // An unchanged file keeps its time, so that Cargo builds only what has changed.
            if std::fs::read(&to).is_ok_and(|there| there == content) {
                continue;
            }
            create(to.parent().ok_or("a file is in a folder")?)?;
            std::fs::write(&to, content).map_err(|error| format!("{}: {error}", to.display()))?;
        }
        Ok(tree)
    }

    /// Builds the workloads, and keeps the binary under this name.
    fn build(&self, name: &str) -> Result<PathBuf, String> {
        let bench = self.root.join("bench");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--release", "--quiet", "-p", "on-redd"]).current_dir(&bench);
        output(cargo)?;
        let (built, kept) = (bench.join("target/release/on-redd"), self.binaries.join(name));
        std::fs::copy(&built, &kept).map_err(|error| format!("{}: {error}", built.display()))?;
        Ok(kept)
    }
}

/// The value of the constant, and the source with the other one.
fn replace(source: &str, name: &str, value: &str) -> Result<(String, String), String> {
    let declaration = format!("const {name}: ");
    let explain = |what: &str| format!("{what} of `{name}`; correct its row in bench/compare/src/constants.rs");
    let mut places = source.match_indices(&declaration);
    let (start, _) = places.next().ok_or_else(|| explain("the file has no declaration"))?;
    if places.next().is_some() {
        return Err(explain("the file has several declarations"));
    }
    let from = start + source[start..].find("= ").ok_or_else(|| explain("there is no value"))? + 2;
    let to = from + source[from..].find(';').ok_or_else(|| explain("there is no end"))?;
    Ok((source[from..to].to_owned(), format!("{}{value}{}", &source[..from], &source[to..])))
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, content: &str) -> Result<(), String> {
    std::fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
}

fn create(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_declaration_is_replaced() {
        let source = "const A: u32 = 1;\npub(super) const B: u8 = 2;\n";
        let (before, changed) = replace(source, "B", "9").expect("it is there");
        assert_eq!(before, "2");
        assert_eq!(changed, "const A: u32 = 1;\npub(super) const B: u8 = 9;\n");
    }

    #[test]
    fn a_constant_that_is_gone_names_the_table() {
        let error = replace("const A: u32 = 1;", "B", "9").expect_err("it is not there");
        assert!(error.contains("constants.rs"), "{error}");
    }

    #[test]
    fn every_constant_of_the_table_exists() {
        let source = workspace().expect("the crate is in its workspace").join("../redd/src");
        for constant in CONSTANTS {
            let text = read(&source.join(constant.file)).expect("the file is there");
            let (before, _) = replace(&text, constant.name, "0").expect("the constant is there");
            assert!(!constant.values.contains(&before.as_str()), "{}: not another value", constant.name);
        }
    }
}
