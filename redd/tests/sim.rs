//! Simulated worlds: one seed decides the schedule, the clock and all random choices.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(
    clippy::disallowed_methods,
    reason = "threads outside of the world, in a test that fails if the system refuses one"
)]

use redd::runtime::{Builder, Handle, RuntimeFlavor};
use redd::sim::{FailureKind, Report, World, chance, settle};
use redd::sync::{Barrier, Mutex, mpsc, oneshot};
use redd::task::{JoinSet, LocalSet, block_in_place, spawn_blocking, yield_now};
use redd::time::{Duration, Instant, interval, sleep, timeout};
use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

fn multi() -> redd::runtime::Runtime {
    Builder::new_multi_thread().enable_all().build().unwrap()
}

fn current() -> redd::runtime::Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A world with one host.
fn one(seed: u64, main: impl Fn() + Send + Sync + 'static) -> Report {
    World::new(seed).record(true).host("host", main).run()
}

fn only_failure(report: &Report) -> (FailureKind, String) {
    let [failure] = report.failures() else { panic!("one failure, not {report}") };
    (failure.kind(), failure.to_string())
}

/// The order in which some tasks ran.
type Order = Arc<std::sync::Mutex<Vec<u32>>>;

async fn busy(order: Order) {
    let mut tasks = JoinSet::new();
    let (sender, mut receiver) = mpsc::channel(2);
    for number in 0..5 {
        let (order, sender) = (order.clone(), sender.clone());
        tasks.spawn(async move {
            for step in 0..3 {
                order.lock().unwrap().push(number * 10 + step);
                match number {
                    0 => yield_now().await,
                    1 => sleep(Duration::from_millis(5)).await,
                    2 => spawn_blocking(|| ()).await.unwrap(),
                    3 => sender.send(step).await.unwrap(),
                    _ => redd::select! { () = sleep(Duration::from_millis(5)) => (), () = yield_now() => () },
                }
            }
        });
    }
    drop(sender);
    while receiver.recv().await.is_some() {
        order.lock().unwrap().push(99);
    }
    while let Some(joined) = tasks.join_next().await {
        joined.unwrap();
    }
}

fn run_busy(seed: u64, is_multi: bool) -> (Report, Vec<u32>) {
    let order = Order::default();
    let inside = order.clone();
    let report = one(seed, move || {
        let runtime = if is_multi { multi() } else { current() };
        runtime.block_on(busy(inside.clone()));
    });
    report.expect_ok();
    let order = order.lock().unwrap().clone();
    (report, order)
}

#[test]
fn a_seed_decides_the_order_and_the_hash() {
    for is_multi in [false, true] {
        let (mut orders, mut hashes) = (BTreeSet::new(), BTreeSet::new());
        for seed in 0..20 {
            let (first, order) = run_busy(seed, is_multi);
            let (second, again) = run_busy(seed, is_multi);
            assert_eq!(first.first_difference(&second), None, "seed {seed}");
            assert_eq!(order, again, "seed {seed}");
            assert_eq!(first.event_hash(), second.event_hash(), "seed {seed}");
            assert_eq!((first.events(), first.elapsed()), (second.events(), second.elapsed()));
            orders.insert(order);
            hashes.insert(first.event_hash());
        }
        assert_eq!((orders.len(), hashes.len()), (20, 20), "seeds differ");
    }
}

#[test]
fn time_is_virtual_and_exact_on_every_flavor() {
    for runtime in [multi, current] {
        let report = one(1, move || {
            runtime().block_on(async {
                let start = Instant::now();
                let mut ticks = interval(Duration::from_secs(600));
                for _ in 0..7 {
                    ticks.tick().await;
                }
                assert_eq!(start.elapsed(), Duration::from_secs(3600));
                let waited = timeout(Duration::from_millis(3), pending::<()>()).await;
                assert!(waited.is_err());
                assert_eq!(start.elapsed(), Duration::from_millis(3_600_003));
            });
        });
        report.expect_ok();
        assert!(report.elapsed() >= Duration::from_secs(3600));
    }
}

