//! The page and the files beside it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::machine::Machine;
use crate::measure::{Row, Runtime};
use crate::plot;
use crate::targets::{TARGETS, above, more_of};

const FIGURES: [&str; 8] =
    ["cpu_ns", "wall_ns", "switches", "preempted", "allocations", "system_calls", "wakes", "bytes"];

/// Writes `README.md`, `results.json`, `results.csv` and the plots into a folder.
pub fn write(folder: &Path, rows: &[Row], machine: &Machine, rounds: usize) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<(&str, String)> = vec![
        ("results.json", results(rows, machine, rounds)),
        ("results.csv", csv(rows)),
        ("ratios.svg", plot::ratios(rows)),
    ];
    let scaling = |title, parts, unit| plot::scaling(rows, title, parts, "cpu_ns", unit);
    let servers: Vec<&Row> =
        rows.iter().filter(|row| row.counted.contains_key(&Runtime::Redd) && is_server(row)).collect();
    let late: Vec<&Row> = rows.iter().filter(|row| row.name.ends_with("_half_load")).collect();
    let more = [
        (
            "scaling_tasks.svg",
            scaling("A yield, with so many tasks alive, two workers", ("scaling_tasks_", ""), "ns of CPU per yield"),
        ),
        (
            "scaling_spawn.svg",
            scaling("64 tasks that spawn and await, by workers", ("scaling_spawn_", "_workers"), "ns of CPU per task"),
        ),
        (
            "scaling_messages.svg",
            scaling(
                "32 pairs passing messages, by workers",
                ("scaling_messages_", "_workers"),
                "ns of CPU per round trip",
            ),
        ),
        ("servers.svg", plot::groups(&servers, "The server's CPU per request", "cpu_ns", "ns")),
        ("latency.svg", plot::groups(&late, "p99 latency at half load", "latency_p99_us", "µs")),
    ];
    files.extend(more.into_iter().filter_map(|(name, svg)| Some((name, svg?))));
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    let page = page(rows, machine, rounds, &names);
    files.push(("README.md", page));
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Whether it is a server of its own, under a load from outside.
fn is_server(row: &Row) -> bool {
    crate::servers::rows().iter().any(|server| server.name == row.name)
}

fn page(rows: &[Row], machine: &Machine, rounds: usize, files: &[&str]) -> String {
    let mut page = format!(include_str!("head.md"), date = machine.date, machine = machine.sentence(), rounds = rounds);
    page.push_str(&targets(rows));
    page.push_str(&falls_short(rows));
    page.push_str("\n## All rows\n\n");
    page.push_str(include_str!("rows.md"));
    page.push('\n');
    page.push_str(HEADER);
    for row in rows {
        page.push_str(&table_line(row));
    }
    page.push_str("\nOther figures of some rows, medians of the rounds:\n\n");
    page.push_str(&other_figures(rows));
    page.push_str("\n## Plots\n\n");
    for file in files.iter().filter(|file| file.ends_with(".svg")) {
        let _ = writeln!(page, "![{}]({file})\n", file.trim_end_matches(".svg").replace('_', " "));
    }
    page.push_str(
        "The same figures for programs: [results.json](results.json) (every round), [results.csv](results.csv).\n",
    );
    page
}

fn targets(rows: &[Row]) -> String {
    let mut text =
        String::from("| target | bound | row | measured (minimum–maximum of the rounds) | |\n|---|---|---|---|---|\n");
    for target in TARGETS {
        for verdict in target.verdicts(rows) {
            let measured = verdict.measured;
            let _ = writeln!(
                text,
                "| {} | {} | `{}` | **{:.2}** ({:.2}–{:.2}) | {} |",
                target.text,
                target.bound(),
                verdict.row,
                measured.median,
                measured.min,
                measured.max,
                if verdict.met { "met" } else { "**falls short**" }
            );
        }
    }
    text
}

