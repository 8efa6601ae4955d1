//! The five sentences at the head of the page: what gets faster, by how much, and what does not.
//!
//! Called by `page`. Every number and every verdict in them comes from the rows.

use crate::apps;
use crate::measure::{Row, Runtime};
use crate::targets::{P99, P99_9};

/// Below this ratio of Tokio's value something gets faster, above its inverse slower. Between them lies the noise.
const FASTER: f64 = 0.95;

/// What a sentence is about.
struct Subject {
    /// Begins the sentence.
    name: &'static str,
    value: &'static str,
    metrics: &'static [&'static str],
    includes: fn(&str) -> bool,
}

const SUBJECTS: [Subject; 5] = [
    Subject {
        name: "Programs (a file server and the others below), per request",
        value: "CPU time",
        metrics: &["cpu_ns"],
        includes: is_program,
    },
    Subject { name: "Files", value: "CPU time", metrics: &["cpu_ns"], includes: is_file },
    Subject {
        name: "Tasks, channels, locks, timers and blocking calls",
        value: "CPU time",
        metrics: &["cpu_ns"],
        includes: is_inside,
    },
    Subject {
        name: "Bare TCP, UDP and HTTP servers, per request",
        value: "CPU time",
        metrics: &["cpu_ns"],
        includes: is_socket,
    },
    Subject {
        name: "The slowest requests of these servers and programs (p99 and p99.9)",
        value: "latency",
        metrics: &[P99, P99_9],
        includes: |_| true,
    },
];

pub fn is_program(row: &str) -> bool {
    row.starts_with(apps::PREFIX) || row.starts_with("mixed_") || row.starts_with("http_axum")
}

fn is_file(row: &str) -> bool {
    row.starts_with("file_")
}

/// Sockets, with both ends in one process or with a client in another.
fn is_socket(row: &str) -> bool {
    ["tcp_", "udp_", "http_"].iter().any(|kind| row.starts_with(kind)) && !is_program(row)
}

/// Rows about memory are not here: they have another value.
fn is_inside(row: &str) -> bool {
    !is_program(row) && !is_file(row) && !is_socket(row)
}

/// One sentence for each subject: first what gets faster, last what gets slower, as far as there are rows.
pub fn sentences(rows: &[Row]) -> Vec<String> {
    let mut sentences: Vec<(f64, String)> = SUBJECTS.iter().map(|subject| subject.sentence(rows)).collect();
    sentences.sort_by(|a, b| a.0.total_cmp(&b.0));
    sentences.into_iter().map(|(_, sentence)| sentence).collect()
}

impl Subject {
    /// With the ratio that it is sorted by.
    fn sentence(&self, rows: &[Row]) -> (f64, String) {
        let Subject { name, value, .. } = self;
        let mut ratios: Vec<(f64, String)> = Vec::new();
        for row in rows.iter().filter(|row| (self.includes)(&row.name)) {
            for metric in self.metrics {
                let ratio = row.ratio(Runtime::Tokio, metric).filter(|ratio| ratio.median.is_finite());
                let of = if *metric == P99_9 { format!("`{}`, p99.9", row.name) } else { format!("`{}`", row.name) };
                // Nothing to nothing says nothing.
                let measured = row.spread(Runtime::Redd, metric).is_some_and(|ours| ours.max > 0.0);
                ratios.extend(ratio.filter(|_| measured).map(|ratio| (ratio.median, of)));
            }
        }
        ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (Some(least), Some(most)) = (ratios.first(), ratios.last()) else {
            return (f64::INFINITY, format!("**{name}**: not measured."));
        };
        let median = ratios[ratios.len() / 2].0;
        let verdict = if median < FASTER {
            "faster"
        } else if median > 1.0 / FASTER {
            "slower"
        } else {
            "not faster"
        };
        let count = ratios.len();
        let above = ratios.iter().filter(|ratio| ratio.0 >= 1.005).count();
        let exceptions = match above {
            0 => format!("and none of {count} values is above it"),
            _ => format!("and {above} of {count} values are above it, at most {:.2} ({})", most.0, most.1),
        };
        let sentence = format!(
            "**{name}: {verdict}.** redd needs {median:.2} of Tokio's {value} in the median, {:.2} at the least ({}), {exceptions}.",
            least.0, least.1
        );
        (median, sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Measure;

    fn row(name: &str, ours: u64, p99: Option<(f64, f64)>) -> Row {
        let mut row = Row::new(name);
        for (runtime, cpu_ns, p99) in
            [(Runtime::Redd, ours, p99.map(|p99| p99.0)), (Runtime::Tokio, 100, p99.map(|p99| p99.1))]
        {
            let values = p99.into_iter().map(|p99| (P99.to_owned(), p99)).collect();
            row.add(runtime, &Measure { operations: 1, cpu_ns, values, ..Measure::default() });
        }
        row
    }

    fn about<'a>(sentences: &'a [String], subject: &str) -> &'a str {
        sentences.iter().find(|sentence| sentence.starts_with(&format!("**{subject}"))).expect("there is one")
    }

    #[test]
    fn there_are_five_sentences_also_without_rows() {
        let sentences = sentences(&[]);
        assert_eq!(sentences.len(), 5);
        assert!(sentences.iter().all(|sentence| sentence.ends_with("not measured.")));
    }

    #[test]
    fn a_sentence_says_how_much_and_where_not() {
        let rows = [row("spawn_await", 40, None), row("yield_1", 8, None), row("notify", 102, None)];
        let sentences = sentences(&rows);
        assert_eq!(
            sentences[0],
            "**Tasks, channels, locks, timers and blocking calls: faster.** redd needs 0.40 of Tokio's CPU time in the median, \
             0.08 at the least (`yield_1`), and 1 of 3 values are above it, at most 1.02 (`notify`)."
        );
        assert!(about(&sentences, "Files").ends_with("not measured."));
    }

    #[test]
    fn the_verdict_follows_the_values() {
        let of = |ours| sentences(&[row("file_metadata", ours, None)])[0].clone();
        assert!(of(94).starts_with("**Files: faster.**"));
        assert!(of(94).ends_with("none of 1 values is above it."));
        assert!(of(96).starts_with("**Files: not faster.**"));
        assert!(of(104).starts_with("**Files: not faster.**"));
        assert!(of(104).ends_with("at most 1.04 (`file_metadata`)."));
        assert!(of(106).starts_with("**Files: slower.**"));
    }

    #[test]
    fn what_gets_faster_is_said_first_and_tails_apart() {
        let rows = [row("tcp_echo_64", 99, Some((300.0, 200.0))), row("file_read_4k", 30, None)];
        let sentences = sentences(&rows);
        assert!(sentences[0].starts_with("**Files: faster.**"));
        assert!(sentences[1].starts_with("**Bare TCP, UDP and HTTP servers, per request: not faster.**"));
        assert!(about(&sentences, "The slowest requests").contains(": slower.** redd needs 1.50 of Tokio's latency"));
    }
}
