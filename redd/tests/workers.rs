//! Worker threads start when they are first needed.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "threads and clocks of the outside world")]

#[path = "../src/sys/emulation.rs"]
mod emulation;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};

use redd::runtime::{Builder, Rescue, Runtime};
use redd::task;

fn builder(workers: usize) -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).enable_all().rescue(Rescue::off());
    builder
}

/// How many workers have a thread.
fn started(runtime: &Runtime) -> usize {
    let metrics = runtime.metrics();
    (0..metrics.num_workers()).filter(|worker| metrics.worker_thread_id(*worker).is_some()).count()
}

/// As many tasks as there are workers, which can only end if each has a worker: what `each` answers for them.
fn on_all_at_once<T: Send + 'static>(runtime: &Runtime, each: fn() -> T) -> Vec<T> {
    let barrier = Arc::new(Barrier::new(runtime.metrics().num_workers()));
    let tasks = (0..runtime.metrics().num_workers()).map(|_| {
        let barrier = Arc::clone(&barrier);
        runtime.spawn(async move {
            barrier.wait();
            each()
        })
    });
    let tasks = Vec::from_iter(tasks);
    tasks.into_iter().map(|task| runtime.block_on(task).unwrap()).collect()
}

/// A task that keeps its worker until the sender is dropped.
fn occupy(runtime: &Runtime) -> (mpsc::Sender<()>, task::JoinHandle<()>) {
    let (release, hold) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let task = runtime.spawn(async move {
        tell.send(()).unwrap();
        hold.recv().unwrap_err();
    });
    told.recv().unwrap();
    (release, task)
}

#[test]
fn one_thing_after_another_takes_few_threads() {
    let runtime = builder(32).build().unwrap();
    for number in 0..500 {
        assert_eq!(runtime.block_on(async { redd::spawn(async move { number }).await.unwrap() }), number);
    }
    let started = started(&runtime);
    assert!((1..8).contains(&started), "{started} threads");
    assert_eq!(runtime.metrics().num_workers(), 32);
}

#[test]
fn a_worker_without_a_thread_looks_like_one_that_went_to_sleep_at_once() {
    let runtime = builder(2).build().unwrap();
    let metrics = runtime.metrics();
    assert_eq!(metrics.worker_thread_id(1), None, "nothing was done yet");
    assert_eq!((metrics.worker_park_count(1), metrics.worker_noop_count(1), metrics.worker_poll_count(1)), (1, 1, 0));
    assert!(!metrics.worker_total_busy_duration(1).is_zero(), "programs divide by it");
}

#[test]
fn tasks_that_block_on_each_other_get_a_worker_each() {
    for _ in 0..20 {
        let runtime = builder(6).build().unwrap();
        let workers = on_all_at_once(&runtime, redd::runtime::worker_index);
        assert_eq!(BTreeSet::from_iter(workers), (0..6).map(Some).collect());
        assert_eq!(started(&runtime), 6);
    }
}

#[test]
fn tasks_of_a_worker_that_block_on_each_other_get_a_worker_each() {
    for _ in 0..20 {
        let runtime = builder(4).build().unwrap();
        runtime.block_on(async {
            let parent = redd::spawn(async {
                let barrier = Arc::new(Barrier::new(3));
                let tasks = (0..3).map(|_| {
                    let barrier = Arc::clone(&barrier);
                    redd::spawn(async move { barrier.wait().is_leader() })
                });
                let tasks = Vec::from_iter(tasks);
                let mut leaders = 0;
                for task in tasks {
                    leaders += usize::from(task.await.unwrap());
                }
                leaders
            });
            assert_eq!(parent.await.unwrap(), 1);
        });
    }
}

#[test]
fn names_are_made_in_build_and_each_thread_has_one() {
    let calls = Arc::new(AtomicUsize::new(0));
    let mut builder = builder(4);
    builder.thread_name_fn({
        let calls = Arc::clone(&calls);
        move || format!("number-{}", calls.fetch_add(1, Ordering::Relaxed))
    });
    let runtime = builder.build().unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 4);
    let names = on_all_at_once(&runtime, || std::thread::current().name().unwrap().to_owned());
    assert_eq!(BTreeSet::from_iter(names), (0..4).map(|n| format!("number-{n}")).collect());
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}

