//! `RuntimeMetrics`: the counters and gauges of a runtime.

use std::fmt;
use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::observe::histogram::Histogram;
use crate::primitives::atomic::Ordering;
use crate::scheduler::shared::Shared;

/// Counters and gauges of a runtime, read while it runs; from [`Handle::metrics`](crate::runtime::Handle::metrics).
///
/// Each method reads the current value. Two values need not be of the same moment.
///
/// `{:?}` prints the values: those of the runtime, then those of each worker.
///
/// # Examples
/// ```
/// let runtime = redd::runtime::Builder::new_current_thread().build().unwrap();
/// let metrics = runtime.metrics();
/// let task = runtime.spawn(async {});
/// assert_eq!(metrics.num_alive_tasks(), 1);
///
/// runtime.block_on(task).unwrap();
/// assert_eq!((metrics.num_alive_tasks(), metrics.spawned_tasks_count()), (0, 1));
/// assert!(format!("{metrics:?}").contains("spawned_tasks_count: 1"));
/// ```
#[derive(Clone)]
pub struct RuntimeMetrics {
    shared: Arc<Shared>,
}

// As for `Handle`: a panic outside leaves what the runtime's threads share consistent.
impl std::panic::UnwindSafe for RuntimeMetrics {}
impl std::panic::RefUnwindSafe for RuntimeMetrics {}

impl RuntimeMetrics {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Worker threads of the runtime; 1 on a current-thread one.
    pub fn num_workers(&self) -> usize {
        self.shared.config.workers
    }

    /// Tasks that were spawned and have not ended.
    pub fn num_alive_tasks(&self) -> usize {
        self.shared.slab.alive()
    }

    /// All tasks ever spawned.
    pub fn spawned_tasks_count(&self) -> u64 {
        self.shared.slab.spawned_total()
    }

    /// Tasks that wait in the injector for a worker.
    pub fn global_queue_depth(&self) -> usize {
        self.shared.injector.len()
    }

    /// How often a task was queued from outside of the workers: spawned or woken by another thread.
    pub fn remote_schedule_count(&self) -> u64 {
        self.shared.remote_schedules()
    }

    /// How often a task was made to yield because its budget was used up; see
    /// [`task::coop`](crate::task::coop).
    pub fn budget_forced_yield_count(&self) -> u64 {
        self.shared.parts.forced_yields.load(Ordering::Relaxed)
    }

    /// How many descriptors have been registered with the I/O driver since the runtime started.
    pub fn io_driver_fd_registered_count(&self) -> u64 {
        self.shared.parts.driver.registered_total()
    }

    /// How many of those descriptors have been deregistered.
    pub fn io_driver_fd_deregistered_count(&self) -> u64 {
        self.shared.parts.driver.registered_total() - self.shared.parts.driver.registrations() as u64
    }

    /// How many readiness events the I/O driver has delivered.
    pub fn io_driver_ready_count(&self) -> u64 {
        self.shared.parts.driver.events_total()
    }

    /// Threads of the blocking pool.
    pub fn num_blocking_threads(&self) -> usize {
        self.shared.blocking.threads()
    }

    /// Threads of the blocking pool that wait for work.
    pub fn num_idle_blocking_threads(&self) -> usize {
        self.shared.blocking.idle_threads()
    }

    /// Closures that wait for a thread of the blocking pool.
    pub fn blocking_queue_depth(&self) -> usize {
        self.shared.blocking.queue_depth()
    }

    /// Polls that were late: see [`Rescue::report_after`](crate::runtime::Rescue::report_after).
    pub fn late_polls(&self) -> u64 {
        self.shared.stall_detector.counters.late_polls.load(Ordering::Relaxed)
    }

    /// Late polls by the source location that spawned the task, in the order of the first late poll of each.
    pub fn late_polls_by_location(&self) -> Vec<(&'static Location<'static>, u64)> {
        self.shared.stall_detector.counters.locations.lock().clone()
    }

    /// Blocked polls for which another worker was woken or started, or a spare one.
    pub fn rescues(&self) -> u64 {
        self.shared.stall_detector.counters.rescues.load(Ordering::Relaxed)
    }

    /// Spare workers that run now, for blocked workers and for those in `block_in_place`.
    pub fn rescue_workers(&self) -> usize {
        self.shared.workers.spares.lock().running
    }

    /// Spare workers that ran at the same time, at most.
    pub fn rescue_workers_max(&self) -> usize {
        self.shared.workers.spares.lock().running_max
    }

    /// The longest poll that the monitor has seen, as far as it saw it: short polls are not measured, and of a long
    /// one the first and last milliseconds are missing.
    pub fn longest_poll(&self) -> Duration {
        Duration::from_millis(self.shared.stall_detector.counters.longest_poll_ms.load(Ordering::Relaxed))
    }

