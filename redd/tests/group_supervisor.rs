//! Supervisors: which children are started again, when, how often, and in which order they are stopped.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::future::{Future, pending};
use std::sync::{Arc, Mutex};

use redd::group::{self, Supervisor, TaskGroup};
use redd::runtime::{Builder, Handle};
use redd::time::{Duration, Instant, sleep};

fn paused<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
        test().await;
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "no task is left");
    });
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn write(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    fn texts(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[test]
fn a_child_that_panics_each_second_exhausts_its_intensity() {
    paused(|| async {
        let begin = Instant::now();
        let supervisor = Supervisor::one_for_one()
            .intensity(3, secs(60))
            .backoff(Duration::from_millis(10)..Duration::from_millis(80))
            .child("panics", || async {
                sleep(secs(1)).await;
                if Handle::try_current().is_ok() {
                    panic!("on purpose");
                }
            })
            .child("endless", pending::<()>);
        let exhausted = supervisor.run().await.unwrap_err();
        assert_eq!((exhausted.child(), exhausted.restarts()), ("panics", 3));
        assert!(exhausted.last().contains("on purpose"), "{exhausted}");
        assert_eq!(begin.elapsed().as_secs(), 4, "four runs of a second, and three short pauses");
    });
}

#[test]
fn failures_that_are_far_apart_are_no_storm() {
    paused(|| async {
        let mut runs = 0;
        let supervisor = Supervisor::one_for_one().intensity(1, secs(5)).child("rare", move || {
            runs += 1;
            async move {
                sleep(secs(6)).await;
                if runs < 20 { Err("again") } else { Ok(()) }
            }
        });
        supervisor.run().await.unwrap();
    });
}

#[test]
fn the_back_off_doubles_up_to_its_end_and_jitters_down_to_a_half() {
    paused(|| async {
        let delays = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&delays);
        let supervisor = Supervisor::one_for_one()
            .intensity(6, secs(1000))
            .backoff(secs(1)..secs(8))
            .child("fails", || async { Err::<(), _>("again") })
            .on_restart(move |restart| {
                assert_eq!((restart.child, restart.failure), ("fails", "again"));
                seen.lock().unwrap().push(restart.delay);
            });
        supervisor.run().await.unwrap_err();
        let delays = delays.lock().unwrap();
        for (delay, longest) in delays.iter().zip([1, 2, 4, 8, 8, 8]) {
            assert!(*delay >= secs(longest) / 2 && *delay <= secs(longest), "{delays:?}");
        }
        assert_eq!(delays.len(), 6);
    });
}

/// Three children: `b` fails once. Each writes when it starts and when it is stopped.
fn three(supervisor: Supervisor, log: &Log) -> Supervisor {
    let child = |name: &'static str, fails: bool| {
        let (log, mut runs) = (log.clone(), 0);
        move || {
            let log = log.clone();
            runs += 1;
            let fails = fails && runs == 1;
            log.write(format!("{name} starts"));
            async move {
                if fails {
                    sleep(secs(1)).await;
                    return Err("on purpose");
                }
                group::cancelled().await;
                log.write(format!("{name} stops"));
                Ok(())
            }
        }
    };
    supervisor
        .child("a", child("a", false))
        .stop_within(secs(10))
        .child("b", child("b", true))
        .stop_within(secs(10))
        .child("c", child("c", false))
        .stop_within(secs(10))
}

#[test]
fn each_strategy_restarts_its_children_in_order_and_stops_them_in_reverse() {
    let begin = ["a starts", "b starts", "c starts"];
    let end = ["c stops", "b stops", "a stops"];
    type Case = (fn() -> Supervisor, &'static [&'static str]);
    let cases: [Case; 3] = [
        (Supervisor::one_for_one, &["b starts"]),
        (Supervisor::one_for_all, &["c stops", "a stops", "a starts", "b starts", "c starts"]),
        (Supervisor::rest_for_one, &["c stops", "b starts", "c starts"]),
    ];
    for (strategy, between) in cases {
        paused(|| async {
            let log = Log::default();
            three(strategy(), &log).run_until(sleep(secs(100))).await.unwrap();
            assert_eq!(log.texts(), [&begin, between, &end].concat());
        });
    }
}

#[test]
fn a_child_that_does_not_stop_in_its_time_is_dropped() {
    paused(|| async {
        let begin = Instant::now();
        let supervisor = Supervisor::one_for_one().child("stubborn", pending::<()>).stop_within(secs(7));
        supervisor.run_until(sleep(secs(10))).await.unwrap();
        assert_eq!(begin.elapsed().as_secs(), 17);
    });
}

