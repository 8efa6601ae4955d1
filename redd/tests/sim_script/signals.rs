//! Signals to hosts, and phases that begin with them.

use crate::{FLAVORS, assert_faults, current, multi, only_failure, secs, sleeps};
use redd::group::{Phases, TaskGroup};
use redd::signal::unix::{SignalKind, signal};
use redd::sim::{Control, FailureKind, HostOutcome, World};
use redd::time::{Instant, sleep, timeout};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

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
