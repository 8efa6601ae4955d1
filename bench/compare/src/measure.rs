//! Measured values, and ratios of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    Redd,
    Tokio,
    Smol,
    /// A loop without a runtime: around epoll in the servers, of std's calls in the rows about files. Results that were
    /// written by earlier versions call it `epoll`.
    #[serde(alias = "epoll")]
    Floor,
}

impl Runtime {
    pub const ALL: [Runtime; 4] = [Runtime::Redd, Runtime::Tokio, Runtime::Smol, Runtime::Floor];

    pub fn name(self) -> &'static str {
        match self {
            Runtime::Redd => "redd",
            Runtime::Tokio => "Tokio",
            Runtime::Smol => "smol",
            Runtime::Floor => "the floor",
        }
    }

    /// The name as in the names of binaries.
    pub fn suffix(self) -> &'static str {
        match self {
            Runtime::Redd => "redd",
            Runtime::Tokio => "tokio",
            Runtime::Smol => "smol",
            Runtime::Floor => "floor",
        }
    }
}

/// One run of one row on one runtime, as the binaries print it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Measure {
    #[serde(default)]
    pub operations: u64,
    pub wall_ns: u64,
    pub cpu_ns: u64,
    pub voluntary: u64,
    pub involuntary: u64,
    pub allocations: u64,
    pub system_calls: Option<u64>,
    pub wakes: Option<u64>,
    #[serde(default)]
    pub bytes: f64,
    #[serde(default)]
    pub values: BTreeMap<String, f64>,
}

impl Measure {
    /// A value by name, per operation where that makes sense. Lower is better for each.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let per_operation = |count: u64| Some(count as f64 / self.operations as f64);
        match name {
            "cpu_ns" => per_operation(self.cpu_ns),
            "wall_ns" => per_operation(self.wall_ns),
            "switches" => per_operation(self.voluntary),
            "preempted" => per_operation(self.involuntary),
            "allocations" => per_operation(self.allocations),
            "system_calls" => per_operation(self.system_calls?),
            "wakes" => per_operation(self.wakes?),
            "bytes" => (self.bytes > 0.0).then_some(self.bytes),
            name => self.values.get(name).copied(),
        }
    }
}

/// All runs of a row.
#[derive(Serialize, Deserialize)]
pub struct Row {
    pub name: String,
    /// For each runtime and metric, one value per round. Values with the same index come from adjacent runs. Results that were
    /// written by earlier versions call them `figures`.
    #[serde(alias = "figures")]
    pub metrics: BTreeMap<Runtime, BTreeMap<String, Vec<f64>>>,
}

/// Median, minimum and maximum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Some(Spread { median: *values.get(values.len() / 2)?, min: *values.first()?, max: *values.last()? })
    }
}

/// These come from a separate run, in which the times mean nothing.
const COUNTED: [&str; 3] = ["allocations", "system_calls", "wakes"];
const TIMED: [&str; 5] = ["cpu_ns", "wall_ns", "switches", "preempted", "bytes"];

impl Row {
    pub fn new(name: &str) -> Row {
        Row { name: name.to_owned(), metrics: BTreeMap::new() }
    }

    /// Adds the values of a run.
    pub fn add(&mut self, runtime: Runtime, measure: &Measure) {
        let named = measure.values.keys().map(String::as_str);
        self.add_metrics(runtime, measure, TIMED.into_iter().chain(named));
    }

    /// Adds the counts of a run.
    pub fn add_counted(&mut self, runtime: Runtime, measure: &Measure) {
        self.add_metrics(runtime, measure, COUNTED.into_iter());
    }

    fn add_metrics<'a>(&mut self, runtime: Runtime, measure: &Measure, metrics: impl Iterator<Item = &'a str>) {
        let known = self.metrics.entry(runtime).or_default();
        for metric in metrics {
            if let Some(value) = measure.metric(metric) {
                // A thousandth of a nanosecond, or of a system call in a thousand operations, is below the noise.
                known.entry(metric.to_owned()).or_default().push((value * 1e4).round() / 1e4);
            }
        }
    }

    /// The main value of the row.
    pub fn main_metric(&self) -> &'static str {
        if self.values(Runtime::Redd, "bytes").is_empty() { "cpu_ns" } else { "bytes" }
    }

    /// The values that only some rows have.
    pub fn named_metrics(&self) -> Vec<&str> {
        let all = self.metrics.get(&Runtime::Redd).into_iter().flat_map(BTreeMap::keys).map(String::as_str);
        all.filter(|name| !COUNTED.contains(name) && !TIMED.contains(name)).collect()
    }

    pub fn values(&self, runtime: Runtime, metric: &str) -> &[f64] {
        self.metrics.get(&runtime).and_then(|metrics| metrics.get(metric)).map_or(&[], Vec::as_slice)
    }

    pub fn spread(&self, runtime: Runtime, metric: &str) -> Option<Spread> {
        Spread::of(self.values(runtime, metric).iter().copied())
    }

    /// redd to the other, round by round.
    pub fn ratio(&self, to: Runtime, metric: &str) -> Option<Spread> {
        let (ours, theirs) = (self.values(Runtime::Redd, metric), self.values(to, metric));
        Spread::of(ours.iter().zip(theirs).map(|(ours, theirs)| ratio(*ours, *theirs)))
    }
}

/// The ratio of two values; zero to zero is one.
pub fn ratio(ours: f64, theirs: f64) -> f64 {
    if ours == theirs { 1.0 } else { ours / theirs }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_nothing_is_one() {
        assert!((ratio(0.0, 0.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_spread_is_in_order() {
        let spread = Spread::of([3.0, 1.0, 2.0]).expect("there are values");
        assert_eq!(spread, Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([]), None);
    }
}
