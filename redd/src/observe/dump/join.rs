//! Joins the live tasks and the waiters into tasks with their waits.
//!
//! Called by `snapshot`.
//!
//! # Invariants
//! - `one-line-a-wait`: the note of a task's last poll and the waiter that the same future registered become one wait. The note
//!   alone is a wait only where there need not be a waiter: the future that recorded it may have been given up in the same poll.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::diagnosis::Diagnosis;
use super::node::{Cancelled, Child, ChildStage, CleanUp, Node, NodeKind, ShutdownPhase};
use super::task::{InShield, Membership, Role, Root, Task, Tasks, Trace};
use super::wait::{Taken, Wait, What};
use crate::observe::WaitKind;
use crate::observe::coarse::age_at;
use crate::observe::nodes::{
    ChildInfo, ChildState, CleanUpInfo, GroupInfo, Member, MemberRole, NodeContent, NodeInfo, PhaseInfo, SupervisorInfo,
};
use crate::observe::task_info::TaskInfo;
use crate::observe::unjoined::Unjoined;
use crate::observe::waiter::{Granted, Subject, WaiterInfo};
use crate::task::Id;

type At = Option<&'static Location<'static>>;

/// What is in a dump.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) tasks: Tasks,
    /// The oldest first.
    pub(super) nodes: Vec<Node>,
    pub(super) roots: Vec<Root>,
    /// The other waits that no task registered.
    pub(super) outside: Vec<Wait>,
    pub(super) unjoined: Vec<Unjoined>,
    pub(super) diagnoses: Vec<Diagnosis>,
    /// What was granted and not noticed. Not shown but in a diagnosis.
    pub(super) grants: Vec<Grant>,
    /// The number of waiters of the process that were not read.
    pub(super) left_out: usize,
}

/// A grant that its future has not noticed.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) object: u32,
    pub(super) task: Option<Id>,
    pub(super) ago: Duration,
    pub(super) is_woken_directly: bool,
    pub(super) waiting: usize,
    pub(super) released_by: Option<Id>,
    /// The wait that it ended.
    pub(super) kind: WaitKind,
    pub(super) location: Option<&'static Location<'static>>,
}

/// Waiters of tasks that are not in `infos` are left out: those belong to other runtimes. `now_ms` is the coarse clock of the
/// process.
pub(super) fn join(
    infos: Vec<TaskInfo>,
    waiters: Vec<WaiterInfo>,
    nodes: Vec<NodeInfo>,
    left_out: usize,
    now_ms: u32,
) -> Contents {
    let (mut tasks, mut roots) = (Vec::with_capacity(infos.len()), Vec::new());
    for info in infos.into_iter().filter(|info| !info.is_complete) {
        let trace = Trace { info, waits: Vec::new(), membership: None, shields: Vec::new() };
        if trace.info.is_root { roots.push(Root { trace }) } else { tasks.push(Task { trace }) }
    }
    // Mostly they are in the order in which they were spawned.
    if !tasks.is_sorted_by_key(Task::id) {
        tasks.sort_unstable_by_key(Task::id);
    }
    // Apart from the tasks, so that a search stays in the cache.
    let ids: Vec<Id> = tasks.iter().map(Task::id).collect();
    let (mut outside, mut grants) = (Vec::new(), Vec::new());
    let mut convert = Convert { now_ms, objects: HashMap::new(), groups: HashMap::new() };
    let nodes = convert.nodes(nodes, &mut tasks, &ids);
    for waiter in waiters {
        if let Subject::Granted(granted) = waiter.subject {
            grants.push(convert.grant(granted));
            continue;
        }
        let id = task_id(waiter.task);
        let index = id.and_then(|id| ids.binary_search(&id).ok());
        match (id, index) {
            (None, _) => outside.push(convert.wait(waiter)),
            (Some(_), Some(index)) if waiter.kind == WaitKind::Shield => {
                tasks[index].trace.shields.extend(in_shield(&waiter));
            }
            (Some(_), Some(index)) => {
                let mut wait = convert.wait(waiter);
                if let What::Task(joined) = wait.what {
                    let joined = ids.binary_search(&joined);
                    wait.joined_at = joined.ok().map(|index| tasks[index].spawned_at());
                }
                let waits = &mut tasks[index].trace.waits;
                // Most tasks have one. A vector would make room for four.
                waits.reserve_exact(usize::from(waits.is_empty()));
                waits.push(wait);
            }
            (Some(_), None) => {}
        }
    }
    tasks.iter_mut().for_each(|task| add_note(&mut task.trace, left_out > 0));
    for root in &mut roots {
        let noted = root.trace.info.waiting;
        let waiter = outside.iter().position(|wait| noted == Some((wait.kind, wait.location)));
        root.trace.waits.extend(waiter.map(|index| outside.remove(index)));
        add_note(&mut root.trace, left_out > 0);
    }
    outside.sort_by(in_order);
    let tasks = Tasks { tasks };
    let (unjoined, diagnoses) = (Vec::new(), Vec::new());
    Contents { tasks, nodes, roots, outside, unjoined, diagnoses, grants, left_out }
}

