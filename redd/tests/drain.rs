//! `Runtime::drain`: what it waits for, what it refuses, what it returns.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "threads of no runtime, in a test that fails if the system refuses one")]

use std::sync::mpsc;
use std::time::Duration;

use redd::runtime::{Builder, Handle, LocalOptions, Runtime, UnhandledPanic};
use redd::sync::oneshot;

const FOR_EVER: Duration = Duration::MAX;

fn two_workers() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Returns once `handle`'s runtime refuses work from this thread.
fn until_it_drains(handle: &Handle) {
    let outside = Builder::new_current_thread().build().unwrap();
    while outside.block_on(handle.spawn(async {})).is_ok() {}
}

#[test]
fn a_drain_waits_for_tasks_and_closures() {
    let runtime = two_workers();
    let (end, ended) = mpsc::channel();
    for _ in 0..10 {
        let end = end.clone();
        runtime.spawn(async move {
            redd::task::yield_now().await;
            redd::task::spawn_blocking(move || end.send(()).unwrap()).await.unwrap();
        });
    }
    drop(end);
    assert!(runtime.drain(FOR_EVER).is_empty());
    assert_eq!(ended.iter().count(), 10);
}

#[test]
fn during_a_drain_only_the_runtimes_own_work_may_spawn() {
    let runtime = two_workers();
    let handle = runtime.handle().clone();
    let (go, may_go) = oneshot::channel::<()>();
    let task = runtime.spawn(async move {
        may_go.await.unwrap();
        let of_task = redd::spawn(async { 1 }).await.unwrap();
        let of_closure = redd::task::spawn_blocking(|| Handle::current().spawn(async { 2 })).await.unwrap();
        of_task + of_closure.await.unwrap()
    });
    let outside = std::thread::spawn(move || {
        until_it_drains(&handle);
        let outside = Builder::new_current_thread().build().unwrap();
        let closure = outside.block_on(handle.spawn_blocking(|| ()));
        assert!(closure.unwrap_err().is_cancelled(), "closures from outside are refused too");
        assert_eq!(handle.block_on(async { 3 }), 3, "`block_on` runs on its own thread");
        go.send(()).unwrap();
    });
    assert!(runtime.drain(FOR_EVER).is_empty());
    outside.join().unwrap();
    assert_eq!(Builder::new_current_thread().build().unwrap().block_on(task).unwrap(), 3);
}

#[test]
fn a_drain_returns_what_is_left_with_name_and_location() {
    let runtime = two_workers();
    let (release, held) = mpsc::channel::<()>();
    let (start, started) = mpsc::channel();
    let waits = redd::task::Builder::new();
    let waits = waits.name("accepts").spawn_on(std::future::pending::<()>(), runtime.handle()).unwrap();
    let place = line!() + 1;
    runtime.spawn_blocking(move || {
        start.send(()).unwrap();
        held.recv()
    });
    started.recv().unwrap();
    let left = runtime.drain(Duration::from_millis(1));
    drop(release);
    assert_eq!(left.len(), 2, "{left:?}");
    let (closure, task) = if left[0].is_blocking() { (&left[0], &left[1]) } else { (&left[1], &left[0]) };
    assert_eq!(task.name(), Some("accepts"));
    assert_eq!(task.id(), waits.id());
    assert!(!task.is_running() && closure.is_running());
    assert_eq!((closure.spawned_at().file(), closure.spawned_at().line()), (file!(), place));
    assert!(task.to_string().contains("`accepts` (spawned at "), "{task}");
    assert!(closure.to_string().starts_with("closure "), "{closure}");
    let outside = Builder::new_current_thread().build().unwrap();
    assert!(outside.block_on(waits).unwrap_err().is_cancelled());
}

#[test]
fn a_current_thread_runtime_runs_its_tasks_during_a_drain() {
    // This runtime has no timers; a drain must not need them.
    let runtime = Builder::new_current_thread().build().unwrap();
    let (end, ended) = mpsc::channel();
    runtime.spawn(async move {
        redd::spawn(async move {
            redd::task::spawn_blocking(|| ()).await.unwrap();
            end.send(()).unwrap();
        });
    });
    assert!(runtime.drain(FOR_EVER).is_empty());
    ended.recv().unwrap();
}

