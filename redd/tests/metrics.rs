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
    let text = dump.to_string();
    assert_eq!(text.lines().filter(|line| line.starts_with("task ")).count(), 4, "{text}");
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
    for part in [
        "num_workers: 2",
        "num_alive_tasks: 0",
        "spawned_tasks_count: 3",
        "late_polls: 0",
        "late_polls_by_location: []",
        "longest_poll: ",
    ] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    assert_eq!(text.matches("poll_count: ").count(), 2, "one for each worker: {text}");
}

/// A sample of a text for Prometheus: name, labels and value.
#[derive(Debug, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Sample {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }
}

fn is_name(text: &str, others: &str) -> bool {
    let may_begin = |character: char| character.is_ascii_alphabetic() || character == '_';
    text.starts_with(may_begin)
        && text
            .chars()
            .all(|character| may_begin(character) || character.is_ascii_digit() || others.contains(character))
}

/// Reads `name{label="value",…} value`.
fn read_sample(line: &str) -> Result<Sample, String> {
    let fault = |what: &str| format!("{what}: {line}");
    let (name, rest) = line.split_once('{').ok_or_else(|| fault("no labels"))?;
    let (mut labels, mut rest) = (Vec::<(String, String)>::new(), rest);
    loop {
        let (label, after) = rest.split_once("=\"").ok_or_else(|| fault("no value of a label"))?;
        if !is_name(label, "") || label.starts_with("__") {
            return Err(fault("a label has a wrong name"));
        }
        if labels.iter().any(|(known, _)| known == label) {
            return Err(fault("a label occurs twice"));
        }
        let (mut value, mut characters) = (String::new(), after.chars());
        loop {
            match characters.next().ok_or_else(|| fault("a label has no end"))? {
                '"' => break,
                '\\' => value.push(match characters.next() {
                    Some('n') => '\n',
                    Some(escaped @ ('"' | '\\')) => escaped,
                    _ => return Err(fault("a wrong escape")),
                }),
                character => value.push(character),
            }
        }
        labels.push((label.to_owned(), value));
        rest = characters.as_str();
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => break,
        }
    }
    let number = rest.strip_prefix("} ").ok_or_else(|| fault("no value"))?;
    if !number.chars().all(|character| character.is_ascii_digit() || character == '.') {
        return Err(fault("the value is not a plain number"));
    }
    let value = number.parse().map_err(|_| fault("the value is not a number"))?;
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// Reads a text for Prometheus, and refuses everything that the formats forbid or discourage.
fn read_open_metrics(text: &str) -> Result<Vec<Sample>, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("the end mark is missing")?;
    let (mut types, mut samples) = (Vec::<(&str, &str)>::new(), Vec::<Sample>::new());
    let mut lines = body.lines().peekable();
    while let Some(line) = lines.next() {
        let (name, help) = line
            .strip_prefix("# HELP ")
            .and_then(|rest| rest.split_once(' '))
            .ok_or_else(|| format!("a block does not begin with a description: {line}"))?;
        if help.trim() != help || help.is_empty() || help.contains('\\') {
            return Err(format!("a description is empty or needs escapes: {line}"));
        }
        let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE ")?.strip_prefix(name)?.strip_prefix(' '));
        let kind = kind.ok_or_else(|| format!("no type after {line}"))?;
        if !is_name(name, ":") || !name.starts_with("redd_") || name.contains("__") {
            return Err(format!("a wrong name: {name}"));
        }
        let is_counter = match kind {
            "counter" => true,
            "gauge" | "histogram" => false,
            _ => return Err(format!("a wrong type: {kind}")),
        };
        if name.ends_with("_total") != is_counter || ["_count", "_sum", "_bucket"].iter().any(|end| name.ends_with(end))
        {
            return Err(format!("the name {name} does not go with a {kind}"));
        }
        if types.iter().any(|(known, _)| *known == name) {
            return Err(format!("two blocks of {name}"));
        }
        types.push((name, kind));
        let before = samples.len();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let sample = read_sample(line)?;
            let end = sample.name.strip_prefix(name).ok_or_else(|| format!("not in the block of {name}: {line}"))?;
            if !(if kind == "histogram" { ["_bucket", "_sum", "_count"].contains(&end) } else { end.is_empty() }) {
                return Err(format!("not in the block of {name}: {line}"));
            }
            if (end == "_bucket") != sample.label("le").is_some() {
                return Err(format!("only buckets have bounds: {line}"));
            }
            if samples.iter().any(|known| (&known.name, &known.labels) == (&sample.name, &sample.labels)) {
                return Err(format!("a sample occurs twice: {line}"));
            }
            samples.push(sample);
        }
        if samples.len() == before {
            return Err(format!("no samples of {name}"));
        }
        if kind == "histogram" {
            check_histogram(name, &samples[before..])?;
        }
    }
    Ok(samples)
}

