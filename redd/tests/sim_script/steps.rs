//! Steps of the script, and invariants.

use crate::{FLAVORS, Log, assert_faults, current, lines, log, multi, only_failure, secs, sleeps};
use redd::sim::{Control, FailureKind, HostOutcome, World, settle};
use redd::sync::watch;
use redd::task::yield_now;
use redd::time::{Duration, Instant, sleep};
use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

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
    assert!(text.contains("on purpose") && text.contains("sim_script/steps.rs:"), "{text}");
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

#[test]
fn a_step_at_a_time_that_the_clock_never_shows_is_skipped() {
    let world = World::new(1).limit(Duration::MAX).at(Duration::MAX, |_| ());
    let report = world.host("host", || current().block_on(pending::<()>())).run();
    assert_eq!(only_failure(&report).0, FailureKind::NothingCanHappen);
    assert_eq!(report.skipped(), [Duration::MAX]);
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
        assert!(text.contains(expected) && text.contains("sim_script/steps.rs:"), "{text}");
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
