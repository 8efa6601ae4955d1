//! Crashes and restarts: what ends with a host, and what does not.

use crate::{
    Dropped, FLAVORS, Log, assert_faults, crash_and_restart, current, lines, log, ms, multi, only_failure, secs, sleeps,
};
use redd::io::AsyncWriteExt;
use redd::runtime::{Builder, Handle, Runtime};
use redd::sim::{Control, FailureKind, Faults, HostOutcome, Report, World};
use redd::sync::{Mutex, Notify, oneshot};
use redd::task::{LocalSet, block_in_place, spawn_blocking, yield_now};
use redd::time::{Duration, Instant, sleep};
use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

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

/// A world in which this program's host crashes after 5 s, and another one ends after 9.
#[track_caller]
fn crashes_after_5_s(seed: u64, main: impl Fn() + Send + Sync + 'static) -> Report {
    let world = World::new(seed).host("host", main).host("other", sleeps(secs(9)));
    let report = world.at(secs(5), |w| w.crash("host")).run();
    report.expect_ok();
    report
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
            let report = crashes_after_5_s(seed, main);
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
        drop(crashes_after_5_s(seed, main));
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
                .at(secs(5), crash_and_restart(secs(1)))
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
    // The host panics because of its crash, in its main function and in a destructor. A failed assertion there would be no failure of the
    // world, so the host logs what it does.
    struct PanicsInDrop(Log);
    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            log(&self.0, "dropped");
            panic!("it is dropped by the crash");
        }
    }
    let seen = Log::default();
    let inside = seen.clone();
    let main = move || {
        let runtime = multi();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async {
                let _panics = PanicsInDrop(inside.clone());
                let _ = redd::spawn(pending::<()>()).await;
                log(&inside, "the wait ends");
            });
        }));
        log(&inside, if caught.is_err() { "caught" } else { "nothing to catch" });
        // The thread is dead, and each further wait ends, too.
        runtime.block_on(pending::<()>());
        log(&inside, "a further wait ends");
    };
    let world = World::new(1).host("host", main).host("other", sleeps(secs(9)));
    world.at(secs(1), |w| w.crash("host")).run().expect_ok();
    assert_eq!(lines(&seen), ["dropped", "caught"]);

    let starts = Arc::new(AtomicU32::new(0));
    let main = move || {
        let start = starts.fetch_add(1, Ordering::Relaxed);
        current().block_on(async { sleep(secs(3)).await });
        assert_eq!(start, 0, "the second run fails");
    };
    let report = World::new(1).host("host", main).at(secs(1), crash_and_restart(secs(1))).run();
    assert_eq!(only_failure(&report).0, FailureKind::Host);
    assert!(matches!(report.host("host").outcome(), HostOutcome::Panicked(text) if text.contains("second run")));
}

#[test]
fn a_runtime_that_the_program_keeps_ends_with_its_host() {
    // The program never drops the runtime. A current-thread one then keeps the futures of its tasks.
    for (runtime, drops) in FLAVORS.into_iter().zip([1, 0]) {
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
            let report = crashes_after_5_s(seed, main);
            assert_eq!(dropped.load(Ordering::Relaxed), drops, "seed {seed}");
            assert_eq!(report.left_threads(), <[&str; 0]>::default(), "seed {seed}");
        }
    }
}

#[test]
fn a_runtime_of_a_crashed_host_cannot_be_used_by_the_next_run_of_the_host() {
    for runtime in FLAVORS {
        let kept: Arc<std::sync::OnceLock<Runtime>> = Arc::default();
        let main = move || kept.get_or_init(runtime).block_on(async { sleep(secs(4)).await });
        let report = World::new(1).host("host", main).at(secs(1), crash_and_restart(secs(1))).run();
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
        let report = crashes_after_5_s(seed, main);
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
        let report = World::new(seed).host("host", main).at(Duration::ZERO, crash_and_restart(Duration::ZERO)).run();
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
        let report = World::new(seed).host("host", main).at(secs(1), crash_and_restart(secs(4))).run();
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
        let report = crashes_after_5_s(seed, main);
        assert_eq!((ran.load(Ordering::Relaxed), report.left_threads().len()), (0, 0), "{seed}");
    }
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
        let report = World::new(1).host("host", main).at(secs(1), crash_and_restart(secs(1))).run();
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
