//! `Phases`: what a phase waits for, what is cancelled when, and what the report says of it.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "a thread of no runtime, in a test that fails if the system refuses one")]

use std::future::{Future, pending};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use redd::group::{self, LeftKind, Phases, Reason, Report, Supervisor, TaskGroup, shield};
use redd::runtime::{Builder, Handle, LocalRuntime, Runtime};
use redd::sync::oneshot;
use redd::task::yield_now;
use redd::time::{Duration, Instant, sleep};

fn current() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Runs a test in paused time. No task is left behind.
fn paused<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
        test().await;
        assert_eq!(alive(), 0, "no task is left");
    });
}

fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Four phases of 0, 20, 5 and 2 seconds.
fn four() -> Phases {
    Phases::new().then("accept", Duration::ZERO).then("requests", secs(20)).then("jobs", secs(5)).then("flush", secs(2))
}

/// For each phase: the seconds that it took, and how much was left in it.
fn rows(report: &Report) -> Vec<(&str, u64, usize)> {
    report.phases().iter().map(|phase| (phase.name(), phase.took().as_secs(), phase.left().len())).collect()
}

fn names(report: &Report) -> Vec<&str> {
    report.left().map(|left| left.name().unwrap_or("-")).collect()
}

#[track_caller]
fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(f())));
    let payload = caught.expect_err("it panics");
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap()
}

// The order of phases, and their times.

#[test]
fn phases_follow_one_another_and_end_when_nothing_is_left() {
    paused(|| async {
        let phases = four();
        let begin = Instant::now();
        let order = Arc::new(Mutex::new(Vec::new()));
        let listeners: Vec<_> = ["flush", "accept", "jobs", "requests"]
            .map(|name| {
                let (reached, order) = (phases.reached(name), Arc::clone(&order));
                redd::spawn(async move {
                    reached.await;
                    order.lock().unwrap().push((name, begin.elapsed().as_secs()));
                })
            })
            .into();
        let groups: Vec<_> = [("requests", 3), ("jobs", 4), ("flush", 1)]
            .map(|(name, seconds)| {
                let group = TaskGroup::builder().in_phase(&phases, name).start();
                let starts = phases.reached(name);
                group.spawn(async move {
                    starts.await;
                    sleep(secs(seconds)).await;
                });
                group
            })
            .into();
        sleep(secs(7)).await;
        assert!(!phases.is_started() && order.lock().unwrap().is_empty());
        phases.start("test");
        let report = phases.finished().await;
        assert_eq!(rows(&report), [("accept", 0, 0), ("requests", 3, 0), ("jobs", 4, 0), ("flush", 1, 0)]);
        assert_eq!(report.phases().iter().map(|phase| phase.allowed().as_secs()).collect::<Vec<_>>(), [0, 20, 5, 2]);
        assert_eq!((report.took().as_secs(), report.reason(), report.ended_early()), (8, "test", None));
        assert!(report.is_clean());
        for listener in listeners {
            listener.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [("accept", 7), ("requests", 7), ("jobs", 10), ("flush", 14)]);
        for group in groups {
            assert_eq!(group.close().await.unwrap(), [()]);
        }
    });
}

#[test]
fn what_ends_in_time_is_not_left_and_what_ends_after_it_is() {
    for (millis, is_clean) in [(19_999, true), (20_001, false)] {
        paused(|| async move {
            let phases = four();
            let requests = TaskGroup::builder().name("requests").in_phase(&phases, "requests").start();
            requests.spawn(sleep(Duration::from_millis(millis)));
            phases.start("test");
            let report = phases.finished().await;
            assert_eq!(report.is_clean(), is_clean);
            assert_eq!(names(&report), if is_clean { vec![] } else { vec!["requests"] });
            assert_eq!(requests.close().await.is_ok(), is_clean);
        });
    }
}

#[test]
fn what_is_left_is_cancelled_and_reported_with_name_location_and_kind() {
    paused(|| async {
        let phases = four();
        let requests = TaskGroup::discarding().name("GET /slow").in_phase(&phases, "requests").start();
        let line = line!() + 2;
        for _ in 0..3 {
            requests.spawn(pending());
        }
        let hold = phases.hold("requests", "a connection");
        let hold_line = line!() - 1;
        phases.start("SIGTERM");
        let report = phases.finished().await;
        assert_eq!(rows(&report), [("accept", 0, 0), ("requests", 20, 4), ("jobs", 0, 0), ("flush", 0, 0)]);
        let left: Vec<_> = report
            .left()
            .map(|left| (left.kind(), left.name().unwrap(), left.spawned_at().line(), left.has_ended()))
            .collect();
        let task = (LeftKind::Task, "GET /slow", line, true);
        assert_eq!(left.iter().filter(|left| **left == task).count(), 3, "{left:?}");
        assert!(left.contains(&(LeftKind::Hold, "a connection", hold_line, false)), "{left:?}");
        assert_eq!(report.left().filter(|left| left.id().is_some()).count(), 3);
        let text = report.to_string();
        assert!(text.starts_with("shutdown (SIGTERM) took 20."), "{text}");
        assert!(text.contains("\n  requests: 20.0s of 20s, 4 left\n"), "{text}");
        assert!(text.contains(&format!("`GET /slow` (spawned at {}:{line}:", file!())), "{text}");
        assert!(text.contains(", and 2 others like it"), "{text}");
        assert!(text.contains(&format!("hold `a connection` (made at {}:{hold_line}:", file!())), "{text}");
        assert!(text.contains("has not ended"), "{text}");
        let error = requests.close().await.unwrap_err();
        assert_eq!(error.reason(), Some(&Reason::Phase("requests".into())));
        assert!(error.to_string().ends_with("the phase `requests` of the shutdown was over"), "{error}");
        drop(hold);
    });
}

