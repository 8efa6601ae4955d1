//! `Notify` and `Barrier`.

use super::support::{WakeFn, Wakes, poll_once, poll_with};
use redd::sync::futures::*;
use redd::sync::*;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};

fn listeners(notify: &Notify, count: usize) -> Vec<Pin<Box<Notified<'_>>>> {
    let mut all: Vec<_> = (0..count).map(|_| Box::pin(notify.notified())).collect();
    for listener in &mut all {
        assert!(poll_once(listener.as_mut()).is_pending());
    }
    all
}

fn ready(all: &mut [Pin<Box<Notified<'_>>>]) -> Vec<bool> {
    all.iter_mut().map(|one| poll_once(one.as_mut()).is_ready()).collect()
}

#[test]
fn auto_traits_are_those_of_tokio() {
    fn check<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
    fn future<T: Send + Sync>() {}
    check::<Notify>();
    future::<Notified<'_>>();
    future::<OwnedNotified>();
}

#[test]
fn one_permit_is_stored_and_taken_once() {
    let notify = Notify::new();
    notify.notify_one();
    notify.notify_last();
    assert!(poll_once(Box::pin(notify.notified()).as_mut()).is_ready());
    assert!(poll_once(Box::pin(notify.notified()).as_mut()).is_pending());
}

#[test]
fn notify_one_wakes_the_first_and_notify_last_the_last() {
    let notify = Notify::new();
    let mut all = listeners(&notify, 4);
    notify.notify_one();
    notify.notify_last();
    assert_eq!(ready(&mut all), [true, false, false, true]);
    notify.notify_last();
    assert_eq!(ready(&mut all), [true, false, true, true]);
}

#[test]
fn notify_waiters_reaches_futures_made_before_and_keeps_the_permit() {
    let notify = Notify::new();
    let mut early = Box::pin(notify.notified());
    notify.notify_waiters();
    notify.notify_one();
    assert!(poll_once(early.as_mut()).is_ready());
    assert!(poll_once(Box::pin(notify.notified()).as_mut()).is_ready(), "the permit is left");
    assert!(poll_once(Box::pin(notify.notified()).as_mut()).is_pending());
    assert!(poll_once(early.as_mut()).is_ready(), "ready once, ready forever");
}

#[test]
fn a_notification_of_a_dropped_waiter_goes_to_the_next_from_the_same_end() {
    let notify = Notify::new();
    let mut all = listeners(&notify, 4);
    notify.notify_last();
    drop(all.pop());
    assert_eq!(ready(&mut all), [false, false, true]);
    notify.notify_one();
    drop(all.remove(0));
    assert_eq!(ready(&mut all), [true, true]);
    let mut last = listeners(&notify, 1);
    notify.notify_one();
    drop(last.pop());
    assert!(poll_once(Box::pin(notify.notified()).as_mut()).is_ready(), "stored again");
}

#[test]
fn notify_waiters_is_not_forwarded() {
    let notify = Notify::new();
    drop({
        let all = listeners(&notify, 3);
        notify.notify_waiters();
        all
    });
    assert!(poll_once(Box::pin(notify.notified()).as_mut()).is_pending());
}

#[test]
fn enable_enqueues_without_a_waker() {
    let notify = Arc::new(Notify::new());
    let mut first = Box::pin(Arc::clone(&notify).notified_owned());
    assert!(!first.as_mut().enable());
    notify.notify_one();
    assert!(first.as_mut().enable());
    assert!(poll_once(first.as_mut()).is_ready());

    let mut second = Box::pin(notify.notified());
    assert!(!second.as_mut().enable());
    let (wakes, waker) = Wakes::new();
    assert!(poll_with(second.as_mut(), &waker).is_pending());
    notify.notify_waiters();
    assert_eq!(wakes.count(), 1);
    assert!(second.as_mut().enable());
}

#[test]
fn the_last_waker_given_is_the_one_woken() {
    let notify = Notify::new();
    let mut one = Box::pin(notify.notified());
    let ((old, old_waker), (new, new_waker)) = (Wakes::new(), Wakes::new());
    assert!(poll_with(one.as_mut(), &old_waker).is_pending());
    assert!(poll_with(one.as_mut(), &new_waker).is_pending());
    notify.notify_one();
    assert_eq!((old.count(), new.count()), (0, 1));
}

#[test]
fn wakers_may_use_the_notify_and_later_waiters_are_not_notified() {
    let notify = Arc::new(Notify::new());
    let late = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (inner, list) = (Arc::clone(&notify), Arc::clone(&late));
    let waker = Waker::from(Arc::new(WakeFn(move || {
        let mut late = Box::pin(Arc::clone(&inner).notified_owned());
        assert!(poll_once(late.as_mut()).is_pending());
        list.lock().unwrap().push(late);
    })));
    let mut all: Vec<_> = (0..100).map(|_| Box::pin(notify.notified())).collect();
    for one in &mut all {
        assert!(poll_with(one.as_mut(), &waker).is_pending());
    }
    notify.notify_waiters();
    assert_eq!(ready(&mut all), [true; 100]);
    let mut late = std::mem::take(&mut *late.lock().unwrap());
    assert_eq!(late.len(), 100);
    assert!(late.iter_mut().all(|one| poll_once(one.as_mut()).is_pending()));
}

#[test]
fn a_waker_during_notify_waiters_sees_all_waiters_notified() {
    let notify = Arc::new(Notify::new());
    let others = Arc::new(std::sync::Mutex::new(Vec::new()));
    let was_ready = Arc::new(AtomicBool::new(false));
    let (list, flag) = (Arc::clone(&others), Arc::clone(&was_ready));
    let waker = Waker::from(Arc::new(WakeFn(move || {
        let mut others: Vec<Pin<Box<OwnedNotified>>> = std::mem::take(&mut *list.lock().unwrap());
        let Some(mut last) = others.pop() else { return };
        // The last of 100 waiters is not in the first batch, but is notified too. The others are dropped while linked.
        flag.store(poll_once(last.as_mut()).is_ready(), Ordering::Relaxed);
    })));
    let mut first = Box::pin(notify.notified());
    assert!(poll_with(first.as_mut(), &waker).is_pending());
    for _ in 0..100 {
        let mut one = Box::pin(Arc::clone(&notify).notified_owned());
        assert!(poll_once(one.as_mut()).is_pending());
        others.lock().unwrap().push(one);
    }
    notify.notify_waiters();
    assert!(was_ready.load(Ordering::Relaxed));
    assert!(others.lock().unwrap().is_empty());
    assert!(poll_once(Box::pin(notify.notified()).as_mut()).is_pending());
}

#[test]
fn a_panicking_waker_does_not_stop_other_notifications() {
    let notify = Notify::new();
    let waker = Waker::from(Arc::new(WakeFn(|| panic!("a waker that panics"))));
    let mut first = Box::pin(notify.notified());
    assert!(poll_with(first.as_mut(), &waker).is_pending());
    let mut all = listeners(&notify, 40);
    notify.notify_waiters();
    assert!(poll_once(first.as_mut()).is_ready());
    assert_eq!(ready(&mut all), [true; 40]);
}

fn is_leader(met: Poll<BarrierWaitResult>) -> Poll<bool> {
    met.map(|met| met.is_leader())
}

#[test]
fn the_last_to_arrive_leads_and_the_barrier_can_be_used_again() {
    let barrier = Barrier::new(3);
    for _ in 0..2 {
        let (mut one, mut two, mut three) =
            (Box::pin(barrier.wait()), Box::pin(barrier.wait()), Box::pin(barrier.wait()));
        let (wakes, waker) = Wakes::new();
        assert!(poll_with(one.as_mut(), &waker).is_pending());
        assert!(poll_with(two.as_mut(), &waker).is_pending());
        assert!(poll_once(one.as_mut()).is_pending(), "polled again is not arrived twice");
        assert!(poll_with(one.as_mut(), &waker).is_pending());
        assert_eq!(is_leader(poll_once(three.as_mut())), Poll::Ready(true));
        assert_eq!(wakes.count(), 2);
        assert_eq!(is_leader(poll_once(one.as_mut())), Poll::Ready(false));
        assert_eq!(is_leader(poll_once(two.as_mut())), Poll::Ready(false));
    }
}

#[test]
fn a_dropped_arrival_counts_and_size_zero_is_one() {
    let barrier = Barrier::new(2);
    let mut one = Box::pin(barrier.wait());
    assert!(poll_once(one.as_mut()).is_pending());
    drop(one);
    assert!(poll_once(Box::pin(barrier.wait()).as_mut()).is_ready());
    assert!(poll_once(Box::pin(barrier.wait()).as_mut()).is_pending());
    assert!(poll_once(Box::pin(Barrier::new(0).wait()).as_mut()).is_ready());
}
