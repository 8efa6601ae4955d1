//! `TaskInfo`: a description of a task for dumps and reports.
//!
//! Called by `runtime` (dumps, shutdown), by `scheduler::rescue` (late polls) and by `hooks` (panics that were not
//! joined).

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::report::{Printable, ShortLocation};
use super::waiter::WaiterInfo;
use super::waiting::WaitKind;
use crate::task::Id;

/// A description of a task for reports. `{:#}` has only the name and the location.
#[derive(Debug)]
pub(crate) struct TaskInfo {
    pub(crate) id: Id,
    pub(crate) location: &'static Location<'static>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) age: Duration,
    /// The task that spawned it. `None` if that was no task.
    pub(crate) parent: Option<Id>,
    /// How often it was polled. It wraps around.
    pub(crate) polls: u32,
    /// The time since its last poll began. `None` if it was never polled.
    pub(crate) since_polled: Option<Duration>,
    /// The wait for its end, if a task awaits its `JoinHandle`. In a box because few tasks have one, and a dump may have many tasks.
    pub(crate) joined: Option<Box<WaiterInfo>>,
    /// What it recorded when its last poll returned `Pending`, and the location in the program.
    pub(crate) waiting: Option<(WaitKind, Option<&'static Location<'static>>)>,
    pub(crate) is_running: bool,
    pub(crate) is_complete: bool,
    pub(crate) is_queued: bool,
    /// A closure of the blocking pool. It is polled once: queued until then, and running from then on.
    pub(crate) is_blocking: bool,
    /// It was spawned by redd itself.
    pub(crate) is_internal: bool,
    /// The future of a `block_on`. It has no id of its own: the waits of all of them are those of task 0. Its polls are not
    /// counted.
    pub(crate) is_root: bool,
    /// Its `JoinHandle` exists.
    pub(crate) has_handle: bool,
    /// The number of its wakers and `AbortHandle`s, if it waits.
    pub(crate) wakers: Option<u64>,
    /// The system's id of the thread that polls it, if it runs and that is known.
    pub(crate) thread: Option<u32>,
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_blocking { "closure" } else { "task" })?;
        if !f.alternate() {
            write!(f, " {}", self.id)?;
        }
        if let Some(name) = &self.name {
            write!(f, " `{}`", Printable(name))?;
        }
        if f.alternate() {
            return write!(f, " (spawned at {})", ShortLocation(self.location));
        }
        write!(f, " (spawned at {}, {} old", ShortLocation(self.location), Age(self.age))?;
        match self.waiting {
            _ if self.is_running => f.write_str(", running")?,
            _ if self.is_blocking && !self.is_complete => f.write_str(", waits for a thread")?,
            _ if self.is_queued => f.write_str(", queued")?,
            Some((kind, Some(location))) => write!(f, ", waits: {kind:?} at {}", ShortLocation(location))?,
            Some((kind, None)) => write!(f, ", waits: {kind:?}")?,
            None => {}
        }
        f.write_str(")")
    }
}

/// An age as reports show it. The clock of ages has a resolution of milliseconds, so a young task has none to show.
struct Age(Duration);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.as_millis() == 0 { f.write_str("less than 1ms") } else { write!(f, "{:.1?}", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::Age;
    use std::time::Duration;

    #[test]
    fn an_age_below_the_resolution_of_the_clock_is_not_shown_as_zero() {
        for (age, text) in [(0, "less than 1ms"), (1, "1.0ms"), (1500, "1.5s")] {
            assert_eq!(Age(Duration::from_millis(age)).to_string(), text);
        }
    }
}
