//! What was measured, and what it comes to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    Redd,
    Tokio,
    Smol,
    Epoll,
}

impl Runtime {
    pub const ALL: [Runtime; 4] = [Runtime::Redd, Runtime::Tokio, Runtime::Smol, Runtime::Epoll];

    pub fn name(self) -> &'static str {
        match self {
            Runtime::Redd => "redd",
            Runtime::Tokio => "Tokio",
            Runtime::Smol => "smol",
            Runtime::Epoll => "bare epoll",
        }
    }

    /// As it stands in the names of binaries.
    pub fn suffix(self) -> &'static str {
        match self {
            Runtime::Redd => "redd",
            Runtime::Tokio => "tokio",
            Runtime::Smol => "smol",
            Runtime::Epoll => "epoll",
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
    /// A figure by name, per operation where that makes sense. Lower is better for each.
    pub fn figure(&self, name: &str) -> Option<f64> {
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
pub struct Row {
    pub name: String,
    /// Per runtime, in the order of the rounds; redd's and Tokio's of one place were run one after the other.
    pub runs: BTreeMap<Runtime, Vec<Measure>>,
    /// The run that counts allocations, system calls and wakes; its times mean nothing.
    pub counted: BTreeMap<Runtime, Measure>,
}

/// Median, minimum and maximum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
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

impl Row {
    /// The figure that the row is about.
    pub fn main_figure(&self) -> &'static str {
        let Some(first) = self.runs.values().flatten().next() else { return "cpu_ns" };
        if first.bytes > 0.0 { "bytes" } else { "cpu_ns" }
    }

    pub fn values(&self, runtime: Runtime, figure: &str) -> Vec<f64> {
        if matches!(figure, "allocations" | "system_calls" | "wakes") {
            return self.counted.get(&runtime).and_then(|measure| measure.figure(figure)).into_iter().collect();
        }
        self.runs.get(&runtime).into_iter().flatten().filter_map(|measure| measure.figure(figure)).collect()
    }

    pub fn spread(&self, runtime: Runtime, figure: &str) -> Option<Spread> {
        Spread::of(self.values(runtime, figure))
    }

    /// redd to the other, round by round.
    pub fn ratio(&self, to: Runtime, figure: &str) -> Option<Spread> {
        let (ours, theirs) = (self.values(Runtime::Redd, figure), self.values(to, figure));
        Spread::of(ours.iter().zip(&theirs).map(|(ours, theirs)| ratio(*ours, *theirs)))
    }
}

fn ratio(ours: f64, theirs: f64) -> f64 {
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
