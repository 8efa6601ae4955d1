//! What happens to a task, to its siblings and to its group: one test for each cell of the table in the guide of task groups.
//!
//! | event | its task | siblings | group |
//! |---|---|---|---|
//! | returns `Ok` | memory returned at once | – | result queued, unless it discards |
//! | returns `Err`, `CancelOthers` | memory returned | cancelled and waited for | `next` yields errors in order, `try_close` the first |
//! | panics | payload kept | as for an error | `close` returns it |
//! | deadline | cancelled | cancelled | `Deadline`, then the clean-ups |
//! | `cancel`, or of an outer group | dropped at the next `.await`, or after its shield | same | `Cancelled(reason)` |
//! | group dropped | dropped; shields and clean-ups run | same | nothing waits |
//! | `AbortHandle::abort` | dropped, shields do not count | – | `Cancelled(Aborted)` |
//! | drain, shutdown | shields count until its time, or not at all | same | in the report |
//! | spawn after `cancel` | never polled | – | `Cancelled(reason)` |
//! | blocking closure | asked by `is_cancelled` | – | `close` waits |

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "a thread of no runtime, in a test that fails if the system refuses one")]

use std::future::{Future, pending};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use redd::group::{self, CancelScope, GroupError, OnError, Reason, TaskGroup, shield};
use redd::runtime::{Builder, Handle, Runtime};
use redd::sync::oneshot;
use redd::task::yield_now;
use redd::time::{Duration, Instant, sleep};

fn current() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Runs a test on both kinds of runtime. No task is left behind.
fn on_both<F: Future<Output = ()>>(test: impl Fn() -> F) {
    for runtime in [current(), multi()] {
        runtime.block_on(async {
            test().await;
            assert_eq!(alive(), 0, "no task is left");
        });
    }
}

/// Runs a test in paused time.
fn paused<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
        test().await;
        assert_eq!(alive(), 0, "no task is left");
    });
}

fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Counts its drops.
#[derive(Clone, Default)]
struct Drops(Arc<AtomicUsize>);

struct Counted(Arc<AtomicUsize>);

impl Drops {
    fn one(&self) -> Counted {
        Counted(Arc::clone(&self.0))
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Texts in the order in which they were written.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn write(&self, text: &'static str) {
        self.0.lock().unwrap().push(text);
    }

    fn texts(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }
}

/// Spawns a task that never ends, and waits until it has started.
async fn spawn_endless<T: Send + 'static>(group: &TaskGroup<T>, held: Counted) {
    let (start, started) = oneshot::channel();
    group.spawn(async move {
        let _held = held;
        start.send(()).unwrap();
        pending().await
    });
    started.await.unwrap();
}

#[test]
fn ok_the_result_is_queued_and_siblings_go_on() {
    on_both(|| async {
        let group = TaskGroup::new();
        let (go, gone) = oneshot::channel();
        group.spawn(async move { gone.await.unwrap() });
        group.spawn(async { 1 });
        assert_eq!(group.next().await.unwrap().unwrap(), 1);
        go.send(2).unwrap();
        assert_eq!(group.next().await.unwrap().unwrap(), 2);
        assert!(group.next().await.is_none());
        group.spawn(async { 3 });
        assert_eq!(group.close().await.unwrap(), [3], "a group may be used again after its last task");
    });
}

#[test]
fn ok_nothing_is_queued_by_a_group_that_discards() {
    on_both(|| async {
        let group = TaskGroup::discarding().start();
        (0..100).for_each(|_| drop(group.spawn(async {})));
        assert!(group.next().await.is_none(), "it waits for the tasks, and there is no result");
        assert_eq!(alive(), 0);
        assert!(group.close().await.unwrap().is_empty());
    });
}

#[test]
fn err_siblings_are_cancelled_and_waited_for() {
    on_both(|| async {
        let drops = Drops::default();
        let group = TaskGroup::<Result<(), u32>>::builder().on_error(OnError::CancelOthers).start();
        spawn_endless(&group, drops.one()).await;
        let failed = group.spawn(async { Err(7) }).id();
        assert_eq!(group.next().await.unwrap().unwrap(), Err(7));
        let sibling = group.next().await.unwrap().unwrap_err();
        assert_eq!(sibling.reason(), Some(&Reason::SiblingFailed(failed)));
        assert_eq!(drops.count(), 1);
        group.close().await.unwrap();
    });
}

