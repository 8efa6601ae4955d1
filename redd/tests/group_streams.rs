//! The results of groups as streams, with the feature `stream`.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::future::pending;
use std::pin::pin;

use futures::stream::{Stream, StreamExt, TryStreamExt as _};
use redd::group::{InOrder, Results, TaskGroup};
use redd::runtime::{Builder, Handle};
use redd::task::yield_now;

fn on_both<F: Future<Output = ()>>(test: impl Fn() -> F) {
    let multi = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for runtime in [Builder::new_current_thread().enable_all().build().unwrap(), multi] {
        runtime.block_on(async {
            test().await;
            assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "no task is left");
        });
    }
}

/// Later tasks end first.
fn spawn_all(group: &TaskGroup<usize>, count: usize) {
    for number in 0..count {
        group.spawn(async move {
            for _ in number..count {
                yield_now().await;
            }
            number
        });
    }
}

#[test]
fn results_come_as_the_tasks_end_and_in_order_as_they_were_spawned() {
    on_both(|| async {
        let group = TaskGroup::new();
        spawn_all(&group, 20);
        let mut all: Vec<usize> = group.results().try_collect().await.unwrap();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..20));
        assert!(group.close().await.unwrap().is_empty());

        let group = TaskGroup::limit(3).start();
        spawn_all(&group, 20);
        let results = group.in_order();
        assert_eq!(results.size_hint(), (20, Some(20)));
        let mut results = pin!(results);
        assert_eq!(StreamExt::next(&mut results).await.unwrap().unwrap(), 0);
        assert_eq!(results.size_hint(), (19, Some(19)));
        let rest: Vec<usize> = results.try_collect().await.unwrap();
        assert!(rest.into_iter().eq(1..20));
    });
}

#[test]
fn a_failure_is_an_item_and_the_stream_goes_on() {
    on_both(|| async {
        let group = TaskGroup::new();
        spawn_all(&group, 2);
        group.spawn(pending()).abort();
        let (mut ok, mut failed) = (0, 0);
        let mut results = group.results();
        while let Some(result) = results.next().await {
            *(if result.is_ok() { &mut ok } else { &mut failed }) += 1;
        }
        assert_eq!((ok, failed), (2, 1));
        // Its end is not final.
        spawn_all(&group, 1);
        assert_eq!(results.next().await.unwrap().unwrap(), 0);
        assert!(results.next().await.is_none());
        drop(results);
        group.close().await.unwrap();
    });
}

#[test]
fn a_stream_that_is_dropped_while_it_waits_loses_nothing() {
    on_both(|| async {
        let group = TaskGroup::new();
        spawn_all(&group, 3);
        let mut results = group.results();
        assert!(futures::poll!(results.next()).is_pending());
        drop(results);
        let mut outputs = group.close().await.unwrap();
        outputs.sort_unstable();
        assert_eq!(outputs, [0, 1, 2]);
    });
}

#[test]
fn a_group_that_is_dropped_with_its_stream_leaves_nothing() {
    on_both(|| async {
        let group = TaskGroup::<()>::new();
        let task = group.spawn(pending());
        let mut results = group.in_order();
        assert!(futures::poll!(StreamExt::next(&mut results)).is_pending());
        drop(results);
        while !task.is_finished() {
            yield_now().await;
        }
    });
}

#[test]
fn a_stream_of_ready_results_lets_other_tasks_run() {
    Builder::new_current_thread().build().unwrap().block_on(async {
        let other = redd::spawn(yield_now());
        let task = redd::spawn(async move {
            let group = TaskGroup::new();
            (0..1000).for_each(|number| drop(group.spawn(async move { number })));
            while !group.is_empty() {
                yield_now().await;
            }
            let count = group.results().count().await;
            group.close().await.unwrap();
            count
        });
        let watcher = redd::spawn(async {
            let mut polls = 0;
            while Handle::current().metrics().num_alive_tasks() > 1 {
                polls += 1;
                yield_now().await;
            }
            polls
        });
        assert_eq!(task.await.unwrap(), 1000);
        other.await.unwrap();
        // 1000 results are more than 7 budgets.
        assert!(watcher.await.unwrap() > 7);
    });
}

#[test]
fn a_task_of_the_group_cannot_wait_for_its_results() {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let group = std::sync::Arc::new(TaskGroup::<()>::new());
        let mine = std::sync::Arc::clone(&group);
        group.spawn(async move { drop(mine.results()) });
        assert!(group.next().await.unwrap().unwrap_err().is_panic());
    });
}

#[test]
fn the_streams_have_the_auto_traits_that_callers_rely_on() {
    fn is_send_and_unpin<S: Stream + Send + Unpin>() {}
    is_send_and_unpin::<InOrder<std::marker::PhantomPinned>>();
    is_send_and_unpin::<Results<'static, std::marker::PhantomPinned>>();
}
