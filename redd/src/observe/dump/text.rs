//! Tasks as lines: one for a group with at most one wait, and one more for each wait otherwise.
//!
//! Called by `snapshot`. Strings of the program are written through `Printable`.

use std::collections::HashSet;
use std::fmt::{self, Write};
use std::time::Duration;

use super::groups::{Group, Holders, WaitLine, group};
use super::join::Contents;
use super::task::{Task, Tasks, Trace};
use super::wait::{Taken, Wait, What};
use crate::observe::report::{Count, Grouped, Printable, ShortLocation};
use crate::observe::task_info::TaskInfo;
use crate::observe::unjoined::Unjoined;
use crate::task::Id;

/// How many different things a line lists. Not measured: more do not fit in a line.
const LISTED_MAX: usize = 3;

/// Writes all of a dump: the tasks in groups, or with `{:#}` each for itself.
pub(super) fn write(f: &mut fmt::Formatter<'_>, contents: &Contents) -> fmt::Result {
    let Contents { tasks, roots, outside, unjoined, diagnoses, grants: _, left_out } = contents;
    diagnoses.iter().try_for_each(|diagnosis| writeln!(f, "{diagnosis}"))?;
    let traces = tasks.iter().map(Task::trace);
    let groups = if f.alternate() { traces.map(Group::of).collect() } else { group(traces, &Holders::of(tasks)) };
    for group in &groups {
        writeln!(f, "{}", GroupText { group, tasks: Some(tasks), shows_parent: true })?;
    }
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
            tasks => write_tasks_of_group(f, tasks)?,
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
        f.write_char(')')
    }
}

/// Writes what several tasks have in common, the oldest of them first.
fn write_tasks_of_group(f: &mut fmt::Formatter<'_>, tasks: &[&Trace]) -> fmt::Result {
    let oldest = &tasks[0].info;
    let noun = if oldest.is_blocking { "closures" } else { "tasks" };
    write!(f, "{} {noun}", Grouped(tasks.len() as u64))?;
    if let Some(name) = &oldest.name {
        let has_others = tasks.iter().any(|task| task.info.name.as_ref() != Some(name));
        write!(f, " `{}`{}", Printable(name), if has_others { " and others" } else { "" })?;
    }
    write!(f, " (spawned {}, oldest {}", SpawnedAt(oldest), Age(oldest.age))?;
    f.write_str(match oldest {
        TaskInfo { is_running: true, .. } => ", running)",
        TaskInfo { is_queued: true, .. } => ", queued)",
        _ => ")",
    })
}

/// Writes the waits of one line, which `tasks_waiting` tasks have.
pub(super) fn write_wait(
    f: &mut fmt::Formatter<'_>,
    line: &WaitLine<'_>,
    tasks_waiting: usize,
    tasks: Option<&Tasks>,
) -> fmt::Result {
    write!(f, "waits: {:?}", line.kind)?;
    if let Some(location) = line.location {
        write!(f, " at {}", ShortLocation(location))?;
    }
    if line.waits.len() != tasks_waiting {
        write!(f, ", {}", Count(line.waits.len() as u64, "wait", "waits"))?;
    }
    if let Some(since) = line.waits.iter().filter_map(|wait| wait.since).max() {
        write!(f, " for {}{}", if line.waits.len() > 1 { "up to " } else { "" }, Age(since))?;
    }
    let deadlines = line.waits.iter().filter_map(|wait| {
        let What::Deadline(remaining) = wait.what else { return None };
        Some(remaining)
    });
    if let (Some(first), Some(last)) = (deadlines.clone().min(), deadlines.max()) {
        write!(f, "; due in {}", Age(first))?;
        if first != last {
            write!(f, " to {}", Age(last))?;
        }
        return Ok(());
    }
    let mut seen = HashSet::new();
    let mut left_out = 0;
    for what in line.waits.iter().map(|wait| &wait.what) {
        if !seen.insert(subject(what)) {
            continue;
        }
        if seen.len() > LISTED_MAX {
            left_out += 1;
            continue;
        }
        write_what(f, what, tasks)?;
    }
    if left_out > 0 { write!(f, "; and {} more", Grouped(left_out)) } else { Ok(()) }
}

