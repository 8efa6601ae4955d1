//! Tasks as lines: one for a group with at most one wait, and one more for each wait otherwise.
//!
//! Called by `snapshot`. Strings of the program are written through `Printable`.

use std::fmt::{self, Write};

use super::groups::{Group, Holders, WaitLine, group};
use super::join::Contents;
use super::node::{Node, runs_of_children};
use super::node_text::{NodeText, equal_nodes, role_text, write_child, write_membership, write_shields};
use super::task::{Task, Tasks, Trace};
use super::wait::Wait;
use super::wait_text::{Age, write_named, write_wait};
use crate::observe::report::{Count, Grouped, Printable, ShortLocation};
use crate::observe::task_info::TaskInfo;
use crate::observe::unjoined::Unjoined;

/// Writes all of a dump: the tasks in groups, or with `{:#}` each for itself.
pub(super) fn write(f: &mut fmt::Formatter<'_>, contents: &Contents) -> fmt::Result {
    let Contents { tasks, nodes, .. } = contents;
    write!(f, "{}", Diagnoses(contents))?;
    let traces = tasks.iter().map(Task::trace);
    let groups = if f.alternate() { traces.map(Group::of).collect() } else { group(traces, &Holders::of(tasks)) };
    for group in &groups {
        writeln!(f, "{}", GroupText { group, tasks: Some(tasks), shows_parent: true })?;
    }
    write_nodes(f, nodes, tasks)?;
    write!(f, "{}", Others(contents))
}

/// What is wrong.
pub(super) struct Diagnoses<'a>(pub(super) &'a Contents);

impl fmt::Display for Diagnoses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.diagnoses.iter().try_for_each(|diagnosis| writeln!(f, "{diagnosis}"))
    }
}

/// What is neither a task nor a task group: futures of `block_on`, waits outside of tasks, and sets that are not joined.
pub(super) struct Others<'a>(pub(super) &'a Contents);

impl fmt::Display for Others<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Contents { tasks, nodes: _, roots, outside, unjoined, diagnoses: _, grants: _, left_out } = self.0;
        for root in roots {
            let group = &Group::of(&root.trace);
            writeln!(f, "{}", GroupText { group, tasks: Some(tasks), shows_parent: false })?;
        }
        write_outside(f, outside, tasks)?;
        unjoined.iter().try_for_each(|unjoined| write_unjoined(f, unjoined))?;
        match left_out {
            0 => Ok(()),
            waits => writeln!(f, "not all was read of {}", Count(*waits as u64, "further wait", "further waits")),
        }
    }
}

/// Writes one task, each of its waits on a line of its own.
pub(super) fn write_task(out: &mut String, task: &Task, tasks: &Tasks) -> fmt::Result {
    writeln!(out, "{}", GroupText { group: &Group::of(task.trace()), tasks: Some(tasks), shows_parent: true })
}

/// Writes the task groups, equal ones together unless each task is written for itself, and the supervisors.
fn write_nodes(f: &mut fmt::Formatter<'_>, nodes: &[Node], tasks: &Tasks) -> fmt::Result {
    let texts = if f.alternate() {
        nodes.iter().map(|node| NodeText { nodes: vec![node], tasks }).collect()
    } else {
        equal_nodes(nodes, tasks)
    };
    let runs = runs_of_children(nodes);
    for text in &texts {
        writeln!(f, "{text}")?;
        let [node] = text.nodes.as_slice() else { continue };
        for (index, child) in node.children().iter().enumerate() {
            f.write_str("    ")?;
            write_child(f, child, runs.get(&(node.number, index)).copied())?;
            f.write_char('\n')?;
        }
    }
    Ok(())
}

/// Writes the waits that no task registered.
fn write_outside(f: &mut fmt::Formatter<'_>, outside: &[Wait], tasks: &Tasks) -> fmt::Result {
    outside.chunk_by(|one, other| (one.kind, one.location) == (other.kind, other.location)).try_for_each(|waits| {
        let line = WaitLine { kind: waits[0].kind, location: waits[0].location, waits: waits.iter().collect() };
        f.write_str("outside of tasks ")?;
        write_wait(f, &line, 1, Some(tasks))?;
        f.write_char('\n')
    })
}

/// Writes the finished tasks of the sets of one line.
fn write_unjoined(f: &mut fmt::Formatter<'_>, unjoined: &Unjoined) -> fmt::Result {
    let Unjoined { created_at, sets, tasks } = unjoined;
    write!(f, "{} not joined, in ", Count(*tasks as u64, "finished task is", "finished tasks are"))?;
    match sets {
        1 => f.write_str("a `JoinSet`")?,
        sets => write!(f, "{} sets of type `JoinSet`", Grouped(*sets as u64))?,
    }
    writeln!(f, " created at {}", ShortLocation(created_at))
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        GroupText { group: &Group::of(self), tasks: None, shows_parent: true }.fmt(f)
    }
}

