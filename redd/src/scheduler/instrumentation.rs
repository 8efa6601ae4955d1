//! Hooks and measurements around each poll. By default there are none, which costs one test per poll.
//!
//! Called by `worker` (each poll of an instrumented runtime) and by `submit` (each queueing, if latency is tracked).
//!
//! # Invariants
//! - `stamped-when-queued`: while a task of a runtime that tracks latency is queued, its header has the time when it was queued.
//!   Only the holder of its `Runnable` writes that time.

use std::time::{Duration, Instant};

use super::config::Config;
use crate::observe::histogram::Histogram;
use crate::task::Runnable;
use crate::task::poll::Ran;
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
    pub(super) fn run(&self, config: &Config, worker: usize, runnable: Runnable) -> Ran {
        let hooks = &config.task_hooks;
        let latency = runnable.header().queued_at().filter(|_| self.tracks_latency).map(|queued| {
            let latency = self.now().saturating_sub(Duration::from_nanos(queued));
            if let Some(histogram) = self.latencies.get(worker % config.workers) {
                histogram.record(latency);
            }
            latency
        });
        if let Some(hook) = &hooks.before_poll {
            runnable.task().call_hook(hook, latency);
        }
        let keep = hooks.after_poll.as_ref().map(|hook| (hook, runnable.task().clone()));
        let ran = match self.poll_times.get(worker % config.workers) {
            Some(histogram) => {
                let before = self.now();
                let ran = runnable.run();
                histogram.record(self.now().saturating_sub(before));
                ran
            }
            None => runnable.run(),
        };
        if let Some((hook, task)) = keep {
            task.call_hook(hook, latency);
        }
        if let (true, Ran::Requeue(runnable) | Ran::Yielded(runnable)) = (self.tracks_latency, &ran) {
            self.stamp(runnable);
        }
        ran
    }
}
