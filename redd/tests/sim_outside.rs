//! What is not simulated, and what a run reports of it: threads of the program, and std's time and random numbers.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(
    clippy::disallowed_methods,
    reason = "threads outside of the world, in a test that fails if the system refuses one"
)]

use redd::runtime::Builder;
use redd::sim::{Failure, FailureKind, Report, World};
use redd::sync::oneshot;
use std::collections::HashMap;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// A database that has a thread of its own, which gets commands through a channel, as `sqlx-sqlite` has.
struct Database(Sender<oneshot::Sender<u32>>);

impl Database {
    fn open(delay: Option<Duration>) -> Self {
        let (sender, commands): (_, Receiver<oneshot::Sender<u32>>) = channel();
        let thread = std::thread::Builder::new().name("sqlite-worker-0".to_owned());
        let run = move || {
            let mut ignored = Vec::new();
            for command in commands {
                let Some(delay) = delay else {
                    ignored.push(command);
                    continue;
                };
                let start = std::time::Instant::now();
                while start.elapsed() < delay {
                    std::hint::spin_loop(); // As if it worked.
                }
                _ = command.send(5);
            }
        };
        thread.spawn(run).unwrap();
        Self(sender)
    }

    async fn query(&self) -> u32 {
        let (sender, receiver) = oneshot::channel();
        self.0.send(sender).unwrap();
        receiver.await.unwrap()
    }
}

fn run(seed: u64, delay: Option<Duration>) -> Report {
    let main = move || {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let query = async move { Database::open(delay).query().await };
            let task = redd::task::Builder::new().name("handler").spawn(query).unwrap();
            assert_eq!(task.await.unwrap(), 5);
        });
    };
    World::new(seed).host("server", main).run()
}

#[test]
fn a_thread_of_the_program_that_wakes_a_task_fails_the_world_with_both_names() {
    for seed in 0..10 {
        // Nothing of the world runs while the thread works.
        let report = run(seed, Some(Duration::from_millis(20)));
        let first = report.failures()[0].to_string();
        assert!(report.failures().iter().all(|failure| failure.kind() == FailureKind::ForeignThread), "{report}");
        assert!(first.contains("thread `sqlite-worker-0` has woken") && first.contains("`handler`"), "{first}");
        assert!(first.contains("`spawn_blocking`"), "{first}");
    }
}

#[test]
fn a_world_that_stops_names_the_threads_that_do_not_belong_to_it() {
    let report = run(1, None);
    let failure: &Failure = &report.failures()[0];
    assert_eq!(failure.kind(), FailureKind::NothingCanHappen);
    let text = failure.to_string();
    assert!(text.contains("`sqlite-worker-0`"), "{text}");
    assert!(text.contains("do not belong to it") && text.contains("Use `spawn_blocking`"), "{text}");
}

const CHILD: &str = "REDD_SIM_OUTSIDE_CHILD";

#[test]
fn a_world_that_stops_without_such_threads_names_none() {
    if std::env::var(CHILD).is_err() {
        // In a process of its own: here other tests have threads.
        let name = "a_world_that_stops_without_such_threads_names_none";
        let mut child = Command::new(std::env::current_exe().unwrap());
        let output = child.args(["--exact", name, "--test-threads=1"]).env(CHILD, "").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let wait = || {
        let runtime = Builder::new_multi_thread().build().unwrap();
        runtime.block_on(async {
            redd::task::spawn_blocking(|| ()).await.unwrap();
            std::future::pending::<()>().await;
        });
    };
    let report = World::new(1).host("one", wait).host("other", wait).run();
    let failure = &report.failures()[0];
    assert_eq!(failure.kind(), FailureKind::NothingCanHappen);
    assert!(!failure.to_string().contains("do not belong to it"), "{failure}");
}

#[test]
fn a_failed_run_says_that_std_was_real() {
    let report = World::new(1).host("host", || panic!("on purpose")).run();
    assert!(!report.is_std_simulated());
    let text = report.to_string();
    assert!(text.contains("`redd-sim-libc`") && text.contains("`use redd_sim_libc as _;`"), "{text}");
    assert!(!report.failures()[0].to_string().contains("redd-sim-libc"), "once for each run");
}

#[test]
fn a_run_without_a_failure_says_nothing_of_it() {
    let report = World::new(1).host("host", || ()).run();
    assert!(!report.to_string().contains("redd-sim-libc"), "{report}");
}

#[test]
fn two_runs_that_differ_by_the_keys_of_a_hash_map_say_that_std_was_real() {
    let run = || {
        let main = || {
            Builder::new_current_thread().build().unwrap().block_on(async {
                let keys: HashMap<u32, ()> = (0..50).map(|key| (key, ())).collect();
                for key in keys.into_keys() {
                    redd::sim::chance("a key", (key * 2) as u8);
                    redd::task::yield_now().await;
                }
            });
        };
        World::new(1).record(true).host("host", main).run()
    };
    let difference = run().first_difference(&run()).expect("two of 50! orders are equal in no run");
    assert!(difference.contains("chance"), "{difference}");
    assert!(difference.contains("`redd-sim-libc`"), "{difference}");
    let same = run();
    assert_eq!(same.first_difference(&same), None);
}

#[test]
fn a_thread_of_the_program_that_wakes_the_future_of_a_block_on_while_it_is_polled_fails_the_world() {
    let main = || {
        Builder::new_current_thread().build().unwrap().block_on(async {
            let (sender, mut receiver) = oneshot::channel();
            let mut sender = Some(sender);
            let mut thread = Some(std::thread::Builder::new().name("outside".to_owned()));
            let received = std::future::poll_fn(|cx| {
                let polled = std::pin::Pin::new(&mut receiver).poll(cx);
                // It sends before the poll has ended.
                if let (Some(thread), true) = (thread.take(), polled.is_pending()) {
                    let sender = sender.take().unwrap();
                    thread.spawn(move || sender.send(5)).unwrap().join().unwrap().unwrap();
                }
                polled
            });
            assert_eq!(received.await, Ok(5));
        });
    };
    let report = World::new(1).host("server", main).run();
    let [failure] = report.failures() else { panic!("one failure, not {report}") };
    assert_eq!(failure.kind(), FailureKind::ForeignThread);
    let text = failure.to_string();
    assert!(text.contains("thread `outside` has woken or spawned the future of a `block_on`"), "{text}");
}
