//! Blocked workers: the work behind them runs elsewhere, and the program gets a report.
//!
//! Most tests block a worker until a task behind it has done something. Without rescue they would never end. No test
//! measures time; `bench` does.

#[path = "../src/sys/emulation.rs"]
mod emulation;

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use redd::runtime::{Builder, CpuUse, LatePoll, Rescue, RescueAction, Runtime};
use redd::task::block_in_place;
use redd::time::sleep;

/// Long enough for any machine. A failing test waits this long.
const WATCHDOG: Duration = Duration::from_secs(60);
const SHORTLY: Duration = Duration::from_millis(1);

/// A runtime that does not write to standard error.
fn quiet(workers: usize) -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).rescue(Rescue::new()).on_late_poll(|_| {}).enable_all();
    builder
}

fn with_workers(workers: usize) -> Runtime {
    quiet(workers).build().expect("a runtime")
}

/// Blocks the thread until this many beats have been sent.
fn block_until(beats: &Receiver<()>, count: usize) {
    for _ in 0..count {
        beats.recv_timeout(WATCHDOG).expect("a beat comes while this worker is blocked");
    }
}

/// A task with a timer, which runs while others block.
fn heartbeat(runtime: &Runtime) -> Receiver<()> {
    let (beat, beats) = channel();
    runtime.spawn(async move {
        while beat.send(()).is_ok() {
            sleep(SHORTLY).await;
        }
    });
    beats
}

/// A task that has been polled once when this returns.
fn finish<T: Send + 'static>(runtime: &Runtime, future: impl Future<Output = T> + Send + 'static) -> T {
    let (done, output) = channel();
    runtime.spawn(async move { drop(done.send(future.await)) });
    output.recv_timeout(WATCHDOG).expect("the task ends")
}

#[test]
fn timers_fire_while_a_task_spawned_from_outside_blocks_its_worker() {
    let runtime = with_workers(2);
    let beats = heartbeat(&runtime);
    finish(&runtime, async move { block_until(&beats, 20) });
}

#[test]
fn timers_fire_while_a_task_woken_by_a_timer_blocks_its_worker() {
    let runtime = with_workers(2);
    let beats = heartbeat(&runtime);
    finish(&runtime, async move {
        sleep(SHORTLY).await;
        block_until(&beats, 20);
    });
}

#[test]
fn timers_and_sockets_work_while_a_task_woken_by_a_socket_blocks_its_worker() {
    use redd::io::{AsyncReadExt, AsyncWriteExt};
    let runtime = with_workers(2);
    let beats = heartbeat(&runtime);
    let (mut near, mut far) = redd::io::duplex(8);
    let (echoed, echoes) = channel();
    let (address, addresses) = channel();
    runtime.spawn(async move {
        let listener = redd::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        address.send(listener.local_addr().expect("bound")).expect("the test waits");
        loop {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let echoed = echoed.clone();
            redd::spawn(async move {
                let byte = socket.read_u8().await.expect("a byte");
                socket.write_u8(byte).await.expect("the peer reads");
                echoed.send(()).expect("the test counts them");
            });
        }
    });
    let address = addresses.recv_timeout(WATCHDOG).expect("the listener starts");
    let connect = move || {
        use std::io::{Read, Write};
        let mut socket = std::net::TcpStream::connect(address).expect("it listens");
        socket.write_all(b"x").expect("it reads");
        socket.read_exact(&mut [0]).expect("it answers");
    };
    runtime.spawn(async move { near.write_u8(1).await });
    finish(&runtime, async move {
        far.read_u8().await.expect("a byte");
        let client = redd::task::spawn_blocking(connect);
        block_until(&beats, 20);
        block_until(&echoes, 1);
        futures::executor::block_on(client).expect("answered");
    });
}

#[test]
fn timers_fire_while_all_workers_are_blocked() {
    let runtime = with_workers(2);
    let beats = heartbeat(&runtime);
    let all = Arc::new(Barrier::new(3));
    for _ in 0..2 {
        let all = Arc::clone(&all);
        runtime.spawn(async move {
            all.wait();
        });
    }
    while beats.try_recv().is_ok() {}
    block_until(&beats, 20);
    all.wait();
}

