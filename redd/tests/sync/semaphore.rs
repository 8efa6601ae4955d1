//! `Semaphore` and its permits.

use super::support::{Rng, WakeFn, Wakes, block_on, poll_once, poll_with};
use redd::sync::*;
use redd::task::coop;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

#[test]
fn permits_split_merge_and_are_given_back_once() {
    let semaphore = Semaphore::new(10);
    let mut most = semaphore.try_acquire_many(7).expect("free");
    assert!(most.split(8).is_none());
    let part = most.split(3).expect("enough");
    assert_eq!((most.num_permits(), part.num_permits()), (4, 3));
    assert_eq!(semaphore.available_permits(), 3);
    most.merge(part);
    assert_eq!(most.num_permits(), 7);
    most.split(2).expect("enough").forget();
    drop(most);
    assert_eq!(semaphore.available_permits(), 8);
    assert_eq!(semaphore.forget_permits(100), 8);
}

#[test]
fn merging_permits_of_two_semaphores_is_refused_and_both_get_theirs_back() {
    let (one, two) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(1)));
    let mut held = Arc::clone(&one).try_acquire_owned().expect("free");
    let other = Arc::clone(&two).try_acquire_owned().expect("free");
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| held.merge(other)));
    let payload = refused.expect_err("refused");
    let message = payload.downcast_ref::<&str>().expect("a message");
    assert!(message.contains("merge only permits"), "{message}");
    drop(held);
    assert_eq!((one.available_permits(), two.available_permits()), (1, 1));
}

#[test]
fn errors_say_why() {
    let semaphore = Semaphore::const_new(0);
    let refused = semaphore.try_acquire().expect_err("none free");
    assert_eq!(refused.to_string(), "no permits available");
    semaphore.close();
    assert!(semaphore.is_closed());
    assert!(matches!(semaphore.try_acquire(), Err(TryAcquireError::Closed)));
    let Poll::Ready(Err(error)) = poll_once(Box::pin(semaphore.acquire()).as_mut()) else {
        panic!("closed");
    };
    assert_eq!(error.to_string(), "semaphore closed");
}

#[test]
fn a_blocked_thread_gets_the_permit_that_another_gives_back() {
    let semaphore = Arc::new(Semaphore::new(1));
    let held = Arc::clone(&semaphore).blocking_acquire_owned().expect("open");
    let other = Arc::clone(&semaphore);
    let thread = std::thread::spawn(move || other.blocking_acquire().expect("open").num_permits());
    drop(held);
    assert_eq!(thread.join().expect("no panic"), 1);
    assert_eq!(semaphore.available_permits(), 1);
}

/// The dull version: who waits, how many each asked for and still misses.
#[derive(Default)]
struct Model {
    free: usize,
    line: VecDeque<(usize, usize, usize)>,
    granted: Vec<usize>,
}

impl Model {
    fn give(&mut self, mut spare: usize) {
        while let Some((id, _, need)) = self.line.front_mut() {
            let given = spare.min(*need);
            *need -= given;
            spare -= given;
            if *need > 0 {
                return;
            }
            self.granted.push(*id);
            self.line.pop_front();
        }
        self.free += spare;
    }

    fn ask(&mut self, id: usize, count: usize) {
        let taken = if self.line.is_empty() { self.free.min(count) } else { 0 };
        self.free -= taken;
        if taken == count && (self.line.is_empty() || count == 0) {
            self.granted.push(id);
        } else {
            self.line.push_back((id, count, count - taken));
        }
    }

    /// Who asked and was dropped, granted or not.
    fn cancel(&mut self, id: usize, count: usize) {
        let returned = match self.line.iter().position(|(other, ..)| *other == id) {
            Some(at) => self.line.remove(at).map_or(0, |(_, _, need)| count - need),
            None => {
                self.granted.retain(|other| *other != id);
                count
            }
        };
        self.give(returned);
    }
}