#[test]
fn a_multi_thread_runtime_has_one_worker_and_allows_block_in_place() {
    one(1, || {
        let runtime = Builder::new_multi_thread().worker_threads(8).enable_all().build().unwrap();
        assert_eq!(runtime.handle().runtime_flavor(), RuntimeFlavor::MultiThread);
        assert_eq!(runtime.metrics().num_workers(), 1);
        runtime.block_on(async {
            let (sender, receiver) = oneshot::channel();
            let blocking = redd::spawn(async move { block_in_place(|| Handle::current().block_on(receiver)) });
            sleep(Duration::from_secs(1)).await;
            sender.send(5).unwrap();
            assert_eq!(blocking.await.unwrap(), Ok(5));
        });
    })
    .expect_ok();
}

#[test]
fn closures_may_wait_for_each_other_and_for_tasks() {
    for seed in 0..50 {
        one(seed, || {
            multi().block_on(async {
                let (sender, mut receiver) = mpsc::channel(1);
                let first = spawn_blocking(move || (0..5).for_each(|number| sender.blocking_send(number).unwrap()));
                let second = spawn_blocking(move || {
                    let mut sum = 0;
                    while let Some(number) = receiver.blocking_recv() {
                        Handle::current().block_on(sleep(Duration::from_secs(1)));
                        sum += number;
                    }
                    sum
                });
                first.await.unwrap();
                assert_eq!(second.await.unwrap(), 10);
            });
        })
        .expect_ok();
    }
}

#[test]
fn settle_waits_for_everything_else_at_this_instant() {
    for seed in 0..50 {
        for runtime in [multi, current] {
            one(seed, move || {
                runtime().block_on(async {
                    let start = Instant::now();
                    let steps = Arc::new(AtomicU32::new(0));
                    let tasks = (0..4).map(|number| {
                        let steps = steps.clone();
                        redd::spawn(async move {
                            for _ in 0..number {
                                spawn_blocking(|| ()).await.unwrap();
                                yield_now().await;
                                steps.fetch_add(1, Ordering::Relaxed);
                            }
                            sleep(Duration::from_secs(1)).await;
                            steps.fetch_add(1, Ordering::Relaxed);
                        })
                    });
                    let tasks = Vec::from_iter(tasks);
                    settle().await;
                    assert_eq!(steps.load(Ordering::Relaxed), 6);
                    assert_eq!(start.elapsed(), Duration::ZERO);
                    settle().await;
                    assert_eq!(start.elapsed(), Duration::ZERO, "the clock does not move for it");
                    for task in tasks {
                        task.await.unwrap();
                    }
                    assert_eq!(steps.load(Ordering::Relaxed), 10);
                });
            })
            .expect_ok();
        }
    }
}

#[test]
fn several_tasks_settle_together_and_a_dropped_settle_is_forgotten() {
    one(3, || {
        current().block_on(async {
            let first = redd::spawn(settle());
            let dropped = redd::spawn(settle());
            dropped.abort();
            settle().await;
            settle().await;
            assert!(first.is_finished());
        });
    })
    .expect_ok();
}

#[test]
fn chance_follows_the_seed_and_is_false_outside() {
    assert!(!chance("never here", 100));
    let hits = |seed| {
        let hits = Arc::new(AtomicU32::new(0));
        let inside = hits.clone();
        one(seed, move || {
            for _ in 0..1000 {
                inside.fetch_add(u32::from(chance("rare", 20)), Ordering::Relaxed);
            }
            assert!(!chance("never", 0) && chance("always", 100));
        })
        .expect_ok();
        hits.load(Ordering::Relaxed)
    };
    assert_eq!(hits(1), hits(1));
    assert!((100..300).contains(&hits(2)), "{}", hits(2));
}