#[test]
fn a_task_that_a_worker_spawned_or_woke_before_it_blocked_runs() {
    for workers in [1, 2] {
        let runtime = with_workers(workers);
        let (wake, woken) = redd::sync::oneshot::channel();
        let (beat, beats) = channel();
        let other = beat.clone();
        runtime.spawn(async move {
            woken.await.expect("it is woken");
            other.send(()).expect("it waits");
        });
        finish(&runtime, async move {
            // The LIFO slot holds one of them, the run queue the other.
            redd::spawn(async move { beat.send(()) });
            wake.send(()).expect("it waits");
            block_until(&beats, 2);
        });
    }
}

#[test]
fn tasks_in_the_lifo_slots_run_while_all_workers_are_blocked() {
    let runtime = with_workers(2);
    let both = Arc::new(Barrier::new(2));
    let tasks: Vec<_> = (0..2)
        .map(|_| {
            let both = Arc::clone(&both);
            runtime.spawn(async move {
                both.wait();
                let (beat, beats) = channel();
                redd::spawn(async move { beat.send(()) });
                block_until(&beats, 1);
            })
        })
        .collect();
    for task in tasks {
        runtime.block_on(task).expect("no panic");
    }
}

#[test]
fn timers_fire_while_twenty_tasks_block_at_once() {
    let runtime = with_workers(2);
    let count = Arc::new(AtomicUsize::new(0));
    let mine = Arc::clone(&count);
    runtime.spawn(async move {
        loop {
            sleep(SHORTLY).await;
            mine.fetch_add(1, Ordering::Relaxed);
        }
    });
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let count = Arc::clone(&count);
            runtime.spawn(async move {
                let before = count.load(Ordering::Relaxed);
                while count.load(Ordering::Relaxed) < before + 3 {
                    std::thread::yield_now();
                    std::thread::park_timeout(SHORTLY);
                }
            })
        })
        .collect();
    for task in tasks {
        runtime.block_on(task).expect("no panic");
    }
}

