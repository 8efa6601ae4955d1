//! `RuntimeMetrics`: the counters and gauges of a runtime.
//!
//! Called by programs. `display` and `open_metrics` are the two texts that have all of them.

mod display;
mod old_names;
pub(crate) mod open_metrics;

use std::fmt;
use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::observe::histogram::Histogram;
use crate::primitives::atomic::Ordering;
use crate::primitives::count::PlainCount;
use crate::scheduler::shared::Shared;

/// Counters and gauges of a runtime, read while it runs. Returned by
/// [`Handle::metrics`](crate::runtime::Handle::metrics).
///
/// Each method reads the current value. Two values may be from different moments.
///
/// `{}` prints all values for a person: those of the runtime, then a table of its workers. `{:?}` prints them by the names of the
/// methods. [`open_metrics`](Self::open_metrics) returns them for Prometheus.
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
/// assert!(metrics.to_string().contains("tasks: 0 alive, 1 spawned, 0 in the injector"));
/// ```
#[derive(Clone)]
pub struct RuntimeMetrics {
    shared: Arc<Shared>,
}

// As for `Handle`: a panic elsewhere leaves the state that the runtime's threads share consistent.
impl std::panic::UnwindSafe for RuntimeMetrics {}
impl std::panic::RefUnwindSafe for RuntimeMetrics {}

impl RuntimeMetrics {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Returns the number of worker threads of the runtime, which is 1 on a current-thread runtime.
    pub fn num_workers(&self) -> usize {
        self.shared.config.workers
    }

    /// Returns the number of tasks that were spawned and have not ended.
    pub fn num_alive_tasks(&self) -> usize {
        self.shared.slab.alive()
    }

    /// Returns the number of tasks that were ever spawned.
    pub fn spawned_tasks_count(&self) -> u64 {
        self.shared.slab.spawned_total()
    }

    /// Returns the number of tasks that wait in the injector for a worker.
    pub fn global_queue_depth(&self) -> usize {
        self.shared.injector.len()
    }

    /// Returns how often a thread that is not a worker queued a task, by spawning or waking it.
    pub fn remote_schedule_count(&self) -> u64 {
        self.shared.remote_schedules()
    }

    /// Returns how often a task had to yield because its budget was used up; see [`task::coop`](crate::task::coop).
    pub fn budget_forced_yield_count(&self) -> u64 {
        self.shared.parts.forced_yields.load(Ordering::Relaxed)
    }

    /// Returns how many descriptors have been registered with the I/O driver since the runtime started.
    pub fn io_driver_fd_registered_count(&self) -> u64 {
        self.shared.parts.driver.registered_total()
    }

    /// Returns how many of those descriptors have been deregistered.
    pub fn io_driver_fd_deregistered_count(&self) -> u64 {
        // In this order: a descriptor that another thread registers meanwhile must not make the difference negative.
        let registered = self.shared.parts.driver.registrations() as u64;
        self.shared.parts.driver.registered_total().saturating_sub(registered)
    }

    /// Returns how many readiness events the I/O driver has delivered.
    pub fn io_driver_ready_count(&self) -> u64 {
        self.shared.parts.driver.events_total()
    }

    /// Returns the number of threads of the blocking pool.
    pub fn num_blocking_threads(&self) -> usize {
        self.shared.blocking.threads()
    }

    /// Returns the number of threads of the blocking pool that wait for work.
    pub fn num_idle_blocking_threads(&self) -> usize {
        self.shared.blocking.idle_threads()
    }

    /// Returns the number of closures that wait for a thread of the blocking pool.
    pub fn blocking_queue_depth(&self) -> usize {
        self.shared.blocking.queue_depth()
    }

    /// Returns the number of late polls: see [`Rescue::report_after`](crate::runtime::Rescue::report_after).
    pub fn late_polls(&self) -> u64 {
        self.shared.stall_detector.counters.late_polls.load(Ordering::Relaxed)
    }

    /// Returns the late polls by the location that spawned the task, in the order of the first late poll of each.
    pub fn late_polls_by_location(&self) -> Vec<(&'static Location<'static>, u64)> {
        self.shared.stall_detector.counters.locations.lock().clone()
    }

    /// Returns the number of late polls for which a parked worker was woken, or a worker or a spare one was started.
    pub fn rescues(&self) -> u64 {
        self.shared.stall_detector.counters.rescues.load(Ordering::Relaxed)
    }

    /// Returns the number of spare workers that run now, for stalled workers and for those in `block_in_place`.
    pub fn rescue_workers(&self) -> usize {
        self.shared.workers.spares.lock().running
    }

    /// Returns the largest number of spare workers that ran at the same time.
    pub fn rescue_workers_max(&self) -> usize {
        self.shared.workers.spares.lock().running_max
    }

