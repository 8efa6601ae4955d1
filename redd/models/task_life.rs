//! Loom models of a task.
//!
//! - M1: the state word under a poller, wakers, an abort and a joiner.
//! - M6: the slot under spawn, free, reuse and a walker.
//! - M7: a slab that closes.
//! - M13: threads outside that outlive the scheduler.
//! - M20: a dump that describes a task while its handle is polled.
//!
//! M1 runs the real state word, and a copy of the code around it. In the copy, `Model`, the fields that the word protects are
//! loom cells, so loom finds each access that the word does not order. `task_life_agrees` shows that the copy and the real
//! code agree. M7 and M13 run real tasks, and so does shuttle in `runtime_whole`. Each model has a variant with one broken step,
//! which must fail.

#![expect(unsafe_code, reason = "what the word protects is reached as the runtime reaches it")]

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::header::Header;
use super::poll::Ran;
use super::runnable::{Runnable, Schedule};
use super::slab::TaskSlab;
use super::state::{AfterWake, OnComplete, OnHandleDrop, OnJoinWaker, OnPending, OnStart, Output, State};
use super::{AbortHandle, JoinHandle, cell};
use crate::observe::hooks::{TaskHooks, UnjoinedPanic};
use crate::primitives::atomic::{AtomicUsize, Ordering};
use crate::primitives::cell::UnsafeCell;
use crate::primitives::checker::sync::Arc;
use crate::primitives::checker::thread;
use crate::primitives::parker::Parker;
use crate::primitives::{Mutex, mistake, model};

#[cfg(loom)]
#[path = "task_life_agrees.rs"]
mod agreement;

/// A field that the word protects; loom checks each access.
struct Field<T>(UnsafeCell<T>);

impl<T> Field<T> {
    fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    fn write<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: loom fails the model if another thread accesses it at the same time.
        self.0.with_mut(|value| f(unsafe { &mut *value }))
    }

    fn read<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        // SAFETY: as above.
        self.0.with(|value| f(unsafe { &*value }))
    }
}

/// A task without a scheduler: the queue is a flag that counts its `Runnable`s.
struct Model {
    state: State,
    future: Field<u32>,
    output: Field<Option<u32>>,
    join_waker: Field<Option<u32>>,
    queued: AtomicUsize,
    event: AtomicUsize,
    joiner_woken: AtomicUsize,
    freed: AtomicUsize,
    dropped_outputs: AtomicUsize,
}

// SAFETY: the word orders all accesses, which is what the models check.
unsafe impl Sync for Model {}
// SAFETY: as above.
unsafe impl Send for Model {}

impl Model {
    fn spawned() -> Arc<Self> {
        let model = Self {
            state: State::free(),
            future: Field::new(0),
            output: Field::new(None),
            join_waker: Field::new(None),
            queued: AtomicUsize::new(0),
            event: AtomicUsize::new(0),
            joiner_woken: AtomicUsize::new(0),
            freed: AtomicUsize::new(0),
            dropped_outputs: AtomicUsize::new(0),
        };
        model.state.publish();
        model.queued.store(1, Ordering::Relaxed);
        Arc::new(model)
    }

    fn free(&self) {
        assert_eq!(self.freed.fetch_add(1, Ordering::Relaxed), 0, "freed once");
        // No thread may touch these any more; loom checks that.
        self.future.write(|_| ());
        self.output.write(|_| ());
        self.join_waker.read(|waker| assert!(waker.is_none()));
    }

    fn enqueue(&self) {
        assert_eq!(self.queued.fetch_add(1, Ordering::AcqRel), 0, "one `Runnable`");
    }

    fn wake_by_ref(&self) {
        if self.state.wake_by_ref() == AfterWake::Enqueue {
            self.enqueue();
        }
    }

    fn abort(&self) {
        if self.state.cancel() == AfterWake::Enqueue {
            self.enqueue();
        }
    }

    /// One turn of a worker. The future is ready once the event is set. Returns true if it ran something.
    fn work(&self, broken_finish: bool) -> bool {
        self.work_while(broken_finish, |_| ())
    }

