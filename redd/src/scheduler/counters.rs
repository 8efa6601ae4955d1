//! Hooks and measurements around each poll, and the counters of a worker. By default there are none, which costs one test per
//! poll.
//!
//! Called by `worker` (each poll of an instrumented runtime) and by `Shared` (each queueing, if latency is tracked).
//!
//! # Invariants
//! - `stamped-when-queued`: while a task of a runtime that tracks latency is queued, its header has the time since when. Only
//!   the holder of its `Runnable` writes that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Config, Shared};
use crate::observe::histogram::Histogram;
use crate::primitives::atomic::{AtomicU64, Ordering};
use crate::task::Runnable;
use crate::task::hooks::UnjoinedPanic;
use crate::task::poll::Ran;
use crate::task::runnable::Schedule;
use crate::time::clock::real_now;

/// The hooks and histograms of a runtime.
#[derive(Debug)]
pub(crate) struct PollInstrumentation {
    /// Whether polls go through [`run`](Self::run).
    pub(super) is_on: bool,
    pub(super) tracks_latency: bool,
    /// One for each worker; spares share them. Empty if not wanted.
    pub(crate) poll_times: Box<[Histogram]>,
    pub(crate) latencies: Box<[Histogram]>,
    started: Instant,
}

impl PollInstrumentation {
    pub(super) fn new(config: &Config, started: Instant) -> Self {
        let for_workers = |configuration: &Option<_>| match configuration {
            Some(configuration) => (0..config.workers).map(|_| Histogram::new(configuration)).collect(),
            None => Box::default(),
        };
        let poll_times: Box<[_]> = for_workers(&config.poll_times);
        let latencies: Box<[_]> = for_workers(&config.latencies);
        let tracks_latency = config.tracks_latency || !latencies.is_empty();
        Self {
            is_on: config.task_hooks.has_poll_hooks() || !poll_times.is_empty() || tracks_latency,
            tracks_latency,
            poll_times,
            latencies,
            started,
        }
    }

    fn now(&self) -> Duration {
        real_now().saturating_duration_since(self.started)
    }

    /// `stamped-when-queued`: the caller is about to queue the task.
    pub(super) fn stamp(&self, runnable: &Runnable) {
        runnable.header().set_queued_at(self.now().as_nanos() as u64);
    }

    /// Polls a task as a worker does, with hooks and measurements around it.
    #[cold]
    pub(super) fn run(&self, shared: &Shared, worker: usize, runnable: Runnable) -> Ran {
        let hooks = &shared.config.task_hooks;
        let latency = runnable.header().queued_at().filter(|_| self.tracks_latency).map(|queued| {
            let latency = self.now().saturating_sub(Duration::from_nanos(queued));
            if let Some(histogram) = self.latencies.get(worker % shared.config.workers) {
                histogram.record(latency);
            }
            latency
        });
        if let Some(hook) = &hooks.before_poll {
            runnable.task().tell(hook, latency);
        }
        let keep = hooks.after_poll.as_ref().map(|hook| (hook, runnable.task().clone()));
        let ran = match self.poll_times.get(worker % shared.config.workers) {
            Some(histogram) => {
                let before = self.now();
                let ran = runnable.run();
                histogram.record(self.now().saturating_sub(before));
                ran
            }
            None => runnable.run(),
        };
        if let Some((hook, task)) = keep {
            task.tell(hook, latency);
        }
        if let (true, Ran::Requeue(runnable) | Ran::Yielded(runnable)) = (self.tracks_latency, &ran) {
            self.stamp(runnable);
        }
        ran
    }
}

/// Schedules for a runtime that tracks latency.
pub(super) struct Stamping(pub(super) Arc<Shared>);

impl Schedule for Stamping {
    fn schedule(&self, runnable: Runnable) {
        self.0.instrumentation.stamp(&runnable);
        self.0.schedule(runnable);
    }

    fn request_trim(&self) {
        self.0.request_trim();
    }

    fn is_kept_by_this_thread(&self) -> bool {
        self.0.is_kept_by_this_thread()
    }

    fn task_panicked(&self) {
        self.0.task_panicked();
    }

    fn panic_unjoined(&self, panic: &UnjoinedPanic<'_>) {
        self.0.panic_unjoined(panic);
    }
}

/// Counters of one worker. Only the worker writes them; other threads read them for metrics.
#[derive(Debug)]
pub(crate) struct WorkerCounters {
    /// Tasks that it queued in its own queue.
    pub(crate) local_schedules: AtomicU64,
    /// How often its queue was full, and how many tasks went to the injector because of that.
    pub(crate) overflows: AtomicU64,
    pub(crate) overflowed_tasks: AtomicU64,
    /// How often it stole, and how many tasks.
    pub(crate) steals: AtomicU64,
    pub(crate) stolen_tasks: AtomicU64,
    /// How often it parked again without a poll since the last park.
    pub(crate) noops: AtomicU64,
    /// Tasks in the list of a current-thread runtime.
    pub(crate) fifo_len: AtomicU64,
    /// The smoothed time of a poll.
    pub(crate) poll_ns: AtomicU64,
}

impl WorkerCounters {
    pub(super) fn new() -> Self {
        Self {
            local_schedules: AtomicU64::new(0),
            overflows: AtomicU64::new(0),
            overflowed_tasks: AtomicU64::new(0),
            steals: AtomicU64::new(0),
            stolen_tasks: AtomicU64::new(0),
            noops: AtomicU64::new(0),
            fifo_len: AtomicU64::new(0),
            poll_ns: AtomicU64::new(0),
        }
    }
}

/// Adds to a count that only this thread writes: no read-modify-write is needed.
#[inline]
pub(super) fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}
