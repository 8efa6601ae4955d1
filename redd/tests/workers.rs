//! Each worker thread starts the next one before it runs user code for the first time.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "threads and clocks of the outside world")]
#![expect(unsafe_code, reason = "what threads inherit is changed by system calls, and threads are stopped by signals")]

#[path = "../src/sys/emulation.rs"]
mod emulation;

use std::collections::BTreeSet;
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use redd::io::AsyncReadExt;
use redd::net::unix::pipe;
use redd::runtime::{Builder, Rescue, Runtime, worker_index};
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

/// Runs as many tasks as there are workers. They only end if each has a worker. Returns the results of `each`.
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

/// A task that occupies its worker until the sender is dropped.
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
fn a_program_that_only_blocks_on_futures_has_one_worker_thread() {
    use redd::net::UnixDatagram;
    let runtime = builder(32).build().unwrap();
    for number in 0..20 {
        runtime.block_on(async {
            // The worker fires the timer, receives the event, and wakes this thread.
            redd::time::sleep(std::time::Duration::from_millis(1)).await;
            let (mine, theirs) = UnixDatagram::pair().unwrap();
            let receive = async {
                let mut byte = [0];
                mine.recv(&mut byte).await.unwrap();
                byte[0]
            };
            let send = async {
                task::yield_now().await;
                theirs.send(&[number]).await.unwrap();
            };
            assert_eq!(redd::join!(receive, send).0, number);
        });
    }
    assert!(started(&runtime) <= 1);
    assert_eq!(runtime.metrics().num_workers(), 32);
}

#[test]
fn the_workers_that_ran_a_task_and_one_more_have_a_thread() {
    let runtime = builder(32).build().unwrap();
    let ran =
        (0..3).map(|_| runtime.block_on(runtime.spawn(async { redd::runtime::worker_index() })).unwrap().unwrap());
    let ran = BTreeSet::from_iter(ran);
    let next = ran.last().unwrap() + 1;
    assert_eq!(ran, (0..next).collect(), "each began with its predecessor's first task");
    while started(&runtime) <= next {
        std::thread::yield_now();
    }
    assert_eq!(started(&runtime), next + 1);
}

#[test]
fn a_task_that_blocks_in_the_first_poll_of_a_runtime_stalls_no_other() {
    // Rescue is off.
    let runtime = builder(4).build().unwrap();
    let (release, occupied) = occupy(&runtime);
    runtime.block_on(async {
        // A worker that has run no task already waits for events and timers.
        let (mine, theirs) = redd::net::UnixDatagram::pair().unwrap();
        let receive = async {
            let mut byte = [0];
            mine.recv(&mut byte).await.unwrap();
            byte[0]
        };
        let send = async {
            task::yield_now().await;
            theirs.send(&[7]).await.unwrap();
        };
        assert_eq!(redd::join!(receive, send).0, 7);
        redd::time::sleep(std::time::Duration::from_millis(1)).await;
    });
    assert_eq!(runtime.block_on(runtime.spawn(async { 8 })).unwrap(), 8);
    drop(release);
    runtime.block_on(occupied).unwrap();
}

#[test]
fn a_waker_that_blocks_stalls_no_task() {
    struct Blocks(Mutex<mpsc::Receiver<()>>, mpsc::Sender<()>);
    impl Wake for Blocks {
        fn wake(self: Arc<Self>) {
            self.1.send(()).unwrap();
            self.0.lock().unwrap().recv().unwrap_err();
        }
    }
    let runtime = builder(2).build().unwrap();
    let (release, hold) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let waker = Waker::from(Arc::new(Blocks(Mutex::new(hold), tell)));
    let mut sleep = {
        let _guard = runtime.enter();
        Box::pin(redd::time::sleep(std::time::Duration::from_millis(1)))
    };
    assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    told.recv().unwrap();
    // The only worker with a thread runs the waker.
    assert_eq!(runtime.block_on(runtime.spawn(async { 7 })).unwrap(), 7);
    drop(release);
}

