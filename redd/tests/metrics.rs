//! Metrics of a runtime, dumps, histograms, and hooks of tasks.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "threads of no runtime, in a test that fails if the system refuses one")]

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::time::Duration;

use redd::observe::WaitKind;
use redd::runtime::dump::TaskState;
use redd::runtime::{Builder, HistogramConfiguration, LogHistogram, Runtime, RuntimeMetrics};
use redd::task::yield_now;

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap()
}

fn sum(metrics: &RuntimeMetrics, of: impl Fn(usize) -> u64) -> u64 {
    (0..metrics.num_workers()).map(of).sum()
}

#[test]
fn tasks_queued_from_outside_and_by_a_worker_are_counted_separately() {
    for runtime in [current_thread(), multi_thread(2)] {
        let metrics = runtime.metrics();
        let outside = runtime.handle().clone();
        let task = std::thread::spawn(move || outside.spawn(async { redd::spawn(async {}).await.unwrap() }));
        runtime.block_on(task.join().unwrap()).unwrap();
        drop(runtime);
        assert_eq!(metrics.remote_schedule_count(), 1);
        // The inner task is counted. So is the outer one when the inner one ends, unless another worker has stolen it.
        let local = sum(&metrics, |worker| metrics.worker_local_schedule_count(worker));
        assert!((1..=2).contains(&local), "{local}");
    }
}

#[test]
fn an_overflow_to_the_injector_is_not_counted_as_a_remote_schedule() {
    let runtime = multi_thread(1);
    let metrics = runtime.metrics();
    let task = runtime.spawn(async {
        for _ in 0..300 {
            redd::spawn(async {});
        }
    });
    runtime.block_on(task).unwrap();
    drop(runtime);
    assert_eq!(metrics.worker_overflow_count(0), 1);
    assert_eq!(metrics.remote_schedule_count(), 1);
    assert_eq!(metrics.worker_local_schedule_count(0), 300);
}

#[test]
fn a_stolen_task_is_counted_by_the_worker_that_steals_it() {
    let runtime = Builder::new_multi_thread().worker_threads(2).disable_lifo_slot().build().unwrap();
    let metrics = runtime.metrics();
    let task = runtime.spawn(async {
        let (tell, told) = mpsc::channel();
        // For a single task no worker is woken.
        for _ in 0..4 {
            let tell = tell.clone();
            redd::spawn(async move { tell.send(()) });
        }
        told.recv().unwrap();
    });
    runtime.block_on(task).unwrap();
    drop(runtime);
    let operations = sum(&metrics, |worker| metrics.worker_steal_operations(worker));
    let stolen = sum(&metrics, |worker| metrics.worker_steal_count(worker));
    assert!((1..=4).contains(&operations) && (operations..=4).contains(&stolen), "{operations} {stolen}");
}

#[test]
fn the_queue_of_a_current_thread_runtime_is_counted_by_its_thread() {
    let runtime = current_thread();
    let metrics = runtime.metrics();
    runtime.block_on(async {
        for _ in 0..5 {
            redd::spawn(async { yield_now().await });
        }
        assert_eq!(metrics.worker_local_queue_depth(0), 5);
        yield_now().await;
        assert_eq!(metrics.worker_local_queue_depth(0), 0, "each task has yielded, and waits for the end of the round");
    });
}

#[test]
fn a_poll_that_uses_up_its_budget_is_counted_once() {
    let runtime = current_thread();
    let metrics = runtime.metrics();
    let spend = || {
        poll_fn(|cx| {
            for _ in 0..130 {
                match redd::task::coop::poll_proceed(cx) {
                    Poll::Ready(unit) => unit.made_progress(),
                    Poll::Pending => assert!(!redd::task::coop::has_budget_remaining()),
                }
            }
            Poll::Ready(())
        })
    };
    runtime.block_on(spend());
    assert_eq!(metrics.budget_forced_yield_count(), 1);
    runtime.block_on(async { redd::join!(spend(), spend()) });
    assert_eq!(metrics.budget_forced_yield_count(), 2);
}

