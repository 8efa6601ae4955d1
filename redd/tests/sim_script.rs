//! What a simulated world does while it runs: steps of its script, invariants, crashes and restarts, random faults, signals.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use redd::group::{Phases, TaskGroup};
use redd::io::{AsyncReadExt, AsyncWriteExt};
use redd::net::{TcpListener, TcpStream};
use redd::runtime::{Builder, Handle, Runtime};
use redd::signal::unix::{SignalKind, signal};
use redd::sim::{Control, FailureKind, Faults, HostOutcome, Report, World, settle};
use redd::sync::{Mutex, Notify, oneshot, watch};
use redd::task::{LocalSet, block_in_place, spawn_blocking, yield_now};
use redd::time::{Duration, Instant, sleep, timeout};
use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn multi() -> Runtime {
    Builder::new_multi_thread().enable_all().build().unwrap()
}

fn current() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

const FLAVORS: [fn() -> Runtime; 2] = [multi, current];

/// A host that sleeps.
fn sleeps(time: Duration) -> impl Fn() + Send + Sync + 'static {
    move || current().block_on(async move { sleep(time).await })
}

fn only_failure(report: &Report) -> (FailureKind, Duration, String) {
    let [failure] = report.failures() else { panic!("one failure, not {report}") };
    (failure.kind(), failure.at(), failure.to_string())
}

#[track_caller]
fn assert_faults(report: &Report, expected: &[&str]) {
    let faults = Vec::from_iter(report.faults().iter().map(ToString::to_string));
    assert_eq!(faults, expected);
}

type Log = Arc<std::sync::Mutex<Vec<String>>>;

fn log(log: &Log, text: impl Into<String>) {
    log.lock().unwrap().push(text.into());
}

fn lines(log: &Log) -> Vec<String> {
    log.lock().unwrap().clone()
}

/// Counts the values of it that are dropped.
struct Dropped(Arc<AtomicU32>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

// Steps

#[test]
fn steps_run_at_their_times_and_those_of_one_time_in_their_order() {
    for seed in 0..20 {
        let seen = Log::default();
        let step = |name: &'static str| {
            let seen = seen.clone();
            move |w: &mut Control| log(&seen, format!("{name} {:?}", w.now()))
        };
        let report = World::new(seed)
            .host("host", sleeps(secs(10)))
            .at(secs(5), step("third"))
            .at(secs(2), step("first"))
            .at(secs(2), step("second"))
            .at(Duration::ZERO, step("zeroth"))
            .run();
        report.expect_ok();
        assert_eq!(lines(&seen), ["zeroth 0ns", "first 2s", "second 2s", "third 5s"]);
        assert_eq!((report.elapsed(), report.skipped()), (secs(10), &[][..]));
    }
}

#[test]
fn a_step_is_one_of_those_that_the_seed_orders_at_its_instant() {
    let orders = (0..50).map(|seed| {
        let seen = Log::default();
        let (inside, of_step) = (seen.clone(), seen.clone());
        let main = move || {
            current().block_on(async { sleep(secs(1)).await });
            log(&inside, "host");
        };
        World::new(seed).host("host", main).at(secs(1), move |_| log(&of_step, "step")).run().expect_ok();
        lines(&seen)
    });
    // The host may end first. Then the step is not run.
    let orders: BTreeSet<_> = orders.collect();
    assert!(orders.contains(&vec!["host".to_owned(), "step".to_owned()]), "{orders:?}");
    assert!(orders.contains(&vec!["step".to_owned(), "host".to_owned()]), "{orders:?}");
}

#[test]
fn a_step_after_the_end_of_the_hosts_is_skipped_and_the_report_says_so() {
    let report = World::new(1).host("host", sleeps(secs(1))).at(secs(5), |_| panic!("it is not run")).run();
    report.expect_ok();
    assert_eq!((report.elapsed(), report.skipped()), (secs(1), &[secs(5)][..]));
    assert!(report.to_string().contains("the step of the script at 5s was not run"), "{report}");
}

#[test]
fn a_periodic_step_ends_with_the_hosts() {
    let count = Arc::new(AtomicU32::new(0));
    let inside = count.clone();
    let world = World::new(1).host("host", sleeps(secs(35))).every(secs(10), move |w| {
        assert_eq!(w.now(), secs(10) * (inside.fetch_add(1, Ordering::Relaxed) + 1));
    });
    let report = world.run();
    report.expect_ok();
    assert_eq!((count.load(Ordering::Relaxed), report.elapsed()), (3, secs(35)));
    assert_eq!(report.skipped(), []);
}

#[test]
#[should_panic(expected = "Use a longer one, or `World::always`")]
fn a_period_of_zero_is_refused() {
    let _ = World::new(1).every(Duration::ZERO, |_| ());
}

#[test]
#[should_panic(expected = "Give each host a name of its own")]
fn two_hosts_of_one_name_are_refused() {
    let _ = World::new(1).host("host", || ()).host("host", || ());
}

#[test]
fn a_panic_in_a_step_stops_the_world() {
    let report = World::new(1)
        .host("host", || multi().block_on(pending::<()>()))
        .at(secs(3), |_| panic!("on purpose"))
        .at(secs(4), |_| panic!("it is not run"))
        .run();
    let (kind, at, text) = only_failure(&report);
    assert_eq!((kind, at), (FailureKind::Script, secs(3)));
    assert!(text.contains("on purpose") && text.contains("sim_script.rs:"), "{text}");
    assert_eq!(report.host("host").outcome(), &HostOutcome::Unfinished);
    assert_eq!(report.skipped(), [secs(4)]);
    let shown = report.to_string();
    assert!(shown.contains("host `host` had not ended") && shown.contains("REDD_SEED=1 cargo test"), "{shown}");
}

#[test]
fn a_step_may_use_a_runtime_and_wait() {
    let times = Log::default();
    let inside = times.clone();
    let world = World::new(1).host("host", sleeps(secs(9))).at(secs(1), move |w| {
        multi().block_on(async {
            redd::spawn(sleep(secs(2))).await.unwrap();
        });
        log(&inside, format!("{:?}", w.now()));
    });
    world.run().expect_ok();
    assert_eq!(lines(&times), ["3s"]);
}

#[test]
fn a_world_that_hangs_is_noticed_although_it_has_a_script() {
    let report =
        World::new(1).host("host", || multi().block_on(pending::<()>())).at(secs(3), |_| ()).always(|_| true).run();
    let (kind, at, text) = only_failure(&report);
    assert_eq!((kind, at), (FailureKind::NothingCanHappen, secs(3)));
    assert!(!text.contains("`script`"), "it is no thread of the program: {text}");
}

// Invariants

