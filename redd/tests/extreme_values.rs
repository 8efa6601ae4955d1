//! Numbers at the limits of their types. Each one has a result that the documentation states, or a panic with a message.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "threads and clocks of the outside world")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::mpsc as std_mpsc;
use std::task::{Context, Waker};
use std::time::Duration;

use redd::io::{AsyncReadExt, AsyncWriteExt};
use redd::runtime::{Builder, HistogramConfiguration, LogHistogram, Rescue, Runtime};
use redd::{sync, task, time};

/// More than any machine has, but still a valid number of bytes or items.
const TERA: usize = 1 << 40;

/// The marker of a value that works.
const WORKS: Option<&str> = None;

/// The message of the panic of `f`.
fn panic_of<R>(f: impl FnOnce() -> R) -> Option<String> {
    let payload = catch_unwind(AssertUnwindSafe(|| drop(f()))).err()?;
    let message = payload.downcast_ref::<String>().cloned();
    Some(message.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
}

/// Each value either works, or panics with a message that contains the given words.
#[track_caller]
fn table<T: Copy + std::fmt::Debug, R>(what: &str, rows: &[(T, Option<&str>)], use_it: impl Fn(T) -> R) {
    for (value, words) in rows {
        match (panic_of(|| use_it(*value)), words) {
            (None, None) => {}
            (Some(message), Some(words)) if message.contains(words) => {}
            (message, words) => panic!("{what}({value:?}): {message:?} instead of {words:?}"),
        }
    }
}

/// Asserts that the runtime runs tasks, closures, timers and I/O.
fn works(runtime: &Runtime) {
    runtime.block_on(async {
        let tasks = Vec::from_iter((0..200).map(|number| redd::spawn(async move { number })));
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), number);
        }
        assert_eq!(task::spawn_blocking(|| 7).await.unwrap(), 7);
        time::sleep(Duration::from_millis(1)).await;
        let (mut mine, mut theirs) = redd::net::UnixStream::pair().unwrap();
        let echo = redd::spawn(async move {
            let byte = theirs.read_u8().await.unwrap();
            theirs.write_u8(byte).await.unwrap();
        });
        mine.write_u8(9).await.unwrap();
        assert_eq!(mine.read_u8().await.unwrap(), 9);
        echo.await.unwrap();
    });
}

fn both() -> [Builder; 2] {
    let mut multi = Builder::new_multi_thread();
    multi.worker_threads(2).on_late_poll(|_| {});
    [multi, Builder::new_current_thread()]
}

/// Sets the option on both flavors, builds and uses the runtimes.
fn built_with(set: impl Fn(&mut Builder)) {
    for mut builder in both() {
        set(&mut builder);
        works(&builder.enable_all().build().unwrap());
    }
}

#[test]
fn each_number_of_the_builder_works_or_panics_with_a_message() {
    table("worker_threads", &[(0, Some("at least 1")), (1, WORKS), (3, WORKS)], |count| {
        works(&Builder::new_multi_thread().worker_threads(count).enable_all().build().unwrap());
    });
    let too_many = Some("at most 32767");
    table("worker_threads", &[(32_768, too_many), (TERA, too_many), (usize::MAX, too_many)], |count| {
        drop(Builder::new_multi_thread().worker_threads(count).build());
    });
    let counts = [(0, Some("at least 1")), (1, WORKS), (TERA, WORKS), (usize::MAX, WORKS)];
    table("max_blocking_threads", &counts, |count| built_with(|builder| _ = builder.max_blocking_threads(count)));
    table("max_io_events_per_tick", &counts, |count| built_with(|builder| _ = builder.max_io_events_per_tick(count)));
    table("max_io_events_per_busy_tick", &counts, |count| {
        built_with(|builder| _ = builder.max_io_events_per_busy_tick(count));
    });
    let intervals = [(0, Some("at least 1")), (1, WORKS), (u32::MAX, WORKS)];
    table("event_interval", &intervals, |interval| built_with(|builder| _ = builder.event_interval(interval)));
    table("global_queue_interval", &intervals, |interval| {
        built_with(|builder| _ = builder.global_queue_interval(interval));
    });
    let durations = [(Duration::ZERO, WORKS), (Duration::from_nanos(1), WORKS), (Duration::MAX, WORKS)];
    table("thread_keep_alive", &durations, |keep| built_with(|builder| _ = builder.thread_keep_alive(keep)));
    table("threshold", &durations, |threshold| {
        built_with(|builder| _ = builder.rescue(Rescue::new().threshold(threshold)));
    });
    table("report_after", &durations, |after| {
        built_with(|builder| _ = builder.rescue(Rescue::new().report_after(after)));
    });
}

