//! A dump counts the finished tasks of large `JoinSet`s, by the line that created the set.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::panic::Location;

use redd::runtime::dump::Unjoined;
use redd::runtime::{Builder, Handle};
use redd::task::{JoinSet, yield_now};

type At = &'static Location<'static>;

#[track_caller]
fn here() -> At {
    Location::caller()
}

/// The sets and tasks of `line`, as the dump shows them.
fn shown(line: At) -> Option<(usize, usize)> {
    let dump = Handle::current().snapshot();
    let found = dump
        .unjoined()
        .iter()
        .find(|each| (each.created_at.file(), each.created_at.line()) == (line.file(), line.line()));
    let is_printed = dump
        .to_string()
        .lines()
        .any(|text| text.contains("not joined") && text.contains(&format!("{}:{}:", line.file(), line.line())));
    assert_eq!(found.is_some(), is_printed, "{dump}");
    found.map(|Unjoined { sets, tasks, .. }| (*sets, *tasks))
}

async fn finish() {
    for _ in 0..4 {
        yield_now().await;
    }
}

fn run(test: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn finished_tasks_are_counted_until_they_are_joined() {
    run(async {
        let (mut set, line) = (JoinSet::new(), here());
        (0..31).for_each(|_| drop(set.spawn(async {})));
        let endless = set.spawn(std::future::pending());
        finish().await;
        assert_eq!(shown(line), None, "few tasks are no leak");
        set.spawn(async {});
        finish().await;
        assert_eq!(shown(line), Some((1, 32)));
        for left in (0..32).rev() {
            set.join_next().await.unwrap().unwrap();
            assert_eq!(shown(line), Some((1, left)).filter(|_| left > 0));
        }
        endless.abort();
        finish().await;
        assert_eq!(shown(line), Some((1, 1)), "a set that was large once stays known");
        assert!(set.try_join_next().unwrap().is_err());
        assert_eq!(shown(line), None);
    });
}

#[test]
fn the_sets_of_one_line_are_counted_together() {
    run(async {
        let (mut sets, line): (Vec<JoinSet<_>>, _) = ((0..3).map(|_| JoinSet::new()).collect(), here());
        for (set, tasks) in sets.iter_mut().zip([40, 50, 3]) {
            (0..tasks).for_each(|_| drop(set.spawn(async {})));
        }
        finish().await;
        assert_eq!(shown(line), Some((2, 90)));
        sets.remove(0);
        assert_eq!(shown(line), Some((1, 50)), "a dropped set has no tasks");
    });
}

#[test]
fn detached_tasks_are_in_no_set() {
    run(async {
        let (mut set, line) = (JoinSet::new(), here());
        (0..40).for_each(|_| drop(set.spawn(async {})));
        finish().await;
        (0..40).for_each(|_| drop(set.spawn(yield_now())));
        set.detach_all();
        finish().await;
        assert_eq!(shown(line), None);
        (0..33).for_each(|_| drop(set.spawn(async {})));
        finish().await;
        assert_eq!(shown(line), Some((1, 33)), "the set is in use again");
    });
}

#[test]
fn a_default_and_a_collected_set_know_their_line() {
    run(async {
        let (mut set, line) = (JoinSet::default(), here());
        (0..32).for_each(|_| drop(set.spawn(async {})));
        let (_collected, other): (JoinSet<()>, _) = ((0..32).map(|_| async {}).collect(), here());
        finish().await;
        assert_eq!(shown(line), Some((1, 32)));
        assert_eq!(shown(other), None, "the line that collects it is unknown: std creates it");
    });
}