#[test]
fn an_invariant_is_checked_at_each_instant_before_the_clock_moves() {
    for runtime in FLAVORS {
        let (value, checks) = (Arc::new(AtomicU32::new(0)), Log::default());
        let (inside, seen, of_check) = (value.clone(), value.clone(), checks.clone());
        let main = move || {
            runtime().block_on(async {
                for _ in 0..3 {
                    inside.fetch_add(1, Ordering::Relaxed);
                    yield_now().await;
                    inside.fetch_add(1, Ordering::Relaxed);
                    sleep(secs(1)).await;
                }
            });
        };
        let world = World::new(1).host("host", main).always(move |w| {
            let value = seen.load(Ordering::Relaxed);
            log(&of_check, format!("{:?}: {value}", w.now()));
            value % 2 == 0
        });
        world.run().expect_ok();
        let mut checks = lines(&checks);
        checks.dedup();
        assert_eq!(checks, ["0ns: 2", "1s: 4", "2s: 6", "3s: 6"], "never in the middle of an instant");
    }
}

#[test]
fn an_invariant_that_does_not_hold_stops_the_world_with_its_time() {
    type Make = fn(Arc<AtomicU32>) -> World;
    let (holds, is_error, asserts): (Make, Make, Make) = (
        |value| World::new(1).always(move |_| value.load(Ordering::Relaxed) < 5),
        |value| {
            World::new(1).always(move |_| match value.load(Ordering::Relaxed) {
                0..5 => Ok(()),
                value => Err(format!("it is {value}")),
            })
        },
        |value| World::new(1).always(move |_| assert!(value.load(Ordering::Relaxed) < 5, "it is too large")),
    );
    for (make, expected) in [(holds, "does not hold"), (is_error, "it is 5"), (asserts, "it is too large")] {
        let value = Arc::new(AtomicU32::new(0));
        let inside = value.clone();
        let main = move || {
            multi().block_on(async {
                loop {
                    sleep(secs(1)).await;
                    inside.fetch_add(1, Ordering::Relaxed);
                }
            });
        };
        let report = make(value.clone()).host("host", main).run();
        let (kind, at, text) = only_failure(&report);
        assert_eq!((kind, at), (FailureKind::Invariant, secs(5)));
        assert!(text.contains(expected) && text.contains("sim_script.rs:"), "{text}");
        assert_eq!(value.load(Ordering::Relaxed), 5, "the world does not go on");
        assert_eq!(report.host("host").outcome(), &HostOutcome::Unfinished);
    }
}

#[test]
fn an_invariant_is_checked_after_the_last_host_has_ended() {
    let value = Arc::new(AtomicU32::new(0));
    let inside = value.clone();
    let world = World::new(1).host("host", move || inside.store(1, Ordering::Relaxed));
    let report = world.always(move |_| value.load(Ordering::Relaxed) == 0).run();
    assert_eq!(only_failure(&report).0, FailureKind::Invariant);
    assert_eq!(report.host("host").outcome(), &HostOutcome::Ended);
}

#[test]
fn a_settle_and_an_invariant_at_one_instant_both_happen() {
    for seed in 0..20 {
        let checks = Arc::new(AtomicU32::new(0));
        let inside = checks.clone();
        let main = || {
            current().block_on(async {
                let start = Instant::now();
                let task = redd::spawn(async { yield_now().await });
                settle().await;
                assert!(task.is_finished());
                assert_eq!(start.elapsed(), Duration::ZERO);
            });
        };
        World::new(seed)
            .host("host", main)
            .always(move |_| inside.fetch_add(1, Ordering::Relaxed) < 100)
            .run()
            .expect_ok();
        assert!(checks.load(Ordering::Relaxed) >= 2);
    }
}

// Crashes

#[test]
fn a_crash_ends_what_the_host_does_and_its_futures_are_dropped() {
    for runtime in FLAVORS {
        for seed in 0..30 {
            let (steps, dropped) = (Log::default(), Arc::new(AtomicU32::new(0)));
            let (inside, drops) = (steps.clone(), dropped.clone());
            let main = move || {
                let runtime = runtime();
                runtime.block_on(async {
                    for number in 0..3_u64 {
                        let (inside, dropped) = (inside.clone(), Dropped(drops.clone()));
                        redd::spawn(async move {
                            let _dropped = dropped;
                            loop {
                                sleep(ms(300 + number)).await;
                                log(&inside, format!("{number}"));
                            }
                        });
                    }
                    let _dropped = Dropped(drops.clone());
                    sleep(secs(100)).await;
                });
            };
            let at_crash = Arc::new(AtomicU32::new(0));
            let (seen, count) = (steps.clone(), at_crash.clone());
            let report = World::new(seed)
                .host("host", main)
                .host("other", sleeps(secs(9)))
                .at(secs(5), move |w| {
                    w.crash("host");
                    count.store(lines(&seen).len() as u32, Ordering::Relaxed);
                })
                .run();
            report.expect_ok();
            assert_eq!(report.elapsed(), secs(9));
            assert_eq!(dropped.load(Ordering::Relaxed), 4, "seed {seed}");
            assert_eq!(lines(&steps).len(), at_crash.load(Ordering::Relaxed) as usize, "no task runs after it");
            assert_eq!(report.host("host").outcome(), &HostOutcome::Down);
            assert_eq!((report.host("host").crashes(), report.host("other").crashes()), (1, 0));
            assert_eq!(report.left_threads(), <[&str; 0]>::default());
            assert_faults(&report, &["after 5s: `host` crashes"]);
        }
    }
}

/// One of some tasks that become ready at the same instant. Counts its steps.
async fn counts_steps(steps: Arc<AtomicU32>) {
    sleep(secs(1)).await;
    for _ in 0..10 {
        steps.fetch_add(1, Ordering::Relaxed);
        yield_now().await;
    }
}

/// `main` runs four tasks of `counts_steps`. Their host crashes at the instant in which they become ready.
fn assert_unpolled_after_crash(main: impl Fn(&Arc<AtomicU32>) + Clone + Send + Sync + 'static) {
    let mut all = BTreeSet::new();
    for seed in 0..50 {
        let (steps, at_crash) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (inside, seen, count, main) = (steps.clone(), steps.clone(), at_crash.clone(), main.clone());
        let crash = move |w: &mut Control| {
            w.crash("host");
            count.store(seen.load(Ordering::Relaxed), Ordering::Relaxed);
        };
        let world = World::new(seed).host("host", move || main(&inside)).host("other", sleeps(secs(2)));
        world.at(secs(1), crash).run().expect_ok();
        let at_crash = at_crash.load(Ordering::Relaxed);
        assert_eq!(steps.load(Ordering::Relaxed), at_crash, "seed {seed}");
        all.insert(at_crash);
    }
    assert!(all.iter().any(|steps| (1..40).contains(steps)), "some crashes come in the middle: {all:?}");
}

#[test]
fn a_crash_in_the_middle_of_an_instant_leaves_ready_tasks_unpolled() {
    for runtime in FLAVORS {
        assert_unpolled_after_crash(move |steps| {
            runtime().block_on(async {
                (0..4).for_each(|_| drop(redd::spawn(counts_steps(steps.clone()))));
                pending::<()>().await;
            });
        });
    }
}

