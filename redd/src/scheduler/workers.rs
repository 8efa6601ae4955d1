//! The threads that run the loop: how many there are, what they do, and which are not started.
//!
//! `start`, `stand_in` and `leave` change it.

use std::collections::VecDeque;

use super::config::Config;
use super::running_loops::RunningLoops;
use super::slot::WorkerSlot;
use super::spares::Spares;
use super::worker_states::WorkerStates;
use crate::observe::counters::add;
use crate::primitives::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use crate::primitives::parker::Parker;
use crate::primitives::{Mutex, thread};

/// The threads that run the loop.
#[derive(Debug)]
pub(crate) struct Workers {
    /// Workers and spares that have not left their loop for good.
    pub(crate) alive: AtomicUsize,
    /// Which of them run tasks.
    pub(crate) states: WorkerStates,
    /// How many of their loops still deliver I/O and timer events.
    pub(crate) running_loops: RunningLoops,
    pub(crate) threads: Mutex<Threads>,
    /// A worker offers each task that it puts into its ring in a poll: some worker has never run a task, or rescue is off.
    pub(super) offers_each: AtomicBool,
    /// When a busy worker retries the start of a thread that the system has refused, in milliseconds as `Shared::ms_at`.
    pub(super) retry_at: AtomicU64,
    pub(crate) spares: Mutex<Spares>,
    /// Unparked when the last worker has left.
    pub(crate) ended: Parker,
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            alive: AtomicUsize::new(0),
            states: WorkerStates::default(),
            running_loops: RunningLoops::default(),
            threads: Mutex::default(),
            offers_each: AtomicBool::new(true),
            retry_at: AtomicU64::new(u64::MAX),
            spares: Mutex::default(),
            ended: Parker::default(),
        }
    }
}

/// The threads of workers and spares.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    /// The threads that a shutdown joins.
    pub(crate) started: Vec<thread::JoinHandle<()>>,
    /// The names that the program has given workers without a thread, the last worker first.
    pub(super) unstarted: Vec<Option<String>>,
    /// The given names of the next standbys. User code makes names, so a clean thread finds one here.
    pub(super) standby_names: VecDeque<Option<String>>,
    pub(super) last_name: Option<String>,
    /// The system has refused the last thread, so none is clean (`clean-parents`).
    pub(super) is_refused: bool,
    pub(super) is_reported: bool,
}

/// The number of workers that start in `build`. If there is a hook for starting threads, all do: a program may count its calls, or
/// let the hooks wait for each other.
pub(super) fn workers_at_build(config: &Config) -> usize {
    if config.hooks.on_start.is_some() { config.workers } else { 1 }
}

/// For metrics a worker without a thread has parked at once, as a worker of Tokio would, which starts in `build`.
pub(super) fn new_slot(config: &Config, index: usize) -> WorkerSlot {
    let slot = WorkerSlot::new();
    if index >= workers_at_build(config) {
        [&slot.parks, &slot.unparks, &slot.counters.noops, &slot.busy_ns].into_iter().for_each(|count| add(count, 1));
    }
    slot
}

/// Drops the handles of threads that have ended. The system keeps some memory for each until then.
pub(super) fn drop_ended(threads: &mut Vec<thread::JoinHandle<()>>) {
    threads.retain(|thread| !thread::has_ended(thread));
}
