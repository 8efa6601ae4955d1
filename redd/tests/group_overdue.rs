//! Reports of what takes longer than it may: closures of cancelled groups, clean-ups, shields. And near misses, which are silent.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test is about few of the variants")]
#![allow(clippy::disallowed_methods, reason = "the closures of a program block their thread")]

use std::future::{Future, pending};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};

use redd::group::{self, TaskGroup, shield};
use redd::observe::{Overdue, OverdueKind};
use redd::runtime::{Builder, Handle};
use redd::sync::oneshot;
use redd::time::{Duration, advance, sleep};

/// Only for tests that fail: a report comes within two seconds.
const WATCHDOG: Duration = Duration::from_secs(60);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A builder with a hook, and what the hook gets.
fn hooked(mut builder: Builder) -> (Builder, Receiver<Overdue>) {
    let (send, receive) = channel();
    builder.enable_all().on_overdue(move |overdue: &Overdue| drop(send.send(overdue.clone())));
    (builder, receive)
}

/// Runs the future with a clock that stands still. Returns the reports.
fn paused<F: Future<Output = ()>>(test: impl FnOnce() -> F) -> Vec<Overdue> {
    let (mut builder, reports) = hooked(Builder::new_current_thread());
    let runtime = builder.start_paused(true).build().unwrap();
    runtime.block_on(async {
        test().await;
        // A dropped group may have something left.
        while Handle::current().metrics().num_alive_tasks() > 0 {
            sleep(secs(1)).await;
        }
    });
    drop((runtime, builder));
    reports.iter().collect()
}

#[test]
fn a_clean_up_that_exceeds_its_time_in_a_dropped_group_is_reported_with_its_line() {
    let mut line = 0;
    let reports = paused(|| async {
        let group = TaskGroup::<()>::builder().name("requests").start();
        line = line!() + 1;
        group.defer(secs(2), pending());
        group.defer(secs(2), async {});
        drop(group);
    });
    let [overdue] = &reports[..] else { panic!("{reports:?}") };
    let OverdueKind::CleanUp { deferred_at, within, .. } = overdue.kind else { panic!("{overdue}") };
    assert_eq!((deferred_at.file(), deferred_at.line(), within), (file!(), line, secs(2)));
    assert_eq!(overdue.group.as_deref(), Some("requests"));
    let text = overdue.to_string();
    assert!(text.starts_with("a clean-up of a task group `requests` (created at "), "{text}");
    assert!(text.ends_with("Give `defer` more time, or let the clean-up do less."), "{text}");
}

#[test]
fn each_clean_up_whose_error_no_call_returns_is_reported() {
    // `close` returns the first of two.
    let reports = paused(|| async {
        let group = TaskGroup::<()>::new();
        group.defer(secs(2), pending());
        group.defer(secs(3), pending());
        group.close().await.unwrap_err();
    });
    let within = |overdue: &Overdue| match overdue.kind {
        OverdueKind::CleanUp { within, .. } => Some(within),
        _ => None,
    };
    // The last one runs first.
    assert_eq!(reports.iter().map(within).collect::<Vec<_>>(), [Some(secs(2))]);
    // `close` returns the failure of a task.
    let reports = paused(|| async {
        let group = TaskGroup::<()>::new();
        group.defer(secs(2), pending());
        group.spawn(pending());
        group.cancel("enough");
        group.close().await.unwrap_err();
    });
    assert_eq!(reports.iter().map(within).collect::<Vec<_>>(), [Some(secs(2))]);
    // The future of `close` is dropped.
    let reports = paused(|| async {
        let group = TaskGroup::<()>::new();
        group.defer(secs(2), pending());
        redd::time::timeout(secs(1), group.close()).await.unwrap_err();
    });
    assert_eq!(reports.iter().map(within).collect::<Vec<_>>(), [Some(secs(2))]);
}

#[test]
fn clean_ups_whose_errors_are_returned_and_those_in_time_are_silent() {
    let reports = paused(|| async {
        let group = TaskGroup::<()>::new();
        group.defer(secs(2), pending());
        group.close().await.unwrap_err();
        let group = TaskGroup::<Result<(), ()>>::new();
        group.defer(secs(2), pending());
        group.try_close().await.unwrap_err();
        let group = TaskGroup::<()>::new();
        group.defer(secs(2), sleep(secs(2) - Duration::from_millis(1)));
        drop(group);
        let group = TaskGroup::<()>::new();
        let dismissed = group.defer(secs(2), pending());
        assert!(dismissed.dismiss());
        drop(group);
    });
    assert!(reports.is_empty(), "{reports:?}");
    // The runtime ends first.
    let (mut builder, reports) = hooked(Builder::new_current_thread());
    let runtime = builder.start_paused(true).build().unwrap();
    runtime.block_on(async {
        let group = TaskGroup::<()>::new();
        group.defer(secs(2), pending());
        drop(group);
        redd::task::yield_now().await;
    });
    drop((runtime, builder));
    assert_eq!(reports.iter().count(), 0);
}

