//! The runtimes of this process, as far as an attach request may see them.
//!
//! Called by `runtime` ([`list`], [`count_hidden`]) and `server`.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};

use super::metrics::Sample;
use super::request::Format;
use crate::observe::task_info::TaskInfo;
use crate::primitives::Mutex;
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::AtomicU64;
use crate::sys::fork::Process;

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

    /// Its metrics.
    fn samples(&self) -> Vec<Sample>;
}

/// Samples which tasks the workers of a runtime poll.
pub(crate) trait Sampler {
    /// Takes a sample.
    fn sample(&mut self);

    /// Writes what the samples show as members of a JSON object.
    fn write_members(&self, out: &mut String);
}

#[derive(Debug, Default)]
struct Runtimes {
    next: u64,
    listed: BTreeMap<u64, Entry>,
}

struct Entry {
    /// A child of `fork` has a copy of its parent's list, and of none of the threads.
    process: Process,
    runtime: Weak<dyn Observed>,
}

debug_struct!([] Entry as "Entry", self => { process: self.process, .. });

static RUNTIMES: OnceLock<Mutex<Runtimes>> = OnceLock::new();

/// The runtimes that are not to be seen. A child of `fork` counts those of its parent.
static HIDDEN: AtomicU64 = AtomicU64::new(0);

/// A runtime is on the list, or counted, while this lives.
#[derive(Debug)]
pub(crate) struct Listed {
    /// `None`: it is only counted.
    number: Option<u64>,
}

/// Lists a runtime.
pub(crate) fn list(runtime: Weak<dyn Observed>) -> Listed {
    let mut runtimes = RUNTIMES.get_or_init(Mutex::default).lock();
    runtimes.next += 1;
    let number = runtimes.next;
    runtimes.listed.insert(number, Entry { process: Process::current(), runtime });
    Listed { number: Some(number) }
}

/// Counts a runtime that is not to be seen.
pub(crate) fn count_hidden() -> Listed {
    HIDDEN.fetch_add(1, Ordering::Relaxed);
    Listed { number: None }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let Some(number) = self.number else {
            HIDDEN.fetch_sub(1, Ordering::Relaxed);
            return;
        };
        // Dropped after the lock is released.
        let entry = RUNTIMES.get().and_then(|runtimes| runtimes.lock().listed.remove(&number));
        drop(entry);
    }
}

/// The runtimes of this process, and how many others there are that are not to be seen.
pub(super) fn runtimes() -> (Vec<Arc<dyn Observed>>, usize) {
    let runtimes = RUNTIMES.get_or_init(Mutex::default).lock();
    let own = runtimes.listed.values().filter(|entry| entry.process.is_current());
    (own.filter_map(|entry| entry.runtime.upgrade()).collect(), HIDDEN.load(Ordering::Relaxed) as usize)
}
