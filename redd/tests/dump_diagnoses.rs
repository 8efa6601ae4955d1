//! Deadlocks are found, and nothing else is taken for one.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex as StdMutex};
use std::task::Waker;

use futures::stream::{FuturesUnordered, StreamExt};
use redd::runtime::dump::{Diagnosis, Dump};
use redd::runtime::{Builder, Handle};
use redd::sync::{Mutex, RwLock, oneshot};
use redd::task::{Id, JoinHandle, JoinSet, yield_now};
use redd::time::{Duration, sleep, timeout};

const HOUR: Duration = Duration::from_secs(3600);

type Lock = Arc<Mutex<()>>;

fn locks<const N: usize>() -> [Lock; N] {
    std::array::from_fn(|_| Lock::default())
}

fn run(test: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// Lets all tasks run until they wait, then takes a dump.
async fn dump() -> Dump {
    for _ in 0..32 {
        yield_now().await;
    }
    Handle::current().snapshot()
}

/// The ring of the one deadlock, sorted.
#[track_caller]
fn ring(dump: &Dump) -> Vec<Id> {
    let [deadlock @ Diagnosis::Deadlock { .. }] = dump.diagnoses() else { panic!("one deadlock, not {dump:#}") };
    let mut ring = deadlock.tasks();
    ring.sort_unstable();
    ring
}

#[track_caller]
fn assert_silent(dump: &Dump) {
    assert!(dump.diagnoses().is_empty(), "{dump:#}");
}

/// Takes the first lock, then waits with `then` for the second.
fn holding<F: Future<Output = ()> + Send + 'static>(
    lock: &Lock,
    other: &Lock,
    then: impl FnOnce(Lock) -> F + Send + 'static,
) -> JoinHandle<()> {
    let (lock, other) = (lock.clone(), other.clone());
    redd::spawn(async move {
        let _guard = lock.lock().await;
        yield_now().await;
        then(other).await;
    })
}

async fn take(lock: Lock) {
    drop(lock.lock().await);
}

#[test]
fn tasks_that_take_locks_in_opposite_order_are_a_deadlock() {
    run(async {
        let [a, b] = locks();
        let tasks = [holding(&a, &b, take), holding(&b, &a, take)];
        let waiting = redd::spawn(take(a.clone()));
        let dump = dump().await;
        assert_eq!(ring(&dump), tasks.each_ref().map(JoinHandle::id), "{dump:#}");
        let text = dump.to_string();
        assert!(text.starts_with("deadlock: 2 tasks wait for each other\n    task "), "{text}");
        assert_eq!(
            text.lines().take(3).filter(|line| line.contains("waits: Mutex at redd/tests/dump_diagnoses.rs:")).count(),
            2
        );
        assert!(!ring(&dump).contains(&waiting.id()), "it waits for them, and they do not wait for it");
        tasks.iter().chain([&waiting]).for_each(JoinHandle::abort);
    });
}

#[test]
fn a_ring_of_three_locks_is_one_deadlock() {
    run(async {
        let [a, b, c] = locks();
        let tasks = [holding(&a, &b, take), holding(&b, &c, take), holding(&c, &a, take)];
        assert_eq!(ring(&dump().await), tasks.each_ref().map(JoinHandle::id));
        tasks.iter().for_each(JoinHandle::abort);
    });
}

#[test]
fn a_task_that_takes_its_own_lock_again_is_a_deadlock() {
    run(async {
        let [a] = locks();
        let task = holding(&a, &a, take);
        let dump = dump().await;
        assert_eq!(ring(&dump), [task.id()]);
        assert!(dump.to_string().starts_with("deadlock: a task waits for itself\n"), "{dump}");
        task.abort();
    });
}

#[test]
fn a_task_that_joins_a_task_which_wants_its_lock_is_a_deadlock() {
    run(async {
        let [a] = locks();
        let task = holding(&a, &a, |lock| async { redd::spawn(take(lock)).await.unwrap() });
        let dump = dump().await;
        assert_eq!(ring(&dump).len(), 2, "{dump:#}");
        assert!(ring(&dump).contains(&task.id()));
        task.abort();
        drop(task.await);
    });
}