#[test]
fn a_phase_without_time_cancels_at_once_and_that_is_no_loss() {
    paused(|| async {
        let phases = four();
        let accept = TaskGroup::builder().in_phase(&phases, "accept").start();
        accept.spawn(pending::<()>());
        phases.start("test");
        let report = phases.finished().await;
        assert!(report.is_clean(), "{report}");
        assert!(report.took() < Duration::from_millis(200), "{report}");
        assert!(report.to_string().contains("\n  accept: 0s of 0s\n"), "{report}");
        assert!(accept.close().await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_closure_that_does_not_end_is_left_also_in_a_phase_without_time() {
    let runtime = multi();
    let (end, ends) = mpsc::channel::<()>();
    let report = runtime.block_on(async {
        let phases = Phases::new().then("accept", Duration::ZERO);
        let accept = TaskGroup::builder().name("acceptor").in_phase(&phases, "accept").start();
        let (start, started) = oneshot::channel();
        accept.spawn_blocking(move || {
            start.send(()).unwrap();
            let _ = ends.recv();
        });
        started.await.unwrap();
        phases.start("test");
        let report = phases.finished().await;
        end.send(()).unwrap();
        accept.close().await.unwrap();
        report
    });
    let left: Vec<_> = report.left().map(|left| (left.kind(), left.name(), left.has_ended())).collect();
    assert_eq!(left, [(LeftKind::Blocking, Some("acceptor"), false)]);
}

#[test]
fn a_group_that_is_open_but_empty_does_not_count() {
    paused(|| async {
        let phases = four();
        let jobs = TaskGroup::discarding().in_phase(&phases, "jobs").start();
        jobs.spawn(async {});
        phases.start("test");
        let report = phases.finished().await;
        assert!(report.is_clean() && report.took().is_zero(), "{report}");
        // Its phase is over.
        jobs.spawn(async { unreachable!("it is not polled") });
        let error = jobs.close().await.unwrap_err();
        assert_eq!(error.reason(), Some(&Reason::Phase("jobs".into())));
    });
}

#[test]
fn tasks_of_a_phase_may_spawn_more_until_it_is_over() {
    paused(|| async {
        let phases = four();
        let jobs = Arc::new(TaskGroup::discarding().in_phase(&phases, "jobs").start());
        let requests = TaskGroup::discarding().in_phase(&phases, "requests").start();
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..10 {
            let (jobs, done) = (Arc::clone(&jobs), Arc::clone(&done));
            requests.spawn(async move {
                sleep(secs(10)).await;
                jobs.spawn(async move {
                    sleep(secs(4)).await;
                    done.fetch_add(1, Ordering::Relaxed);
                });
            });
        }
        phases.start("test");
        let report = phases.finished().await;
        assert_eq!(rows(&report), [("accept", 0, 0), ("requests", 10, 0), ("jobs", 4, 0), ("flush", 0, 0)]);
        assert_eq!(done.load(Ordering::Relaxed), 10);
        requests.close().await.unwrap();
    });
}

#[test]
fn a_group_or_hold_that_comes_after_its_phase_is_refused() {
    paused(|| async {
        let phases = four();
        let jobs = phases.hold("jobs", "keeps the phase");
        phases.start("test");
        phases.reached("jobs").await;
        let late = TaskGroup::builder().in_phase(&phases, "requests").start();
        late.spawn(async { unreachable!("it is not polled") });
        assert_eq!(late.close().await.unwrap_err().reason(), Some(&Reason::Phase("requests".into())));
        assert!(phases.hold("requests", "late").is_expired());
        let waited = phases.wait_for("requests", "late", async { unreachable!("it is not polled") });
        assert_eq!(waited.await, Err::<(), _>(Reason::Phase("requests".into())));
        // The phase that runs takes more.
        let in_time = TaskGroup::builder().in_phase(&phases, "jobs").start();
        in_time.spawn(sleep(secs(3)));
        drop(jobs);
        let report = phases.finished().await;
        assert_eq!(rows(&report), [("accept", 0, 0), ("requests", 0, 0), ("jobs", 3, 0), ("flush", 0, 0)]);
        in_time.close().await.unwrap();
    });
}

// Holds.

#[test]
fn wait_for_drops_a_future_when_its_phase_is_over() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    paused(|| async {
        let phases = four();
        let was_dropped = Arc::new(AtomicBool::new(false));
        let guard = Dropped(Arc::clone(&was_dropped));
        let server = redd::spawn(phases.wait_for("requests", "server", async move {
            let _guard = guard;
            pending::<()>().await;
        }));
        let quick = redd::spawn(phases.wait_for("requests", "quick", async { 7 }));
        let never_polled = phases.wait_for("flush", "dropped", pending::<()>());
        drop(never_polled);
        phases.start("test");
        let report = phases.finished().await;
        assert_eq!(rows(&report), [("accept", 0, 0), ("requests", 20, 1), ("jobs", 0, 0), ("flush", 0, 0)]);
        assert!(was_dropped.load(Ordering::Relaxed), "before the report");
        let left = report.left().next().unwrap();
        assert_eq!((left.name(), left.has_ended()), (Some("server"), true));
        assert_eq!(server.await.unwrap(), Err(Reason::Phase("requests".into())));
        assert_eq!(quick.await.unwrap(), Ok(7));
    });
}

#[test]
fn a_future_in_a_phase_without_time_may_end_by_itself_and_is_left_if_it_does_not() {
    paused(|| async {
        let phases = four();
        let polite = redd::spawn(phases.wait_for("accept", "polite", phases.accepting()));
        let server = redd::spawn(phases.wait_for("accept", "server", pending::<()>()));
        yield_now().await;
        phases.start("test");
        let report = phases.finished().await;
        assert_eq!(names(&report), ["server"], "{report}");
        assert!(report.left().all(|left| left.has_ended()));
        assert_eq!(polite.await.unwrap(), Ok(()));
        assert_eq!(server.await.unwrap(), Err(Reason::Phase("accept".into())));
    });
}

#[test]
fn a_thousand_holds_end_one_by_one() {
    paused(|| async {
        let phases = four();
        for millis in 0..1000 {
            let hold = phases.hold("requests", "request");
            redd::spawn(async move {
                sleep(Duration::from_millis(millis)).await;
                drop(hold);
            });
        }
        phases.start("test");
        let report = phases.finished().await;
        assert!(report.is_clean(), "{report}");
        assert!(report.took() < secs(2), "{report}");
    });
}

// Shields and clean-ups.

#[test]
fn shields_get_the_time_that_the_later_phases_leave() {
    for (shielded, is_complete) in [(6, true), (8, false)] {
        paused(|| async move {
            let phases = four();
            let (commit, committed) = oneshot::channel();
            let requests = TaskGroup::builder().name("commit").in_phase(&phases, "requests").start();
            let work = async move {
                sleep(secs(20 + shielded)).await;
                commit.send(()).unwrap();
            };
            requests.spawn(shield(secs(60), work));
            phases.start("test");
            let report = phases.finished().await;
            assert_eq!(rows(&report), [("accept", 0, 0), ("requests", 20, 1), ("jobs", 0, 0), ("flush", 0, 0)]);
            assert_eq!(report.took().as_secs(), 20 + shielded.min(5 + 2));
            assert_eq!(report.left().next().unwrap().has_ended(), is_complete);
            // Nothing has dropped it.
            committed.await.unwrap();
            let _ = requests.close().await;
        });
    }
}

#[test]
fn a_clean_up_belongs_to_the_phase_and_is_left_if_it_hangs() {
    paused(|| async {
        let phases = four();
        let good = TaskGroup::<()>::builder().in_phase(&phases, "requests").start();
        good.defer(secs(10), sleep(secs(3)));
        let bad = TaskGroup::<()>::builder().name("flushes").in_phase(&phases, "jobs").start();
        bad.defer(secs(60), pending());
        let line = line!() - 1;
        let closed = [redd::spawn(good.close()), redd::spawn(bad.close())];
        yield_now().await;
        phases.start("test");
        let report = phases.finished().await;
        assert_eq!(rows(&report), [("accept", 0, 0), ("requests", 3, 0), ("jobs", 5, 1), ("flush", 0, 0)]);
        let left = report.left().next().unwrap();
        assert_eq!((left.kind(), left.name(), left.has_ended()), (LeftKind::CleanUp, Some("flushes"), false));
        assert_eq!(left.spawned_at().line(), line);
        assert_eq!(report.took().as_secs(), 20 + 5 + 2, "the later phases leave time");
        for closed in closed {
            let _ = closed.await.unwrap();
        }
    });
}

#[test]
fn a_phase_waits_until_a_group_with_clean_ups_is_closed() {
    paused(|| async {
        let phases = four();
        let cleaned_up = Arc::new(AtomicBool::new(false));
        let starts = phases.reached("requests");
        let group = TaskGroup::<()>::builder().in_phase(&phases, "requests").start();
        let cleans_up = Arc::clone(&cleaned_up);
        group.defer(secs(10), async move {
            sleep(secs(2)).await;
            cleans_up.store(true, Ordering::Relaxed);
        });
        let owner = redd::spawn(async move {
            starts.await;
            sleep(secs(1)).await;
            group.close().await
        });
        phases.start("test");
        let report = phases.finished().await;
        assert!(report.is_clean() && cleaned_up.load(Ordering::Relaxed), "{report}");
        assert_eq!(report.took().as_secs(), 3);
        owner.await.unwrap().unwrap();
    });
}

#[test]
fn a_clean_up_of_a_group_that_nothing_closes_is_left() {
    paused(|| async {
        let phases = four();
        let group = TaskGroup::<()>::builder().name("index").in_phase(&phases, "requests").start();
        group.defer(secs(10), async {});
        let dismissed = group.defer(secs(10), async {});
        assert!(dismissed.dismiss());
        phases.start("test");
        let report = phases.finished().await;
        assert_eq!(rows(&report), [("accept", 0, 0), ("requests", 20, 1), ("jobs", 0, 0), ("flush", 0, 0)]);
        let left = report.left().next().unwrap();
        assert_eq!((left.kind(), left.name(), left.has_ended()), (LeftKind::CleanUp, Some("index"), false));
        assert!(left.to_string().contains("waits until its group is closed"), "{left}");
        group.close().await.unwrap();
    });
}

// Ending early.

#[test]
fn an_early_end_cancels_all_phases_in_order_and_says_so() {
    paused(|| async {
        let phases = four();
        let groups = ["requests", "jobs", "flush"].map(|name| {
            let group = TaskGroup::builder().name(name).in_phase(&phases, name).start();
            group.spawn(pending::<()>());
            (name, group)
        });
        let flush = phases.reached("flush");
        phases.start("SIGTERM");
        sleep(secs(1)).await;
        phases.end_now("SIGINT");
        phases.end_now("again");
        let report = phases.finished().await;
        assert_eq!(rows(&report), [("accept", 0, 0), ("requests", 1, 1), ("jobs", 0, 1), ("flush", 0, 1)]);
        assert_eq!((report.reason(), report.ended_early()), ("SIGTERM", Some("SIGINT")));
        assert_eq!(names(&report), ["requests", "jobs", "flush"]);
        assert!(report.to_string().contains("ended early (SIGINT)"), "{report}");
        flush.await;
        for (name, group) in groups {
            assert_eq!(group.close().await.unwrap_err().reason(), Some(&Reason::Phase(name.into())));
        }
        phases.end_now("too late");
        assert_eq!(phases.finished().await.ended_early(), Some("SIGINT"));
    });
}

#[test]
fn an_early_end_waits_neither_for_shields_nor_for_clean_ups() {
    paused(|| async {
        let phases = four();
        let requests = TaskGroup::builder().name("requests").in_phase(&phases, "requests").start();
        requests.spawn(shield(secs(3600), pending::<()>()));
        let jobs = TaskGroup::<()>::builder().name("jobs").in_phase(&phases, "jobs").start();
        jobs.defer(secs(3600), pending());
        drop(jobs);
        let begin = Instant::now();
        yield_now().await;
        phases.end_now("without a start");
        let report = phases.finished().await;
        assert!(begin.elapsed() < secs(1));
        assert_eq!((report.reason(), report.ended_early()), ("without a start", Some("without a start")));
        let left: Vec<_> = report.left().map(|left| (left.kind(), left.name().unwrap(), left.has_ended())).collect();
        assert_eq!(left, [(LeftKind::Task, "requests", false), (LeftKind::CleanUp, "jobs", false)]);
        let _ = requests.close().await;
        while alive() > 0 {
            sleep(secs(60)).await;
        }
    });
}

#[test]
fn an_early_end_ends_the_wait_for_shields_after_the_last_phase() {
    paused(|| async {
        let phases = four();
        let requests = TaskGroup::builder().in_phase(&phases, "requests").start();
        requests.spawn(shield(secs(3600), pending::<()>()));
        phases.start("SIGTERM");
        sleep(secs(22)).await;
        phases.end_now("SIGINT");
        let report = phases.finished().await;
        assert_eq!((report.took().as_secs(), report.ended_early()), (22, Some("SIGINT")));
        let _ = requests.close().await;
    });
}

// Starting.

#[test]
fn a_second_start_changes_nothing() {
    paused(|| async {
        let phases = four();
        let hold = phases.hold("requests", "request");
        phases.start("first");
        sleep(secs(3)).await;
        phases.clone().start(String::from("second"));
        drop(hold);
        let report = phases.finished().await;
        phases.start("third");
        assert_eq!((report.reason(), report.took().as_secs()), ("first", 3));
        assert_eq!(phases.finished().await.reason(), "first");
        phases.accepting().await;
        phases.reached("flush").await;
    });
}

#[test]
fn phases_start_on_a_thread_without_a_runtime() {
    let runtime = multi();
    let phases = four();
    let starter = phases.clone();
    let server = runtime.spawn(phases.wait_for("requests", "server", phases.accepting()));
    std::thread::spawn(move || starter.start("from a thread")).join().unwrap();
    // No method was called in a runtime before: the phases go on in this one.
    let report = runtime.block_on(phases.finished());
    assert!(report.is_clean(), "{report}");
    runtime.block_on(server).unwrap().unwrap();
    assert!(runtime.drain(secs(60)).is_empty());
}

#[test]
fn phases_go_on_in_another_runtime_when_the_first_has_ended() {
    let phases = four();
    let first = multi();
    drop(first.block_on(async { phases.hold("requests", "request") }));
    drop(first);
    let report = multi().block_on(async {
        phases.start("test");
        phases.finished().await
    });
    assert_eq!((report.is_clean(), report.ended_early()), (true, None));
}

#[test]
fn phases_go_on_when_their_futures_are_dropped() {
    paused(|| async {
        let phases = four();
        let requests = TaskGroup::builder().in_phase(&phases, "requests").start();
        requests.spawn(pending::<()>());
        drop((phases.finished(), phases.accepting(), phases.reached("jobs")));
        phases.start("test");
        assert!(redd::time::timeout(secs(1), phases.finished()).await.is_err());
        drop(phases);
        assert_eq!(requests.close().await.unwrap_err().reason(), Some(&Reason::Phase("requests".into())));
        while alive() > 0 {
            sleep(secs(1)).await;
        }
    });
}

#[test]
fn two_shutdowns_do_not_disturb_each_other() {
    paused(|| async {
        let (first, second) = (four(), four());
        let of_first = TaskGroup::builder().name("first").in_phase(&first, "requests").start();
        of_first.spawn(pending::<()>());
        let of_second = TaskGroup::builder().name("second").in_phase(&second, "requests").start();
        of_second.spawn(sleep(secs(30)));
        first.start("first");
        let report = first.finished().await;
        assert_eq!((names(&report), second.is_started()), (vec!["first"], false));
        second.start("second");
        assert!(second.finished().await.is_clean());
        of_second.close().await.unwrap();
        assert!(of_first.close().await.is_err());
    });
}

#[test]
fn a_group_inside_of_another_has_a_phase_of_its_own() {
    paused(|| async {
        let phases = four();
        let jobs = TaskGroup::builder().name("jobs").in_phase(&phases, "jobs").start();
        let of_job = phases.clone();
        jobs.spawn(async move {
            let requests = TaskGroup::builder().name("requests").in_phase(&of_job, "requests").start();
            requests.spawn(pending::<()>());
            let failed = requests.close().await.unwrap_err();
            assert_eq!(failed.reason(), Some(&Reason::Phase("requests".into())));
            let endless = TaskGroup::builder().name("endless").in_phase(&of_job, "flush").start();
            endless.spawn(pending::<()>());
            endless.close().await.map(drop)
        });
        yield_now().await;
        phases.start("test");
        let report = phases.finished().await;
        // The outer group is cancelled, and with it the inner one, before its phase.
        assert_eq!(rows(&report), [("accept", 0, 0), ("requests", 20, 1), ("jobs", 5, 1), ("flush", 0, 0)]);
        assert_eq!(jobs.close().await.unwrap_err().reason(), Some(&Reason::Phase("jobs".into())));
    });
}

#[test]
fn a_supervisor_stops_in_its_phase() {
    paused(|| async {
        let phases = four();
        let supervisor = Supervisor::one_for_one().child("ingest", pending::<()>);
        let jobs = redd::spawn(phases.wait_for("jobs", "supervisor", supervisor.run_until(phases.reached("jobs"))));
        phases.start("test");
        assert!(phases.finished().await.is_clean());
        jobs.await.unwrap().unwrap().unwrap();
    });
}

#[test]
fn a_grace_period_counts_in_the_time_that_is_left() {
    paused(|| async {
        let phases = four();
        let requests = TaskGroup::builder().grace(secs(3)).in_phase(&phases, "requests").start();
        requests.spawn(async {
            let reason = group::cancelled().await;
            sleep(secs(2)).await;
            reason
        });
        phases.start("test");
        let report = phases.finished().await;
        assert_eq!((report.took().as_secs(), report.left().count()), (22, 1));
        assert!(report.left().all(|left| left.has_ended()));
        assert_eq!(requests.close().await.unwrap(), [Reason::Phase("requests".into())]);
    });
}

// Runtimes.

/// Waits for 100 tasks of a group, and cancels one of another group.
async fn app() -> Report {
    let phases = Phases::new().then("requests", secs(60)).then("jobs", Duration::from_millis(20));
    let requests = TaskGroup::discarding().in_phase(&phases, "requests").start();
    let jobs = TaskGroup::discarding().name("jobs").in_phase(&phases, "jobs").start();
    let (go, may_go) = redd::sync::watch::channel(false);
    for _ in 0..100 {
        let mut may_go = may_go.clone();
        requests.spawn(async move { drop(may_go.wait_for(|go| *go).await) });
    }
    jobs.spawn(pending());
    phases.start("test");
    phases.accepting().await;
    yield_now().await;
    go.send(true).unwrap();
    let report = phases.finished().await;
    requests.close().await.unwrap();
    report
}

#[test]
fn phases_work_on_every_kind_of_runtime_and_before_a_drain() {
    fn check(report: &Report) {
        assert_eq!(names(report), ["jobs"], "{report}");
        assert!(report.took() < secs(30));
    }
    for runtime in [current(), multi()] {
        check(&runtime.block_on(app()));
        assert!(runtime.drain(secs(60)).is_empty());
    }
    let local = LocalRuntime::new().unwrap();
    check(&local.block_on(async { redd::task::spawn_local(app()).await.unwrap() }));
    assert!(local.drain(secs(60)).is_empty());
    // Without timers and sockets.
    check(&Builder::new_current_thread().build().unwrap().block_on(app()));
}

#[test]
fn a_task_that_belongs_to_no_phase_is_left_to_the_drain() {
    let runtime = multi();
    let phases = four();
    let report = runtime.block_on(async {
        redd::spawn(pending::<()>());
        phases.start("test");
        phases.finished().await
    });
    assert!(report.is_clean());
    assert_eq!(runtime.drain(Duration::from_millis(10)).len(), 1);
}

#[test]
fn a_drain_waits_for_phases_that_run() {
    for runtime in [current(), multi()] {
        let phases = Phases::new().then("requests", secs(60)).then("jobs", Duration::from_millis(20));
        let done = Arc::new(AtomicBool::new(false));
        runtime.block_on(async {
            let requests = TaskGroup::discarding().in_phase(&phases, "requests").start();
            let done = Arc::clone(&done);
            requests.spawn(async move {
                sleep(Duration::from_millis(20)).await;
                done.store(true, Ordering::Relaxed);
            });
            let jobs = TaskGroup::discarding().in_phase(&phases, "jobs").start();
            jobs.spawn(pending());
            redd::spawn(async move { (requests.close().await, jobs.close().await) });
            phases.start("test");
        });
        // The jobs would never end, but the phases cancel them.
        assert!(runtime.drain(Duration::MAX).is_empty());
        assert!(done.load(Ordering::Relaxed));
        let report = current().block_on(phases.finished());
        assert_eq!((report.left().count(), report.ended_early()), (1, None), "{report}");
    }
}

#[test]
fn a_task_may_start_the_phases_while_a_drain_waits() {
    for runtime in [current(), multi()] {
        let phases = Phases::new().then("requests", Duration::from_millis(20));
        let starter = phases.clone();
        runtime.spawn(async move {
            let requests = TaskGroup::discarding().in_phase(&starter, "requests").start();
            requests.spawn(pending());
            sleep(Duration::from_millis(20)).await;
            starter.start("test");
            requests.close().await
        });
        assert!(runtime.drain(Duration::MAX).is_empty());
        let report = current().block_on(phases.finished());
        assert_eq!((report.left().count(), report.ended_early()), (1, None), "{report}");
    }
}

#[test]
fn a_start_that_a_drain_refuses_cancels_nothing() {
    let (runtime, outside) = (multi(), current());
    let handle = runtime.handle().clone();
    let phases = Phases::new().then("requests", Duration::ZERO);
    let (end, may_end) = oneshot::channel::<()>();
    let requests = runtime.block_on(async { TaskGroup::builder().in_phase(&phases, "requests").start() });
    requests.spawn(async move { may_end.await.is_ok() });
    let drain = std::thread::spawn(move || runtime.drain(Duration::MAX));
    while outside.block_on(handle.spawn(async {})).is_ok() {}
    phases.start("test");
    let report = outside.block_on(phases.finished());
    assert!(report.ended_early().is_some(), "{report}");
    end.send(()).unwrap();
    assert_eq!(outside.block_on(requests.close()).unwrap(), [true]);
    assert!(drain.join().unwrap().is_empty());
}

#[test]
fn a_runtime_that_is_shut_down_interrupts_the_phases_and_nothing_hangs() {
    for is_drained in [false, true] {
        let (first, second) = (multi(), multi());
        let phases = four();
        first.block_on(async {
            let requests = TaskGroup::discarding().name("first").in_phase(&phases, "requests").start();
            requests.spawn(pending());
            redd::spawn(async move { requests.close().await });
        });
        let (end, may_end) = oneshot::channel::<()>();
        let other = second.block_on(async {
            let requests = TaskGroup::builder().name("second").in_phase(&phases, "requests").start();
            requests.spawn(async move { may_end.await.is_ok() });
            requests
        });
        let held = second.spawn(phases.wait_for("requests", "held", phases.reached("flush")));
        phases.start("test");
        if is_drained {
            let left = first.drain(Duration::from_millis(10));
            assert!(left.iter().any(|work| work.name() == Some("phases")), "{left:?}");
        } else {
            drop(first);
        }
        let report = second.block_on(phases.finished());
        assert_eq!(report.ended_early(), Some("its runtime was shut down"));
        assert!(names(&report).contains(&"second"), "{report}");
        // It was not cancelled.
        end.send(()).unwrap();
        assert_eq!(second.block_on(other.close()).unwrap(), [true]);
        assert_eq!(second.block_on(held).unwrap(), Ok(()));
        assert!(second.drain(secs(60)).is_empty());
    }
}

// Misuse.

#[test]
fn misuse_says_how_to_fix_it() {
    let runtime = current();
    let _guard = runtime.enter();
    let phases = four();
    let unknown: [Box<dyn Fn()>; 5] = [
        Box::new(|| drop(phases.reached("request"))),
        Box::new(|| drop(phases.hold("request", "name"))),
        Box::new(|| drop(phases.wait_for("request", "name", async {}))),
        Box::new(|| drop(TaskGroup::<()>::builder().in_phase(&phases, "request"))),
        Box::new(|| drop(phases.reached(""))),
    ];
    for call in unknown {
        let text = panic_of(call);
        assert!(text.contains("The phases are: `accept`, `requests`, `jobs`, `flush`. Use one of"), "{text}");
    }
    let none = Phases::new();
    let empty: [Box<dyn Fn()>; 6] = [
        Box::new(|| drop(none.accepting())),
        Box::new(|| drop(none.finished())),
        Box::new(|| drop(none.reached("requests"))),
        Box::new(|| none.start("test")),
        Box::new(|| none.end_now("test")),
        Box::new(|| drop(none.on_signals())),
    ];
    for call in empty {
        let text = panic_of(call);
        assert!(text.contains("Add one first: `Phases::new().then(\"requests\", time)`"), "{text}");
    }
    let text = panic_of(|| four().then("jobs", secs(1)));
    assert!(text.contains("the phase `jobs`") && text.contains("a name of its own"), "{text}");
    phases.start("test");
    let text = panic_of(|| phases.clone().then("more", secs(1)));
    assert!(text.contains("Add all phases before"), "{text}");
}

#[test]
fn futures_borrow_nothing() {
    fn owned<F: Future + Send + 'static>(future: F) -> F {
        future
    }
    paused(|| async {
        let phases = four();
        let hold = phases.hold("requests", "request");
        let futures = (owned(phases.accepting()), owned(phases.reached("requests")), owned(phases.finished()));
        let (expired, server) = (owned(hold.expired()), owned(phases.wait_for("requests", "server", async { 7 })));
        phases.start("test");
        drop((phases, hold));
        futures.0.await;
        futures.1.await;
        assert_eq!(server.await, Ok(7));
        assert!(futures.2.await.is_clean());
        assert_eq!(expired.await, Reason::Phase("requests".into()));
    });
}

#[test]
fn a_group_that_was_built_and_not_started_is_in_no_phase() {
    paused(|| async {
        let phases = four();
        let builder = TaskGroup::<()>::builder().in_phase(&phases, "requests");
        drop(builder);
        phases.start("test");
        assert!(phases.finished().await.took().is_zero());
    });
}

#[test]
fn the_longest_times_are_no_error() {
    paused(|| async {
        let phases = Phases::new().then("requests", Duration::MAX).then("jobs", Duration::MAX);
        let hold = phases.hold("requests", "request");
        phases.start("test");
        sleep(secs(1)).await;
        drop(hold);
        assert_eq!(phases.finished().await.took().as_secs(), 1);
    });
}

// Many programs.

/// A task, a hold or a future: its phase, and the time at which it ends by itself, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Work {
    phase: usize,
    ends_at: u64,
    kind: u8,
}

/// When each phase is over, and how much is left in it.
fn expected(times: [u64; 3], work: &[Work]) -> [(u64, usize); 3] {
    let mut now = 0;
    std::array::from_fn(|phase| {
        let ends = || work.iter().filter(|work| work.phase == phase).map(|work| work.ends_at);
        let over = ends().max().unwrap_or(0).clamp(now, now + times[phase]);
        now = over;
        (over, ends().filter(|end| *end > over).count())
    })
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]
    #[test]
    fn the_report_says_what_a_plain_model_says(
        times in proptest::array::uniform3(1_u64..100),
        work in proptest::collection::vec((0_usize..3, 0_u64..150, 0_u8..4), 0..30),
    ) {
        // Phases are over at multiples of 10, and work ends between them.
        let times = times.map(|time| time * 10);
        let work: Vec<_> =
            work.into_iter().map(|(phase, ends_at, kind)| Work { phase, ends_at: ends_at * 10 + 5, kind }).collect();
        let expected = expected(times, &work);
        paused(|| async move {
            let names = ["a", "b", "c"];
            let phases = (0..3).fold(Phases::new(), |phases, index| phases.then(names[index], Duration::from_millis(times[index])));
            let groups = names.map(|name| TaskGroup::<()>::builder().in_phase(&phases, name).start());
            let (mut own_groups, begin) = (Vec::new(), Instant::now());
            for Work { phase, ends_at, kind } in work {
                let (name, end) = (names[phase], begin + Duration::from_millis(ends_at));
                let work = redd::time::sleep_until(end);
                match kind {
                    0 => drop(groups[phase].spawn(work)),
                    1 => {
                        let group = TaskGroup::builder().in_phase(&phases, name).start();
                        group.spawn(work);
                        own_groups.push(redd::spawn(group.close()));
                    }
                    2 => drop(redd::spawn(phases.wait_for(name, "future", work))),
                    _ => {
                        let hold = phases.hold(name, "hold");
                        redd::spawn(async move {
                            work.await;
                            drop(hold);
                        });
                    }
                }
            }
            phases.start("test");
            let report = phases.finished().await;
            let mut now = 0;
            let rows = std::array::from_fn(|index| {
                let phase = &report.phases()[index];
                now += phase.took().as_millis() as u64;
                (now, phase.left().len())
            });
            // The ends are rounded to the clock of timers.
            let rows = rows.map(|(over, left): (u64, usize)| (over.div_ceil(5) * 5, left));
            assert_eq!(rows, expected, "{report}");
            let lost = expected.iter().map(|(_, left)| left).sum::<usize>();
            assert_eq!(report.left().count(), lost);
            for group in groups {
                let _ = group.close().await;
            }
            while alive() > 0 {
                sleep(secs(1)).await;
            }
        });
    }
}

