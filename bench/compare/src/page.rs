//! The benchmark page and the files beside it.

use std::fmt::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::measure::{Row, Runtime};
use crate::plot;
use crate::targets::{TARGETS, above, more_of};

/// The content of a page, as in `results.json`.
#[derive(Serialize, Deserialize)]
pub struct Results {
    pub machine: Machine,
    pub rounds: usize,
    pub rows: Vec<Row>,
}

/// Reads the results in a folder.
pub fn read(folder: &Path) -> Result<Results, String> {
    let path = folder.join("results.json");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes `README.md`, `results.json`, `results.csv` and the plots into a folder.
pub fn write(folder: &Path, results: &Results) -> Result<(), String> {
    let rows = &results.rows;
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<(&str, String)> =
        vec![("results.json", json(results)?), ("results.csv", csv(rows)), ("ratios.svg", plot::ratios(rows))];
    let scaling = |title, parts, unit| plot::scaling(rows, title, parts, "cpu_ns", unit);
    let servers: Vec<&Row> = rows.iter().filter(|row| is_server(row)).collect();
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
    let page = page(results, &names);
    files.push(("README.md", page));
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Whether the row is a server, with its load from another process.
fn is_server(row: &Row) -> bool {
    crate::servers::rows().iter().any(|server| server.name == row.name)
}

fn page(results: &Results, files: &[&str]) -> String {
    let Results { machine, rounds, rows } = results;
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
    page.push_str("\nOther values of some rows, medians of the rounds:\n\n");
    page.push_str(&other_metrics(rows));
    page.push_str("\n## Plots\n\n");
    for file in files.iter().filter(|file| file.ends_with(".svg")) {
        let _ = writeln!(page, "![{}]({file})\n", file.trim_end_matches(".svg").replace('_', " "));
    }
    page.push_str(
        "The same values for programs: [results.json](results.json) (every round), [results.csv](results.csv).\n",
    );
    page
}

fn targets(rows: &[Row]) -> String {
    let mut text = String::from(
        "| target | bound | row | measured (min–max of the rounds) | floor | |\n|---|---|---|---|---|---|\n",
    );
    for target in TARGETS {
        for verdict in target.verdicts(rows) {
            let measured = verdict.measured;
            let _ = writeln!(
                text,
                "| {} | {} | `{}` | **{}** ({}–{}) | {} | {} |",
                target.text,
                target.bound(),
                verdict.row,
                two_digits(measured.median),
                two_digits(measured.min),
                two_digits(measured.max),
                verdict.floor.map_or(String::new(), |floor| format!("{floor:.2}")),
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
    let (mut all, mut missed) = (0, Vec::new());
    for target in TARGETS {
        for verdict in target.verdicts(rows) {
            all += 1;
            if !verdict.met {
                missed.push(format!("`{}` {:.2} ({})", verdict.row, verdict.measured.median, target.bound()));
            }
        }
    }
    let list = |all: Vec<String>| if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    if missed.is_empty() {
        say(format!("None of {all} targets is missed."));
    } else {
        let lines: String = missed.iter().map(|missed| format!("\n  - {missed}")).collect();
        say(format!("{} of {all} targets are missed:{lines}", missed.len()));
    }
    let costly = above(rows).into_iter().map(|(row, ratio)| format!("`{row}` {:.2}", ratio.median));
    say(format!("CPU above 1.05 of Tokio's, whatever the target: {}.", list(costly.collect())));
    for (metric, name) in
        [("switches", "context switches"), ("system_calls", "system calls"), ("wakes", "wakes of other threads")]
    {
        let more =
            more_of(rows, metric).into_iter().map(|(row, ours, theirs)| format!("`{row}` {ours:.3} to {theirs:.3}"));
        say(format!("More {name} per operation than Tokio: {}.", list(more.collect())));
    }
    text
}

pub const HEADER: &str = "| row | redd | Tokio | smol | floor | redd/Tokio | min–max | switches/1000 | wakes/1000 | \
     system calls/1000 | allocations/1000 |\n|---|---|---|---|---|---|---|---|---|---|---|\n";

pub fn table_line(row: &Row) -> String {
    let metric = row.main_metric();
    let value = |runtime| row.spread(runtime, metric).map_or("–".to_owned(), |spread| number(spread.median));
    let ratio = row.ratio(Runtime::Tokio, metric);
    let pair = |metric| {
        let of =
            |runtime| row.spread(runtime, metric).map_or("–".to_owned(), |spread| number(spread.median * 1000.0));
        format!("{}, {}", of(Runtime::Redd), of(Runtime::Tokio))
    };
    format!(
        "| {} | {} | {} | {} | {} | **{}** | {} | {} | {} | {} | {} |\n",
        row.name,
        value(Runtime::Redd),
        value(Runtime::Tokio),
        value(Runtime::Smol),
        value(Runtime::Floor),
        ratio.map_or("–".to_owned(), |ratio| format!("{:.2}", ratio.median)),
        ratio.map_or("–".to_owned(), |ratio| format!("{}–{}", two_digits(ratio.min), two_digits(ratio.max))),
        pair("switches"),
        pair("wakes"),
        pair("system_calls"),
        pair("allocations"),
    )
}

fn two_digits(value: f64) -> String {
    if value.is_infinite() { "∞".to_owned() } else { format!("{value:.2}") }
}

/// Formats a value with its significant digits.
fn number(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

pub fn other_metrics(rows: &[Row]) -> String {
    let mut text = String::from("| row | value | redd | Tokio | smol | floor |\n|---|---|---|---|---|---|\n");
    for row in rows {
        for name in row.named_metrics() {
            let value = |runtime| row.spread(runtime, name).map_or("–".to_owned(), |spread| number(spread.median));
            let values: Vec<String> = Runtime::ALL.into_iter().map(value).collect();
            let _ = writeln!(text, "| {} | {} | {} |", row.name, name.replace('_', " "), values.join(" | "));
        }
    }
    text
}

fn json(results: &Results) -> Result<String, String> {
    let text = serde_json::to_string(results).map_err(|error| error.to_string())?;
    // One line per row keeps changes readable.
    Ok(text.replace(r#"{"name":"#, "\n{\"name\":") + "\n")
}

fn csv(rows: &[Row]) -> String {
    let mut text = String::from("row,runtime,metric,median,min,max,runs\n");
    for row in rows {
        for (&runtime, metrics) in &row.metrics {
            for (metric, values) in metrics {
                if let Some(spread) = row.spread(runtime, metric) {
                    let _ = writeln!(
                        text,
                        "{},{},{metric},{:.3},{:.3},{:.3},{}",
                        row.name,
                        runtime.suffix(),
                        spread.median,
                        spread.min,
                        spread.max,
                        values.len()
                    );
                }
            }
        }
    }
    text
}
