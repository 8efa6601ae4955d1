//! The copy in `task_life` and the real task agree.
//!
//! The models M1 run a copy of `Runnable::run`, `poll::complete`, `cancel_all` and the `JoinHandle`, because loom must see
//! each access to the fields of the cell. Here the same steps are taken on the copy and on a real task, one after the
//! other on one thread. After each step both have the same state word, and have done the same to their scheduler and
//! their joiner. Every sequence of `LENGTH` steps is tried.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use super::super::poll::Ran;
use super::super::runnable::{Runnable, Schedule, TaskRef};
use super::super::slab::TaskSlab;
use super::super::state::Snapshot;
use super::super::{AbortHandle, JoinHandle, cell, waker};
use super::{Large, Model};
use crate::observe::hooks::{TaskHooks, UnjoinedPanic};
use crate::primitives::checker;

/// A wake during a poll, its requeue, and the steps to the end.
const LENGTH: u32 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The next poll is the last one.
    SetEvent,
    Wake,
    Abort,
    /// A worker runs the task if it is queued.
    Work,
    /// The task is woken while it is polled.
    WorkAndWake,
    /// The task is aborted while it is polled.
    WorkAndAbort,
    PollJoin,
    DropHandle,
    ShutDown,
}

const STEPS: [Step; 9] = [
    Step::SetEvent,
    Step::Wake,
    Step::Abort,
    Step::Work,
    Step::WorkAndWake,
    Step::WorkAndAbort,
    Step::PollJoin,
    Step::DropHandle,
    Step::ShutDown,
];

/// What a step shows.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    word: Snapshot,
    is_queued: bool,
    is_joiner_woken: bool,
    /// Whether the joiner got the output, or a cancellation.
    joined: Option<bool>,
}

/// The copy, with two references of this test.
struct Copy {
    model: checker::sync::Arc<Model>,
    has_handle: bool,
    joined: Option<bool>,
    forgets_to_requeue: bool,
}

impl Copy {
    fn new(forgets_to_requeue: bool) -> Self {
        let model = Model::spawned();
        model.state.add_ref();
        model.state.add_ref();
        Self { model, has_handle: true, joined: None, forgets_to_requeue }
    }

    fn take(&mut self, step: Step) {
        let model = &*self.model;
        match step {
            Step::SetEvent => model.event.store(1, Ordering::Relaxed),
            Step::Wake => model.wake_by_ref(),
            Step::Abort => model.abort(),
            Step::Work => drop(model.work(self.forgets_to_requeue)),
            Step::WorkAndWake => drop(model.work_while(self.forgets_to_requeue, Model::wake_by_ref)),
            Step::WorkAndAbort => drop(model.work_while(self.forgets_to_requeue, Model::abort)),
            Step::PollJoin if self.has_handle && self.joined.is_none() => {
                self.joined = model.poll_join().map(|output| output == 7);
            }
            Step::DropHandle if self.has_handle => {
                self.has_handle = false;
                model.drop_handle();
            }
            Step::PollJoin | Step::DropHandle => {}
            Step::ShutDown => model.shut_down(),
        }
    }

    fn seen(&self) -> Seen {
        Seen {
            word: self.model.state.load(),
            is_queued: self.model.queued.load(Ordering::Relaxed) == 1,
            is_joiner_woken: self.model.joiner_woken.load(Ordering::Relaxed) == 1,
            joined: self.joined,
        }
    }

    fn end(self) {
        for _ in 0..2 {
            if self.model.state.drop_refs(1) {
                self.model.free();
            }
        }
        assert_eq!(self.model.freed.load(Ordering::Relaxed), 1, "the copy is freed");
    }
}

/// Keeps what is queued.
#[derive(Default)]
struct Queue(Mutex<Vec<Runnable>>);

impl Queue {
    fn pop(&self) -> Option<Runnable> {
        self.0.lock().expect("nothing panics under this lock").pop()
    }

    fn push(&self, runnable: Runnable) {
        let mut queue = self.0.lock().expect("nothing panics under this lock");
        queue.push(runnable);
        assert_eq!(queue.len(), 1, "one `Runnable`");
    }
}

struct Scheduler(Arc<Queue>);

impl Schedule for Scheduler {
    fn schedule(&self, runnable: Runnable) {
        self.0.push(runnable);
    }

    fn task_panicked(&self) {}