    /// As in Tokio, an older name of [`num_alive_tasks`](Self::num_alive_tasks).
    #[deprecated(note = "use `num_alive_tasks`")]
    pub fn active_tasks_count(&self) -> usize {
        self.num_alive_tasks()
    }

    /// How often a worker went to sleep. One whose thread has not started has done so once.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_park_count(&self, worker: usize) -> u64 {
        self.slot(worker).parks.load(Ordering::Relaxed)
    }

    /// How often a worker went to sleep or woke: odd while it sleeps.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_park_unpark_count(&self, worker: usize) -> u64 {
        self.slot(worker).unparks.load(Ordering::Relaxed)
    }

    /// How often a worker polled a task.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_poll_count(&self, worker: usize) -> u64 {
        self.slot(worker).mark.polls() / 2
    }

    /// How long a worker was awake. A nanosecond for one whose thread has not started.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_total_busy_duration(&self, worker: usize) -> Duration {
        Duration::from_nanos(self.slot(worker).busy_ns.load(Ordering::Relaxed))
    }

    /// The thread that is the worker, or was last; `None` before there was one. While a worker is inside
    /// `block_in_place` it is still its own thread: redd starts another worker instead of moving this one.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_thread_id(&self, worker: usize) -> Option<std::thread::ThreadId> {
        *self.slot(worker).thread_id.lock()
    }

    /// How often a worker went to sleep without having polled a task since its previous sleep.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_noop_count(&self, worker: usize) -> u64 {
        self.slot(worker).counters.noops.load(Ordering::Relaxed)
    }

    /// How many tasks a worker stole from others.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_steal_count(&self, worker: usize) -> u64 {
        self.slot(worker).counters.stolen_tasks.load(Ordering::Relaxed)
    }

    /// How often a worker stole from others.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_steal_operations(&self, worker: usize) -> u64 {
        self.slot(worker).counters.steals.load(Ordering::Relaxed)
    }

    /// How many tasks a worker queued with itself: spawned, woken, or given way. Brought up to date when it sleeps
    /// or looks for I/O.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_local_schedule_count(&self, worker: usize) -> u64 {
        self.slot(worker).counters.local_schedules.load(Ordering::Relaxed)
    }

    /// How often a worker's run queue was full, so that tasks of it went to the injector.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_overflow_count(&self, worker: usize) -> u64 {
        self.slot(worker).counters.overflows.load(Ordering::Relaxed)
    }

    /// How long a poll takes, smoothed, with what the scheduler does around it. As in Tokio, 0 on a current-thread
    /// runtime.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_mean_poll_time(&self, worker: usize) -> Duration {
        Duration::from_nanos(self.slot(worker).counters.poll_ns.load(Ordering::Relaxed))
    }

    /// Tasks in the run queue of a worker.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_local_queue_depth(&self, worker: usize) -> usize {
        self.slot(worker);
        self.shared.queue_depth(worker)
    }

    /// Whether poll times are counted; see
    /// [`enable_metrics_poll_time_histogram`](crate::runtime::Builder::enable_metrics_poll_time_histogram).
    pub fn poll_time_histogram_enabled(&self) -> bool {
        !self.shared.instrumentation.poll_times.is_empty()
    }

    /// The number of buckets in the histogram of poll times, or 0 if the histogram is not enabled.
    pub fn poll_time_histogram_num_buckets(&self) -> usize {
        num_buckets(&self.shared.instrumentation.poll_times)
    }

    /// The range of poll times that a bucket counts.
    ///
    /// The range is empty if there is no histogram or no such bucket.
    pub fn poll_time_histogram_bucket_range(&self, bucket: usize) -> Range<Duration> {
        bucket_range(&self.shared.instrumentation.poll_times, bucket)
    }

    /// How many of a worker's polls a bucket of poll times has counted, or 0 if the histogram is not enabled.
    ///
    /// # Panics
    /// If the histogram is enabled and there is no such worker or bucket.
    #[track_caller]
    pub fn poll_time_histogram_bucket_count(&self, worker: usize, bucket: usize) -> u64 {
        bucket_count(&self.shared.instrumentation.poll_times, worker, bucket)
    }

    /// Whether schedule latencies are counted; see
    /// [`enable_metrics_schedule_latency_histogram`](crate::runtime::Builder::enable_metrics_schedule_latency_histogram).
    pub fn schedule_latency_histogram_enabled(&self) -> bool {
        !self.shared.instrumentation.latencies.is_empty()
    }

    /// The number of buckets in the histogram of schedule latencies, or 0 if the histogram is not enabled.
    pub fn schedule_latency_histogram_num_buckets(&self) -> usize {
        num_buckets(&self.shared.instrumentation.latencies)
    }

    /// The range of schedule latencies that a bucket counts.
    ///
    /// The range is empty if there is no histogram or no such bucket.
    pub fn schedule_latency_histogram_bucket_range(&self, bucket: usize) -> Range<Duration> {
        bucket_range(&self.shared.instrumentation.latencies, bucket)
    }

    /// How many of a worker's polls a bucket of schedule latencies has counted, or 0 if the histogram is not enabled.
    ///
    /// # Panics
    /// If the histogram is enabled and there is no such worker or bucket.
    #[track_caller]
    pub fn schedule_latency_histogram_bucket_count(&self, worker: usize, bucket: usize) -> u64 {
        bucket_count(&self.shared.instrumentation.latencies, worker, bucket)
    }

    #[track_caller]
    fn slot(&self, worker: usize) -> &crate::scheduler::slot::WorkerSlot {
        let workers = self.num_workers();
        assert!(
            worker < workers,
            "worker {worker} was asked for its counters, but this runtime has {workers}. Ask `num_workers` first; they \
             are numbered from 0."
        );
        self.shared.slot(worker)
    }
}