#[test]
fn a_crash_in_the_middle_of_an_instant_leaves_ready_tasks_of_a_local_set_unpolled() {
    for runtime in FLAVORS {
        assert_unpolled_after_crash(move |steps| {
            let set = LocalSet::new();
            (0..4).for_each(|_| drop(set.spawn_local(counts_steps(steps.clone()))));
            runtime().block_on(set.run_until(pending::<()>()));
        });
    }
}

#[test]
fn closures_that_wait_end_with_their_host() {
    for runtime in FLAVORS {
        for seed in 0..30 {
            let ended = Arc::new(AtomicU32::new(0));
            let inside = ended.clone();
            let main = move || {
                let runtime = runtime();
                runtime.block_on(async {
                    let (sender, receiver) = oneshot::channel::<()>();
                    let ends = Dropped(inside.clone());
                    let first = spawn_blocking(move || {
                        let _ends = ends;
                        receiver.blocking_recv()
                    });
                    let ends = Dropped(inside.clone());
                    let second = spawn_blocking(move || {
                        let _ends = ends;
                        Handle::current().block_on(async { sleep(secs(1000)).await });
                    });
                    let ends = Dropped(inside.clone());
                    let lock = Arc::new(Mutex::new(()));
                    let guard = lock.clone().lock_owned().await;
                    let third = spawn_blocking(move || {
                        let _ends = ends;
                        drop(lock.blocking_lock());
                    });
                    let _ = redd::join!(first, second, third);
                    drop((sender, guard));
                });
            };
            let report = World::new(seed)
                .host("host", main)
                .host("other", sleeps(secs(9)))
                .at(secs(5), |w| w.crash("host"))
                .run();
            report.expect_ok();
            assert_eq!((ended.load(Ordering::Relaxed), report.elapsed()), (3, secs(9)), "seed {seed}");
            assert_eq!(report.left_threads(), <[&str; 0]>::default());
        }
    }
}

#[test]
fn a_crash_in_block_in_place_unwinds_the_task_in_silence() {
    for seed in 0..30 {
        let dropped = Arc::new(AtomicU32::new(0));
        let inside = dropped.clone();
        let main = move || {
            multi().block_on(async {
                let dropped = Dropped(inside.clone());
                drop(redd::spawn(async move {
                    let _dropped = dropped;
                    block_in_place(|| Handle::current().block_on(pending::<()>()));
                }));
                pending::<()>().await;
            });
        };
        let report =
            World::new(seed).host("host", main).host("other", sleeps(secs(9))).at(secs(5), |w| w.crash("host")).run();
        report.expect_ok();
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn a_crash_of_a_host_whose_tasks_hold_and_await_locks() {
    for runtime in FLAVORS {
        for seed in 0..30 {
            let main = move || {
                runtime().block_on(async {
                    let (lock, notify) = (Arc::new(Mutex::new(0)), Arc::new(Notify::new()));
                    for _ in 0..3 {
                        let (lock, notify) = (lock.clone(), notify.clone());
                        redd::spawn(async move {
                            let mut guard = lock.lock().await;
                            *guard += 1;
                            notify.notified().await;
                        });
                    }
                    pending::<()>().await;
                });
            };
            let report = World::new(seed)
                .host("host", main)
                .host("other", sleeps(secs(9)))
                .at(secs(5), |w| {
                    w.crash("host");
                    w.restart_after("host", secs(1));
                })
                .at(secs(8), |w| w.crash("host"))
                .run();
            report.expect_ok();
            assert_eq!((report.elapsed(), report.host("host").crashes()), (secs(9), 2));
            assert_faults(
                &report,
                &["after 5s: `host` crashes", "after 6s: `host` starts again", "after 8s: `host` crashes"],
            );
        }
    }
}

#[test]
fn a_restart_runs_the_same_function_again() {
    for runtime in FLAVORS {
        for seed in 0..30 {
            let starts = Log::default();
            let inside = starts.clone();
            let main = move || {
                let start = Instant::now();
                log(&inside, "start");
                runtime().block_on(async { redd::spawn(sleep(secs(4))).await.unwrap() });
                log(&inside, format!("end after {:?}", start.elapsed()));
            };
            let step = |w: &mut Control| {
                w.crash("host");
                assert!(!w.is_running("host"));
                w.restart_after("host", secs(1));
            };
            let report = World::new(seed).host("host", main).at(secs(2), step).at(secs(5), step).run();
            report.expect_ok();
            assert_eq!(lines(&starts), ["start", "start", "start", "end after 4s"]);
            assert_eq!(report.elapsed(), secs(10));
            assert_eq!(report.host("host").outcome(), &HostOutcome::Ended);
            assert_eq!(report.host("host").crashes(), 2);
            assert!(report.host("host").to_string().contains("has ended (it has crashed 2 times)"));
        }
    }
}

#[test]
fn a_crash_of_a_host_that_is_down_does_nothing() {
    let starts = Arc::new(AtomicU32::new(0));
    let inside = starts.clone();
    let main = move || {
        inside.fetch_add(1, Ordering::Relaxed);
        current().block_on(async { sleep(secs(10)).await });
    };
    let report = World::new(1)
        .host("host", main)
        .at(secs(1), |w| {
            w.crash("host");
            w.crash("host");
            w.restart_after("host", secs(3));
        })
        .at(secs(2), |w| w.crash("host"))
        .run();
    report.expect_ok();
    assert_eq!((starts.load(Ordering::Relaxed), report.host("host").crashes()), (2, 1));
    assert_faults(&report, &["after 1s: `host` crashes", "after 4s: `host` starts again"]);
}

#[test]
fn a_host_that_has_ended_may_crash_and_be_restarted() {
    let report = World::new(1)
        .host("short", || ())
        .host("long", sleeps(secs(9)))
        .at(secs(1), |w| w.restart_after("short", secs(1)))
        .at(secs(3), |w| w.crash("short"))
        .run();
    report.expect_ok();
    assert_eq!(report.host("short").outcome(), &HostOutcome::Down);
}

#[test]
fn a_world_waits_for_a_restart_that_may_come_and_not_for_other_steps() {
    let crash = |w: &mut Control| w.crash("host");
    let world = || World::new(1).host("host", sleeps(secs(5))).at(secs(1), crash);
    let report = world().run();
    report.expect_ok();
    assert_eq!(report.elapsed(), secs(1));
    let report = world().every(secs(10), |_| ()).run();
    report.expect_ok();
    assert_eq!(report.elapsed(), secs(1));
    let report = world().at(secs(100), |w| w.restart_after("host", secs(7))).run();
    report.expect_ok();
    assert_eq!((report.elapsed(), report.host("host").outcome()), (secs(112), &HostOutcome::Ended));
}

#[test]
fn a_restart_of_a_host_that_runs_or_will_run_is_a_clear_panic() {
    let restart = |w: &mut Control| w.restart_after("host", secs(1));
    let report = World::new(1).host("host", sleeps(secs(9))).at(secs(2), restart).run();
    let (kind, _, text) = only_failure(&report);
    assert_eq!(kind, FailureKind::Script);
    assert!(text.contains("cannot restart the host `host` at 2s: it runs. Let it crash first"), "{text}");
    let twice = move |w: &mut Control| {
        w.crash("host");
        restart(w);
        restart(w);
    };
    let report = World::new(1).host("host", sleeps(secs(9))).at(secs(2), twice).run();
    assert!(only_failure(&report).2.contains("it will be restarted already"), "{report}");
}

#[test]
fn an_unknown_host_is_a_clear_panic_with_the_known_ones() {
    type Act = fn(&mut Control);
    let acts: [(&str, Act); 3] = [
        ("crash", |w| w.crash("sever")),
        ("restart_after", |w| w.restart_after("sever", secs(1))),
        ("is_running", |w| assert!(w.is_running("sever"))),
    ];
    for (name, act) in acts {
        let world = World::new(1).host("server", sleeps(secs(9))).host("client", sleeps(secs(9)));
        let (kind, _, text) = only_failure(&world.at(secs(1), act).run());
        assert_eq!(kind, FailureKind::Script);
        assert!(text.contains(&format!("`Control::{name}` got the name")), "{text}");
        assert!(text.contains("`sever`. Its hosts are: `server`, `client`. Use one of these names"), "{text}");
    }
    let world = || World::new(1).host("server", || ());
    let message = |run: Box<dyn FnOnce() + std::panic::UnwindSafe>| {
        *std::panic::catch_unwind(run).unwrap_err().downcast::<String>().unwrap()
    };
    let text = message(Box::new(move || drop(world().faults(Faults::new().crash(&["sever"])).run())));
    assert!(text.contains("`Faults::crash`") && text.contains("`server`"), "{text}");
    let text = message(Box::new(move || assert_eq!(world().run().host("sever").crashes(), 0)));
    assert!(text.contains("`Report::host`") && text.contains("`server`"), "{text}");
}

#[test]
fn what_a_crash_ends_is_no_failure_and_what_fails_afterwards_is() {
    // The host panics because of its crash, in its main function and in a destructor.
    struct PanicsInDrop;
    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "only an unwinding thread drops it here");
        }
    }
    let main = || {
        let runtime = multi();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async {
                let _panics = PanicsInDrop;
                let task = redd::spawn(pending::<()>());
                assert!(task.await.is_err(), "it is cancelled by the crash at the earliest");
            });
        }));
        assert!(caught.is_err());
        // The thread is dead, and each further wait ends, too.
        runtime.block_on(pending::<()>());
    };
    let world = || World::new(1).host("host", main).host("other", sleeps(secs(9)));
    world().at(secs(1), |w| w.crash("host")).run().expect_ok();
    let starts = Arc::new(AtomicU32::new(0));
    let main = move || {
        let start = starts.fetch_add(1, Ordering::Relaxed);
        current().block_on(async { sleep(secs(3)).await });
        assert_eq!(start, 0, "the second run fails");
    };
    let report = World::new(1)
        .host("host", main)
        .at(secs(1), |w| {
            w.crash("host");
            w.restart_after("host", secs(1));
        })
        .run();
    assert_eq!(only_failure(&report).0, FailureKind::Host);
    assert!(matches!(report.host("host").outcome(), HostOutcome::Panicked(text) if text.contains("second run")));
}