#[test]
fn no_end_is_missed_when_phases_begin_at_the_same_moment() {
    let runtime = multi();
    for round in 0..500 {
        let report = runtime.block_on(async {
            let phases = Phases::new().then("first", secs(3600)).then("second", secs(3600));
            let mut closed = Vec::new();
            for index in 0..8 {
                let name = if index % 2 == 0 { "first" } else { "second" };
                let group = TaskGroup::discarding().in_phase(&phases, name).start();
                let (starts, hold) = (phases.reached(name), phases.hold(name, "hold"));
                group.spawn(async move {
                    if index % 3 == 0 {
                        starts.await;
                    }
                    for _ in 0..(round + index) % 5 {
                        yield_now().await;
                    }
                });
                closed.push(redd::spawn(async move {
                    drop(hold);
                    group.close().await
                }));
            }
            phases.start("test");
            let report = phases.finished().await;
            for closed in closed {
                closed.await.unwrap().unwrap();
            }
            report
        });
        assert!(report.is_clean() && report.took() < secs(60), "{report}");
    }
}

/// When it is dropped, it lets another task of the group end, and waits for that.
struct EndsTheOther(Option<oneshot::Sender<()>>, Arc<TaskGroup<()>>);

impl Drop for EndsTheOther {
    fn drop(&mut self) {
        self.0.take().unwrap().send(()).unwrap();
        while self.1.len() > 1 {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_spawn_that_panics_is_the_last_that_a_phase_waits_for() {
    multi().block_on(async {
        let phases = Phases::new().then("only", secs(1000));
        let group = Arc::new(TaskGroup::limit(2).in_phase(&phases, "only").start());
        let (go, gone) = oneshot::channel();
        group.spawn(async move { gone.await.unwrap() });
        phases.start("shutdown");
        phases.reached("only").await;
        // There is no `LocalSet`. The task ends while the future that is not spawned is dropped.
        let ends = EndsTheOther(Some(go), Arc::clone(&group));
        let not_spawned = async move { drop(ends) };
        panic_of(|| group.spawn_local(not_spawned));
        let report = phases.finished().await;
        assert!(report.is_clean() && report.took() < secs(900));
    });
}

#[test]
fn a_dump_shows_no_line_of_redd_while_a_phase_waits() {
    paused(|| async {
        let phases = Phases::new().then("only", secs(5));
        let hold = phases.hold("only", "held");
        phases.start("shutdown");
        phases.reached("only").await;
        yield_now().await;
        let dump = Handle::current().snapshot().to_string();
        assert!(dump.contains("`phases`") && dump.contains("waits: Timer"), "{dump}");
        assert!(!dump.contains("redd/src/"), "{dump}");
        drop(hold);
        phases.finished().await;
    });
}

#[test]
fn a_clean_up_that_begins_after_its_phase_is_listed_once() {
    paused(|| async {
        let phases = four();
        let group = TaskGroup::<()>::builder().name("pool").in_phase(&phases, "requests").start();
        group.defer(secs(600), sleep(secs(600)));
        // Too late: the phase of the group is over, and its time with it.
        let flushes = phases.reached("flush");
        let owner = redd::spawn(async move {
            flushes.await;
            group.close().await
        });
        phases.start("SIGTERM");
        let report = phases.finished().await;
        assert_eq!(rows(&report)[1], ("requests", 20, 1));
        let left = report.left().next().unwrap();
        assert_eq!((left.kind(), left.name(), left.has_ended()), (LeftKind::CleanUp, Some("pool"), false), "{report}");
        assert!(left.id().is_some(), "it runs: {report}");
        owner.await.unwrap().unwrap();
    });
}

#[test]
fn a_phase_waits_for_the_clean_ups_of_groups_inside_of_its_groups() {
    for is_closed in [false, true] {
        for (seconds, listed) in [(3, 0), (600, 1)] {
            paused(|| async move {
                let phases = four();
                let requests = TaskGroup::discarding().name("requests").in_phase(&phases, "requests").start();
                requests.spawn(async move {
                    let middle = TaskGroup::<()>::new();
                    middle.spawn(async move {
                        let transaction = TaskGroup::<()>::builder().name("transaction").start();
                        transaction.defer(secs(600), sleep(secs(seconds)));
                    });
                    middle.next().await.unwrap().unwrap();
                });
                requests.spawn(async move {
                    let transaction = TaskGroup::<()>::builder().name("transaction").start();
                    transaction.defer(secs(600), sleep(secs(seconds)));
                });
                yield_now().await;
                let open = if is_closed {
                    drop(redd::spawn(requests.close()));
                    None
                } else {
                    Some(requests)
                };
                phases.start("SIGTERM");
                let report = phases.finished().await;
                assert_eq!(rows(&report)[1], ("requests", seconds.min(20), 2 * listed), "{is_closed} {report}");
                assert!(report.left().all(|left| left.kind() == LeftKind::CleanUp), "{report}");
                assert!(names(&report).iter().all(|name| *name == "transaction"), "{report}");
                if let Some(requests) = open {
                    let _ = requests.close().await;
                }
                while alive() > 0 {
                    sleep(secs(1)).await;
                }
            });
        }
    }
}