/// Checks the histogram of one runtime: bounds and counts do not fall, and the last bucket has all.
fn check_histogram(name: &str, samples: &[Sample]) -> Result<(), String> {
    let buckets: Vec<(f64, f64)> = samples
        .iter()
        .filter_map(|sample| Some((sample.label("le")?.replace("+Inf", "inf").parse().unwrap(), sample.value)))
        .collect();
    if !buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1) {
        return Err(format!("bounds or counts of {name} fall: {buckets:?}"));
    }
    let of = |end: &str| samples.iter().find(|sample| sample.name == format!("{name}{end}")).map(|sample| sample.value);
    match (buckets.last(), of("_count"), of("_sum")) {
        (Some((bound, last)), Some(count), Some(_)) if bound.is_infinite() && *last == count => Ok(()),
        found => Err(format!("{name} has no last bucket, number or sum: {found:?}")),
    }
}

/// The value of a metric. `None` if there is no such sample.
fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut found = samples.iter().filter(|sample| {
        sample.name == name && labels.iter().all(|(label, value)| sample.label(label) == Some(*value))
    });
    let first = found.next()?.value;
    assert_eq!(found.next(), None, "one sample of {name}");
    Some(first)
}

#[test]
fn open_metrics_is_valid_and_has_the_values_and_the_escaped_name() {
    const NAME: &str = "a \"quoted\\ name\nwith a line break, } and é";
    for workers in [0, 1, 3] {
        let mut builder = if workers == 0 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
        let runtime = builder
            .worker_threads(workers.max(1))
            .name(NAME)
            .enable_metrics_poll_time_histogram()
            .enable_metrics_schedule_latency_histogram()
            .enable_all()
            .build()
            .unwrap();
        for _ in 0..5 {
            runtime.block_on(runtime.spawn(yield_now())).unwrap();
        }
        let metrics = runtime.metrics();
        let id = runtime.handle().id().to_string();
        drop(runtime);
        let text = metrics.open_metrics();
        let samples = read_open_metrics(&text).unwrap_or_else(|fault| panic!("{fault}\n{text}"));
        let of_all = samples
            .iter()
            .all(|sample| (sample.label("name"), sample.label("runtime")) == (Some(NAME), Some(id.as_str())));
        assert!(of_all, "{text}");
        assert_eq!(value(&samples, "redd_workers", &[]), Some(workers.max(1) as f64));
        assert_eq!(value(&samples, "redd_tasks_spawned_total", &[]), Some(5.0));
        assert_eq!(value(&samples, "redd_tasks_alive", &[]), Some(0.0));
        let polls: f64 = (0..metrics.num_workers())
            .map(|worker| value(&samples, "redd_worker_polls_total", &[("worker", &worker.to_string())]).unwrap())
            .sum();
        assert_eq!(polls, 10.0);
        assert_eq!(value(&samples, "redd_poll_time_seconds_count", &[]), Some(polls));
        assert_eq!(value(&samples, "redd_schedule_latency_seconds_bucket", &[("le", "+Inf")]), Some(polls));
        assert!(value(&samples, "redd_poll_time_seconds_sum", &[]) > Some(0.0), "{text}");
    }
}

#[test]
fn open_metrics_of_a_runtime_without_name_histograms_or_late_polls_leaves_them_out() {
    let metrics = current_thread().metrics();
    let samples = read_open_metrics(&metrics.open_metrics()).unwrap();
    assert!(samples.iter().all(|sample| sample.label("name").is_none() && sample.label("location").is_none()));
    assert!(samples.iter().all(|sample| sample.label("le").is_none()));
    assert_eq!(value(&samples, "redd_late_polls_total", &[]), Some(0.0));
}

