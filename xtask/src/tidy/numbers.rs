//! The numbers in the README are the measured ones: a table between two marks, and the count of the targets that are met. So are
//! those that the guide quotes.
//!
//! Called by `tidy`, which compares them, and by `tidy --write`, which puts the measured ones into the README. They come from the
//! files that `bench` writes: `docs/benchmarks/results.json` and its page, and the values behind the picture of the heartbeat.

use serde_json::Value;

use super::finding::{Document, Finding};

/// The page with the numbers.
pub(super) const README: &str = "README.md";
const RESULTS: &str = "docs/benchmarks/results.json";
const PAGE: &str = "docs/benchmarks/README.md";
const BEATS: &str = "docs/guide/heartbeat.json";
const PICTURE: &str = "docs/guide/heartbeat.svg";

const BEGIN: &str = "<!-- measured: `cargo xtask tidy --write` writes this from docs/benchmarks/results.json -->\n";
const END: &str = "<!-- end of measured -->\n";

/// A line of the table: what it is about, and the row of the results.
const ROWS: &[(&str, &str)] = &[
    ("[File server](bench/apps/files.rs) (axum, tower-http), 4\u{a0}KB files: CPU per request", "app_files_4k"),
    ("Spawn a task and await it", "spawn_await"),
    ("Read 4 KB of an open file", "file_seek_read_4k"),
    ("HTTP through axum, 64 connections: CPU per request", "http_axum_64"),
];
const METRIC: &str = "cpu_ns";
const BYTES: &str = "bytes";

/// What a page of the guide quotes. In the text, `{}` is where the number is.
const QUOTES: &[(&str, &str, Quote)] = &[
    (WHY, "| a file server with files of 4 KB | {} |", Quote::Ratio("app_files_4k")),
    (
        WHY,
        "| tasks, channels, locks, timers and blocking calls, in the median | {} |",
        Quote::Median("Tasks, channels, locks, timers and blocking calls:"),
    ),
    (WHY, "| programs such as a proxy, a chat and a queue, in the median | {} |", Quote::Median("Programs ")),
    (WHY, "| bare TCP, UDP and HTTP servers, in the median | {} |", Quote::Median("Bare TCP, UDP and HTTP servers,")),
    (WHY, "than we want: {} bytes,", Quote::Bytes("bytes_per_pending_task")),
    (TUNING, "64 at once needed {} of its CPU time,", Quote::Ratio("spawn_blocking_64")),
    (TUNING, "one after another {} (", Quote::Ratio("spawn_blocking_sequence")),
    (TUNING, "A pending task costs {} bytes", Quote::Bytes("bytes_per_pending_task")),
    (TUNING, "a task that sleeps costs {}.", Quote::Bytes("bytes_per_sleeping_task")),
    (QUESTIONS, "64 closures at once needed {} of Tokio's CPU time,", Quote::Ratio("spawn_blocking_64")),
    (QUESTIONS, "one after another {}.", Quote::Ratio("spawn_blocking_sequence")),
    (FROM_GO, "from {} bytes, by the size of its future", Quote::Bytes("bytes_per_pending_task")),
];
const WHY: &str = "docs/guide/why.md";
const TUNING: &str = "docs/guide/tuning.md";
const QUESTIONS: &str = "docs/guide/faq.md";
const FROM_GO: &str = "docs/guide/from-go.md";

