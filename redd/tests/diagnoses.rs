//! A runtime reports by itself what can never run again, with the lines that a person needs. The near misses are in
//! `diagnoses_silent.rs`.

#![allow(clippy::disallowed_methods, reason = "the threads of a program use the standard library")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::task::Poll;

use redd::runtime::dump::Diagnosis;
use redd::runtime::{Builder, Rescue, Runtime};
use redd::sync::{Mutex, Notify, RwLock, Semaphore, oneshot};
use redd::task::yield_now;
use redd::time::{Duration, sleep};

/// Only for tests that fail: a report comes within two seconds.
const WATCHDOG: Duration = Duration::from_secs(60);

type Lock = Arc<Mutex<()>>;

/// A builder with a hook, and what the hook gets.
fn hooked(mut builder: Builder) -> (Builder, Receiver<Diagnosis>) {
    let (send, receive) = channel();
    builder.enable_all().on_diagnosis(move |diagnosis: &Diagnosis| drop(send.send(diagnosis.clone())));
    (builder, receive)
}

fn builders() -> Vec<Builder> {
    let mut builders = vec![Builder::new_multi_thread(), Builder::new_multi_thread(), Builder::new_current_thread()];
    builders[0].worker_threads(2);
    builders[1].worker_threads(1).rescue(Rescue::off());
    builders
}

/// Runs the future on each kind of runtime, on a thread of its own, until its first report. Returns the reports.
fn reports<F: Future<Output = ()> + 'static>(stuck: impl Fn() -> F + Copy + Send + 'static) -> Vec<Diagnosis> {
    let run = |builder| {
        let (mut builder, reports) = hooked(builder);
        let runtime = builder.build().unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let stuck = stuck();
                redd::select! {
                    // With a waker of its own, so that it is no second waker of a task.
                    _ = ended => {}
                    () = stuck => {}
                }
            });
        });
        let report = reports.recv_timeout(WATCHDOG).unwrap();
        drop(end);
        thread.join().unwrap();
        report
    };
    builders().into_iter().map(run).collect()
}

fn holding(first: &Lock, second: &Lock) -> redd::task::JoinHandle<()> {
    let (first, second) = (first.clone(), second.clone());
    redd::spawn(async move {
        let _first = first.lock().await; // holds
        yield_now().await;
        sleep(Duration::from_millis(1)).await;
        let _second = second.lock().await; // waits
    })
}

/// The lines of this file that end in this comment, as a dump shows them.
fn lines(comment: &str) -> Vec<String> {
    let is_marked = |(_, line): &(usize, &str)| line.ends_with(&format!("// {comment}"));
    let name = |(index, _)| format!("redd/tests/diagnoses.rs:{}:", index + 1);
    include_str!("diagnoses.rs").lines().enumerate().filter(is_marked).map(name).collect()
}

#[track_caller]
fn assert_names(report: &Diagnosis, comment: &str) {
    let text = report.to_string();
    let lines = lines(comment);
    assert!(!lines.is_empty() && lines.iter().all(|line| text.contains(line)), "{lines:?}: {text}");
}

#[test]
fn locks_in_opposite_order_are_reported_with_the_lines_that_hold_and_wait() {
    for report in reports(|| async {
        let (a, b) = (Lock::default(), Lock::default());
        let tasks = [holding(&a, &b), holding(&b, &a)];
        for task in tasks {
            task.await.unwrap();
        }
    }) {
        assert!(matches!(&report, Diagnosis::Deadlock { tasks, .. } if tasks.len() == 2), "{report}");
        assert_names(&report, "holds");
        assert_names(&report, "waits");
        assert!(report.to_string().contains("Take the locks in the same order everywhere"), "{report}");
    }
}

/// The holder of the lock was there long before.
#[test]
fn a_ring_that_a_join_closes_is_reported() {
    for report in reports(|| async {
        let lock = Lock::default();
        let other = lock.clone();
        let holder = redd::spawn(async move {
            let _guard = other.lock().await;
            let again = other.clone();
            let wants = redd::spawn(async move { drop(again.lock().await) }); // waits for the holder
            sleep(Duration::from_millis(1500)).await;
            wants.await.unwrap(); // joins
        });
        holder.await.unwrap();
    }) {
        assert!(matches!(&report, Diagnosis::Deadlock { tasks, .. } if tasks.len() == 2), "{report}");
        assert_names(&report, "waits for the holder");
        assert_names(&report, "joins");
        assert!(report.to_string().contains("Release the lock before awaiting a task that takes it"), "{report}");
    }
}

/// RFD 609: a branch of `select!` borrows a future that waits for a lock, and another branch waits for that lock.
async fn futurelock(lock: Lock) {
    let release = Arc::new(Notify::new());
    let (other, released) = (lock.clone(), release.clone());
    let (has_lock, takes_lock) = oneshot::channel();
    redd::spawn(async move {
        let _guard = other.lock().await;
        has_lock.send(()).unwrap();
        released.notified().await;
    });
    takes_lock.await.unwrap();
    let mut first = pin!(async { drop(lock.lock().await) }); // granted
    redd::select! {
        () = &mut first => {}
        () = sleep(Duration::from_millis(5)) => {
            release.notify_one();
            let _guard = lock.lock().await; // waits and does not poll
        }
    }
}

#[track_caller]
fn assert_futurelock(report: &Diagnosis) {
    assert!(matches!(report, Diagnosis::Futurelock { .. }), "{report}");
    assert_names(report, "granted");
    assert_names(report, "waits and does not poll");
    let text = report.to_string();
    assert!(text.starts_with("futurelock: a lock was granted to a future that "), "{text}");
    assert!(text.contains("spawn it as a task, or drop it before"), "{text}");
}