fn compare_with_model(seed: u64) {
    let rng = Rng::new(seed);
    let start = rng.below(5) as usize;
    let semaphore = Semaphore::new(start);
    let mut model = Model { free: start, ..Model::default() };
    let mut asking = Vec::new();
    let mut held = Vec::new();
    for id in 0..300 {
        match rng.below(10) {
            0..=3 => {
                let count = rng.below(5) as usize;
                let mut one = Box::pin(semaphore.acquire_many(count as u32));
                model.ask(id, count);
                match poll_once(one.as_mut()) {
                    Poll::Ready(permit) => {
                        assert_eq!(model.granted.pop(), Some(id), "seed {seed}");
                        held.push(permit.expect("open"));
                    }
                    Poll::Pending => asking.push((id, count, one)),
                }
            }
            4 | 5 if !held.is_empty() => {
                let permit = held.swap_remove(rng.below(held.len() as u32) as usize);
                model.give(permit.num_permits());
            }
            6 if !asking.is_empty() => {
                let (id, count, one) = asking.swap_remove(rng.below(asking.len() as u32) as usize);
                drop(one);
                model.cancel(id, count);
            }
            7 => {
                let count = rng.below(3) as usize;
                let taken = semaphore.try_acquire_many(count as u32).ok();
                assert_eq!(
                    taken.is_some(),
                    count == 0 || (model.line.is_empty() && model.free >= count),
                    "seed {seed}"
                );
                model.free -= taken.as_ref().map_or(0, SemaphorePermit::num_permits);
                held.extend(taken);
            }
            8 => {
                let count = rng.below(3) as usize;
                let removed = count.min(model.free);
                assert_eq!(semaphore.forget_permits(count), removed);
                model.free -= removed;
                semaphore.add_permits(removed);
                model.give(removed);
            }
            _ => {
                // Everybody polls again, in any order: exactly those whom the model granted are ready.
                asking.retain_mut(|(id, _, one)| {
                    let polled = poll_once(one.as_mut());
                    assert_eq!(polled.is_ready(), model.granted.contains(id), "seed {seed}, {id}");
                    let Poll::Ready(permit) = polled else { return true };
                    held.push(permit.expect("open"));
                    false
                });
                model.granted.clear();
            }
        }
        assert_eq!(semaphore.available_permits(), model.free, "seed {seed}, step {id}");
    }
    drop(asking);
    let held = held.iter().map(SemaphorePermit::num_permits).sum::<usize>();
    assert_eq!(semaphore.available_permits() + held, start, "none is lost, seed {seed}");
}

#[test]
fn it_behaves_as_the_dull_queue_for_200_seeds() {
    for seed in 0..200 {
        compare_with_model(seed);
    }
}

/// Polls; if permits came, gives back how many.
fn count<'a, F>(one: &mut Pin<Box<F>>) -> Poll<Option<usize>>
where
    F: Future<Output = Result<SemaphorePermit<'a>, AcquireError>>,
{
    poll_once(one.as_mut()).map(|permit| permit.ok().map(|permit| permit.num_permits()))
}

#[test]
fn one_who_asks_for_many_is_not_overtaken() {
    let semaphore = Semaphore::new(2);
    let mut many = Box::pin(semaphore.acquire_many(3));
    assert!(poll_once(many.as_mut()).is_pending());
    let mut few = Box::pin(semaphore.acquire());
    assert!(poll_once(few.as_mut()).is_pending());
    assert_eq!(semaphore.available_permits(), 0, "collected by the first in the list");
    semaphore.add_permits(1);
    assert!(poll_once(few.as_mut()).is_pending());
    assert_eq!(count(&mut many), Poll::Ready(Some(3)));
    assert_eq!(count(&mut few), Poll::Ready(Some(1)));
    assert_eq!(semaphore.available_permits(), 3);
}