impl fmt::Debug for RuntimeMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workers: Vec<_> = (0..self.num_workers()).map(|worker| WorkerMetrics { metrics: self, worker }).collect();
        f.debug_struct("RuntimeMetrics")
            .field("num_workers", &self.num_workers())
            .field("num_alive_tasks", &self.num_alive_tasks())
            .field("spawned_tasks_count", &self.spawned_tasks_count())
            .field("global_queue_depth", &self.global_queue_depth())
            .field("remote_schedule_count", &self.remote_schedule_count())
            .field("budget_forced_yield_count", &self.budget_forced_yield_count())
            .field("io_driver_fd_registered_count", &self.io_driver_fd_registered_count())
            .field("io_driver_fd_deregistered_count", &self.io_driver_fd_deregistered_count())
            .field("io_driver_ready_count", &self.io_driver_ready_count())
            .field("num_blocking_threads", &self.num_blocking_threads())
            .field("num_idle_blocking_threads", &self.num_idle_blocking_threads())
            .field("blocking_queue_depth", &self.blocking_queue_depth())
            .field("late_polls", &self.late_polls())
            .field("rescues", &self.rescues())
            .field("rescue_workers", &self.rescue_workers())
            .field("rescue_workers_max", &self.rescue_workers_max())
            .field("longest_poll", &self.longest_poll())
            .field("workers", &workers)
            .finish()
    }
}

/// The values of one worker, for `Debug`.
struct WorkerMetrics<'a> {
    metrics: &'a RuntimeMetrics,
    worker: usize,
}

impl fmt::Debug for WorkerMetrics<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metrics, worker } = *self;
        f.debug_struct("Worker")
            .field("local_queue_depth", &metrics.worker_local_queue_depth(worker))
            .field("park_count", &metrics.worker_park_count(worker))
            .field("poll_count", &metrics.worker_poll_count(worker))
            .field("noop_count", &metrics.worker_noop_count(worker))
            .field("steal_count", &metrics.worker_steal_count(worker))
            .field("steal_operations", &metrics.worker_steal_operations(worker))
            .field("local_schedule_count", &metrics.worker_local_schedule_count(worker))
            .field("overflow_count", &metrics.worker_overflow_count(worker))
            .field("total_busy_duration", &metrics.worker_total_busy_duration(worker))
            .field("mean_poll_time", &metrics.worker_mean_poll_time(worker))
            .finish()
    }
}

fn num_buckets(histograms: &[Histogram]) -> usize {
    histograms.first().map_or(0, Histogram::buckets)
}

fn bucket_range(histograms: &[Histogram], bucket: usize) -> Range<Duration> {
    histograms.first().and_then(|histogram| histogram.range(bucket)).unwrap_or(Duration::ZERO..Duration::ZERO)
}

#[track_caller]
fn bucket_count(histograms: &[Histogram], worker: usize, bucket: usize) -> u64 {
    if histograms.is_empty() {
        return 0;
    }
    let count = histograms.get(worker).and_then(|histogram| histogram.count(bucket));
    count.unwrap_or_else(|| {
        panic!(
            "bucket {bucket} of worker {worker} was asked for, but there are {} workers with {} buckets each. Ask \
             `num_workers` and the method that ends in `_num_buckets` first; both are numbered from 0.",
            histograms.len(),
            num_buckets(histograms)
        )
    })
}
