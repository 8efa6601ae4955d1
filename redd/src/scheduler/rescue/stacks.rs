//! What the threads of a runtime's workers do right now, with the calls that they are in. Only on request: a signal interrupts each thread
//! that polls.
//!
//! Called by `runtime`, for attach requests.

use std::fmt;
use std::panic::Location;

use super::poll_mark::is_polling;
use super::scan::{OF_ROOT, polls};
use crate::observe::late_poll::Stack;
use crate::observe::report::ShortLocation;
use crate::observe::task_info::TaskInfo;
use crate::primitives::atomic::Ordering;
use crate::scheduler::pace::PATIENCE_WITH_STACK;
use crate::scheduler::shared::Shared;
use crate::scheduler::slot::WorkerSlot;
use crate::sys;
use crate::sys::thread::RunState;
use crate::task::Id;

/// The thread of a worker that polls a task, or the future of `block_on`.
#[derive(Debug)]
pub(crate) struct PollingThread {
    worker: usize,
    thread: u32,
    name: Option<String>,
    state: Option<RunState>,
    system_call: Option<i64>,
    task: Option<TaskInfo>,
    root: Option<&'static Location<'static>>,
    stack: Option<Stack>,
}

/// The tasks that are polled now. `None` is the future of `block_on`.
pub(crate) fn polled_tasks(shared: &Shared) -> impl Iterator<Item = Option<Id>> + '_ {
    shared.slots().filter_map(|slot| {
        let polls = polls(shared, slot);
        if polls & OF_ROOT != 0 {
            return Some(None);
        }
        let task = slot.mark.task_of(polls, |task| shared.slab.ref_at(task)).filter(|_| is_polling(polls))?;
        Some(Some(task.info().id))
    })
}

/// Whether a task has this number.
fn has_number(task: &TaskInfo, number: u64) -> bool {
    task.id.number() == number
}

/// The threads that poll, those of a task with this number only if it is given. All others wait for work, or end.
pub(crate) fn polling_threads(shared: &Shared, task: Option<u64>) -> Vec<PollingThread> {
    let slots = shared.slots().enumerate();
    slots.filter_map(|(worker, slot)| look_at(shared, worker, slot, task)).collect()
}

fn look_at(shared: &Shared, worker: usize, slot: &WorkerSlot, wanted: Option<u64>) -> Option<PollingThread> {
    let before = polls(shared, slot);
    let thread = slot.thread.load(Ordering::Relaxed);
    if !is_polling(before) || thread == 0 {
        return None;
    }
    let task = slot.mark.task_of(before, |task| shared.slab.ref_at(task)).map(|task| task.info());
    if wanted.is_some_and(|wanted| !task.as_ref().is_some_and(|task| has_number(task, wanted))) {
        return None;
    }
    // Before the signal, which interrupts the call.
    let (state, system_call) = (sys::thread::run_state(thread), sys::thread::system_call(thread));
    let frames = sys::stack::of_thread(thread, PATIENCE_WITH_STACK);
    let is_same = polls(shared, slot) == before;
    Some(PollingThread {
        worker,
        thread,
        name: sys::thread::name(thread),
        state,
        system_call,
        task,
        root: shared.root().filter(|_| before & OF_ROOT != 0),
        // The thread may be in another poll by now.
        stack: frames.filter(|_| is_same).map(|stack| Stack(stack.frames)),
    })
}

impl fmt::Display for PollingThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}, thread {}", self.worker, self.thread)?;
        if let Some(name) = &self.name {
            write!(f, " `{}`", name.escape_debug())?;
        }
        match self.state {
            Some(RunState::Runnable) => f.write_str(", on the CPU")?,
            Some(RunState::Sleeping) => f.write_str(", off the CPU")?,
            Some(RunState::Stopped) => f.write_str(", stopped")?,
            None => {}
        }
        match self.system_call.map(|call| (sys::thread::call_name(call), call)) {
            Some((Some(name), _)) => write!(f, " in {name}")?,
            Some((None, number)) => write!(f, " in system call {number}")?,
            None => {}
        }
        match (&self.task, self.root) {
            (Some(task), _) => write!(f, ", polls {task}")?,
            (None, Some(location)) => write!(f, ", polls the future of `block_on` at {}", ShortLocation(location))?,
            (None, None) => f.write_str(", polls a task that has just ended")?,
        }
        match &self.stack {
            Some(stack) => writeln!(f, "{stack}"),
            None => writeln!(f, "\n    its calls are not known: the thread did not record them in time"),
        }
    }
}
