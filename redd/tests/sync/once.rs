//! `OnceCell` and `SetOnce`.

use super::support::{Wakes, poll_once, poll_with};
use redd::sync::*;
use std::task::Poll;

#[test]
fn one_task_initializes_and_the_others_wait() {
    let cell = OnceCell::new();
    let gate = Notify::new();
    let mut first = Box::pin(cell.get_or_init(|| async {
        gate.notified().await;
        1
    }));
    assert!(poll_once(first.as_mut()).is_pending());
    let mut second = Box::pin(cell.get_or_init(|| async { 2 }));
    assert!(poll_once(second.as_mut()).is_pending());
    assert_eq!(cell.set(3), Err(SetError::InitializingError(3)));
    gate.notify_one();
    assert_eq!(poll_once(first.as_mut()), Poll::Ready(&1));
    assert_eq!(poll_once(second.as_mut()), Poll::Ready(&1));
    assert_eq!(cell.set(3), Err(SetError::AlreadyInitializedError(3)));
}

#[test]
fn after_a_failure_or_a_cancellation_the_next_waiter_initializes() {
    let cell = OnceCell::new();
    let mut cancelled = Box::pin(cell.get_or_init(std::future::pending));
    assert!(poll_once(cancelled.as_mut()).is_pending());
    let mut failing = Box::pin(cell.get_or_try_init(|| async { Err("no") }));
    assert!(poll_once(failing.as_mut()).is_pending());
    let mut lucky = Box::pin(cell.get_or_init(|| async { 2 }));
    assert!(poll_once(lucky.as_mut()).is_pending());
    drop(cancelled);
    assert_eq!(poll_once(failing.as_mut()), Poll::Ready(Err("no")));
    assert_eq!(poll_once(lucky.as_mut()), Poll::Ready(&2));
}

#[test]
fn taking_empties_the_cell_for_another_round() {
    let mut cell = OnceCell::from(1);
    assert_eq!(cell, cell.clone());
    *cell.get_mut().expect("set") += 1;
    assert_eq!(cell.take(), Some(2));
    assert_eq!(cell.get_mut(), None);
    assert_eq!(cell.set(5), Ok(()));
    assert_eq!(cell.into_inner(), Some(5));
}

#[test]
fn setting_wakes_all_waiters_and_works_once() {
    let cell = SetOnce::new();
    let (wakes, waker) = Wakes::new();
    let mut all: Vec<_> = (0..50).map(|_| Box::pin(cell.wait())).collect();
    for one in &mut all {
        assert!(poll_with(one.as_mut(), &waker).is_pending());
    }
    drop(all.pop());
    assert_eq!(cell.set(1), Ok(()));
    assert_eq!(cell.set(2), Err(SetOnceError(2)));
    assert_eq!(wakes.count(), 49);
    for one in &mut all {
        assert_eq!(poll_once(one.as_mut()), Poll::Ready(&1));
    }
    assert_eq!(poll_once(Box::pin(cell.wait()).as_mut()), Poll::Ready(&1));
    drop(all);
    assert_eq!(cell.into_inner(), Some(1));
}
