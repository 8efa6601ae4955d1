//! Groups of tasks: `LocalSet`, `JoinSet`, task-local values, on a current-thread and on a multi-thread runtime.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "threads of no runtime, in a test that fails if the system refuses one")]

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future as _, pending, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use redd::group::TaskGroup;
use redd::runtime::{Builder, Runtime};
use redd::sync::{Notify, mpsc, oneshot};
use redd::task::{self, JoinSet, LocalSet, spawn_local};
use support::odd_waker;

fn runtimes() -> [Runtime; 2] {
    [
        Builder::new_current_thread().enable_all().build().unwrap(),
        Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
    ]
}

/// Counts its drops, and asserts that they happen on the thread where it was made.
struct DropsHere(thread::ThreadId, Arc<AtomicUsize>);

impl DropsHere {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        Self(thread::current().id(), Arc::clone(count))
    }
}

impl Drop for DropsHere {
    fn drop(&mut self) {
        assert_eq!(self.0, thread::current().id(), "dropped on another thread");
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn local_tasks_run_in_run_until_in_block_on_and_while_the_set_is_awaited() {
    for runtime in runtimes() {
        let set = LocalSet::new();
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = |what: &'static str| {
            let seen = Rc::clone(&seen);
            async move {
                task::yield_now().await;
                seen.borrow_mut().push(what);
            }
        };
        let before = set.spawn_local(log("before"));
        assert!(seen.borrow().is_empty(), "nothing runs inside `spawn_local`");
        runtime.block_on(set.run_until(async {
            before.await.unwrap();
            spawn_local(log("run_until")).await.unwrap();
        }));
        set.block_on(&runtime, async { spawn_local(log("block_on")).await.unwrap() });
        set.spawn_local(log("awaited 1"));
        set.spawn_local(log("awaited 2"));
        runtime.block_on(set);
        assert_eq!(*seen.borrow(), ["before", "run_until", "block_on", "awaited 1", "awaited 2"]);
    }
}

#[test]
fn local_tasks_start_in_the_order_of_their_spawns() {
    for runtime in runtimes() {
        let set = LocalSet::new();
        let seen = Rc::new(RefCell::new(Vec::new()));
        for number in 0..200 {
            let seen = Rc::clone(&seen);
            set.spawn_local(async move { seen.borrow_mut().push(number) });
        }
        runtime.block_on(set);
        assert_eq!(*seen.borrow(), (0..200).collect::<Vec<_>>());
    }
}

#[test]
fn a_local_task_is_woken_from_other_threads_and_runs_on_its_own() {
    for runtime in runtimes() {
        let set = LocalSet::new();
        let home = thread::current().id();
        let (sender, mut receiver) = mpsc::channel(1);
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let sender = sender.clone();
                thread::spawn(move || (0..500).for_each(|n| sender.blocking_send(n).unwrap()))
            })
            .collect();
        drop(sender);
        let sum = Rc::new(Cell::new(0_u64));
        let adder = Rc::clone(&sum);
        set.spawn_local(async move {
            while let Some(number) = receiver.recv().await {
                assert_eq!(thread::current().id(), home);
                adder.set(adder.get() + number);
            }
        });
        runtime.block_on(set);
        assert_eq!(sum.get(), 2 * (499 * 500 / 2));
        senders.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn a_dropped_set_drops_its_tasks_on_this_thread_and_their_handles_say_cancelled() {
    for runtime in runtimes() {
        let drops = Arc::new(AtomicUsize::new(0));
        let set = LocalSet::new();
        let handles: Vec<_> = (0..100)
            .map(|_| {
                let drops_here = DropsHere::new(&drops);
                set.spawn_local(async move {
                    let _drops_here = drops_here;
                    pending::<()>().await;
                })
            })
            .collect();
        // Half of them never start.
        runtime.block_on(set.run_until(task::yield_now()));
        assert_eq!(drops.load(Ordering::SeqCst), 0);
        drop(set);
        assert_eq!(drops.load(Ordering::SeqCst), 100);
        for handle in handles {
            assert!(runtime.block_on(handle).unwrap_err().is_cancelled());
        }
    }
}

#[test]
fn a_waker_that_outlives_its_set_may_be_used_on_any_thread() {
    for runtime in runtimes() {
        let set = LocalSet::new();
        let drops = Arc::new(AtomicUsize::new(0));
        let (to_thread, from_set) = std::sync::mpsc::channel();
        let drops_here = DropsHere::new(&drops);
        let handle = set.spawn_local(async move {
            let _drops_here = drops_here;
            poll_fn(|cx| {
                to_thread.send(cx.waker().clone()).unwrap();
                Poll::<()>::Pending
            })
            .await;
        });
        let abort = handle.abort_handle();
        runtime.block_on(set.run_until(task::yield_now()));
        drop(handle);
        drop(set);
        assert_eq!(drops.load(Ordering::SeqCst), 1);
        let waker = from_set.recv().unwrap();
        thread::spawn(move || {
            waker.wake_by_ref();
            abort.abort();
            waker.wake();
            assert!(abort.is_finished());
        })
        .join()
        .unwrap();
    }
}

#[test]
fn aborting_a_local_task_from_another_thread_drops_it_on_its_own() {
    for runtime in runtimes() {
        let set = LocalSet::new();
        let drops = Arc::new(AtomicUsize::new(0));
        let drops_here = DropsHere::new(&drops);
        set.block_on(&runtime, async {
            let handle = spawn_local(async move {
                let _drops_here = drops_here;
                pending::<()>().await;
            });
            task::yield_now().await;
            let abort = handle.abort_handle();
            thread::spawn(move || abort.abort());
            assert!(handle.await.unwrap_err().is_cancelled());
        });
        assert_eq!(drops.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn tasks_of_a_set_that_is_not_polled_pause_and_continue_later() {
    for runtime in runtimes() {
        let set = LocalSet::new();
        let count = Rc::new(Cell::new(0));
        let counter = Rc::clone(&count);
        let notify = Rc::new(Notify::new());
        let told = Rc::clone(&notify);
        set.spawn_local(async move {
            loop {
                told.notified().await;
                counter.set(counter.get() + 1);
            }
        });
        notify.notify_one();
        runtime.block_on(async { task::yield_now().await });
        assert_eq!(count.get(), 0);
        runtime.block_on(set.run_until(async {
            while count.get() == 0 {
                task::yield_now().await;
            }
        }));
        notify.notify_one();
        runtime.block_on(async { task::yield_now().await });
        assert_eq!(count.get(), 1);
    }
}

#[test]
fn guards_of_sets_may_be_dropped_in_any_order_or_leaked() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let (first, second) = (LocalSet::new(), LocalSet::new());
    let outer = first.enter();
    let inner = second.enter();
    drop(outer);
    drop(inner);
    drop((first, second));
    // The current set, whichever it is, still exists and is closed.
    let late = std::panic::catch_unwind(|| spawn_local(async { 1 }));
    if let Ok(handle) = late {
        assert!(runtime.block_on(handle).unwrap_err().is_cancelled());
    }
    // A guard from outside is dropped while another set runs.
    let (third, fourth) = (LocalSet::new(), LocalSet::new());
    let guard = third.enter();
    fourth.block_on(&runtime, async move {
        drop(guard);
        task::yield_now().await;
        spawn_local_anywhere();
    });
    drop(fourth);
    spawn_local_anywhere();
    #[expect(clippy::mem_forget, reason = "what a leaked guard leaves behind is the subject")]
    std::mem::forget(LocalSet::new().enter());
    spawn_local_anywhere();
}

/// The waker of the task that awaits a set is user code. Here it drops the set, together with the guard that made the
/// set current.
#[test]
fn a_waker_that_a_wake_of_a_local_task_calls_may_drop_the_set() {
    thread_local! {
        static SET: RefCell<Option<(task::LocalEnterGuard, LocalSet)>> = const { RefCell::new(None) };
    }
    struct DropsTheSet;
    impl std::task::Wake for DropsTheSet {
        fn wake(self: Arc<Self>) {
            drop(SET.take().expect("it is called once"));
        }
    }
    type Action = fn(std::task::Waker, &task::AbortHandle);
    let actions: [Action; 3] = [|waker, _| waker.wake(), |waker, _| waker.wake_by_ref(), |_, abort| abort.abort()];
    for action in actions {
        let dropped = Arc::new(AtomicUsize::new(0));
        let mut set = LocalSet::new();
        let (given, life) = (Rc::new(RefCell::new(None)), DropsHere::new(&dropped));
        let waker = Rc::clone(&given);
        let task = set.spawn_local(async move {
            let _life = life;
            poll_fn(|cx| {
                *waker.borrow_mut() = Some(cx.waker().clone());
                Poll::<()>::Pending
            })
            .await;
        });
        let host = Arc::new(DropsTheSet).into();
        assert!(std::pin::Pin::new(&mut set).poll(&mut Context::from_waker(&host)).is_pending());
        let abort = task.abort_handle();
        drop(task);
        SET.set(Some((set.enter(), set)));
        action(given.take().unwrap(), &abort);
        assert!(SET.take().is_none(), "the wake has dropped it");
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        assert!(abort.is_finished());
    }
}

/// Spawns onto the current set, if there is one.
fn spawn_local_anywhere() {
    drop(std::panic::catch_unwind(|| {
        drop(spawn_local(async { Rc::new(1) }));
    }));
}

#[test]
fn a_future_that_a_closed_set_refuses_may_drop_the_last_guard() {
    thread_local! {
        static GUARD: RefCell<Option<redd::task::LocalEnterGuard>> = const { RefCell::new(None) };
    }
    struct DropsTheGuard;
    impl Drop for DropsTheGuard {
        fn drop(&mut self) {
            GUARD.take();
        }
    }
    let set = LocalSet::new();
    GUARD.set(Some(set.enter()));
    drop(set);
    let drops = DropsTheGuard;
    let handle = spawn_local(async move {
        let _drops = drops;
        pending::<()>().await;
    });
    assert!(futures::executor::block_on(handle).unwrap_err().is_cancelled());
    assert!(GUARD.take().is_none());
}

#[test]
fn a_join_set_returns_tasks_in_the_order_in_which_they_end() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let mut set = JoinSet::new();
            let mut ends = Vec::new();
            for number in 0..10_usize {
                let (end, ended) = oneshot::channel();
                ends.push(Some(end));
                set.spawn(async move {
                    ended.await.unwrap();
                    number
                });
            }
            for number in [7, 0, 9, 3, 1, 2, 8, 4, 6, 5] {
                ends[number].take().unwrap().send(()).unwrap();
                assert_eq!(set.join_next().await.unwrap().unwrap(), number);
            }
            assert!(set.join_next().await.is_none() && set.is_empty());
        });
    }
}