#[test]
fn a_closed_descriptor_stays_counted() {
    let runtime = current_thread();
    let metrics = runtime.metrics();
    runtime.block_on(async {
        let socket = redd::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        assert_eq!(metrics.io_driver_fd_registered_count(), 1);
        assert_eq!(metrics.io_driver_fd_deregistered_count(), 0);
        socket.writable().await.unwrap();
        assert_eq!(metrics.io_driver_ready_count(), 1);
        drop(socket);
        let _second = redd::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        assert_eq!(metrics.io_driver_fd_registered_count(), 2);
        assert_eq!(metrics.io_driver_fd_deregistered_count(), 1);
    });
}

#[test]
fn a_wakeup_without_work_is_counted_and_the_thread_of_the_worker_is_known() {
    let runtime = current_thread();
    let metrics = runtime.metrics();
    assert_eq!(metrics.worker_noop_count(0), 0);
    runtime.block_on(async { redd::time::sleep(Duration::from_millis(1)).await });
    assert!(metrics.worker_noop_count(0) > 0);
    assert_eq!(metrics.worker_thread_id(0), Some(std::thread::current().id()));
    let other = std::thread::spawn(move || {
        runtime.block_on(async {});
        std::thread::current().id()
    });
    assert_eq!(Some(other.join().unwrap()), metrics.worker_thread_id(0));
}

#[test]
fn each_poll_is_in_the_histogram_of_its_worker() {
    let linear = HistogramConfiguration::linear(Duration::from_secs(50), 3);
    let log = HistogramConfiguration::log(LogHistogram::builder().max_error(0.1));
    for (configuration, buckets) in [(linear, 3), (log, 469)] {
        for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            let runtime = builder
                .worker_threads(2)
                .enable_metrics_poll_time_histogram()
                .metrics_poll_time_histogram_configuration(configuration.clone())
                .enable_metrics_schedule_latency_histogram()
                .metrics_schedule_latency_histogram_configuration(configuration.clone())
                .build()
                .unwrap();
            let metrics = runtime.metrics();
            for _ in 0..7 {
                runtime.block_on(runtime.spawn(yield_now())).unwrap();
            }
            drop(runtime);
            assert!(metrics.poll_time_histogram_enabled() && metrics.schedule_latency_histogram_enabled());
            assert_eq!(metrics.poll_time_histogram_num_buckets(), buckets);
            let polls = sum(&metrics, |worker| metrics.worker_poll_count(worker));
            assert_eq!(polls, 14);
            let all = |count: &dyn Fn(usize, usize) -> u64| {
                sum(&metrics, |worker| (0..buckets).map(|bucket| count(worker, bucket)).sum())
            };
            assert_eq!(all(&|worker, bucket| metrics.poll_time_histogram_bucket_count(worker, bucket)), polls);
            assert_eq!(all(&|worker, bucket| metrics.schedule_latency_histogram_bucket_count(worker, bucket)), polls);
        }
    }
}

#[test]
fn histograms_are_off_by_default() {
    let linear = HistogramConfiguration::linear(Duration::from_millis(1), 3);
    let runtime =
        Builder::new_current_thread().metrics_poll_time_histogram_configuration(linear).enable_all().build().unwrap();
    runtime.block_on(runtime.spawn(async {})).unwrap();
    let metrics = runtime.metrics();
    assert!(!metrics.poll_time_histogram_enabled());
    assert_eq!(metrics.poll_time_histogram_num_buckets(), 0);
    assert_eq!(metrics.poll_time_histogram_bucket_count(0, 0), 0);
    assert!(metrics.poll_time_histogram_bucket_range(0).is_empty());
    assert_eq!(metrics.worker_mean_poll_time(0), Duration::ZERO);
}

