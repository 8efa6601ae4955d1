//! Models of task groups and sets.
//!
//! - a group that stops beside a task that leaves a shield.
//! - a task that ends beside a set that joins it, or is dropped.
//! - a place of the limit that is handed over, beside an abort of the task that gets it.
//!
//! They run real tasks, with the real wrapper (`GroupTask`), scope, entries and wakers. A `TaskGroup` needs a runtime, so the last one has an
//! owner of its own, which does what `GroupState::task_ended` does with places. Sleeping in a shield needs a runtime, too:
//! the first one enters and leaves `Shields` as `Shield` does.
//!
//! No worker parks: each runs what is queued, and the last one when all other threads have ended. A task that was not woken is left
//! then, which an assertion reports.

#![expect(unsafe_code, reason = "tasks are allocated as the runtime does it")]

#[path = "task_group_ends.rs"]
pub(crate) mod ends;

use std::collections::VecDeque;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use super::entry_waker::{EntryOwner, EntryWakers};
use super::group_inner::{GroupEntry, GroupInner, Queued};
use super::group_task::GroupTask;
use super::result_queue::ResultQueue;
use super::scope::{Context, Scope};
use super::set_state::SetState;
use crate::observe::hooks::{TaskHooks, UnjoinedPanic};
use crate::primitives::atomic::{AtomicUsize, Ordering};
use crate::primitives::checker::thread;
use crate::primitives::{Mutex, mistake, model};
use crate::task::poll::Ran;
use crate::task::runnable::Schedule;
use crate::task::slab::TaskSlab;
use crate::task::{AbortHandle, JoinHandle, Runnable, cell};

/// A large output by its alignment, so that the slab needs no chunk: loom's stacks are small.
#[repr(align(128))]
struct Large;

/// The tasks that are queued.
struct Queue(Mutex<VecDeque<Runnable>>);

impl Schedule for Queue {
    fn schedule(&self, runnable: Runnable) {
        self.0.lock().push_back(runnable);
    }

    fn task_panicked(&self) {}

    fn panic_unjoined(&self, _: &UnjoinedPanic<'_>) {}
}

/// A slab, and what is queued of it.
struct Tasks {
    slab: Arc<TaskSlab>,
    queue: Arc<Queue>,
}

impl Tasks {
    fn new() -> Self {
        let slab = TaskSlab::new(1, TaskHooks::default());
        let queue = Arc::new(Queue(Mutex::new(VecDeque::new())));
        // SAFETY: before the first task.
        unsafe { slab.set_owner(Arc::clone(&queue) as Arc<dyn Schedule>) };
        Self { slab, queue }
    }

    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        // SAFETY: the future and its output are `Send`.
        let (runnable, handle) =
            unsafe { cell::allocate::<F, false>(&self.slab, None, future, None, Location::caller()) };
        self.queue.schedule(runnable);
        handle
    }

    /// Runs what is queued, until nothing is.
    fn run(&self) {
        loop {
            let next = self.queue.0.lock().pop_front();
            match next.map(Runnable::run) {
                None => return,
                Some(Ran::Done) => {}
                Some(Ran::Requeue(runnable) | Ran::Yielded(runnable)) => self.queue.schedule(runnable),
            }
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.queue.0.lock().clear();
        // SAFETY: the tasks are `Send`.
        unsafe { self.slab.cancel_all() };
        self.slab.close();
    }
}

// ── a stop beside a shield ───────────────────────────────────────────────────────────────────────────────────

/// Enters a shield in its first poll, and leaves it in the first one in which the event has come. It never completes.
struct InShield {
    event: Arc<AtomicUsize>,
    has_entered: bool,
    has_left: bool,
}

impl Future for InShield {
    type Output = Large;

