//! The metrics of runtimes as text for Prometheus and for what reads its format.
//!
//! Called by programs, through [`RuntimeMetrics::open_metrics`], and for attach requests, with all runtimes of a process.
//!
//! # Why not otherwise
//! The text format of Prometheus (0.0.4) and OpenMetrics 1.0 disagree about counters. In the first, `# TYPE` has the name of
//! the samples, with `_total`; in the second it has the name without it. A reader of the other format rejects the text or
//! loses types and descriptions (`promtool check metrics` does). Prometheus reads the names of the first in both formats, and
//! 0.0.4 takes the end mark of the second for a comment. So the names are those of the first, and the mark is there. There is
//! no `# UNIT`: for a counter in seconds, its rule is about the name without `_total`. The names have the units.

use std::fmt::{self, Display, Write};
use std::time::Duration;

use MetricType::{Counter, Gauge};

use super::RuntimeMetrics;
use crate::observe::histogram::Histogram;
use crate::observe::metric_blocks::{Block, MetricBlocks, MetricType, RuntimeLabels};
use crate::observe::report::ShortLocation;

/// A value that is read at one moment.
enum Value {
    Number(u64),
    Time(Duration),
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(number as u64)
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Time(time) => Seconds(*time).fmt(f),
        }
    }
}

/// A duration in seconds, exactly and without an exponent: `1.0`, `0.0001`.
struct Seconds(Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = format!("{:09}", self.0.subsec_nanos());
        let trimmed = nanos.trim_end_matches('0');
        write!(f, "{}.{}", self.0.as_secs(), if trimmed.is_empty() { "0" } else { trimmed })
    }
}

/// A metric: its name, its type, its description, and the function that reads it.
type Metric<F> = (&'static str, MetricType, &'static str, F);
type ReadRuntime = fn(&RuntimeMetrics) -> Value;
type ReadWorker = fn(&RuntimeMetrics, usize) -> Value;
type ReadHistograms = fn(&RuntimeMetrics) -> &[Histogram];

const OF_RUNTIMES: &[Metric<ReadRuntime>] = &[
    ("redd_workers", Gauge, "Worker threads, without spare ones.", |of| of.num_workers().into()),
    ("redd_tasks_alive", Gauge, "Tasks that have not ended.", |of| of.num_alive_tasks().into()),
    ("redd_tasks_spawned_total", Counter, "Tasks that were spawned.", |of| Value::Number(of.spawned_tasks_count())),
    ("redd_injector_tasks", Gauge, "Tasks that wait in the injector for a worker.", |of| {
        of.global_queue_depth().into()
    }),
    ("redd_remote_schedules_total", Counter, "Tasks that a thread other than a worker queued.", |of| {
        Value::Number(of.remote_schedule_count())
    }),
    ("redd_forced_yields_total", Counter, "Yields of tasks that had used up their budget.", |of| {
        Value::Number(of.budget_forced_yield_count())
    }),
    ("redd_descriptors_registered_total", Counter, "Descriptors that were registered with the I/O driver.", |of| {
        Value::Number(of.io_driver_fd_registered_count())
    }),
    ("redd_descriptors_deregistered_total", Counter, "Descriptors that were deregistered.", |of| {
        Value::Number(of.io_driver_fd_deregistered_count())
    }),
    ("redd_driver_events_total", Counter, "Readiness events that the I/O driver delivered.", |of| {
        Value::Number(of.io_driver_ready_count())
    }),
    ("redd_blocking_threads", Gauge, "Threads of the blocking pool.", |of| of.num_blocking_threads().into()),
    ("redd_blocking_threads_idle", Gauge, "Threads of the blocking pool that wait for work.", |of| {
        of.num_idle_blocking_threads().into()
    }),
    ("redd_blocking_queued", Gauge, "Closures that wait for a thread of the blocking pool.", |of| {
        of.blocking_queue_depth().into()
    }),
    ("redd_late_polls_total", Counter, "Polls that took too long.", |of| Value::Number(of.late_polls())),
    ("redd_longest_poll_seconds", Gauge, "Longest poll that the monitor has seen.", |of| {
        Value::Time(of.longest_poll())
    }),
    ("redd_rescues_total", Counter, "Stalled polls for which another worker was woken or started.", |of| {
        Value::Number(of.rescues())
    }),
    ("redd_rescue_workers", Gauge, "Spare workers that run.", |of| of.rescue_workers().into()),
    ("redd_rescue_workers_max", Gauge, "Most spare workers that ran at the same time.", |of| {
        of.rescue_workers_max().into()
    }),
    ("redd_task_groups", Gauge, "Task groups that have not ended.", |of| of.num_task_groups().into()),
    ("redd_task_groups_queued", Gauge, "Tasks that wait for a place in a task group.", |of| {
        of.task_group_queue_depth().into()
    }),
    ("redd_supervisor_restarts_total", Counter, "Times that a supervisor started a child again.", |of| {
        Value::Number(of.supervisor_restart_count())
    }),
];