#[test]
#[should_panic(expected = "Check `num_workers`")]
fn a_histogram_bucket_that_does_not_exist_panics() {
    let runtime = Builder::new_current_thread().enable_metrics_poll_time_histogram().build().unwrap();
    runtime.metrics().poll_time_histogram_bucket_count(0, 10);
}

#[test]
fn poll_hooks_receive_the_schedule_latency() {
    for workers in [0, 1] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let hook = |seen: &Arc<Mutex<Vec<_>>>| {
            let seen = Arc::clone(seen);
            move |task: &redd::runtime::TaskMeta<'_>| seen.lock().unwrap().push(task.schedule_latency())
        };
        let mut builder = if workers == 0 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
        let runtime = builder
            .worker_threads(1)
            .track_task_schedule_latency()
            .on_before_task_poll(hook(&seen))
            .on_after_task_poll(hook(&seen))
            .on_task_spawn(|task| assert_eq!(task.schedule_latency(), None))
            .build()
            .unwrap();
        runtime
            .block_on(runtime.spawn(async {
                let waits = redd::spawn(async {});
                std::thread::sleep(Duration::from_millis(20));
                waits.await.unwrap();
            }))
            .unwrap();
        drop(runtime);
        let seen = seen.lock().unwrap();
        let pairs: Vec<_> = seen.chunks(2).collect();
        assert!(pairs.iter().all(|pair| pair[0].is_some() && pair[0] == pair[1]), "{seen:?}");
        assert!(pairs.iter().any(|pair| pair[0] >= Some(Duration::from_millis(20))), "{seen:?}");
    }
}

#[test]
fn schedule_latency_is_not_tracked_by_default() {
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&polls);
    let runtime = Builder::new_current_thread()
        .on_before_task_poll(move |task| {
            assert_eq!(task.schedule_latency(), None);
            counted.fetch_add(1, SeqCst);
        })
        .build()
        .unwrap();
    runtime.block_on(runtime.spawn(async {})).unwrap();
    assert_eq!(polls.load(SeqCst), 1);
}

#[test]
fn a_dump_shows_the_identity_and_the_state_of_each_task() {
    let runtime = current_thread();
    let (dump, ids) = runtime.block_on(async {
        let (_send, receive) = redd::sync::oneshot::channel::<()>();
        let waiting = redd::task::Builder::new().name("reader").spawn(async move { receive.await.is_ok() }).unwrap();
        let dumping = redd::spawn(async {
            let pending = redd::spawn(std::future::pending::<()>());
            yield_now().await;
            let queued = redd::spawn(async {});
            (redd::runtime::Handle::current().dump().await, [pending.id(), queued.id(), redd::task::id()])
        });
        let (dump, [pending, queued, dumping]) = dumping.await.unwrap();
        (dump, [waiting.id(), pending, queued, dumping])
    });
    let state = |id| dump.tasks().iter().find(|task| task.id() == id).expect("a live task").state();
    let TaskState::Waiting { on: Some(WaitKind::Oneshot), at: Some(place), .. } = state(ids[0]) else {
        panic!("{dump}");
    };
    assert!(place.file().ends_with("metrics.rs"));
    assert!(matches!(state(ids[1]), TaskState::Waiting { on: None, at: None, .. }), "{dump}");
    assert!(matches!(state(ids[2]), TaskState::Queued), "{dump}");
    assert!(matches!(state(ids[3]), TaskState::Running), "{dump}");
    let reader = dump.tasks().iter().find(|task| task.name() == Some("reader")).unwrap();
    assert!(reader.spawned_at().file().ends_with("metrics.rs"));
    assert!(reader.trace().to_string().contains("waits: Oneshot at "), "{}", reader.trace());
    assert_eq!(dump.to_string().lines().count(), 4);
}

