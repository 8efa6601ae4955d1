//! The rules of diagnoses: which tasks can never run again, or keep others from running.
//!
//! Called by `snapshot` and by `runtime::diagnose`, which look twice: the parts of a dump are of slightly different moments.
//!
//! # Invariants
//! - `one-way-out`: a task is in a ring only if one waker of it is alive, and that one is in the list of the lock, or in the
//!   task, for which it waits. So no timer, descriptor, channel or other library can wake it, and no `AbortHandle` of it exists.
//! - `holder-holds`: a lock leads to the task that took it only if its guard borrows the lock, and the lock is no `static`. Another guard
//!   may be in a channel or in another task.
//! - `no-heir`: the guard, or the future that has it, may have been moved into a task that was spawned after the lock was taken. So there
//!   is no ring while such a task of the one that took the lock is alive, unless it is in the ring, too. Not covered: a future that has
//!   a guard and is driven by an older task later, as several tasks can with `futures::future::Shared`.
//! - `not-polled-between`: each task of a diagnosis was idle in both looks and not polled between them. So all of its waits were
//!   there at the same time.
//! - `polled-since`: a grant is a futurelock only if its task was polled after it, and the future was not. So a task whose worker is
//!   busy is none.
//!
//! # Why not otherwise
//! A search whenever a task begins to wait would find a ring as it is made. It would follow other tasks under the locks of their lists,
//! on a path that each contended lock takes.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::diagnosis::{Diagnosis, StuckTask};
use super::join::{Contents, Grant};
use super::task::{Task, TaskState, Trace};
use super::wait::{Wait, What};
use crate::observe::WaitKind;
use crate::task::Id;

/// For how long a future may leave a grant unnoticed. Not measured: one that is polled in turns with others is polled sooner.
const UNHEARD: Duration = Duration::from_secs(1);

/// Returns what is wrong.
pub(super) fn find(contents: &Contents) -> Vec<Diagnosis> {
    let Contents { tasks, grants, .. } = contents;
    let next: HashMap<Id, Id> = tasks.iter().filter_map(|task| Some((task.id(), only_way(task)?))).collect();
    let mut found: Vec<_> = grants.iter().filter_map(|grant| futurelock(contents, &next, grant)).collect();
    for ring in rings(&next, tasks.iter().map(Task::id)) {
        if has_heir(contents, &ring) {
            continue;
        }
        // The first lines of a futurelock say more.
        let is_known = |one: &Diagnosis| ring.len() == 1 && one.tasks() == ring;
        if !found.iter().any(is_known) {
            found.push(Diagnosis::Deadlock { tasks: ring.iter().filter_map(|id| tasks.get(*id)).map(stuck).collect() });
        }
    }
    let awaited: HashSet<Id> = next.values().copied().collect();
    found.extend(
        tasks.iter().filter(|task| is_stranded(task, &awaited)).map(|task| Diagnosis::Stranded { task: stuck(task) }),
    );
    found
}

/// Keeps what a second look confirms (`not-polled-between`).
pub(super) fn confirm(found: &mut Vec<Diagnosis>, first: &Contents, second: &Contents) {
    found.retain(|diagnosis| {
        second.diagnoses.iter().any(|again| again.is_same(diagnosis)) && {
            let polls = |of: &Contents| match diagnosis {
                // A task may go on, and be polled, while its future keeps a grant.
                Diagnosis::Futurelock { .. } => Vec::new(),
                Diagnosis::NothingCanHappen { .. } => of.tasks.iter().map(|task| Some(task.polls())).collect(),
                Diagnosis::Deadlock { .. } | Diagnosis::Stranded { .. } => {
                    diagnosis.tasks().iter().map(|id| of.tasks.get(*id).map(Task::polls)).collect::<Vec<_>>()
                }
            };
            polls(first) == polls(second)
        }
    });
}