const OF_WORKERS: &[Metric<ReadWorker>] = &[
    ("redd_worker_queued_tasks", Gauge, "Tasks in the worker's run queue.", |of, worker| {
        of.worker_local_queue_depth(worker).into()
    }),
    ("redd_worker_parked", Gauge, "Whether the worker is parked, as 1 or 0.", |of, worker| {
        Value::Number(of.worker_park_unpark_count(worker) % 2)
    }),
    ("redd_worker_parks_total", Counter, "Times that the worker parked.", |of, worker| {
        Value::Number(of.worker_park_count(worker))
    }),
    ("redd_worker_noops_total", Counter, "Times that the worker parked again without a poll.", |of, worker| {
        Value::Number(of.worker_noop_count(worker))
    }),
    ("redd_worker_polls_total", Counter, "Polls of tasks.", |of, worker| Value::Number(of.worker_poll_count(worker))),
    ("redd_worker_mean_poll_seconds", Gauge, "Moving average of the time of a poll.", |of, worker| {
        Value::Time(of.worker_mean_poll_time(worker))
    }),
    ("redd_worker_busy_seconds_total", Counter, "Time that the worker was awake.", |of, worker| {
        Value::Time(of.worker_total_busy_duration(worker))
    }),
    ("redd_worker_local_schedules_total", Counter, "Tasks that the worker added to its own queue.", |of, worker| {
        Value::Number(of.worker_local_schedule_count(worker))
    }),
    ("redd_worker_overflows_total", Counter, "Times that the worker's run queue was full.", |of, worker| {
        Value::Number(of.worker_overflow_count(worker))
    }),
    ("redd_worker_steal_operations_total", Counter, "Times that the worker stole from others.", |of, worker| {
        Value::Number(of.worker_steal_operations(worker))
    }),
    ("redd_worker_stolen_tasks_total", Counter, "Tasks that the worker stole from others.", |of, worker| {
        Value::Number(of.worker_steal_count(worker))
    }),
];

const LATE_POLLS_BY_LOCATION: (&str, &str) =
    ("redd_late_polls_by_location_total", "Polls that took too long, by the location that spawned the task.");

const OF_HISTOGRAMS: &[(&str, &str, ReadHistograms)] = &[
    ("redd_poll_time_seconds", "Time of a poll.", |of| &of.shared.instrumentation.poll_times),
    ("redd_schedule_latency_seconds", "Time from the wake of a task to its poll.", |of| {
        &of.shared.instrumentation.latencies
    }),
];

impl RuntimeMetrics {
    /// Returns all metrics as text for Prometheus and for what reads its format.
    ///
    /// Serve it with the content type `text/plain; version=0.0.4`. It ends in the line `# EOF`, so Prometheus also accepts it as
    /// `application/openmetrics-text; version=1.0.0`. A strict parser of OpenMetrics 1.0 does not: it expects `# TYPE` of a
    /// counter to have the name without `_total`, which `promtool check metrics` rejects.
    ///
    /// - The names begin with `redd_`. Times are in seconds. Every sample has the label `runtime` with the
    ///   runtime's [id](crate::runtime::Handle::id), and `name` if the builder set a [name](crate::runtime::Builder::name). Those of workers have the label `worker`.
    /// - `redd_late_polls_by_location_total` has the label `location`: the one that spawned the task.
    /// - The histograms, if they are enabled, are the sums of all workers. The number of their samples is that of their buckets.
    ///
    /// # Examples
    /// ```
    /// let runtime = redd::runtime::Builder::new_multi_thread().name("api").build()?;
    /// runtime.block_on(runtime.spawn(async {})).unwrap();
    /// let (id, text) = (runtime.handle().id(), runtime.metrics().open_metrics());
    /// assert!(text.contains("# TYPE redd_tasks_spawned_total counter\n"));
    /// assert!(text.contains(&format!("redd_tasks_spawned_total{{runtime=\"{id}\",name=\"api\"}} 1\n")));
    /// assert!(text.ends_with("# EOF\n"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn open_metrics(&self) -> String {
        text_of(std::slice::from_ref(self))
    }

    /// The late polls by the text of a location.
    pub(super) fn late_polls_by_text(&self) -> Vec<(String, u64)> {
        let mut all: Vec<(String, u64)> = Vec::new();
        for (location, count) in self.late_polls_by_location() {
            let (mut text, long) = (ShortLocation(location).to_string(), location.to_string());
            if text != long {
                let _ = write!(text, ":{}", location.column()); // which the short text leaves out
            }
            match all.iter_mut().find(|(known, _)| *known == text) {
                Some((_, sum)) => *sum += count,
                None => all.push((text, count)),
            }
        }
        all
    }
}

