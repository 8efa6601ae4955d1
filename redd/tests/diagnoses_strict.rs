//! Strict tests fail with a diagnosis and a dump, and only then.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;

use redd::runtime::{Builder, LocalOptions};
use redd::sync::{Mutex, oneshot};
use redd::task::yield_now;
use redd::time::{Duration, sleep};

/// Runs the future on strict runtimes. Returns the messages of their panics.
fn failures<F: Future<Output = ()>>(test: impl Fn() -> F) -> Vec<String> {
    let strict = |mut builder: Builder| {
        builder.enable_all().fail_on_diagnosis(true);
        builder
    };
    let multi = strict(Builder::new_multi_thread()).worker_threads(2).build().unwrap();
    let current = strict(Builder::new_current_thread()).build().unwrap();
    let local = strict(Builder::new_current_thread()).build_local(LocalOptions::default()).unwrap();
    let runs: [&dyn Fn(); 3] = [&|| multi.block_on(test()), &|| current.block_on(test()), &|| local.block_on(test())];
    let run = |run: &dyn Fn()| match catch_unwind(AssertUnwindSafe(run)) {
        Ok(()) => String::new(),
        Err(panic) => *panic.downcast::<String>().unwrap(),
    };
    runs.into_iter().map(run).collect()
}

async fn takes_twice() {
    let lock = Mutex::new(());
    let _first = lock.lock().await;
    let _second = lock.lock().await;
}

#[test]
fn a_deadlock_ends_a_test_that_waits_for_it() {
    for failure in failures(|| async { redd::spawn(takes_twice()).await.unwrap() }) {
        assert!(
            failure.starts_with("a diagnosis, and the runtime was built with `fail_on_diagnosis`:\ndeadlock: "),
            "{failure}"
        );
        assert!(failure.contains("\n\nThe tasks:\n") && failure.contains("task "), "{failure}");
    }
}

#[test]
fn a_deadlock_that_a_test_leaves_behind_fails_it() {
    for failure in failures(|| async {
        let task = redd::spawn(takes_twice());
        for _ in 0..20 {
            yield_now().await;
        }
        sleep(Duration::from_millis(20)).await;
        drop(task);
    }) {
        assert!(failure.contains("deadlock: a task waits for itself\n"), "{failure}");
    }
}

#[test]
fn a_detached_task_that_can_never_run_again_fails_it() {
    for failure in failures(|| async {
        drop(redd::spawn(poll_fn(|_| Poll::<()>::Pending)));
        sleep(Duration::from_millis(20)).await;
    }) {
        assert!(failure.contains("can never run again"), "{failure}");
    }
}

/// It takes five seconds.
#[test]
fn a_test_in_which_nothing_can_happen_fails() {
    for failure in failures(|| async {
        let (sender, receiver) = oneshot::channel::<()>();
        receiver.await.unwrap();
        drop(sender);
    }) {
        assert!(failure.contains("nothing can happen: "), "{failure}");
        assert!(failure.contains("Oneshot at redd/tests/diagnoses_strict.rs:"), "{failure}");
    }
}

#[test]
fn a_test_without_a_diagnosis_passes() {
    let passed = failures(|| async {
        let lock = Arc::new(Mutex::new(0));
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let lock = lock.clone();
                redd::spawn(async move {
                    for _ in 0..20 {
                        *lock.lock().await += 1;
                        yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*lock.lock().await, 80);
        let aborted = redd::spawn(pending::<()>());
        sleep(Duration::from_millis(2500)).await;
        aborted.abort();
    });
    assert_eq!(passed, ["", "", ""]);
}

#[test]
fn an_own_panic_of_the_test_is_the_one_that_is_seen() {
    let failure = catch_unwind(|| {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_all().fail_on_diagnosis(true).build().unwrap();
        runtime.block_on(async {
            drop(redd::spawn(takes_twice()));
            yield_now().await;
            std::panic::resume_unwind(Box::new("own"));
        });
    });
    assert_eq!(*failure.unwrap_err().downcast::<&str>().unwrap(), "own");
}

#[redd::test(strict)]
#[should_panic(expected = "deadlock: a task waits for itself")]
async fn the_attribute_makes_a_test_strict() {
    redd::spawn(takes_twice()).await.unwrap();
}

#[redd::test(flavor = "multi_thread", worker_threads = 2, strict)]
async fn a_strict_test_may_pass() {
    assert_eq!(redd::spawn(async { 7 }).await.unwrap(), 7);
}
