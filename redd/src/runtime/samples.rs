//! The metrics of a runtime as samples, for attach requests.
//!
//! Called by `observed`.

use std::borrow::Cow;

use crate::attach::{Family, FamilyKind, Sample};
use crate::observe::metrics::RuntimeMetrics;

/// A family whose samples are one value of the whole runtime.
type OfRuntime = (Family, fn(&RuntimeMetrics) -> f64);
/// A family with a sample for each worker.
type OfWorker = (Family, fn(&RuntimeMetrics, usize) -> f64);

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: FamilyKind::Counter, help }
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: FamilyKind::Gauge, help }
}

static OF_RUNTIME: &[OfRuntime] = &[
    (gauge("redd_workers", "Workers of the runtime."), |metrics| metrics.num_workers() as f64),
    (gauge("redd_tasks_alive", "Tasks that were spawned and have not ended."), |metrics| {
        metrics.num_alive_tasks() as f64
    }),
    (counter("redd_tasks_spawned_total", "Tasks that were ever spawned."), |metrics| {
        metrics.spawned_tasks_count() as f64
    }),
    (gauge("redd_injector_tasks", "Tasks that wait in the injector for a worker."), |metrics| {
        metrics.global_queue_depth() as f64
    }),
    (counter("redd_remote_schedules_total", "Tasks that were queued by a thread that is no worker."), |metrics| {
        metrics.remote_schedule_count() as f64
    }),
    (counter("redd_forced_yields_total", "Tasks that had to yield because their budget was used up."), |metrics| {
        metrics.budget_forced_yield_count() as f64
    }),
    (counter("redd_descriptors_registered_total", "Descriptors that were registered with the driver."), |metrics| {
        metrics.io_driver_fd_registered_count() as f64
    }),
    (counter("redd_descriptors_deregistered_total", "Descriptors that were deregistered."), |metrics| {
        metrics.io_driver_fd_deregistered_count() as f64
    }),
    (counter("redd_driver_events_total", "Readiness events that the driver has delivered."), |metrics| {
        metrics.io_driver_ready_count() as f64
    }),
    (gauge("redd_blocking_threads", "Threads of the blocking pool."), |metrics| metrics.num_blocking_threads() as f64),
    (gauge("redd_blocking_threads_idle", "Threads of the blocking pool that wait for work."), |metrics| {
        metrics.num_idle_blocking_threads() as f64
    }),
    (gauge("redd_blocking_queued", "Closures that wait for a thread of the blocking pool."), |metrics| {
        metrics.blocking_queue_depth() as f64
    }),
    (counter("redd_late_polls_total", "Polls that were late."), |metrics| metrics.late_polls() as f64),
    (counter("redd_rescues_total", "Blocked polls for which another worker was woken or started."), |metrics| {
        metrics.rescues() as f64
    }),
    (gauge("redd_rescue_workers", "Spare workers that run now."), |metrics| metrics.rescue_workers() as f64),
    (gauge("redd_longest_poll_seconds", "The longest poll that the monitor has seen."), |metrics| {
        metrics.longest_poll().as_secs_f64()
    }),
];

static OF_WORKER: &[OfWorker] = &[
    (counter("redd_worker_polls_total", "Polls of tasks."), |metrics, worker| metrics.worker_poll_count(worker) as f64),
    (counter("redd_worker_parks_total", "How often the worker went to sleep."), |metrics, worker| {
        metrics.worker_park_count(worker) as f64
    }),
    (
        counter("redd_worker_noops_total", "How often it went to sleep without a poll since it last woke."),
        |metrics, worker| metrics.worker_noop_count(worker) as f64,
    ),
    (counter("redd_worker_busy_seconds_total", "How long the worker was awake."), |metrics, worker| {
        metrics.worker_total_busy_duration(worker).as_secs_f64()
    }),
    (counter("redd_worker_stolen_tasks_total", "Tasks that the worker took from others."), |metrics, worker| {
        metrics.worker_steal_count(worker) as f64
    }),
    (counter("redd_worker_overflows_total", "How often its run queue was full."), |metrics, worker| {
        metrics.worker_overflow_count(worker) as f64
    }),
    (gauge("redd_worker_queued_tasks", "Tasks in its run queue."), |metrics, worker| {
        metrics.worker_local_queue_depth(worker) as f64
    }),
];

static LATE_POLLS_BY_LOCATION: Family =
    counter("redd_late_polls_by_location_total", "Late polls by the location that spawned the task.");

/// All samples of a runtime.
pub(super) fn samples(metrics: &RuntimeMetrics, id: &str, name: Option<&str>) -> Vec<Sample> {
    let labels = |more: Option<(&'static str, String)>| {
        let mut labels: Vec<(&'static str, Cow<'static, str>)> = vec![("runtime", id.to_owned().into())];
        labels.extend(name.map(|name| ("name", name.to_owned().into())));
        labels.extend(more.map(|(label, value)| (label, value.into())));
        labels
    };
    let mut samples: Vec<Sample> =
        OF_RUNTIME.iter().map(|(family, read)| Sample { family, labels: labels(None), value: read(metrics) }).collect();
    for (family, read) in OF_WORKER {
        for worker in 0..metrics.num_workers() {
            let labels = labels(Some(("worker", worker.to_string())));
            samples.push(Sample { family, labels, value: read(metrics, worker) });
        }
    }
    for (location, count) in metrics.late_polls_by_location() {
        let labels = labels(Some(("location", location.to_string())));
        samples.push(Sample { family: &LATE_POLLS_BY_LOCATION, labels, value: count as f64 });
    }
    samples
}