#[test]
fn an_impossible_stack_size_is_an_error_and_a_tiny_one_becomes_the_minimum() {
    for bytes in [0, 1] {
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_stack_size(bytes).build().unwrap();
        // The task does little, so the smallest stack is enough.
        assert_eq!(runtime.block_on(runtime.spawn(async { 7 })).unwrap(), 7);
    }
    for bytes in [usize::MAX, usize::MAX / 2, usize::MAX - 4096] {
        let error = Builder::new_multi_thread().thread_stack_size(bytes).build().expect_err("no machine has that");
        assert_explains_stack(&error.to_string(), bytes);
        let runtime = Builder::new_current_thread().thread_stack_size(bytes).build().unwrap();
        let _guard = runtime.enter();
        let error = task::try_spawn_blocking(|| ()).expect_err("no machine has that");
        assert_explains_stack(&error.to_string(), bytes);
        let error = runtime.block_on(task::spawn_blocking(|| ())).expect_err("no machine has that").into_panic();
        assert_explains_stack(error.downcast_ref::<String>().expect("a message"), bytes);
    }
}

/// Asserts that the message names the number that made the thread impossible, and what to do.
fn assert_explains_stack(message: &str, bytes: usize) {
    for part in ["`Builder::thread_stack_size`", &bytes.to_string(), "Give fewer bytes"] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
}

#[test]
fn any_bound_of_rescue_workers_rescues_or_only_reports() {
    for max in [0, 1, 16_384, 16_385, TERA, usize::MAX] {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).rescue(Rescue::new().max_workers(max)).on_late_poll(|_| {});
        let runtime = builder.enable_all().build().unwrap();
        let (release, hold) = std_mpsc::channel::<()>();
        let (tell, told) = std_mpsc::channel();
        let stuck = runtime.spawn(async move {
            tell.send(()).unwrap();
            hold.recv().unwrap_err();
        });
        told.recv().unwrap();
        if max == 0 {
            while runtime.metrics().longest_poll() < Duration::from_millis(50) {
                std::thread::yield_now();
            }
        } else {
            assert_eq!(runtime.block_on(runtime.spawn(async { 7 })).unwrap(), 7, "{max}");
        }
        assert_eq!(runtime.metrics().rescue_workers_max(), max.min(1));
        drop(release);
        runtime.block_on(stuck).unwrap();
        works(&runtime);
    }
    built_with(|builder| _ = builder.max_rescue_workers(usize::MAX));
}

#[test]
fn each_number_of_histogram_buckets_works_or_panics_with_a_message() {
    let histograms = |configuration: HistogramConfiguration| {
        built_with(|builder| {
            builder.enable_metrics_poll_time_histogram();
            builder.metrics_poll_time_histogram_configuration(configuration.clone());
            builder.enable_metrics_schedule_latency_histogram();
            builder.metrics_schedule_latency_histogram_configuration(configuration.clone());
        });
    };
    for width in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        for buckets in [0, 1, 100] {
            histograms(HistogramConfiguration::linear(width, buckets));
        }
    }
    table("linear", &[(TERA, Some("buckets")), (usize::MAX, Some("buckets"))], |buckets| {
        histograms(HistogramConfiguration::linear(Duration::from_micros(1), buckets));
    });
    let log = |min, max, p| LogHistogram::builder().min_value(min).max_value(max).precision_exact(p).build();
    for p in [0, 1, 10] {
        histograms(HistogramConfiguration::log(log(Duration::ZERO, Duration::MAX, p)));
        histograms(HistogramConfiguration::log(log(Duration::MAX, Duration::from_nanos(1), p)));
    }
    table("precision_exact", &[(11, Some("at most 10")), (u32::MAX, Some("at most 10"))], |p| {
        LogHistogram::builder().precision_exact(p)
    });
    table(
        "max_error",
        &[(0.0, Some("more than 0")), (1.0, Some("less than 1")), (f64::NAN, Some("more than 0"))],
        |e| LogHistogram::builder().max_error(e),
    );
    LogHistogram::builder().max_error(f64::MIN_POSITIVE).build();
    LogHistogram::builder().max_buckets(0).expect_err("it needs more");
}

#[test]
fn each_channel_capacity_works_or_panics_with_a_message() {
    let most = sync::Semaphore::MAX_PERMITS;
    table("mpsc", &[(0, Some("at least 1")), (1, WORKS), (TERA, WORKS), (most, WORKS)], |capacity| {
        let (sender, mut receiver) = sync::mpsc::channel(capacity);
        sender.try_send(5).unwrap();
        assert_eq!(sender.max_capacity(), capacity);
        assert_eq!(receiver.try_recv().unwrap(), 5);
    });
    table("mpsc", &[(most + 1, Some("MAX_PERMITS")), (usize::MAX, Some("MAX_PERMITS"))], sync::mpsc::channel::<()>);
    table("broadcast", &[(0, Some("capacity")), (1, WORKS)], |capacity| {
        let (sender, mut receiver) = sync::broadcast::channel(capacity);
        sender.send(5).unwrap();
        assert_eq!(receiver.try_recv().unwrap(), 5);
    });
    let too_many = Some("capacity");
    table(
        "broadcast",
        &[(usize::MAX, too_many), (usize::MAX / 2, too_many), (1 << 60, too_many), (1 << 50, too_many)],
        |capacity| sync::broadcast::channel::<[u64; 4]>(capacity),
    );
}

