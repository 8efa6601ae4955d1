//! What the tasks of a runtime did in the last moment, grouped: for `redd top`.
//!
//! While a client looks, the thread for attach requests reads at short intervals which task each worker polls. A task that is found in a
//! third of these samples had about a third of a CPU, or blocked its worker for that time. While no client looks, nothing is done.
//!
//! Called by `observed`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::Location;
use std::sync::Arc;

use super::collect::describe_tasks;
use crate::attach::json;
use crate::observe::metrics::RuntimeMetrics;
use crate::observe::report::ShortLocation;
use crate::observe::task_info::TaskInfo;
use crate::observe::waiting::WaitKind;
use crate::scheduler::shared::Shared;
use crate::task::Id;

/// Groups and tasks that a reply has at most: more than a screen has lines.
const LINES_MAX: usize = 200;

/// How often each task was found being polled. `None` is the future of `block_on`.
pub(super) type Samples = BTreeMap<Option<Id>, u32>;

/// What tasks have in common that make one line.
#[derive(Debug)]
struct Kind {
    location: &'static Location<'static>,
    name: Option<Arc<str>>,
    state: &'static str,
    wait: Option<WaitKind>,
    at: Option<&'static Location<'static>>,
}

/// Tasks of one kind.
#[derive(Debug)]
struct Group {
    kind: Kind,
    tasks: usize,
    oldest: Id,
    oldest_ms: u128,
    sampled: u32,
}

/// Writes members of a JSON object.
pub(super) fn write(out: &mut String, shared: &Shared, metrics: &RuntimeMetrics, samples: &Samples) {
    write_workers(out, metrics);
    // A write to a string does not fail, here and below.
    let _ = write!(
        out,
        ",\"injector\":{},\"blocking\":{{\"threads\":{},\"idle\":{},\"queued\":{}}},\"late_polls\":{}",
        metrics.global_queue_depth(),
        metrics.num_blocking_threads(),
        metrics.num_idle_blocking_threads(),
        metrics.blocking_queue_depth(),
        metrics.late_polls(),
    );
    let _ = write!(
        out,
        ",\"task_groups\":{{\"alive\":{},\"queued\":{},\"restarts\":{}}}",
        metrics.num_task_groups(),
        metrics.task_group_queue_depth(),
        metrics.supervisor_restart_count(),
    );
    let tasks = describe_tasks(shared);
    let sampled = |task: &TaskInfo| samples.get(&Some(task.id)).copied().unwrap_or_default();
    out.push_str(",\"groups\":");
    let root = samples.get(&None).zip(shared.root()).map(|(sampled, location)| {
        let kind = Kind { location, name: Some("block_on".into()), state: "running", wait: None, at: None };
        Group { kind, tasks: 1, oldest: Id::OUTSIDE, oldest_ms: 0, sampled: *sampled }
    });
    json::write_list(out, root.into_iter().chain(grouped(&tasks, sampled)), |out, group| {
        let Group { kind, tasks, oldest, oldest_ms, sampled } = group;
        kind.write(out);
        out.push_str(",\"oldest\":");
        // The future of `block_on` has no number.
        json::write_number(out, Some(oldest.number()).filter(|number| *number > 0));
        let _ = write!(out, ",\"tasks\":{tasks},\"oldest_ms\":{oldest_ms},\"sampled\":{sampled}}}");
    });
    // Those that were polled most first, then those that may be polled soon, then the oldest.
    let mut each: Vec<_> = tasks.iter().collect();
    each.sort_by_cached_key(|task| Reverse((sampled(task), task.is_running, task.is_queued, task.age)));
    out.push_str(",\"each_task\":");
    json::write_list(out, each.into_iter().take(LINES_MAX), |out, task| {
        Kind::of(task).write(out);
        let (id, age, sampled) = (task.id, task.age.as_millis(), sampled(task));
        let _ = write!(out, ",\"id\":{id},\"age_ms\":{age},\"sampled\":{sampled}}}");
    });
}

/// The groups of the tasks: those that were polled most first, then the largest.
fn grouped(tasks: &[TaskInfo], sampled: impl Fn(&TaskInfo) -> u32) -> impl Iterator<Item = Group> {
    let mut groups = BTreeMap::new();
    for task in tasks {
        let kind = Kind::of(task);
        let key = (kind.location, kind.name.clone(), kind.state, kind.wait.map(|wait| wait as u8), kind.at);
        let group = groups.entry(key).or_insert(Group { kind, tasks: 0, oldest: task.id, oldest_ms: 0, sampled: 0 });
        group.tasks += 1;
        if task.age.as_millis() > group.oldest_ms {
            (group.oldest, group.oldest_ms) = (task.id, task.age.as_millis());
        }
        group.sampled += sampled(task);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| Reverse((group.sampled, group.tasks)));
    groups.into_iter().take(LINES_MAX)
}

impl Kind {
    fn of(task: &TaskInfo) -> Self {
        let state = match task {
            task if task.is_running => "running",
            task if task.is_blocking => "closure",
            task if task.is_queued => "queued",
            _ => "waiting",
        };
        let (wait, at) = match task.waiting.filter(|_| state == "waiting") {
            Some((wait, at)) => (Some(wait), at),
            None => (None, None),
        };
        Self { location: task.location, name: task.name.clone(), state, wait, at }
    }

    /// Leaves the object open.
    fn write(&self, out: &mut String) {
        out.push_str("{\"spawned_at\":");
        json::write_string(out, &ShortLocation(self.location).to_string());
        out.push_str(",\"name\":");
        json::write_optional(out, self.name.as_deref());
        let _ = write!(out, ",\"state\":\"{}\",\"wait\":", self.state);
        json::write_optional(out, self.wait.map(|wait| format!("{wait:?}")).as_deref());
        out.push_str(",\"at\":");
        json::write_optional(out, self.at.map(|at| ShortLocation(at).to_string()).as_deref());
    }
}

fn write_workers(out: &mut String, metrics: &RuntimeMetrics) {
    out.push_str(",\"each_worker\":");
    json::write_list(out, 0..metrics.num_workers(), |out, worker| {
        let _ = write!(
            out,
            "{{\"polls\":{},\"busy_ns\":{},\"parks\":{},\"stolen\":{},\"queued\":{}}}",
            metrics.worker_poll_count(worker),
            metrics.worker_total_busy_duration(worker).as_nanos(),
            metrics.worker_park_count(worker),
            metrics.worker_steal_count(worker),
            metrics.worker_local_queue_depth(worker),
        );
    });
}