#[test]
fn hosts_share_one_clock() {
    static TIMES: std::sync::Mutex<Vec<(u32, Duration)>> = std::sync::Mutex::new(Vec::new());

    #[redd::main]
    async fn server() {
        let start = Instant::now();
        for _ in 0..3 {
            sleep(Duration::from_secs(2)).await;
            TIMES.lock().unwrap().push((1, start.elapsed()));
        }
    }

    #[redd::main(flavor = "current_thread")]
    async fn client() -> Result<(), std::io::Error> {
        let start = Instant::now();
        for _ in 0..2 {
            sleep(Duration::from_secs(3)).await;
            TIMES.lock().unwrap().push((2, start.elapsed()));
        }
        Ok(())
    }

    let report = World::new(5).host("server", server).host("client", client).limit(Duration::from_secs(60)).run();
    report.expect_ok();
    let times = std::mem::take(&mut *TIMES.lock().unwrap());
    let secs = Vec::from_iter(times.iter().map(|(host, time)| (*host, time.as_secs())));
    assert_eq!(secs[..3], [(1, 2), (2, 3), (1, 4)]);
    assert_eq!(report.elapsed(), Duration::from_secs(6));
}

#[test]
fn a_host_that_panics_or_returns_an_error_fails_the_world() {
    let (kind, text) = only_failure(&one(1, || panic!("on purpose")));
    assert_eq!(kind, FailureKind::Host);
    assert!(text.contains("host `host` has panicked: on purpose"), "{text}");
    let report = World::new(9).host("client", || Err::<(), _>("no server")).run();
    let (kind, text) = only_failure(&report);
    assert_eq!(kind, FailureKind::Host);
    assert!(text.contains("host `client` has failed"), "{text}");
    let shown = report.to_string();
    assert!(
        shown.contains("seed 9") && shown.contains("REDD_SEED=9 cargo test -p redd -- --exact a_host_that"),
        "{shown}"
    );
}

#[test]
fn a_panic_that_is_not_joined_fails_the_world_and_a_joined_one_does_not() {
    for runtime in [multi, current] {
        let report = one(1, move || {
            runtime().block_on(async {
                drop(redd::spawn(async { panic!("on purpose") }));
                settle().await;
            });
        });
        let (kind, text) = only_failure(&report);
        assert_eq!(kind, FailureKind::UnjoinedPanic);
        assert!(text.contains("on purpose") && text.contains("sim.rs:"), "{text}");
        one(1, move || {
            runtime().block_on(async { assert!(redd::spawn(async { panic!("on purpose") }).await.is_err()) });
        })
        .expect_ok();
    }
}

#[test]
fn a_world_in_which_nothing_can_happen_fails_with_a_dump() {
    for runtime in [multi, current] {
        let report = one(1, move || {
            runtime().block_on(async {
                let lock = Arc::new(Mutex::new(()));
                let other = lock.clone();
                let guard = lock.lock().await;
                let task = redd::spawn(async move { drop(other.lock().await) });
                drop(task.await);
                drop(guard);
            });
        });
        let (kind, text) = only_failure(&report);
        assert_eq!(kind, FailureKind::NothingCanHappen);
        assert!(text.contains("nothing can happen") && text.contains("sim.rs:"), "{text}");
        assert!(text.contains("Mutex"), "{text}");
    }
}

#[test]
fn a_thread_that_waits_forever_outside_of_block_on_is_left_behind() {
    let report = one(1, || {
        let (sender, receiver) = oneshot::channel::<()>();
        let _ = receiver.blocking_recv();
        drop(sender);
    });
    assert_eq!(only_failure(&report).0, FailureKind::NothingCanHappen);
    // A closure that never ends holds up no other host.
    let report = one(1, || {
        let runtime = multi();
        let (sender, receiver) = oneshot::channel::<()>();
        drop(runtime.spawn_blocking(move || receiver.blocking_recv()));
        runtime.block_on(async { sleep(Duration::from_secs(1)).await });
        Box::leak(Box::new(sender));
    });
    assert_eq!(only_failure(&report).0, FailureKind::NothingCanHappen);
}