#[test]
fn a_runtime_that_the_program_keeps_ends_with_its_host() {
    for runtime in FLAVORS {
        for seed in 0..10 {
            let dropped = Arc::new(AtomicU32::new(0));
            let inside = dropped.clone();
            let main = move || {
                let runtime: &'static Runtime = Box::leak(Box::new(runtime()));
                let dropped = Dropped(inside.clone());
                drop(runtime.spawn(async move {
                    let _dropped = dropped;
                    pending::<()>().await;
                }));
                drop(runtime.spawn_blocking(|| Handle::current().block_on(pending::<()>())));
                runtime.block_on(pending::<()>());
            };
            let report = World::new(seed)
                .host("host", main)
                .host("other", sleeps(secs(9)))
                .at(secs(5), |w| w.crash("host"))
                .run();
            report.expect_ok();
            assert_eq!(report.left_threads(), <[&str; 0]>::default(), "seed {seed}");
        }
    }
}

#[test]
fn a_runtime_of_a_crashed_host_cannot_be_used_by_the_next_run_of_the_host() {
    for runtime in FLAVORS {
        let kept: Arc<std::sync::OnceLock<Runtime>> = Arc::default();
        let main = move || kept.get_or_init(runtime).block_on(async { sleep(secs(4)).await });
        let report = World::new(1)
            .host("host", main)
            .at(secs(1), |w| {
                w.crash("host");
                w.restart_after("host", secs(1));
            })
            .run();
        let (kind, _, text) = only_failure(&report);
        assert_eq!(kind, FailureKind::Host);
        assert!(text.contains("`Runtime::block_on` was called on a runtime of a host that has crashed"), "{text}");
        assert!(text.contains("Build a new runtime"), "{text}");
    }
}

#[test]
fn a_crash_ends_local_runtimes_and_local_sets() {
    let dropped = Arc::new(AtomicU32::new(0));
    let (of_runtime, of_set) = (dropped.clone(), dropped.clone());
    let local_runtime = move || {
        let dropped = Dropped(of_runtime.clone());
        let runtime = Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
        runtime.block_on(async {
            redd::task::spawn_local(async move {
                let _dropped = dropped;
                pending::<()>().await;
            });
            pending::<()>().await;
        });
    };
    let local_set = move || {
        let dropped = Dropped(of_set.clone());
        let set = LocalSet::new();
        set.spawn_local(async move {
            let _dropped = dropped;
            pending::<()>().await;
        });
        multi().block_on(set.run_until(pending::<()>()));
    };
    for seed in 0..10 {
        dropped.store(0, Ordering::Relaxed);
        let report = World::new(seed)
            .host("runtime", local_runtime.clone())
            .host("set", local_set.clone())
            .at(secs(1), |w| {
                w.crash("runtime");
                w.crash("set");
            })
            .run();
        report.expect_ok();
        assert_eq!((dropped.load(Ordering::Relaxed), report.left_threads().len()), (2, 0), "{seed}");
    }
}

#[test]
fn a_crash_ends_a_shutdown_that_waits_for_a_closure() {
    for seed in 0..10 {
        let ended = Arc::new(AtomicU32::new(0));
        let inside = ended.clone();
        let main = move || {
            let runtime = multi();
            let (sender, receiver) = oneshot::channel::<()>();
            drop(runtime.spawn_blocking(move || receiver.blocking_recv()));
            runtime.block_on(async { sleep(ms(1)).await });
            drop(runtime); // It waits for the closure, which waits for the sender.
            inside.fetch_add(1, Ordering::Relaxed);
            drop(sender);
        };
        let report =
            World::new(seed).host("host", main).host("other", sleeps(secs(3))).at(secs(1), |w| w.crash("host")).run();
        report.expect_ok();
        assert_eq!((ended.load(Ordering::Relaxed), report.left_threads().len()), (1, 0), "{seed}");
    }
}