fn in_shield(waiter: &WaiterInfo) -> Option<InShield> {
    let remaining = match waiter.subject {
        Subject::Deadline { remaining } => Some(remaining),
        Subject::Unknown
        | Subject::Permits { .. }
        | Subject::Task(_)
        | Subject::Descriptor { .. }
        | Subject::Channel { .. }
        | Subject::Process(_)
        | Subject::Signal(_)
        | Subject::Granted(_) => None,
    };
    Some(InShield { made_at: waiter.location?, remaining })
}

fn task_id(number: u64) -> Option<Id> {
    (number != 0).then(|| Id::from_number(number))
}

fn in_order(one: &Wait, other: &Wait) -> std::cmp::Ordering {
    let key = |wait: &Wait| (wait.location, wait.kind as u8, std::cmp::Reverse(wait.since));
    key(one).cmp(&key(other))
}

/// Joins what the last poll recorded with the waits (`one-line-a-wait`), and sorts them.
fn add_note(trace: &mut Trace, is_any_left_out: bool) {
    let is_idle = !trace.info.is_running && !trace.info.is_queued;
    if let Some((kind, location)) = trace.info.waiting.filter(|_| is_idle) {
        let same: Vec<_> = trace.waits.iter_mut().filter(|wait| wait.kind == kind).collect();
        let is_found = if kind == WaitKind::Join { locate_join(same, location) } else { locate(same, location) };
        if !is_found && (is_any_left_out || has_leaves_without_waiter(kind)) {
            let what = What::Unknown;
            trace.waits.reserve_exact(usize::from(trace.waits.is_empty()));
            trace.waits.push(Wait { kind, location, since: None, is_direct: false, joined_at: None, what });
        }
    }
    trace.waits.sort_by(in_order);
}

/// Gives the line of the note to its wait. Returns false if there is none of its kind.
fn locate(mut same: Vec<&mut Wait>, noted: At) -> bool {
    let is_found = !same.is_empty();
    let is_only = same.len() == 1;
    if is_only || same.iter().all(|wait| wait.location != noted) {
        // A waiter of a poll function, or inside of redd, knows no line of the program. That of an interval has the line that
        // made the interval.
        if let Some(wait) = same.iter_mut().find(|wait| is_only || wait.location.is_none()) {
            wait.location = noted.or(wait.location);
        }
    }
    is_found
}

/// As [`locate`], for joins. A `JoinHandle` notes the line that spawned the task, and its waiter has the line of the `await`. A
/// `JoinSet` notes the line of the `await`, and its waiter has the line that spawned one of the tasks.
fn locate_join(mut same: Vec<&mut Wait>, noted: At) -> bool {
    if same.iter().any(|wait| wait.location == noted || (noted.is_some() && wait.joined_at == noted)) {
        return true;
    }
    let found = same.iter_mut().find(|wait| wait.location.is_none() || wait.location == wait.joined_at);
    found.map(|wait| wait.location = noted.or(wait.location)).is_some()
}