#[test]
fn a_dropped_join_set_aborts_its_tasks_and_a_detached_one_lets_them_run() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (alive, mut all_gone) = mpsc::channel::<()>(1);
            let mut set = JoinSet::new();
            for _ in 0..20 {
                let alive = alive.clone();
                set.spawn(async move {
                    let _alive = alive;
                    pending::<()>().await;
                });
            }
            drop(set);
            drop(alive);
            assert_eq!(all_gone.recv().await, None);

            let (sender, mut receiver) = mpsc::channel(20);
            let mut set = JoinSet::new();
            for number in 0..20 {
                let sender = sender.clone();
                set.spawn(async move {
                    task::yield_now().await;
                    sender.send(number).await.unwrap();
                });
            }
            drop(sender);
            set.detach_all();
            assert!(set.is_empty() && set.join_next().await.is_none());
            // The set can be reused. The ends of the detached tasks do not disturb it.
            set.spawn(async {});
            drop(set.join_next().await.unwrap());
            drop(set);
            let mut seen = Vec::new();
            while let Some(number) = receiver.recv().await {
                seen.push(number);
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..20).collect::<Vec<_>>());
        });
    }
}

#[test]
fn a_join_set_holds_tasks_blocking_closures_and_local_tasks() {
    for runtime in runtimes() {
        let local = LocalSet::new();
        let outputs = local.block_on(&runtime, async {
            let mut set = JoinSet::new();
            let base = Rc::new(100);
            set.spawn(async { 1 });
            set.spawn_blocking(|| 2);
            set.spawn_local(async move { *base });
            set.build_task().name("named").spawn(async { 3 }).unwrap();
            assert_eq!(set.len(), 4);
            let mut outputs = set.join_all().await;
            outputs.sort_unstable();
            outputs
        });
        assert_eq!(outputs, [1, 2, 3, 100]);
    }
}

