//! Random faults, and one seed for all of it.

use crate::{ms, multi, only_failure, secs, sleeps};
use redd::sim::{FailureKind, Faults, Report, World};
use redd::sync::Mutex;
use redd::task::spawn_blocking;
use redd::time::{Duration, sleep};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

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
fn a_world_that_is_refused_leaves_no_thread_behind() {
    let held = Arc::new(());
    let in_host = Arc::clone(&held);
    let world = World::new(1).host("host", move || drop(Arc::clone(&in_host)));
    let world = world.faults(Faults::new().crash(&["other"]));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(world.run()))).unwrap_err();
    assert_eq!(Arc::strong_count(&held), 1);
}