/// So that the test above can fail.
#[test]
fn the_reader_of_open_metrics_refuses_what_is_wrong() {
    let block =
        |name: &str, kind: &str, samples: &str| format!("# HELP {name} X.\n# TYPE {name} {kind}\n{samples}\n# EOF\n");
    let good = block("redd_x_total", "counter", "redd_x_total{a=\"1\"} 1\nredd_x_total{a=\"\\n\\\"\\\\\"} 0.5");
    assert_eq!(read_open_metrics(&good).unwrap()[1].label("a"), Some("\n\"\\"));
    let histogram = |buckets: &str| {
        block("redd_x", "histogram", &format!("{buckets}redd_x_sum{{a=\"1\"}} 1\nredd_x_count{{a=\"1\"}} 3"))
    };
    let bucket = |le: &str, count: u8| format!("redd_x_bucket{{a=\"1\",le=\"{le}\"}} {count}\n");
    read_open_metrics(&histogram(&(bucket("0.1", 1) + &bucket("+Inf", 3)))).unwrap();
    for (wrong, fault) in [
        (good.replace("# EOF\n", ""), "the end mark"),
        (good.replace("# HELP redd_x_total X.\n", ""), "does not begin with a description"),
        (good.replace("redd_x_total", "x_total"), "a wrong name"),
        (good.replace("redd_x_total", "redd_x"), "does not go with"),
        (good.replace("counter", "gauge"), "does not go with"),
        (good.replace("counter", "count"), "a wrong type"),
        (good.replace("a=\"1\"", "1a=\"1\""), "a label has a wrong name"),
        (good.replace("a=\"1\"", "a=\"1\",a=\"1\""), "a label occurs twice"),
        (good.replace("\\n", "\\x"), "a wrong escape"),
        (good.replace("\\n", "\n"), "a label has no end"),
        (good.replace("\\n\\\"\\\\", "1"), "a sample occurs twice"),
        (good.replace("} 1", "} 1e3"), "not a plain number"),
        (good.replace("# EOF", good.trim_end()), "two blocks"),
        (block("redd_x", "gauge", "redd_y{a=\"1\"} 1"), "not in the block"),
        (histogram(&bucket("0.1", 3)), "no last bucket"),
        (histogram(&(bucket("0.1", 4) + &bucket("+Inf", 3))), "fall"),
        (histogram(&(bucket("0.1", 1) + &bucket("+Inf", 2))), "no last bucket"),
    ] {
        let found = read_open_metrics(&wrong).unwrap_err();
        assert!(found.contains(fault), "{fault} is expected: {found}\n{wrong}");
    }
}

/// The rows of the table in the guide: name, type, labels, description.
fn rows_of_the_guide(text: &str) -> Vec<String> {
    let samples = read_open_metrics(text).unwrap();
    let helps = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '));
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let row = |((name, help), (_, kind)): ((&str, &str), (&str, &str))| {
        let first = samples.iter().find(|sample| sample.name.starts_with(name)).unwrap();
        let labels = ["worker", "location", "le"].into_iter().filter(|label| first.label(label).is_some());
        let labels: String = labels.map(|label| format!("`{label}`")).collect();
        format!("| `{name}` | {kind} | {labels} | {} |", help.trim_end_matches('.'))
    };
    helps.zip(types).map(row).collect()
}

