//! The benchmark page and the files beside it.

use std::fmt::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::measure::{Row, Runtime};
use crate::plot;
use crate::summary;
use crate::targets::{P99, P99_9, TARGETS, above, more_of};

/// One run of the program: a group of rows.
#[derive(Serialize, Deserialize)]
pub struct Group {
    pub machine: Machine,
    pub rounds: usize,
    pub rows: Vec<Row>,
}

/// The content of a page, as in `results.json`.
#[derive(Serialize, Deserialize)]
pub struct Results {
    pub groups: Vec<Group>,
}

impl Results {
    /// All rows, in the order of the groups.
    fn rows(&self) -> impl Iterator<Item = &Row> + Clone {
        self.groups.iter().flat_map(|group| &group.rows)
    }
}

/// Reads the results in a folder.
pub fn read(folder: &Path) -> Result<Results, String> {
    let path = folder.join("results.json");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    // Results that were written by earlier versions are one group.
    serde_json::from_str(&text)
        .or_else(|_| serde_json::from_str(&text).map(|group| Results { groups: vec![group] }))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Puts groups of rows together. A row that is in several of them counts as in the last.
pub fn merge(all: Vec<Results>) -> Result<Results, String> {
    let mut groups: Vec<Group> = Vec::new();
    for group in all.into_iter().flat_map(|results| results.groups) {
        if let Some(first) = groups.first().filter(|first| !first.machine.is_like(&group.machine)) {
            return Err(format!(
                "The groups are from different machines or versions, so they are not one page. Measure them again on one \
                 machine.\n  {}\n  {}",
                first.machine.sentence(),
                group.machine.sentence()
            ));
        }
        for earlier in &mut groups {
            earlier.rows.retain(|row| !group.rows.iter().any(|later| later.name == row.name));
        }
        groups.push(group);
    }
    groups.retain(|group| !group.rows.is_empty());
    if groups.is_empty() { Err("There is no row to write a page about.".into()) } else { Ok(Results { groups }) }
}

/// Writes `README.md`, `results.json`, `results.csv` and the plots into a folder.
pub fn write(folder: &Path, results: &Results) -> Result<(), String> {
    let rows: &[Row] = &results.rows().cloned().collect::<Vec<_>>();
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
    let page = page(results, rows, &names);
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

fn page(results: &Results, rows: &[Row], files: &[&str]) -> String {
    let mut page = String::from("# Benchmarks\n\n");
    for sentence in summary::sentences(rows) {
        let _ = writeln!(page, "- {sentence}");
    }
    let _ = writeln!(page, "\nredd to Tokio {}, both on one machine, in turns.", results.groups[0].machine.tokio);
    page.push_str("The values, and how they were measured, are below; less is better.\n");
    page.push_str("\n## Servers and programs\n\n");
    page.push_str(&servers(rows));
    page.push('\n');
    page.push_str(include_str!("head.md"));
    page.push_str(&groups(results));
    page.push_str("\n## Targets\n\n");
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

/// When, how often and at which commit each group of rows was measured.
fn groups(results: &Results) -> String {
    let mut text = results.groups[0].machine.sentence() + "\n\n";
    for Group { machine, rounds, rows } in &results.groups {
        let names: Vec<String> = rows.iter().map(|row| format!("`{}`", row.name)).collect();
        let names = match &names[..] {
            [first, .., last] => format!("{} rows, {first} to {last}", names.len()),
            names => names.concat(),
        };
        let _ = writeln!(
            text,
            "- {}, {rounds} rounds, redd at {}, load average {:.1} before and {:.1} after: {names}",
            machine.date, machine.commit, machine.load_before, machine.load_after
        );
    }
    text
}

/// The rows that have requests: programs first.
fn servers(rows: &[Row]) -> String {
    let mut text = String::from(
        "| row | CPU per request, µs | redd/Tokio | requests/s | median, µs | p99, µs | p99.9, µs | memory, MiB | threads |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    let with_requests = rows.iter().filter(|row| row.spread(Runtime::Redd, "latency_median_us").is_some());
    let (programs, others): (Vec<&Row>, Vec<&Row>) = with_requests.partition(|row| summary::is_program(&row.name));
    for row in programs.into_iter().chain(others) {
        let pair = |metric, unit: f64| {
            let of =
                |runtime| row.spread(runtime, metric).map_or("–".to_owned(), |spread| number(spread.median / unit));
            format!("{}, {}", of(Runtime::Redd), of(Runtime::Tokio))
        };
        let ratio = row.ratio(Runtime::Tokio, "cpu_ns");
        let _ = writeln!(
            text,
            "| {} | {} | **{}** | {} | {} | {} | {} | {} | {} |",
            row.name,
            pair("cpu_ns", 1000.0),
            ratio.map_or("–".to_owned(), |ratio| format!("{:.2}", ratio.median)),
            pair("requests_per_s", 1.0),
            pair("latency_median_us", 1.0),
            pair(P99, 1.0),
            pair(P99_9, 1.0),
            pair("rss_peak_mib", 1.0),
            pair("threads", 1.0),
        );
    }
    text.push_str("\nPairs are redd, Tokio; medians of the rounds. A `…_half_load` row has half of the requests that Tokio's server\n\
         reaches, at even distances. Memory is the most that was resident.\n");
    text
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
    say(format!("CPU above Tokio's, whatever the target: {}.", list(costly.collect())));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Measure;

    fn group(commit: &str, rows: &[(&str, u64)]) -> Results {
        let machine = Machine { commit: commit.to_owned(), ..Machine::default() };
        let row = |(name, ours): &(&str, u64)| {
            let mut row = Row::new(name);
            for (runtime, cpu_ns) in [(Runtime::Redd, *ours), (Runtime::Tokio, 100)] {
                row.add(runtime, &Measure { operations: 1, cpu_ns, ..Measure::default() });
            }
            row
        };
        Results { groups: vec![Group { machine, rounds: 9, rows: rows.iter().map(row).collect() }] }
    }

    fn text(results: &Results) -> String {
        page(results, &results.rows().cloned().collect::<Vec<_>>(), &[])
    }

    #[test]
    fn the_page_opens_with_five_sentences() {
        let page = text(&group("abc", &[("yield_1", 8)]));
        let (head, _) = page.split_once("\n## ").expect("there are sections");
        assert_eq!(head.lines().filter(|line| line.starts_with("- **")).count(), 5);
        assert!(head.contains("redd needs 0.08 of Tokio's CPU time"), "{head}");
    }

    #[test]
    fn a_row_that_was_measured_again_replaces_the_earlier_one() {
        let first = group("abc", &[("yield_1", 8), ("notify", 75)]);
        let merged = merge(vec![first, group("def", &[("yield_1", 9)])]).expect("the machine is the same");
        let all: Vec<(&str, f64)> = merged
            .rows()
            .map(|row| (&*row.name, row.spread(Runtime::Redd, "cpu_ns").expect("it was measured").median))
            .collect();
        assert_eq!(all, [("notify", 75.0), ("yield_1", 9.0)]);
        let page = text(&merged);
        assert!(page.contains("redd at abc, load average 0.0 before and 0.0 after: `notify`"), "{page}");
        assert!(page.contains("redd at def, load average 0.0 before and 0.0 after: `yield_1`"), "{page}");
    }

    #[test]
    fn groups_of_different_machines_are_no_page() {
        let mut other = group("abc", &[("notify", 75)]);
        other.groups[0].machine.processors = 64;
        let error = merge(vec![group("abc", &[("yield_1", 8)]), other]).err().expect("they differ");
        assert!(error.contains("Measure them again on one machine"), "{error}");
    }

    #[test]
    fn results_of_one_group_and_of_earlier_versions_can_be_read() {
        let folder = std::env::temp_dir().join(format!("redd-bench-page-{}", std::process::id()));
        let results = group("abc", &[("yield_1", 8)]);
        write(&folder, &results).expect("there is a folder for temporary files");
        assert_eq!(read(&folder).expect("it was written").groups.len(), 1);
        let earlier = serde_json::to_string(&results.groups[0]).expect("it has no odd keys");
        std::fs::write(folder.join("results.json"), earlier.replace("floor", "epoll")).expect("the folder is there");
        assert_eq!(read(&folder).expect("it was written").groups[0].rows[0].name, "yield_1");
        std::fs::remove_dir_all(&folder).expect("it was created above");
    }
}