#[test]
fn write_locks_are_in_a_ring_and_read_locks_are_not() {
    run(async {
        let (a, b) = (Arc::new(RwLock::new(())), Lock::default());
        let write = |a: &Arc<RwLock<()>>, b: &Lock| {
            let (a, b) = (a.clone(), b.clone());
            redd::spawn(async move {
                let _guard = b.lock().await;
                yield_now().await;
                drop(a.write().await);
            })
        };
        let writer = {
            let (a, b) = (a.clone(), b.clone());
            redd::spawn(async move {
                let _guard = a.write().await;
                yield_now().await;
                drop(b.lock().await);
            })
        };
        let other = write(&a, &b);
        assert_eq!(ring(&dump().await), [writer.id(), other.id()]);
        writer.abort();
        other.abort();

        let (a, b) = (Arc::new(RwLock::new(())), Lock::default());
        let reader = {
            let (a, b) = (a.clone(), b.clone());
            redd::spawn(async move {
                let _guard = a.read().await;
                yield_now().await;
                drop(b.lock().await);
            })
        };
        let other = write(&a, &b);
        // It is one, but the reader that is named need not be the one that has not released its lock.
        assert_silent(&dump().await);
        reader.abort();
        other.abort();
    });
}

#[test]
fn the_ring_is_found_after_locks_were_passed_on() {
    run(async {
        let [a, b] = locks();
        let guards = (a.lock().await, b.lock().await);
        let tasks = [holding(&a, &b, take), holding(&b, &a, take)];
        let waiting = [redd::spawn(take(a.clone())), redd::spawn(take(b.clone()))];
        assert_silent(&dump().await);
        drop(guards);
        assert_eq!(ring(&dump().await), tasks.each_ref().map(JoinHandle::id));
        tasks.iter().chain(&waiting).for_each(JoinHandle::abort);
    });
}

#[test]
fn a_lock_with_a_timeout_is_no_deadlock() {
    run(async {
        let [a, b] = locks();
        let tasks =
            [holding(&a, &b, take), holding(&b, &a, |lock| async move { drop(timeout(HOUR, lock.lock()).await) })];
        assert_silent(&dump().await);
        tasks.iter().for_each(JoinHandle::abort);
        let [a, b] = locks();
        let select = |lock: Lock| async move {
            redd::select! {
                _ = lock.lock() => {}
                () = sleep(HOUR) => {}
            }
        };
        let tasks = [holding(&a, &b, take), holding(&b, &a, select)];
        assert_silent(&dump().await);
        tasks.iter().for_each(JoinHandle::abort);
    });
}

/// Another task has the guard, and will drop it.
#[test]
fn a_guard_that_moved_through_a_channel_is_no_deadlock() {
    run(async {
        let [a, b] = locks();
        let (sender, receiver) = oneshot::channel();
        let keeper = redd::spawn(async move {
            let _guard = receiver.await.unwrap();
            pending::<()>().await;
        });
        let (lock, other) = (a.clone(), b.clone());
        let giver = redd::spawn(async move {
            sender.send(lock.lock_owned().await).unwrap();
            yield_now().await;
            drop(other.lock().await);
        });
        let wants = holding(&b, &a, take);
        let dump = dump().await;
        assert_silent(&dump);
        assert!(dump.to_string().contains(&format!("taken by task {} at ", giver.id())), "{dump:#}");
        keeper.abort();
        giver.await.unwrap();
        wants.await.unwrap();
    });
}

/// As above, but the lock was passed on to the task that gives the guard away.
#[test]
fn an_owned_guard_that_was_waited_for_is_no_deadlock() {
    run(async {
        let [a, b] = locks();
        let guard = a.lock().await;
        let (sender, receiver) = oneshot::channel();
        let (lock, other) = (a.clone(), b.clone());
        let giver = redd::spawn(async move {
            let guard = lock.lock_owned().await;
            sender.send(guard).unwrap();
            yield_now().await;
            drop(other.lock().await);
        });
        // It waits since before the lock is passed on.
        let wants = holding(&b, &a, take);
        assert_silent(&dump().await);
        drop(guard);
        assert_silent(&dump().await);
        drop(receiver.await.unwrap());
        giver.await.unwrap();
        wants.await.unwrap();
    });
}

