//! `RuntimeMetrics`: figures of a runtime.

use std::ops::Range;
use std::panic::Location;
use std::time::Duration;

use super::Handle;
use crate::observe::histogram::Histogram;
use crate::primitives::atomic::Ordering;

/// StallCounters of the runtime as a whole, from `Shared`.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident($shared:ident) -> $T:ty = $figure:expr;)*) => {$(
        $(#[$doc])*
        pub fn $name(&self) -> $T {
            let $shared = &self.handle.shared;
            $figure
        }
    )*};
}

/// StallCounters of one worker, from its `WorkerSlot`.
macro_rules! worker_figures {
    ($($(#[$doc:meta])* $name:ident($slot:ident) -> $T:ty = $figure:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Panics
        /// If there is no such worker.
        #[track_caller]
        pub fn $name(&self, worker: usize) -> $T {
            let $slot = self.slot(worker);
            $figure
        }
    )*};
}

/// A histogram that each worker has: what it counts, the builder's method that enables it, and where it is.
macro_rules! histogram {
    (
        $what:literal, $enable:ident, $field:ident:
        $is_enabled:ident, $num_buckets:ident, $bucket_range:ident, $bucket_count:ident
    ) => {
        #[doc = concat!("Whether ", $what, " are counted; see")]
        #[doc = concat!("[`", stringify!($enable), "`](super::Builder::", stringify!($enable), ").")]
        pub fn $is_enabled(&self) -> bool {
            !self.handle.shared.instrumentation.$field.is_empty()
        }

        #[doc = concat!("The buckets of the histogram of ", $what, "; 0 if it is not enabled.")]
        pub fn $num_buckets(&self) -> usize {
            num_buckets(&self.handle.shared.instrumentation.$field)
        }

        #[doc = concat!("Which ", $what, " a bucket counts; empty if there is no histogram or no such bucket.")]
        pub fn $bucket_range(&self, bucket: usize) -> Range<Duration> {
            bucket_range(&self.handle.shared.instrumentation.$field, bucket)
        }

        #[doc = concat!("How many polls of a worker a bucket of ", $what, " counts; 0 if the histogram is not enabled.")]
        ///
        /// # Panics
        /// If the histogram is enabled and there is no such worker or bucket.
        #[track_caller]
        pub fn $bucket_count(&self, worker: usize, bucket: usize) -> u64 {
            bucket_count(&self.handle.shared.instrumentation.$field, worker, bucket)
        }
    };
}

/// StallCounters of a runtime, read while it runs: each is a moment's view, and two of them need not be of the same moment.
#[derive(Clone, Debug)]
pub struct RuntimeMetrics {
    handle: Handle,
}

impl RuntimeMetrics {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    counters! {
        /// Worker threads of the runtime; 1 on a current-thread one.
        num_workers(shared) -> usize = shared.config.workers;

        /// Tasks that were spawned and have not ended.
        num_alive_tasks(shared) -> usize = shared.slab.alive();

        /// All tasks ever spawned.
        spawned_tasks_count(shared) -> u64 = shared.slab.spawned_total();

        /// Tasks that wait in the injector for a worker.
        global_queue_depth(shared) -> usize = shared.injector.len();

        /// How often a task was queued from outside of the workers: spawned or woken by another thread.
        remote_schedule_count(shared) -> u64 = shared.remote_schedules();

        /// How often a task had to give way to others because its budget was used up; see
        /// [`task::coop`](crate::task::coop).
        budget_forced_yield_count(shared) -> u64 = shared.forced_yields.load(Ordering::Relaxed);

        /// Descriptors that were ever registered with the I/O driver.
        io_driver_fd_registered_count(shared) -> u64 = shared.driver.registered_total();

        /// How many of them are not registered any more.
        io_driver_fd_deregistered_count(shared) -> u64
            = shared.driver.registered_total() - shared.driver.registrations() as u64;

        /// How many events of descriptors the I/O driver has brought.
        io_driver_ready_count(shared) -> u64 = shared.driver.events_total();

        /// Threads of the blocking pool.
        num_blocking_threads(shared) -> usize = shared.blocking.threads();

        /// Threads of the blocking pool that wait for work.
        num_idle_blocking_threads(shared) -> usize = shared.blocking.idle_threads();

        /// Closures that wait for a thread of the blocking pool.
        blocking_queue_depth(shared) -> usize = shared.blocking.queue_depth();

        /// Polls that were late: see [`Rescue::report_after`](super::Rescue::report_after).
        late_polls(shared) -> u64 = shared.stall_detector.counters.late_polls.load(Ordering::Relaxed);

        /// The same by the place in the program that spawned the task, in the order in which they first were late.
        late_polls_by_place(shared) -> Vec<(&'static Location<'static>, u64)>
            = shared.stall_detector.counters.locations.lock().clone();

        /// Stuck polls for which another worker was woken or started, or a spare one.
        rescues(shared) -> u64 = shared.stall_detector.counters.rescues.load(Ordering::Relaxed);

        /// Spare workers that run now, for stuck workers and for those in `block_in_place`.
        rescue_workers(shared) -> usize = shared.workers.spares.lock().running;

        /// Spare workers that ran at the same time, at most.
        rescue_workers_max(shared) -> usize = shared.workers.spares.lock().running_max;

        /// The longest poll that the monitor has seen, as far as it saw it: short polls are not measured, and of a long
        /// one the first and last milliseconds are missing.
        longest_poll(shared) -> Duration
            = Duration::from_millis(shared.stall_detector.counters.longest_poll_ms.load(Ordering::Relaxed));
    }

    /// As in Tokio, an older name of [`num_alive_tasks`](Self::num_alive_tasks).
    #[deprecated(note = "use `num_alive_tasks`")]
    pub fn active_tasks_count(&self) -> usize {
        self.num_alive_tasks()
    }

    worker_figures! {
        /// How often a worker went to sleep. One whose thread has not started has done so once.
        worker_park_count(slot) -> u64 = slot.parks.load(Ordering::Relaxed);

        /// How often a worker went to sleep or woke: odd while it sleeps.
        worker_park_unpark_count(slot) -> u64 = slot.unparks.load(Ordering::Relaxed);

        /// How often a worker polled a task.
        worker_poll_count(slot) -> u64 = slot.mark.polls() / 2;

        /// How long a worker was awake. A nanosecond for one whose thread has not started.
        worker_total_busy_duration(slot) -> Duration = Duration::from_nanos(slot.busy_ns.load(Ordering::Relaxed));

        /// The thread that is the worker, or was last; `None` before there was one. While a worker is inside
        /// `block_in_place` it is still its own thread: redd starts another worker instead of moving this one.
        worker_thread_id(slot) -> Option<std::thread::ThreadId> = *slot.thread_id.lock();

        /// How often a worker went to sleep without having polled a task since it slept before.
        worker_noop_count(slot) -> u64 = slot.counters.noops.load(Ordering::Relaxed);

        /// How many tasks a worker stole from others.
        worker_steal_count(slot) -> u64 = slot.counters.stolen_tasks.load(Ordering::Relaxed);

        /// How often a worker stole from others.
        worker_steal_operations(slot) -> u64 = slot.counters.steals.load(Ordering::Relaxed);

        /// How many tasks a worker queued with itself: spawned, woken, or given way. Brought up to date when it sleeps
        /// or looks for I/O.
        worker_local_schedule_count(slot) -> u64 = slot.counters.local_schedules.load(Ordering::Relaxed);

        /// How often a worker's run queue was full, so that tasks of it went to the injector.
        worker_overflow_count(slot) -> u64 = slot.counters.overflows.load(Ordering::Relaxed);

        /// How long a poll takes, smoothed, with what the scheduler does around it. As in Tokio, 0 on a current-thread
        /// runtime.
        worker_mean_poll_time(slot) -> Duration = Duration::from_nanos(slot.counters.poll_ns.load(Ordering::Relaxed));
    }

    /// Tasks in the run queue of a worker.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_local_queue_depth(&self, worker: usize) -> usize {
        self.slot(worker);
        self.handle.shared.queue_depth(worker)
    }

    histogram! {
        "poll times", enable_metrics_poll_time_histogram, poll_times: poll_time_histogram_enabled,
        poll_time_histogram_num_buckets, poll_time_histogram_bucket_range, poll_time_histogram_bucket_count
    }

    histogram! {
        "schedule latencies", enable_metrics_schedule_latency_histogram, latencies: schedule_latency_histogram_enabled,
        schedule_latency_histogram_num_buckets, schedule_latency_histogram_bucket_range,
        schedule_latency_histogram_bucket_count
    }

    #[track_caller]
    fn slot(&self, worker: usize) -> &crate::scheduler::WorkerSlot {
        let workers = self.num_workers();
        assert!(
            worker < workers,
            "worker {worker} was asked for its counters, but this runtime has {workers}. Ask `num_workers` first; they \
             are numbered from 0."
        );
        self.handle.shared.slot(worker)
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
