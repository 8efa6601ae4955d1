//! The numbers in the README are the measured ones: a table between two marks, and the count of the targets that are met.
//!
//! Called by `tidy`, which compares them, and by `tidy --write`, which puts the measured ones there. They come from the files that
//! `bench` writes: `docs/benchmarks/results.json` and its page, and the values behind the picture of the heartbeat.

use serde_json::Value;

use super::finding::{Document, Finding};

/// The page with the numbers.
pub(super) const README: &str = "README.md";
const RESULTS: &str = "docs/benchmarks/results.json";
const PAGE: &str = "docs/benchmarks/README.md";
const BEATS: &str = "docs/guide/heartbeat.json";

const BEGIN: &str = "<!-- measured: `cargo xtask tidy --write` writes this from docs/benchmarks/results.json -->\n";
const END: &str = "<!-- end of measured -->\n";

/// A line of the table: what it is about, and the row of the results.
const ROWS: &[(&str, &str)] = &[
    ("File server, files of 4 KB ([axum, `ServeDir`](bench/apps/files.rs)): CPU per request", "app_files_4k"),
    ("Spawn a task and await it", "spawn_await"),
    ("Read 4 KB of an open file", "file_seek_read_4k"),
    ("HTTP through axum, 64 connections: CPU per request", "http_axum_64"),
];
const METRIC: &str = "cpu_ns";

/// Two values with a ratio between these are equal, as far as one can measure.
const EQUAL: std::ops::RangeInclusive<f64> = 0.95..=1.05;

pub(super) fn check(documents: &[Document]) -> Vec<Finding> {
    let readme = documents.iter().find(|document| document.path == README);
    match written(documents) {
        Ok(text) if readme.is_some_and(|readme| readme.text == text) => Vec::new(),
        Ok(_) => vec![Finding::new(README, 0, "its numbers are not the measured ones", "`cargo xtask tidy --write`")],
        Err(why) => vec![Finding::new(README, 0, why, "restore what `tidy::numbers` reads, or change that file too")],
    }
}

/// The README with the numbers of the last measurement, or why it cannot be written.
pub(super) fn written(documents: &[Document]) -> Result<String, String> {
    let text = |path: &str| {
        let document = documents.iter().find(|document| document.path == path);
        document.map(|document| document.text.as_str()).ok_or(format!("{path} is missing"))
    };
    let json = |path: &str| serde_json::from_str::<Value>(text(path)?).map_err(|error| format!("{path}: {error}"));
    let (results, beats, readme) = (json(RESULTS)?, json(BEATS)?, text(README)?);
    let (before, rest) = readme.split_once(BEGIN).ok_or(format!("the mark `{}` is missing", BEGIN.trim()))?;
    let (_, after) = rest.split_once(END).ok_or(format!("the mark `{}` is missing", END.trim()))?;
    let (version, table) = (tokio_version(&results)?, lines(&results, &beats)?);
    let head = format!("| less is better | redd | Tokio {version} | ratio |\n|---|---|---|---|\n");
    Ok(format!("{before}{BEGIN}{head}{table}\n{}\n{END}{after}", targets(text(PAGE)?)?))
}

fn tokio_version(results: &Value) -> Result<&str, String> {
    results["groups"][0]["machine"]["tokio"].as_str().ok_or(format!("{RESULTS} names no version of Tokio"))
}

fn lines(results: &Value, beats: &Value) -> Result<String, String> {
    let silences = |runtime: &str| {
        let runs = beats[runtime].as_array().into_iter().flatten();
        runs.filter_map(|run| run["longest_silence_us"].as_f64()).map(|us| us * 1000.0).collect::<Vec<_>>()
    };
    let mut table =
        line("Longest silence of a service, both workers blocked for 300 ms", &silences("redd"), &silences("tokio"))
            .ok_or(format!("{BEATS} has no runs"))?;
    for (what, name) in ROWS {
        let mut rows =
            results["groups"].as_array().into_iter().flatten().flat_map(|group| group["rows"].as_array()).flatten();
        let row = rows.find(|row| row["name"] == *name).ok_or(format!("{RESULTS} has no row `{name}`"))?;
        let values = |runtime: &str| {
            let values = row["metrics"][runtime][METRIC].as_array().into_iter().flatten();
            values.filter_map(Value::as_f64).collect::<Vec<_>>()
        };
        let line = line(what, &values("redd"), &values("tokio"));
        table.push_str(&line.ok_or(format!("{RESULTS} has no `{METRIC}` of `{name}` for both runtimes"))?);
    }
    Ok(table)
}

