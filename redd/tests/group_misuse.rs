//! Wrong uses of task groups: each has a clear error or a defined result.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use redd::group::{self, Reason, TaskGroup, shield};
use redd::runtime::{Builder, Handle};
use redd::sync::oneshot;
use redd::task::yield_now;
use redd::time::{Duration, Instant, sleep};

fn paused<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
        test().await;
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "no task is left");
    });
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The message of a panic that says all of `parts`.
#[track_caller]
fn assert_says(payload: Box<dyn std::any::Any + Send>, parts: &[&str]) {
    let text = match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&'static str>().unwrap()).to_owned(),
    };
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

#[test]
fn a_group_outside_of_a_runtime_says_what_to_do() {
    for start in [|| drop(TaskGroup::<()>::new()), || drop(TaskGroup::<()>::limit(1).start())] {
        assert_says(catch_unwind(start).unwrap_err(), &["`TaskGroup`", "not inside a redd runtime", "handle.enter()"]);
    }
}

#[test]
fn a_limit_of_zero_says_what_to_do() {
    let payload = catch_unwind(|| drop(TaskGroup::<()>::limit(0))).unwrap_err();
    assert_says(payload, &["limit of 0", "never run a task", "at least 1"]);
}

#[test]
fn a_group_that_is_awaited_inside_of_itself_says_what_to_do() {
    paused(|| async {
        let group = Arc::new(TaskGroup::<()>::new());
        let line = line!() - 1;
        let created_at = format!("{}:{line}:", file!());
        let inside = Arc::clone(&group);
        group.spawn(async move { drop(inside.next().await) });
        let inside = Arc::clone(&group);
        group.spawn(async move { inside.ready().await });
        let inside = Arc::clone(&group);
        group.spawn(async move {
            // Also from a group that one of its tasks has started.
            let inner = TaskGroup::new();
            inner.spawn(async move { drop(inside.next().await) });
            let error = inner.close().await.unwrap_err();
            std::panic::resume_unwind(error.try_into_panic().unwrap());
        });
        for method in ["next", "ready", "next"] {
            let error = group.next().await.unwrap().unwrap_err();
            let method = format!("`TaskGroup::{method}`");
            assert_says(error.try_into_panic().unwrap(), &[&method, "inside of the same group", &created_at, "Await"]);
        }
        Arc::into_inner(group).unwrap().close().await.unwrap();
    });
}

#[test]
fn a_group_that_is_closed_in_its_own_task_ends_with_a_panic() {
    paused(|| async {
        let (sender, receiver) = oneshot::channel::<TaskGroup<()>>();
        let (end, ended) = oneshot::channel();
        let group = TaskGroup::new();
        group.spawn(async move {
            let group = receiver.await.unwrap();
            let closed = catch_unwind(AssertUnwindSafe(|| drop(group.close())));
            end.send(closed.unwrap_err()).unwrap();
        });
        sender.send(group).unwrap();
        assert_says(ended.await.unwrap(), &["`TaskGroup::close`", "inside of the same group"]);
        yield_now().await;
    });
}

#[test]
fn a_clean_up_may_close_another_group_and_cannot_reach_its_own() {
    paused(|| async {
        let group = Arc::new(TaskGroup::<()>::new());
        let own = Arc::downgrade(&group);
        let (end, ended) = oneshot::channel();
        group.defer(secs(10), async move {
            let other = TaskGroup::new();
            other.spawn(async {
                sleep(secs(1)).await;
                5
            });
            let _ = end.send((own.upgrade().is_none(), other.close().await.unwrap()));
        });
        group.cancel("a clean-up is not cancelled, and a group in it is not, either");
        Arc::into_inner(group).unwrap().close().await.unwrap();
        assert_eq!(ended.await.unwrap(), (true, vec![5]));
    });
}

#[test]
fn a_clean_up_that_awaits_an_outer_group_ends_with_a_panic() {
    paused(|| async {
        let outer = Arc::new(TaskGroup::<()>::new());
        let inside = Arc::clone(&outer);
        outer.spawn(async move {
            let inner = TaskGroup::<()>::new();
            inner.defer(secs(10), async move { drop(inside.next().await) });
            let error = inner.close().await.unwrap_err();
            assert_says(error.try_into_panic().unwrap(), &["`TaskGroup::next`", "inside of the same group"]);
        });
        outer.next().await.unwrap().unwrap();
        Arc::into_inner(outer).unwrap().close().await.unwrap();
    });
}

#[test]
fn a_shield_in_a_shield_has_its_own_time() {
    paused(|| async {
        for (inner, outer) in [(3, 8), (8, 3)] {
            let begin = Instant::now();
            let group = TaskGroup::<()>::new();
            group.spawn(shield(secs(outer), async move {
                shield(secs(inner), pending::<()>()).await;
            }));
            yield_now().await;
            group.cancel("enough");
            assert!(group.close().await.is_err());
            // If the inner one is over first, the task stays. When the outer one is over, so is what is inside of it.
            assert_eq!(begin.elapsed().as_secs(), outer, "{inner} in {outer}");
        }
    });
}

#[test]
fn a_shield_inside_of_which_a_shield_completes_still_protects() {
    paused(|| async {
        let group = TaskGroup::new();
        group.spawn(shield(secs(10), async {
            shield(secs(1), sleep(secs(1))).await;
            sleep(secs(5)).await;
            "done"
        }));
        yield_now().await;
        group.cancel("enough");
        assert_eq!(group.close().await.unwrap(), ["done"]);
    });
}