#[test]
fn a_shield_that_exceeds_its_time_is_reported_and_others_are_silent() {
    let mut line = 0;
    let reports = paused(|| async {
        let group = TaskGroup::<()>::builder().name("commits").start();
        line = line!() + 1;
        group.spawn(async { shield(secs(5), pending()).await });
        group.spawn(async { shield(secs(5), sleep(secs(4))).await });
        let aborted = group.spawn(async { shield(secs(5), pending()).await });
        redd::task::yield_now().await;
        group.cancel("enough");
        redd::task::yield_now().await;
        aborted.abort();
        group.close().await.unwrap_err();
        // Its time does not pass without a cancellation.
        let group = TaskGroup::<()>::new();
        group.spawn(async { shield(secs(1), sleep(secs(9))).await });
        group.close().await.unwrap();
        // Outside of a group.
        shield(secs(1), sleep(secs(9))).await;
    });
    let [overdue] = &reports[..] else { panic!("{reports:?}") };
    let OverdueKind::Shield { made_at, within, task: Some(task), .. } = overdue.kind else { panic!("{overdue}") };
    assert_eq!((made_at.line(), within), (line, secs(5)));
    let text = overdue.to_string();
    assert!(text.starts_with("a shield (made at "), "{text}");
    assert!(text.contains(&format!(" of task {task} in a task group `commits` (created at ")), "{text}");
    assert!(text.ends_with("Give `shield` more time, or let the future do less."), "{text}");
}

/// How the end of a cancelled group is waited for.
#[derive(Clone, Copy, Debug)]
enum Waits {
    Close,
    TryClose,
    Next,
    InOrder,
    CancelDuringClose,
}

#[test]
fn closures_that_ignore_a_cancellation_are_reported_once_if_the_group_is_waited_for() {
    // All at the same time, because each needs seconds of real time.
    std::thread::scope(|scope| {
        for waits in [Waits::Close, Waits::TryClose, Waits::Next, Waits::InOrder, Waits::CancelDuringClose] {
            scope.spawn(move || a_closure_is_reported(waits, Builder::new_multi_thread()));
            scope.spawn(move || a_closure_is_reported(waits, Builder::new_current_thread()));
        }
    });
}

fn a_closure_is_reported(waits: Waits, builder: Builder) {
    let (mut builder, reports) = hooked(builder);
    let runtime = builder.build().unwrap();
    let (end, ended) = channel::<()>();
    let (tell_line, line) = channel();
    let thread = std::thread::spawn(move || runtime.block_on(wait_for_a_closure(waits, ended, tell_line)));
    let line: u32 = line.recv().unwrap();
    let overdue = reports.recv_timeout(WATCHDOG).unwrap();
    // One report for each group.
    assert_eq!(reports.recv_timeout(Duration::from_millis(2500)).unwrap_err(), RecvTimeoutError::Timeout);
    drop(end);
    thread.join().unwrap();
    let OverdueKind::Closures { spawned_at, others: 0, since, age, .. } = overdue.kind else { panic!("{overdue}") };
    assert_eq!((spawned_at.file(), spawned_at.line()), (file!(), line), "{waits:?}");
    assert!(since >= secs(1) && age >= Duration::from_millis(990), "{waits:?}: {overdue}");
    let text = overdue.to_string();
    assert!(text.starts_with("a task group `hashes` (created at "), "{text}");
    assert!(text.contains(" has waited for ") && text.contains("`redd::group::is_cancelled`"), "{text}");
}

/// Cancels a group, and waits for it. Its closure ends when the sender of `ended` is dropped.
async fn wait_for_a_closure(waits: Waits, ended: Receiver<()>, tell_line: Sender<u32>) {
    let group = TaskGroup::<Result<(), ()>>::builder().name("hashes").start();
    let (begin, begun) = channel();
    let line = line!() + 1;
    group.spawn_blocking(move || {
        begin.send(()).unwrap();
        ended.recv().map_err(drop)
    });
    group.spawn(pending());
    begun.recv().unwrap();
    tell_line.send(line).unwrap();
    let scope = group.scope();
    if let Waits::CancelDuringClose = waits {
        redd::spawn(async move {
            sleep(Duration::from_millis(10)).await;
            scope.cancel("enough");
        });
    } else {
        scope.cancel("enough");
    }
    match waits {
        Waits::Close | Waits::CancelDuringClose => drop(group.close().await),
        Waits::TryClose => drop(group.try_close().await),
        Waits::Next => while group.next().await.is_some() {},
        Waits::InOrder => {
            let mut results = group.in_order();
            while results.next().await.is_some() {}
        }
    }
}

