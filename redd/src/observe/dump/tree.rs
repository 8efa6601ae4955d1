//! The tasks as a tree: each below the one that spawned it.
//!
//! Called by `snapshot`.
//!
//! # Why not otherwise
//! A recursive walk overflows the stack if each of many tasks spawns the next one.

use std::collections::HashMap;
use std::fmt;

use super::groups::{Group, Holders, group};
use super::task::{Tasks, Trace};
use super::text::GroupText;
use crate::observe::report::Count;
use crate::task::Id;

/// How many levels are indented. Not measured: deeper ones do not fit on a screen. If all were indented, a chain of tasks would be
/// printed in quadratic time.
const INDENTED_LEVELS: usize = 32;

/// The tasks of a [`Dump`](super::Dump), each below the task that spawned it. Made by [`Dump::tree`](super::Dump::tree).
///
/// `Display` counts equal tasks that have spawned none of the others. Tasks
/// whose parents are not in the dump are together below one line: `3 ended tasks`.
///
/// ```text
/// task 1 `server` (spawned at src/main.rs:9:5, 1m 5s old, 301 polls, the last 1.5s ago) waits: Readable at src/main.rs:12:40
/// ├─ 300 tasks (spawned at src/main.rs:14:13, oldest 1m 5s) waits: Timer at src/session.rs:52:42 for up to 1.5s; due in 8.5s
/// └─ task 17 (spawned at src/main.rs:14:13, 12.1s old, 2 polls, the last 12.0s ago) waits: Join at src/session.rs:60:9 for 12.0s
///    └─ task 18 (spawned at src/session.rs:59:20, 12.0s old, 1 poll, the last 12.0s ago) waits on something outside of redd
/// ```
#[derive(Debug)]
pub struct Tree<'a> {
    tasks: &'a Tasks,
}

impl<'a> Tree<'a> {
    pub(super) fn new(tasks: &'a Tasks) -> Self {
        Self { tasks }
    }
}

/// The tasks that each task has spawned.
type Children<'a> = HashMap<Option<Id>, Vec<&'a Trace>>;

/// A line of the tree that waits to be written.
enum Node<'a> {
    /// A task that has spawned others.
    Parent(&'a Trace),
    /// Equal tasks without children.
    Leaves(Group<'a>),
    /// The parents that are not in the dump, this many.
    Ended(usize, Vec<&'a Trace>),
}

struct Pending<'a> {
    node: Node<'a>,
    level: usize,
    is_last: bool,
}

impl fmt::Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut children = Children::new();
        self.tasks.iter().for_each(|task| children.entry(task.parent()).or_default().push(task.trace()));
        let holders = Holders::of(self.tasks);
        let roots = children.remove(&None).unwrap_or_default();
        let mut nodes = sorted(roots, &children, &holders);
        let ended = self.take_ended(&mut children);
        if !ended.is_empty() {
            nodes.push(Node::Ended(ended.len(), ended.concat()));
        }
        // The next line is the last of these, so each level is pushed in reverse.
        let mut stack: Vec<_> = pending(nodes, 0).collect();
        let mut prefix = Prefix::default();
        while let Some(Pending { node, level, is_last }) = stack.pop() {
            prefix.enter(level, is_last);
            let spawned = match node {
                Node::Parent(trace) => {
                    prefix.write(f, &self.text(&Group::of(trace)))?;
                    children.remove(&Some(trace.info.id)).unwrap_or_default()
                }
                Node::Leaves(group) => {
                    prefix.write(f, &self.text(&group))?;
                    continue;
                }
                Node::Ended(count, spawned) => {
                    prefix.write(f, &Count(count as u64, "ended task", "ended tasks").to_string())?;
                    spawned
                }
            };
            stack.extend(pending(sorted(spawned, &children, &holders), level + 1));
        }
        Ok(())
    }
}

impl<'a> Tree<'a> {
    /// Removes the parents that are not in the dump; returns the tasks that each has spawned.
    fn take_ended(&self, children: &mut Children<'a>) -> Vec<Vec<&'a Trace>> {
        let is_ended = |id: &&Option<Id>| id.is_some_and(|id| self.tasks.get(id).is_none());
        let mut ended: Vec<_> = children.keys().filter(is_ended).copied().collect();
        ended.sort_unstable();
        ended.iter().filter_map(|id| children.remove(id)).collect()
    }

    fn text(&self, group: &Group<'_>) -> String {
        GroupText { group, tasks: Some(self.tasks), shows_parent: false }.to_string()
    }
}

fn pending<'a>(nodes: Vec<Node<'a>>, level: usize) -> impl Iterator<Item = Pending<'a>> {
    nodes.into_iter().rev().enumerate().map(move |(index, node)| Pending { node, level, is_last: index == 0 })
}

/// Returns the nodes of tasks with the same parent: first those without children, in groups, and then the others.
fn sorted<'a>(tasks: Vec<&'a Trace>, children: &Children<'a>, holders: &Holders) -> Vec<Node<'a>> {
    let has_children = |task: &&Trace| children.contains_key(&Some(task.info.id));
    let (parents, leaves): (Vec<_>, Vec<_>) = tasks.into_iter().partition(has_children);
    let leaves = group(leaves.into_iter(), holders).into_iter().map(Node::Leaves);
    leaves.chain(parents.into_iter().map(Node::Parent)).collect()
}

/// The lines that lead to the current node. A tree of one level has none.
#[derive(Default)]
struct Prefix {
    level: usize,
    /// Whether the node of each level above, and this one, is the last of its siblings.
    are_last: Vec<bool>,
}

impl Prefix {
    fn enter(&mut self, level: usize, is_last: bool) {
        self.level = level;
        self.are_last.truncate(level.min(INDENTED_LEVELS));
        self.are_last.push(is_last);
    }

    /// Writes the lines of `text`, with the branches in front of them.
    fn write(&self, f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
        let (is_last, above) = self.are_last.split_last().unwrap_or((&true, &[]));
        for (index, line) in text.lines().enumerate() {
            // The nodes of the first level have no branches.
            above.iter().skip(1).try_for_each(|is_last| f.write_str(if *is_last { "   " } else { "│  " }))?;
            if self.level > 0 {
                f.write_str(match (index, is_last) {
                    (0, true) => "└─ ",
                    (0, false) => "├─ ",
                    (_, true) => "   ",
                    (_, false) => "│  ",
                })?;
            }
            if index == 0 && self.level > INDENTED_LEVELS {
                write!(f, "(level {}) ", self.level)?;
            }
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}