#[test]
fn a_host_that_crashes_at_its_start_runs_nothing() {
    let mut all = BTreeSet::new();
    for seed in 0..50 {
        let starts = Log::default();
        let inside = starts.clone();
        let main = move || {
            log(&inside, "starts");
            current().block_on(async { sleep(secs(1)).await });
        };
        let report = World::new(seed)
            .host("host", main)
            .at(Duration::ZERO, |w| {
                w.crash("host");
                w.restart_after("host", Duration::ZERO);
            })
            .run();
        report.expect_ok();
        assert_eq!((report.elapsed(), report.host("host").crashes()), (secs(1), 1));
        all.insert(lines(&starts).len());
    }
    assert_eq!(Vec::from_iter(all), [1, 2], "by the order of the host and the step");
}

#[test]
fn a_thread_that_waits_forever_after_a_crash_is_left_and_reported() {
    // A destructor that waits while its thread unwinds cannot be ended.
    struct Waits(Option<oneshot::Receiver<()>>);
    impl Drop for Waits {
        fn drop(&mut self) {
            let _ = self.0.take().unwrap().blocking_recv();
        }
    }
    let (sender, receiver) = oneshot::channel();
    let receiver = std::sync::Mutex::new(Some(receiver));
    let main = move || {
        let _waits = Waits(receiver.lock().unwrap().take());
        current().block_on(pending::<()>());
    };
    let report =
        World::new(1).host("stuck", main).host("other", sleeps(secs(9))).at(secs(5), |w| w.crash("stuck")).run();
    report.expect_ok();
    assert_eq!((report.elapsed(), report.left_threads()), (secs(9), &["stuck".to_owned()][..]));
    assert!(report.to_string().contains("threads that a crash has left: `stuck`"), "{report}");
    drop(sender);
}

#[test]
fn an_invariant_may_let_a_host_crash() {
    let (sender, receiver) = watch::channel(0);
    let main = move || {
        current().block_on(async {
            loop {
                sleep(secs(1)).await;
                sender.send_modify(|value| *value += 1);
            }
        });
    };
    let report = World::new(1)
        .host("counter", main)
        .host("other", sleeps(secs(9)))
        .always(move |w| {
            if *receiver.borrow() == 3 {
                w.crash("counter");
            }
        })
        .run();
    report.expect_ok();
    assert_faults(&report, &["after 3s: `counter` crashes"]);
}

// The network

#[test]
fn changes_of_the_network_are_told_in_words() {
    let report = World::new(1)
        .latency(ms(1)..ms(5))
        .bandwidth(1000)
        .loss(0.1)
        .reorder(0.2)
        .duplicate(0.3)
        .short_reads(50)
        .host("a", sleeps(secs(9)))
        .host("b", sleeps(secs(9)))
        .host("c", sleeps(secs(9)))
        .at(secs(1), |w| w.partition(&["a", "b"], &["c"]))
        .at(secs(2), |w| {
            w.heal();
            w.refuse(&["a"], &["b", "c"]);
        })
        .at(secs(3), |w| {
            w.heal();
            w.latency(ms(3)..ms(3));
            w.bandwidth(None);
            w.bandwidth(Some(7));
            w.loss(0.5);
            w.reorder(0.25);
            w.duplicate(1.0);
            w.short_reads(0);
        })
        .run();
    report.expect_ok();
    assert_faults(
        &report,
        &[
            "after 1s: `a`, `b` are cut off from `c`",
            "after 2s: all hosts reach each other again",
            "after 2s: packets between `a` and `b`, `c` are refused",
            "after 3s: all hosts reach each other again",
            "after 3s: packets take 3ms",
            "after 3s: the links have no limit of bandwidth",
            "after 3s: each link carries 7 bytes per second",
            "after 3s: a packet is lost with probability 0.5",
            "after 3s: a datagram is overtaken with probability 0.25",
            "after 3s: a datagram arrives twice with probability 1",
            "after 3s: 0 % of reads and writes are short",
        ],
    );
    assert!(report.to_string().contains("\nwhat was done to it:\n  after 1s: `a`, `b` are cut off"), "{report}");
}

/// Serves one byte to each connection, and logs the address that it is bound to.
fn serves(seen: &Log) -> impl Fn() + Send + Sync + 'static {
    let seen = seen.clone();
    move || {
        let seen = seen.clone();
        multi().block_on(async move {
            let listener = TcpListener::bind("0.0.0.0:80").await.unwrap();
            loop {
                let (mut stream, peer) = listener.accept().await.unwrap();
                log(&seen, format!("{} {}", stream.local_addr().unwrap(), peer.ip()));
                drop(redd::spawn(async move {
                    while let Ok(byte) = stream.read_u8().await {
                        if stream.write_u8(byte + 1).await.is_err() {
                            break;
                        }
                    }
                }));
            }
        });
    }
}

/// Asks the server each 100 ms on a connection of its own, for some seconds. Logs the seconds in which an answer came, and the errors.
fn asks(seen: &Log, seconds: u64) -> impl Fn() + Send + Sync + 'static {
    let seen = seen.clone();
    move || {
        let seen = seen.clone();
        current().block_on(async move {
            let start = Instant::now();
            while start.elapsed() < secs(seconds) {
                let asked = start.elapsed().as_secs();
                let ask = async {
                    let mut stream = TcpStream::connect("server:80").await?;
                    stream.write_u8(1).await?;
                    stream.read_u8().await
                };
                log(
                    &seen,
                    match timeout(ms(500), ask).await {
                        Ok(Ok(answer)) => format!("{asked}: {answer}"),
                        Ok(Err(error)) => format!("{asked}: {:?}", error.kind()),
                        Err(_) => format!("{asked}: timeout"),
                    },
                );
                sleep(ms(100)).await;
            }
        });
    }
}

#[test]
fn a_restarted_host_has_its_address_and_answers_again() {
    for seed in 0..20 {
        let (served, asked) = (Log::default(), Log::default());
        let report = World::new(seed)
            .service("server", serves(&served))
            .host("client", asks(&asked, 5))
            .at(secs(1), |w| {
                w.crash("server");
                w.restart_after("server", secs(2));
            })
            .run();
        report.expect_ok();
        let lines = lines(&asked);
        for (second, expected) in [(0, true), (1, false), (2, false), (4, true)] {
            let of_second = lines.iter().filter(|line| line.starts_with(&format!("{second}: ")));
            let answers = Vec::from_iter(of_second.map(|line| line.ends_with(": 2")));
            // A request may be on its way at the crash.
            assert!(
                answers.len() > 1 && answers[1..].iter().all(|is_answer| *is_answer == expected),
                "{seed}: {lines:?}"
            );
        }
        let addresses: BTreeSet<_> = served.lock().unwrap().iter().cloned().collect();
        assert_eq!(addresses.len(), 1, "both runs have one address: {addresses:?}");
    }
}