#[test]
fn a_name_that_no_thread_can_have_is_not_used() {
    let runtime = builder(2).thread_name("a\0b").build().unwrap();
    let names = on_all_at_once(&runtime, || std::thread::current().name().unwrap().to_owned());
    assert_eq!(names, ["redd-worker"; 2]);
}

#[test]
fn with_a_hook_for_starting_threads_all_start_in_build_and_may_wait_for_each_other() {
    let (barrier, stopped) = (Arc::new(Barrier::new(5)), Arc::new(AtomicUsize::new(0)));
    let (all, stops) = (Arc::clone(&barrier), Arc::clone(&stopped));
    let runtime = builder(4)
        .on_thread_start(move || _ = all.wait())
        .on_thread_stop(move || _ = stops.fetch_add(1, Ordering::Relaxed))
        .build()
        .unwrap();
    barrier.wait();
    drop(runtime);
    assert_eq!(stopped.load(Ordering::Relaxed), 4);
}

#[test]
fn the_stop_hook_runs_once_for_each_thread_that_there_was() {
    for wanted in [1, 3] {
        let stopped = Arc::new(AtomicUsize::new(0));
        let stops = Arc::clone(&stopped);
        let mut builder = builder(3);
        let runtime = builder.on_thread_stop(move || _ = stops.fetch_add(1, Ordering::Relaxed)).build().unwrap();
        if wanted == 3 {
            on_all_at_once(&runtime, || ());
        }
        drop(runtime);
        assert_eq!(stopped.load(Ordering::Relaxed), wanted);
    }
}

#[test]
fn a_runtime_that_did_nothing_ends_with_the_only_thread_that_it_had() {
    let runtime = builder(1000).build().unwrap();
    let metrics = runtime.metrics();
    let figures =
        || (metrics.worker_poll_count(999), metrics.worker_park_count(999), metrics.worker_park_unpark_count(999));
    assert_eq!(figures(), (0, 1, 1), "as one that found nothing to do");
    drop(runtime);
    assert_eq!(figures(), (0, 1, 2));
    assert_eq!((1..1000).filter(|worker| metrics.worker_thread_id(*worker).is_some()).count(), 0);
    builder(1000).build().unwrap().shutdown_background();
    assert!(builder(1000).build().unwrap().drain(std::time::Duration::from_secs(60)).is_empty());
}

#[test]
fn block_in_place_lets_another_worker_start_before_there_are_spares() {
    let runtime = builder(3).build().unwrap();
    runtime.block_on(async {
        let outer = redd::spawn(async {
            let (tell, told) = mpsc::channel();
            drop(redd::spawn(async move { tell.send(redd::runtime::worker_index()).unwrap() }));
            task::block_in_place(move || told.recv().unwrap())
        });
        assert!(outer.await.unwrap().is_some(), "a spare would have no index");
    });
    assert_eq!(runtime.metrics().rescue_workers_max(), 0);
}

#[test]
fn behind_the_only_worker_that_is_stuck_another_one_starts_and_no_spare() {
    if emulation::skips("workers", "its threads start later than the monitor waits for them before it takes a spare") {
        return;
    }
    let runtime = builder(2).rescue(Rescue::new()).on_late_poll(|_| {}).build().unwrap();
    runtime.block_on(async {
        let stuck = redd::spawn(async {
            let (tell, told) = mpsc::channel();
            // It is next on this very worker, so nobody else is called for it.
            drop(redd::spawn(async move { tell.send(()).unwrap() }));
            told.recv().unwrap();
        });
        stuck.await.unwrap();
    });
    assert_eq!(started(&runtime), 2);
    assert_eq!(runtime.metrics().rescue_workers_max(), 0);
    assert_eq!(runtime.metrics().rescues(), 1);
}