/// Whether there are futures of redd that wait for this kind of thing and have no waiter that a dump finds: the ends of an
/// in-memory stream, operations on files, and `LocalSet`s. Nor has a task that waits for its place in a group.
fn has_leaves_without_waiter(kind: WaitKind) -> bool {
    matches!(kind, WaitKind::Readable | WaitKind::Writable | WaitKind::Join | WaitKind::GroupPlace)
}

/// Turns waiters into waits, and addresses of objects into numbers.
struct Convert {
    now_ms: u32,
    objects: HashMap<usize, u32>,
    /// The groups by the lists in which their owners wait.
    groups: HashMap<usize, (u32, Option<Arc<str>>)>,
}

impl Convert {
    fn wait(&mut self, waiter: WaiterInfo) -> Wait {
        let WaiterInfo { kind, location, since_ms, is_direct, subject, .. } = waiter;
        let (since, what) = (Some(age_at(self.now_ms, since_ms)), self.what(kind, subject));
        Wait { kind, location, since, is_direct, joined_at: None, what }
    }

    fn what(&mut self, kind: WaitKind, subject: Subject) -> What {
        match subject {
            Subject::Unknown => What::Unknown,
            Subject::Permits { object, .. } if is_for_group(kind) => match self.groups.get(&object) {
                Some((node, name)) => What::Group { node: *node, name: name.clone(), before: None },
                None => What::Unknown,
            },
            Subject::Permits { object, taken, out, waiting } => {
                let is_only = is_exclusive(kind, out);
                let taken = taken.map(|taken| Taken {
                    by: task_id(taken.task),
                    location: taken.location,
                    ago: age_at(self.now_ms, taken.at_ms),
                    is_only,
                    is_owned: taken.is_owned,
                });
                What::Lock { object: self.object(object), taken, out, waiting }
            }
            Subject::Task(id) => task_id(id).map_or(What::Unknown, What::Task),
            Subject::Deadline { remaining } => What::Deadline(remaining),
            Subject::Descriptor { fd, about } => {
                What::Descriptor { fd, about: about.map_or_else(String::new, String::from) }
            }
            Subject::Channel { object, senders, receivers, length } => {
                What::Channel { object: self.object(object), senders, receivers, length }
            }
            Subject::Process(id) => What::Process(id),
            Subject::Signal(number) => What::Signal(number),
            Subject::Granted(_) => What::Unknown,
        }
    }

    /// Numbers the nodes, and tells the tasks which group they belong to.
    fn nodes(&mut self, mut infos: Vec<NodeInfo>, tasks: &mut [Task], ids: &[Id]) -> Vec<Node> {
        infos.sort_by_cached_key(|info| (Reverse(age_at(self.now_ms, info.created_ms)), info.creator, info.created_at));
        let numbers: Vec<_> = infos.iter().map(|info| self.object(info.address)).collect();
        let addresses: HashMap<usize, u32> =
            infos.iter().map(|info| info.address).zip(numbers.iter().copied()).collect();
        let index_of = |id: Id| ids.binary_search(&id).ok();
        let mut nodes = Vec::with_capacity(infos.len());
        for (info, number) in infos.into_iter().zip(numbers) {
            let created_by = task_id(info.creator);
            let (has_other_cancel, kind) = match info.content {
                NodeContent::Group(group) => {
                    if group.waits_in != 0 {
                        self.groups.insert(group.waits_in, (number, info.name.clone()));
                    }
                    for Member { task, role } in &group.members {
                        let Some(index) = task_id(*task).and_then(index_of) else { continue };
                        let role = role_of(*role);
                        join_group(&mut tasks[index].trace, Membership { node: number, name: info.name.clone(), role });
                    }
                    (group.has_other_cancel, self.group(*group))
                }
                NodeContent::Supervisor(SupervisorInfo { strategy, children }) => {
                    let children = children.into_iter().map(|child| self.child(child)).collect();
                    (false, NodeKind::Supervisor { strategy, children })
                }
            };
            nodes.push(Node {
                number,
                around: addresses.get(&info.around).copied(),
                created_by,
                has_owner: created_by.and_then(index_of).is_some(),
                created_at: info.created_at,
                age: age_at(self.now_ms, info.created_ms),
                name: info.name,
                has_other_cancel,
                kind,
            });
        }
        nodes
    }