#[test]
fn a_worker_without_a_thread_has_the_metrics_of_one_that_parked_at_once() {
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
    // Two more names are for the standby threads.
    assert_eq!(calls.load(Ordering::Relaxed), 6);
    let names = on_all_at_once(&runtime, || std::thread::current().name().unwrap().to_owned());
    assert_eq!(BTreeSet::from_iter(names), (0..4).map(|n| format!("number-{n}")).collect());
    assert_eq!(calls.load(Ordering::Relaxed), 6);
}

#[test]
fn a_name_that_is_invalid_for_a_thread_is_not_used() {
    let runtime = builder(2).thread_name("a\0b").build().unwrap();
    let names = on_all_at_once(&runtime, || std::thread::current().name().unwrap().to_owned());
    assert_eq!(BTreeSet::from_iter(names), ["redd-worker-0", "redd-worker-1"].map(str::to_owned).into());
}

/// The name of the calling thread, and what the kernel has of it.
fn names_here() -> (String, String) {
    let kernel = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
    (std::thread::current().name().unwrap().to_owned(), kernel.trim_end().to_owned())
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no `/proc`")]
fn each_worker_has_its_index_in_its_name() {
    let runtime = builder(3).build().unwrap();
    let named = on_all_at_once(&runtime, || (worker_index().unwrap(), names_here()));
    let expected = (0..3).map(|index| {
        let name = format!("redd-worker-{index}");
        (index, (name.clone(), name))
    });
    assert_eq!(BTreeSet::from_iter(named), expected.collect());
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no `/proc`")]
fn each_spare_worker_has_a_name_of_its_own() {
    let runtime = builder(1).build().unwrap();
    for round in 0..3 {
        let together = Arc::new(Barrier::new(4));
        let tasks = Vec::from_iter((0..4).map(|_| {
            let together = Arc::clone(&together);
            runtime.spawn(async move {
                let named = (worker_index(), names_here());
                task::block_in_place(|| together.wait());
                named
            })
        }));
        let mut seen = BTreeSet::new();
        for task in tasks {
            let (index, (name, kernel)) = runtime.block_on(task).unwrap();
            assert_eq!(name, kernel);
            match index {
                Some(index) => assert_eq!(name, format!("redd-worker-{index}")),
                None => assert!(name.starts_with("redd-spare-"), "{name}"),
            }
            assert!(seen.insert(name), "{seen:?} in round {round}");
        }
        let spares = BTreeSet::from_iter((0..5).map(|number| format!("redd-spare-{number}")));
        assert!(seen.iter().filter(|name| !spares.contains(*name)).all(|name| name == "redd-worker-0"), "{seen:?}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no `/proc`")]
fn blocking_threads_are_told_apart_by_the_kernel_too() {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let runtime = builder.worker_threads(1).build().unwrap();
        let together = Arc::new(Barrier::new(12));
        let closures = Vec::from_iter((0..12).map(|_| {
            let together = Arc::clone(&together);
            runtime.spawn_blocking(move || {
                together.wait();
                names_here()
            })
        }));
        let named: BTreeSet<_> = closures.into_iter().map(|closure| runtime.block_on(closure).unwrap()).collect();
        let expected = (0..12).map(|number| {
            let kernel = if number < 10 { "redd-blocking" } else { "redd-blockin" };
            (format!("redd-blocking-{number}"), format!("{kernel}-{number}"))
        });
        assert_eq!(named, expected.collect());
    }
}

#[test]
fn a_blocking_thread_has_the_number_of_one_that_has_ended() {
    let runtime = builder(1).thread_keep_alive(Duration::ZERO).build().unwrap();
    let name = || std::thread::current().name().unwrap().to_owned();
    for _ in 0..20 {
        assert_eq!(runtime.block_on(runtime.spawn_blocking(name)).unwrap(), "redd-blocking-0");
        while runtime.metrics().num_blocking_threads() > 0 {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_given_name_is_that_of_all_threads_as_in_tokio() {
    let runtime = builder(1).thread_name("mine").build().unwrap();
    let name = || std::thread::current().name().unwrap().to_owned();
    assert_eq!(runtime.block_on(runtime.spawn(async move { name() })).unwrap(), "mine");
    assert_eq!(runtime.block_on(runtime.spawn_blocking(name)).unwrap(), "mine");
    let (tell, told) = mpsc::channel();
    let blocked = runtime.spawn(async move {
        drop(redd::spawn(async move { tell.send(name()).unwrap() }));
        task::block_in_place(|| told.recv().unwrap())
    });
    assert_eq!(runtime.block_on(blocked).unwrap(), "mine", "a spare worker");
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
fn the_stop_hook_runs_once_for_each_thread_that_started() {
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
fn a_runtime_that_did_nothing_ends_with_one_thread() {
    let runtime = builder(1000).build().unwrap();
    let metrics = runtime.metrics();
    let counters =
        || (metrics.worker_poll_count(999), metrics.worker_park_count(999), metrics.worker_park_unpark_count(999));
    assert_eq!(counters(), (0, 1, 1), "as one that found nothing to do");
    drop(runtime);
    assert_eq!(counters(), (0, 1, 2));
    assert_eq!((1..1000).filter(|worker| metrics.worker_thread_id(*worker).is_some()).count(), 0);
    builder(1000).build().unwrap().shutdown_background();
    assert!(builder(1000).build().unwrap().drain(std::time::Duration::from_secs(60)).is_empty());
}

#[test]
fn block_in_place_wakes_the_worker_that_has_just_started_before_there_are_spares() {
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
fn when_the_first_worker_stalls_the_second_one_is_woken_instead_of_a_spare() {
    if emulation::skips("workers", "its threads wake later than the monitor waits for them before it takes a spare") {
        return;
    }
    let runtime = builder(2).rescue(Rescue::new()).on_late_poll(|_| {}).build().unwrap();
    // A worker that still looks for work may take the task behind the stalled one. Then there is nothing to rescue.
    for _ in 0..50 {
        runtime.block_on(async {
            let stuck = redd::spawn(async {
                let (tell, told) = mpsc::channel();
                // This task is next on the same worker, so no other worker is woken for it.
                drop(redd::spawn(async move { tell.send(()).unwrap() }));
                told.recv().unwrap();
            });
            stuck.await.unwrap();
        });
        if runtime.metrics().rescues() > 0 {
            break;
        }
    }
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
        assert_eq!(started, threads, "all threads have ended with the runtime");
    }
}

/// What a thread passes on to a thread that it starts: the system's view of the calling thread.
fn inherited() -> Vec<String> {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let mut inherited = Vec::from_iter(
        status
            .lines()
            .filter(|line| ["SigBlk:", "Cpus_allowed_list:"].iter().any(|key| line.starts_with(key)))
            .map(str::to_owned),
    );
    inherited.push(std::fs::read_link("/proc/thread-self/cwd").unwrap().display().to_string());
    // SAFETY: no pointers are passed.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    inherited.push(format!("nice {nice}"));
    inherited
}

/// Blocks signals, binds the calling thread to its CPU, and gives it a working directory and a nice value of its own.
fn change_inherited() {
    // SAFETY: the sets outlive the calls and have the given sizes. The other calls take no pointers.
    unsafe {
        let mut signals = std::mem::zeroed();
        libc::sigaddset(&raw mut signals, libc::SIGUSR2);
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signals, std::ptr::null_mut()), 0);
        let cpu = libc::sched_getcpu() as usize;
        let mut cpus = [0_u8; 128];
        cpus[cpu / 8] = 1 << (cpu % 8);
        assert_eq!(libc::sched_setaffinity(0, cpus.len(), cpus.as_ptr().cast()), 0);
        assert_eq!(libc::unshare(libc::CLONE_FS), 0);
        let nice = libc::getpriority(libc::PRIO_PROCESS, 0);
        assert_eq!(libc::setpriority(libc::PRIO_PROCESS, 0, nice + 3), 0);
    }
    std::env::set_current_dir("/proc").unwrap();
}

#[test]
fn workers_inherit_nothing_from_a_thread_that_wakes_tasks() {
    let home = inherited();
    let runtime = builder(4).build().unwrap();
    let (release, occupied) = occupy(&runtime);
    let handle = runtime.handle().clone();
    let seen = std::thread::spawn(move || {
        change_inherited();
        assert!(inherited().iter().zip(&home).filter(|(changed, home)| changed != home).count() >= 3);
        // All other workers.
        let barrier = Arc::new(Barrier::new(3));
        let tasks = (0..3).map(|_| {
            let barrier = Arc::clone(&barrier);
            handle.spawn(async move {
                barrier.wait();
                inherited()
            })
        });
        (home, Vec::from_iter(tasks))
    });
    let (home, tasks) = seen.join().unwrap();
    for task in tasks {
        assert_eq!(runtime.block_on(task).unwrap(), home);
    }
    drop(release);
    runtime.block_on(occupied).unwrap();
}

/// A task changes its thread, blocks in place, and waits for the given number of other tasks, which block on each
/// other.
fn seen_beside_a_changed_thread(runtime: &Runtime, others: usize) -> Vec<Vec<String>> {
    let task = runtime.spawn(async move {
        change_inherited();
        let barrier = Arc::new(Barrier::new(others));
        let tasks = (0..others).map(|_| {
            let barrier = Arc::clone(&barrier);
            redd::spawn(async move {
                barrier.wait();
                inherited()
            })
        });
        let tasks = Vec::from_iter(tasks);
        let handle = redd::runtime::Handle::current();
        task::block_in_place(|| Vec::from_iter(tasks.into_iter().map(|task| handle.block_on(task).unwrap())))
    });
    runtime.block_on(task).unwrap()
}

#[test]
fn workers_inherit_nothing_from_a_task_that_changes_its_thread() {
    let home = inherited();
    let runtime = builder(3).build().unwrap();
    assert_eq!(seen_beside_a_changed_thread(&runtime, 2), [home.clone(), home]);
}

#[test]
fn spares_inherit_nothing_from_a_task_that_changes_its_thread() {
    let home = inherited();
    let runtime = builder(1).build().unwrap();
    assert_eq!(seen_beside_a_changed_thread(&runtime, 1), [home]);
    assert_eq!(runtime.metrics().rescue_workers_max(), 1);
}

#[test]
fn a_spare_inherits_from_the_thread_that_built_its_own_runtime() {
    // The process's monitor starts with the first runtime, whose builder thread differs from that of the second one.
    let first = std::thread::spawn(|| {
        change_inherited();
        Builder::new_multi_thread().worker_threads(2).on_late_poll(|_| {}).build().unwrap()
    });
    let first = first.join().unwrap();
    let home = inherited();
    let runtime = builder(1).rescue(Rescue::new()).on_late_poll(|_| {}).build().unwrap();
    let (release, occupied) = occupy(&runtime);
    assert_eq!(runtime.block_on(runtime.spawn(async { inherited() })).unwrap(), home);
    assert_eq!(runtime.metrics().rescue_workers_max(), 1);
    drop(release);
    runtime.block_on(occupied).unwrap();
    drop(first);
}

#[test]
fn without_rescue_a_worker_in_block_in_place_has_a_spare_although_another_is_active() {
    let runtime = builder(2).build().unwrap();
    let (release, hold) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let in_place = runtime.spawn(async move {
        task::block_in_place(|| {
            tell.send(()).unwrap();
            hold.recv().unwrap_err();
        });
    });
    told.recv().unwrap();
    // This worker is active, and blocks without `block_in_place`.
    let (other, occupied) = occupy(&runtime);
    assert_eq!(runtime.block_on(runtime.spawn(async { 7 })).unwrap(), 7);
    drop((release, other));
    runtime.block_on(in_place).unwrap();
    runtime.block_on(occupied).unwrap();
}

#[test]
fn a_hook_for_parking_workers_does_not_run_before_the_next_thread_has_started() {
    let parked = Arc::new(AtomicUsize::new(0));
    let parks = Arc::clone(&parked);
    let runtime = builder(3).on_thread_park(move || _ = parks.fetch_add(1, Ordering::Relaxed)).build().unwrap();
    while started(&runtime) < 3 || parked.load(Ordering::Relaxed) < 3 {
        std::thread::yield_now();
    }
}

#[test]
fn a_task_may_block_on_the_first_of_two_tasks_that_it_spawned() {
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

#[test]
fn standby_threads_have_names_of_their_own() {
    let made = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&made);
    let name = move || format!("n{}", counter.fetch_add(1, Ordering::Relaxed));
    let runtime = Builder::new_multi_thread().worker_threads(1).thread_name_fn(name).build().unwrap();
    let together = Arc::new(Barrier::new(4));
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let together = Arc::clone(&together);
            runtime.spawn(async move {
                task::block_in_place(|| together.wait());
                std::thread::current().name().unwrap().to_owned()
            })
        })
        .collect();
    let names: BTreeSet<_> = tasks.into_iter().map(|task| runtime.block_on(task).unwrap()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn a_runtime_that_is_dropped_in_place_by_its_start_hook_does_not_wait_for_the_hooks_thread() {
    let (give, take) = mpsc::channel::<Runtime>();
    let take = Mutex::new(take);
    let (tell, told) = mpsc::channel();
    let hook = move || {
        if let Ok(runtime) = take.lock().unwrap().recv() {
            task::block_in_place(|| drop(runtime));
            tell.send(()).unwrap();
        }
    };
    let runtime = Builder::new_multi_thread().worker_threads(1).on_thread_start(hook).build().unwrap();
    give.send(runtime).unwrap();
    drop(give);
    told.recv_timeout(std::time::Duration::from_secs(20)).expect("the drop returns");
}

/// Longer than any of these takes.
const WATCHDOG: Duration = Duration::from_secs(20);

/// The only thread that is stopped.
static STOPPED: AtomicUsize = AtomicUsize::new(RUNS);
const RUNS: usize = 0;
const IS_STOPPED: usize = 1;

extern "C" fn stop_here(_signal: libc::c_int) {
    STOPPED.store(IS_STOPPED, Ordering::SeqCst);
    while STOPPED.load(Ordering::SeqCst) == IS_STOPPED {
        // SAFETY: it takes no pointer. A signal handler may call it.
        unsafe { libc::usleep(100) };
    }
}

/// While it exists, a thread is stopped in the system call in which it slept. Then that call ends with `EINTR`.
struct Stopped(#[expect(dead_code, reason = "a guard")] MutexGuard<'static, ()>);

impl Stopped {
    fn new(thread: libc::pid_t) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        wait_until_asleep(thread);
        // SAFETY: zeros are valid: an empty mask and no flags. The handler makes only calls that it may make.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = stop_here as extern "C" fn(libc::c_int) as usize;
            assert_eq!(libc::sigaction(libc::SIGUSR2, &raw const action, std::ptr::null_mut()), 0);
            assert_eq!(libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGUSR2), 0);
        }
        let since = Instant::now();
        while STOPPED.load(Ordering::SeqCst) != IS_STOPPED {
            assert!(since.elapsed() < WATCHDOG, "the thread is stopped");
            std::thread::yield_now();
        }
        Self(turn)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        STOPPED.store(RUNS, Ordering::SeqCst);
    }
}

/// Waits until the thread has slept for a while.
fn wait_until_asleep(thread: libc::pid_t) {
    let (begin, mut awake_at) = (Instant::now(), Instant::now());
    while awake_at.elapsed() < Duration::from_millis(50) {
        let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
        if !stat.rsplit_once(')').unwrap().1.starts_with(" S") {
            awake_at = Instant::now();
        }
        assert!(begin.elapsed() < WATCHDOG, "the thread goes to sleep");
        std::thread::sleep(Duration::from_millis(1));
    }
}

type Handler = Box<dyn FnOnce() + Send>;

/// Two workers without rescue. One sleeps in the driver, and is stopped there. The other one is occupied, and later sleeps.
struct OneInDriver {
    runtime: Runtime,
    stopped: Stopped,
    other: libc::pid_t,
    release_other: mpsc::Sender<()>,
    /// A byte in one of them is the event of a handler.
    senders: Vec<File>,
}

impl OneInDriver {
    fn new(builder: Builder, handlers: Vec<Handler>) -> Self {
        Self::with(builder, handlers, |_| ())
    }

    /// The worker that is stopped first runs the tasks that `spawn` spawns.
    fn with(mut builder: Builder, handlers: Vec<Handler>, spawn: impl FnOnce(&Runtime)) -> Self {
        let runtime = builder.build().unwrap();
        // SAFETY: it has no conditions.
        let threads = on_all_at_once(&runtime, || (worker_index().unwrap(), unsafe { libc::gettid() }));
        let senders = handlers.into_iter().map(|handler| on_event(&runtime, handler)).collect();
        let (release_other, hold) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        runtime.spawn(async move {
            tell.send(worker_index().unwrap()).unwrap();
            hold.recv().unwrap_err();
        });
        let occupied = told.recv().unwrap();
        // The worker that is left measures short polls. So a few tasks are not worth a wake because of the time that they take.
        let yields = async {
            for _ in 0..10_000 {
                task::yield_now().await;
            }
        };
        runtime.block_on(runtime.spawn(yields)).unwrap();
        spawn(&runtime);
        let thread = |is_occupied| threads.iter().find(|(worker, _)| (*worker == occupied) == is_occupied).unwrap().1;
        let stopped = Stopped::new(thread(false));
        Self { runtime, stopped, other: thread(true), release_other, senders }
    }

    /// The other worker runs what is ready. Then it finds that the stopped one has the driver, and sleeps. Then the stopped one
    /// continues.
    fn let_other_sleep_and_continue(self, meanwhile: impl FnOnce(&Runtime)) -> Runtime {
        drop(self.release_other);
        wait_until_asleep(self.other);
        meanwhile(&self.runtime);
        drop(self.stopped);
        self.runtime
    }
}

/// Spawns a task that runs `handler` when its pipe gets a byte, and waits until it waits for that. Returns the other end.
fn on_event(runtime: &Runtime, handler: Handler) -> File {
    let (sender, mut receiver) = {
        let _entered = runtime.enter();
        pipe::pipe().unwrap()
    };
    let (tell, told) = mpsc::channel();
    runtime.spawn(async move {
        let mut read = std::pin::pin!(receiver.read_u8());
        assert!(poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_pending())).await);
        tell.send(()).unwrap();
        read.await.unwrap();
        handler();
    });
    told.recv().unwrap();
    File::from(sender.into_blocking_fd().unwrap())
}

/// Two handlers that each wait until the other one runs, and report whether it did.
fn two_that_meet() -> ([Handler; 2], mpsc::Receiver<bool>) {
    let (report, reports) = mpsc::channel();
    let meet = |tell: mpsc::Sender<()>, told: mpsc::Receiver<()>| -> Handler {
        let report = report.clone();
        Box::new(move || {
            tell.send(()).unwrap();
            report.send(told.recv_timeout(WATCHDOG).is_ok()).unwrap();
        })
    };
    let ((tell_first, first), (tell_second, second)) = (mpsc::channel(), mpsc::channel());
    ([meet(tell_first, second), meet(tell_second, first)], reports)
}

fn spawn_and_report(runtime: &Runtime) -> mpsc::Receiver<()> {
    let (report, reports) = mpsc::channel();
    runtime.spawn(async move { report.send(()).unwrap() });
    reports
}

/// A signal that a profiler sends has this effect, too.
#[test]
fn a_wake_that_comes_after_the_wait_of_a_worker_does_not_stay_in_the_driver() {
    let one = OneInDriver::new(builder(2), Vec::new());
    // The wait of the stopped worker has ended already, so it does not see the wake for this task. The other one takes the task.
    let first = spawn_and_report(&one.runtime);
    let (release, hold) = mpsc::channel::<()>();
    let (tell, begun) = mpsc::channel();
    let runtime = one.let_other_sleep_and_continue(|runtime| {
        first.recv_timeout(WATCHDOG).expect("the occupied worker runs the first task");
        // The worker that was stopped takes it, and blocks.
        runtime.spawn(async move {
            tell.send(()).unwrap();
            hold.recv().unwrap_err();
        });
    });
    begun.recv_timeout(WATCHDOG).expect("the second task runs");
    let is_woken = spawn_and_report(&runtime).recv_timeout(WATCHDOG);
    drop(release);
    is_woken.expect("the worker that sleeps is woken for the third task");
}

#[test]
fn a_wake_that_comes_behind_many_events_does_not_stay_in_the_driver() {
    // A poll of the driver takes fewer.
    const EVENTS: usize = 100;
    let (release, hold) = mpsc::channel::<()>();
    let hold = Arc::new(Mutex::new(Some(hold)));
    let (tell, begun) = mpsc::channel();
    let handler = || -> Handler {
        let (hold, tell) = (Arc::clone(&hold), tell.clone());
        Box::new(move || {
            let hold = hold.lock().unwrap().take();
            tell.send(()).unwrap();
            if let Some(hold) = hold {
                hold.recv().unwrap_err(); // The first one blocks its worker.
            }
        })
    };
    let mut one = OneInDriver::new(builder(2), (0..EVENTS).map(|_| handler()).collect());
    one.senders.iter_mut().for_each(|sender| sender.write_all(b"x").unwrap());
    let first = spawn_and_report(&one.runtime);
    let runtime = one.let_other_sleep_and_continue(|_| {
        first.recv_timeout(WATCHDOG).expect("the occupied worker runs the first task");
    });
    let all_begin = (0..EVENTS).try_for_each(|_| begun.recv_timeout(WATCHDOG));
    let is_woken = spawn_and_report(&runtime).recv_timeout(WATCHDOG);
    drop(release);
    all_begin.expect("the handlers run beside the one that blocks");
    is_woken.expect("the worker that sleeps is woken for the second task");
}

#[test]
fn the_tasks_of_two_events_do_not_wait_for_each_other() {
    for events_max in [1, 1024] {
        let mut builder = builder(2);
        builder.max_io_events_per_tick(events_max);
        let (handlers, reports) = two_that_meet();
        let mut one = OneInDriver::new(builder, handlers.into());
        one.senders.iter_mut().for_each(|sender| sender.write_all(b"x").unwrap());
        let _runtime = one.let_other_sleep_and_continue(|_| ());
        for _ in 0..2 {
            assert!(reports.recv().unwrap(), "each has a worker, if a poll takes {events_max} events");
        }
    }
}

#[test]
fn the_tasks_of_two_timers_do_not_wait_for_each_other() {
    let (handlers, reports) = two_that_meet();
    let one = OneInDriver::with(builder(2), Vec::new(), |runtime| {
        let at = redd::time::Instant::now() + Duration::from_secs(1);
        for handler in handlers {
            runtime.spawn(async move {
                redd::time::sleep_until(at).await;
                handler();
            });
        }
    });
    let _runtime = one.let_other_sleep_and_continue(|_| ());
    for _ in 0..2 {
        assert!(reports.recv().unwrap(), "each has a worker");
    }
}