/// The text of these runtimes.
fn text_of(runtimes: &[RuntimeMetrics]) -> String {
    let mut blocks = MetricBlocks::default();
    runtimes.iter().for_each(|of| add(&mut blocks, of));
    blocks.finish()
}

/// Adds the samples of a runtime.
pub(crate) fn add(blocks: &mut MetricBlocks, of: &RuntimeMetrics) {
    let labels = &RuntimeLabels::new(&of.shared.id, of.shared.config.name.as_deref());
    for (name, kind, help, read) in OF_RUNTIMES {
        blocks.block(name, *kind, help).sample("", labels, &[], &read(of));
    }
    for (location, count) in of.late_polls_by_text() {
        let (name, help) = LATE_POLLS_BY_LOCATION;
        blocks.block(name, Counter, help).sample("", labels, &[("location", &location)], &count);
    }
    for (name, kind, help, read) in OF_WORKERS {
        let block = blocks.block(name, *kind, help);
        (0..of.num_workers()).for_each(|worker| block.sample("", labels, &[("worker", &worker)], &read(of, worker)));
    }
    for (name, help, read) in OF_HISTOGRAMS {
        if let [first, ..] = read(of) {
            add_histogram(blocks.block(name, MetricType::Histogram, help), labels, first, read(of));
        }
    }
}

/// Adds the sum of the workers' histograms. A bucket also counts all durations of those before it. The upper bounds are
/// inclusive in this format and exclusive in redd: a difference of a nanosecond.
fn add_histogram(block: &mut Block, labels: &RuntimeLabels, first: &Histogram, histograms: &[Histogram]) {
    let mut below = 0;
    for bucket in 0..first.buckets() {
        below += histograms.iter().filter_map(|histogram| histogram.count(bucket)).sum::<u64>();
        let end: &dyn Display = match first.range(bucket) {
            Some(range) if bucket + 1 < first.buckets() => &Seconds(range.end),
            _ => &"+Inf",
        };
        block.sample("_bucket", labels, &[("le", end)], &below);
    }
    let sum = histograms.iter().map(Histogram::sum).fold(Duration::ZERO, Duration::saturating_add);
    block.sample("_sum", labels, &[], &Seconds(sum));
    block.sample("_count", labels, &[], &below);
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::runtime::Builder;

    #[test]
    fn times_are_exact_seconds() {
        let cases =
            [(0, "0.0"), (1, "0.000000001"), (100_000, "0.0001"), (1_500_000_000, "1.5"), (60_000_000_000, "60.0")];
        for (nanos, text) in cases {
            assert_eq!(Seconds(Duration::from_nanos(nanos)).to_string(), text);
        }
    }

    #[test]
    fn several_runtimes_share_the_block_of_each_metric_and_no_sample() {
        let runtimes =
            [Builder::new_current_thread().name("a").build(), Builder::new_current_thread().name("a").build()];
        let metrics = runtimes.map(|runtime| runtime.expect("a runtime").metrics());
        let text = text_of(&metrics);
        for line in text.lines().filter(|line| line.starts_with("# ")) {
            assert_eq!(text.matches(&format!("{line}\n")).count(), 1, "`one-block`: {line}");
        }
        let mut samples: Vec<_> = text.lines().filter_map(|line| Some(line.split_once("} ")?.0)).collect();
        let all = samples.len();
        samples.sort_unstable();
        samples.dedup();
        assert_eq!((all, samples.len()), (2 * (OF_RUNTIMES.len() + OF_WORKERS.len()), all), "`unique-samples`: {text}");
    }
}