#[test]
fn timers_of_many_tasks_fire_while_more_tasks_block_than_may_have_spares() {
    let runtime = quiet(2).rescue(Rescue::new().max_workers(4)).build().expect("a runtime");
    let counts: Arc<[AtomicUsize]> = (0..8).map(|_| AtomicUsize::new(0)).collect();
    for index in 0..counts.len() {
        let counts = Arc::clone(&counts);
        runtime.spawn(async move {
            loop {
                sleep(SHORTLY).await;
                counts[index].fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    // Each blocker ends after some time in any case: while all spares are blocked, no other worker runs.
    let tasks: Vec<_> =
        (0..30).map(|index| runtime.spawn(async move { std::thread::park_timeout(SHORTLY * (20 + index)) })).collect();
    for task in tasks {
        runtime.block_on(task).expect("no panic");
    }
    for count in &*counts {
        assert!(count.load(Ordering::Relaxed) > 3, "{counts:?}");
    }
}

#[test]
fn timers_fire_while_all_workers_compute() {
    let runtime = with_workers(2);
    let has_beaten = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..2)
        .map(|_| {
            let has_beaten = Arc::clone(&has_beaten);
            runtime.spawn(async move {
                while !has_beaten.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    runtime.spawn(async move {
        sleep(SHORTLY).await;
        has_beaten.store(true, Ordering::Relaxed);
    });
    for task in tasks {
        runtime.block_on(task).expect("no panic");
    }
}

#[test]
fn block_in_place_and_plain_blocking_work_together() {
    let runtime = with_workers(2);
    let beats = heartbeat(&runtime);
    let all = Arc::new(Barrier::new(4));
    for index in 0..3 {
        let all = Arc::clone(&all);
        runtime.spawn(async move {
            if index % 2 == 0 {
                block_in_place(|| block_in_place(|| all.wait()));
            } else {
                all.wait();
            }
            // A panic inside leaves the counts as they were.
            drop(std::panic::catch_unwind(|| block_in_place(|| std::panic::resume_unwind(Box::new(1)))));
        });
    }
    while beats.try_recv().is_ok() {}
    block_until(&beats, 20);
    all.wait();
    while runtime.metrics().num_alive_tasks() > 1 {
        std::thread::yield_now();
    }
    finish(&runtime, async move { block_until(&beats, 3) });
}

#[test]
fn a_nested_executor_may_wait_for_a_task_of_its_own_worker() {
    for workers in [1, 2] {
        let runtime = with_workers(workers);
        let answer = finish(&runtime, async {
            let task = redd::spawn(async {
                sleep(SHORTLY).await;
                7
            });
            futures::executor::block_on(task).expect("no panic")
        });
        assert_eq!(answer, 7);
        finish(&runtime, async {
            futures::executor::block_on(async {
                for _ in 0..3 {
                    sleep(SHORTLY).await;
                    redd::spawn(redd::task::yield_now()).await.expect("no panic");
                }
            });
        });
    }
}

#[test]
fn an_explicit_single_worker_is_not_rescued() {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
    let is_answered = finish(&runtime, async {
        let (beat, beats) = channel();
        redd::spawn(async move { beat.send(()) });
        beats.recv_timeout(Duration::from_millis(100)).is_ok()
    });
    assert!(!is_answered, "tasks of one worker do not run in parallel");
    assert_eq!(runtime.metrics().rescues(), 0);
}

/// What the tests check. `LatePoll` itself belongs to the hook.
type Reports = Receiver<(LatePollCopy, String)>;

#[derive(Debug)]
struct LatePollCopy {
    name: Option<String>,
    line: Option<u32>,
    cpu: CpuUse,
    action: RescueAction,
    is_reminder: bool,
    has_ended: bool,
    system_call: Option<String>,
    queued: usize,
    frames: usize,
}

fn reporting(builder: &mut Builder, rescue: Rescue) -> (Runtime, Reports) {
    let (tell, told) = channel();
    let hook = move |late: &LatePoll| {
        let copy = LatePollCopy {
            name: late.task_name().map(str::to_owned),
            line: late.spawned_at().map(std::panic::Location::line),
            cpu: late.cpu_use(),
            action: late.action(),
            is_reminder: late.is_reminder(),
            has_ended: late.has_ended(),
            system_call: late.system_call(),
            queued: late.queued_tasks(),
            frames: late.stack().map_or(0, |stack| stack.addresses().len()),
        };
        drop(tell.send((copy, late.to_string())));
    };
    let runtime = builder.enable_all().rescue(rescue).on_late_poll(hook).build().expect("a runtime");
    (runtime, told)
}

/// A task named `reader` that blocks in `recv` until the test sends.
fn reader(runtime: &Runtime) -> (std::os::unix::net::UnixStream, u32) {
    let (near, mut far) = std::os::unix::net::UnixStream::pair().expect("descriptors left");
    let task = async move {
        let (beat, _beats) = channel();
        redd::spawn(async move { beat.send(()) });
        std::io::Read::read(&mut far, &mut [0]).expect("the peer is closed or writes");
    };
    let line = line!() + 1;
    drop(redd::task::Builder::new().name("reader").spawn_on(task, runtime.handle()).expect("it starts"));
    (near, line)
}

#[test]
#[cfg_attr(miri, ignore = "Miri does not tell what a thread does")]
fn a_late_poll_is_reported_with_name_location_cause_and_action_and_again_at_ten_times_the_age() {
    if emulation::skips("rescue: cause", "the kernel has no number of an emulated system call") {
        return;
    }
    let mut builder = Builder::new_multi_thread();
    let (runtime, reports) =
        reporting(builder.worker_threads(1), Rescue::new().report_after(Duration::from_millis(20)));
    let (near, line) = reader(&runtime);
    let (first, text) = reports.recv_timeout(WATCHDOG).expect("a report");
    assert_eq!((first.name.as_deref(), first.line), (Some("reader"), Some(line)), "{text}");
    assert_eq!((first.cpu, first.action), (CpuUse::Off, RescueAction::StartedSpare), "{text}");
    assert_eq!((first.is_reminder, first.system_call.as_deref()), (false, Some("recvfrom")), "{text}");
    assert!(text.contains("`reader`") && text.contains("tests/rescue.rs") && text.contains("spawn_blocking"), "{text}");
    let (second, text) = reports.recv_timeout(WATCHDOG).expect("a reminder");
    assert!(second.is_reminder, "{text}");
    let metrics = runtime.metrics();
    assert_eq!((metrics.late_polls(), metrics.rescues(), metrics.rescue_workers_max()), (1, 1, 1));
    assert!(metrics.longest_poll() >= Duration::from_millis(100), "{:?}", metrics.longest_poll());
    let locations = metrics.late_polls_by_location();
    assert_eq!(locations.iter().map(|(location, count)| (location.line(), *count)).collect::<Vec<_>>(), [(line, 1)]);
    drop(near);
    drop(runtime);
    assert!(reports.try_recv().is_err(), "two reports of a poll, however long it takes");
}

#[inline(never)]
fn read_from_a_slow_disk(reports: &Reports) -> (LatePollCopy, String) {
    let report = reports.recv_timeout(WATCHDOG).expect("a report about this very poll");
    std::hint::black_box(report)
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no signals between threads")]
fn a_report_with_a_stack_lists_the_functions_of_the_thread() {
    if emulation::skips("rescue: stack", "it has no frame of the interrupted code for the unwinder") {
        return;
    }
    for rescue in [Rescue::new(), Rescue::report_only()] {
        let mut builder = Builder::new_multi_thread();
        let rescue = rescue.report_after(Duration::from_millis(20)).with_stack(true);
        let (runtime, reports) = reporting(builder.worker_threads(1), rescue);
        let (late, text) = finish(&runtime, async move { read_from_a_slow_disk(&reports) });
        assert!(late.frames > 3, "{text}");
        assert_eq!(text.contains("read_from_a_slow_disk"), cfg!(feature = "stack"), "{text}");
    }
    let mut builder = Builder::new_multi_thread();
    let (runtime, reports) = reporting(builder.worker_threads(1), Rescue::report_only());
    let (late, text) = finish(&runtime, async move { read_from_a_slow_disk(&reports) });
    assert_eq!(late.frames, 0, "no stack was enabled: {text}");
}

#[test]
#[cfg_attr(miri, ignore = "the CPU time of another thread is unknown there")]
fn the_report_of_a_blocked_task_reads_as_in_the_guide() {
    let (tell, told) = channel();
    let hook = move |late: &LatePoll| {
        let ms = late.elapsed().as_millis();
        let computed = late.cpu_time().expect("Linux counts it").as_millis();
        let expected = format!(
            "task {} `reader` (spawned at {}) has not reached an `.await` for {ms} ms, on thread `redd-worker-0`, off the CPU \
             in recvfrom ({}), computed {computed} of {ms} ms. Behind it: 1 queued task. A spare worker was started. Move \
             what blocks to `spawn_blocking`, wrap it in `block_in_place`, or await an async form of it.",
            late.task_id().expect("it is one"),
            late.spawned_at().expect("it is known"),
            late.wait_channel().expect("it sleeps"),
        );
        drop(tell.send((late.to_string(), expected)));
    };
    let rescue = Rescue::new().report_after(Duration::from_millis(100));
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).rescue(rescue).on_late_poll(hook).build().expect("a runtime");
    let (near, _) = reader(&runtime);
    let (text, expected) = told.recv_timeout(WATCHDOG).expect("a report");
    assert_eq!(text, expected);
    drop(near);
}

/// A wait of less than 100 ms, such as one for the lock of an allocator, is no late poll: only a rescue, at 10 ms.
#[test]
fn by_default_a_poll_is_rescued_at_10_ms_and_reported_at_100() {
    let default = format!("{:?}", Rescue::new());
    assert!(default.contains("threshold: 10ms") && default.contains("report_after: 100ms"), "{default}");
}

#[test]
fn a_rescue_without_a_late_poll_is_only_counted() {
    let mut builder = Builder::new_multi_thread();
    let (runtime, reports) = reporting(builder.worker_threads(1), Rescue::new().report_after(WATCHDOG));
    finish(&runtime, async {
        let (beat, beats) = channel();
        redd::spawn(async move { beat.send(()) });
        block_until(&beats, 1);
    });
    let metrics = runtime.metrics();
    // The monitor counts what it has started, and the worker may be faster.
    for _ in 0..WATCHDOG.as_millis() / SHORTLY.as_millis() {
        if metrics.rescues() == 0 {
            std::thread::park_timeout(SHORTLY);
        }
    }
    assert_eq!((metrics.rescues(), metrics.rescue_workers_max()), (1, 1), "a spare worker was started");
    drop(runtime);
    assert_eq!((metrics.late_polls(), reports.try_recv().ok().map(|(_, text)| text)), (0, None));
}

/// Waits as for a lock, until the monitor has seen a poll of this length. A thread that panics waits in the same way
/// for the lock of the backtraces.
fn wait_as_for_a_lock(metrics: &redd::runtime::RuntimeMetrics, at_least: Duration) {
    while metrics.longest_poll() < at_least {
        std::thread::park_timeout(SHORTLY);
    }
}

#[test]
#[cfg_attr(miri, ignore = "the CPU time of another thread is unknown there")]
fn a_poll_that_may_panic_is_reported_when_it_ends_and_not_if_it_ends_in_a_panic() {
    const AFTER: Duration = Duration::from_millis(200);
    for ends_in_panic in [true, false] {
        for mut builder in [Builder::new_multi_thread(), Builder::new_current_thread()] {
            let rescue = Rescue::report_only().report_after(AFTER);
            let (runtime, reports) = reporting(builder.worker_threads(1), rescue);
            let metrics = runtime.metrics();
            let ended = runtime.block_on(async {
                // The monitor watches a current-thread runtime once it has seen it run for 100 ms.
                sleep(Duration::from_millis(150)).await;
                let task = redd::spawn(async move {
                    wait_as_for_a_lock(&metrics, AFTER * 2);
                    if ends_in_panic {
                        std::panic::resume_unwind(Box::new("its backtrace took so long"));
                    }
                });
                let ended = task.await;
                sleep(Duration::from_millis(100)).await;
                ended
            });
            assert_eq!(ended.is_err(), ends_in_panic);
            let metrics = runtime.metrics();
            drop(runtime);
            let report = reports.try_recv().ok();
            assert_eq!(metrics.late_polls(), u64::from(!ends_in_panic), "{report:?}");
            assert_eq!(report.is_some(), !ends_in_panic, "{report:?}");
            if let Some((late, text)) = report {
                assert_eq!((late.cpu, late.has_ended), (CpuUse::Off, true), "{text}");
                assert!(text.contains(" did not reach an `.await` for "), "{text}");
                assert!(text.contains(", off the CPU"), "{text}");
            }
        }
    }
}

#[test]
fn an_endless_computation_is_reported_while_it_runs() {
    let mut builder = Builder::new_multi_thread();
    let (runtime, reports) =
        reporting(builder.worker_threads(1), Rescue::report_only().report_after(Duration::from_millis(20)));
    let (end, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (mine, tell) = (Arc::clone(&end), Arc::clone(&ended));
    runtime.spawn(async move {
        while !mine.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        tell.store(true, Ordering::Relaxed);
    });
    let (late, text) = reports.recv_timeout(WATCHDOG).expect("a report");
    assert!(!ended.load(Ordering::Relaxed) && !late.has_ended && !late.is_reminder, "{text}");
    end.store(true, Ordering::Relaxed);
}

#[test]
fn with_a_bound_of_zero_workers_the_report_says_so() {
    let mut builder = Builder::new_multi_thread();
    let (runtime, reports) = reporting(builder.worker_threads(1), Rescue::new().max_workers(0));
    let (near, _) = reader(&runtime);
    let (late, text) = reports.recv_timeout(WATCHDOG).expect("a report");
    assert_eq!(late.action, RescueAction::BoundHit, "{text}");
    assert_eq!(late.queued, 1, "{text}");
    drop(near);
    assert_eq!(runtime.metrics().rescues(), 0);
}

#[test]
fn report_only_and_current_thread_runtimes_only_report() {
    let mut multi = Builder::new_multi_thread();
    let (runtime, reports) = reporting(multi.worker_threads(1), Rescue::report_only());
    let (near, line) = reader(&runtime);
    let (late, text) = reports.recv_timeout(WATCHDOG).expect("a report");
    assert_eq!((late.action, late.line), (RescueAction::ReportOnly, Some(line)), "{text}");
    drop(near);

    let (runtime, reports) = reporting(&mut Builder::new_current_thread(), Rescue::new());
    runtime.block_on(async {
        // The monitor watches the runtime once it has seen it run for 100 ms.
        sleep(Duration::from_millis(150)).await;
        let task = redd::task::Builder::new()
            .name("blocker")
            .spawn(async move { reports.recv_timeout(WATCHDOG).expect("a report about this very poll") });
        let (late, text) = task.expect("it starts").await.expect("no panic");
        assert_eq!((late.name.as_deref(), late.action), (Some("blocker"), RescueAction::ReportOnly), "{text}");
    });
}

#[test]
fn the_future_of_block_on_is_watched_on_a_current_thread_runtime() {
    let (runtime, reports) = reporting(&mut Builder::new_current_thread(), Rescue::new());
    let line = line!() + 1;
    runtime.block_on(async {
        // The monitor watches the runtime once it has seen it run for 100 ms.
        sleep(Duration::from_millis(150)).await;
        let (late, text) = reports.recv_timeout(WATCHDOG).expect("a report about this very poll");
        assert_eq!((late.name, late.line, late.action), (None, Some(line), RescueAction::ReportOnly), "{text}");
        assert!(text.starts_with("the future of `block_on` (called at redd/tests/rescue.rs"), "{text}");
    });
    // A poll that panics counts as ended.
    let panics = || runtime.block_on(async { std::panic::resume_unwind(Box::new(1)) });
    drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)));
    assert_eq!(runtime.block_on(async { 7 }), 7);
    assert_eq!(runtime.metrics().late_polls(), 1);
}

#[test]
fn a_panic_in_the_hook_does_not_end_the_monitor() {
    let (tell, told) = channel();
    let hook = move |_: &LatePoll| {
        tell.send(()).expect("the test waits");
        std::panic::resume_unwind(Box::new("in the hook"));
    };
    let runtime = Builder::new_multi_thread().worker_threads(2).on_late_poll(hook).build().expect("a runtime");
    for _ in 0..2 {
        let (release, released) = channel::<()>();
        runtime.spawn(async move {
            released.recv().expect_err("the test releases it");
        });
        told.recv_timeout(WATCHDOG).expect("a report");
        drop(release);
    }
}

#[test]
fn a_runtime_shuts_down_while_workers_are_stalled_and_spares_run() {
    let (runtime, release) = (with_workers(1), channel::<()>());
    let (begun, begins): (Sender<()>, _) = channel();
    runtime.spawn(async move {
        let (beat, beats) = channel();
        redd::spawn(async move { beat.send(()) });
        block_until(&beats, 1);
        begun.send(()).expect("the test waits");
        release.1.recv().expect_err("the test releases it");
    });
    begins.recv_timeout(WATCHDOG).expect("it was rescued");
    // This shutdown does not wait for the stalled worker.
    runtime.shutdown_timeout(SHORTLY);
    drop(release.0);

    // This one does.
    let (runtime, release) = (with_workers(1), channel::<()>());
    let (begun, begins) = channel();
    runtime.spawn(async move {
        let (beat, beats) = channel();
        redd::spawn(async move { beat.send(()) });
        block_until(&beats, 1);
        begun.send(()).expect("the test waits");
        release.1.recv().expect_err("the test releases it");
    });
    begins.recv_timeout(WATCHDOG).expect("it was rescued");
    let shutdown = std::thread::Builder::new().spawn(move || drop(runtime)).expect("a test may start a thread");
    drop(release.0);
    shutdown.join().expect("it ends when the stalled worker is back");
}

#[test]
fn spares_run_the_thread_hooks_and_retire_when_they_are_not_needed() {
    let (started, stopped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (starts, stops) = (Arc::clone(&started), Arc::clone(&stopped));
    let runtime = quiet(1)
        .on_thread_start(move || {
            starts.fetch_add(1, Ordering::Relaxed);
        })
        .on_thread_stop(move || {
            stops.fetch_add(1, Ordering::Relaxed);
        })
        .build()
        .expect("a runtime");
    for _ in 0..5 {
        finish(&runtime, async {
            let (beat, beats) = channel();
            redd::spawn(async move { beat.send(()) });
            block_until(&beats, 1);
        });
    }
    let metrics = runtime.metrics();
    assert!(metrics.rescues() >= 1);
    while metrics.rescue_workers() > 0 {
        std::thread::yield_now();
        std::thread::park_timeout(SHORTLY);
    }
    drop(runtime);
    let (started, stopped) = (started.load(Ordering::Relaxed), stopped.load(Ordering::Relaxed));
    assert!(started >= 2, "a worker and a spare: {started}");
    assert_eq!(started, stopped);
}
