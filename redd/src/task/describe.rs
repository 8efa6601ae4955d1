//! The descriptions of a task for hooks, dumps and reports.
//!
//! Called by `cell` and `poll` (hooks), by `runtime` (dumps) and by `scheduler` (hooks around polls, late polls).

#![expect(unsafe_code, reason = "a task is described from behind a raw pointer")]

use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use super::current;
use super::header::{Extra, Header, Joining};
use super::id::Id;
use super::join_error::JoinError;
use super::runnable::TaskRef;
use super::slab::TaskSlab;
use crate::observe::coarse;
use crate::observe::hooks::{TaskHook, TaskMeta, UnjoinedPanic};
use crate::observe::report::is_in_redd;
use crate::observe::task_info::TaskInfo;
use crate::observe::waiter::{Subject, WaiterInfo};
use crate::observe::waiting::WaitKind;
use crate::primitives::user_code::guarded;

impl TaskRef {
    /// Calls a hook with the task's description.
    pub(crate) fn call_hook(&self, hook: &TaskHook, schedule_latency: Option<Duration>) {
        // SAFETY: a reference is held.
        unsafe { call_hook(self.as_raw(), hook, schedule_latency, None) };
    }

    pub(crate) fn info(&self) -> TaskInfo {
        // SAFETY: a reference is held.
        unsafe { info(self.as_raw()) }
    }
}

impl TaskSlab {
    /// Returns descriptions of the tasks and blocking closures that have not ended, for reports.
    pub(crate) fn describe_live(self: &Arc<Self>) -> Vec<TaskInfo> {
        coarse::refresh();
        let mut tasks = Vec::with_capacity(self.alive());
        self.for_each_live(|task| tasks.push(task.info()));
        tasks.retain(|task| !task.is_complete);
        tasks
    }
}

/// What decides whether a task may be stuck.
pub(crate) struct Glance {
    pub(crate) id: u64,
    /// The number of its wakers and `AbortHandle`s, if it waits.
    pub(crate) wakers: Option<u64>,
    pub(crate) has_handle: bool,
    /// The task that awaits its end.
    pub(crate) joiner: Option<u64>,
}

impl TaskSlab {
    /// Shows a few words of each live task.
    pub(crate) fn glance(self: &Arc<Self>, see: &mut impl FnMut(Glance)) {
        self.for_each_live(|task| {
            let state = task.state.load();
            // SAFETY: a reference is held.
            let extra = unsafe { Header::extra(task.as_raw()) };
            let joiner = state.has_join_waker().then(|| extra.joining()).flatten();
            see(Glance {
                id: task.id().0,
                wakers: state.wakers(),
                has_handle: state.has_join(),
                joiner: joiner.map(|joining| joining.task).filter(|task| *task != 0),
            });
        });
    }
}

/// Calls a hook with the task's description. `original_bytes` is for the hook that is called when the task is spawned.
///
/// # Safety
/// The caller has a reference to the task.
pub(super) unsafe fn call_hook(
    task: NonNull<Header>,
    hook: &TaskHook,
    schedule_latency: Option<Duration>,
    original_bytes: Option<usize>,
) {
    // SAFETY: a reference is held, by the safety contract.
    let (header, slab, extra) = unsafe { (task.as_ref(), TaskSlab::of(task), Header::extra(task)) };
    let (id, spawned_at) = (header.id(), header.location());
    let name = name(extra, slab, id);
    let future_bytes = header.vtable().future_bytes;
    guarded(|| {
        hook(&TaskMeta { id, spawned_at, name: name.as_deref(), schedule_latency, future_bytes, original_bytes })
    });
}

/// Describes a task for reports.
///
/// # Safety
/// The caller has a reference.
unsafe fn info(task: NonNull<Header>) -> TaskInfo {
    // SAFETY: by the safety contract.
    let (header, slab, extra) = unsafe { (task.as_ref(), TaskSlab::of(task), Header::extra(task)) };
    let state = header.state.load();
    let (polls, polled_ms) = extra.polls();
    TaskInfo {
        id: header.id(),
        location: header.location(),
        name: name(extra, slab, header.id()),
        age: coarse::age(extra.spawned_ms()),
        parent: Some(Id(extra.parent())).filter(|parent| parent.0 != 0),
        polls,
        since_polled: (polls > 0).then(|| coarse::age(polled_ms)),
        joined: if state.has_join_waker() { joined(header, extra).map(Box::new) } else { None },
        // A line of redd's own timers means nothing to the program's author.
        waiting: header.waiting().map(|(kind, at)| (kind, at.filter(|at| !is_in_redd(at.file())))),
        is_running: state.is_running(),
        is_complete: state.is_complete(),
        is_queued: state.is_queued(),
        is_blocking: header.vtable().is_blocking,
        is_internal: is_in_redd(header.location().file()),
        is_root: false,
        has_handle: state.has_join(),
        wakers: state.wakers(),
        thread: None,
    }
}

/// Describes the task whose code runs on this thread.
pub(super) fn current() -> Option<TaskInfo> {
    // SAFETY: the guard that has made it the current one holds a reference.
    current::header().map(|task| unsafe { info(task) })
}

/// Describes a task that has ended.
pub(super) fn ended(task: &TaskRef) -> TaskInfo {
    as_ended(task.info())
}

fn as_ended(info: TaskInfo) -> TaskInfo {
    // Its last poll may not have returned yet.
    TaskInfo { is_running: false, is_complete: true, waiting: None, joined: None, ..info }
}

/// The wait for the end of a task.
fn joined(header: &Header, extra: &Extra) -> Option<WaiterInfo> {
    let Joining { task, location, since_ms, is_direct } = extra.joining()?;
    // `user-line` of `waiting`: for a handle that redd polls, such as in a `timeout`, the line that spawned the task.
    let location = if is_in_redd(location.file()) { header.location() } else { location };
    let subject = Subject::Task(header.id().0);
    Some(WaiterInfo { task, kind: WaitKind::Join, location: Some(location), since_ms, is_direct, subject })
}

/// Reports a panic of this task that was dropped without having been read.
///
/// # Safety
/// The task's memory and its slab are alive.
#[cold]
pub(super) unsafe fn report_unjoined(task: NonNull<Header>, error: &JoinError) {
    // SAFETY: by the safety contract.
    let (info, slab) = unsafe { (as_ended(info(task)), TaskSlab::of(task)) };
    // SAFETY: as above; the slot is not free yet.
    let owner = unsafe { slab.owner_if_open() };
    error.with_message(|message| {
        let panic = UnjoinedPanic { task: &info, message };
        match owner {
            Some(owner) => owner.panic_unjoined(&panic),
            None => panic.report(slab.hooks.on_unjoined_panic.as_ref()),
        }
    });
}

fn name(extra: &Extra, slab: &TaskSlab, id: Id) -> Option<Arc<str>> {
    if extra.has_name() { slab.names.lock().get(&id).cloned() } else { None }
}
