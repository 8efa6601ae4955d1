//! The slabs of the `LocalSet`s of the process, so that a dump of a runtime finds the tasks of those that run in it.
//!
//! Called by `group::local_set` (lists its slab) and by `runtime::collect`.

use std::sync::{Arc, OnceLock, Weak};

use super::slab::TaskSlab;
use crate::primitives::Mutex;
use crate::primitives::atomic::{AtomicUsize, Ordering};

static LISTED: OnceLock<Mutex<Vec<Arc<Entry>>>> = OnceLock::new();

/// The slab of one set. Dropping it takes the slab out of the list.
#[derive(Debug)]
pub(crate) struct ListedSlab(Arc<Entry>);

struct Entry {
    slab: Weak<TaskSlab>,
    /// The address of the parts of the runtime in which the set ran last; 0 if it has not run.
    runtime: AtomicUsize,
}

debug_struct!([] Entry as "Entry", self => { .. });

impl ListedSlab {
    pub(crate) fn new(slab: &Arc<TaskSlab>) -> Self {
        let entry = Arc::new(Entry { slab: Arc::downgrade(slab), runtime: AtomicUsize::new(0) });
        LISTED.get_or_init(Mutex::default).lock().push(Arc::clone(&entry));
        Self(entry)
    }

    /// The set runs in the runtime with the parts at this address, 0 for none.
    pub(crate) fn runs_in(&self, runtime: usize) {
        self.0.runtime.store(runtime, Ordering::Relaxed);
    }
}

impl Drop for ListedSlab {
    fn drop(&mut self) {
        LISTED.get_or_init(Mutex::default).lock().retain(|entry| !Arc::ptr_eq(entry, &self.0));
    }
}

/// The slabs of the sets that ran last in the runtime with the parts at this address.
pub(crate) fn of_runtime(runtime: usize) -> Vec<Arc<TaskSlab>> {
    let Some(listed) = LISTED.get() else { return Vec::new() };
    let listed = listed.lock();
    let here = listed.iter().filter(|entry| entry.runtime.load(Ordering::Relaxed) == runtime);
    here.filter_map(|entry| entry.slab.upgrade()).collect()
}
