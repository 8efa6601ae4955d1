//! What is wrong for sure: tasks that can never run again.
//!
//! Called by `join` and by `snapshot`, which looks twice: the parts of a dump are of slightly different moments.
//!
//! # Invariants
//! - `one-way-out`: a task is in a ring only if one waker of it is alive, and that one is in the list of the lock, or in the
//!   task, for which it waits. So no timer, descriptor, channel or other library can wake it, and no `AbortHandle` of it exists.
//! - `holder-holds`: a lock leads to the task that took it only if its guard borrows the lock. An owned guard may be in a channel
//!   or in another task.
//! - `not-polled-between`: each task of a ring was idle in both looks and not polled between them. So all of its waits were there at
//!   the same time.
//!
//! # Why not otherwise
//! A search whenever a task begins to wait would find a ring as it is made. It would follow other tasks under the locks of their lists,
//! on a path that each contended lock takes.

use std::collections::{HashMap, HashSet};

use super::task::{Task, TaskState, Tasks};
use super::wait::What;
use crate::task::Id;

/// Something that is wrong for sure. Made by [`Dump::diagnoses`](super::Dump::diagnoses).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Diagnosis {
    /// Each of these tasks waits for the next one, and the last for the first: for a lock that it has taken, or for its end. None of
    /// them can be woken in another way.
    Deadlock(Vec<Id>),
}

/// Returns the rings of tasks that wait for each other.
pub(super) fn find(tasks: &Tasks) -> Vec<Diagnosis> {
    let next: HashMap<Id, Id> = tasks.iter().filter_map(|task| Some((task.id(), only_way(task)?))).collect();
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for task in tasks.iter() {
        let mut path = Vec::new();
        let mut id = task.id();
        // Each task leads to one other, so a path that meets itself ends in a ring.
        while seen.insert(id) {
            path.push(id);
            let Some(following) = next.get(&id) else { break };
            id = *following;
        }
        if let Some(start) = path.iter().position(|of_path| *of_path == id).filter(|_| next.contains_key(&id)) {
            found.push(Diagnosis::Deadlock(path.split_off(start)));
        }
    }
    found
}

/// Keeps what a second look confirms (`not-polled-between`).
pub(super) fn confirm(found: &mut Vec<Diagnosis>, first: &Tasks, second: &Tasks) {
    let again = find(second);
    let polls =
        |tasks: &Tasks, ids: &[Id]| -> Vec<_> { ids.iter().map(|id| tasks.get(*id).map(Task::polls)).collect() };
    found.retain(|diagnosis| match diagnosis {
        Diagnosis::Deadlock(ids) => again.contains(diagnosis) && polls(first, ids) == polls(second, ids),
    });
}

/// The task that alone can wake this one (`one-way-out`, `holder-holds`).
fn only_way(task: &Task) -> Option<Id> {
    let TaskState::Waiting { .. } = task.state() else { return None };
    let [wait] = task.waits() else { return None };
    if task.trace.info.wakers != Some(1) || !wait.is_direct {
        return None;
    }
    if let What::Task(id) = wait.what {
        return Some(id);
    }
    let What::Lock { taken: Some(taken), .. } = &wait.what else { return None };
    if taken.is_only && !taken.is_owned { taken.by } else { None }
}
