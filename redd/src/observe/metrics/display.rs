//! `{}` of a runtime's metrics: all of them, as text that a person reads.
//!
//! Called by programs.

use std::fmt;
use std::time::Duration;

use super::RuntimeMetrics;
use crate::observe::histogram::Histogram;
use crate::observe::report::{Count, Grouped};

/// The columns of the table of workers.
const COLUMNS: [&str; 12] = [
    "worker",
    "state",
    "queued",
    "polls",
    "mean poll",
    "busy",
    "parks",
    "no-op",
    "local",
    "overflows",
    "steals",
    "stolen",
];

impl fmt::Display for RuntimeMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "runtime {}", self.shared.id)?;
        if let Some(name) = &self.shared.config.name {
            write!(f, " `{}`", name.escape_debug())?;
        }
        writeln!(f, ": {}", count(self.num_workers(), "worker", "workers"))?;
        writeln!(
            f,
            "tasks: {} alive, {} spawned, {} in the injector",
            Grouped(self.num_alive_tasks() as u64),
            Grouped(self.spawned_tasks_count()),
            Grouped(self.global_queue_depth() as u64)
        )?;
        writeln!(
            f,
            "scheduling: {} from other threads, {} forced by the budget",
            Count(self.remote_schedule_count(), "task queued", "tasks queued"),
            Count(self.budget_forced_yield_count(), "yield", "yields")
        )?;
        writeln!(
            f,
            "blocking pool: {}, {} idle, {} waiting",
            count(self.num_blocking_threads(), "thread", "threads"),
            Grouped(self.num_idle_blocking_threads() as u64),
            count(self.blocking_queue_depth(), "closure", "closures")
        )?;
        let (gone, ever) = (self.io_driver_fd_deregistered_count(), self.io_driver_fd_registered_count());
        writeln!(
            f,
            "I/O driver: {} registered now and {} before, {}",
            Count(ever.saturating_sub(gone), "descriptor", "descriptors"),
            Grouped(gone),
            Count(self.io_driver_ready_count(), "event", "events")
        )?;
        writeln!(f, "polls: {} late, the longest took {:?}", Grouped(self.late_polls()), self.longest_poll())?;
        for (location, late) in self.late_polls_by_text() {
            writeln!(f, "  {} late: spawned at {location}", Grouped(late))?;
        }
        writeln!(
            f,
            "rescue: {}, {} now, {} at most",
            Count(self.rescues(), "rescue", "rescues"),
            count(self.rescue_workers(), "spare worker", "spare workers"),
            Grouped(self.rescue_workers_max() as u64)
        )?;
        writeln!(
            f,
            "task groups: {}, {} for a place, {} of supervised children",
            count(self.num_task_groups(), "group", "groups"),
            count(self.task_group_queue_depth(), "task waits", "tasks wait"),
            Count(self.supervisor_restart_count(), "restart", "restarts")
        )?;
        for (name, histograms) in [
            ("time of a poll", &self.shared.instrumentation.poll_times),
            ("time in a queue", &self.shared.instrumentation.latencies),
        ] {
            if let Some(quantiles) = Quantiles::of(histograms) {
                writeln!(f, "{name}: {quantiles}")?;
            }
        }
        self.write_workers(f)
    }
}

impl RuntimeMetrics {
    /// Writes a table with a row for each worker, without a line break at its end.
    fn write_workers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |worker: usize| {
            let number = |value: u64| Grouped(value).to_string();
            [
                worker.to_string(),
                if self.worker_park_unpark_count(worker) % 2 == 1 { "parked" } else { "awake" }.to_owned(),
                number(self.worker_local_queue_depth(worker) as u64),
                number(self.worker_poll_count(worker)),
                format!("{:?}", self.worker_mean_poll_time(worker)),
                format!("{:.3} s", self.worker_total_busy_duration(worker).as_secs_f64()),
                number(self.worker_park_count(worker)),
                number(self.worker_noop_count(worker)),
                number(self.worker_local_schedule_count(worker)),
                number(self.worker_overflow_count(worker)),
                number(self.worker_steal_operations(worker)),
                number(self.worker_steal_count(worker)),
            ]
        };
        let mut rows = vec![COLUMNS.map(str::to_owned)];
        rows.extend((0..self.num_workers()).map(row));
        let widths: [usize; COLUMNS.len()] =
            std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
        for (line, row) in rows.iter().enumerate() {
            f.write_str(if line > 0 { "\n" } else { "" })?;
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                write!(f, "{}{cell:>width$}", if column > 0 { "  " } else { "" })?;
            }
        }
        Ok(())
    }
}

fn count(number: usize, one: &'static str, several: &'static str) -> Count {
    Count(number as u64, one, several)
}

/// How many durations the workers' histograms have counted, and the buckets of the median and of the 99th percentile.
struct Quantiles {
    count: u64,
    half: Bound,
    most: Bound,
}

/// The bucket that a quantile is in.
enum Bound {
    Below(Duration),
    /// The last bucket, which has no upper end.
    From(Duration),
}

impl Quantiles {
    /// `None` if there is no histogram.
    fn of(histograms: &[Histogram]) -> Option<Self> {
        let first = histograms.first()?;
        let counts: Vec<u64> = (0..first.buckets())
            .map(|bucket| histograms.iter().filter_map(|histogram| histogram.count(bucket)).sum())
            .collect();
        let count: u64 = counts.iter().sum();
        let bound = |percent: u64| {
            let wanted = (count as f64 * percent as f64 / 100.0).ceil() as u64;
            let mut below = 0;
            let bucket = counts.iter().position(|count| {
                below += count;
                below >= wanted
            });
            let last = first.buckets() - 1;
            let bucket = bucket.unwrap_or(last);
            let range = first.range(bucket)?;
            Some(if bucket < last { Bound::Below(range.end) } else { Bound::From(range.start) })
        };
        Some(Self { count, half: bound(50)?, most: bound(99)? })
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, half, most } = self;
        match count {
            0 => f.write_str("not measured yet"),
            _ => write!(f, "median {half}, 99th percentile {most}, of {}", Grouped(*count)),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below(end) => write!(f, "under {end:?}"),
            Self::From(start) => write!(f, "{start:?} or more"),
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::observe::histogram::HistogramConfiguration;

    fn quantiles(of: &[&[u64]]) -> Option<String> {
        let configuration = HistogramConfiguration::linear(Duration::from_micros(100), 10);
        let histograms: Vec<_> = of
            .iter()
            .map(|micros| {
                let histogram = Histogram::new(&configuration);
                micros.iter().for_each(|micros| histogram.record(Duration::from_micros(*micros)));
                histogram
            })
            .collect();
        Quantiles::of(&histograms).map(|quantiles| quantiles.to_string())
    }

    #[test]
    fn quantiles_name_the_bucket_that_has_them() {
        assert_eq!(quantiles(&[]), None);
        assert_eq!(quantiles(&[&[]]).as_deref(), Some("not measured yet"));
        assert_eq!(quantiles(&[&[250]]).as_deref(), Some("median under 300µs, 99th percentile under 300µs, of 1"));
        let workers: [&[u64]; 2] = [&[1; 49], &[150, 5000]];
        assert_eq!(quantiles(&workers).as_deref(), Some("median under 100µs, 99th percentile 900µs or more, of 51"));
    }
}
