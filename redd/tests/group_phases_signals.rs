//! `Phases::on_signals`: what the first and the second signal do. One test at a time, because signals are for the whole process.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![expect(unsafe_code, reason = "raises signals")]

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redd::group::{LeftKind, Phases, Report, TaskGroup, shield};
use redd::runtime::{Builder, LocalRuntime, Runtime};
use redd::time::{Duration, sleep};

fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn send(signal: i32) {
    // SAFETY: no pointers are passed. A listener is there, so the default action is replaced.
    let failed = unsafe { libc::raise(signal) };
    assert_eq!(failed, 0, "a signal to oneself is allowed");
}

fn current() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn phases(within: Duration) -> Phases {
    Phases::new().then("requests", within).then("flush", within)
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_signal_from_the_call_on_starts_the_phases() {
    let _turn = one_at_a_time();
    async fn app(signal: i32) -> Report {
        let phases = phases(HOUR);
        let requests = TaskGroup::discarding().in_phase(&phases, "requests").start();
        requests.spawn(phases.accepting());
        let shutdown = phases.on_signals();
        assert!(!phases.is_started());
        send(signal);
        let report = shutdown.await.unwrap();
        requests.close().await.unwrap();
        report
    }
    for (signal, name) in [(libc::SIGTERM, "SIGTERM"), (libc::SIGINT, "SIGINT")] {
        let reports = [
            current().block_on(app(signal)),
            multi().block_on(app(signal)),
            LocalRuntime::new().unwrap().block_on(app(signal)),
        ];
        for report in reports {
            assert_eq!((report.reason(), report.ended_early(), report.is_clean()), (name, None, true));
        }
    }
}

#[test]
fn a_second_signal_ends_the_program_although_a_clean_up_hangs() {
    let _turn = one_at_a_time();
    for runtime in [current(), multi()] {
        let report = runtime.block_on(async {
            let phases = phases(HOUR);
            let requests = TaskGroup::<()>::builder().name("requests").in_phase(&phases, "requests").start();
            requests.spawn(shield(HOUR, pending()));
            let flush = TaskGroup::<()>::builder().name("flush").in_phase(&phases, "flush").start();
            flush.defer(HOUR, pending());
            redd::spawn(async move { (requests.close().await.is_err(), flush.close().await.is_err()) });
            let shutdown = phases.on_signals();
            send(libc::SIGTERM);
            let begun = phases.accepting();
            redd::spawn(async move {
                begun.await;
                send(libc::SIGTERM);
            });
            shutdown.await.unwrap()
        });
        assert_eq!((report.reason(), report.ended_early()), ("SIGTERM", Some("SIGTERM")));
        let left: Vec<_> = report.left().map(|left| (left.kind(), left.name().unwrap(), left.has_ended())).collect();
        assert_eq!(left, [(LeftKind::Task, "requests", false), (LeftKind::CleanUp, "flush", false)]);
        // The end of the runtime drops what is left.
        drop(runtime);
    }
}

#[test]
fn the_first_signal_after_a_start_by_hand_takes_no_time_away() {
    let _turn = one_at_a_time();
    current().block_on(async {
        let phases = phases(HOUR);
        let hold = phases.hold("requests", "request");
        let mut shutdown = pin!(phases.on_signals());
        phases.start("by hand");
        send(libc::SIGTERM);
        assert!(redd::time::timeout(Duration::from_millis(20), shutdown.as_mut()).await.is_err());
        drop(hold);
        let report = shutdown.await.unwrap();
        assert_eq!((report.reason(), report.ended_early(), report.is_clean()), ("by hand", None, true));
    });
}

#[test]
fn a_dropped_future_hears_no_signal_and_the_phases_go_on() {
    let _turn = one_at_a_time();
    current().block_on(async {
        let phases = phases(Duration::from_millis(50));
        drop(phases.on_signals());
        send(libc::SIGTERM);
        sleep(Duration::from_millis(10)).await;
        assert!(!phases.is_started(), "nothing listens");
        let _hold = phases.hold("requests", "request");
        {
            let mut shutdown = pin!(phases.on_signals());
            send(libc::SIGINT);
            let both = std::future::poll_fn(|cx| {
                assert!(shutdown.as_mut().poll(cx).is_pending());
                if phases.is_started() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            });
            both.await;
        }
        send(libc::SIGINT);
        // It may be called again, and hears further signals only.
        let report = phases.on_signals().await.unwrap();
        assert_eq!((report.reason(), report.ended_early()), ("SIGINT", None));
        assert!(report.took() >= Duration::from_millis(50));
        assert_eq!(report.left().count(), 1);
    });
}

#[test]
fn two_shutdowns_hear_the_same_signal() {
    let _turn = one_at_a_time();
    multi().block_on(async {
        let (first, second) = (phases(HOUR), phases(HOUR));
        let both = [redd::spawn(first.on_signals()), redd::spawn(second.on_signals())];
        send(libc::SIGTERM);
        for shutdown in both {
            assert_eq!(shutdown.await.unwrap().unwrap().reason(), "SIGTERM");
        }
    });
}