    fn poll(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Large> {
        let (_, shields) = Context::current_shields().expect("the wrapper has set the context");
        if !self.has_entered {
            shields.enter();
            self.has_entered = true;
        }
        // Relaxed: the wake carries what happened before it.
        if !self.has_left && self.event.load(Ordering::Relaxed) == 1 {
            shields.leave();
            self.has_left = true;
        }
        Poll::Pending
    }
}

/// One thread stops the group, another one ends the shield. Whatever runs last, the task is dropped.
fn stop_beside_a_shield(stop: fn(&Scope, &AbortHandle)) {
    let tasks = Arc::new(Tasks::new());
    let scope = Scope::new(Location::caller());
    let event = Arc::new(AtomicUsize::new(0));
    let future = InShield { event: Arc::clone(&event), has_entered: false, has_left: false };
    let handle = tasks.spawn(GroupTask::new(future, &scope, 0));
    tasks.run();
    let (stopped, woken) = (handle.abort_handle(), handle.abort_handle());
    let stopper = thread::spawn(move || stop(&scope, &stopped));
    let worker = {
        let tasks = Arc::clone(&tasks);
        thread::spawn(move || tasks.run())
    };
    event.store(1, Ordering::Relaxed);
    woken.wake();
    stopper.join().expect("it does not panic");
    worker.join().expect("it does not panic");
    // What was queued after the worker had looked.
    tasks.run();
    assert!(handle.is_finished(), "a task of a stopped group without a shield is dropped");
}

fn stop_then_wake(scope: &Scope, task: &AbortHandle) {
    scope.stop();
    task.wake();
}

model!(loom_a_stop_beside_the_end_of_a_shield_ends_the_task, || stop_beside_a_shield(stop_then_wake));

mistake!(loom_a_wake_before_the_stop_is_caught, "a task of a stopped group without a shield is dropped", || {
    stop_beside_a_shield(|scope, task| {
        task.wake();
        scope.stop();
    })
});

mistake!(
    loom_a_task_that_does_not_look_after_its_poll_is_caught,
    "a task of a stopped group without a shield is dropped",
    patch "a task that does not look after its poll",
    || stop_beside_a_shield(stop_then_wake)
);

// ── an end beside a join, and beside a drop ──────────────────────────────────────────────────────────────────

/// An output that counts its drop.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn set_with_a_task(
    tasks: &Tasks,
    drops: &Arc<AtomicUsize>,
) -> (Arc<SetState<(Large, Counted)>>, JoinHandle<(Large, Counted)>) {
    let output = Counted(Arc::clone(drops));
    let handle = tasks.spawn(async move { (Large, output) });
    (SetState::new(Location::caller()), handle)
}

// The set adds the task while that ends, and then waits for it.
model!(loom_an_output_is_joined_once_whatever_comes_first, || {
    let (tasks, drops) = (Arc::new(Tasks::new()), Arc::new(AtomicUsize::new(0)));
    let (state, handle) = set_with_a_task(&tasks, &drops);
    let worker = {
        let tasks = Arc::clone(&tasks);
        thread::spawn(move || tasks.run())
    };
    let (mut wakers, mut ended, waits) = (EntryWakers::new(), ResultQueue::new(), Arc::new(Waits::default()));
    state.insert(handle, &mut wakers);
    let waker = Waker::from(Arc::clone(&waits));
    state.take_or_register(&mut ended, &waker);
    let was_registered = ended.is_empty();
    worker.join().expect("it does not panic");
    if was_registered {
        assert_eq!(waits.0.load(Ordering::Relaxed), 1, "the end of the task wakes the set");
        state.take_into(&mut ended);
    }
    assert!(ended.pop().expect("the task has ended").into_result().is_ok());
    assert!(ended.is_empty());
    assert_eq!(drops.load(Ordering::Relaxed), 1);
    drop(state.close());
});

// The set is dropped while its task ends.
model!(loom_an_output_is_dropped_once_by_the_task_or_by_the_set, || {
    let (tasks, drops) = (Arc::new(Tasks::new()), Arc::new(AtomicUsize::new(0)));
    let (state, handle) = set_with_a_task(&tasks, &drops);
    let mut wakers = EntryWakers::new();
    state.insert(handle, &mut wakers);
    let worker = {
        let tasks = Arc::clone(&tasks);
        thread::spawn(move || tasks.run())
    };
    let left: Vec<_> = state.close().collect();
    left.iter().for_each(JoinHandle::abort);
    drop(left);
    worker.join().expect("it does not panic");
    tasks.run();
    assert_eq!(drops.load(Ordering::Relaxed), 1, "the output, or the future with it, is dropped once");
    let mut ended = ResultQueue::new();
    state.take_into(&mut ended);
    assert!(ended.is_empty(), "`closed-is-empty`");
});

/// Counts its wakes.
#[derive(Default)]
struct Waits(AtomicUsize);

impl std::task::Wake for Waits {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn join_beside_the_end() {
    let (tasks, drops) = (Arc::new(Tasks::new()), Arc::new(AtomicUsize::new(0)));
    let (state, handle) = set_with_a_task(&tasks, &drops);
    let (mut wakers, mut ended, waits) = (EntryWakers::new(), ResultQueue::new(), Arc::new(Waits::default()));
    state.insert(handle, &mut wakers);
    let worker = {
        let tasks = Arc::clone(&tasks);
        thread::spawn(move || tasks.run())
    };
    state.take_or_register(&mut ended, &Waker::from(Arc::clone(&waits)));
    let was_registered = ended.is_empty();
    worker.join().expect("it does not panic");
    if was_registered {
        assert_eq!(waits.0.load(Ordering::Relaxed), 1, "the end of the task wakes the set");
    }
    drop(state.close());
}

model!(loom_a_set_that_waits_is_woken, join_beside_the_end);

mistake!(
    loom_a_set_that_does_not_look_again_is_caught,
    "the end of the task wakes the set",
    patch "a set that does not look again",
    join_beside_the_end
);

// ── a place beside an abort ──────────────────────────────────────────────────────────────────────────────────

/// A group with a limit of one, whose place is taken at first.
struct PlaceOwner {
    scope: Arc<Scope>,
    inner: Mutex<GroupInner<Large, PlaceOwner>>,
}

impl PlaceOwner {
    fn release(&self) {
        let granted = self.inner.lock().release_place(&self.scope);
        if let Some(Queued::Task(granted)) = granted {
            granted.wake();
        }
    }
}

impl EntryOwner for PlaceOwner {
    fn task_ended(self: &Arc<Self>, index: usize) {
        let entry = self.inner.lock().take(index);
        let GroupEntry::Task { handle, has_place, .. } = entry else { unreachable!("only tasks are put") };
        drop(handle.into_ended());
        if has_place {
            self.release();
        }
    }
}

/// The place becomes free while the queued task is aborted, or is polled the first time. Afterwards the task has ended, and the
/// place is free.
fn hand_over(aborts: bool) {
    let tasks = Arc::new(Tasks::new());
    let scope = Scope::new(Location::caller());
    let mut inner = GroupInner::new(0);
    inner.queued.push_back((1, 0));
    let owner = Arc::new(PlaceOwner { scope: Arc::clone(&scope), inner: Mutex::new(inner) });
    let handle = tasks.spawn(GroupTask::new(std::future::ready(Large), &scope, 1));
    let abort = handle.abort_handle();
    {
        let mut inner = owner.inner.lock();
        let waker = inner.wakers.waker(&owner, 0);
        assert!(handle.give_waker(waker), "it has not run");
        inner.put(
            0,
            GroupEntry::Task {
                handle,
                number: 1,
                has_place: false,
                is_blocking: false,
                queued: Some(Queued::Task(abort.clone())),
            },
        );
    }
    let releaser = {
        let owner = Arc::clone(&owner);
        thread::spawn(move || owner.release())
    };
    let worker = {
        let tasks = Arc::clone(&tasks);
        thread::spawn(move || tasks.run())
    };
    if aborts {
        abort.abort();
    }
    releaser.join().expect("it does not panic");
    worker.join().expect("it does not panic");
    tasks.run();
    assert!(abort.is_finished(), "the task that got the place has run");
    let mut inner = owner.inner.lock();
    assert_eq!(inner.free_places, 1, "the place is free again");
    let wakers = std::mem::replace(&mut inner.wakers, EntryWakers::new());
    drop(inner);
    drop(wakers);
}

model!(loom_a_place_is_handed_over, || hand_over(false));
model!(loom_a_place_is_not_lost_with_an_aborted_task, || hand_over(true));

mistake!(
    loom_a_grant_without_a_wake_is_caught,
    "the task that got the place has run",
    patch "a grant without a wake",
    || hand_over(false)
);

mistake!(
    loom_a_place_for_a_task_that_has_ended_is_caught,
    "the place is free again",
    patch "a place for a task that has ended",
    || hand_over(true)
);