/// Where a quoted number is from.
#[derive(Clone, Copy)]
enum Quote {
    /// The median of the ratios of this row.
    Ratio(&'static str),
    /// The bytes per task of this row.
    Bytes(&'static str),
    /// The median in the line of the benchmarks' page that begins so.
    Median(&'static str),
}

/// Two values with a ratio between these are equal, as far as one can measure.
const EQUAL: std::ops::RangeInclusive<f64> = 0.95..=1.05;

pub(super) fn check(documents: &[Document]) -> Vec<Finding> {
    let is_text = |text: &str| text_of(documents, README).is_ok_and(|readme| readme == text);
    let mut findings = match written(documents) {
        Ok(text) if is_text(&text) => Vec::new(),
        Ok(_) => vec![Finding::new(README, 0, "its numbers are not the measured ones", "`cargo xtask tidy --write`")],
        Err(why) => vec![Finding::new(README, 0, why, "restore what `tidy::numbers` reads, or change that file too")],
    };
    if is_picture_stale(documents) != Ok(false) {
        let fix = "in the folder `bench`: `cargo run --release -p bench -- heartbeat-plot --redraw`";
        findings.push(Finding::new(PICTURE, 0, format!("it does not show the values of {BEATS}"), fix));
    }
    findings.extend(QUOTES.iter().filter_map(|quote| stale_quote(documents, quote).unwrap_or_else(Some)));
    findings
}

/// A page that quotes another number than the measured one, or the reason why that is not known.
fn stale_quote(documents: &[Document], (page, text, source): &(&str, &str, Quote)) -> Result<Option<Finding>, Finding> {
    let unknown = |why| Finding::new(page, 0, why, "restore what `tidy::numbers` reads, or change that file too");
    let results = json_of(documents, RESULTS).map_err(unknown)?;
    let number = match *source {
        Quote::Ratio(name) => ratio(&values(&results, name, "redd", METRIC), &values(&results, name, "tokio", METRIC))
            .map(|ratio| format!("{ratio:.2}")),
        Quote::Bytes(name) => {
            median(values(&results, name, "redd", BYTES).into_iter()).map(|value| format!("{value:.0}"))
        }
        Quote::Median(begin) => summary(text_of(documents, PAGE).map_err(unknown)?, begin),
    };
    let number = number.ok_or_else(|| unknown(format!("`{text}` quotes a number that {RESULTS} or {PAGE} has not")))?;
    let quoted = text.replace("{}", &number);
    // A page breaks its lines anywhere.
    let words = text_of(documents, page).map_err(unknown)?.split_whitespace().collect::<Vec<_>>().join(" ");
    let fix = "write the measured number, or change `tidy::numbers` with the sentence";
    Ok((!words.contains(&quoted)).then(|| Finding::new(page, 0, format!("it does not have `{quoted}`"), fix)))
}

/// The median in a line of the page's summary: `- **Files: faster.** redd needs 0.14 of …`.
fn summary(page: &str, begin: &str) -> Option<String> {
    let line = page.lines().find_map(|line| line.strip_prefix("- **")?.strip_prefix(begin))?;
    line.split_once("redd needs ")?.1.split_once(' ').map(|(median, _)| median.to_owned())
}

/// Whether the picture has other medians than the values that it is drawn from. A test of `bench` compares all of it.
fn is_picture_stale(documents: &[Document]) -> Result<bool, String> {
    let (picture, beats) = (text_of(documents, PICTURE)?, json_of(documents, BEATS)?);
    let shows = |runtime: &str| {
        let median = median(silences(&beats, runtime).into_iter());
        median.is_some_and(|ns| picture.contains(&format!(">silent for {:.0} ms<", (ns / 1e6).round())))
    };
    Ok(!(shows("redd") && shows("tokio")))
}

fn text_of<'a>(documents: &'a [Document], path: &str) -> Result<&'a str, String> {
    let document = documents.iter().find(|document| document.path == path);
    document.map(|document| document.text.as_str()).ok_or(format!("{path} is missing"))
}

fn json_of(documents: &[Document], path: &str) -> Result<Value, String> {
    serde_json::from_str(text_of(documents, path)?).map_err(|error| format!("{path}: {error}"))
}

/// The longest silence of each run, in nanoseconds.
fn silences(beats: &Value, runtime: &str) -> Vec<f64> {
    let runs = beats[runtime].as_array().into_iter().flatten();
    runs.filter_map(|run| run["longest_silence_us"].as_f64()).map(|us| us * 1000.0).collect()
}

/// The README with the numbers of the last measurement, or why it cannot be written.
pub(super) fn written(documents: &[Document]) -> Result<String, String> {
    let (results, beats) = (json_of(documents, RESULTS)?, json_of(documents, BEATS)?);
    let readme = text_of(documents, README)?;
    let (before, rest) = readme.split_once(BEGIN).ok_or(format!("the mark `{}` is missing", BEGIN.trim()))?;
    let (_, after) = rest.split_once(END).ok_or(format!("the mark `{}` is missing", END.trim()))?;
    let (version, table) = (tokio_version(&results)?, lines(&results, &beats)?);
    let head = format!("| less is better | redd | Tokio {version} | ratio |\n|---|---|---|---|\n");
    Ok(format!("{before}{BEGIN}{head}{table}\n{}\n{END}{after}", targets(text_of(documents, PAGE)?)?))
}

fn tokio_version(results: &Value) -> Result<&str, String> {
    results["groups"][0]["machine"]["tokio"].as_str().ok_or(format!("{RESULTS} names no version of Tokio"))
}

fn lines(results: &Value, beats: &Value) -> Result<String, String> {
    let what = "A service's longest silence, its workers blocked for 300\u{a0}ms";
    let mut table =
        line(what, &silences(beats, "redd"), &silences(beats, "tokio")).ok_or(format!("{BEATS} has no runs"))?;
    for (what, name) in ROWS {
        let line = line(what, &values(results, name, "redd", METRIC), &values(results, name, "tokio", METRIC));
        table.push_str(&line.ok_or(format!("{RESULTS} has no `{METRIC}` of `{name}` for both runtimes"))?);
    }
    Ok(table)
}

/// The values of a row in each round; none, if it is missing.
fn values(results: &Value, name: &str, runtime: &str, metric: &str) -> Vec<f64> {
    let mut rows =
        results["groups"].as_array().into_iter().flatten().flat_map(|group| group["rows"].as_array()).flatten();
    let row = rows.find(|row| row["name"] == name);
    let rounds = row.and_then(|row| row["metrics"][runtime][metric].as_array()).into_iter().flatten();
    rounds.filter_map(Value::as_f64).collect()
}

/// The median of the ratios of each round.
fn ratio(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs))
}

