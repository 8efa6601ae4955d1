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
//! - `cancelled-by-owner`: a task of a group is in a ring only if neither a deadline nor a future or a `CancelScope` can cancel the group,
//!   or one around it. The owner of a group counts as one of a `JoinHandle`: it can end the task, and is not asked whether it will.
//! - `not-polled-between`: each task of a diagnosis was idle in both looks and not polled between them. So all of its waits were
//!   there at the same time.
//! - `polled-since`: a grant is a futurelock only if its task was polled after it, and the future was not. So a task whose worker is
//!   busy is none.
//!
//! # Why not otherwise
//! A search whenever a task begins to wait would find a ring as it is made. It would follow other tasks under the locks of their lists,
//! on a path that each contended lock takes.

use std::collections::{HashMap, HashSet};
use std::iter;
use std::time::Duration;

use super::diagnosis::{Diagnosis, StuckTask};
use super::join::{Contents, Grant};
use super::node::Node;
use super::task::{Role, Task, TaskState, Tasks, Trace};
use super::wait::{Wait, What};
use crate::observe::WaitKind;
use crate::task::Id;

/// For how long a future may leave a grant unnoticed. Not measured: one that is polled in turns with others is polled sooner.
const UNHEARD: Duration = Duration::from_secs(1);

/// Returns what is wrong.
pub(super) fn find(contents: &Contents) -> Vec<Diagnosis> {
    let Contents { tasks, nodes, grants, .. } = contents;
    let can_be_cancelled = can_be_cancelled(nodes);
    let is_fixed = |task: &&Task| task.group().is_none_or(|of| !can_be_cancelled.contains(&of.node));
    let mut next: HashMap<Id, Id> =
        tasks.iter().filter(is_fixed).filter_map(|task| Some((task.id(), only_way(task)?))).collect();
    follow_closed_groups(tasks, is_fixed, &can_be_cancelled, &mut next);
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

/// The numbers of the groups that something besides their owners can cancel (`cancelled-by-owner`).
fn can_be_cancelled(nodes: &[Node]) -> HashSet<u32> {
    let by_number: HashMap<u32, &Node> = nodes.iter().map(|node| (node.number, node)).collect();
    let mut found = HashSet::new();
    for node in nodes {
        let around = iter::successors(Some(node), |node| by_number.get(&node.around?).copied());
        // Groups are in each other only as deep as the program nests them. The limit is for a dump whose parts do not fit together.
        if around.take(nodes.len()).any(|node| node.has_other_cancel) {
            found.insert(node.number);
        }
    }
    found
}

/// A task that only waits for the end of a group waits for each task of the group. Adds the way to one of them from which others lead
/// back.
fn follow_closed_groups<'a>(
    tasks: &'a Tasks,
    is_fixed: impl Fn(&&'a Task) -> bool,
    can_be_cancelled: &HashSet<u32>,
    next: &mut HashMap<Id, Id>,
) {
    let closes = |task: &'a Task| {
        let wait = only_wait(task)?;
        let What::Group { node, .. } = wait.what else { return None };
        (wait.kind == WaitKind::GroupEnd && !can_be_cancelled.contains(&node)).then_some((task.id(), node))
    };
    let closers: HashMap<Id, u32> = tasks.iter().filter(is_fixed).filter_map(closes).collect();
    if closers.is_empty() {
        return;
    }
    let closed: HashSet<u32> = closers.values().copied().collect();
    let mut members: HashMap<u32, Vec<Id>> = HashMap::new();
    for task in tasks.iter() {
        if let Some(of) = task.group().filter(|of| of.role == Role::Task && closed.contains(&of.node)) {
            members.entry(of.node).or_default().push(task.id());
        }
    }
    let all = |closer: Id| closers.get(&closer).and_then(|node| members.get(node)).map_or(&[][..], Vec::as_slice);
    let locks = next.clone();
    for closer in closers.keys().copied() {
        // Each task with the first step of the way to it.
        let mut reached: Vec<(Id, Id)> = all(closer).iter().map(|task| (*task, *task)).collect();
        let mut seen: HashSet<Id> = all(closer).iter().copied().collect();
        while let Some((task, first)) = reached.pop() {
            if task == closer {
                next.insert(closer, first);
                break;
            }
            let ways = locks.get(&task).into_iter().chain(all(task));
            reached.extend(ways.filter(|way| seen.insert(**way)).map(|way| (*way, first)));
        }
    }
}

/// The only thing that the task waits for (`one-way-out`).
fn only_wait(task: &Task) -> Option<&Wait> {
    let TaskState::Waiting { .. } = task.state() else { return None };
    let [wait] = task.waits() else { return None };
    let is_only = task.trace.info.wakers == Some(1) && wait.is_direct && task.shields().is_empty();
    is_only.then_some(wait)
}

/// The task that alone can wake this one (`one-way-out`, `holder-holds`).
fn only_way(task: &Task) -> Option<Id> {
    let wait = only_wait(task)?;
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
        let has_end = trace.shields.iter().any(|shield| shield.remaining.is_some());
        !(info.is_running
            || info.is_queued
            || info.is_blocking
            || has_end
            || trace.waits.iter().any(comes_from_outside))
    };
    let waiting = tasks.tasks.len() + roots.len();
    let is_so = waiting > 0 && *left_out == 0 && traces.all(waits) && !outside.iter().any(comes_from_outside);
    is_so.then_some(Diagnosis::NothingCanHappen { waiting })
}

/// Whether the system ends the wait, and no task.
fn comes_from_outside(wait: &Wait) -> bool {
    match wait.what {
        What::Deadline(_) | What::Descriptor { .. } | What::Process(_) | What::Signal(_) => true,
        What::Unknown | What::Lock { .. } | What::Task(_) | What::Channel { .. } | What::Group { .. } => {
            matches!(wait.kind, WaitKind::Timer | WaitKind::Signal | WaitKind::Process)
        }
    }
}

fn stuck(task: &Task) -> StuckTask {
    let Trace { info, waits, .. } = &task.trace;
    StuckTask {
        id: info.id,
        name: info.name.clone(),
        spawned_at: info.location,
        polls: info.polls,
        waits: waits.clone(),
    }
}