#[test]
fn each_number_of_permits_works_or_panics_with_a_message() {
    let most = sync::Semaphore::MAX_PERMITS;
    table("Semaphore", &[(0, WORKS), (1, WORKS), (most, WORKS), (most + 1, Some("MAX_PERMITS"))], |permits| {
        assert_eq!(sync::Semaphore::new(permits).available_permits(), permits);
    });
    table("Semaphore", &[(usize::MAX, Some("MAX_PERMITS"))], sync::Semaphore::new);
    table(
        "add_permits",
        &[(0, WORKS), (most - 3, WORKS), (most, Some("permits")), (usize::MAX, Some("permits"))],
        |more| {
            sync::Semaphore::new(3).add_permits(more);
        },
    );
    let semaphore = sync::Semaphore::new(3);
    assert!(semaphore.try_acquire_many(u32::MAX).is_err());
    assert_eq!(semaphore.try_acquire_many(0).unwrap().num_permits(), 0);
    assert_eq!((semaphore.forget_permits(usize::MAX), semaphore.available_permits()), (3, 0));
    table(
        "with_max_readers",
        &[(0, Some("reader")), (1, WORKS), (u32::MAX >> 3, WORKS), (u32::MAX, Some("u32::MAX >> 3"))],
        |readers| {
            drop(sync::RwLock::with_max_readers((), readers).try_read().unwrap());
        },
    );
    for parties in [0, 1] {
        let barrier = sync::Barrier::new(parties);
        let wait = pin!(barrier.wait());
        assert!(wait.poll_now(), "{parties}");
    }
    assert!(!pin!(sync::Barrier::new(usize::MAX).wait()).poll_now());
}

/// A single poll. Returns whether the future is ready.
trait PollNow: Future {
    fn poll_now(self: std::pin::Pin<&mut Self>) -> bool {
        self.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }
}

impl<F: Future> PollNow for F {}

#[test]
fn each_duration_of_a_timer_works_or_panics_with_a_message() {
    for mut builder in both() {
        let runtime = builder.enable_all().build().unwrap();
        runtime.block_on(async {
            for span in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
                let sleep = pin!(time::sleep(span));
                assert!(!sleep.poll_now() || span < Duration::from_millis(1));
                let timeout = time::timeout(span, async { 5 });
                assert_eq!(timeout.await.unwrap(), 5);
            }
            table("interval", &[(Duration::ZERO, Some("zero"))], time::interval);
            for period in [Duration::from_nanos(1), Duration::MAX] {
                let mut interval = time::interval(period);
                interval.tick().await;
                interval.reset_after(Duration::MAX);
                assert!(!pin!(interval.tick()).poll_now());
            }
            time::timeout(Duration::MAX, time::sleep(Duration::from_millis(1))).await.unwrap();
        });
    }
}

#[test]
fn each_backlog_and_buffer_size_works_or_panics_with_a_message() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for backlog in [0, 1, u32::MAX] {
            let socket = redd::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let listener = socket.listen(backlog).unwrap();
            let address = listener.local_addr().unwrap();
            let (client, accepted) = redd::join!(redd::net::TcpStream::connect(address), listener.accept());
            assert_eq!(client.unwrap().local_addr().unwrap(), accepted.unwrap().1);
        }
        let capacities = [(0, Some("greater than zero")), (1, WORKS), (usize::MAX, Some("capacity overflow"))];
        table("BufReader", &capacities, |capacity| redd::io::BufReader::with_capacity(capacity, &b"abc"[..]));
        table("BufWriter", &[(0, WORKS), (1, WORKS), (usize::MAX, Some("capacity overflow"))], |capacity| {
            redd::io::BufWriter::with_capacity(capacity, Vec::new())
        });
        let mut writer = redd::io::BufWriter::with_capacity(0, Vec::new());
        writer.write_all(b"abc").await.unwrap();
        assert_eq!(writer.get_ref(), b"abc");
        for capacity in [1, usize::MAX] {
            let (mut one, mut other) = redd::io::duplex(capacity);
            one.write_u8(7).await.unwrap();
            assert_eq!(other.read_u8().await.unwrap(), 7);
        }
        let mut most = Vec::new();
        assert_eq!((&b"abc"[..]).take(u64::MAX).read_to_end(&mut most).await.unwrap(), 3);
    });
}