#[test]
fn err_next_yields_the_errors_in_order_and_close_the_first() {
    on_both(|| async {
        for closes in [false, true] {
            let drops = Drops::default();
            let group = TaskGroup::<Result<(), u32>>::builder().on_error(OnError::CancelOthers).start();
            spawn_endless(&group, drops.one()).await;
            let (go, gone) = oneshot::channel();
            group.spawn(async move {
                // It fails in a shield, after the first error.
                shield(secs(100), gone).await.unwrap();
                Err(2)
            });
            yield_now().await;
            group.spawn(async { Err(1) });
            while !group.is_cancelled() {
                yield_now().await;
            }
            go.send(()).unwrap();
            if closes {
                match group.try_close().await {
                    Err(GroupError::Failed(error)) => assert_eq!(error, 1),
                    other => panic!("{other:?}"),
                }
            } else {
                let mut errors = Vec::new();
                while let Some(result) = group.next().await {
                    errors.extend(result.ok());
                }
                assert!(errors.starts_with(&[Err(1)]), "{errors:?}");
                group.close().await.unwrap();
            }
            assert_eq!(drops.count(), 1);
        }
    });
}

#[test]
fn err_siblings_go_on_if_the_group_keeps_going() {
    on_both(|| async {
        let group = TaskGroup::builder().on_error(OnError::KeepGoing).start();
        let (go, gone) = oneshot::channel();
        group.spawn(async move { gone.await.map_err(|_| "lost") });
        group.spawn(async { Err("refused") });
        assert_eq!(group.next().await.unwrap().unwrap(), Err("refused"));
        go.send(5).unwrap();
        assert_eq!(group.close().await.unwrap(), [Ok(5)]);
    });
}

#[test]
fn err_a_group_that_discards_keeps_the_first() {
    on_both(|| async {
        let group = TaskGroup::<Result<(), u32>>::builder().discarding().start();
        for number in 0..50 {
            group.spawn(async move { if number % 10 == 3 { Err(number) } else { Ok(()) } });
            while !group.is_empty() {
                yield_now().await;
            }
        }
        assert_eq!(group.close().await.unwrap(), [Err(3)]);
    });
}

#[test]
fn panic_the_payload_is_kept_and_close_returns_it() {
    on_both(|| async {
        for closes in [false, true] {
            let drops = Drops::default();
            let group = TaskGroup::<()>::builder().on_panic(OnError::CancelOthers).start();
            spawn_endless(&group, drops.one()).await;
            let line = line!() + 1;
            let id = group.spawn(async { std::panic::panic_any(42_u8) }).id();
            let error =
                if closes { group.close().await.unwrap_err() } else { group.next().await.unwrap().unwrap_err() };
            assert!(error.is_panic() && !error.is_cancelled());
            assert_eq!((error.id(), error.spawned_at().line()), (id, line));
            assert_eq!(error.try_into_panic().unwrap().downcast_ref(), Some(&42_u8));
            // In the first round, the group was dropped just now.
            while alive() > 0 {
                yield_now().await;
            }
            assert_eq!(drops.count(), 1);
        }
    });
}

#[test]
fn panic_siblings_go_on_by_default() {
    on_both(|| async {
        let group = TaskGroup::new();
        let (go, gone) = oneshot::channel();
        group.spawn(async move { gone.await.unwrap() });
        group.spawn(async { panic!("on purpose") });
        assert!(group.next().await.unwrap().unwrap_err().is_panic());
        go.send(1).unwrap();
        assert_eq!(group.close().await.unwrap(), [1]);
    });
}

#[test]
fn deadline_tasks_are_cancelled_and_the_time_of_clean_ups_counts_extra() {
    paused(|| async {
        let (begin, log) = (Instant::now(), Log::default());
        let group = TaskGroup::<u32>::builder().deadline(secs(10)).start();
        let clean_up = log.clone();
        group.defer(secs(100), async move {
            sleep(secs(50)).await;
            clean_up.write("cleaned up");
        });
        group.spawn(async {
            sleep(secs(9)).await;
            9
        });
        group.spawn(pending());
        assert_eq!(group.next().await.unwrap().unwrap(), 9);
        let error = group.next().await.unwrap().unwrap_err();
        assert!(error.is_deadline());
        assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(begin.elapsed().as_secs(), 10);
        group.close().await.unwrap();
        assert!(begin.elapsed() >= secs(60));
        assert_eq!(log.texts(), ["cleaned up"]);
    });
}

#[test]
fn deadline_a_group_that_ends_before_leaves_no_timer_behind() {
    paused(|| async {
        let begin = Instant::now();
        let group = TaskGroup::builder().deadline(secs(1000)).start();
        group.spawn(async { 1 });
        assert_eq!(group.close().await.unwrap(), [1]);
        assert_eq!(begin.elapsed(), Duration::ZERO);
    });
}

#[test]
fn cancel_tasks_are_dropped_where_they_wait() {
    on_both(|| async {
        let drops = Drops::default();
        let group = TaskGroup::<()>::new();
        spawn_endless(&group, drops.one()).await;
        spawn_endless(&group, drops.one()).await;
        group.cancel("first");
        group.cancel("second");
        for _ in 0..2 {
            let error = group.next().await.unwrap().unwrap_err();
            assert_eq!(error.reason(), Some(&Reason::from("first")));
        }
        assert_eq!(drops.count(), 2);
        group.close().await.unwrap();
    });
}