#[test]
fn log_histograms_have_as_many_buckets_as_tokios() {
    // These values are from a run of Tokio 1.54.1.
    let figures: [(u64, u64, u32, usize, u64); 9] = [
        (1, 2, 0, 3, 2),
        (1, 100, 1, 15, 128),
        (5, 5, 1, 3, 6),
        (100, 60_000_000_000, 2, 119, 60_129_542_144),
        (20_000, 4_000_000, 3, 65, 4_194_304),
        (3, 1 << 40, 4, 591, 1 << 40),
        (1000, 999, 5, 3, 1008),
        (0, 1_000_000_000, 2, 117, 1_073_741_824),
        (100, 60_000_000_000, 10, 27291, 60_028_878_848),
    ];
    for (min, max, p, buckets, last) in figures {
        let [shortest, longest] = [min, max].map(Duration::from_nanos);
        let mut builder = LogHistogram::builder().min_value(shortest).max_value(longest).precision_exact(p);
        assert_eq!(builder.build().max_value(), last, "{min} {max} {p}");
        assert!(builder.max_buckets(buckets).is_ok(), "{min} {max} {p}");
        let error = builder.max_buckets(buckets - 1).unwrap_err();
        assert!(error.to_string().contains(&format!("needs {buckets} buckets")), "{error}");
    }
    for (error, p) in [(0.0001, 10), (0.01, 7), (0.1, 4), (0.2, 3), (0.25, 2), (0.6, 2)] {
        let exact = LogHistogram::builder().precision_exact(p).build();
        assert_eq!(LogHistogram::builder().max_error(error).build(), exact);
    }
}

#[test]
#[should_panic(expected = "Give at most 10")]
fn an_excessive_precision_is_refused() {
    let _ = LogHistogram::builder().precision_exact(11);
}

#[test]
fn debug_prints_the_values_of_the_runtime_and_of_each_worker() {
    let runtime = multi_thread(2);
    for _ in 0..3 {
        runtime.block_on(runtime.spawn(async {})).unwrap();
    }
    let text = format!("{:?}", runtime.metrics());
    for part in ["num_workers: 2", "num_alive_tasks: 0", "spawned_tasks_count: 3", "late_polls: 0", "longest_poll: "] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    assert_eq!(text.matches("poll_count: ").count(), 2, "one for each worker: {text}");
}

#[test]
fn the_count_of_closed_descriptors_never_underflows_while_others_are_opened() {
    for _ in 0..20 {
        let runtime = current_thread();
        let (metrics, is_done) = (runtime.metrics(), Arc::new(AtomicUsize::new(0)));
        let reader = std::thread::spawn({
            let (metrics, is_done) = (metrics.clone(), Arc::clone(&is_done));
            move || {
                let mut max = 0;
                while is_done.load(SeqCst) == 0 {
                    max = max.max(metrics.io_driver_fd_deregistered_count());
                }
                max
            }
        });
        let sockets: Vec<_> = runtime.block_on(async {
            let std_socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            std_socket.set_nonblocking(true).unwrap();
            (0..200).map(|_| redd::net::UdpSocket::from_std(std_socket.try_clone().unwrap()).unwrap()).collect()
        });
        is_done.store(1, SeqCst);
        let max = reader.join().unwrap();
        assert!(max <= 200, "{max}: no descriptor is closed yet");
        assert_eq!(metrics.io_driver_fd_deregistered_count(), 0);
        drop(sockets);
        assert_eq!(metrics.io_driver_fd_deregistered_count(), 200);
    }
}

#[test]
fn handles_runtimes_and_metrics_are_unwind_safe() {
    fn may_cross<T: std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    may_cross::<redd::runtime::RuntimeMetrics>();
    may_cross::<redd::runtime::Handle>();
    may_cross::<redd::runtime::Runtime>();
    may_cross::<redd::runtime::LocalRuntime>();
    may_cross::<redd::task::JoinHandle<std::cell::Cell<u8>>>();
    may_cross::<redd::task::AbortHandle>();
}
