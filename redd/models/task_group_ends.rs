//! Models of whole task groups: how a group ends, beside what its tasks and the program do meanwhile.
//!
//! - a close beside the end of the last task: the clean-ups run once, and before the close returns.
//! - a wait for a result, and for a place, beside the end of a task and beside a cancellation.
//! - an outer group that is closed beside the end of what an inner one has left.
//! - a clean-up that is dismissed beside its start.
//! - a spawn beside a cancellation, and a place that is handed over beside one.
//! - a cancellation beside the end of a shield.
//!
//! The groups are real ones. Their runtime has no worker: one thread of the model runs what is queued. So the thread-locals of a
//! worker, which loom's threads share, have one user.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use super::*;
use crate::group::{TaskGroup, shield};
use crate::runtime::{Builder, Handle, Rescue, Runtime};
use crate::task::yield_now;

const LONG: Duration = Duration::from_secs(1000);

/// A current-thread runtime, for the thread that calls [`run`].
fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.rescue(Rescue::off()).diagnose(false).observe(false).enable_time();
    builder.build().expect("nothing is refused")
}

/// Polls the task that was queued first. False if none is queued.
fn run_one(runtime: &Handle) -> bool {
    let _entered = runtime.enter();
    let mut next = None;
    runtime.shared.injector.pop_batch(1, |task| next = Some(task));
    let Some(next) = next else { return false };
    // SAFETY: it is a task of the injector.
    match unsafe { Runnable::from_raw(next) }.run() {
        Ran::Done => {}
        Ran::Requeue(runnable) | Ran::Yielded(runnable) => runtime.shared.schedule(runnable),
    }
    true
}

/// Runs what is queued, until nothing is.
pub(crate) fn run(runtime: &Handle) {
    while run_one(runtime) {}
}