#[test]
fn a_task_with_an_abort_handle_can_be_aborted() {
    run(async {
        let [a, b] = locks();
        let tasks = [holding(&a, &b, take), holding(&b, &a, take)];
        let abort = tasks[0].abort_handle();
        assert_silent(&dump().await);
        drop(abort);
        assert_eq!(ring(&dump().await).len(), 2);
        tasks.iter().for_each(JoinHandle::abort);
    });
}

#[test]
fn a_lock_that_is_held_over_a_long_operation_is_no_deadlock() {
    run(async {
        let [a, b] = locks();
        let tasks = [holding(&a, &b, take), holding(&b, &a, |_| sleep(HOUR)), redd::spawn(take(a.clone()))];
        assert_silent(&dump().await);
        tasks.iter().for_each(JoinHandle::abort);
    });
}

#[test]
fn a_waker_that_another_library_has_is_another_way_out() {
    run(async {
        let [a, b] = locks();
        let kept = Arc::new(StdMutex::new(None::<Waker>));
        let keeps = kept.clone();
        let either = |lock: Lock| async move {
            let mut locking = pin!(lock.lock());
            poll_fn(|cx| {
                *keeps.lock().unwrap() = Some(cx.waker().clone());
                locking.as_mut().poll(cx).map(drop)
            })
            .await;
        };
        let tasks = [holding(&a, &b, take), holding(&b, &a, either)];
        assert_silent(&dump().await);
        *kept.lock().unwrap() = None;
        assert_eq!(ring(&dump().await).len(), 2);
        tasks.iter().for_each(JoinHandle::abort);
    });
}

/// The set has one waker of the task, and each future one of the set. The future that redd does not know can be woken.
#[test]
fn a_set_of_futures_is_another_way_out() {
    run(async {
        let [a, b] = locks();
        let either = |lock: Lock| async move {
            let set: FuturesUnordered<futures::future::BoxFuture<'_, ()>> = FuturesUnordered::new();
            set.push(Box::pin(async { drop(lock.lock().await) }));
            set.push(Box::pin(pending()));
            set.collect::<()>().await;
        };
        let tasks = [holding(&a, &b, take), holding(&b, &a, either)];
        let dump = dump().await;
        assert_silent(&dump);
        let task = dump.tasks().get(tasks[1].id()).unwrap();
        assert_eq!(task.waits().len(), 1, "{dump:#}");
        tasks.iter().for_each(JoinHandle::abort);
    });
}

#[test]
fn a_set_of_tasks_can_be_joined_by_any_of_them() {
    run(async {
        let [a] = locks();
        let task = holding(&a, &a, |lock| async move {
            let mut set = JoinSet::new();
            set.spawn(take(lock));
            set.spawn(sleep(HOUR));
            set.join_next().await.unwrap().unwrap();
        });
        assert_silent(&dump().await);
        task.abort();
    });
}

/// Tasks that pass two locks around: at each moment, some of them wait for each other's lock.
#[test]
fn tasks_that_go_on_are_no_deadlock() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let locks: [Lock; 3] = locks();
    let tasks: Vec<_> = (0..3)
        .map(|first| {
            let locks = locks.clone();
            runtime.spawn(async move {
                for round in 0_usize.. {
                    // Each takes one lock after the other, in an order that cannot deadlock.
                    let (one, other) = (round % 3, (round + 1 + first % 2) % 3);
                    let _first = locks[one.min(other)].lock().await;
                    yield_now().await;
                    let _second = locks[one.max(other)].lock().await;
                }
            })
        })
        .collect();
    for _ in 0..2000 {
        assert_silent(&runtime.handle().snapshot());
    }
    tasks.iter().for_each(JoinHandle::abort);
}
