//! redd's targets, and whether each is met.

use crate::measure::{Row, Runtime, Spread, ratio};

/// A bound on a metric of redd, or on its ratio to another runtime's.
pub struct Target {
    pub text: &'static str,
    rows: &'static [&'static str],
    metric: &'static str,
    bound: f64,
    against: Option<Runtime>,
}

pub struct Verdict {
    pub row: String,
    pub measured: Spread,
    pub met: bool,
    /// The value of the loop without a runtime in the same unit, if there is one.
    pub floor: Option<f64>,
}

const fn cpu(text: &'static str, rows: &'static [&'static str], bound: f64) -> Target {
    to_tokio(text, rows, "cpu_ns", bound)
}

const fn to_tokio(text: &'static str, rows: &'static [&'static str], metric: &'static str, bound: f64) -> Target {
    Target { text, rows, metric, bound, against: Some(Runtime::Tokio) }
}

pub const TARGETS: &[Target] = &[
    cpu(
        "spawn and await; 1000 and join; detached; chained",
        &["spawn_await", "spawn_1000_join", "spawn_detached", "spawn_chained"],
        0.45,
    ),
    cpu(
        "spawn 1000 and join on two workers; from outside",
        &["spawn_1000_join_2_workers", "spawn_1000_join_outside"],
        0.55,
    ),
    cpu("`JoinSet` of 1000", &["join_set_1000"], 0.5),
    cpu("task group, spawn and `next`, to Tokio's `JoinSet`", &["group_spawn_next"], 0.6),
    cpu("task group with a limit, to Tokio's `JoinSet` and `Semaphore`", &["group_limit"], 0.5),
    cpu("yield, one task", &["yield_1"], 0.2),
    cpu("yield, 1000 tasks", &["yield_1000"], 0.75),
    cpu(
        "ping-pong, oneshot, mpsc, notify, watch, broadcast",
        &[
            "ping_pong",
            "oneshot",
            "mpsc_bounded",
            "mpsc_unbounded",
            "mpsc_8_producers",
            "mpsc_8_producers_unbounded",
            "notify",
            "watch",
            "broadcast",
        ],
        0.85,
    ),
    cpu("semaphore and mutex, short", &["semaphore_short", "mutex_short"], 0.4),
    cpu("the same held across a yield", &["semaphore_over_yield", "mutex_over_yield"], 0.7),
    cpu("sleep created, polled, dropped", &["sleep_create_poll_drop"], 0.5),
    cpu("timeout that never fires", &["timeout_that_never_fires"], 0.65),
    cpu("`spawn_blocking`, 64 at once", &["spawn_blocking_64"], 0.3),
    cpu("`spawn_blocking`, many tasks", &["spawn_blocking_many_tasks"], 0.5),
    cpu("`spawn_blocking`, one after another", &["spawn_blocking_sequence"], 1.0),
    cpu("`block_in_place`", &["block_in_place"], 0.3),
    Target {
        text: "bytes per pending task",
        rows: &["bytes_per_pending_task"],
        metric: "bytes",
        bound: 160.0,
        against: None,
    },
    Target {
        text: "bytes per waiting task",
        rows: &["bytes_per_sleeping_task"],
        metric: "bytes",
        bound: 280.0,
        against: None,
    },
    Target {
        text: "bytes per finished task without an output in a `JoinSet` that is not joined",
        rows: &["bytes_per_unjoined_task"],
        metric: "bytes",
        bound: 64.0,
        against: None,
    },
    cpu("startup and shutdown", &["startup_multi", "startup_current"], 0.8),
    cpu("TCP echo, 64 connections", &["tcp_echo_64"], 0.92),
    cpu("TCP echo, 512 connections", &["tcp_echo_512"], 0.9),
    Target {
        text: "TCP echo, to the bare loop around epoll",
        rows: &["tcp_echo_64", "tcp_echo_512"],
        metric: "cpu_ns",
        bound: 1.1,
        against: Some(Runtime::Floor),
    },
    cpu("HTTP through hyper", &["http_hyper_64", "http_hyper_512", "http_hyper_64_wrk", "http_hyper_512_wrk"], 0.93),
    to_tokio("lateness of 10k sleeps, median", &["sleeps_10k"], "lateness_median_us", 0.6),
    cpu("10k sleeps, CPU", &["sleeps_10k"], 1.0),
    cpu("idle, CPU", &["idle"], 1.0),
    to_tokio("context switches per tick", &["interval_1", "interval_100", "idle"], "switches", 1.0),
    to_tokio("p99 latency at half load", &["tcp_echo_64_half_load", "http_hyper_64_half_load"], "latency_p99_us", 1.0),
    Target {
        text: "seconds until the memory of a spike of a million tasks is back within twice of the start",
        rows: &["spike"],
        metric: "seconds_to_twice_start",
        bound: 29.9,
        against: None,
    },
];

impl Target {
    pub fn bound(&self) -> String {
        match self.against {
            None => format!("≤ {}", self.bound),
            Some(Runtime::Tokio) => format!("≤ {} × Tokio", self.bound),
            Some(other) => format!("≤ {} × {}", self.bound, other.name()),
        }
    }

    /// One verdict for each row that was measured.
    pub fn verdicts(&self, rows: &[Row]) -> Vec<Verdict> {
        let measured = |row: &Row| match self.against {
            Some(other) => row.ratio(other, self.metric),
            None => row.spread(Runtime::Redd, self.metric),
        };
        let named = self.rows.iter().filter_map(|name| rows.iter().find(|row| row.name == *name));
        named
            .filter_map(|row| {
                let measured = measured(row)?;
                // The table shows two digits, and the rounds repeat no more than that.
                let met = (measured.median * 100.0).round() <= self.bound * 100.0 + 0.01;
                let median = |runtime| Some(row.spread(runtime, self.metric)?.median);
                let floor = self.against.and_then(|other| Some(ratio(median(Runtime::Floor)?, median(other)?)));
                Some(Verdict { row: row.name.clone(), measured, met, floor })
            })
            .collect()
    }
}

/// Rows whose CPU (or bytes) is more than 1.05 of Tokio's.
pub fn above(rows: &[Row]) -> Vec<(String, Spread)> {
    let ratios = rows.iter().filter_map(|row| Some((row.name.clone(), row.ratio(Runtime::Tokio, row.main_metric())?)));
    ratios.filter(|(_, ratio)| ratio.median > 1.05).collect()
}

/// Rows in which redd does more of something than Tokio: name, redd's value, Tokio's value; per operation.
/// Fewer than five in a thousand operations, or less than a tenth more, is within the noise.
pub fn more_of(rows: &[Row], metric: &str) -> Vec<(String, f64, f64)> {
    let both = |row: &Row| {
        let (ours, theirs) = (row.spread(Runtime::Redd, metric)?.median, row.spread(Runtime::Tokio, metric)?.median);
        (ours > theirs * 1.1 && ours - theirs > 0.005).then(|| (row.name.clone(), ours, theirs))
    };
    rows.iter().filter_map(both).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Measure;

    #[test]
    fn a_target_is_met_at_its_bound() {
        let row = |ours| {
            let mut row = Row::new("yield_1");
            for (runtime, cpu_ns) in [(Runtime::Redd, ours), (Runtime::Tokio, 100)] {
                row.add(runtime, &Measure { operations: 1, cpu_ns, ..Measure::default() });
            }
            row
        };
        let target = cpu("yield", &["yield_1"], 0.2);
        assert!(target.verdicts(&[row(20)])[0].met);
        assert!(!target.verdicts(&[row(21)])[0].met);
    }
}