/// Counts in a value of the model.
pub(crate) fn count(value: &AtomicUsize) {
    // Relaxed: the group carries it.
    value.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn read(value: &AtomicUsize) -> usize {
    value.load(Ordering::Relaxed)
}

/// Starts a thread of the model. A runtime needs more stack than loom gives its threads.
pub(crate) fn start(f: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    // In bytes for shuttle, in words for loom.
    let builder = thread::Builder::new().stack_size(1 << 18);
    builder.spawn(f).expect("a checker refuses no thread")
}

/// Runs `f` with a runtime.
pub(crate) fn with_runtime(f: impl FnOnce(Runtime) + Send + 'static) {
    start(|| f(runtime())).join().expect("it does not panic");
}

/// Runs `f` with a group, and then what is left of it.
fn with_group(
    group: impl FnOnce() -> TaskGroup<()> + Send + 'static,
    f: impl FnOnce(&Handle, TaskGroup<()>) + Send + 'static,
) {
    with_runtime(|runtime| {
        let group = {
            let _entered = runtime.enter();
            group()
        };
        f(runtime.handle(), group);
        run(runtime.handle());
        assert_eq!(runtime.handle().shared.slab.alive(), 0, "no task is left");
        assert_eq!(read(&runtime.handle().shared.due_in_groups), 0, "no group is left");
    });
}

/// Awaits `future` while `other` runs on another thread. What makes it wait must wake it.
fn await_beside<R>(runtime: &Handle, future: impl Future<Output = R>, other: impl FnOnce() + Send + 'static) -> R {
    let other = start(other);
    let waits = Arc::new(Waits::default());
    let waker = Waker::from(Arc::clone(&waits));
    let mut future = pin!(future);
    let mut polled = future.as_mut().poll(&mut TaskContext::from_waker(&waker));
    other.join().expect("it does not panic");
    run(runtime);
    let mut wakes = 0;
    loop {
        match polled {
            Poll::Ready(output) => return output,
            Poll::Pending => assert!(read(&waits.0) > wakes, "the end wakes what waits for it"),
        }
        wakes = read(&waits.0);
        polled = future.as_mut().poll(&mut TaskContext::from_waker(&waker));
        run(runtime);
    }
}

/// As [`await_beside`], beside the thread that runs the tasks.
fn await_beside_tasks<R>(runtime: &Handle, future: impl Future<Output = R>) -> R {
    let worker = runtime.clone();
    await_beside(runtime, future, move || run(&worker))
}

// ── a close beside the end of the last task ──────────────────────────────────────────────────────────────────

fn close_beside_the_last_end() {
    with_group(TaskGroup::new, |runtime, group| {
        let ran = Arc::new(AtomicUsize::new(0));
        let clean_up = Arc::clone(&ran);
        group.defer(LONG, async move { count(&clean_up) });
        group.spawn(async {});
        await_beside_tasks(runtime, async {
            group.close().await.expect("no task fails");
            assert_eq!(read(&ran), 1, "a group is done after its clean-up");
        });
        assert_eq!(read(&ran), 1, "the clean-up runs once");
    });
}

model!(loom_a_close_beside_the_last_end_runs_the_clean_up_once, close_beside_the_last_end);

mistake!(
    loom_a_clean_up_that_is_marked_too_late_is_caught,
    "a group is done after its clean-up",
    patch "a clean-up that is marked too late",
    close_beside_the_last_end
);

mistake!(
    loom_an_end_that_does_not_advance_the_group_is_caught,
    "the end wakes what waits for it",
    patch "an end that does not advance the group",
    close_beside_the_last_end
);

fn dismiss_beside_the_start() {
    with_group(TaskGroup::new, |runtime, group| {
        let ran = Arc::new(AtomicUsize::new(0));
        let clean_up = Arc::clone(&ran);
        let deferred = group.defer(LONG, async move { count(&clean_up) });
        group.spawn(async {});
        let state = Arc::clone(group.state());
        state.close();
        let worker = runtime.clone();
        let worker = start(move || run(&worker));
        let was_dismissed = deferred.dismiss();
        worker.join().expect("it does not panic");
        run(runtime);
        assert_eq!(read(&ran), usize::from(!was_dismissed), "a clean-up runs, or is dismissed");
    });
}

model!(loom_a_clean_up_runs_or_is_dismissed, dismiss_beside_the_start);

mistake!(
    loom_a_dismissal_in_two_steps_is_caught,
    "a clean-up runs, or is dismissed",
    patch "a dismissal in two steps",
    dismiss_beside_the_start
);

fn outer_close_beside_the_inner_end() {
    with_group(TaskGroup::new, |runtime, outer| {
        let ran = Arc::new(AtomicUsize::new(0));
        let clean_up = Arc::clone(&ran);
        outer.spawn(async move {
            let inner = TaskGroup::<()>::new();
            inner.defer(LONG, async move { count(&clean_up) });
        });
        await_beside_tasks(runtime, async {
            outer.close().await.expect("no task fails");
            assert_eq!(read(&ran), 1, "a group waits for those inside of it");
        });
    });
}

model!(loom_an_outer_close_waits_for_the_inner_group, outer_close_beside_the_inner_end);

mistake!(
    loom_an_inner_group_that_does_not_count_is_caught,
    "a group waits for those inside of it",
    patch "an inner group that does not count",
    outer_close_beside_the_inner_end
);

// ── waits of the program ─────────────────────────────────────────────────────────────────────────────────────

fn next_beside_the_end() {
    with_group(TaskGroup::new, |runtime, group| {
        group.spawn(async {});
        let result = await_beside_tasks(runtime, group.next());
        assert!(result.expect("a task was spawned").is_ok());
    });
}

model!(loom_a_wait_for_a_result_is_woken, next_beside_the_end);

mistake!(
    loom_a_wait_for_a_result_that_does_not_look_again_is_caught,
    "the end wakes what waits for it",
    patch "a wait for a result that does not look again",
    next_beside_the_end
);

fn ready_beside_the_end() {
    with_group(
        || TaskGroup::limit(1).start(),
        |runtime, group| {
            group.spawn(async {});
            await_beside_tasks(runtime, group.ready());
        },
    );
}

model!(loom_a_wait_for_a_place_is_woken_by_an_end, ready_beside_the_end);

fn ready_beside_a_cancellation() {
    with_group(
        || TaskGroup::limit(1).start(),
        |runtime, group| {
            group.spawn(pending());
            let scope = group.scope();
            await_beside(runtime, group.ready(), move || scope.cancel("enough"));
        },
    );
}

model!(loom_a_wait_for_a_place_is_woken_by_a_cancellation, ready_beside_a_cancellation);

mistake!(
    loom_a_wait_for_a_place_that_does_not_look_again_is_caught,
    "the end wakes what waits for it",
    patch "a wait for a place that does not look again",
    ready_beside_the_end
);

// ── a cancellation ───────────────────────────────────────────────────────────────────────────────────────────

/// The task is polled before its entry is made.
fn spawn_beside_a_cancellation() {
    with_group(TaskGroup::new, |runtime, group| {
        let scope = group.scope();
        let canceller = start(move || scope.cancel("enough"));
        let state = group.state();
        let task = GroupTask::new(pending(), &state.scope, 0);
        let handle = runtime.shared.spawn_at(task, None, Location::caller());
        run(runtime);
        state.insert(handle, None, false, None);
        canceller.join().expect("it does not panic");
        run(runtime);
        assert!(group.is_empty(), "a cancellation reaches a task that is being spawned");
    });
}

model!(loom_a_cancellation_reaches_a_task_that_is_being_spawned, spawn_beside_a_cancellation);

mistake!(
    loom_a_spawn_that_does_not_know_the_stop_is_caught,
    "a cancellation reaches a task that is being spawned",
    patch "a spawn that does not know the stop",
    spawn_beside_a_cancellation
);

fn hand_over_beside_a_cancellation() {
    with_group(
        || TaskGroup::limit(1).start(),
        |runtime, group| {
            group.spawn(async {});
            group.spawn(pending());
            let scope = group.scope();
            let canceller = start(move || scope.cancel("enough"));
            run(runtime);
            canceller.join().expect("it does not panic");
            run(runtime);
            assert!(group.is_empty(), "all tasks have ended");
            assert_eq!(group.state().inner.lock().free_places, 1, "the place is free again");
        },
    );
}

model!(loom_a_place_is_not_lost_in_a_cancellation, hand_over_beside_a_cancellation);

fn cancel_beside_the_end_of_a_shield() {
    with_group(TaskGroup::new, |runtime, group| {
        let ended = Arc::new(AtomicUsize::new(0));
        let shielded = Arc::clone(&ended);
        group.spawn(async move {
            shield(LONG, yield_now()).await;
            count(&shielded);
            pending().await
        });
        run_one(runtime);
        let worker = runtime.clone();
        let worker = start(move || run(&worker));
        group.cancel("enough");
        worker.join().expect("it does not panic");
        run(runtime);
        assert_eq!(read(&ended), 1, "a shield completes its future");
        assert!(group.is_empty(), "a task of a stopped group without a shield is dropped");
    });
}

model!(loom_a_cancellation_beside_the_end_of_a_shield_ends_the_task, cancel_beside_the_end_of_a_shield);

mistake!(
    loom_a_shield_that_does_not_protect_is_caught,
    "a shield completes its future",
    patch "a shield that does not protect",
    cancel_beside_the_end_of_a_shield
);