    /// As [`work`](Self::work); `during` runs while the future is polled.
    fn work_while(&self, broken_finish: bool, during: impl FnOnce(&Self)) -> bool {
        if self.queued.swap(0, Ordering::AcqRel) == 0 {
            return false;
        }
        match self.state.start_poll() {
            OnStart::Poll => {}
            OnStart::DropFuture => {
                self.finish(None);
                return true;
            }
            OnStart::Discard => return true,
            OnStart::Free => {
                self.free();
                return true;
            }
        }
        self.future.write(|future| *future += 1);
        during(self);
        if self.event.load(Ordering::Acquire) == 1 {
            self.finish(Some(7));
            return true;
        }
        match self.state.finish_poll(false) {
            OnPending::Nothing => {}
            OnPending::Requeue if broken_finish => {}
            OnPending::Requeue => self.enqueue(),
            OnPending::DropFuture => self.finish(None),
        }
        true
    }

    fn finish(&self, value: Option<u32>) {
        self.future.write(|future| *future += 100);
        self.output.write(|output| *output = Some(value.unwrap_or(0)));
        let mut output = Output::Present;
        loop {
            match self.state.complete(output) {
                OnComplete::DropOutput => {
                    self.drop_output();
                    output = Output::Dropped;
                }
                OnComplete::WakeJoiner => {
                    let waker = self.join_waker.write(|waker| waker.take());
                    assert!(waker.is_some(), "JOIN_WAKER means that one is there");
                    self.joiner_woken.store(1, Ordering::Release);
                    if self.state.drop_refs(2) {
                        self.free();
                    }
                    return;
                }
                OnComplete::Nothing => return,
                OnComplete::Free => {
                    self.free();
                    return;
                }
            }
        }
    }

    fn drop_output(&self) {
        let output = self.output.write(|output| output.take());
        assert!(output.is_some(), "dropped or read once");
        self.dropped_outputs.fetch_add(1, Ordering::Relaxed);
    }

    /// As `TaskSlab::cancel_all` does to each task.
    #[cfg(loom)]
    fn shut_down(&self) {
        if self.state.try_ref() {
            if self.state.take_over() {
                self.finish(None);
            } else if self.state.drop_refs(1) {
                self.free();
            }
        }
    }

    /// Returns `Some` if complete; otherwise the waker is set.
    fn poll_join(&self) -> Option<u32> {
        let now = self.state.load();
        if !now.is_complete() && (!now.has_join_waker() || self.state.take_back_join_waker() == OnJoinWaker::Done) {
            self.join_waker.write(|waker| *waker = Some(1));
            if self.state.set_join_waker() == OnJoinWaker::Done {
                return None;
            }
            self.join_waker.write(|waker| *waker = None);
        }
        Some(self.output.write(|output| output.take()).expect("the output is there"))
    }

    fn drop_handle(&self) {
        match self.state.drop_handle() {
            OnHandleDrop::DropWaker => {
                self.join_waker.write(|waker| *waker = None);
            }
            OnHandleDrop::DropOutput => {
                self.output.write(|output| output.take());
            }
        }
        if self.state.drop_refs(1) {
            self.free();
        }
    }
}

/// One worker polls until the task has ended; another thread sets the event and wakes.
fn poll_and_wake(broken_finish: bool) {
    let task = Model::spawned();
    let waking = {
        let task = Arc::clone(&task);
        task.state.add_ref();
        thread::spawn(move || {
            task.event.store(1, Ordering::Release);
            task.wake_by_ref();
            if task.state.drop_refs(1) {
                task.free();
            }
        })
    };
    task.work(broken_finish);
    task.work(broken_finish);
    waking.join().expect("the waking thread does not panic");
    while task.work(broken_finish) {}
    assert_eq!(task.poll_join(), Some(7), "no wake is lost");
    task.drop_handle();
    assert_eq!(task.freed.load(Ordering::Relaxed), 1);
}

model!(loom_a_wake_during_a_poll_is_not_lost, || poll_and_wake(false));

// `poll_join` returns `None` forever; the assertion above says so.
mistake!(loom_a_poller_that_forgets_to_requeue_is_caught, "no wake is lost", || poll_and_wake(true));

type PollJoin = fn(&Model) -> Option<u32>;

