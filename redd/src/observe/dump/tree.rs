//! The tasks as a tree: each below the group that it belongs to, or below the task that spawned it.
//!
//! Called by `snapshot`.
//!
//! # Why not otherwise
//! A recursive walk overflows the stack if each of many tasks spawns the next one.

use std::collections::HashMap;
use std::fmt;

use super::groups::{Group, Holders, group};
use super::join::Contents;
use super::node::{Node as InnerNode, runs_of_children};
use super::node_text::{NodeText, write_child};
use super::task::{Tasks, Trace};
use super::text::GroupText;
use crate::observe::report::Count;
use crate::task::Id;

/// How many levels are indented. Not measured: deeper ones do not fit on a screen. If all were indented, a chain of tasks would be
/// printed in quadratic time.
const INDENTED_LEVELS: usize = 32;

/// The tasks of a [`Dump`](super::Dump), each below the task group that it belongs to, or else below the task that spawned it. Made by
/// [`Dump::tree`](super::Dump::tree).
///
/// `Display` counts equal tasks that have spawned none of the others; `{:#}` shows each task for itself. Tasks
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
    nodes: &'a [InnerNode],
}

impl<'a> Tree<'a> {
    pub(super) fn new(contents: &'a Contents) -> Self {
        Self { tasks: &contents.tasks, nodes: &contents.nodes }
    }
}

/// What something in the tree is below.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Above {
    /// The first level.
    Nothing,
    /// The task that spawned it.
    Task(Id),
    /// The group that it belongs to, or was made in.
    Node(u32),
    /// A child of a supervisor, by its index.
    Child(u32, usize),
}

/// What is below something.
#[derive(Default)]
struct Below<'a> {
    tasks: Vec<&'a Trace>,
    nodes: Vec<&'a InnerNode>,
}

type Children<'a> = HashMap<Above, Below<'a>>;

