//! The sets of tasks that hold many finished tasks: a `JoinSet` that is filled and not joined grows until the program ends.
//!
//! Called by `group::set_state`, which lists a set when it has become large, and by `runtime` for dumps.
//!
//! # Why not otherwise
//! A list of all sets would cost a lock for each set that is made. A set that has never become large costs nothing here.

use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::{Arc, OnceLock, Weak};

use crate::primitives::Mutex;

/// A set is listed when it has this many finished tasks. Not measured: fewer are no leak.
pub(crate) const LISTED_MIN: usize = 32;

/// A set that may be listed.
pub(crate) trait FinishedTasks: Send + Sync {
    /// The line that created it.
    fn created_at(&self) -> &'static Location<'static>;

    /// The number of its tasks that have finished and have not been joined.
    fn finished(&self) -> usize;
}

/// Finished tasks that stay in `JoinSet`s until they are joined: those of all sets that one line has created.
///
/// Only sets are counted that have had 32 such tasks at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unjoined {
    /// The line that created the sets.
    pub created_at: &'static Location<'static>,
    /// The number of sets with such tasks.
    pub sets: usize,
    /// The number of finished tasks that were not joined.
    pub tasks: usize,
}

#[derive(Default)]
struct Listed {
    sets: Vec<Weak<dyn FinishedTasks>>,
    /// At this length the dropped ones are removed, so that a removal costs little for each set.
    trim_at: usize,
}

static LISTED: OnceLock<Mutex<Listed>> = OnceLock::new();

/// Lists a set. It is called once for each set.
pub(crate) fn list(set: Weak<dyn FinishedTasks>) {
    let mut listed = LISTED.get_or_init(Mutex::default).lock();
    if listed.sets.len() >= listed.trim_at {
        listed.sets.retain(|set| set.strong_count() > 0);
        listed.trim_at = 2 * listed.sets.len() + 16;
    }
    listed.sets.push(set);
}

/// Counts the finished tasks of the listed sets, by the lines that created the sets.
pub(crate) fn count() -> Vec<Unjoined> {
    // Dropping the last reference to a set runs user code, so that happens without the lock.
    let sets: Vec<Arc<_>> = LISTED.get().map_or_else(Vec::new, |listed| {
        let listed = listed.lock();
        listed.sets.iter().filter_map(Weak::upgrade).collect()
    });
    let mut counts = BTreeMap::new();
    for (created_at, finished) in sets.iter().map(|set| (set.created_at(), set.finished())) {
        if finished > 0 {
            let count = counts.entry(created_at).or_insert(Unjoined { created_at, sets: 0, tasks: 0 });
            count.sets += 1;
            count.tasks += finished;
        }
    }
    counts.into_values().collect()
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    struct Set(&'static Location<'static>, usize);

    impl FinishedTasks for Set {
        fn created_at(&self) -> &'static Location<'static> {
            self.0
        }

        fn finished(&self) -> usize {
            self.1
        }
    }

    #[test]
    fn dropped_sets_leave_the_list() {
        let here = Location::caller();
        let mut kept: Vec<Arc<dyn FinishedTasks>> = Vec::new();
        for number in 0..10_000 {
            let set: Arc<dyn FinishedTasks> = Arc::new(Set(here, number));
            list(Arc::downgrade(&set));
            if number % 1000 == 1 {
                kept.push(set);
            }
        }
        let listed = LISTED.get().map(|listed| listed.lock().sets.len());
        assert!(listed.is_some_and(|listed| listed < 100), "{listed:?} for {} sets", kept.len());
        let ours: Vec<_> = count().into_iter().filter(|count| count.created_at == here).collect();
        assert_eq!(ours, [Unjoined { created_at: here, sets: 10, tasks: 45_010 }]);
    }
}