/// The rings in a graph in which each node leads to at most one other. `nodes` has all nodes that lead to one.
pub(crate) fn rings<N: Copy + Eq + std::hash::Hash>(
    next: &HashMap<N, N>,
    nodes: impl Iterator<Item = N>,
) -> Vec<Vec<N>> {
    let mut seen = HashSet::new();
    let mut rings = Vec::new();
    for mut node in nodes {
        let mut path = Vec::new();
        // A path that meets itself ends in a ring.
        while seen.insert(node) {
            path.push(node);
            let Some(following) = next.get(&node) else { break };
            node = *following;
        }
        if let Some(start) = path.iter().position(|of_path| *of_path == node).filter(|_| next.contains_key(&node)) {
            rings.push(path.split_off(start));
        }
    }
    rings
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

/// Whether a task outside of the ring may have one of its guards (`no-heir`).
fn has_heir(contents: &Contents, ring: &[Id]) -> bool {
    let waits = ring.iter().filter_map(|id| contents.tasks.get(*id)).flat_map(|task| task.waits());
    let mut taken = waits.filter_map(|wait| {
        let What::Lock { taken, .. } = &wait.what else { return None };
        taken.as_ref()
    });
    taken.any(|taken| {
        // The times are in milliseconds.
        let is_heir = |task: &Task| task.parent() == taken.by && task.age() <= taken.ago && !ring.contains(&task.id());
        contents.tasks.iter().any(is_heir)
    })
}

fn futurelock(contents: &Contents, next: &HashMap<Id, Id>, grant: &Grant) -> Option<Diagnosis> {
    if grant.waiting == 0 {
        return None; // Nothing waits for it.
    }
    let same = |wait: &&Wait| matches!(wait.what, What::Lock { object, .. } if object == grant.object);
    let waits: Vec<Wait> = match grant.task {
        Some(id) => {
            let task = contents.tasks.get(id)?;
            let TaskState::Waiting { .. } = task.state() else { return None };
            // The task waits for what its own future has, and for nothing else.
            let is_certain = next.get(&id) == Some(&id) && task.waits().iter().any(|wait| same(&wait));
            // `polled-since`. The times are in milliseconds. Its own waker makes the task ready in the one of the grant.
            let was_polled = task
                .since_polled()
                .is_some_and(|since| since < grant.ago || grant.is_woken_directly && since == grant.ago);
            if !(is_certain || was_polled && grant.ago > UNHEARD) {
                return None;
            }
            task.waits().to_vec()
        }
        None => {
            // `polled-since`: the grant woke the future of a `block_on`, and none of these runs now.
            let is_any_running = contents.roots.iter().any(|root| root.trace.info.is_running);
            if !grant.is_woken_directly || contents.roots.is_empty() || is_any_running || grant.ago <= UNHEARD {
                return None;
            }
            let of_roots = contents.roots.iter().flat_map(|root| &root.trace.waits);
            of_roots.chain(&contents.outside).filter(same).cloned().collect()
        }
    };
    Some(Diagnosis::Futurelock {
        task: grant.task,
        kind: grant.kind,
        granted_at: grant.location,
        ago: grant.ago,
        released_by: grant.released_by,
        waiting: grant.waiting,
        waits,
    })
}

/// Whether no waker of the task is left, and nothing will abort it.
fn is_stranded(task: &Task, awaited: &HashSet<Id>) -> bool {
    let info = &task.trace.info;
    info.wakers == Some(0) && !info.is_internal && !info.is_blocking && (!info.has_handle || awaited.contains(&info.id))
}

/// For a dump of all that a runtime has.
pub(super) fn nothing_can_happen(contents: &Contents) -> Option<Diagnosis> {
    let Contents { tasks, roots, outside, left_out, .. } = contents;
    let mut traces = tasks.iter().map(Task::trace).chain(roots.iter().map(|root| &root.trace));
    let waits = |trace: &Trace| {
        let info = &trace.info;
        !info.is_running && !info.is_queued && !info.is_blocking && !trace.waits.iter().any(comes_from_outside)
    };
    let waiting = tasks.tasks.len() + roots.len();
    let is_so = waiting > 0 && *left_out == 0 && traces.all(waits) && !outside.iter().any(comes_from_outside);
    is_so.then_some(Diagnosis::NothingCanHappen { waiting })
}

/// Whether the system ends the wait, and no task.
fn comes_from_outside(wait: &Wait) -> bool {
    match wait.what {
        What::Deadline(_) | What::Descriptor { .. } | What::Process(_) | What::Signal(_) => true,
        What::Unknown | What::Lock { .. } | What::Task(_) | What::Channel { .. } => {
            matches!(wait.kind, WaitKind::Timer | WaitKind::Signal | WaitKind::Process)
        }
    }
}

fn stuck(task: &Task) -> StuckTask {
    let Trace { info, waits } = &task.trace;
    StuckTask {
        id: info.id,
        name: info.name.clone(),
        spawned_at: info.location,
        polls: info.polls,
        waits: waits.clone(),
    }
}