    /// Returns the number of task groups that have not ended.
    ///
    /// # Examples
    /// ```
    /// use redd::group::TaskGroup;
    /// use redd::runtime::Handle;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let metrics = Handle::current().metrics();
    /// let group = TaskGroup::<()>::limit(1).start();
    /// group.spawn(std::future::pending());
    /// group.spawn(std::future::pending());
    /// assert_eq!((metrics.num_task_groups(), metrics.task_group_queue_depth()), (1, 1));
    /// # });
    /// ```
    pub fn num_task_groups(&self) -> usize {
        self.shared.nodes.groups()
    }

    /// Returns the number of tasks that wait for a place in a task group with a [limit](crate::group::TaskGroup::limit).
    ///
    /// It looks at each group.
    pub fn task_group_queue_depth(&self) -> usize {
        self.shared.nodes.queued()
    }

    /// Returns how often a [`Supervisor`](crate::group::Supervisor) has started a child again. If a failure restarts several
    /// children, each of them counts.
    pub fn supervisor_restart_count(&self) -> u64 {
        self.shared.nodes.restarts.load(Ordering::Relaxed)
    }

    /// Returns the duration of the longest poll, as far as the monitor measured it. It does not measure short polls,
    /// and it misses the first and last milliseconds of a long one.
    pub fn longest_poll(&self) -> Duration {
        Duration::from_millis(self.shared.stall_detector.counters.longest_poll_ms.load(Ordering::Relaxed))
    }

    /// As in Tokio, an older name of [`num_alive_tasks`](Self::num_alive_tasks).
    #[deprecated(note = "use `num_alive_tasks`")]
    pub fn active_tasks_count(&self) -> usize {
        self.num_alive_tasks()
    }

    /// Returns how often a worker parked. A worker whose thread has not started counts as having parked once.
    ///
    /// # Panics
    /// Panics if there is no such worker.
    #[track_caller]
    pub fn worker_park_count(&self, worker: usize) -> u64 {
        self.slot(worker).parks.load(Ordering::Relaxed)
    }

    /// Returns how often a worker parked or woke, which is odd while it is parked.
    ///
    /// # Panics
    /// Panics if there is no such worker.
    #[track_caller]
    pub fn worker_park_unpark_count(&self, worker: usize) -> u64 {
        self.slot(worker).unparks.load(Ordering::Relaxed)
    }

    /// Returns how often a worker polled a task.
    ///
    /// # Panics
    /// Panics if there is no such worker.
    #[track_caller]
    pub fn worker_poll_count(&self, worker: usize) -> u64 {
        self.slot(worker).mark.polls() / 2
    }

    /// Returns how long a worker was awake. It is a nanosecond for a worker whose thread has not started.
    ///
    /// # Panics
    /// Panics if there is no such worker.
    #[track_caller]
    pub fn worker_total_busy_duration(&self, worker: usize) -> Duration {
        Duration::from_nanos(self.slot(worker).busy_ns.load(Ordering::Relaxed))
    }

    /// Returns the thread that runs the worker, or that ran it last. `None` before there was one. Inside
    /// `block_in_place` a worker keeps its thread: redd starts another worker instead of moving this one.
    ///
    /// # Panics
    /// Panics if there is no such worker.
    #[track_caller]
    pub fn worker_thread_id(&self, worker: usize) -> Option<std::thread::ThreadId> {
        *self.slot(worker).thread_id.lock()
    }

    /// Returns how often a worker parked without having polled a task since it parked before.
    ///
    /// # Panics
    /// Panics if there is no such worker.
    #[track_caller]
    pub fn worker_noop_count(&self, worker: usize) -> u64 {
        self.slot(worker).counters.noops.load(Ordering::Relaxed)
    }

    /// Returns how many tasks a worker stole from others.
    ///
    /// # Panics
    /// Panics if there is no such worker.
    #[track_caller]
    pub fn worker_steal_count(&self, worker: usize) -> u64 {
        self.slot(worker).counters.stolen_tasks.load(Ordering::Relaxed)
    }

    /// Returns how often a worker stole from others.
    ///
    /// # Panics
    /// Panics if there is no such worker.
    #[track_caller]
    pub fn worker_steal_operations(&self, worker: usize) -> u64 {
        self.slot(worker).counters.steals.load(Ordering::Relaxed)
    }

    /// Returns how many tasks a worker added to its own queue, because they were spawned, woken, or had yielded. It is
    /// updated when the worker parks or polls the driver.
    ///
    /// # Panics
    /// Panics if there is no such worker.
    #[track_caller]
    pub fn worker_local_schedule_count(&self, worker: usize) -> u64 {
        self.slot(worker).counters.local_schedules.load(Ordering::Relaxed)
    }