#[test]
fn a_partition_loses_what_is_sent_until_it_is_healed_and_a_refused_link_answers_at_once() {
    for seed in 0..20 {
        let asked = Log::default();
        let report = World::new(seed)
            .service("server", serves(&Log::default()))
            .host("client", asks(&asked, 6))
            .at(secs(1), |w| w.partition(&["client"], &["server"]))
            .at(secs(2), |w| w.heal())
            .at(secs(4), |w| w.refuse(&["client"], &["server"]))
            .at(secs(5), |w| w.heal())
            .run();
        report.expect_ok();
        let lines = lines(&asked);
        for (second, expected) in [(0, "2"), (1, "timeout"), (3, "2"), (4, "ConnectionRefused"), (5, "2")] {
            let of_second = lines.iter().filter(|line| line.starts_with(&format!("{second}: ")));
            let answers = Vec::from_iter(of_second.map(|line| line.split_once(": ").unwrap().1));
            // A request may be on its way when the link changes.
            assert!(answers.len() > 1, "{seed}: {lines:?}");
            assert!(answers[1..].iter().all(|answer| *answer == expected), "{seed}, {second}: {lines:?}");
        }
    }
}

#[test]
fn latency_is_that_of_the_world_or_of_its_script() {
    let times = Log::default();
    let inside = times.clone();
    let client = move || {
        let inside = inside.clone();
        current().block_on(async move {
            let mut stream = TcpStream::connect("server:80").await.unwrap();
            for _ in 0..2 {
                let start = Instant::now();
                stream.write_u8(1).await.unwrap();
                assert_eq!(stream.read_u8().await.unwrap(), 2);
                log(&inside, format!("{:?}", start.elapsed()));
                sleep(secs(2)).await;
            }
        });
    };
    let report = World::new(1)
        .latency(ms(30)..ms(30))
        .service("server", serves(&Log::default()))
        .host("client", client)
        .at(secs(1), |w| w.latency(ms(200)..ms(200)))
        .run();
    report.expect_ok();
    assert_eq!(lines(&times), ["60ms", "400ms"]);
}

#[test]
fn a_crash_loses_what_is_not_synced_and_keeps_what_is() {
    let kept = (0..30).map(|seed| {
        let (starts, found) = (AtomicU32::new(0), Log::default());
        let inside = found.clone();
        let main = move || {
            let (start, inside) = (starts.fetch_add(1, Ordering::Relaxed), inside.clone());
            multi().block_on(async move {
                if start > 0 {
                    let read = |path| async move { redd::fs::read_to_string(path).await.unwrap_or_default() };
                    return log(&inside, format!("{} {}", read("/synced").await, read("/written").await));
                }
                let mut file = redd::fs::File::create("/synced").await.unwrap();
                file.write_all(b"yes").await.unwrap();
                file.sync_all().await.unwrap();
                redd::fs::File::open("/").await.unwrap().sync_all().await.unwrap();
                redd::fs::write("/written", b"perhaps").await.unwrap();
                let error = loop {
                    sleep(secs(2)).await;
                    if let Err(error) = file.metadata().await {
                        break error;
                    }
                };
                log(&inside, format!("a task goes on after the crash: {error}"));
            });
        };
        let report = World::new(seed)
            .host("host", main)
            .at(secs(1), |w| {
                w.crash("host");
                w.restart_after("host", secs(4));
            })
            .run();
        report.expect_ok();
        let found = lines(&found);
        assert!(found.len() == 1 && found[0].starts_with("yes "), "{seed}: {found:?}");
        found[0].clone()
    });
    let kept: BTreeSet<_> = kept.collect();
    assert!(kept.len() > 1, "seeds lose different parts: {kept:?}");
}

#[test]
fn closures_that_wait_for_a_thread_do_not_run_after_a_crash() {
    for seed in 0..20 {
        let ran = Arc::new(AtomicU32::new(0));
        let inside = ran.clone();
        let main = move || {
            let inside = inside.clone();
            let runtime = Builder::new_multi_thread().max_blocking_threads(1).enable_all().build().unwrap();
            runtime.block_on(async move {
                drop(spawn_blocking(|| Handle::current().block_on(pending::<()>())));
                for _ in 0..3 {
                    let inside = inside.clone();
                    drop(spawn_blocking(move || inside.fetch_add(1, Ordering::Relaxed)));
                }
                pending::<()>().await;
            });
        };
        let report =
            World::new(seed).host("host", main).host("other", sleeps(secs(3))).at(secs(1), |w| w.crash("host")).run();
        report.expect_ok();
        assert_eq!((ran.load(Ordering::Relaxed), report.left_threads().len()), (0, 0), "{seed}");
    }
}

#[test]
fn settings_that_make_no_sense_are_clear_panics() {
    type Act = fn(&mut Control);
    let acts: [(Act, &str); 5] = [
        (
            |w| w.latency(ms(2)..ms(1)),
            "`Control::latency` got the range 2ms..1ms, which ends before it starts. Give the shorter",
        ),
        (|w| w.bandwidth(Some(0)), "`Control::bandwidth` got a bandwidth of 0"),
        (|w| w.loss(1.5), "`Control::loss` got the probability 1.5. Give a number from 0.0"),
        (|w| w.duplicate(f64::NAN), "`Control::duplicate` got the probability NaN"),
        (|w| w.short_reads(101), "`Control::short_reads` got 101 percent. Give a number from 0"),
    ];
    for (act, expected) in acts {
        let report = World::new(1).host("a", sleeps(secs(9))).at(secs(1), act).run();
        let (kind, _, text) = only_failure(&report);
        assert!(kind == FailureKind::Script && text.contains(expected), "{text}");
    }
}

#[test]
#[should_panic(expected = "`World::loss` got the probability -1. Give a number")]
fn a_world_checks_its_settings_before_it_runs() {
    let _ = World::new(1).loss(-1.0);
}

// Signals

/// A host that counts the signals of this kind that it receives.
fn counts(kind: SignalKind, count: &Arc<AtomicU32>) -> impl Fn() + Send + Sync + 'static {
    let count = count.clone();
    move || {
        current().block_on(async {
            let mut signals = signal(kind).unwrap();
            let counting = async {
                while signals.recv().await.is_some() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            };
            let _ = timeout(secs(9), counting).await;
        });
    }
}

#[test]
fn a_signal_reaches_the_listeners_of_its_host_and_no_handler_of_the_process() {
    // A number that no other test of this process uses.
    let kind = SignalKind::from_raw(47);
    let (first, second) = (Arc::default(), Arc::default());
    let report = World::new(1)
        .host("first", counts(kind, &first))
        .host("second", counts(kind, &second))
        .at(secs(1), move |w| w.signal("first", kind))
        .at(secs(2), move |w| {
            w.signal("first", kind);
            w.signal("first", kind);
            w.signal("second", kind);
        })
        .run();
    report.expect_ok();
    assert_eq!(first.load(Ordering::Relaxed), 2, "two at one instant are received as one");
    assert_eq!(second.load(Ordering::Relaxed), 1);
    assert_eq!(report.faults()[0].to_string(), "after 1s: `first` gets signal 47");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
    assert_eq!(u64::from_str_radix(caught, 16).unwrap() >> (47 - 1) & 1, 0, "{caught}");
}