fn falls_short(rows: &[Row]) -> String {
    let mut text = String::from("\n## Where it falls short\n\n");
    let mut say = |line: String| {
        let _ = writeln!(text, "- {line}");
    };
    for target in TARGETS {
        for verdict in target.verdicts(rows).iter().filter(|verdict| !verdict.met) {
            say(format!(
                "`{}`: {:.2}, wanted {} ({}).",
                verdict.row,
                verdict.measured.median,
                target.bound(),
                target.text
            ));
        }
    }
    let list = |all: Vec<String>| if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    let costly = above(rows).into_iter().map(|(row, ratio)| format!("`{row}` {:.2}", ratio.median));
    say(format!("CPU above 1.05 of Tokio's, whatever the target: {}.", list(costly.collect())));
    for (figure, name) in
        [("switches", "context switches"), ("system_calls", "system calls"), ("wakes", "wakes of other threads")]
    {
        let more =
            more_of(rows, figure).into_iter().map(|(row, ours, theirs)| format!("`{row}` {ours:.3} to {theirs:.3}"));
        say(format!("More {name} per operation than Tokio: {}.", list(more.collect())));
    }
    text
}

pub const HEADER: &str = "| row | redd | Tokio | smol | bare epoll | redd/Tokio | min–max | switches/1000 | wakes/1000 | \
     system calls/1000 | allocations/1000 |\n|---|---|---|---|---|---|---|---|---|---|---|\n";

pub fn table_line(row: &Row) -> String {
    let figure = row.main_figure();
    let value = |runtime| row.spread(runtime, figure).map_or("–".to_owned(), |spread| number(spread.median));
    let ratio = row.ratio(Runtime::Tokio, figure);
    let pair = |figure| {
        let of =
            |runtime| row.spread(runtime, figure).map_or("–".to_owned(), |spread| number(spread.median * 1000.0));
        format!("{}, {}", of(Runtime::Redd), of(Runtime::Tokio))
    };
    format!(
        "| {} | {} | {} | {} | {} | **{}** | {} | {} | {} | {} | {} |\n",
        row.name,
        value(Runtime::Redd),
        value(Runtime::Tokio),
        value(Runtime::Smol),
        value(Runtime::Epoll),
        ratio.map_or("–".to_owned(), |ratio| format!("{:.2}", ratio.median)),
        ratio.map_or("–".to_owned(), |ratio| format!("{:.2}–{:.2}", ratio.min, ratio.max)),
        pair("switches"),
        pair("wakes"),
        pair("system_calls"),
        pair("allocations"),
    )
}

/// As many digits as mean something.
fn number(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn other_figures(rows: &[Row]) -> String {
    let mut text = String::from("| row | figure | redd | Tokio | smol | bare epoll |\n|---|---|---|---|---|---|\n");
    for row in rows {
        for name in value_names(row) {
            let value = |runtime| row.spread(runtime, &name).map_or("–".to_owned(), |spread| number(spread.median));
            let values: Vec<String> = Runtime::ALL.into_iter().map(value).collect();
            let _ = writeln!(text, "| {} | {} | {} |", row.name, name.replace('_', " "), values.join(" | "));
        }
    }
    text
}

fn value_names(row: &Row) -> Vec<String> {
    row.runs.values().flatten().next().map_or(Vec::new(), |measure| measure.values.keys().cloned().collect())
}

/// Every round of every figure.
fn results(rows: &[Row], machine: &Machine, rounds: usize) -> String {
    let mut all = BTreeMap::new();
    for row in rows {
        let mut of_row = BTreeMap::new();
        for &runtime in row.runs.keys() {
            let mut figures = BTreeMap::new();
            for figure in FIGURES.into_iter().map(str::to_owned).chain(value_names(row)) {
                let values: Vec<f64> = row.values(runtime, &figure).into_iter().map(rounded).collect();
                if !values.is_empty() {
                    figures.insert(figure, values);
                }
            }
            of_row.insert(runtime.suffix(), figures);
        }
        all.insert(row.name.clone(), of_row);
    }
    let value: Value = json!({ "machine": machine, "rounds": rounds, "rows": all });
    // One line per row keeps changes readable.
    value.to_string().replace("}},\"", "}},\n\"") + "\n"
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn csv(rows: &[Row]) -> String {
    let mut text = String::from("row,runtime,figure,median,min,max,runs\n");
    for row in rows {
        for &runtime in row.runs.keys() {
            for figure in FIGURES.into_iter().map(str::to_owned).chain(value_names(row)) {
                if let Some(spread) = row.spread(runtime, &figure) {
                    let _ = writeln!(
                        text,
                        "{},{},{figure},{:.3},{:.3},{:.3},{}",
                        row.name,
                        runtime.suffix(),
                        spread.median,
                        spread.min,
                        spread.max,
                        row.values(runtime, &figure).len()
                    );
                }
            }
        }
    }
    text
}
