//! Joins the live tasks and the waiters into tasks with their waits.
//!
//! Called by `snapshot`.
//!
//! # Invariants
//! - `one-line-a-wait`: the note of a task's last poll and the waiter that the same future registered become one wait.

use std::collections::HashMap;

use super::task::{Task, Tasks, Trace};
use super::wait::{Taken, Wait, What};
use crate::observe::WaitKind;
use crate::observe::coarse::age_at;
use crate::observe::waiter::{Subject, WaiterInfo};
use crate::task::Id;
use crate::task::info::TaskInfo;

/// Returns the tasks with their waits, and the waits that no task registered. Waiters of tasks that are not in `infos` are left
/// out: those belong to other runtimes. `now_ms` is the coarse clock of the process.
pub(super) fn join(infos: Vec<TaskInfo>, waiters: Vec<WaiterInfo>, now_ms: u32) -> (Tasks, Vec<Wait>) {
    let live = infos.into_iter().filter(|info| !info.is_complete && !info.is_root);
    let mut tasks: Vec<_> = live.map(|info| Task { trace: Trace { info, waits: Vec::new() } }).collect();
    tasks.sort_unstable_by_key(Task::id);
    let mut outside = Vec::new();
    let mut convert = Convert { now_ms, objects: HashMap::new() };
    for waiter in waiters {
        let id = task_id(waiter.task);
        let index = id.and_then(|id| tasks.binary_search_by_key(&id, Task::id).ok());
        match (id, index) {
            (None, _) => outside.push(convert.wait(waiter)),
            (Some(_), Some(index)) => tasks[index].trace.waits.push(convert.wait(waiter)),
            (Some(_), None) => {}
        }
    }
    tasks.iter_mut().for_each(|task| add_note(&mut task.trace));
    outside.sort_by(in_order);
    (Tasks { tasks }, outside)
}

fn task_id(number: u64) -> Option<Id> {
    (number != 0).then(|| Id::from_number(number))
}

fn in_order(one: &Wait, other: &Wait) -> std::cmp::Ordering {
    let key = |wait: &Wait| (wait.location, wait.kind as u8, std::cmp::Reverse(wait.since));
    key(one).cmp(&key(other))
}

/// Adds what the last poll recorded, if no waiter has it (`one-line-a-wait`), and sorts the waits.
fn add_note(trace: &mut Trace) {
    let is_idle = !trace.info.is_running && !trace.info.is_queued;
    if let Some((kind, location)) = trace.info.waiting.filter(|_| is_idle) {
        let mut same = trace.waits.iter_mut().filter(|wait| wait.kind == kind);
        match same.find(|wait| wait.location.is_none() || location.is_none() || wait.location == location) {
            // A waiter of a poll function does not know its line.
            Some(wait) => wait.location = wait.location.or(location),
            None => trace.waits.push(Wait { kind, location, since: None, what: What::Unknown }),
        }
    }
    trace.waits.sort_by(in_order);
}

/// Turns waiters into waits, and addresses of objects into numbers.
struct Convert {
    now_ms: u32,
    objects: HashMap<usize, u32>,
}

impl Convert {
    fn wait(&mut self, waiter: WaiterInfo) -> Wait {
        let WaiterInfo { kind, location, since_ms, subject, .. } = waiter;
        Wait { kind, location, since: Some(age_at(self.now_ms, since_ms)), what: self.what(kind, subject) }
    }

    fn what(&mut self, kind: WaitKind, subject: Subject) -> What {
        match subject {
            Subject::Unknown => What::Unknown,
            Subject::Permits { object, taken, out, waiting } => {
                let is_only = is_exclusive(kind, out);
                let taken = taken.map(|taken| Taken {
                    by: task_id(taken.task),
                    location: taken.location,
                    ago: age_at(self.now_ms, taken.at_ms),
                    is_only,
                });
                What::Lock { object: self.object(object), taken, out, waiting }
            }
            Subject::Task(id) => task_id(id).map_or(What::Unknown, What::Task),
            Subject::Deadline { remaining } => What::Deadline(remaining),
            Subject::Descriptor { fd } => What::Descriptor { fd, local: String::new(), peer: String::new() },
            Subject::Channel { object, senders, receivers, length } => {
                What::Channel { object: self.object(object), senders, receivers, length }
            }
            Subject::Process(id) => What::Process(id),
            Subject::Signal(number) => What::Signal(number),
        }
    }

    /// An address would tell a reader of the dump where the program's memory is.
    fn object(&mut self, address: usize) -> u32 {
        let next = self.objects.len() as u32 + 1;
        *self.objects.entry(address).or_insert(next)
    }
}

/// Whether one acquisition has all permits that are out.
fn is_exclusive(kind: WaitKind, out: Option<usize>) -> bool {
    match kind {
        WaitKind::Mutex => true,
        // A write lock takes all permits. So many readers do not fit into memory.
        WaitKind::RwLock => out.is_some_and(|out| out > 1 << 24),
        _ => false,
    }
}