    fn panic_unjoined(&self, _: &UnjoinedPanic<'_>) {}
}

/// What the real task's future does.
#[derive(Default)]
struct Plan {
    has_event: AtomicBool,
    wakes_itself: AtomicBool,
    aborts_itself: AtomicBool,
    own: Mutex<Option<AbortHandle>>,
}

impl Plan {
    fn abort(&self) {
        self.own.lock().expect("nothing panics under this lock").as_ref().expect("it was spawned").abort();
    }
}

struct Planned(Arc<Plan>);

impl Future for Planned {
    type Output = Large;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Large> {
        if self.0.wakes_itself.load(Ordering::Relaxed) {
            cx.waker().wake_by_ref();
        }
        if self.0.aborts_itself.load(Ordering::Relaxed) {
            self.0.abort();
        }
        if self.0.has_event.load(Ordering::Relaxed) { Poll::Ready(Large) } else { Poll::Pending }
    }
}

#[derive(Default)]
struct Joiner(AtomicUsize);

impl Wake for Joiner {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The real task, with two references of this test: its own and that of the abort handle.
struct Real {
    slab: Arc<TaskSlab>,
    queue: Arc<Queue>,
    plan: Arc<Plan>,
    task: TaskRef,
    handle: Option<JoinHandle<Large>>,
    joiner: Arc<Joiner>,
    joined: Option<bool>,
}

impl Real {
    fn new() -> Self {
        let slab = TaskSlab::new(1, TaskHooks::default());
        let (queue, plan) = (Arc::new(Queue::default()), Arc::new(Plan::default()));
        // SAFETY: before the first task.
        unsafe { slab.set_owner(Arc::new(Scheduler(Arc::clone(&queue)))) };
        let (future, location) = (Planned(Arc::clone(&plan)), std::panic::Location::caller());
        // SAFETY: the future is `Send`.
        let (runnable, handle) = unsafe { cell::allocate::<_, false>(&slab, None, future, None, location) };
        let task = runnable.task().clone();
        *plan.own.lock().expect("nothing panics under this lock") = Some(handle.abort_handle());
        queue.push(runnable);
        Self { slab, queue, plan, task, handle: Some(handle), joiner: Arc::default(), joined: None }
    }

    fn work(&self) {
        if let Some(runnable) = self.queue.pop() {
            match runnable.run() {
                Ran::Done => {}
                Ran::Requeue(runnable) | Ran::Yielded(runnable) => self.queue.push(runnable),
            }
        }
    }

    fn take(&mut self, step: Step) {
        self.plan.wakes_itself.store(step == Step::WorkAndWake, Ordering::Relaxed);
        self.plan.aborts_itself.store(step == Step::WorkAndAbort, Ordering::Relaxed);
        match step {
            Step::SetEvent => self.plan.has_event.store(true, Ordering::Relaxed),
            // SAFETY: the test's reference outlives the waker.
            Step::Wake => unsafe { waker::borrowed(self.task.as_raw()) }.wake_by_ref(),
            Step::Abort => self.plan.abort(),
            Step::Work | Step::WorkAndWake | Step::WorkAndAbort => self.work(),
            Step::PollJoin => {
                if let (Some(handle), None) = (&mut self.handle, self.joined) {
                    let waker = Waker::from(Arc::clone(&self.joiner));
                    let output = Pin::new(handle).poll(&mut Context::from_waker(&waker));
                    self.joined = match output {
                        Poll::Ready(output) => Some(output.is_ok()),
                        Poll::Pending => None,
                    };
                }
            }
            Step::DropHandle => drop(self.handle.take()),
            Step::ShutDown => {
                // SAFETY: the task is `Send`.
                let running = unsafe { self.slab.cancel_all() };
                assert_eq!(running, 0, "no task is polled meanwhile");
            }
        }
    }

    fn seen(&self) -> Seen {
        Seen {
            word: self.task.state.load(),
            is_queued: !self.queue.0.lock().expect("nothing panics under this lock").is_empty(),
            is_joiner_woken: self.joiner.0.load(Ordering::Relaxed) == 1,
            joined: self.joined,
        }
    }

    fn end(self) {
        let weak = Arc::downgrade(&self.slab);
        drop(self.plan.own.lock().expect("nothing panics under this lock").take());
        self.slab.close();
        drop(self);
        assert_eq!(weak.strong_count(), 0, "the task is freed, and its slab");
    }
}

/// Takes these steps, and then those to the end, on both.
fn agree_on(steps: &[Step], forgets_to_requeue: bool) {
    let (mut copy, mut real) = (Copy::new(forgets_to_requeue), Real::new());
    assert_eq!(copy.seen(), real.seen(), "the copy and the task agree when spawned");
    // A shutdown leaves a `Runnable` of the task in the queue.
    let to_the_end = [Step::ShutDown, Step::Work, Step::DropHandle];
    for step in steps.iter().chain(&to_the_end) {
        copy.take(*step);
        real.take(*step);
        assert_eq!(copy.seen(), real.seen(), "the copy and the task agree after {step:?} of {steps:?}");
    }
    copy.end();
    real.end();
}

fn agree(forgets_to_requeue: bool) {
    for number in 0..STEPS.len().pow(LENGTH) {
        let steps = Vec::from_iter((0..LENGTH).map(|place| STEPS[number / STEPS.len().pow(place) % STEPS.len()]));
        loom::model(move || agree_on(&steps, forgets_to_requeue));
    }
}

#[test]
fn loom_the_copy_of_a_task_and_a_real_task_agree() {
    agree(false);
}

#[test]
#[should_panic(expected = "the copy and the task agree after WorkAndWake")]
fn loom_a_copy_that_forgets_to_requeue_is_caught() {
    agree(true);
}