#[test]
fn a_join_set_returns_panics_and_aborts_with_their_ids() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let mut set = JoinSet::new();
            let panics = set.spawn(async { panic!("on purpose") }).id();
            let error = set.join_next_with_id().await.unwrap().unwrap_err();
            assert!(error.is_panic() && error.id() == panics);
            let forever = set.spawn(pending::<()>());
            forever.abort();
            let error = set.join_next().await.unwrap().unwrap_err();
            assert!(error.is_cancelled() && error.id() == forever.id());
            for _ in 0..5 {
                set.spawn(pending());
            }
            set.shutdown().await;
            assert!(set.is_empty());
        });
    }
}

#[test]
fn a_join_set_that_is_dropped_inside_one_of_its_own_tasks_ends_them_all() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (alive, mut all_gone) = mpsc::channel::<()>(1);
            let mut set = JoinSet::new();
            let (give, given) = oneshot::channel::<JoinSet<()>>();
            let own = alive.clone();
            set.spawn(async move {
                let _own = own;
                drop(given.await.unwrap());
                pending::<()>().await;
            });
            for _ in 0..5 {
                let alive = alive.clone();
                set.spawn(async move {
                    let _alive = alive;
                    pending::<()>().await;
                });
            }
            drop(alive);
            give.send(set).unwrap();
            assert_eq!(all_gone.recv().await, None);
        });
    }
}

