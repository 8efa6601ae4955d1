//! Task groups and supervisors as lines.
//!
//! Called by `text` and `tree`. Strings of the program are written through `Printable`.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::panic::Location;
use std::sync::Arc;

use super::node::{Child, ChildStage, Node, NodeKind, ShutdownPhase};
use super::task::{Role, Tasks, Trace};
use super::wait_text::{Age, write_named, write_number};
use crate::observe::report::{Count, Grouped, Printable, ShortLocation};

/// Nodes that one line shows, without the end of the line.
pub(super) struct NodeText<'a> {
    /// At least one. Several are groups that are equal to the reader.
    pub(super) nodes: Vec<&'a Node>,
    pub(super) tasks: &'a Tasks,
}

/// Collects groups that were created at the same line and are in the same stage. Supervisors stay alone.
pub(super) fn equal_nodes<'a>(nodes: &'a [Node], tasks: &'a Tasks) -> Vec<NodeText<'a>> {
    let mut texts: Vec<(Key<'a>, NodeText<'a>)> = Vec::new();
    let mut indices = HashMap::new();
    for node in nodes {
        let key = key(node);
        let index = *indices.entry(key).or_insert(texts.len());
        match texts.get_mut(index) {
            Some((_, text)) => text.nodes.push(node),
            None => texts.push((key, NodeText { nodes: vec![node], tasks })),
        }
    }
    texts.into_iter().map(|(_, text)| text).collect()
}

/// What equal groups have in common. A supervisor has its number.
type Key<'a> = (&'static Location<'static>, Option<&'a str>, [bool; 4], Option<u32>);

fn key(node: &Node) -> Key<'_> {
    let (stage, alone) = match &node.kind {
        NodeKind::Group { is_closing, is_left, cancelled, clean_up, .. } => {
            ([*is_closing, *is_left, cancelled.is_some(), clean_up.is_some()], None)
        }
        NodeKind::Supervisor { .. } => ([false; 4], Some(node.number)),
    };
    (node.created_at, node.name(), stage, alone)
}

impl fmt::Display for NodeText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nodes.as_slice() {
            [node] => write_node(f, node, self.tasks),
            nodes => write_equal(f, nodes),
        }
    }
}

fn write_node(f: &mut fmt::Formatter<'_>, node: &Node, tasks: &Tasks) -> fmt::Result {
    let (noun, how) = match &node.kind {
        NodeKind::Group { is_left: true, .. } => ("group", "left by a dropped group at"),
        NodeKind::Group { .. } => ("group", "created at"),
        NodeKind::Supervisor { .. } => ("supervisor", "run at"),
    };
    write!(f, "{noun} ")?;
    write_number(f, node.number, node.name())?;
    write!(f, " ({how} {}", ShortLocation(node.created_at))?;
    match node.created_by {
        Some(owner) if node.has_owner => {
            f.write_str(" by ")?;
            write_named(f, owner, Some(tasks))?;
        }
        Some(owner) => write!(f, " by task {owner}, owner gone")?,
        None => {}
    }
    write!(f, ", {} old): ", Age(node.age))?;
    match &node.kind {
        kind @ NodeKind::Group { .. } => write_group(f, kind),
        NodeKind::Supervisor { strategy, children } => {
            let restarts: u64 = children.iter().map(|child| child.restarts).sum();
            let children = Count(children.len() as u64, "child", "children");
            write!(f, "{strategy}, {children}, {}", Count(restarts, "restart", "restarts"))
        }
    }
}

fn write_group(f: &mut fmt::Formatter<'_>, kind: &NodeKind) -> fmt::Result {
    let NodeKind::Group { limit, running, queued, ended, deadline_left, .. } = kind else { return Ok(()) };
    write!(f, "{} running", Grouped(*running as u64))?;
    if let Some(limit) = limit {
        write!(f, " of at most {}, {} queued", Grouped(*limit as u64), Grouped(*queued as u64))?;
    }
    if *ended > 0 {
        write!(f, ", {} not taken", Count(*ended as u64, "result is", "results are"))?;
    }
    let NodeKind::Group { is_closing, is_left, cancelled, clean_up, clean_ups_left, in_phase, .. } = kind else {
        return Ok(());
    };
    if let Some(cancelled) = cancelled {
        write!(f, "; cancelled {} ago: {}", Age(cancelled.ago), Printable(&cancelled.reason))?;
    } else if let Some(left) = deadline_left {
        write!(f, ", {} left", Age(*left))?;
    }
    if let Some(phase) = in_phase {
        write!(f, "; in phase `{}`, which {}", Printable(&phase.name), phase_text(phase))?;
    }
    match clean_up {
        Some(clean_up) => {
            write!(
                f,
                "; cleans up, deferred at {}, which may take {}",
                ShortLocation(clean_up.deferred_at),
                Age(clean_up.within)
            )?;
            if *clean_ups_left > 0 { write!(f, ", and {} more", Grouped(*clean_ups_left as u64)) } else { Ok(()) }
        }
        None if *is_closing && !is_left => f.write_str("; closing"),
        None => Ok(()),
    }
}

