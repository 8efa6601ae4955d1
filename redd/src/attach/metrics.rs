//! Metrics as text, in the format that Prometheus and OpenMetrics share: families of samples with labels.
//!
//! Called by `server`, with the samples of all runtimes.

use std::borrow::Cow;
use std::fmt::Write as _;

/// What a family of samples counts or measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FamilyKind {
    Counter,
    Gauge,
}

/// A family: samples of one meaning.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) kind: FamilyKind,
    pub(crate) help: &'static str,
}

/// One value of a family.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) family: &'static Family,
    pub(crate) labels: Vec<(&'static str, Cow<'static, str>)>,
    pub(crate) value: f64,
}

/// Writes the samples, those of a family together.
pub(super) fn write(samples: &[Sample]) -> String {
    let mut families: Vec<&Family> = Vec::new();
    for sample in samples {
        if !families.contains(&sample.family) {
            families.push(sample.family);
        }
    }
    let mut out = String::new();
    for family in families {
        let Family { name, kind, help } = family;
        let kind = match kind {
            FamilyKind::Counter => "counter",
            FamilyKind::Gauge => "gauge",
        };
        // A write to a string does not fail, here and below.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for sample in samples.iter().filter(|sample| sample.family == family) {
            write_sample(&mut out, sample);
        }
    }
    out.push_str("# EOF\n");
    out
}

fn write_sample(out: &mut String, sample: &Sample) {
    out.push_str(sample.family.name);
    for (index, (name, value)) in sample.labels.iter().enumerate() {
        out.push(if index == 0 { '{' } else { ',' });
        let _ = write!(out, "{name}=\"");
        for mark in value.chars() {
            match mark {
                '"' | '\\' => out.extend(['\\', mark]),
                '\n' => out.push_str("\\n"),
                mark => out.push(mark),
            }
        }
        out.push('"');
    }
    if !sample.labels.is_empty() {
        out.push('}');
    }
    let _ = writeln!(out, " {}", sample.value);
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    static POLLS: Family = Family { name: "polls_total", kind: FamilyKind::Counter, help: "Polls." };
    static TASKS: Family = Family { name: "tasks", kind: FamilyKind::Gauge, help: "Tasks." };

    #[test]
    fn samples_of_a_family_stand_together_and_labels_are_escaped() {
        let sample =
            |family, label: &'static str, value| Sample { family, labels: vec![("runtime", label.into())], value };
        let samples = [sample(&TASKS, "a", 1.0), sample(&POLLS, "a", 2.5), sample(&TASKS, "b\"\\\n", 3.0)];
        assert_eq!(
            write(&samples),
            "# HELP tasks Tasks.\n# TYPE tasks gauge\ntasks{runtime=\"a\"} 1\ntasks{runtime=\"b\\\"\\\\\\n\"} 3\n\
             # HELP polls_total Polls.\n# TYPE polls_total counter\npolls_total{runtime=\"a\"} 2.5\n# EOF\n"
        );
        assert_eq!(write(&[Sample { family: &TASKS, labels: Vec::new(), value: 0.0 }]).lines().nth(2), Some("tasks 0"));
    }
}