redd::task_local! {
    static NUMBER: usize;
}

#[test]
fn task_local_values_stay_with_their_task_over_awaits() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let mut set = JoinSet::new();
            for number in 0..50 {
                set.spawn(NUMBER.scope(number, async move {
                    for _ in 0..20 {
                        task::yield_now().await;
                        assert_eq!(NUMBER.get(), number);
                    }
                    let inner = redd::spawn(async { NUMBER.try_get().is_err() });
                    assert!(inner.await.unwrap(), "a spawned task does not inherit it");
                    redd::time::sleep(Duration::from_millis(1)).await;
                    assert_eq!(NUMBER.get(), number);
                }));
            }
            set.join_all().await;
            assert!(NUMBER.try_get().is_err());
        });
    }
}

#[test]
fn a_second_block_on_is_woken_by_a_task_that_the_first_one_runs() {
    let runtime = Arc::new(Builder::new_current_thread().enable_all().build().unwrap());
    let (is_in, first_is_in) = std::sync::mpsc::channel();
    let (go, told_to_go) = oneshot::channel::<()>();
    let (end_first, first_ended) = oneshot::channel::<()>();
    let first = {
        let runtime = Arc::clone(&runtime);
        thread::spawn(move || {
            runtime.block_on(async {
                is_in.send(()).unwrap();
                first_ended.await.unwrap();
            });
        })
    };
    first_is_in.recv().unwrap();
    let (answer, asked) = oneshot::channel();
    runtime.spawn(async move {
        told_to_go.await.unwrap();
        // Wait until the second root waits. It cannot take the core.
        for _ in 0..1000 {
            task::yield_now().await;
        }
        answer.send(7).unwrap();
    });
    let got = runtime.block_on(async {
        go.send(()).unwrap();
        asked.await.unwrap()
    });
    assert_eq!(got, 7);
    end_first.send(()).unwrap();
    first.join().unwrap();
}