#[test]
fn a_signal_has_its_default_action_until_the_program_listens() {
    let default = |kind: SignalKind| {
        let report = World::new(1).host("host", sleeps(secs(9))).at(secs(1), move |w| w.signal("host", kind)).run();
        report.expect_ok();
        report
    };
    for (kind, name) in [
        (SignalKind::terminate(), "SIGTERM"),
        (SignalKind::interrupt(), "SIGINT"),
        (SignalKind::from_raw(9), "SIGKILL"),
        (SignalKind::from_raw(11), "signal 11"),
    ] {
        let report = default(kind);
        assert_eq!(report.host("host").outcome(), &HostOutcome::Down);
        let gets = format!("after 1s: `host` gets {name}, for which it has no listener");
        assert_faults(&report, &[&gets, "after 1s: `host` crashes"]);
    }
    let report = default(SignalKind::window_change());
    assert_eq!((report.host("host").outcome(), report.elapsed()), (&HostOutcome::Ended, secs(9)));
    assert_faults(&report, &["after 1s: `host` gets SIGWINCH, and ignores it"]);
}

#[test]
fn a_listener_replaces_the_default_action_until_its_host_crashes() {
    let main = |listens: bool| {
        move || {
            current().block_on(async move {
                if listens {
                    drop(signal(SignalKind::terminate()).unwrap());
                }
                sleep(secs(9)).await;
            });
        }
    };
    let report =
        World::new(1).host("host", main(true)).at(secs(1), |w| w.signal("host", SignalKind::terminate())).run();
    report.expect_ok();
    assert_eq!((report.host("host").outcome(), report.elapsed()), (&HostOutcome::Ended, secs(9)), "never undone");

    let starts = AtomicU32::new(0);
    let main = move || main(starts.fetch_add(1, Ordering::Relaxed) == 0)();
    let report = World::new(1)
        .host("host", main)
        .at(secs(1), |w| {
            w.crash("host");
            w.signal("host", SignalKind::terminate());
            w.restart_after("host", secs(1));
        })
        .at(secs(3), |w| w.signal("host", SignalKind::terminate()))
        .run();
    report.expect_ok();
    assert_eq!((report.host("host").outcome(), report.host("host").crashes()), (&HostOutcome::Down, 2));
    assert_eq!(report.faults()[1].to_string(), "after 1s: `host` does not run, so it does not get SIGTERM");
}

#[test]
fn ctrl_c_is_received_once_by_each_call() {
    let main = || {
        multi().block_on(async {
            let start = Instant::now();
            let other = redd::spawn(redd::signal::ctrl_c());
            redd::signal::ctrl_c().await.unwrap();
            other.await.unwrap().unwrap();
            assert_eq!(start.elapsed(), secs(2));
            let second = timeout(secs(5), redd::signal::ctrl_c()).await;
            assert!(second.is_err(), "it is over");
        });
    };
    let world = World::new(1).host("host", main).at(secs(2), |w| w.signal("host", SignalKind::interrupt()));
    assert_eq!(world.run().expect_ok().elapsed(), secs(7));
}

#[test]
fn signals_that_cannot_be_simulated_are_clear_panics() {
    for (number, expected) in
        [(19, "signal 19, which stops a program"), (0, "Its signals are 1 to 64"), (99, "1 to 64")]
    {
        let send = move |w: &mut Control| w.signal("host", SignalKind::from_raw(number));
        let report = World::new(1).host("host", sleeps(secs(9))).at(secs(1), send).run();
        let (kind, _, text) = only_failure(&report);
        assert!(kind == FailureKind::Script && text.contains(expected), "{text}");
    }
}

#[test]
fn an_hour_of_phases_follows_a_signal() {
    for runtime in FLAVORS {
        for seed in 0..10 {
            let main = move || {
                runtime().block_on(async {
                    let phases = Phases::new().then("requests", secs(1200)).then("jobs", secs(2400));
                    let requests = TaskGroup::discarding().in_phase(&phases, "requests").start();
                    requests.spawn(async {
                        sleep(secs(900)).await;
                    });
                    let jobs = TaskGroup::discarding().name("stuck").in_phase(&phases, "jobs").start();
                    jobs.spawn(pending());
                    let report = phases.on_signals().await.unwrap();
                    assert_eq!(report.reason(), "SIGTERM");
                    assert_eq!(report.took(), secs(900 - 60 + 2400));
                    assert_eq!(report.left().count(), 1);
                });
            };
            let world = World::new(seed).host("host", main).at(secs(60), |w| w.signal("host", SignalKind::terminate()));
            let report = world.run();
            report.expect_ok();
            assert!(report.elapsed() >= secs(900 + 2400) && report.elapsed() < secs(900 + 2401), "{report}");
        }
    }
}

#[test]
fn a_second_signal_takes_the_time_that_is_left() {
    let main = || {
        current().block_on(async {
            let phases = Phases::new().then("requests", secs(3600));
            let requests = TaskGroup::discarding().in_phase(&phases, "requests").start();
            requests.spawn(pending());
            let report = phases.on_signals().await.unwrap();
            assert_eq!((report.reason(), report.ended_early()), ("SIGTERM", Some("SIGINT")));
        });
    };
    let world = World::new(1)
        .host("host", main)
        .at(secs(1), |w| w.signal("host", SignalKind::terminate()))
        .at(secs(4), |w| w.signal("host", SignalKind::interrupt()));
    assert!(world.run().expect_ok().elapsed() < secs(5));
}

// Random faults

fn run_faults(seed: u64) -> Report {
    let server = || {
        multi().block_on(async {
            loop {
                redd::spawn(sleep(ms(70))).await.unwrap();
            }
        });
    };
    let faults =
        Faults::new().crash(&["first", "second"]).every(ms(500)..secs(4)).lasting(ms(1)..secs(3)).until(secs(40));
    World::new(seed)
        .record(true)
        .host("first", server)
        .host("second", server)
        .host("client", sleeps(secs(50)))
        .faults(faults)
        .at(secs(50), |w| {
            w.crash("first");
            w.crash("second");
        })
        .run()
}

#[test]
fn random_crashes_follow_the_seed_and_each_is_reported() {
    let mut all = BTreeSet::new();
    for seed in 0..20 {
        let (report, again) = (run_faults(seed), run_faults(seed));
        report.expect_ok();
        assert_eq!(report.first_difference(&again), None, "seed {seed}");
        assert_eq!((report.event_hash(), report.faults()), (again.event_hash(), again.faults()));
        let crashes = report.host("first").crashes() + report.host("second").crashes();
        let told = report.faults().iter().filter(|fault| fault.to_string().contains("crashes")).count();
        assert_eq!(crashes as usize, told);
        assert!((5..50).contains(&told), "{told}");
        let last = report.faults().iter().filter(|fault| fault.at() < secs(50)).map(redd::sim::Fault::at).max();
        assert!(last < Some(secs(43)), "{last:?}");
        all.insert(Vec::from_iter(report.faults().iter().map(ToString::to_string)));
    }
    assert_eq!(all.len(), 20, "seeds differ");
}