    /// Returns how often a worker's run queue was full, so that some of its tasks moved to the injector.
    ///
    /// # Panics
    /// Panics if there is no such worker.
    #[track_caller]
    pub fn worker_overflow_count(&self, worker: usize) -> u64 {
        self.slot(worker).counters.overflows.load(Ordering::Relaxed)
    }

    /// Returns a moving average of the time that a poll takes, including the scheduler's work for it. As in Tokio, it
    /// is 0 on a current-thread runtime.
    ///
    /// # Panics
    /// Panics if there is no such worker.
    #[track_caller]
    pub fn worker_mean_poll_time(&self, worker: usize) -> Duration {
        Duration::from_nanos(self.slot(worker).counters.poll_ns.load(Ordering::Relaxed))
    }

    /// Returns the number of tasks in the run queue of a worker.
    ///
    /// # Panics
    /// Panics if there is no such worker.
    #[track_caller]
    pub fn worker_local_queue_depth(&self, worker: usize) -> usize {
        self.slot(worker);
        self.shared.queue_depth(worker)
    }

    /// Returns whether poll times are recorded; see
    /// [`enable_metrics_poll_time_histogram`](crate::runtime::Builder::enable_metrics_poll_time_histogram).
    pub fn poll_time_histogram_enabled(&self) -> bool {
        !self.shared.instrumentation.poll_times.is_empty()
    }

    /// Returns the number of buckets in the histogram of poll times, or 0 if the histogram is not enabled.
    pub fn poll_time_histogram_num_buckets(&self) -> usize {
        num_buckets(&self.shared.instrumentation.poll_times)
    }

    /// Returns the range of poll times that a bucket counts.
    ///
    /// The range is empty if there is no histogram or no such bucket.
    pub fn poll_time_histogram_bucket_range(&self, bucket: usize) -> Range<Duration> {
        bucket_range(&self.shared.instrumentation.poll_times, bucket)
    }

    /// Returns how many of a worker's polls a bucket of poll times has counted, or 0 if the histogram is not enabled.
    ///
    /// # Panics
    /// Panics if the histogram is enabled and there is no such worker or bucket.
    #[track_caller]
    pub fn poll_time_histogram_bucket_count(&self, worker: usize, bucket: usize) -> u64 {
        bucket_count(&self.shared.instrumentation.poll_times, worker, bucket)
    }

    /// Returns whether schedule latencies are recorded; see
    /// [`enable_metrics_schedule_latency_histogram`](crate::runtime::Builder::enable_metrics_schedule_latency_histogram).
    pub fn schedule_latency_histogram_enabled(&self) -> bool {
        !self.shared.instrumentation.latencies.is_empty()
    }

    /// Returns the number of buckets in the histogram of schedule latencies, or 0 if the histogram is not enabled.
    pub fn schedule_latency_histogram_num_buckets(&self) -> usize {
        num_buckets(&self.shared.instrumentation.latencies)
    }

    /// Returns the range of schedule latencies that a bucket counts.
    ///
    /// The range is empty if there is no histogram or no such bucket.
    pub fn schedule_latency_histogram_bucket_range(&self, bucket: usize) -> Range<Duration> {
        bucket_range(&self.shared.instrumentation.latencies, bucket)
    }

    /// Returns how many of a worker's polls a bucket of schedule latencies has counted, or 0 if the histogram is not
    /// enabled.
    ///
    /// # Panics
    /// Panics if the histogram is enabled and there is no such worker or bucket.
    #[track_caller]
    pub fn schedule_latency_histogram_bucket_count(&self, worker: usize, bucket: usize) -> u64 {
        bucket_count(&self.shared.instrumentation.latencies, worker, bucket)
    }

    #[track_caller]
    fn slot(&self, worker: usize) -> &crate::scheduler::slot::WorkerSlot {
        let workers = self.num_workers();
        assert!(
            worker < workers,
            "there is no worker {worker}: this runtime has {workers}. Check `num_workers` first; workers \
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
            .field("late_polls_by_location", &self.late_polls_by_location())
            .field("rescues", &self.rescues())
            .field("rescue_workers", &self.rescue_workers())
            .field("rescue_workers_max", &self.rescue_workers_max())
            .field("longest_poll", &self.longest_poll())
            .field("num_task_groups", &self.num_task_groups())
            .field("task_group_queue_depth", &self.task_group_queue_depth())
            .field("supervisor_restart_count", &self.supervisor_restart_count())
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
            .field("park_unpark_count", &metrics.worker_park_unpark_count(worker))
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
            "there is no bucket {bucket} of worker {worker}: there are {} with {} each. Check \
             `num_workers` and the method that ends in `_num_buckets` first; both are numbered from 0.",
            PlainCount(histograms.len() as u64, "worker", "workers"),
            PlainCount(num_buckets(histograms) as u64, "bucket", "buckets"),
        )
    })
}