#[test]
fn a_waker_whose_clone_ends_a_task_of_the_join_set_does_not_deadlock() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let mut set = JoinSet::new();
    let (end, ends) = oneshot::channel::<i32>();
    set.spawn_on(async { ends.await.unwrap() }, runtime.handle());
    let mut end = Some(end);
    let waker = odd_waker::new(move || {
        runtime.block_on(async {
            if let Some(end) = end.take() {
                end.send(5).unwrap();
            }
            task::yield_now().await;
            task::yield_now().await;
        });
    });
    let joined = set.poll_join_next(&mut Context::from_waker(&waker));
    assert!(matches!(joined, Poll::Ready(Some(Ok(5)))), "it ended during the poll: {joined:?}");
}

#[test]
fn a_waker_whose_clone_and_drop_use_the_local_set_does_not_deadlock() {
    let set = Rc::new(LocalSet::new());
    let count = Rc::new(Cell::new(0));
    let spawn = {
        let (set, count) = (Rc::downgrade(&set), Rc::clone(&count));
        move || {
            let Some(set) = set.upgrade() else { return };
            let count = Rc::clone(&count);
            drop(set.spawn_local(async move { count.set(count.get() + 1) }));
        }
    };
    let waker = odd_waker::new(spawn.clone());
    let mut cx = Context::from_waker(&waker);
    let mut run = Box::pin(set.run_until(pending::<()>()));
    assert!(run.as_mut().poll(&mut cx).is_pending());
    let after_one = count.get();
    assert!(after_one > 0, "the clone's task has run");
    spawn();
    assert!(run.as_mut().poll(&mut cx).is_pending());
    assert!(count.get() > after_one);
    assert!(run.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending());
}

/// As in Tokio: the tasks of a local runtime outlive the set that was current when they were spawned.
#[test]
#[expect(clippy::async_yields_async, reason = "the handle leaves the set")]
fn in_a_local_runtime_spawn_local_spawns_on_the_runtime_also_inside_a_set() {
    let runtime = redd::runtime::LocalRuntime::new().unwrap();
    runtime.block_on(async {
        let set = LocalSet::new();
        let inside = set.run_until(async { redd::task::spawn_local(async { 7 }) }).await;
        assert_eq!(inside.await.unwrap(), 7, "it runs although the set is not polled");
        let guard = set.enter();
        let entered = redd::task::spawn_local(async { 8 });
        drop(guard);
        let kept = set.run_until(async { redd::task::spawn_local(std::future::ready(9)) }).await;
        drop(set);
        assert_eq!((entered.await.unwrap(), kept.await.unwrap()), (8, 9));
    });
}

#[test]
fn sets_and_groups_are_unpin_whatever_their_tasks_return() {
    use std::marker::PhantomPinned;
    fn is_unpin<T: Unpin>() {}
    is_unpin::<JoinSet<PhantomPinned>>();
    is_unpin::<redd::group::TaskGroup<PhantomPinned>>();
    is_unpin::<redd::group::InOrder<PhantomPinned>>();
}

/// The inner group is closed while its last task ends on another thread. Looks at the outer one make the lock that its close takes a
/// busy one.
#[test]
fn an_outer_group_ends_after_inner_groups_that_end_while_they_are_closed() {
    const TASKS: usize = 4;
    const INNER_GROUPS: usize = 20_000;
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let outer = Arc::new(TaskGroup::new());
        for _ in 0..TASKS {
            outer.spawn(async {
                for number in 0..INNER_GROUPS {
                    let inner = TaskGroup::new();
                    inner.spawn(async {});
                    inner.spawn(async {});
                    for _ in 0..number % 300 {
                        std::hint::spin_loop();
                    }
                    inner.close().await.unwrap();
                }
            });
        }
        let looked_at = Arc::clone(&outer);
        let looks = redd::task::spawn_blocking(move || while !looked_at.is_empty() {});
        looks.await.unwrap();
        let outer = Arc::into_inner(outer).expect("the closure has ended");
        let closed = redd::time::timeout(Duration::from_secs(60), outer.close()).await;
        assert_eq!(closed.expect("no inner group is left").unwrap().len(), TASKS);
    });
}