fn abort_join_and_complete(poll_join: PollJoin) {
    let task = Model::spawned();
    task.event.store(1, Ordering::Relaxed);
    let worker = {
        let task = Arc::clone(&task);
        thread::spawn(move || {
            task.work(false);
        })
    };
    let aborter = {
        let task = Arc::clone(&task);
        task.state.add_ref();
        thread::spawn(move || {
            task.abort();
            if task.state.drop_refs(1) {
                task.free();
            }
        })
    };
    let joined = poll_join(&task).is_some();
    worker.join().expect("the worker does not panic");
    aborter.join().expect("the aborter does not panic");
    while task.work(false) {}
    if !joined {
        assert_eq!(task.joiner_woken.load(Ordering::Acquire), 1, "the joiner is told");
        assert!(task.poll_join().is_some());
    }
    task.drop_handle();
    assert_eq!(task.freed.load(Ordering::Relaxed), 1);
}

model!(loom_abort_join_and_completion_race, || abort_join_and_complete(Model::poll_join));

/// Stores its waker without checking whether the task has ended meanwhile.
fn poll_join_without_a_look(task: &Model) -> Option<u32> {
    task.join_waker.write(|waker| *waker = Some(1));
    let _ = task.state.set_join_waker();
    None
}

mistake!(loom_a_joiner_that_does_not_look_again_is_caught, "the joiner is told", || abort_join_and_complete(
    poll_join_without_a_look
));

fn drop_during_completion(drop_handle: fn(&Model)) {
    let task = Model::spawned();
    task.event.store(1, Ordering::Relaxed);
    let worker = {
        let task = Arc::clone(&task);
        thread::spawn(move || {
            task.work(false);
        })
    };
    let _ = task.poll_join();
    drop_handle(&task);
    worker.join().expect("the worker does not panic");
    assert_eq!(task.freed.load(Ordering::Relaxed), 1);
    task.output.read(|output| assert!(output.is_none(), "the output is dropped"));
}

model!(loom_a_handle_dropped_during_completion_leaves_nothing, || drop_during_completion(Model::drop_handle));

/// Assumes that the output stays with the task, even if the handle is dropped.
fn drop_handle_for_the_waker_alone(task: &Model) {
    if task.state.drop_handle() == OnHandleDrop::DropWaker {
        task.join_waker.write(|waker| *waker = None);
    }
    if task.state.drop_refs(1) {
        task.free();
    }
}

// An output that was read is not counted as dropped.
mistake!(loom_a_handle_that_leaves_the_output_behind_is_caught, "the output is dropped", || drop_during_completion(
    drop_handle_for_the_waker_alone
));

fn shut_down(take_over: fn(&State) -> bool) {
    let task = Model::spawned();
    let worker = {
        let task = Arc::clone(&task);
        thread::spawn(move || {
            task.work(false);
        })
    };
    if task.state.try_ref() {
        if take_over(&task.state) {
            task.finish(None);
        } else if task.state.drop_refs(1) {
            task.free();
        }
    }
    worker.join().expect("the worker does not panic");
    while task.work(false) {}
    // The future pended once and is idle if the walk came while it was polled: then its poller saw CANCELLED.
    assert!(task.state.load().is_complete(), "every task is ended by the walk or by its poller");
    task.drop_handle();
    assert_eq!(task.freed.load(Ordering::Relaxed), 1);
}

model!(loom_shutdown_takes_a_queued_task_over_while_its_runnable_is_elsewhere, || shut_down(State::take_over));

/// Skips a task that is being polled, without a mark for its poller.
fn take_over_what_does_not_run(state: &State) -> bool {
    !state.load().is_running() && state.take_over()
}

mistake!(loom_a_shutdown_that_leaves_no_mark_is_caught, "every task is ended", || shut_down(
    take_over_what_does_not_run
));

/// A slot is freed and used again while a walker looks at it: the walker touches the body only with a reference.
fn walk_while_reused(walker_ignores_zero: bool) {
    let slot = Model::spawned();
    let walker = {
        let slot = Arc::clone(&slot);
        thread::spawn(move || {
            if walker_ignores_zero || slot.state.try_ref() {
                slot.future.read(|future| assert!(*future < 1000));
                if !walker_ignores_zero && slot.state.drop_refs(1) {
                    slot.state.mark_free();
                    slot.future.write(|future| *future = 1000);
                }
            }
        })
    };
    // The three owners release their references; the last one frees.
    if slot.state.drop_refs(3) {
        slot.state.mark_free();
        slot.future.write(|future| *future = 1000);
        // Reuse.
        slot.future.write(|future| *future = 1);
        slot.state.publish();
    }
    walker.join().expect("the walker does not panic");
}

