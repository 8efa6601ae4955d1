//! Hooks and measurements around each poll, and full recording. By default there are none, which costs one test per poll.
//!
//! Called by `worker` (each poll of an instrumented runtime) and by `submit` (each queueing, if latency is tracked; each wake and
//! spawn, if they are recorded).
//!
//! # Invariants
//! - `stamped-when-queued`: while a task of a runtime that tracks latency is queued, its header has the time when it was queued.
//!   Only the holder of its `Runnable` writes that time.

use std::time::{Duration, Instant};

use super::config::Config;
use crate::observe::histogram::Histogram;
use crate::primitives::atomic::{AtomicBool, Ordering};
use crate::task::Runnable;
use crate::task::poll::Ran;
use crate::task::recorded::{PollInWorld, RecordedPoll};
use crate::time::clock::real_now;

/// The hooks and histograms of a runtime.
#[derive(Debug)]
pub(crate) struct PollInstrumentation {
    /// Whether polls go through [`run`](Self::run): something is measured, or recorded.
    is_on: AtomicBool,
    /// Whether the runtime was built with hooks or measurements.
    is_measured: bool,
    /// Whether the wakes and spawns of a simulated world go through `record_and_schedule`.
    is_simulated: bool,
    /// Whether each poll, wake and spawn is recorded.
    is_recorded: AtomicBool,
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
        let is_simulated = config.baton.is_some();
        let is_measured =
            config.task_hooks.has_poll_hooks() || !poll_times.is_empty() || tracks_latency || is_simulated;
        Self {
            is_on: AtomicBool::new(is_measured),
            is_measured,
            is_simulated,
            is_recorded: AtomicBool::new(false),
            tracks_latency,
            poll_times,
            latencies,
            started,
        }
    }

    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    pub(super) fn is_recorded(&self) -> bool {
        self.is_recorded.load(Ordering::Relaxed)
    }

    /// Whether wakes and spawns must not go directly to the queue.
    pub(super) fn follows_wakes(&self) -> bool {
        self.is_simulated || self.is_recorded()
    }

    /// Switches full recording. The workers notice it at their next poll.
    pub(crate) fn set_recorded(&self, is_recorded: bool) {
        self.is_recorded.store(is_recorded, Ordering::Relaxed);
        self.is_on.store(is_recorded || self.is_measured, Ordering::Relaxed);
    }

    fn now(&self) -> Duration {
        real_now().saturating_duration_since(self.started)
    }

    /// `stamped-when-queued`: the caller is about to queue the task.
    pub(super) fn stamp(&self, runnable: &Runnable) {
        runnable.header().set_queued_at(self.now().as_nanos() as u64);
    }

    /// Polls a task as a worker does, with hooks and measurements around it, and records the poll.
    pub(super) fn run(&self, config: &Config, worker: usize, runnable: Runnable) -> Ran {
        if config.has_crashed() {
            runnable.cancel();
            return Ran::Done;
        }
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
        let recorded = self.is_recorded().then(|| RecordedPoll::begin(&runnable));
        let simulated = config.baton.as_ref().map(|baton| PollInWorld::begin(baton, &runnable));
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
        if let Some(recorded) = recorded {
            recorded.end(&ran);
        }
        if let Some(simulated) = simulated {
            simulated.end(&ran);
        }
        if let Some((hook, task)) = keep {
            task.call_hook(hook, latency);
        }
        if let (true, Ran::Requeue(runnable) | Ran::Yielded(runnable)) = (self.tracks_latency, &ran) {
            self.stamp(runnable);
        }
        ran
    }
}
