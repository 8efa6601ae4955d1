//! A text of metrics for Prometheus and for what reads its format: one block for each metric, with the samples of all runtimes.
//!
//! Called by `metrics`, which has the metrics, and by `attach`, which adds one runtime after the other.
//!
//! # Invariants
//! - `one-block`: all lines of a metric are in one block, also if the text has several runtimes, as the format demands.
//! - `unique-samples`: the labels of a sample have the runtime's id, so no two runtimes have equal samples.

use std::fmt::{self, Display, Write};

#[derive(Clone, Copy)]
pub(crate) enum MetricType {
    Counter,
    Gauge,
    Histogram,
}

impl MetricType {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The labels that all samples of a runtime have, as text.
#[derive(Debug)]
pub(crate) struct RuntimeLabels(String);

impl RuntimeLabels {
    pub(crate) fn new(id: &dyn Display, name: Option<&str>) -> Self {
        let name = name.map(|name| format!(",name=\"{}\"", Escaped(name))).unwrap_or_default();
        Self(format!("runtime=\"{id}\"{name}"))
    }
}

/// The blocks so far, in the order in which they were begun.
#[derive(Debug, Default)]
pub(crate) struct MetricBlocks {
    blocks: Vec<Block>,
}

impl MetricBlocks {
    /// Returns the block of a metric (`one-block`).
    pub(crate) fn block(&mut self, name: &'static str, kind: MetricType, help: &str) -> &mut Block {
        let index = self.blocks.iter().position(|block| block.name == name).unwrap_or_else(|| {
            let text = format!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.name());
            self.blocks.push(Block { name, text });
            self.blocks.len() - 1
        });
        &mut self.blocks[index]
    }

    /// Returns the whole text.
    pub(crate) fn finish(self) -> String {
        let mut text: String = self.blocks.into_iter().map(|block| block.text).collect();
        text.push_str("# EOF\n");
        text
    }
}

/// The lines of a metric. Writing to a `String` does not fail.
#[derive(Debug)]
pub(crate) struct Block {
    name: &'static str,
    text: String,
}

impl Block {
    /// Adds a sample, with the labels of its runtime before `labels` (`unique-samples`). `suffix` is what its name has after
    /// that of the metric.
    pub(crate) fn sample(
        &mut self,
        suffix: &str,
        of: &RuntimeLabels,
        labels: &[(&str, &dyn Display)],
        value: &dyn Display,
    ) {
        let _ = write!(self.text, "{}{suffix}{{{}", self.name, of.0);
        for (label, value) in labels {
            let _ = write!(self.text, ",{label}=\"{}\"", Escaped(&value.to_string()));
        }
        let _ = writeln!(self.text, "}} {value}");
    }
}

/// The value of a label as it is between quotes.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '\\' => f.write_str(r"\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str(r"\n"),
            _ => f.write_char(character),
        })
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn samples_of_a_metric_stand_together_in_whatever_order_they_come() {
        let mut blocks = MetricBlocks::default();
        for (id, name) in [(1, Some("a")), (2, None)] {
            let of = &RuntimeLabels::new(&id, name);
            blocks.block("x_total", MetricType::Counter, "X.").sample("", of, &[], &id);
            blocks.block("y", MetricType::Histogram, "Y.").sample("_sum", of, &[("le", &"+Inf")], &0.5);
        }
        assert_eq!(
            blocks.finish(),
            "# HELP x_total X.\n# TYPE x_total counter\nx_total{runtime=\"1\",name=\"a\"} 1\nx_total{runtime=\"2\"} 2\n\
             # HELP y Y.\n# TYPE y histogram\ny_sum{runtime=\"1\",name=\"a\",le=\"+Inf\"} 0.5\n\
             y_sum{runtime=\"2\",le=\"+Inf\"} 0.5\n# EOF\n"
        );
    }

    proptest! {
        /// A location with any path: quotes, backslashes and line breaks are possible in file names.
        #[test]
        fn each_label_stays_on_its_line_and_has_its_value(value in "([\"\\\\\nn]|\\PC){0,20}") {
            let mut block = Block { name: "redd_x", text: String::new() };
            block.sample("", &RuntimeLabels::new(&1, None), &[("location", &value)], &7);
            prop_assert_eq!(block.text.matches('\n').count(), 1);
            let quoted = block.text.split_once("location=\"").and_then(|(_, rest)| rest.strip_suffix("\"} 7\n"));
            let mut characters = quoted.expect("a label and a value").chars();
            let mut read = String::new();
            while let Some(character) = characters.next() {
                prop_assert!(character != '"', "the label ends before its value");
                read.push(match character {
                    '\\' => match characters.next() {
                        Some('n') => '\n',
                        Some(escaped @ ('"' | '\\')) => escaped,
                        other => return Err(TestCaseError::fail(format!("\\{other:?}"))),
                    },
                    _ => character,
                });
            }
            prop_assert_eq!(read, value);
        }
    }
}