#[test]
fn random_faults_of_the_network_begin_and_end() {
    for seed in 0..20 {
        let run = || {
            let faults =
                Faults::new().partition().latency(secs(1)..secs(2)).loss(0.5).every(ms(200)..secs(2)).until(secs(40));
            let hosts = ["a", "b", "c"].into_iter();
            let world = hosts.fold(World::new(seed), |world, host| world.host(host, sleeps(secs(50))));
            world.loss(0.25).faults(faults).run()
        };
        let (report, again) = (run(), run());
        report.expect_ok();
        assert_eq!((report.event_hash(), report.faults()), (again.event_hash(), again.faults()));
        let count = |text: &str| report.faults().iter().filter(|fault| fault.to_string().contains(text)).count();
        assert!(count("cut off") > 1);
        assert_eq!(count("cut off"), count("all hosts reach each other again"));
        assert_eq!(count("packets take 1s to 2s"), count("packets take 100µs to 1ms"));
        assert_eq!(count("with probability 0.5"), count("with probability 0.25"));
        let all = ["cut off", "reach", "packets take", "a packet is lost"].map(count).iter().sum::<usize>();
        assert_eq!(all, report.faults().len(), "{report}");
    }
}

// Determinism

/// Everything at once.
fn run_all(seed: u64) -> Report {
    let server = || {
        multi().block_on(async {
            let (lock, total) = (Arc::new(Mutex::new(0_u32)), Arc::new(AtomicU32::new(0)));
            loop {
                let (lock, total) = (lock.clone(), total.clone());
                let task = redd::spawn(async move {
                    let mut guard = lock.lock().await;
                    *guard += 1;
                    sleep(ms(40)).await;
                });
                spawn_blocking(move || total.fetch_add(1, Ordering::Relaxed)).await.unwrap();
                redd::select! {
                    joined = task => joined.unwrap(),
                    () = sleep(ms(29)) => (),
                }
            }
        });
    };
    World::new(seed)
        .record(true)
        .host("server", server)
        .host("client", sleeps(ms(1500)))
        .faults(Faults::new().crash(&["server"]).every(ms(50)..ms(800)).lasting(ms(1)..ms(200)).until(secs(1)))
        .every(ms(350), |w| {
            if w.is_running("server") {
                w.crash("server");
                w.restart_after("server", ms(40));
            }
        })
        .always(|w| w.now() <= ms(1500))
        .at(ms(1500), |w| w.crash("server"))
        .run()
}

#[test]
fn a_seed_fixes_all_of_it() {
    let mut hashes = BTreeSet::new();
    for seed in 0..200 {
        let (first, second) = (run_all(seed), run_all(seed));
        assert_eq!(first.first_difference(&second), None, "seed {seed}");
        assert_eq!(first.event_hash(), second.event_hash(), "seed {seed}");
        assert_eq!((first.to_string(), first.faults()), (second.to_string(), second.faults()), "seed {seed}");
        hashes.insert(first.event_hash());
    }
    assert_eq!(hashes.len(), 200, "seeds differ");
}

#[test]
fn ten_worlds_run_at_once_and_do_not_affect_each_other() {
    let alone = Vec::from_iter((0..10).map(|seed| run_all(seed).event_hash()));
    #[allow(clippy::disallowed_methods, reason = "threads outside of worlds, as those of a test harness")]
    let threads = Vec::from_iter((0..10).map(|seed| std::thread::spawn(move || run_all(seed).event_hash())));
    let at_once = Vec::from_iter(threads.into_iter().map(|thread| thread.join().unwrap()));
    assert_eq!(alone, at_once);
}

/// Its destructor panics, also while another panic unwinds.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the bomb goes off");
    }
}

#[test]
fn a_destructor_that_panics_in_a_block_on_does_not_end_the_process_when_its_host_crashes_or_its_world_fails() {
    for runtime in FLAVORS {
        let main = move || {
            runtime().block_on(async {
                let bomb = Bomb;
                sleep(secs(5)).await;
                #[allow(clippy::mem_forget, reason = "it goes off otherwise")]
                std::mem::forget(bomb);
            });
        };
        let report = World::new(1)
            .host("host", main)
            .at(secs(1), |w| {
                w.crash("host");
                w.restart_after("host", secs(1));
            })
            .run();
        assert_eq!(report.expect_ok().elapsed(), secs(7));

        let main = move || {
            runtime().block_on(async {
                let _bomb = Bomb;
                pending::<()>().await;
            });
        };
        let report = World::new(1).host("host", main).run();
        assert_eq!(only_failure(&report).0, FailureKind::NothingCanHappen);

        let own_world = std::panic::catch_unwind(|| {
            Builder::new_current_thread().simulated(1).build().unwrap().block_on(async {
                let _bomb = Bomb;
                pending::<()>().await;
            });
        });
        let payload = own_world.unwrap_err();
        let message = payload.downcast_ref::<String>().unwrap();
        assert!(message.contains("nothing can happen"), "{message}");
    }
}

#[test]
fn faults_that_last_forever_do_not_end_the_script() {
    let faults = Faults::new().loss(0.5).every(secs(1)..secs(1)).lasting(Duration::MAX..Duration::MAX);
    let world = World::new(1).host("host", sleeps(secs(30))).faults(faults).every(Duration::MAX, |_| ());
    let report = world.always(|w| w.now() < secs(30)).run();
    assert_eq!(only_failure(&report).0, FailureKind::Invariant);
    assert_eq!(report.faults().len(), 1);
}

#[test]
#[should_panic(expected = "the clock would never move")]
fn faults_at_one_instant_without_end_are_refused() {
    drop(Faults::new().every(Duration::ZERO..Duration::ZERO));
}

#[test]
#[should_panic(expected = "`Faults::every` got the range 5s..1s, which ends before it starts")]
fn a_time_between_faults_that_ends_before_it_starts_is_refused() {
    drop(Faults::new().every(secs(5)..secs(1)));
}

#[test]
#[should_panic(expected = "`Faults::lasting` got the range 5s..1s, which ends before it starts")]
fn a_length_of_faults_that_ends_before_it_starts_is_refused() {
    drop(Faults::new().lasting(secs(5)..secs(1)));
}

#[test]
fn a_step_at_a_time_that_the_clock_never_shows_is_skipped() {
    let world = World::new(1).limit(Duration::MAX).at(Duration::MAX, |_| ());
    let report = world.host("host", || current().block_on(pending::<()>())).run();
    assert_eq!(only_failure(&report).0, FailureKind::NothingCanHappen);
    assert_eq!(report.skipped(), [Duration::MAX]);
}

#[test]
fn a_world_that_is_refused_leaves_no_thread_behind() {
    let held = Arc::new(());
    let in_host = Arc::clone(&held);
    let world = World::new(1).host("host", move || drop(Arc::clone(&in_host)));
    let world = world.faults(Faults::new().crash(&["other"]));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(world.run()))).unwrap_err();
    assert_eq!(Arc::strong_count(&held), 1);
}