/// The medians of the rounds, and the median of the ratios of each round.
fn line(what: &str, ours: &[f64], theirs: &[f64]) -> Option<String> {
    let ratio = ratio(ours, theirs)?;
    let verdict = if EQUAL.contains(&ratio) { ",\u{a0}equal" } else { "" };
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
        let values = |values: &str| format!("{{\"cpu_ns\":[{values}],\"bytes\":[192.8]}}");
        format!("{{\"name\":\"{name}\",\"metrics\":{{\"redd\":{},\"tokio\":{}}}}}", values(ours), values("100,200,400"))
    }

    /// All that is read, with these rounds of redd in each row.
    fn documents(ours: &str) -> Vec<Document> {
        let rows: Vec<String> = NAMES.map(|name| row(name, ours)).into();
        let results = format!("{{\"groups\":[{{\"machine\":{{\"tokio\":\"1.2.3\"}},\"rows\":[{}]}}]}}", rows.join(","));
        let beats = "{\"redd\":[{\"longest_silence_us\":13000}],\"tokio\":[{\"longest_silence_us\":301000}]}";
        vec![
            document(RESULTS, &results),
            document(BEATS, beats),
            document(PICTURE, "<text>silent for 13 ms</text><text>silent for 301 ms</text>"),
            document(PAGE, &format!("# Benchmarks\n{SUMMARY}- 3 of 10 targets are missed:\n")),
            document(README, &format!("# redd\n{BEGIN}old\n{END}more\n")),
        ]
    }

    /// The pages with these quotes, whose lines break at each space.
    fn quotes(ratio: &str, bytes: &str) -> Vec<Document> {
        [WHY, TUNING, QUESTIONS, FROM_GO]
            .map(|page| {
                let of_page = QUOTES.iter().filter(|(of, ..)| *of == page).map(|(_, text, source)| match source {
                    Quote::Ratio(_) => text.replace("{}", ratio),
                    Quote::Bytes(_) => text.replace("{}", bytes),
                    Quote::Median(_) => text.replace("{}", "0.42"),
                });
                document(page, &of_page.collect::<Vec<_>>().join("\n").replace(' ', "\n"))
            })
            .into()
    }

    const NAMES: [&str; 8] = [
        "app_files_4k",
        "spawn_await",
        "file_seek_read_4k",
        "http_axum_64",
        "bytes_per_pending_task",
        "bytes_per_sleeping_task",
        "spawn_blocking_64",
        "spawn_blocking_sequence",
    ];
    const SUMMARY: &str = "- **Tasks, channels, locks, timers and blocking calls: faster.** redd needs 0.42 of it\n\
                           - **Programs (a few): faster.** redd needs 0.42 of it\n\
                           - **Bare TCP, UDP and HTTP servers, per request: faster.** redd needs 0.42 of it\n";

    #[test]
    fn the_readme_gets_the_medians_and_the_ratio_of_the_rounds() {
        let written = written(&documents("50,20,400")).expect("all is there");
        assert!(written.starts_with(&format!("# redd\n{BEGIN}| less is better | redd | Tokio 1.2.3 |")), "{written}");
        assert!(written.ends_with(&format!("{END}more\n")), "{written}");
        assert!(written.contains("blocked for 300\u{a0}ms | 13.0\u{a0}ms | 301\u{a0}ms | **0.04** |\n"), "{written}");
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
        assert_eq!(of(0.96e6), "| a | 960\u{a0}µs | 1.00\u{a0}ms | **0.96**,\u{a0}equal |\n");
        assert_eq!(of(0.94e6), "| a | 940\u{a0}µs | 1.00\u{a0}ms | **0.94** |\n");
        assert_eq!(of(12.5e6), "| a | 12.5\u{a0}ms | 1.00\u{a0}ms | **12.50** |\n");
    }

    #[test]
    fn other_numbers_than_the_measured_ones_are_found() {
        let mut documents = documents("50,20,400");
        documents.extend(quotes("0.50", "193"));
        assert_eq!(check(&documents).len(), 1, "nothing was written yet");
        documents[4].text = written(&documents).expect("all is there");
        assert_eq!(check(&documents), []);
        documents[4].text = documents[4].text.replace("50.0", "49.0");
        assert_eq!(check(&documents).len(), 1);
    }

    #[test]
    fn a_quote_of_another_number_is_found() {
        let findings = |quotes: Vec<Document>, page: &str| {
            let mut documents = documents("50,20,400");
            documents[4].text = written(&documents).expect("all is there");
            documents[3].text = documents[3].text.replace("Programs (a few): faster.** redd needs 0.42", page);
            documents.extend(quotes);
            check(&documents).len()
        };
        let measured = "Programs (a few): faster.** redd needs 0.42";
        assert_eq!(findings(quotes("0.50", "193"), measured), 0);
        assert_eq!(findings(quotes("0.51", "193"), measured), 5);
        assert_eq!(findings(quotes("0.50", "194"), measured), 4);
        assert_eq!(findings(quotes("0.50", "193"), "Programs (a few): faster.** redd needs 0.43"), 1);
        assert_eq!(findings(quotes("0.50", "193"), "Other programs: faster.** redd needs 0.42"), 1, "no such line");
        assert_eq!(findings(Vec::new(), measured), QUOTES.len(), "no such page");
    }

    #[test]
    fn a_picture_of_other_values_is_found() {
        let mut documents = documents("50,20,400");
        documents[4].text = written(&documents).expect("all is there");
        documents.extend(quotes("0.50", "193"));
        documents[2].text = documents[2].text.replace("301", "300");
        assert_eq!(check(&documents).len(), 1);
        documents.remove(2);
        assert_eq!(check(&documents).len(), 1);
    }

    #[test]
    fn what_is_missing_is_named() {
        for missing in [RESULTS, BEATS, PAGE] {
            let mut documents = documents("50,20,400");
            documents.retain(|document| document.path != missing);
            assert!(written(&documents).is_err_and(|why| why.contains(missing)), "{missing}");
        }
        let mut documents = documents("50,20,400");
        documents[0].text = documents[0].text.replace("spawn_await", "other");
        assert!(written(&documents).is_err_and(|why| why.contains("`spawn_await`")));
        documents[4].text = "# redd\n".to_owned();
        assert!(written(&documents).is_err_and(|why| why.contains("the mark")));
    }
}
