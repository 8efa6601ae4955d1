//! The runtimes of this process, as far as an attach request may see them.
//!
//! Called by `runtime` ([`list`], [`count_hidden`]) and `server`.
//!
//! # Invariants
//! - `unlocked-drop`: no runtime is dropped under the lock. Its drop removes it from the list, and takes the lock.
//! - `weak-list`: the list keeps no runtime alive. One that ends while a client asks lives until its reply is made.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};

use super::request::Format;
use crate::observe::metric_blocks::MetricBlocks;
use crate::observe::task_info::TaskInfo;
use crate::primitives::Mutex;
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::AtomicU64;
use crate::sys::fork::Process;

#[cfg(all(test, loom))]
#[path = "../../models/attach_registry.rs"]
mod models;

/// A runtime that can be asked what it does. Each method is called on the thread that replies, and reads only, except
/// that it may switch the flight recorder.
pub(crate) trait Observed: Send + Sync {
    /// Writes its kind and size as the members of a JSON object.
    fn write_members(&self, out: &mut String);

    /// Writes its kind and size as a line.
    fn write_heading(&self, out: &mut String);

    /// Writes what its tasks do. `is_whole`: each task, instead of groups of equal ones.
    fn write_dump(&self, out: &mut String, format: Format, is_whole: bool);

    /// Writes what the threads of its workers do, or that of the task with this number: its thread if it has one, else what it
    /// waits on. False if there is no such task.
    fn write_stacks(&self, out: &mut String, task: Option<u64>) -> bool;

    /// Begins to sample which tasks its workers poll.
    fn sampler(self: Arc<Self>) -> Box<dyn Sampler>;

    /// Switches full recording.
    fn set_recorded(&self, is_recorded: bool);

    /// Its tasks and closures, with those of the `LocalSet`s that run in it.
    fn tasks(&self) -> Vec<TaskInfo>;

    /// Adds its metrics.
    fn add_metrics(&self, blocks: &mut MetricBlocks);
}

/// Samples which tasks the workers of a runtime poll.
pub(crate) trait Sampler {
    /// Takes a sample.
    fn sample(&mut self);

    /// Writes what the samples show as members of a JSON object.
    fn write_members(&self, out: &mut String);
}

/// The list of runtimes.
#[derive(Debug, Default)]
struct Registry {
    runtimes: Mutex<Runtimes>,
    /// The runtimes that are not to be seen. A child of `fork` counts those of its parent.
    hidden: AtomicU64,
}

#[derive(Debug, Default)]
struct Runtimes {
    next: u64,
    listed: BTreeMap<u64, Entry>,
}

struct Entry {
    /// A child of `fork` has a copy of its parent's list, and of none of the threads.
    process: Process,
    /// `weak-list`
    runtime: Weak<dyn Observed>,
}

debug_struct!([] Entry as "Entry", self => { process: self.process, .. });

static REGISTRY: OnceLock<Registry> = OnceLock::new();

fn registry() -> &'static Registry {
    REGISTRY.get_or_init(Registry::default)
}

/// A runtime is on the list, or counted, while this lives.
pub(crate) struct Listed {
    registry: &'static Registry,
    /// `None`: it is only counted.
    number: Option<u64>,
}

debug_struct!([] Listed as "Listed", self => { number: self.number, .. });

/// Lists a runtime.
pub(crate) fn list(runtime: Weak<dyn Observed>) -> Listed {
    registry().list(runtime)
}

/// Counts a runtime that is not to be seen.
pub(crate) fn count_hidden() -> Listed {
    registry().hidden.fetch_add(1, Ordering::Relaxed);
    Listed { registry: registry(), number: None }
}

/// The runtimes of this process, and how many others there are that are not to be seen.
pub(super) fn runtimes() -> (Vec<Arc<dyn Observed>>, usize) {
    (registry().runtimes(), registry().hidden.load(Ordering::Relaxed) as usize)
}

impl Registry {
    fn list(&'static self, runtime: Weak<dyn Observed>) -> Listed {
        let mut runtimes = self.runtimes.lock();
        runtimes.next += 1;
        let number = runtimes.next;
        runtimes.listed.insert(number, Entry { process: Process::current(), runtime });
        Listed { registry: self, number: Some(number) }
    }

    /// The caller may have the last reference to one of them when it is done. So they are described, and let go, without the lock
    /// (`unlocked-drop`).
    fn runtimes(&self) -> Vec<Arc<dyn Observed>> {
        let runtimes = self.runtimes.lock();
        let own = runtimes.listed.values().filter(|entry| entry.process.is_current());
        own.filter_map(|entry| entry.runtime.upgrade()).collect()
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let Some(number) = self.number else {
            self.registry.hidden.fetch_sub(1, Ordering::Relaxed);
            return;
        };
        // `unlocked-drop`: dropped after the lock is released.
        let entry = self.registry.runtimes.lock().listed.remove(&number);
        drop(entry);
    }
}