#[test]
fn a_paused_clock_advances_during_a_drain() {
    let hour = Duration::from_secs(3600);
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.spawn(async move { redd::time::sleep(Duration::from_secs(5)).await });
    runtime.spawn(async move { redd::time::sleep(hour).await });
    assert_eq!(runtime.drain(Duration::from_secs(10)).len(), 1);
}

#[test]
fn a_local_runtime_drains_its_own_tasks() {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    let seen = std::rc::Rc::new(std::cell::Cell::new(0));
    let mine = seen.clone();
    runtime.spawn_local(async move {
        redd::task::yield_now().await;
        mine.set(1);
        redd::task::spawn_local(async move { mine.set(2) });
    });
    runtime.spawn_local(std::future::pending::<()>());
    assert_eq!(runtime.drain(Duration::from_millis(1)).len(), 1);
    assert_eq!(seen.get(), 2);
}

#[test]
fn a_drain_where_blocking_is_forbidden_panics_and_shuts_down() {
    let runtime = two_workers();
    let handle = runtime.handle().clone();
    let outer = Builder::new_current_thread().build().unwrap();
    let task = outer.spawn(async move { runtime.drain(FOR_EVER).len() });
    let error = outer.block_on(task).unwrap_err();
    assert!(error.is_panic(), "{error}");
    let late = outer.block_on(handle.spawn(async {}));
    assert!(late.unwrap_err().is_cancelled());
}

fn of_each_flavor() -> [Builder; 2] {
    let mut multi = Builder::new_multi_thread();
    multi.worker_threads(2);
    [multi, Builder::new_current_thread()]
}

#[test]
fn a_task_that_panics_during_a_drain_counts_as_ended_and_the_others_are_waited_for() {
    for mut builder in of_each_flavor() {
        let (tell, told) = mpsc::channel();
        let runtime = builder.on_unhandled_panic(move |panic| tell.send(panic.to_string()).unwrap()).build().unwrap();
        let (end, ended) = mpsc::channel();
        runtime.spawn(async {
            redd::task::yield_now().await;
            std::panic::resume_unwind(Box::new("no stock"));
        });
        runtime.spawn(async move {
            for _ in 0..100 {
                redd::task::yield_now().await;
            }
            end.send(()).unwrap();
        });
        assert!(runtime.drain(FOR_EVER).is_empty());
        ended.recv().unwrap();
        assert!(told.recv().unwrap().contains("no stock"), "and the panic is reported");
    }
}

#[test]
fn a_future_whose_drop_panics_does_not_keep_the_others_from_being_cancelled() {
    struct Careless(mpsc::Sender<()>);
    impl Drop for Careless {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
            std::panic::resume_unwind(Box::new("in drop"));
        }
    }
    for mut builder in of_each_flavor() {
        let runtime = builder.on_unhandled_panic(|_| {}).enable_all().build().unwrap();
        let (drop_it, dropped) = mpsc::channel();
        for _ in 0..3 {
            let careless = Careless(drop_it.clone());
            runtime.spawn(async move {
                std::future::pending::<()>().await;
                drop(careless);
            });
        }
        drop(drop_it);
        assert_eq!(runtime.drain(Duration::from_millis(1)).len(), 3);
        assert_eq!(dropped.iter().count(), 3);
    }
}

#[test]
fn a_drain_panics_if_a_panic_shuts_the_runtime_down() {
    for mut builder in of_each_flavor() {
        let builder = builder.unhandled_panic(UnhandledPanic::ShutdownRuntime).on_unhandled_panic(|_| {});
        let runtime = builder.build().unwrap();
        let other = runtime.spawn(std::future::pending::<()>());
        runtime.spawn(async {
            redd::task::yield_now().await;
            std::panic::resume_unwind(Box::new("no stock"));
        });
        let drained = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.drain(FOR_EVER)));
        let message = drained.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("configured to shut down on unhandled panic"), "{message}");
        let outside = Builder::new_current_thread().build().unwrap();
        assert!(outside.block_on(other).unwrap_err().is_cancelled());
    }
}