/// A group as lines, without the end of the last one.
pub(super) struct GroupText<'a> {
    pub(super) group: &'a Group<'a>,
    /// Where the names of other tasks are, if there is a dump.
    pub(super) tasks: Option<&'a Tasks>,
    pub(super) shows_parent: bool,
}

impl fmt::Display for GroupText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Group { tasks, lines } = self.group;
        match tasks.as_slice() {
            [task] => self.write_task(f, &task.info)?,
            tasks => self.write_tasks(f, tasks)?,
        }
        let oldest = &tasks[0].info;
        match lines.as_slice() {
            // Of a future of `block_on` it is not always known that it runs.
            [] if oldest.is_running || oldest.is_queued || oldest.is_root => Ok(()),
            [] => f.write_str(" waits on something outside of redd"),
            [line] => {
                f.write_char(' ')?;
                write_wait(f, line, tasks.len(), self.tasks)
            }
            lines => lines.iter().try_for_each(|line| {
                f.write_str("\n    ")?;
                write_wait(f, line, tasks.len(), self.tasks)
            }),
        }
    }
}

impl GroupText<'_> {
    fn write_task(&self, f: &mut fmt::Formatter<'_>, task: &TaskInfo) -> fmt::Result {
        if task.is_root {
            write!(f, "future of `block_on` (called at {}", ShortLocation(task.location))?;
        } else {
            write!(f, "{} {}", if task.is_blocking { "closure" } else { "task" }, task.id)?;
            if let Some(name) = &task.name {
                write!(f, " `{}`", Printable(name))?;
            }
            write!(f, " (spawned {}", SpawnedAt(task))?;
        }
        if let Some(parent) = task.parent.filter(|_| self.shows_parent) {
            f.write_str(" by ")?;
            write_named(f, parent, self.tasks)?;
        }
        self.write_membership(f)?;
        write!(f, ", {} old", Age(task.age))?;
        match task.since_polled {
            Some(since) if task.is_running => write!(f, ", running for {}", Age(since))?,
            _ if task.is_running => f.write_str(", running")?,
            _ if task.is_queued => f.write_str(", queued")?,
            Some(since) => {
                let polls = Count(task.polls.into(), "poll", "polls");
                write!(f, ", {polls}, the last {} ago", Age(since))?;
            }
            None => {}
        }
        if let Some(thread) = task.thread {
            write!(f, " on thread {thread}")?;
        }
        write_shields(f, self.group.tasks[0])?;
        f.write_char(')')
    }

    /// Writes what several tasks have in common, the oldest of them first.
    fn write_tasks(&self, f: &mut fmt::Formatter<'_>, tasks: &[&Trace]) -> fmt::Result {
        let oldest = &tasks[0].info;
        let noun = if oldest.is_blocking { "closures" } else { "tasks" };
        write!(f, "{} {noun}", Grouped(tasks.len() as u64))?;
        if let Some(name) = &oldest.name {
            let has_others = tasks.iter().any(|task| task.info.name.as_ref() != Some(name));
            write!(f, " `{}`{}", Printable(name), if has_others { " and others" } else { "" })?;
        }
        write!(f, " (spawned {}", SpawnedAt(oldest))?;
        self.write_membership(f)?;
        write!(f, ", oldest {}", Age(oldest.age))?;
        f.write_str(match oldest {
            TaskInfo { is_running: true, .. } => ", running",
            TaskInfo { is_queued: true, .. } => ", queued",
            _ => "",
        })?;
        write_shields(f, tasks[0])?;
        f.write_char(')')
    }

    /// The tree shows the tasks of a group below it.
    fn write_membership(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let oldest = self.group.tasks[0];
        match &oldest.membership {
            Some(_) if self.shows_parent => write_membership(f, oldest),
            Some(membership) => f.write_str(role_text(membership.role)),
            None => Ok(()),
        }
    }
}

/// Where a task was spawned. A closure of a file operation or of a name lookup is spawned by redd, whose lines mean nothing to
/// the program's author.
struct SpawnedAt<'a>(&'a TaskInfo);

impl fmt::Display for SpawnedAt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_internal {
            f.write_str("inside of redd")
        } else {
            write!(f, "at {}", ShortLocation(self.0.location))
        }
    }
}
