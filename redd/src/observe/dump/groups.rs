//! Groups of equal tasks: spawned at the same line, in the same state, with waits of the same kinds at the same lines.
//!
//! Called by `text`.

use std::collections::{HashMap, HashSet};
use std::panic::Location;

use super::task::{Role, Tasks, Trace};
use super::wait::{Wait, What};
use crate::observe::WaitKind;
use crate::task::Id;

/// Tasks that are shown together.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// At least one, the oldest first.
    pub(super) tasks: Vec<&'a Trace>,
    /// What each of them waits on.
    pub(super) lines: Vec<WaitLine<'a>>,
}

/// The waits of a group that are of one kind at one line.
#[derive(Debug)]
pub(super) struct WaitLine<'a> {
    pub(super) kind: WaitKind,
    pub(super) location: Option<&'static Location<'static>>,
    pub(super) waits: Vec<&'a Wait>,
}

/// What equal tasks have in common.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    /// For a task that has a group of its own.
    alone: Option<Id>,
    spawned_at: &'static Location<'static>,
    is_blocking: bool,
    is_running: bool,
    is_queued: bool,
    /// The group that it belongs to, and whether it waits for a place there.
    node: Option<(u32, bool)>,
    shields: Vec<&'static Location<'static>>,
    /// The kinds and locations of the waits.
    lines: Vec<(u8, Option<&'static Location<'static>>)>,
}

/// The tasks that hold locks for which others wait. Each stays alone, so that the lines that name it lead to it.
#[derive(Debug)]
pub(super) struct Holders(HashSet<Id>);

impl Holders {
    pub(super) fn of(tasks: &Tasks) -> Self {
        Self(tasks.iter().flat_map(|task| task.waits().iter().filter_map(holder)).collect())
    }
}

/// Returns the groups, the largest first and then the one with the oldest task.
pub(super) fn group<'a>(tasks: impl Iterator<Item = &'a Trace>, holders: &Holders) -> Vec<Group<'a>> {
    let mut indices = HashMap::new();
    let mut groups: Vec<Group<'_>> = Vec::new();
    for trace in tasks {
        let key = key(trace, holders.0.contains(&trace.info.id));
        let index = *indices.entry(key).or_insert(groups.len());
        match groups.get_mut(index) {
            Some(group) => group.add(trace),
            None => groups.push(Group::of(trace)),
        }
    }
    for group in &mut groups {
        group.tasks.sort_by_key(|task| std::cmp::Reverse(task.info.age));
    }
    groups.sort_by_key(|group| std::cmp::Reverse((group.tasks.len(), group.tasks[0].info.age)));
    groups
}

fn holder(wait: &Wait) -> Option<Id> {
    let What::Lock { taken: Some(taken), .. } = &wait.what else { return None };
    taken.by
}

fn key(trace: &Trace, is_alone: bool) -> Key {
    // The waits are sorted, so equal ones are neighbours.
    let mut lines: Vec<_> = trace.waits.iter().map(|wait| (wait.kind as u8, wait.location)).collect();
    lines.dedup();
    let info = &trace.info;
    Key {
        alone: is_alone.then_some(info.id),
        spawned_at: info.location,
        is_blocking: info.is_blocking,
        is_running: info.is_running,
        is_queued: info.is_queued,
        node: trace.membership.as_ref().map(|of| (of.node, matches!(of.role, Role::Queued { .. }))),
        shields: trace.shields.iter().map(|shield| shield.made_at).collect(),
        lines,
    }
}

impl<'a> Group<'a> {
    /// A group of one task.
    pub(super) fn of(task: &'a Trace) -> Self {
        let mut group = Self { tasks: Vec::new(), lines: Vec::new() };
        group.add(task);
        group
    }

    fn add(&mut self, task: &'a Trace) {
        self.tasks.push(task);
        for wait in &task.waits {
            let is_same = |line: &&mut WaitLine<'_>| (line.kind, line.location) == (wait.kind, wait.location);
            match self.lines.iter_mut().find(is_same) {
                Some(line) => line.waits.push(wait),
                None => {
                    self.lines.push(WaitLine { kind: wait.kind, location: wait.location, waits: vec![wait] });
                }
            }
        }
    }
}