#[test]
fn the_limit_of_virtual_time_ends_a_world() {
    let report = World::new(1)
        .host("host", || {
            multi().block_on(async {
                loop {
                    sleep(Duration::from_secs(1)).await;
                }
            })
        })
        .limit(Duration::from_secs(100))
        .run();
    let (kind, text) = only_failure(&report);
    assert_eq!(kind, FailureKind::Limit);
    assert!(text.contains("100s") && text.contains("`World::limit`"), "{text}");
}

#[test]
fn a_thread_from_outside_that_wakes_a_task_fails_the_world() {
    for runtime in [multi, current] {
        let report = one(1, move || {
            runtime().block_on(async {
                let (sender, receiver) = oneshot::channel();
                let task = redd::task::Builder::new().name("reader").spawn(receiver).unwrap();
                settle().await;
                let thread = std::thread::Builder::new().name("foreign".to_owned());
                thread.spawn(move || sender.send(()).unwrap()).unwrap().join().unwrap();
                task.await.unwrap().unwrap();
            });
        });
        let failures = report.failures();
        assert!(!failures.is_empty());
        assert!(failures.iter().all(|failure| failure.kind() == FailureKind::ForeignThread), "{report}");
        let text = failures[0].to_string();
        assert!(text.contains("`foreign`") && text.contains("`reader`"), "{text}");
        assert!(text.contains("`spawn_blocking`"), "{text}");
    }
}

#[test]
fn a_thread_from_outside_cannot_use_a_runtime_of_a_world() {
    let report = one(1, || {
        let runtime = multi();
        let handle = runtime.handle().clone();
        let thread = std::thread::spawn(move || handle.block_on(async {}));
        let message = *thread.join().unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("does not belong to the simulated world"), "{message}");
    });
    report.expect_ok();
}

#[test]
fn threads_of_the_world_end_before_it_does() {
    for seed in 0..20 {
        let report = one(seed, || {
            let runtime = multi();
            runtime.block_on(async {
                let barrier = Arc::new(Barrier::new(3));
                let waiters = (0..3).map(|_| {
                    let barrier = barrier.clone();
                    spawn_blocking(move || Handle::current().block_on(async move { barrier.wait().await.is_leader() }))
                });
                for waiter in Vec::from_iter(waiters) {
                    waiter.await.unwrap();
                }
            });
            runtime.shutdown_background();
        });
        report.expect_ok();
    }
}

#[test]
fn a_runtime_of_its_own_world_ends_it() {
    for seed in 0..20 {
        let runtime = Builder::new_multi_thread().enable_all().simulated(seed).build().unwrap();
        let start = Instant::now();
        runtime.block_on(async {
            drop(redd::spawn(async { sleep(Duration::from_secs(5)).await }));
            sleep(Duration::from_secs(3)).await;
        });
        assert_eq!(start.elapsed(), Duration::from_secs(3));
        drop(runtime);
        // This thread is back in the real world.
        assert!(!chance("outside", 100));
    }
}

#[test]
fn a_runtime_of_its_own_world_panics_if_nothing_can_happen() {
    let outcome = std::panic::catch_unwind(|| {
        let runtime = Builder::new_current_thread().simulated(11).build().unwrap();
        runtime.block_on(pending::<()>());
    });
    let message = *outcome.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("seed 11") && message.contains("nothing can happen"), "{message}");
}

#[test]
fn ten_worlds_run_at_once() {
    let hashes = |seed: u64| {
        let threads = (0..10).map(|_| std::thread::spawn(move || run_busy(seed, true).0.event_hash()));
        let hashes: BTreeSet<_> = Vec::from_iter(threads).into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(hashes.len(), 1, "seed {seed}");
    };
    (0..5).for_each(hashes);
}

#[redd::test(sim, seeds = 20)]
async fn a_test_may_run_in_many_worlds() {
    let start = Instant::now();
    let task = redd::spawn(sleep(Duration::from_secs(9)));
    task.await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(9));
}

#[redd::test(sim, seeds = 5, flavor = "multi_thread", worker_threads = 4)]
async fn a_test_in_worlds_may_return_a_result() -> Result<(), std::io::Error> {
    let number = redd::spawn(async { 5 }).await?;
    assert_eq!(number, 5);
    Ok(())
}