#[test]
fn closing_refuses_those_who_wait_and_returns_what_they_had_collected() {
    let semaphore = Semaphore::new(2);
    let held = semaphore.try_acquire().expect("free");
    let (wakes, waker) = Wakes::new();
    let mut many = Box::pin(semaphore.acquire_many(3));
    assert!(poll_with(many.as_mut(), &waker).is_pending());
    let mut dropped = Box::pin(semaphore.acquire_many(3));
    assert!(poll_with(dropped.as_mut(), &waker).is_pending());
    semaphore.close();
    assert_eq!(wakes.count(), 2);
    drop(dropped);
    assert_eq!(count(&mut many), Poll::Ready(None));
    assert_eq!(semaphore.available_permits(), 1);
    drop(held);
    assert_eq!(semaphore.available_permits(), 2);
    assert!(matches!(semaphore.try_acquire_many(0), Err(TryAcquireError::Closed)));
    assert_eq!(count(&mut Box::pin(semaphore.acquire())), Poll::Ready(None));
}

#[test]
fn a_grant_that_was_not_heard_before_the_closing_comes_back() {
    let semaphore = Semaphore::new(0);
    let mut one = Box::pin(semaphore.acquire());
    assert!(poll_once(one.as_mut()).is_pending());
    semaphore.add_permits(1);
    semaphore.close();
    assert_eq!(count(&mut one), Poll::Ready(None));
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn permits_that_serve_more_than_a_batch_leave_the_rest_free() {
    let semaphore = Semaphore::new(0);
    let (wakes, waker) = Wakes::new();
    let mut all: Vec<_> = (0..100).map(|_| Box::pin(semaphore.acquire())).collect();
    for one in &mut all {
        assert!(poll_with(one.as_mut(), &waker).is_pending());
    }
    semaphore.add_permits(150);
    assert_eq!((wakes.count(), semaphore.available_permits()), (100, 50));
    assert!(all.iter_mut().all(|one| count(one) == Poll::Ready(Some(1))));
}

#[test]
fn a_panicking_waker_loses_no_permit_and_wakers_may_add_some() {
    let semaphore = Arc::new(Semaphore::new(0));
    let other = Arc::clone(&semaphore);
    let waker = Waker::from(Arc::new(WakeFn(move || {
        other.add_permits(1);
        panic!("a waker that panics");
    })));
    let mut first = Box::pin(semaphore.acquire());
    assert!(poll_with(first.as_mut(), &waker).is_pending());
    let mut second = Box::pin(semaphore.acquire());
    assert!(poll_once(second.as_mut()).is_pending());
    semaphore.add_permits(1);
    let (first, second) = (poll_once(first.as_mut()), poll_once(second.as_mut()));
    assert!(matches!((&first, &second), (Poll::Ready(Ok(_)), Poll::Ready(Ok(_)))));
    assert_eq!(semaphore.available_permits(), 0);
}

#[test]
fn without_budget_it_takes_its_place_and_a_drop_returns_what_it_took() {
    fn without_budget<F: Future>(one: &mut Pin<Box<F>>) {
        block_on(poll_fn(|cx| {
            while let Poll::Ready(unit) = coop::poll_proceed(cx) {
                unit.made_progress();
            }
            assert!(poll_once(one.as_mut()).is_pending());
            Poll::Ready(())
        }));
    }
    let semaphore = Semaphore::new(1);
    let mut first = Box::pin(semaphore.acquire());
    without_budget(&mut first);
    assert_eq!(semaphore.available_permits(), 0);
    let mut second = Box::pin(semaphore.acquire());
    without_budget(&mut second);
    let mut third = Box::pin(semaphore.acquire());
    assert!(poll_once(third.as_mut()).is_pending());
    drop(first);
    assert!(poll_once(third.as_mut()).is_pending());
    without_budget(&mut second);
    assert!(matches!(poll_once(second.as_mut()), Poll::Ready(Ok(_))));
}

#[test]
fn more_than_the_most_is_refused_and_changes_nothing() {
    let semaphore = Semaphore::new(1);
    let refused = std::panic::catch_unwind(|| semaphore.add_permits(Semaphore::MAX_PERMITS));
    let payload = refused.expect_err("too many");
    let message = payload.downcast_ref::<String>().expect("a message");
    assert!(message.contains("add fewer, or forget some first"), "{message}");
    assert_eq!(semaphore.available_permits(), 1);
}