fn phase_text(phase: &ShutdownPhase) -> &'static str {
    match (phase.is_over, phase.has_begun) {
        (true, _) => "is over",
        (false, true) => "has begun",
        (false, false) => "has not begun",
    }
}

fn write_equal(f: &mut fmt::Formatter<'_>, nodes: &[&Node]) -> fmt::Result {
    let oldest = nodes.iter().max_by_key(|node| node.age).unwrap_or(&nodes[0]);
    write!(f, "{} groups", Grouped(nodes.len() as u64))?;
    if let Some(name) = oldest.name() {
        write!(f, " `{}`", Printable(name))?;
    }
    let (mut sums, mut stage) = ([0; 3], "");
    for node in nodes {
        if let NodeKind::Group { running, queued, ended, is_left, cancelled, clean_up, is_closing, .. } = &node.kind {
            [*running, *queued, *ended].iter().zip(&mut sums).for_each(|(count, sum)| *sum += count);
            stage = match (clean_up, cancelled, is_closing) {
                (Some(_), ..) => "; they clean up",
                (None, Some(_), _) => "; cancelled",
                (None, None, true) if !is_left => "; closing",
                _ => "",
            };
        }
    }
    let how = if matches!(oldest.kind, NodeKind::Group { is_left: true, .. }) {
        "left by dropped groups at"
    } else {
        "created at"
    };
    write!(f, " ({how} {}, oldest {}): ", ShortLocation(oldest.created_at), Age(oldest.age))?;
    let [running, queued, ended] = sums.map(|sum| sum as u64);
    let ended = Count(ended, "result", "results");
    write!(f, "{} running, {} queued, {ended} not taken{stage}", Grouped(running), Grouped(queued))
}

/// Writes ` in group #1`, for a task of one.
pub(super) fn write_membership(f: &mut fmt::Formatter<'_>, trace: &Trace) -> fmt::Result {
    let Some(membership) = &trace.membership else { return Ok(()) };
    f.write_str(" in group ")?;
    // Its tasks have the name of the group.
    let name: Option<&Arc<str>> = membership.name.as_ref().filter(|name| trace.info.name.as_ref() != Some(name));
    write_number(f, membership.node, name.map(|name| &**name))?;
    f.write_str(role_text(membership.role))
}

/// What a task is to its group, if it is not one of its tasks.
pub(super) fn role_text(role: Role) -> &'static str {
    match role {
        Role::Task | Role::Queued { .. } => "",
        Role::Watcher => " as its watcher",
        Role::CleanUp => " as its clean-up",
    }
}

/// Writes the shields that a task is in.
pub(super) fn write_shields(f: &mut fmt::Formatter<'_>, trace: &Trace) -> fmt::Result {
    trace.shields.iter().try_for_each(|shield| {
        write!(f, ", in a shield made at {}", ShortLocation(shield.made_at))?;
        shield.remaining.map_or(Ok(()), |left| write!(f, " with {} left", Age(left)))
    })
}

/// Writes a child of a supervisor.
pub(super) fn write_child(f: &mut impl Write, child: &Child, run: Option<&Node>) -> fmt::Result {
    write!(f, "child `{}`: ", Printable(&child.name))?;
    match child.stage {
        ChildStage::Running => {
            f.write_str("running")?;
            if let Some(NodeKind::Group { cancelled: Some(cancelled), .. }) = run.map(Node::kind) {
                write!(f, ", cancelled {} ago: {}", Age(cancelled.ago), Printable(&cancelled.reason))?;
            }
        }
        ChildStage::Waiting { remaining } => write!(f, "starts again in {}", Age(remaining))?,
        ChildStage::Done => f.write_str("done")?,
    }
    write!(f, ", {}", Count(child.restarts, "restart", "restarts"))?;
    if let Some((failure, ago)) = &child.last_failure {
        write!(f, ", failed {} ago: {}", Age(*ago), Printable(failure))?;
    }
    Ok(())
}
