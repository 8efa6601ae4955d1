//! One wait as text, and the names and times in it.
//!
//! Called by `text`, `tree` and `diagnosis`.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use super::groups::WaitLine;
use super::task::{Task, Tasks};
use super::wait::{Taken, What};
use crate::observe::report::{Count, Grouped, Printable, ShortLocation};
use crate::task::Id;

/// How many different things a line lists. Not measured: more do not fit in a line.
const LISTED_MAX: usize = 3;

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
    if left_out > 0 {
        write!(f, "; and {} more", Grouped(left_out))?;
    }
    let queued = line.waits.iter().filter_map(|wait| {
        let What::Group { before, .. } = wait.what else { return None };
        before
    });
    match (queued.clone().min(), queued.max()) {
        (Some(first), Some(last)) if first != last => {
            write!(f, ", {} to {} before them", Grouped(first as u64), Grouped(last as u64))
        }
        (Some(before), _) => write!(f, ", {} before it", Grouped(before as u64)),
        (None, _) => Ok(()),
    }
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
        What::Group { node, .. } => (8, node.into()),
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
        What::Group { node, name, .. } => {
            f.write_str("; group ")?;
            write_number(f, *node, name.as_deref())
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

/// Writes `#1`, with the name of the node if it has one.
pub(super) fn write_number(f: &mut fmt::Formatter<'_>, number: u32, name: Option<&str>) -> fmt::Result {
    write!(f, "#{number}")?;
    name.map_or(Ok(()), |name| write!(f, " `{}`", Printable(name)))
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