#[redd::test(sim, seeds = 3)]
#[should_panic(expected = "have not: task")]
async fn a_test_that_leaves_a_task_behind_fails() {
    drop(redd::spawn(pending::<()>()));
}

#[redd::test(sim)]
#[should_panic(expected = "a_test_with_sim_prints_the_command_that_repeats_it")]
async fn a_test_with_sim_prints_the_command_that_repeats_it() {
    panic!("on purpose");
}

/// The tasks of a set, which stay ready, beside a closure on another thread.
fn run_local_set(seed: u64) -> (Report, Vec<u32>) {
    let order = Order::default();
    let inside = order.clone();
    let report = one(seed, move || {
        let set = LocalSet::new();
        for number in 0..4 {
            let order = inside.clone();
            set.spawn_local(async move {
                for step in 0..2 {
                    order.lock().unwrap().push(number * 10 + step);
                    yield_now().await;
                }
            });
        }
        let order = inside.clone();
        multi().block_on(async {
            let closure = spawn_blocking(move || order.lock().unwrap().push(99));
            set.await;
            closure.await.unwrap();
        });
    });
    report.expect_ok();
    let order = order.lock().unwrap().clone();
    (report, order)
}

#[test]
fn a_seed_decides_the_order_of_the_tasks_of_a_local_set() {
    let (mut orders, mut places) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..40 {
        let (first, order) = run_local_set(seed);
        let (second, again) = run_local_set(seed);
        assert_eq!(first.first_difference(&second), None, "seed {seed}");
        assert_eq!(order, again, "seed {seed}");
        places.insert(order.iter().position(|number| *number == 99));
        orders.insert(order);
    }
    assert!(orders.len() >= 30, "{} orders", orders.len());
    assert!(places.len() >= 4, "other threads run between the polls of a set: {places:?}");
}

#[test]
fn a_poll_of_a_local_set_is_an_event_with_its_task() {
    static IS_SECOND: AtomicBool = AtomicBool::new(false);
    let run = || {
        one(1, || {
            let set = LocalSet::new();
            let task = set.spawn_local(async {
                if IS_SECOND.swap(true, Ordering::Relaxed) {
                    yield_now().await;
                }
            });
            set.block_on(&current(), task).unwrap();
        })
    };
    let difference = run().first_difference(&run()).expect("the task has one more poll");
    assert!(difference.contains("was polled, and has yielded") && difference.contains("sim.rs:"), "{difference}");
}

#[test]
fn a_task_that_polls_until_a_deadline_gets_there() {
    for runtime in [multi, current] {
        let report = one(1, move || {
            runtime().block_on(async {
                let start = Instant::now();
                let sleeper = redd::spawn(async move {
                    sleep(Duration::from_millis(3)).await;
                    start.elapsed()
                });
                while start.elapsed() < Duration::from_millis(5) {
                    yield_now().await;
                }
                assert!(start.elapsed() < Duration::from_millis(6));
                let woken = sleeper.await.unwrap();
                assert!(woken >= Duration::from_millis(3) && woken < Duration::from_millis(4), "{woken:?}");
                assert!(timeout(Duration::from_millis(5), busy_forever()).await.is_err());
                sleep(Duration::from_secs(1)).await;
                for _ in 0..40_000 {
                    yield_now().await;
                }
                let at = Instant::now();
                sleep(Duration::from_secs(1)).await;
                assert_eq!(at.elapsed(), Duration::from_secs(1), "the world was not busy");
            });
        });
        report.expect_ok();
    }
}

async fn busy_forever() {
    loop {
        yield_now().await;
    }
}

#[test]
fn the_limit_of_virtual_time_ends_a_busy_world() {
    for runtime in [multi, current] {
        let host = move || runtime().block_on(busy_forever());
        let report = World::new(1).host("host", host).limit(Duration::from_millis(1)).run();
        let (kind, text) = only_failure(&report);
        assert_eq!(kind, FailureKind::Limit);
        assert!(text.contains("1ms"), "{text}");
    }
}