#[test]
fn cancel_a_task_that_runs_ends_at_its_next_await() {
    on_both(|| async {
        let log = Log::default();
        let group = TaskGroup::<()>::new();
        let inner = log.clone();
        group.spawn(async move {
            CancelScope::current().unwrap().cancel("by itself");
            inner.write("goes on");
            std::future::ready(()).await;
            inner.write("after a ready future");
            yield_now().await;
            inner.write("not reached");
        });
        assert!(group.close().await.unwrap_err().to_string().ends_with("by itself"));
        assert_eq!(log.texts(), ["goes on", "after a ready future"]);
    });
}

#[test]
fn cancel_a_shield_is_completed_first() {
    on_both(|| async {
        let log = Log::default();
        let group = TaskGroup::<()>::new();
        let ((start, started), (go, gone)) = (oneshot::channel(), oneshot::channel::<()>());
        let inner = log.clone();
        group.spawn(async move {
            shield(secs(100), async {
                start.send(()).unwrap();
                gone.await.unwrap();
                inner.write("shielded");
                assert!(group::is_cancelled(), "it is told the truth");
            })
            .await;
            inner.write("until the next await");
            pending::<()>().await;
        });
        started.await.unwrap();
        group.cancel("enough");
        for _ in 0..10 {
            yield_now().await;
        }
        assert_eq!(group.len(), 1);
        go.send(()).unwrap();
        assert_eq!(group.close().await.unwrap_err().reason(), Some(&Reason::from("enough")));
        assert_eq!(log.texts(), ["shielded", "until the next await"]);
    });
}

#[test]
fn cancel_a_shield_ends_with_its_time_which_begins_with_the_cancellation() {
    paused(|| async {
        let (begin, drops) = (Instant::now(), Drops::default());
        let group = TaskGroup::<()>::new();
        let held = drops.one();
        group.spawn(shield(secs(5), async move {
            let _held = held;
            pending().await
        }));
        sleep(secs(20)).await;
        assert_eq!((group.len(), drops.count()), (1, 0));
        group.cancel("enough");
        assert!(group.close().await.is_err());
        assert_eq!((begin.elapsed().as_secs(), drops.count()), (25, 1));
    });
}

#[test]
fn cancel_a_shield_that_begins_after_the_cancellation_is_honoured() {
    on_both(|| async {
        let log = Log::default();
        let group = TaskGroup::<()>::new();
        let inner = log.clone();
        group.spawn(async move {
            CancelScope::current().unwrap().cancel("by itself");
            shield(secs(100), async {
                yield_now().await;
                inner.write("shielded");
            })
            .await;
            yield_now().await;
            inner.write("not reached");
        });
        assert!(group.close().await.is_err());
        assert_eq!(log.texts(), ["shielded"]);
    });
}

#[test]
fn cancel_an_outer_group_cancels_the_inner_ones_with_its_reason() {
    on_both(|| async {
        let drops = Drops::default();
        let outer = TaskGroup::<Reason>::new();
        let (start, started) = oneshot::channel();
        let held = drops.one();
        outer.spawn(async move {
            let inner = TaskGroup::<()>::new();
            spawn_endless(&inner, held).await;
            start.send(()).unwrap();
            // It is shielded, so it sees how the inner group ends.
            shield(secs(100), async move { inner.close().await.unwrap_err().reason().cloned().unwrap() }).await
        });
        started.await.unwrap();
        outer.cancel("from outside");
        assert_eq!(outer.next().await.unwrap().unwrap(), Reason::from("from outside"));
        assert_eq!(drops.count(), 1);
        outer.close().await.unwrap();
    });
}

#[test]
fn cancel_a_group_that_starts_in_a_cancelled_one_is_cancelled() {
    on_both(|| async {
        let outer = TaskGroup::new();
        outer.spawn(async {
            CancelScope::current().unwrap().cancel("at once");
            let inner = TaskGroup::<()>::new();
            assert!(inner.is_cancelled());
            let in_shield = shield(secs(100), async {
                let inner = TaskGroup::new();
                inner.spawn(async { 5 });
                inner.close().await
            });
            in_shield.await.unwrap()
        });
        assert_eq!(outer.close().await.unwrap(), [[5]], "what starts in a shield is part of what it protects");
    });
}

#[test]
fn cancel_with_a_grace_period_lets_tasks_end_by_themselves() {
    paused(|| async {
        let begin = Instant::now();
        let group = TaskGroup::builder().grace(secs(10)).start();
        group.spawn(async {
            group::cancelled().await;
            sleep(secs(9)).await;
            "in time"
        });
        group.spawn(async {
            group::cancelled().await;
            sleep(secs(11)).await;
            "too late"
        });
        yield_now().await;
        group.cancel("enough");
        assert_eq!(group.next().await.unwrap().unwrap(), "in time");
        assert!(group.next().await.unwrap().is_err());
        assert_eq!(begin.elapsed().as_secs(), 10);
        group.close().await.unwrap();
    });
}

