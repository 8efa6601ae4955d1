//! `RuntimeMetrics`: figures of a runtime.

use std::panic::Location;
use std::time::Duration;

use super::Handle;
use crate::primitives::atomic::Ordering;

/// Figures of a runtime, read while it runs: each is a moment's view, and two of them need not be of the same moment.
#[derive(Clone, Debug)]
pub struct RuntimeMetrics {
    handle: Handle,
}

impl RuntimeMetrics {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// Worker threads of the runtime; 1 on a current-thread one.
    pub fn num_workers(&self) -> usize {
        self.handle.shared.config.workers
    }

    /// Tasks that were spawned and have not ended.
    pub fn num_alive_tasks(&self) -> usize {
        self.handle.shared.heap.alive()
    }

    /// All tasks ever spawned.
    pub fn spawned_tasks_count(&self) -> u64 {
        self.handle.shared.heap.spawned_total()
    }

    /// Tasks that wait in the injector for a worker.
    pub fn global_queue_depth(&self) -> usize {
        self.handle.shared.injector.len()
    }

    /// Descriptors that are registered with the I/O driver.
    pub fn io_driver_fd_registered_count(&self) -> u64 {
        self.handle.shared.driver.registrations() as u64
    }

    /// Threads of the blocking pool.
    pub fn num_blocking_threads(&self) -> usize {
        self.handle.shared.blocking.threads()
    }

    /// Threads of the blocking pool that wait for work.
    pub fn num_idle_blocking_threads(&self) -> usize {
        self.handle.shared.blocking.idle_threads()
    }

    /// Closures that wait for a thread of the blocking pool.
    pub fn blocking_queue_depth(&self) -> usize {
        self.handle.shared.blocking.queue_depth()
    }

    /// Tasks in the run queue of a worker.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_local_queue_depth(&self, worker: usize) -> usize {
        self.slot(worker).queue.len()
    }

    /// How often a worker went to sleep.
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

    /// How long a worker was awake.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_total_busy_duration(&self, worker: usize) -> Duration {
        Duration::from_nanos(self.slot(worker).busy_ns.load(Ordering::Relaxed))
    }

    /// Polls that were late: see [`Rescue::report_after`](super::Rescue::report_after).
    pub fn late_polls(&self) -> u64 {
        self.handle.shared.watch.figures.late_polls.load(Ordering::Relaxed)
    }

    /// The same by the place in the program that spawned the task, in the order in which they first were late.
    pub fn late_polls_by_place(&self) -> Vec<(&'static Location<'static>, u64)> {
        self.handle.shared.watch.figures.places.lock().clone()
    }

    /// Stuck polls for which a sleeping worker was woken or a spare one started.
    pub fn rescues(&self) -> u64 {
        self.handle.shared.watch.figures.rescues.load(Ordering::Relaxed)
    }

    /// Spare workers that run now, for stuck workers and for those in `block_in_place`.
    pub fn rescue_workers(&self) -> usize {
        self.handle.shared.workers.spares.lock().running
    }

    /// Spare workers that ran at the same time, at most.
    pub fn rescue_workers_max(&self) -> usize {
        self.handle.shared.workers.spares.lock().running_max
    }

    /// The longest poll that the monitor has seen, as far as it saw it: short polls are not measured, and of a long one
    /// the first and last milliseconds are missing.
    pub fn longest_poll(&self) -> Duration {
        Duration::from_millis(self.handle.shared.watch.figures.longest_poll_ms.load(Ordering::Relaxed))
    }

    #[track_caller]
    fn slot(&self, worker: usize) -> &crate::scheduler::Slot {
        let workers = self.num_workers();
        assert!(
            worker < workers,
            "worker {worker} was asked for its figures, but this runtime has {workers}. Ask `num_workers` first; they \
             are numbered from 0."
        );
        self.handle.shared.slot(worker)
    }
}