/// Tells one subject from others of the same kind.
fn subject(what: &What) -> (u8, u64) {
    match *what {
        What::Unknown => (0, 0),
        What::Lock { object, .. } => (1, object.into()),
        What::Task(id) => (2, id.number()),
        What::Deadline(_) => (3, 0),
        What::Descriptor { fd, .. } => (4, fd as u64),
        What::Channel { object, .. } => (5, object.into()),
        What::Process(id) => (6, id.into()),
        What::Signal(number) => (7, number as u64),
    }
}

fn write_what(f: &mut fmt::Formatter<'_>, what: &What, tasks: Option<&Tasks>) -> fmt::Result {
    match what {
        What::Unknown => Ok(()),
        What::Lock { object, taken, out, waiting } => {
            write!(f, "; #{object}")?;
            if let Some(taken) = taken {
                write_taken(f, taken, tasks)?;
            }
            if let Some(out) = out.filter(|_| !taken.is_some_and(|taken| taken.is_only)) {
                write!(f, ", {}", Count(out as u64, "permit is out", "permits are out"))?;
            }
            write!(f, ", {} waiting", Grouped(*waiting as u64))
        }
        What::Task(id) => {
            f.write_str("; joins ")?;
            write_named(f, *id, tasks)
        }
        What::Deadline(remaining) => write!(f, "; due in {}", Age(*remaining)),
        What::Descriptor { fd, about } => {
            write!(f, "; descriptor {fd}")?;
            if about.is_empty() { Ok(()) } else { write!(f, ", {}", Printable(about)) }
        }
        What::Channel { object, senders, receivers, length } => {
            write!(
                f,
                "; #{object}, {}, {}, {}",
                Count(*senders as u64, "sender", "senders"),
                Count(*receivers as u64, "receiver", "receivers"),
                Count(*length as u64, "message", "messages")
            )
        }
        What::Process(id) => write!(f, "; process {id}"),
        What::Signal(number) => write!(f, "; signal {number}"),
    }
}

pub(super) fn write_taken(f: &mut fmt::Formatter<'_>, taken: &Taken, tasks: Option<&Tasks>) -> fmt::Result {
    f.write_str(if taken.is_only { " taken" } else { " last taken" })?;
    match taken.by {
        Some(id) => {
            f.write_str(" by ")?;
            write_named(f, id, tasks)?;
        }
        None => f.write_str(" outside of tasks")?,
    }
    if let Some(location) = taken.location {
        write!(f, " at {}", ShortLocation(location))?;
    }
    write!(f, " {} ago", Age(taken.ago))
}

/// Writes the id of a task, with its name if it is in the dump.
pub(super) fn write_named(f: &mut fmt::Formatter<'_>, id: Id, tasks: Option<&Tasks>) -> fmt::Result {
    let known = tasks.map(|tasks| tasks.get(id));
    let is_blocking = known.flatten().is_some_and(Task::is_blocking);
    write!(f, "{} {id}", if is_blocking { "closure" } else { "task" })?;
    match known {
        Some(None) => f.write_str(" (not in this dump)"),
        Some(Some(task)) => task.name().map_or(Ok(()), |name| write!(f, " `{}`", Printable(name))),
        None => Ok(()),
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

/// A time as dumps show it: two units at most. The clock of ages has a resolution of milliseconds.
pub(super) struct Age(pub(super) Duration);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ms, seconds) = (self.0.as_millis(), self.0.as_secs());
        let (minutes, hours) = (seconds / 60, seconds / 3600);
        match seconds {
            0 if ms == 0 => f.write_str("less than 1ms"),
            0 => write!(f, "{ms}ms"),
            1..60 => write!(f, "{:.1}s", ms as f64 / 1000.0),
            60..3600 => write!(f, "{minutes}m {}s", seconds % 60),
            3600..86_400 => write!(f, "{hours}h {}m", minutes % 60),
            _ => write!(f, "{}d {}h", hours / 24, hours % 24),
        }
    }
}