#[test]
fn dropped_group_tasks_are_dropped_and_shields_and_clean_ups_run() {
    on_both(|| async {
        let (drops, log) = (Drops::default(), Log::default());
        let group = TaskGroup::<()>::new();
        spawn_endless(&group, drops.one()).await;
        let ((start, started), (go, gone), (end, ended)) =
            (oneshot::channel(), oneshot::channel::<()>(), oneshot::channel());
        let (in_shield, first, second) = (log.clone(), log.clone(), log.clone());
        group.spawn(async move {
            shield(secs(100), async {
                start.send(()).unwrap();
                gone.await.unwrap();
                in_shield.write("shield");
            })
            .await;
        });
        group.defer(secs(100), async move {
            yield_now().await;
            first.write("first clean-up");
            end.send(()).unwrap();
        });
        group.defer(secs(100), async move {
            yield_now().await;
            second.write("second clean-up");
        });
        started.await.unwrap();
        drop(group);
        while alive() > 1 {
            yield_now().await;
        }
        assert_eq!((drops.count(), log.texts().len()), (1, 0));
        go.send(()).unwrap();
        ended.await.unwrap();
        assert_eq!(log.texts(), ["shield", "second clean-up", "first clean-up"]);
        while alive() > 0 {
            yield_now().await;
        }
    });
}

#[test]
fn dropped_group_its_owner_was_aborted() {
    on_both(|| async {
        let log = Log::default();
        let (start, started) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let clean_up = log.clone();
        let owner = redd::spawn(async move {
            let group = TaskGroup::<()>::new();
            group.defer(secs(100), async move {
                yield_now().await;
                clean_up.write("clean-up");
                end.send(()).unwrap();
            });
            group.spawn(pending());
            start.send(()).unwrap();
            group.close().await
        });
        started.await.unwrap();
        owner.abort();
        assert!(owner.await.unwrap_err().is_cancelled());
        ended.await.unwrap();
        assert_eq!(log.texts(), ["clean-up"]);
        while alive() > 0 {
            yield_now().await;
        }
    });
}

#[test]
fn abort_of_one_task_shields_do_not_count_and_siblings_go_on() {
    on_both(|| async {
        let drops = Drops::default();
        let group = TaskGroup::<u32>::new();
        let ((start, started), (go, gone)) = (oneshot::channel(), oneshot::channel());
        let held = drops.one();
        let shielded = group.spawn(shield(secs(100), async move {
            let _held = held;
            start.send(()).unwrap();
            pending().await
        }));
        group.spawn(async move { gone.await.unwrap() });
        started.await.unwrap();
        shielded.abort();
        assert_eq!(group.next().await.unwrap().unwrap_err().reason(), Some(&Reason::Aborted));
        assert_eq!(drops.count(), 1);
        go.send(1).unwrap();
        assert_eq!(group.close().await.unwrap(), [1]);
    });
}

#[test]
fn drain_waits_for_shields_and_clean_ups_of_a_dropped_group() {
    for runtime in [current(), multi()] {
        let (log, (end, ended)) = (Log::default(), oneshot::channel::<()>());
        runtime.block_on(async {
            let group = TaskGroup::<()>::new();
            let (in_shield, clean_up) = (log.clone(), log.clone());
            let (start, started) = oneshot::channel();
            group.spawn(shield(secs(100), async move {
                start.send(()).unwrap();
                ended.await.unwrap();
                in_shield.write("shield");
            }));
            group.defer(secs(100), async move { clean_up.write("clean-up") });
            started.await.unwrap();
        });
        let outside = std::thread::spawn(move || end.send(()).unwrap());
        assert!(runtime.drain(secs(100)).is_empty());
        outside.join().unwrap();
        assert_eq!(log.texts(), ["shield", "clean-up"]);
    }
}

/// Its drop takes so long that a drain looks meanwhile.
struct SlowToDrop;