#[test]
fn events_are_seen_while_the_only_worker_computes_in_long_polls() {
    use redd::net::UnixDatagram;
    let runtime = builder(2).build().unwrap();
    let (mine, theirs) = {
        let _guard = runtime.enter();
        UnixDatagram::pair().unwrap()
    };
    let echo = runtime.spawn(async move {
        let mut byte = [0];
        theirs.recv(&mut byte).await.unwrap();
        byte[0]
    });
    let done = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&done);
    let long_polls = runtime.spawn(async move {
        while seen.load(Ordering::Relaxed) == 0 {
            let since = std::time::Instant::now();
            while since.elapsed().as_millis() < 3 {}
            task::yield_now().await;
        }
    });
    while started(&runtime) < 2 {
        std::thread::yield_now();
    }
    runtime.block_on(async { mine.send(&[7]).await.unwrap() });
    assert_eq!(runtime.block_on(echo).unwrap(), 7);
    done.store(1, Ordering::Relaxed);
    runtime.block_on(long_polls).unwrap();
}

#[test]
fn a_start_that_races_with_the_shutdown_leaves_no_thread() {
    let stopped = Arc::new(AtomicUsize::new(0));
    let running = Arc::new(AtomicUsize::new(0));
    for round in 0..200 {
        let stops = Arc::clone(&stopped);
        let mut builder = builder(4);
        let runtime = builder.on_thread_stop(move || _ = stops.fetch_add(1, Ordering::Relaxed)).build().unwrap();
        let before = stopped.load(Ordering::Relaxed);
        let metrics = runtime.metrics();
        let outside = (0..2).map(|_| {
            let (handle, running) = (runtime.handle().clone(), Arc::clone(&running));
            std::thread::spawn(move || {
                for _ in 0..round % 8 {
                    let running = Arc::clone(&running);
                    drop(handle.spawn(async move { _ = running.fetch_add(1, Ordering::Relaxed) }));
                }
            })
        });
        let outside = Vec::from_iter(outside);
        drop(runtime);
        let threads = stopped.load(Ordering::Relaxed) - before;
        outside.into_iter().for_each(|thread| thread.join().unwrap());
        let started = (0..4).filter(|worker| metrics.worker_thread_id(*worker).is_some()).count();
        assert_eq!(started, threads, "all that ever started had ended when the runtime was gone");
    }
}

#[test]
#[expect(unsafe_code, reason = "a system call")]
fn a_worker_is_not_bound_to_the_cpu_of_the_thread_that_called_for_it() {
    let cpus = || {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        status.lines().find(|line| line.starts_with("Cpus_allowed_list:")).unwrap().to_owned()
    };
    let runtime = builder(2).build().unwrap();
    let (release, occupied) = occupy(&runtime);
    let handle = runtime.handle().clone();
    let caller = std::thread::spawn(move || {
        // SAFETY: no pointers are passed.
        let cpu = unsafe { libc::sched_getcpu() } as usize;
        let mut set = [0_u8; 128];
        set[cpu / 8] = 1 << (cpu % 8);
        // SAFETY: the set lives, and has so many bytes.
        assert_eq!(unsafe { libc::sched_setaffinity(0, set.len(), set.as_ptr().cast()) }, 0);
        handle.spawn(async move { cpus() })
    });
    assert_eq!(runtime.block_on(caller.join().unwrap()).unwrap(), cpus());
    drop(release);
    runtime.block_on(occupied).unwrap();
}

#[test]
fn a_task_that_waits_for_an_earlier_one_of_two_that_it_spawned_gets_help() {
    let runtime = builder(2).build().unwrap();
    runtime.block_on(async {
        let parent = redd::spawn(async {
            let (tell, told) = mpsc::channel();
            drop(redd::spawn(async move { tell.send(()).unwrap() }));
            drop(redd::spawn(async {}));
            told.recv().unwrap();
        });
        parent.await.unwrap();
    });
}