/// A line of the tree that waits to be written.
enum Node<'a> {
    /// A task that has spawned others.
    Parent(&'a Trace),
    /// Equal tasks without children.
    Leaves(Group<'a>),
    /// The parents that are not in the dump, this many.
    Ended(usize, Vec<&'a Trace>),
    /// A task group or a supervisor.
    Inner(&'a InnerNode),
    /// A child of that supervisor, by its index.
    Child(&'a InnerNode, usize),
}

struct Pending<'a> {
    node: Node<'a>,
    level: usize,
    is_last: bool,
}

impl fmt::Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = runs_of_children(self.nodes);
        let mut children = self.children();
        let grouping = Grouping { holders: (!f.alternate()).then(|| Holders::of(self.tasks)) };
        let roots = children.remove(&Above::Nothing).unwrap_or_default();
        let mut nodes = grouping.sorted(roots, &children);
        let ended = self.take_ended(&mut children);
        if !ended.is_empty() {
            nodes.push(Node::Ended(ended.len(), ended.concat()));
        }
        // The next line is the last of these, so each level is pushed in reverse.
        let mut stack: Vec<_> = pending(nodes, 0).collect();
        let mut prefix = Prefix::default();
        while let Some(Pending { node, level, is_last }) = stack.pop() {
            prefix.enter(level, is_last);
            let below = match node {
                Node::Parent(trace) => {
                    prefix.write(f, &self.text(&Group::of(trace)))?;
                    children.remove(&Above::Task(trace.info.id)).unwrap_or_default()
                }
                Node::Inner(node) => {
                    prefix.write(f, &NodeText { nodes: vec![node], tasks: self.tasks }.to_string())?;
                    let of_supervisor = (0..node.children().len()).map(|index| Node::Child(node, index));
                    let mut below = of_supervisor.collect::<Vec<_>>();
                    let others = children.remove(&Above::Node(node.number)).unwrap_or_default();
                    below.extend(grouping.sorted(others, &children));
                    stack.extend(pending(below, level + 1));
                    continue;
                }
                Node::Child(node, index) => {
                    let mut text = String::new();
                    let run = runs.get(&(node.number, index)).copied();
                    if let Some(child) = node.children().get(index) {
                        write_child(&mut text, child, run)?;
                    }
                    prefix.write(f, &text)?;
                    children.remove(&Above::Child(node.number, index)).unwrap_or_default()
                }
                Node::Leaves(group) => {
                    prefix.write(f, &self.text(&group))?;
                    continue;
                }
                Node::Ended(count, spawned) => {
                    prefix.write(f, &Count(count as u64, "ended task", "ended tasks").to_string())?;
                    Below { tasks: spawned, nodes: Vec::new() }
                }
            };
            stack.extend(pending(grouping.sorted(below, &children), level + 1));
        }
        Ok(())
    }
}

impl<'a> Tree<'a> {
    /// What is below each of the tasks and nodes.
    fn children(&self) -> Children<'a> {
        let mut children = Children::new();
        let by_number: HashMap<u32, &InnerNode> = self.nodes.iter().map(|node| (node.number, node)).collect();
        let below_node = |number: u32| {
            let node = by_number.get(&number)?;
            Some(match (node.around, node.child()) {
                (Some(supervisor), Some(index)) => Above::Child(supervisor, index),
                (_, None) | (None, Some(_)) => Above::Node(number),
            })
        };
        for task in self.tasks.iter() {
            let of_group = task.group().and_then(|membership| below_node(membership.node));
            let above = of_group.unwrap_or_else(|| task.parent().map_or(Above::Nothing, Above::Task));
            children.entry(above).or_default().tasks.push(task.trace());
        }
        for node in self.nodes.iter().filter(|node| !(node.around.is_some() && node.child().is_some())) {
            let above = match node.created_by.filter(|_| node.has_owner) {
                Some(owner) => Above::Task(owner),
                // A group whose owner has ended stays in the group that the owner belonged to.
                None => node.around.and_then(below_node).unwrap_or(Above::Nothing),
            };
            children.entry(above).or_default().nodes.push(node);
        }
        children
    }

    /// Removes the parents that are not in the dump; returns the tasks that each has spawned.
    fn take_ended(&self, children: &mut Children<'a>) -> Vec<Vec<&'a Trace>> {
        let is_ended = |above: &&Above| match above {
            Above::Task(id) => self.tasks.get(*id).is_none(),
            Above::Nothing | Above::Node(_) | Above::Child(..) => false,
        };
        let mut ended: Vec<_> = children.keys().filter(is_ended).copied().collect();
        ended.sort_unstable();
        ended.iter().filter_map(|id| children.remove(id)).map(|below| below.tasks).collect()
    }

    fn text(&self, group: &Group<'_>) -> String {
        GroupText { group, tasks: Some(self.tasks), shows_parent: false }.to_string()
    }
}

fn pending<'a>(nodes: Vec<Node<'a>>, level: usize) -> impl Iterator<Item = Pending<'a>> {
    nodes.into_iter().rev().enumerate().map(move |(index, node)| Pending { node, level, is_last: index == 0 })
}

/// How equal tasks are written.
struct Grouping {
    /// For a tree that counts them.
    holders: Option<Holders>,
}

impl Grouping {
    /// Returns the nodes with the same parent: first the tasks without children, equal ones together, then the other tasks, and then
    /// the task groups and supervisors.
    fn sorted<'a>(&self, below: Below<'a>, children: &Children<'a>) -> Vec<Node<'a>> {
        let has_children = |task: &&Trace| children.contains_key(&Above::Task(task.info.id));
        let (parents, leaves): (Vec<_>, Vec<_>) = below.tasks.into_iter().partition(has_children);
        let leaves = match &self.holders {
            Some(holders) => group(leaves.into_iter(), holders),
            None => leaves.into_iter().map(Group::of).collect(),
        };
        let leaves = leaves.into_iter().map(Node::Leaves);
        let nodes = below.nodes.into_iter().map(Node::Inner);
        leaves.chain(parents.into_iter().map(Node::Parent)).chain(nodes).collect()
    }
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