/// Runs a closure in the group, and returns when it has begun: a cancellation comes too late to keep it from being called.
async fn begin(group: &TaskGroup<()>, closure: impl FnOnce() + Send + 'static) {
    let (start, started) = oneshot::channel();
    group.spawn_blocking(move || {
        start.send(()).unwrap();
        closure();
    });
    started.await.unwrap();
}

/// All at the same time, because each needs seconds of real time.
#[test]
fn busy_groups_and_closures_that_listen_are_silent() {
    let (mut builder, reports) = hooked(Builder::new_multi_thread());
    let runtime = builder.build().unwrap();
    let block = |time: Duration| std::thread::sleep(time);
    let until_cancelled = || {
        while !group::is_cancelled() {
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    runtime.block_on(async {
        // Busy for long, and not cancelled.
        let busy = redd::spawn(async move {
            let group = TaskGroup::<()>::new();
            group.spawn_blocking(move || block(secs(3)));
            group.spawn(sleep(secs(3)));
            group.close().await.unwrap();
        });
        // The closure stops soon after the cancellation.
        let listens = redd::spawn(async move {
            let group = TaskGroup::<()>::new();
            let stops_soon = move || {
                until_cancelled();
                block(Duration::from_millis(50));
            };
            begin(&group, stops_soon).await;
            group.cancel("enough");
            group.close().await.unwrap();
        });
        // In its grace period, the closure may take its time.
        let grace = redd::spawn(async move {
            let group = TaskGroup::<()>::builder().grace(secs(60)).start();
            let stops_late = move || {
                until_cancelled();
                block(secs(3));
            };
            begin(&group, stops_late).await;
            group.cancel("enough");
            group.close().await.unwrap();
        });
        // Something else is left, too.
        let shielded = redd::spawn(async move {
            let group = TaskGroup::<()>::new();
            let (enter, entered) = oneshot::channel();
            group.spawn(shield(secs(60), async move {
                enter.send(()).unwrap();
                sleep(secs(3)).await;
            }));
            entered.await.unwrap();
            begin(&group, move || block(secs(2))).await;
            group.cancel("enough");
            group.close().await.unwrap();
        });
        // Nothing waits for it.
        let dropped = TaskGroup::<()>::new();
        begin(&dropped, move || block(secs(3))).await;
        let unwatched = TaskGroup::<()>::new();
        begin(&unwatched, move || block(secs(3))).await;
        drop(dropped);
        unwatched.cancel("enough");
        sleep(secs(3)).await;
        for task in [busy, listens, grace, shielded] {
            task.await.unwrap();
        }
    });
    drop((runtime, builder));
    let reports: Vec<_> = reports.iter().collect();
    assert!(reports.is_empty(), "{reports:?}");
}

#[test]
fn a_clock_that_is_moved_by_hand_makes_no_closure_late() {
    let (mut builder, reports) = hooked(Builder::new_current_thread());
    let runtime = builder.start_paused(true).build().unwrap();
    runtime.block_on(async {
        let group = TaskGroup::<()>::new();
        let (end, ended) = channel::<()>();
        let (begin, begun) = channel();
        group.spawn_blocking(move || {
            begin.send(()).unwrap();
            let _ = ended.recv();
        });
        begun.recv().unwrap();
        group.cancel("enough");
        let closes = redd::spawn(group.close());
        for _ in 0..5 {
            redd::task::yield_now().await;
            advance(secs(10)).await;
        }
        drop(end);
        closes.await.unwrap().unwrap();
    });
    drop((runtime, builder));
    assert_eq!(reports.iter().count(), 0);
}

const CHILD: &str = "REDD_TEST_OVERDUE";

/// The lines that a program without a hook writes to standard error.
fn lines(debug: &str) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "without_a_hook", "--nocapture"]).env(CHILD, "1").env("REDD_DEBUG", debug);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    text.lines().filter(|line| line.starts_with("redd: ")).fold(String::new(), |all, line| all + line + "\n")
}

/// The program of [`lines`]; a test that does nothing otherwise.
#[test]
fn without_a_hook() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let (mut paused, mut simulated) = (Builder::new_current_thread(), Builder::new_current_thread());
    paused.start_paused(true);
    simulated.simulated(1);
    for builder in [&mut paused, &mut simulated] {
        builder.enable_all().name("api").build().unwrap().block_on(async {
            let group = TaskGroup::<()>::new();
            group.defer(secs(2), pending());
            drop(group);
            sleep(secs(3)).await;
        });
    }
}

#[test]
fn without_a_hook_a_line_is_written_unless_it_is_switched_off() {
    let text = lines("");
    let begin = "redd: runtime `api`: a clean-up of a task group (created at ";
    assert!(text.lines().all(|line| line.starts_with(begin)), "{text}");
    assert_eq!(text.lines().count(), 2, "one in paused time, and one in a simulated world: {text}");
    assert_eq!(lines("overdue=off"), "");
}
