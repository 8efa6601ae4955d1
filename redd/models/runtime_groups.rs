//! Models of task groups on whole runtimes, in schedules that shuttle picks.
//!
//! - a group that is closed, or dropped, while its tasks end.
//! - a group inside of another one that is closed while its tasks end.
//! - a clean-up that is dismissed while the group closes.
//! - a cancellation beside a place of the limit that is handed over.
//! - results in order while the tasks end.
//! - a drain beside the last task of a group that has clean-ups, or a closure without a place.

use super::*;
use crate::group::{TaskGroup, shield};

const LONG: Duration = Duration::from_secs(1000);

/// Counts in a value that outlives the runtime.
fn count(value: &Arc<AtomicUsize>) {
    value.fetch_add(1, Ordering::SeqCst);
}

model!(shuttle_a_group_is_closed_while_its_tasks_end, || {
    let (census, ran) = (Census::default(), Arc::new(AtomicUsize::new(0)));
    let runtime = workers(2);
    let sum = runtime.block_on(async {
        let group = TaskGroup::new();
        let (life, clean_up) = (census.life(), Arc::clone(&ran));
        group.defer(LONG, async move {
            yield_now().await;
            count(&clean_up);
            drop(life);
        });
        for number in 0..3 {
            let life = census.life();
            group.spawn(async move {
                if number > 0 {
                    yield_now().await;
                }
                drop(life);
                number
            });
        }
        let outputs = group.close().await.expect("no task fails");
        assert_eq!(ran.load(Ordering::SeqCst), 1, "the clean-up has run");
        census.assert_all_ended(4);
        outputs.into_iter().sum::<usize>()
    });
    assert_eq!(sum, 3);
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
});

model!(shuttle_a_group_is_dropped_while_its_tasks_end, || {
    let (census, ran) = (Census::default(), Arc::new(AtomicUsize::new(0)));
    let runtime = workers(2);
    runtime.block_on(async {
        let outer = TaskGroup::new();
        let (census, ran) = (census.clone(), Arc::clone(&ran));
        outer.spawn(async move {
            let group = TaskGroup::new();
            let (life, clean_up) = (census.life(), Arc::clone(&ran));
            group.defer(LONG, async move {
                count(&clean_up);
                drop(life);
            });
            for _ in 0..2 {
                let life = census.life();
                group.spawn(async move {
                    yield_now().await;
                    drop(life);
                });
            }
        });
        // It waits for what the inner one leaves.
        outer.close().await.expect("the task does not fail");
    });
    assert_eq!(ran.load(Ordering::SeqCst), 1, "the clean-up has run");
    census.assert_all_ended(3);
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
});

model!(shuttle_an_inner_group_is_closed_while_its_tasks_end, || {
    let runtime = workers(2);
    runtime.block_on(async {
        let outer = TaskGroup::new();
        outer.spawn(async {
            let inner = TaskGroup::new();
            inner.spawn(async {});
            inner.close().await.expect("the task does not fail");
        });
        outer.close().await.expect("the task does not fail");
    });
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
});

model!(shuttle_a_clean_up_runs_or_is_dismissed, || {
    let ran = Arc::new(AtomicUsize::new(0));
    let runtime = workers(1);
    let was_dismissed = runtime.block_on(async {
        let group = TaskGroup::<()>::new();
        let clean_up = Arc::clone(&ran);
        let deferred = group.defer(LONG, async move { count(&clean_up) });
        let outside = thread::spawn(move || deferred.dismiss());
        group.spawn(yield_now());
        group.close().await.expect("no task fails");
        outside.join().expect("it does not panic")
    });
    assert_eq!(ran.load(Ordering::SeqCst), usize::from(!was_dismissed));
});

model!(shuttle_a_place_is_handed_over_while_the_group_is_cancelled, || {
    let census = Census::default();
    let runtime = workers(2);
    runtime.block_on(async {
        let group = TaskGroup::limit(1).start();
        for number in 0..3 {
            let life = census.life();
            group.spawn(async move {
                if number == 0 {
                    shield(LONG, yield_now()).await;
                }
                yield_now().await;
                drop(life);
            });
        }
        let life = census.life();
        group.spawn_blocking(move || drop(life));
        let scope = group.scope();
        let outside = thread::spawn(move || scope.cancel("from outside"));
        let mut results = 0;
        while group.next().await.is_some() {
            results += 1;
        }
        assert_eq!(results, 4, "each has a result");
        census.assert_all_ended(4);
        outside.join().expect("it does not panic");
        group.close().await.expect("all results were taken");
    });
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
});

model!(shuttle_in_order_no_result_is_lost_while_tasks_end, || {
    let runtime = workers(2);
    runtime.block_on(async {
        let group = TaskGroup::limit(2).start();
        (0..4).for_each(|number| drop(group.spawn(async move { number })));
        let mut results = group.in_order();
        for number in 0..4 {
            assert_eq!(results.next().await.expect("it is not lost").expect("no task fails"), number);
        }
        assert!(results.next().await.is_none());
    });
});

/// The last task of a dropped group ends while the runtime drains.
fn drain_with_a_clean_up() {
    let ran = Arc::new(AtomicUsize::new(0));
    let runtime = workers(1);
    runtime.block_on(async {
        let group = TaskGroup::new();
        let clean_up = Arc::clone(&ran);
        group.defer(LONG, async move { count(&clean_up) });
        group.spawn(shield(LONG, yield_now()));
        yield_now().await;
    });
    let left = runtime.drain(LONG);
    assert!(left.is_empty() && ran.load(Ordering::SeqCst) == 1, "a drain waits for clean-ups");
}

model!(shuttle_a_drain_waits_for_clean_ups_that_no_task_runs_yet, drain_with_a_clean_up);

mistake!(
    shuttle_notices_a_drain_that_does_not_know_groups,
    "a drain waits for clean-ups",
    patch "a drain that does not know groups",
    drain_with_a_clean_up
);

model!(shuttle_a_drain_waits_for_closures_without_a_place, || {
    let ran = Arc::new(AtomicUsize::new(0));
    let runtime = workers(1);
    let group = runtime.block_on(async {
        let group = TaskGroup::limit(1).start();
        group.spawn(yield_now());
        let closure = Arc::clone(&ran);
        group.spawn_blocking(move || count(&closure));
        group
    });
    assert!(runtime.drain(LONG).is_empty());
    assert_eq!(ran.load(Ordering::SeqCst), 1, "a drain waits for closures");
    drop(group);
});

/// A task ends while the group is closed.
fn close_beside_an_end() {
    let runtime = workers(1);
    runtime.block_on(async {
        let group = TaskGroup::new();
        group.spawn(yield_now());
        yield_now().await;
        group.close().await.expect("no task fails");
    });
}

model!(shuttle_a_task_that_ends_beside_a_close_ends_the_group, close_beside_an_end);

mistake!(
    shuttle_notices_an_end_that_does_not_advance_the_group,
    "exceeded max_steps",
    patch "an end that does not advance the group",
    close_beside_an_end
);
