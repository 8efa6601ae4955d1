//! One look for tasks that can never run again: first a cheap one, and a dump if that finds a suspect.
//!
//! Called by `diagnose` and `strict`. It polls nothing, wakes nothing, and holds no lock while it reads another part.
//!
//! # Why not otherwise
//! A dump of 100,000 tasks takes tens of milliseconds and megabytes. The first look reads a few words of each task, and almost never
//! finds a suspect.

use std::collections::{HashMap, HashSet};
use std::panic::Location;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use super::collect::{Collected, collect};
use crate::observe::WaitKind;
use crate::observe::coarse;
use crate::observe::dump::{Diagnosis, Dump, rules};
use crate::observe::waiter::{Granted, Subject, WaiterInfo};
use crate::scheduler::shared::Shared;
use crate::sync::waits;
use crate::task::describe::Glance;
use crate::task::{Id, local_slabs};

/// From this age on, a grant that its future has not noticed is a suspect. Less than in the rules, as a dump follows.
const UNHEARD: Duration = Duration::from_millis(500);

/// What the first look saw.
#[derive(Debug, Default)]
pub(super) struct Glanced {
    /// Tasks that may be in a ring, or may be stranded.
    pub(super) suspects: Vec<u64>,
    /// The grants that were not noticed: their lines, and when they were granted on the coarse clock.
    pub(super) grants: Vec<(Option<&'static Location<'static>>, u32)>,
    /// A task waits in a list.
    pub(super) has_waiters: bool,
}

/// Looks at a few words of each task and of each waiter in a list.
pub(super) fn glance(runtimes: &[Arc<Shared>]) -> Glanced {
    let mut waiters = Vec::new();
    waits::collect_lists(&mut waiters);
    let mut glanced = Glanced::default();
    // A task with several waits leads to one of them here. The dump decides.
    let mut next: HashMap<u64, u64> = HashMap::new();
    let mut closers = HashSet::new();
    for waiter in &waiters {
        match waiter.subject {
            Subject::Granted(Granted { at_ms, location, waiting, .. }) if waiting > 0 => {
                glanced.has_waiters = true;
                if coarse::age(at_ms) >= UNHEARD {
                    glanced.grants.push((location, at_ms));
                }
            }
            Subject::Permits { .. } if waiter.kind == WaitKind::GroupEnd => {
                closers.insert(waiter.task);
            }
            Subject::Permits { .. } if matches!(waiter.kind, WaitKind::GroupTask | WaitKind::GroupPlace) => {}
            Subject::Permits { taken, .. } => {
                glanced.has_waiters = true;
                let taken = taken.filter(|taken| taken.task != 0 && waiter.task != 0 && !taken.is_owned);
                next.extend(taken.map(|taken| (waiter.task, taken.task)));
            }
            Subject::Granted(_)
            | Subject::Unknown
            | Subject::Task(_)
            | Subject::Deadline { .. }
            | Subject::Descriptor { .. }
            | Subject::Channel { .. }
            | Subject::Process(_)
            | Subject::Signal(_) => {}
        }
    }
    // A task of a group may wait for a lock that the owner of the group has while it closes the group.
    glanced.suspects.extend(next.values().filter(|holder| closers.contains(*holder)));
    for runtime in runtimes {
        let mut see = |Glance { id, wakers, has_handle, joiner }: Glance| {
            next.extend(joiner.map(|joiner| (joiner, id)));
            if wakers == Some(0) && (!has_handle || joiner.is_some()) {
                glanced.suspects.push(id);
            }
        };
        runtime.slab.glance(&mut see);
        for slab in local_slabs::of_runtime(ptr::from_ref(&runtime.parts).addr()) {
            slab.glance(&mut see);
        }
    }
    let rings = rules::rings(&next, next.keys().copied());
    glanced.suspects.extend(rings.into_iter().flatten());
    glanced
}

/// A dump of several runtimes.
pub(super) struct Look {
    pub(super) dump: Dump,
    /// The runtime of each task, as an index.
    owners: HashMap<Id, usize>,
    /// The runtimes with a future of `block_on`, and where its last poll waited, if that is known.
    roots: Vec<(usize, Option<&'static Location<'static>>)>,
}

impl Look {
    pub(super) fn at(runtimes: &[Arc<Shared>]) -> Self {
        let (mut tasks, mut waiters, mut nodes, mut owners) = (Vec::new(), Vec::new(), Vec::new(), HashMap::new());
        let mut roots = Vec::new();
        for (index, runtime) in runtimes.iter().enumerate() {
            let collected: Collected = collect(runtime);
            owners.extend(collected.tasks.iter().filter(|task| !task.is_root).map(|task| (task.id, index)));
            let of_runtime = collected.tasks.iter().filter(|task| task.is_root);
            roots.extend(of_runtime.map(|root| (index, root.waiting.and_then(|(_, location)| location))));
            tasks.extend(collected.tasks);
            waiters.extend(collected.waiters);
            nodes.extend(collected.nodes);
        }
        let left_out = waits::collect(&mut waiters);
        waiters.iter_mut().for_each(WaiterInfo::hide_internal_lines);
        Self { dump: Dump::new(tasks, waiters, nodes, left_out, coarse::now_ms()).with_stillness(), owners, roots }
    }

    /// The index of the runtime that gets the report: that of the first task. If it is about a future of `block_on`, of which the id
    /// is not known, the one in which such a future waits at its line, or may do so.
    pub(super) fn owner(&self, diagnosis: &Diagnosis) -> usize {
        let of_task = diagnosis.tasks().first().and_then(|id| self.owners.get(id)).copied();
        of_task.unwrap_or_else(|| {
            let waits_there =
                |(_, at): &&(usize, Option<&'static Location<'static>>)| at.is_some_and(|at| waits_at(diagnosis, at));
            let found = self.roots.iter().find(waits_there).or_else(|| self.roots.iter().find(|(_, at)| at.is_none()));
            found.or(self.roots.first()).map_or(0, |(index, _)| *index)
        })
    }

    /// The indexes of all runtimes with a task of it.
    pub(super) fn owners(&self, diagnosis: &Diagnosis) -> HashSet<usize> {
        diagnosis.tasks().iter().filter_map(|id| self.owners.get(id)).copied().collect()
    }

    /// How often all of its tasks were polled, to tell whether any was polled between two looks.
    pub(super) fn polls(&self) -> (usize, u64) {
        let polls = self.dump.tasks().iter().map(|task| u64::from(task.polls()));
        (self.owners.len(), polls.sum())
    }
}

/// Whether what has the grant of a futurelock waits at this line now.
pub(super) fn waits_at(diagnosis: &Diagnosis, location: &'static Location<'static>) -> bool {
    let Diagnosis::Futurelock { waits, .. } = diagnosis else { return false };
    waits.iter().any(|wait| wait.location() == Some(location))
}