#[test]
fn children_end_with_the_group_that_their_supervisor_is_in() {
    paused(|| async {
        let log = Log::default();
        let group = TaskGroup::new();
        let supervisor = three(Supervisor::one_for_one(), &log);
        group.spawn(async move { supervisor.run().await.is_ok() });
        sleep(secs(10)).await;
        drop(group);
        while Handle::current().metrics().num_alive_tasks() > 0 {
            redd::task::yield_now().await;
        }
        let starts = log.texts().iter().filter(|text| text.ends_with("starts")).count();
        assert_eq!(starts, 4, "none is started again: {:?}", log.texts());
    });
}

#[test]
fn stop_within_without_a_child_says_what_to_do() {
    let payload = std::panic::catch_unwind(|| drop(Supervisor::one_for_one().stop_within(secs(1)))).unwrap_err();
    let text = payload.downcast::<&'static str>().unwrap();
    assert!(text.contains("Call `child` first"), "{text}");
}

#[test]
fn a_panic_of_the_closure_that_starts_a_child_is_a_failure_of_the_child() {
    paused(|| async {
        let mut starts = 0;
        let supervisor = Supervisor::one_for_one().intensity(2, secs(60)).child("late", move || {
            starts += 1;
            assert!(starts > 2, "on purpose");
            async {}
        });
        supervisor.run().await.unwrap();
        let supervisor =
            Supervisor::one_for_one().child("never", || -> std::future::Ready<()> { panic!("on purpose") });
        let exhausted = supervisor.run().await.unwrap_err();
        assert!(exhausted.last().contains("on purpose"), "{exhausted}");
    });
}

#[test]
fn a_supervisor_in_a_group_that_is_cancelled_starts_no_child_again() {
    paused(|| async {
        let restarts = Log::default();
        let group = TaskGroup::builder().grace(secs(100)).start();
        let seen = restarts.clone();
        let supervisor = Supervisor::one_for_one()
            .child("stops", || async { drop(group::cancelled().await) })
            .stop_within(secs(5))
            .child("dropped", pending::<()>)
            .on_restart(move |restart| seen.write(restart.failure));
        group.spawn(supervisor.run());
        sleep(secs(1)).await;
        let begin = Instant::now();
        group.cancel("enough");
        let ended = group.close().await.unwrap();
        assert!(ended[0].is_ok(), "{ended:?}");
        assert!(restarts.texts().is_empty(), "{:?}", restarts.texts());
        assert_eq!(begin.elapsed(), Duration::ZERO);
    });
}

#[test]
fn any_back_off_and_intensity_works() {
    let (longest, zero) = (Duration::MAX, Duration::ZERO);
    for range in [longest..longest, zero..longest, longest..zero, secs(2)..secs(1), zero..zero] {
        for within in [zero, secs(1), longest] {
            if within.is_zero() && range.start.min(range.end).is_zero() {
                continue; // It is started again all the time, and the paused clock stands still.
            }
            let range = range.clone();
            paused(|| async move {
                let supervisor = Supervisor::one_for_all()
                    .intensity(3, within)
                    .backoff(range.clone())
                    .child("fails", || async { Err("no") })
                    .stop_within(longest)
                    .child("waits", || async { drop(group::cancelled().await) })
                    .stop_within(longest);
                let ended = redd::time::timeout(secs(60), supervisor.run()).await;
                // One that waits forever, or whose failures are forgotten at once, is not exhausted.
                let is_exhausted = !within.is_zero() && range.start.min(range.end) == zero;
                if is_exhausted {
                    assert_eq!(ended.unwrap().unwrap_err().restarts(), 3, "{range:?} {within:?}");
                }
            });
        }
    }
}

/// With a search through all failures at each failure it takes minutes.
#[test]
fn a_supervisor_that_never_gives_up_restarts_a_child_in_constant_time() {
    const RUNS: usize = 200_000;
    paused(|| async {
        let mut run = 0;
        let supervisor = Supervisor::one_for_one()
            .intensity(usize::MAX, Duration::MAX)
            .backoff(Duration::ZERO..Duration::ZERO)
            .child("flaps", move || {
                run += 1;
                async move { if run < RUNS { Err("again") } else { Ok(()) } }
            });
        #[expect(clippy::disallowed_methods, reason = "the time of the test's runtime is paused")]
        let begin = std::time::Instant::now();
        supervisor.run().await.unwrap();
        assert!(begin.elapsed() < secs(60), "{:?}", begin.elapsed());
    });
}