    fn group(&self, group: GroupInfo) -> NodeKind {
        let GroupInfo { child, limit, ended, deadline_left, is_closing, is_left, clean_ups_left, members, .. } = group;
        let count =
            |is_counted: fn(&MemberRole) -> bool| members.iter().filter(|member| is_counted(&member.role)).count();
        let cleans_up = members.iter().find(|member| member.role == MemberRole::CleanUp);
        NodeKind::Group {
            child,
            limit,
            running: count(|role| *role == MemberRole::Task),
            queued: count(|role| matches!(role, MemberRole::Queued { .. })),
            ended,
            deadline_left,
            is_closing,
            is_left,
            cancelled: group.cancelled.map(|(reason, at_ms)| Cancelled { reason, ago: age_at(self.now_ms, at_ms) }),
            clean_up: group.clean_up.map(|CleanUpInfo { location, within }| CleanUp {
                task: cleans_up.and_then(|member| task_id(member.task)),
                deferred_at: location,
                within,
            }),
            clean_ups_left,
            in_phase: group.in_phase.map(|PhaseInfo { name, has_begun, is_over }| ShutdownPhase {
                name,
                has_begun,
                is_over,
            }),
        }
    }

    fn child(&self, child: ChildInfo) -> Child {
        let ChildInfo { name, state, restarts, last_failure } = child;
        let stage = match state {
            ChildState::Running => ChildStage::Running,
            ChildState::Waiting(remaining) => ChildStage::Waiting { remaining },
            ChildState::Done => ChildStage::Done,
        };
        let last_failure = last_failure.map(|(text, at_ms)| (text, age_at(self.now_ms, at_ms)));
        Child { name, stage, restarts, last_failure }
    }

    fn grant(&mut self, granted: Granted) -> Grant {
        let Granted { object, task, kind, location, at_ms, by, is_woken_directly, waiting } = granted;
        Grant {
            object: self.object(object),
            task: task_id(task),
            ago: age_at(self.now_ms, at_ms),
            is_woken_directly,
            waiting,
            released_by: task_id(by),
            kind,
            location,
        }
    }

    /// An address would tell a reader of the dump where the program's memory is.
    fn object(&mut self, address: usize) -> u32 {
        let next = self.objects.len() as u32 + 1;
        *self.objects.entry(address).or_insert(next)
    }
}

fn role_of(role: MemberRole) -> Role {
    match role {
        MemberRole::Task => Role::Task,
        MemberRole::Queued { before } => Role::Queued { before },
        MemberRole::Watcher => Role::Watcher,
        MemberRole::CleanUp => Role::CleanUp,
    }
}

/// A task without a place waits for one, and has no waiter.
fn join_group(trace: &mut Trace, membership: Membership) {
    match membership.role {
        Role::Queued { before } if !trace.info.is_running => {
            let what = What::Group { node: membership.node, name: membership.name.clone(), before: Some(before) };
            let kind = WaitKind::GroupPlace;
            trace.waits = vec![Wait { kind, location: None, since: None, is_direct: false, joined_at: None, what }];
        }
        Role::Queued { .. } | Role::Task | Role::Watcher | Role::CleanUp => {}
    }
    trace.membership = Some(membership);
}

/// Whether it is the owner of a task group that waits.
fn is_for_group(kind: WaitKind) -> bool {
    matches!(kind, WaitKind::GroupPlace | WaitKind::GroupTask | WaitKind::GroupEnd)
}

/// Whether one acquisition has all permits that are out.
fn is_exclusive(kind: WaitKind, out: Option<usize>) -> bool {
    // A write lock takes all permits. So many readers do not fit into memory.
    let is_write_lock = kind == WaitKind::RwLock && out.is_some_and(|out| out > 1 << 24);
    kind == WaitKind::Mutex || is_write_lock
}