/// The medians of the rounds, and the median of the ratios of each round.
fn line(what: &str, ours: &[f64], theirs: &[f64]) -> Option<String> {
    let ratio = median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs))?;
    let verdict = if EQUAL.contains(&ratio) { ", equal" } else { "" };
    let (ours, theirs) = (time(median(ours.iter().copied())?), time(median(theirs.iter().copied())?));
    Some(format!("| {what} | {ours} | {theirs} | **{ratio:.2}**{verdict} |\n"))
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// A time with three digits. The space does not break, since the columns are narrow.
fn time(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns => (ns / 1e6, "ms"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$}\u{a0}{unit}")
}

/// The sentence about all targets, from that of the page of the benchmarks.
fn targets(page: &str) -> Result<String, String> {
    let counts =
        page.lines().find_map(|line| line.strip_prefix("- ")?.strip_suffix(" targets are missed:")?.split_once(" of "));
    let counts = counts.and_then(|(missed, all)| Some((missed.parse::<u32>().ok()?, all.parse::<u32>().ok()?)));
    let (missed, all) = counts.ok_or(format!("{PAGE} does not say how many targets are missed"))?;
    let met = all - missed;
    Ok(format!(
        "{met} of {all} targets are met. [The benchmarks](docs/benchmarks/README.md) list the missed ones, too."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(path: &str, text: &str) -> Document {
        Document { path: path.to_owned(), text: text.to_owned() }
    }

    fn row(name: &str, ours: &str) -> String {
        let values = |values: &str| format!("{{\"cpu_ns\":[{values}]}}");
        format!("{{\"name\":\"{name}\",\"metrics\":{{\"redd\":{},\"tokio\":{}}}}}", values(ours), values("100,200,400"))
    }

    /// All that is read, with these rounds of redd in each row.
    fn documents(ours: &str) -> Vec<Document> {
        let rows: Vec<String> =
            ["app_files_4k", "spawn_await", "file_seek_read_4k", "http_axum_64"].map(|name| row(name, ours)).into();
        let results = format!("{{\"groups\":[{{\"machine\":{{\"tokio\":\"1.2.3\"}},\"rows\":[{}]}}]}}", rows.join(","));
        let beats = "{\"redd\":[{\"longest_silence_us\":13000}],\"tokio\":[{\"longest_silence_us\":301000}]}";
        vec![
            document(RESULTS, &results),
            document(BEATS, beats),
            document(PAGE, "# Benchmarks\n- 3 of 10 targets are missed:\n"),
            document(README, &format!("# redd\n{BEGIN}old\n{END}more\n")),
        ]
    }

    #[test]
    fn the_readme_gets_the_medians_and_the_ratio_of_the_rounds() {
        let written = written(&documents("50,20,400")).expect("all is there");
        assert!(written.starts_with(&format!("# redd\n{BEGIN}| less is better | redd | Tokio 1.2.3 |")), "{written}");
        assert!(written.ends_with(&format!("{END}more\n")), "{written}");
        assert!(written.contains("blocked for 300 ms | 13.0\u{a0}ms | 301\u{a0}ms | **0.04** |\n"), "{written}");
        // The ratios are 0.5, 0.1 and 1.
        assert!(
            written.contains("| Spawn a task and await it | 50.0\u{a0}ns | 200\u{a0}ns | **0.50** |\n"),
            "{written}"
        );
        assert!(written.contains("\n7 of 10 targets are met."), "{written}");
    }

    #[test]
    fn equal_values_are_called_equal() {
        assert_eq!(line("a", &[1.0], &[]), None, "one runtime only");
        let of = |ours| line("a", &[ours], &[1e6]).expect("both have a value");
        assert_eq!(of(0.96e6), "| a | 960\u{a0}µs | 1.00\u{a0}ms | **0.96**, equal |\n");
        assert_eq!(of(0.94e6), "| a | 940\u{a0}µs | 1.00\u{a0}ms | **0.94** |\n");
        assert_eq!(of(12.5e6), "| a | 12.5\u{a0}ms | 1.00\u{a0}ms | **12.50** |\n");
    }

    #[test]
    fn other_numbers_than_the_measured_ones_are_found() {
        let mut documents = documents("50,20,400");
        assert_eq!(check(&documents).len(), 1, "nothing was written yet");
        documents[3].text = written(&documents).expect("all is there");
        assert_eq!(check(&documents), []);
        documents[3].text = documents[3].text.replace("50.0", "49.0");
        assert_eq!(check(&documents).len(), 1);
    }

    #[test]
    fn what_is_missing_is_named() {
        for (at, missing) in [RESULTS, BEATS, PAGE].iter().enumerate() {
            let mut documents = documents("50,20,400");
            documents.remove(at);
            assert!(written(&documents).is_err_and(|why| why.contains(missing)), "{missing}");
        }
        let mut documents = documents("50,20,400");
        documents[0].text = documents[0].text.replace("spawn_await", "other");
        assert!(written(&documents).is_err_and(|why| why.contains("`spawn_await`")));
        documents[3].text = "# redd\n".to_owned();
        assert!(written(&documents).is_err_and(|why| why.contains("the mark")));
    }
}