#[test]
fn a_futurelock_of_a_task_is_reported_with_both_lines() {
    for report in reports(|| async { redd::spawn(futurelock(Lock::default())).await.unwrap() }) {
        assert_futurelock(&report);
        let Diagnosis::Futurelock { task, released_by, .. } = &report else { unreachable!("{report}") };
        assert!(task.is_some() && released_by.is_some() && task != released_by, "{report}");
    }
}

/// Of permits no task is the owner, so the rest of its waits does not matter.
#[test]
fn permits_that_are_granted_and_not_noticed_are_reported() {
    for report in reports(|| async {
        let permits = Arc::new(Semaphore::new(1));
        let taken = permits.acquire().await.unwrap();
        let other = permits.clone();
        let sleeper = redd::spawn(async move {
            let mut first = pin!(other.acquire()); // granted permits
            assert!(poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending())).await);
            loop {
                sleep(Duration::from_millis(10)).await;
            }
        });
        sleep(Duration::from_millis(5)).await;
        let other = permits.clone();
        let waits = redd::spawn(async move { drop(other.acquire().await.unwrap()) });
        sleep(Duration::from_millis(5)).await;
        drop(taken);
        waits.await.unwrap();
        sleeper.await.unwrap();
    }) {
        assert!(matches!(&report, Diagnosis::Futurelock { waiting: 1, .. }), "{report}");
        assert_names(&report, "granted permits");
        assert!(report.to_string().starts_with("futurelock: permits were granted to a future that task "), "{report}");
    }
}

#[test]
fn a_write_lock_that_is_granted_and_not_noticed_is_reported() {
    for report in reports(|| async {
        let lock = Arc::new(RwLock::new(()));
        let reading = lock.read().await;
        let other = lock.clone();
        let sleeper = redd::spawn(async move {
            let mut writing = pin!(other.write());
            assert!(poll_fn(|cx| Poll::Ready(writing.as_mut().poll(cx).is_pending())).await);
            loop {
                sleep(Duration::from_millis(10)).await;
            }
        });
        sleep(Duration::from_millis(5)).await;
        let other = lock.clone();
        let waits = redd::spawn(async move { drop(other.read().await) });
        sleep(Duration::from_millis(5)).await;
        drop(reading);
        waits.await.unwrap();
        sleeper.await.unwrap();
    }) {
        let Diagnosis::Futurelock { kind: redd::observe::WaitKind::RwLock, waiting: 1, .. } = &report else {
            panic!("{report}")
        };
    }
}

#[test]
fn a_task_without_a_waker_is_reported_if_nothing_has_its_handle() {
    for report in reports(|| async {
        drop(redd::spawn(poll_fn(|_no_waker_is_kept| Poll::<()>::Pending))); // stranded
        pending::<()>().await;
    }) {
        assert!(matches!(report, Diagnosis::Stranded { .. }), "{report}");
        assert_names(&report, "stranded");
        assert!(report.to_string().contains("keep its `JoinHandle`"), "{report}");
    }
}

#[test]
fn a_task_without_a_waker_is_reported_if_another_one_awaits_it() {
    for report in reports(|| async {
        let joiner = redd::spawn(async { redd::spawn(poll_fn(|_| Poll::<()>::Pending)).await.unwrap() });
        joiner.await.unwrap();
    }) {
        assert!(matches!(report, Diagnosis::Stranded { .. }), "{report}");
    }
}

/// A deadlock at another line, after which all looks have seen what is older.
fn canary(runtime: &Runtime) {
    let lock = Lock::default();
    drop(runtime.spawn(async move {
        let _guard = lock.lock().await;
        drop(lock.lock().await); // canary
    }));
}

#[test]
fn each_line_is_reported_once() {
    let (mut builder, reports) = hooked(Builder::new_multi_thread());
    let runtime = builder.worker_threads(2).build().unwrap();
    let stuck = || {
        let lock = Lock::default();
        drop(runtime.spawn(async move {
            let _guard = lock.lock().await;
            drop(lock.lock().await); // twice
        }));
    };
    stuck();
    assert_names(&reports.recv_timeout(WATCHDOG).unwrap(), "twice");
    stuck();
    canary(&runtime);
    assert_names(&reports.recv_timeout(WATCHDOG).unwrap(), "canary");
    assert!(reports.try_recv().is_err());
}

#[test]
fn a_runtime_that_does_not_look_reports_nothing_and_its_dump_has_it() {
    let (mut builder, silent) = hooked(Builder::new_multi_thread());
    let off = builder.worker_threads(1).diagnose(false).build().unwrap();
    canary(&off);
    let (mut builder, reports) = hooked(Builder::new_multi_thread());
    let on = builder.worker_threads(1).build().unwrap();
    canary(&on);
    assert_names(&reports.recv_timeout(WATCHDOG).unwrap(), "canary");
    assert!(matches!(off.handle().snapshot().diagnoses(), [Diagnosis::Deadlock { .. }]));
    assert!(silent.try_recv().is_err());
}

#[test]
fn a_panic_of_the_hook_does_not_end_the_looks() {
    let mut builder = Builder::new_multi_thread();
    let runtime =
        builder.worker_threads(1).on_diagnosis(|_| std::panic::resume_unwind(Box::new("hook"))).build().unwrap();
    canary(&runtime);
    let (mut builder, reports) = hooked(Builder::new_multi_thread());
    let other = builder.worker_threads(1).build().unwrap();
    canary(&other);
    assert_names(&reports.recv_timeout(WATCHDOG).unwrap(), "canary");
}