#[test]
fn outside_of_a_group_a_shield_is_its_future_and_nothing_is_cancelled() {
    paused(|| async {
        assert_eq!(shield(Duration::ZERO, async { 1 }).await, 1);
        assert!(!group::is_cancelled());
        let waits = redd::time::timeout(secs(1000), group::cancelled());
        assert!(waits.await.is_err());
        // A plain task belongs to no group.
        let group = TaskGroup::new();
        group.spawn(async { redd::spawn(async { group::CancelScope::current().is_none() }).await.unwrap() });
        assert_eq!(group.close().await.unwrap(), [true]);
    });
}

#[test]
fn a_shield_without_a_time_protects_for_no_time() {
    paused(|| async {
        let group = TaskGroup::<()>::new();
        group.spawn(shield(Duration::ZERO, pending()));
        yield_now().await;
        group.cancel("enough");
        assert_eq!(group.close().await.unwrap_err().reason(), Some(&Reason::from("enough")));
    });
}

#[test]
fn closing_an_empty_group_returns_at_once() {
    paused(|| async {
        let mut closing = Box::pin(TaskGroup::<u32>::new().close());
        let waker = std::task::Waker::noop();
        let polled = closing.as_mut().poll(&mut std::task::Context::from_waker(waker));
        assert!(matches!(polled, std::task::Poll::Ready(Ok(outputs)) if outputs.is_empty()));
    });
}

/// An output whose drop panics.
struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

#[test]
fn outputs_whose_drops_panic_harm_no_group_that_is_dropped() {
    // The `close` is dropped before its first poll, while tasks run, and when all of them have ended.
    for yields in 0..4 {
        paused(|| async {
            let group = TaskGroup::new();
            group.spawn(async { PanicsInDrop });
            group.spawn(async { PanicsInDrop });
            let mut closing = Box::pin(group.close());
            if yields > 0 {
                assert!(futures::poll!(&mut closing).is_pending());
            }
            for _ in 1..yields {
                yield_now().await;
            }
            drop(closing);
            while Handle::current().metrics().num_alive_tasks() > 0 {
                yield_now().await;
            }
        });
    }
}

#[test]
fn a_shield_that_another_task_completes_or_drops_lets_its_own_task_go() {
    for completes in [true, false] {
        paused(|| async {
            let group = TaskGroup::<()>::new();
            let ((send, sent), (go, gone)) = (oneshot::channel(), oneshot::channel::<()>());
            group.spawn(async move {
                let mut shielded = Box::pin(shield(secs(1000), gone));
                assert!(futures::poll!(&mut shielded).is_pending());
                send.send(shielded).unwrap();
                pending().await
            });
            let mut shielded = sent.await.unwrap();
            assert!(futures::poll!(&mut shielded).is_pending());
            group.cancel("enough");
            for _ in 0..5 {
                yield_now().await;
            }
            assert_eq!(group.len(), 1, "the shield is there");
            let begin = Instant::now();
            if completes {
                go.send(()).unwrap();
                shielded.await.unwrap();
            } else {
                drop(shielded);
            }
            assert!(group.close().await.is_err());
            assert_eq!(begin.elapsed(), Duration::ZERO);
        });
    }
}

#[test]
fn a_task_of_a_runtime_that_a_closure_of_a_group_runs_belongs_to_no_group() {
    paused(|| async {
        let group = TaskGroup::new();
        group.spawn_blocking(|| {
            let runtime = Builder::new_current_thread().build().unwrap();
            let has_scope = || group::CancelScope::current().is_some();
            let root_has = runtime.block_on(async { has_scope() });
            let task_has = runtime.block_on(async { redd::spawn(async move { has_scope() }).await.unwrap() });
            (has_scope(), root_has, task_has)
        });
        assert_eq!(group.close().await.unwrap(), [(true, true, false)]);
    });
}

/// A group in a task of a group in a task, and so on. The innermost task sends its scope and waits.
fn nested(
    depth: usize,
    send: oneshot::Sender<group::CancelScope>,
) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if depth == 0 {
            let _ = send.send(group::CancelScope::current().unwrap());
            return pending().await;
        }
        let group = TaskGroup::new();
        group.spawn(nested(depth - 1, send));
        let _ = group.close().await;
    })
}

#[test]
fn groups_may_be_nested_deeply() {
    paused(|| async {
        let (send, sent) = oneshot::channel();
        let group = TaskGroup::new();
        group.spawn(nested(5_000, send));
        let innermost = sent.await.unwrap();
        group.cancel("all of them");
        assert_eq!(innermost.reason(), Some(Reason::from("all of them")));
        assert!(group.close().await.is_err());
        // It is the last owner of all scopes around it.
        drop(innermost);
    });
}

#[test]
fn many_closures_that_are_queued_end_when_the_runtime_ends() {
    const CLOSURES: usize = 100_000;
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let group = {
        let _entered = runtime.enter();
        TaskGroup::discarding().limit(1).start()
    };
    let (go, gone) = std::sync::mpsc::channel::<()>();
    group.spawn_blocking(move || assert!(gone.recv().is_err(), "nothing is sent"));
    for _ in 0..CLOSURES {
        group.spawn_blocking(|| unreachable!("the runtime ends before it has a place"));
    }
    runtime.shutdown_background();
    drop(go);
    // Each that is cancelled gives its place to the next one.
    let error = futures::executor::block_on(group.close()).unwrap_err();
    assert_eq!(error.reason(), Some(&Reason::Shutdown));
}