impl Drop for SlowToDrop {
    fn drop(&mut self) {
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn drain_waits_for_clean_ups_that_no_task_runs_yet() {
    let (runtime, log) = (multi(), Log::default());
    let clean_up = log.clone();
    runtime.block_on(async {
        let (start, started) = oneshot::channel();
        let group = TaskGroup::new();
        group.spawn(shield(secs(100), async move {
            start.send(()).unwrap();
            group::cancelled().await;
            SlowToDrop
        }));
        group.defer(secs(100), async move { clean_up.write("clean-up") });
        started.await.unwrap();
    });
    // The last task has ended, and its output is being dropped: no task is alive until the clean-up is spawned.
    assert!(runtime.drain(secs(100)).is_empty());
    assert_eq!(log.texts(), ["clean-up"]);
}

#[test]
fn drain_reports_shields_that_are_left_and_shutdown_drops_them() {
    for build in [current, multi] {
        for drains in [false, true] {
            let runtime = build();
            let (drops, log) = (Drops::default(), Log::default());
            let line = runtime.block_on(async {
                let group = TaskGroup::<()>::builder().name("stubborn").start();
                let (held, clean_up) = (drops.one(), log.clone());
                let (start, started) = oneshot::channel();
                let line = line!() + 1;
                group.spawn(shield(secs(100), async move {
                    let _held = held;
                    start.send(()).unwrap();
                    pending().await
                }));
                group.defer(secs(100), async move { clean_up.write("clean-up") });
                started.await.unwrap();
                line
            });
            if drains {
                let left = runtime.drain(Duration::from_millis(1));
                assert_eq!(left.len(), 1);
                assert_eq!((left[0].name(), left[0].spawned_at().line()), (Some("stubborn"), line));
            } else {
                drop(runtime);
            }
            assert_eq!(drops.count(), 1);
            assert_eq!(log.texts().len(), 0, "there is no runtime any more in which a clean-up could run");
        }
    }
}

#[test]
fn shutdown_the_results_say_so() {
    let (runtime, other) = (multi(), current());
    let group = runtime.block_on(async { TaskGroup::<()>::new() });
    group.spawn(pending());
    drop(runtime);
    other.block_on(async {
        let error = group.next().await.unwrap().unwrap_err();
        assert_eq!(error.reason(), Some(&Reason::Shutdown));
        group.defer(secs(1), async { panic!("it cannot run") });
        group.spawn(async { panic!("it cannot run") });
        assert_eq!(group.close().await.unwrap_err().reason(), Some(&Reason::Shutdown));
    });
}

#[test]
fn spawn_after_cancel_is_refused_and_never_polled() {
    on_both(|| async {
        for grace in [0, 100] {
            let drops = Drops::default();
            let group = TaskGroup::<()>::limit(2).grace(secs(grace)).start();
            group.cancel("closed");
            for _ in 0..5 {
                let held = drops.one();
                group.spawn(async move {
                    let _held = held;
                    panic!("it was polled");
                });
                let held = drops.one();
                group.spawn_blocking(move || {
                    let _held = held;
                    panic!("it was called");
                });
            }
            for _ in 0..10 {
                let error = group.next().await.unwrap().unwrap_err();
                assert_eq!(error.reason(), Some(&Reason::from("closed")));
            }
            assert!(group.next().await.is_none());
            assert_eq!(drops.count(), 10);
            group.close().await.unwrap();
        }
    });
}

#[test]
fn blocking_closures_are_asked_and_close_waits_for_them() {
    on_both(|| async {
        let group = TaskGroup::new();
        let ((start, started), (go, gone)) = (oneshot::channel(), oneshot::channel::<()>());
        group.spawn_blocking(move || {
            assert!(!group::is_cancelled());
            start.send(()).unwrap();
            let reason = Handle::current().block_on(group::cancelled());
            Handle::current().block_on(gone).unwrap();
            reason
        });
        started.await.unwrap();
        group.cancel("please return");
        for _ in 0..10 {
            yield_now().await;
        }
        assert_eq!(group.len(), 1);
        go.send(()).unwrap();
        assert_eq!(group.close().await.unwrap(), [Reason::from("please return")]);
    });
}

#[test]
fn clean_ups_run_one_after_the_other_within_their_own_times() {
    paused(|| async {
        let (begin, log) = (Instant::now(), Log::default());
        let group = TaskGroup::<()>::new();
        for (name, seconds) in [("third", 1), ("too long", 100), ("first", 5)] {
            let log = log.clone();
            group.defer(secs(10), async move {
                sleep(secs(seconds)).await;
                log.write(name);
            });
        }
        let dismissed = group.defer(secs(10), async { panic!("it was dismissed") });
        assert!(dismissed.dismiss());
        assert!(!dismissed.dismiss());
        let error = group.close().await.unwrap_err();
        assert_eq!(error.reason(), Some(&Reason::CleanUpTooLong));
        assert_eq!(log.texts(), ["first", "third"]);
        assert_eq!(begin.elapsed().as_secs(), 5 + 10 + 1);
    });
}

#[test]
fn clean_ups_that_panic_do_not_stop_the_others_and_close_returns_it() {
    on_both(|| async {
        let log = Log::default();
        let group = TaskGroup::<()>::new();
        let clean_up = log.clone();
        group.defer(secs(10), async move { clean_up.write("clean-up") });
        group.defer(secs(10), async { panic!("on purpose") });
        assert!(group.close().await.unwrap_err().is_panic());
        assert_eq!(log.texts(), ["clean-up"]);
    });
}

#[test]
fn ready_waits_for_a_place_and_a_cancellation_ends_the_wait() {
    on_both(|| async {
        let group = Arc::new(TaskGroup::<()>::limit(2).start());
        let drops = Drops::default();
        let ((start, started), (go, gone)) = (oneshot::channel(), oneshot::channel());
        group.spawn(async move {
            start.send(()).unwrap();
            gone.await.unwrap();
        });
        started.await.unwrap();
        group.ready().await;
        spawn_endless(&group, drops.one()).await;
        let waiting = redd::spawn({
            let group = Arc::clone(&group);
            async move { group.ready().await }
        });
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(!waiting.is_finished());
        go.send(()).unwrap();
        waiting.await.unwrap();
        spawn_endless(&group, drops.one()).await;
        let waiting = redd::spawn({
            let group = Arc::clone(&group);
            async move { group.ready().await }
        });
        yield_now().await;
        group.cancel("enough");
        waiting.await.unwrap();
        assert!(Arc::into_inner(group).unwrap().close().await.is_err());
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn limit_tasks_start_in_the_order_of_their_spawns_and_never_too_many_run() {
    on_both(|| async {
        let (running, most, order) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Log::default());
        let group = TaskGroup::limit(3).start();
        for number in 0..200 {
            let (running, most, order) = (Arc::clone(&running), Arc::clone(&most), order.clone());
            group.spawn(async move {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                order.write("start");
                for _ in 0..number % 5 {
                    yield_now().await;
                }
                running.fetch_sub(1, Ordering::SeqCst);
            });
        }
        assert_eq!(group.close().await.unwrap().len(), 200);
        assert!(most.load(Ordering::SeqCst) <= 3);
        assert_eq!(order.texts().len(), 200);
    });
}

#[test]
fn limit_an_aborted_task_that_is_queued_ends_at_once_and_needs_no_place() {
    on_both(|| async {
        let group = TaskGroup::<u32>::limit(1).start();
        let (go, gone) = oneshot::channel();
        group.spawn(async move { gone.await.unwrap() });
        let queued: Vec<_> = (0..3).map(|number| group.spawn(async move { number })).collect();
        queued[0].abort();
        queued[2].abort();
        for _ in 0..2 {
            assert_eq!(group.next().await.unwrap().unwrap_err().reason(), Some(&Reason::Aborted));
        }
        go.send(10).unwrap();
        assert_eq!(group.next().await.unwrap().unwrap(), 10);
        assert_eq!(group.next().await.unwrap().unwrap(), 1);
        group.ready().await;
        group.close().await.unwrap();
    });
}

#[test]
fn in_order_holds_no_more_results_than_the_limit() {
    on_both(|| async {
        let started = Arc::new(AtomicUsize::new(0));
        let group = TaskGroup::limit(4).start();
        let (go, gone) = oneshot::channel::<()>();
        let mut gone = Some(gone);
        for number in 0..50 {
            let (gone, started) = (gone.take(), Arc::clone(&started));
            group.spawn(async move {
                if let Some(gone) = gone {
                    gone.await.unwrap();
                }
                started.fetch_add(1, Ordering::SeqCst);
                number
            });
        }
        let mut results = group.in_order();
        for _ in 0..100 {
            yield_now().await;
        }
        let ran = started.load(Ordering::SeqCst);
        // Those that ended before `in_order` have given their places away.
        assert!(ran < 50, "the first is not done, so the others wait for the reader");
        go.send(()).unwrap();
        for number in 0..50 {
            assert_eq!(results.next().await.unwrap().unwrap(), number);
        }
        assert!(results.next().await.is_none());
        assert!(results.next().await.is_none());
        assert!(results.close().await.unwrap().is_empty());
    });
}

#[test]
fn cancel_when_a_future_completes() {
    on_both(|| async {
        let (stop, stopped) = oneshot::channel::<()>();
        let group = TaskGroup::<()>::new();
        group.cancel_when(stopped, "asked from outside");
        group.cancel_when(pending::<()>(), "never");
        group.spawn(pending());
        stop.send(()).unwrap();
        assert_eq!(group.close().await.unwrap_err().reason(), Some(&Reason::from("asked from outside")));
    });
}

#[test]
fn in_order_no_result_is_lost_of_a_task_that_ends_meanwhile() {
    const TASKS: usize = 8;
    multi().block_on(async {
        for _ in 0..2000 {
            let group = TaskGroup::new();
            (0..TASKS).for_each(|number| drop(group.spawn(async move { number })));
            // Some of the tasks are ending on the workers now.
            let mut results = group.in_order();
            for number in 0..TASKS {
                assert_eq!(results.next().await.unwrap().unwrap(), number);
            }
            assert!(results.next().await.is_none());
        }
    });
}

#[test]
fn in_order_a_group_that_discards_yields_failures_alone_and_needs_no_place_for_them() {
    on_both(|| async {
        let group = TaskGroup::discarding().limit(2).start();
        (0..5).for_each(|_| drop(group.spawn(yield_now())));
        assert!(group.in_order().next().await.is_none(), "nothing is left of tasks that end well");
        let group = TaskGroup::<Result<(), u32>>::limit(1).discarding().start();
        for number in 0..9 {
            group.spawn(async move {
                yield_now().await;
                if number % 3 == 1 { Err(number) } else { Ok(()) }
            });
        }
        let (mut results, mut errors) = (group.in_order(), Vec::new());
        while let Some(result) = results.next().await {
            errors.push(result.unwrap().unwrap_err());
        }
        assert_eq!(errors[0], 1, "the first one");
        assert!(errors.is_sorted() && errors.len() <= 3, "{errors:?}");
        results.close().await.unwrap();
    });
}

/// Its drop waits until a group has had the time to be closed.
struct SlowError {
    began: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

impl Drop for SlowError {
    fn drop(&mut self) {
        self.began.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        self.ended.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn err_close_waits_for_the_drop_of_an_error_that_is_not_kept() {
    multi().block_on(async {
        let (began, ended) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let group = TaskGroup::<Result<(), Option<SlowError>>>::builder().discarding().start();
        group.spawn(async { Err(None) });
        while !group.is_empty() {
            yield_now().await;
        }
        let second = SlowError { began: Arc::clone(&began), ended: Arc::clone(&ended) };
        group.spawn(async { Err(Some(second)) });
        while began.load(Ordering::SeqCst) == 0 {
            yield_now().await;
        }
        assert!(matches!(group.close().await.unwrap()[..], [Err(None)]));
        assert_eq!(ended.load(Ordering::SeqCst), 1, "nothing of the group runs after `close`");
    });
}

#[test]
fn cancel_a_shield_in_a_clean_up_or_a_closure_has_nothing_to_protect_from() {
    paused(|| async {
        let log = Log::default();
        let group = TaskGroup::<()>::new();
        let clean_up = log.clone();
        group.defer(secs(10), async move {
            shield(secs(1), sleep(secs(5))).await;
            clean_up.write("after the shield's time");
        });
        group.cancel("enough");
        group.close().await.unwrap();
        assert_eq!(log.texts(), ["after the shield's time"]);
    });
    on_both(|| async {
        let group = TaskGroup::new();
        let ((start, started), (go, gone)) = (oneshot::channel(), oneshot::channel::<u32>());
        group.spawn_blocking(|| {
            Handle::current().block_on(shield(Duration::ZERO, async {
                start.send(()).unwrap();
                gone.await.unwrap()
            }))
        });
        started.await.unwrap();
        group.cancel("enough");
        sleep(Duration::from_millis(5)).await;
        go.send(7).unwrap();
        assert_eq!(group.close().await.unwrap(), [7]);
    });
}

#[test]
fn blocking_closures_need_a_place_of_the_limit_as_tasks_do() {
    on_both(|| async {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let group = TaskGroup::limit(2).start();
        for number in 0..40 {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            let begin = move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                running
            };
            if number % 3 == 0 {
                group.spawn(async move {
                    let running = begin();
                    yield_now().await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    number
                });
            } else {
                group.spawn_blocking(move || {
                    let running = begin();
                    std::thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                    number
                });
            }
        }
        let mut results = group.in_order();
        for number in 0..40 {
            assert_eq!(results.next().await.unwrap().unwrap(), number);
        }
        results.close().await.unwrap();
        assert!(most.load(Ordering::SeqCst) <= 2);
    });
}

#[test]
fn blocking_closures_that_are_queued_do_not_run_after_a_cancellation() {
    on_both(|| async {
        for aborts in [false, true] {
            let drops = Drops::default();
            let group = TaskGroup::<()>::limit(1).start();
            let (go, gone) = oneshot::channel::<()>();
            group.spawn(async { gone.await.unwrap() });
            let handles: Vec<_> = (0..3)
                .map(|_| {
                    let held = drops.one();
                    group.spawn_blocking(move || {
                        let _held = held;
                        panic!("it was called");
                    })
                })
                .collect();
            if aborts {
                handles.iter().for_each(redd::task::AbortHandle::abort);
                go.send(()).unwrap();
                group.next().await.unwrap().unwrap();
            } else {
                group.cancel("enough");
                group.next().await.unwrap().unwrap_err();
            }
            let reason = if aborts { Reason::Aborted } else { Reason::from("enough") };
            for _ in 0..3 {
                assert_eq!(group.next().await.unwrap().unwrap_err().reason(), Some(&reason));
            }
            assert_eq!(drops.count(), 3);
            group.close().await.unwrap();
        }
    });
}

#[test]
fn blocking_closures_that_are_queued_stop_no_paused_clock() {
    paused(|| async {
        let begin = Instant::now();
        let group = TaskGroup::limit(1).start();
        group.spawn(sleep(secs(100)));
        group.spawn_blocking(|| ());
        group.close().await.unwrap();
        assert_eq!(begin.elapsed().as_secs(), 100);
    });
}

#[test]
fn drain_and_shutdown_know_closures_that_are_queued() {
    for drains in [true, false] {
        let (runtime, log, drops) = (multi(), Log::default(), Drops::default());
        let ((start, started), (go, gone)) = (oneshot::channel(), oneshot::channel::<()>());
        let (called, held) = (log.clone(), drops.one());
        let group = runtime.block_on(async {
            let group = TaskGroup::limit(1).start();
            group.spawn(async {
                start.send(()).unwrap();
                let _ = gone.await;
                SlowToDrop
            });
            group.spawn_blocking(move || {
                let _held = held;
                called.write("called");
                SlowToDrop
            });
            started.await.unwrap();
            group
        });
        if drains {
            let outside = std::thread::spawn(move || go.send(()).unwrap());
            assert!(runtime.drain(secs(100)).is_empty());
            outside.join().unwrap();
            assert_eq!(log.texts(), ["called"]);
        } else {
            drop(runtime);
            assert_eq!(log.texts().len(), 0);
        }
        assert_eq!(drops.count(), 1);
        current().block_on(async { assert_eq!(group.close().await.is_ok(), drains) });
    }
}

#[test]
fn close_waits_for_the_groups_that_its_tasks_and_clean_ups_have_dropped() {
    /// Drops a group with a task in a shield, and a clean-up.
    async fn leave_a_group(log: Log) {
        let (inner, in_shield, (start, started)) = (TaskGroup::<()>::new(), log.clone(), oneshot::channel());
        inner.spawn(async move {
            start.send(()).unwrap();
            shield(secs(100), sleep(secs(5))).await;
            in_shield.write("shield");
        });
        inner.defer(secs(100), async move {
            sleep(secs(5)).await;
            log.write("inner clean-up");
        });
        started.await.unwrap();
    }
    const LEFT: [&str; 2] = ["shield", "inner clean-up"];
    paused(|| async {
        // A task drops it, and its group is closed, or dropped within a third one.
        for drops in [false, true] {
            let log = Log::default();
            let group = TaskGroup::<()>::new();
            let inner = log.clone();
            group.spawn(async move {
                let middle = TaskGroup::new();
                middle.spawn(leave_a_group(inner));
                if !drops {
                    middle.close().await.unwrap();
                } else {
                    sleep(secs(1)).await;
                }
            });
            group.close().await.unwrap();
            assert_eq!(log.texts(), LEFT);
            assert_eq!(alive(), 0);
        }
        // A clean-up and a task in a shield drop it.
        let log = Log::default();
        let group = TaskGroup::<()>::new();
        group.defer(secs(100), leave_a_group(log.clone()));
        group.spawn(shield(secs(100), leave_a_group(log.clone())));
        yield_now().await;
        group.cancel("enough");
        let _ = group.close().await;
        assert_eq!(log.texts(), [LEFT, LEFT].concat());
        assert_eq!(alive(), 0);
        // One that has left its task does not count.
        let group = TaskGroup::new();
        group.spawn(async {
            let inner = TaskGroup::<u32>::new();
            inner.spawn(async { 5 });
            inner
        });
        let [inner] = group.close().await.unwrap().try_into().unwrap();
        assert_eq!(inner.close().await.unwrap(), [5]);
    });
}

#[test]
fn the_futures_of_an_iterator_are_spawned_by_the_line_of_the_program() {
    on_both(|| async {
        let mut group = TaskGroup::limit(2).start();
        group.extend((0..5).map(|number| async move { number }));
        let mut numbers = group.close().await.unwrap();
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);

        let mut extended = TaskGroup::<()>::new();
        let ((), line) = (extended.extend([pending()]), line!());
        extended.cancel("test");
        let error = extended.close().await.unwrap_err();
        assert_eq!((error.spawned_at().file(), error.spawned_at().line()), (file!(), line));
    });
}

#[test]
fn a_question_mark_returns_the_error_of_a_task_or_why_it_has_none() {
    async fn close(group: TaskGroup<io::Result<()>>) -> io::Result<()> {
        group.try_close().await?;
        Ok(())
    }

    paused(|| async {
        let failed = TaskGroup::new();
        failed.spawn(async { Err(io::Error::from(io::ErrorKind::NotFound)) });
        assert_eq!(close(failed).await.unwrap_err().kind(), io::ErrorKind::NotFound);

        let late = TaskGroup::builder().name("late").deadline(secs(1)).start();
        late.spawn(pending());
        let error = close(late).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("`late`"), "{error}");
    });
}
