//! Sleeps and timed waits of std in a world take virtual time, and other threads of the world run meanwhile.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "programs in worlds, which know only std")]

use redd::runtime::Builder;
use redd::sim::{FailureKind, World};
use redd::task::spawn_blocking;
use redd_sim_libc as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);

/// Runs it in worlds of some seeds. Each hour in there takes no time.
#[track_caller]
fn in_worlds(f: fn()) -> Duration {
    let start = Instant::now();
    let run = |seed| World::new(seed).host("host", f).run();
    let mut elapsed = Duration::ZERO;
    for seed in 0..20 {
        let report = run(seed);
        report.expect_ok();
        assert_eq!(report.event_hash(), run(seed).event_hash(), "seed {seed}");
        elapsed = report.elapsed();
    }
    assert!(start.elapsed() < HOUR, "virtual time");
    elapsed
}

fn multi() -> redd::runtime::Runtime {
    Builder::new_multi_thread().enable_all().build().unwrap()
}

#[track_caller]
fn takes(time: Duration, f: impl FnOnce()) {
    let start = Instant::now();
    f();
    assert_eq!(start.elapsed(), time);
}

#[test]
fn a_thread_sleeps_exactly_its_time() {
    let elapsed = in_worlds(|| takes(HOUR + Duration::from_nanos(7), || thread::sleep(HOUR + Duration::from_nanos(7))));
    assert_eq!(elapsed, HOUR + Duration::from_nanos(7));
}

#[test]
fn tasks_run_while_a_closure_sleeps() {
    in_worlds(|| {
        multi().block_on(async {
            let start = Instant::now();
            let closure = spawn_blocking(|| thread::sleep(HOUR));
            redd::time::sleep(HOUR / 2).await;
            assert_eq!(start.elapsed(), HOUR / 2);
            assert!(!closure.is_finished());
            closure.await.unwrap();
            assert_eq!(start.elapsed(), HOUR);
        });
    });
}

#[test]
fn timed_waits_of_std_end_at_their_time() {
    in_worlds(|| {
        takes(HOUR, || thread::park_timeout(HOUR));
        let (sender, receiver) = channel::<u8>();
        takes(HOUR, || assert_eq!(receiver.recv_timeout(HOUR), Err(RecvTimeoutError::Timeout)));
        drop(sender);
        takes(Duration::ZERO, || assert_eq!(receiver.recv_timeout(HOUR), Err(RecvTimeoutError::Disconnected)));
        let (lock, condition) = (Mutex::new(()), Condvar::new());
        takes(HOUR, || assert!(condition.wait_timeout(lock.lock().unwrap(), HOUR).unwrap().1.timed_out()));
    });
}

#[test]
fn timed_waits_of_other_crates_end_at_their_time() {
    in_worlds(|| {
        let (lock, condition) = (parking_lot::Mutex::new(()), parking_lot::Condvar::new());
        takes(HOUR, || assert!(condition.wait_for(&mut lock.lock(), HOUR).timed_out()));
        let end = Instant::now() + HOUR;
        takes(HOUR, || assert!(condition.wait_until(&mut lock.lock(), end).timed_out()));
    });
}

#[test]
fn threads_of_a_world_end_each_others_timed_waits() {
    in_worlds(|| {
        multi().block_on(async {
            let (sender, receiver) = channel();
            let pair = Arc::new((Mutex::new(false), Condvar::new()));
            let there = Arc::clone(&pair);
            let waits = spawn_blocking(move || {
                takes(HOUR / 4, || assert_eq!(receiver.recv_timeout(HOUR), Ok(5)));
                let mut is_set = there.0.lock().unwrap();
                let start = Instant::now();
                while !*is_set {
                    is_set = there.1.wait_timeout(is_set, HOUR).unwrap().0;
                }
                assert_eq!(start.elapsed(), HOUR / 2);
                thread::current()
            });
            let wakes = spawn_blocking(move || {
                thread::sleep(HOUR / 4);
                sender.send(5).unwrap();
                thread::sleep(HOUR / 2);
                *pair.0.lock().unwrap() = true;
                pair.1.notify_all();
            });
            wakes.await.unwrap();
            waits.await.unwrap();
        });
    });
}

#[test]
fn a_thread_outside_of_the_world_that_ends_a_timed_wait_fails_it() {
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    let report = World::new(1)
        .host("server", || {
            let (sender, receiver) = channel();
            let worker = thread::Builder::new().name("worker-1".to_owned()).spawn(move || {
                thread::sleep(Duration::from_millis(50));
                sender.send(5).unwrap();
            });
            assert_eq!(receiver.recv_timeout(HOUR), Ok(5));
            worker.unwrap().join().unwrap();
            IS_OVER.store(true, Ordering::Relaxed);
        })
        .host("client", || {
            // So the clock moves slowly, and the wake comes first.
            while !IS_OVER.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_nanos(1));
            }
        })
        .run();
    let failure = &report.failures()[0];
    assert_eq!(failure.kind(), FailureKind::ForeignThread);
    let text = failure.to_string();
    assert!(text.contains("thread `worker-1` has woken thread `server` of the world"), "{text}");
}