model!(loom_a_walker_never_touches_a_free_slot, || walk_while_reused(false));

#[test]
#[should_panic]
fn loom_a_walker_without_a_reference_is_caught() {
    walk_while_reused(true);
}

// ── M7: a slab that is closed while a task is out ─────────────────────────────────────────────────────────────────

/// Counts its drop: the slab drops it when it frees its memory.
struct Owner(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl Schedule for Owner {
    fn schedule(&self, runnable: Runnable) {
        drop(runnable);
    }

    fn task_panicked(&self) {}

    fn panic_unjoined(&self, _: &UnjoinedPanic<'_>) {}
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[repr(align(128))]
struct Large;

// The handle and the `Runnable` of one task are dropped on threads of their own while the slab closes. The last of the three
// frees it, once. The task is large, so that no chunk is needed; it is large by its alignment, because loom's stacks are small.
model!(loom_a_slab_closed_while_a_task_is_out_is_freed_once, || {
    let drops = std::sync::Arc::default();
    let slab = TaskSlab::new(1, TaskHooks::default());
    // SAFETY: before the first task.
    unsafe { slab.set_owner(std::sync::Arc::new(Owner(std::sync::Arc::clone(&drops)))) };
    let weak = std::sync::Arc::downgrade(&slab);
    let future = std::future::ready(Large);
    // SAFETY: the future is `Send`.
    let (runnable, handle) =
        unsafe { cell::allocate::<_, false>(&slab, None, future, None, std::panic::Location::caller()) };
    let poller = thread::spawn(move || runnable.cancel());
    let joiner = thread::spawn(move || drop(handle));
    slab.close();
    drop(slab);
    poller.join().expect("it does not panic");
    joiner.join().expect("it does not panic");
    assert_eq!(weak.strong_count(), 0, "the slab is freed");
    assert_eq!(drops.load(std::sync::atomic::Ordering::Relaxed), 1, "the owner is let go once");
});

// ── M20: a dump describes a task while its handle is polled ───────────────────────────────────────────────────────

/// A dump that sees the task's join waker also sees which task waits.
fn describe_while_joined(join: fn(&mut JoinHandle<Large>)) {
    let slab = TaskSlab::new(1, TaskHooks::default());
    // SAFETY: before the first task.
    unsafe { slab.set_owner(std::sync::Arc::new(Owner(std::sync::Arc::default()))) };
    let future = std::future::ready(Large);
    // SAFETY: the future is `Send`.
    let (runnable, mut handle) =
        unsafe { cell::allocate::<_, false>(&slab, None, future, None, std::panic::Location::caller()) };
    let task = runnable.task().clone();
    let reader = thread::spawn(move || {
        if task.state.load().has_join_waker() {
            // SAFETY: the reference is held.
            let joining = unsafe { Header::extra(task.as_raw()) }.joining();
            assert!(joining.is_some(), "the joiner is known");
        }
    });
    join(&mut handle);
    reader.join().expect("it does not panic");
    runnable.cancel();
    drop(handle);
    slab.close();
}

model!(loom_a_dump_that_sees_a_join_waker_knows_the_joiner, || describe_while_joined(|handle| {
    assert!(Pin::new(handle).poll(&mut Context::from_waker(Waker::noop())).is_pending());
}));

mistake!(loom_a_joiner_that_is_recorded_after_its_waker_is_caught, "the joiner is known", || {
    describe_while_joined(|handle| {
        assert!(handle.give_waker(Waker::noop().clone()));
        handle.mark_joined();
    });
});

// ── M13: a thread outside passes a task on, and the scheduler ends after the task's end ─────────────────────────

/// The state that outlives a model's scheduler, so that a use after the end is a failed assertion and not an invalid read.
struct Traces {
    queue: Mutex<VecDeque<Runnable>>,
    something_came: Parker,
    is_gone: AtomicUsize,
}

/// A scheduler that uses its own fields after it has queued the task, as the real one does to wake a worker.
struct EndingScheduler {
    traces: std::sync::Arc<Traces>,
    /// Whether it claims that every thread keeps the scheduler: the mistake.
    claims_to_be_kept: bool,
}

impl Schedule for EndingScheduler {
    fn schedule(&self, runnable: Runnable) {
        let traces = std::sync::Arc::clone(&self.traces);
        traces.queue.lock().push_back(runnable);
        traces.something_came.unpark();
        assert_eq!(traces.is_gone.load(Ordering::Relaxed), 0, "the scheduler stays until `schedule` returns");
    }

    fn task_panicked(&self) {}

    fn panic_unjoined(&self, _: &UnjoinedPanic<'_>) {}

    fn is_kept_by_this_thread(&self) -> bool {
        self.claims_to_be_kept
    }
}

impl Drop for EndingScheduler {
    fn drop(&mut self) {
        self.traces.is_gone.store(1, Ordering::Relaxed);
    }
}

/// Completes at its second poll. At the first it stores its waker. Its output is large, as in the model above.
struct SecondTime(std::sync::Arc<std::sync::Mutex<Option<Waker>>>);

impl Future for SecondTime {
    type Output = Large;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Large> {
        let mut waker = self.0.lock().expect("nothing panics under this lock");
        if waker.is_some() {
            return Poll::Ready(Large);
        }
        *waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Runs `hand_over` on a thread of its own, with a waker and an abort handle of an idle task. This thread is the worker: it
/// runs the task to its end, and then drops the scheduler without waiting for the other thread.
fn outlive_the_scheduler(claims_to_be_kept: bool, hand_over: fn(Waker, AbortHandle)) {
    let traces = std::sync::Arc::new(Traces {
        queue: Mutex::new(VecDeque::new()),
        something_came: Parker::new(),
        is_gone: AtomicUsize::new(0),
    });
    let slab = TaskSlab::new(1, TaskHooks::default());
    let scheduler = EndingScheduler { traces: std::sync::Arc::clone(&traces), claims_to_be_kept };
    // SAFETY: before the first task.
    unsafe { slab.set_owner(std::sync::Arc::new(scheduler)) };
    let weak = std::sync::Arc::downgrade(&slab);
    let given = std::sync::Arc::new(std::sync::Mutex::new(None));
    let future = SecondTime(std::sync::Arc::clone(&given));
    // SAFETY: the future is `Send`.
    let (runnable, handle) =
        unsafe { cell::allocate::<_, false>(&slab, None, future, None, std::panic::Location::caller()) };
    let abort = handle.abort_handle();
    drop(handle);
    assert!(matches!(runnable.run(), Ran::Done));
    let waker = given.lock().expect("nothing panics under this lock").replace(Waker::noop().clone());
    let outside = thread::spawn(move || hand_over(waker.expect("the first poll gave it"), abort));
    traces.something_came.park();
    let runnable = traces.queue.lock().pop_front().expect("it was queued before the unpark");
    assert!(matches!(runnable.run(), Ran::Done));
    slab.close();
    drop(slab);
    outside.join().expect("it does not panic");
    assert_eq!(weak.strong_count(), 0, "the slab is freed");
    assert_eq!(traces.is_gone.load(Ordering::Relaxed), 1, "the scheduler is let go");
}

fn wake_by_value(waker: Waker, abort: AbortHandle) {
    drop(abort);
    waker.wake();
}

model!(loom_a_scheduler_stays_until_a_wake_from_outside_has_returned, || outlive_the_scheduler(false, wake_by_value));

model!(loom_a_scheduler_stays_until_a_wake_by_reference_has_returned, || outlive_the_scheduler(
    false,
    |waker, abort| {
        drop(abort);
        waker.wake_by_ref();
    }
));

model!(loom_a_scheduler_stays_until_an_abort_from_outside_has_returned, || outlive_the_scheduler(
    false,
    |waker, abort| {
        drop(waker);
        abort.abort();
    }
));

mistake!(loom_a_wake_from_outside_that_keeps_nothing_is_caught, "the scheduler stays until `schedule` returns", || {
    outlive_the_scheduler(true, wake_by_value)
});

// The same for the shuttle lane, which skips tests named `…_is_caught`.
mistake!(
    shuttle_notices_a_wake_from_outside_that_keeps_nothing,
    "the scheduler stays until `schedule` returns",
    || outlive_the_scheduler(true, wake_by_value)
);