#[test]
#[cfg_attr(miri, ignore = "Miri does not tell what a thread does")]
fn late_polls_are_in_both_texts_by_location_and_the_guide_lists_every_metric() {
    let rescue = redd::runtime::Rescue::report_only().report_after(Duration::from_millis(20));
    let (told, tell) = mpsc::channel();
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .rescue(rescue)
        .enable_metrics_poll_time_histogram()
        .enable_metrics_schedule_latency_histogram()
        .on_late_poll(move |_| told.send(()).unwrap_or(()))
        .build()
        .unwrap();
    let metrics = runtime.metrics();
    let here = (line!() + 1).to_string();
    runtime.block_on(runtime.spawn(async move { tell.recv_timeout(Duration::from_secs(60)).unwrap() })).unwrap();
    let text = metrics.open_metrics();
    let samples = read_open_metrics(&text).unwrap();
    let late = samples.iter().find(|sample| sample.name == "redd_late_polls_by_location_total").unwrap();
    let location = late.label("location").unwrap();
    assert!(location.contains("tests/metrics.rs:") && location.contains(&here) && late.value == 1.0, "{text}");
    assert!(metrics.to_string().contains(&format!("\n  1 late: spawned at {location}\n")), "{metrics}");
    assert!(metrics.to_string().contains("\npolls: 1 late, the longest took "), "{metrics}");

    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = std::fs::read_to_string(folder.join("../docs/guide/metrics.md")).unwrap();
    let listed: Vec<_> = guide.lines().filter(|line| line.starts_with("| `redd_")).collect();
    assert_eq!(listed, rows_of_the_guide(&text), "the table of the guide, and what it should be");
    let shown = guide.split("```text\n").nth(1).unwrap();
    let starts = |text: &str| -> Vec<String> {
        let names = text.lines().filter_map(|line| Some(line.split_once(": ")?.0.trim().to_owned()));
        names.filter(|name| !name.starts_with("runtime")).collect()
    };
    let shown = shown.split("```").next().unwrap();
    assert_eq!(starts(&shown.replace("2 late", "1 late")), starts(&metrics.to_string()), "the lines of `Display`");
    let titles = |text: &str| {
        text.lines().find(|line| line.trim().starts_with("worker ")).map(|line| {
            line.split("  ").map(|title| title.trim().to_owned()).filter(|title| !title.is_empty()).collect::<Vec<_>>()
        })
    };
    assert_eq!(titles(shown), titles(&metrics.to_string()), "the titles of the table");
    let program = std::fs::read_to_string(folder.join("examples/guide_metrics.rs")).unwrap();
    assert!(guide.contains(&format!("```rust\n{program}```")), "the guide has another program");
}

#[test]
fn display_has_every_value_and_a_table_of_the_workers() {
    let runtime =
        Builder::new_multi_thread().worker_threads(2).name("api").enable_metrics_poll_time_histogram().build().unwrap();
    let id = runtime.handle().id();
    for _ in 0..3 {
        runtime.block_on(runtime.spawn(async {})).unwrap();
    }
    runtime.block_on(runtime.spawn_blocking(|| {})).unwrap();
    let metrics = runtime.metrics();
    drop(runtime);
    let text = metrics.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], format!("runtime {id} `api`: 2 workers"));
    assert_eq!(lines[1], "tasks: 0 alive, 3 spawned, 0 in the injector");
    assert_eq!(lines[2], "scheduling: 3 tasks queued from other threads, 0 yields forced by the budget");
    assert_eq!(lines[3], "blocking pool: 0 threads, 0 idle, 0 closures waiting");
    assert_eq!(lines[4], "I/O driver: 0 descriptors registered now and 0 before, 0 events");
    assert!(lines[5].starts_with("polls: 0 late, the longest took "), "{text}");
    assert_eq!(lines[6], "rescue: 0 rescues, 0 spare workers now, 0 at most");
    assert_eq!(lines[7], "task groups: 0 groups, 0 tasks wait for a place, 0 restarts of supervised children");
    assert!(lines[8].starts_with("time of a poll: median ") && lines[8].ends_with(", of 3"), "{text}");
    let table: Vec<Vec<_>> =
        lines[9..].iter().map(|line| line.split("  ").filter(|cell| !cell.is_empty()).collect()).collect();
    assert_eq!(table.iter().map(Vec::len).collect::<Vec<_>>(), [12; 3], "{text}");
    let column = |name: &str| table[0].iter().position(|title| title.trim() == name).unwrap();
    let cells = |name: &str| table[1..].iter().map(|row| row[column(name)].trim().to_owned()).collect::<Vec<_>>();
    assert_eq!(cells("worker"), ["0", "1"]);
    let polls: u64 = cells("polls").iter().map(|polls| polls.parse::<u64>().unwrap()).sum();
    assert_eq!(polls, 3);
    assert!(lines[9..].iter().all(|line| line.chars().count() == lines[9].chars().count()), "{text}");
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
