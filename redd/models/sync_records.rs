//! Models of the records of wait lists, against the thread that reads them for a dump.
//!
//! Run with `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test --release --lib -p redd -- --test-threads=1 loom_records`.

#![expect(unsafe_code, reason = "a cell that loom checks")]

use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::pin;
use std::task::Context;

use crate::primitives::checker::thread;

use super::{ListRecord, collect};
use crate::observe::waiter::{Subject, Taken};
use crate::primitives::atomic::{AtomicUsize, Ordering};
use crate::primitives::cell::UnsafeCell;
use crate::primitives::record_pool::{Chain, OwnedRecord, RecordPool};
use crate::primitives::reuse_pool::ModelPool;
use crate::primitives::{Arc, mistake, model};
use crate::sync::testing::{Wakes, poll_once};
use crate::sync::{Mutex, Notify, RwLock, Semaphore};

/// A test of a model and one of the same model with a mistake.
macro_rules! model_and_mistake {
    ($name:ident, $mistaken:ident, $mistake:literal, $expected:literal, $closure:expr) => {
        model!($name, $closure);
        mistake!($mistaken, $expected, patch $mistake, $closure);
    };
}

/// Starts a thread that counts the waiters of all lists.
fn read() -> thread::JoinHandle<usize> {
    thread::spawn(|| {
        let mut waiters = Vec::new();
        assert_eq!(collect(&mut waiters), 0);
        waiters.len()
    })
}

model_and_mistake!(
    loom_records_show_a_waiter_that_is_notified_meanwhile,
    loom_records_catch_a_reader_that_lets_go_of_the_lock,
    "a reader that lets go of the lock",
    "Causality violation",
    || {
        let _pool = ModelPool::<ListRecord>::new();
        // Not dropped while a mistake is reported: their drops would take the same lock.
        let notify = ManuallyDrop::new(Notify::new());
        let mut waiting = ManuallyDrop::new(Box::pin(notify.notified()));
        assert!(poll_once(waiting.as_mut()).is_pending());
        let reader = read();
        notify.notify_one();
        assert!(poll_once(waiting.as_mut()).is_ready());
        assert!(reader.join().unwrap() <= 1);
    }
);

model!(loom_records_show_a_waiter_that_leaves_and_one_that_comes, || {
    let _pool = ModelPool::<ListRecord>::new();
    let notify = Notify::new();
    let mut first = Box::pin(notify.notified());
    assert!(poll_once(first.as_mut()).is_pending());
    let mut second = Box::pin(notify.notified());
    let reader = read();
    drop(first);
    assert!(poll_once(second.as_mut()).is_pending());
    drop(second);
    assert!(reader.join().unwrap() <= 1);
});

model_and_mistake!(
    loom_records_are_empty_when_another_list_gets_them,
    loom_records_catch_a_list_that_leaves_its_waiters_behind,
    "a list that leaves its waiters behind",
    "the waiter of this list",
    || {
        let _pool = ModelPool::<ListRecord>::new();
        let first = Notify::new();
        let mut leaked = Box::pin(first.notified());
        assert!(poll_once(leaked.as_mut()).is_pending());
        std::mem::forget(leaked);
        let reader = read();
        drop(first);
        let second = Notify::new();
        let mut waiting = pin!(second.notified());
        assert!(poll_once(waiting.as_mut()).is_pending());
        second.notify_one();
        assert!(poll_once(waiting).is_ready(), "the waiter of this list");
        assert!(reader.join().unwrap() <= 1);
    }
);

model_and_mistake!(
    loom_records_two_threads_that_lock_a_list_first_get_one,
    loom_records_catch_a_second_record_for_one_list,
    "a second record for one list",
    "`waiting-bit`",
    || {
        let _pool = ModelPool::<ListRecord>::new();
        let notify = Arc::new(Notify::new());
        let other = Arc::clone(&notify);
        let mut waiting = pin!(notify.notified());
        let (wakes, waker) = Wakes::new();
        let notifier = thread::spawn(move || other.notify_one());
        let is_waiting = waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending();
        notifier.join().unwrap();
        assert!(!is_waiting || wakes.count() == 1, "the waiter is woken");
    }
);

/// Gives a record back.
fn put<T: Sync>(pool: &RecordPool<T>, record: OwnedRecord<T>) {
    let mut chain = Chain::new();
    chain.push(record);
    assert!(pool.put(chain).is_ok());
}

model_and_mistake!(
    loom_records_have_one_user,
    loom_records_catch_a_record_that_stays_idle,
    "a record that stays idle",
    "one user at a time",
    || {
        let pool = Arc::new(RecordPool::<AtomicUsize>::new());
        let (first, second) = (pool.make(AtomicUsize::new(0)), pool.make(AtomicUsize::new(0)));
        put(&pool, first);
        put(&pool, second);
        let use_one = |pool: &RecordPool<AtomicUsize>| {
            let record = pool.take_idle(1).pop().unwrap();
            assert_eq!(record.value().swap(1, Ordering::Relaxed), 0, "one user at a time");
            record.value().store(0, Ordering::Relaxed);
            put(pool, record);
        };
        let other = Arc::clone(&pool);
        let thread = thread::spawn(move || use_one(&other));
        use_one(&pool);
        thread.join().unwrap();
        assert_eq!(pool.take_idle(3).len(), 2, "one user at a time: each is idle once");
    }
);

/// A value of which the model sees whether it is published.
struct Shown(UnsafeCell<u32>);

// SAFETY: in the model it is written before its record is listed, and read afterwards.
unsafe impl Sync for Shown {}

impl Shown {
    fn new(number: u32) -> Self {
        let shown = Self(UnsafeCell::new(0));
        // SAFETY: it is not shared yet.
        shown.0.with_mut(|value| unsafe { *value = number });
        shown
    }
}

model_and_mistake!(
    loom_records_are_listed_with_their_values,
    loom_records_catch_a_record_without_its_value,
    "a record without its value",
    "Causality violation",
    || {
        let pool = Arc::new(RecordPool::<Shown>::new());
        let sum = |pool: &RecordPool<Shown>| {
            let mut sum = 0;
            // SAFETY: no thread writes it after it is listed.
            pool.for_each(|shown| sum += shown.0.with(|value| unsafe { *value }));
            sum
        };
        let (reading, making) = (Arc::clone(&pool), Arc::clone(&pool));
        let reader = thread::spawn(move || assert!(sum(&reading) <= 3));
        let maker = thread::spawn(move || put(&making, making.make(Shown::new(1))));
        put(&pool, pool.make(Shown::new(2)));
        reader.join().unwrap();
        maker.join().unwrap();
        assert_eq!(sum(&pool), 3, "each is listed once");
    }
);

/// The acquisition that a waiter for permits shows.
fn taken() -> Option<Taken> {
    let mut waiters = Vec::new();
    collect(&mut waiters);
    waiters.into_iter().find_map(|waiter| {
        let Subject::Permits { taken, .. } = waiter.subject else { return None };
        taken
    })
}

model_and_mistake!(
    loom_records_show_the_owner_of_a_mutex_or_none,
    loom_records_catch_an_owner_that_is_not_cleared,
    "an owner that is not cleared",
    "the owner or none",
    || {
        let _pool = ModelPool::<ListRecord>::new();
        let mutex = std::sync::Arc::new(Mutex::new(()));
        let (before, line) = (mutex.try_lock(), line!());
        drop(before);
        let other = std::sync::Arc::clone(&mutex);
        let owner = thread::spawn(move || drop(other.try_lock()));
        let mut waiting = pin!(mutex.lock());
        if poll_once(waiting.as_mut()).is_pending() {
            let is_before = taken().is_some_and(|taken| taken.location.unwrap().line() == line);
            assert!(!is_before, "the owner or none");
        }
        owner.join().unwrap();
    }
);

model_and_mistake!(
    loom_records_show_the_writer_of_an_rwlock_or_none,
    loom_records_catch_a_reader_that_is_taken_for_the_writer,
    "a reader that is taken for the writer",
    "the writer or none",
    || {
        let _pool = ModelPool::<ListRecord>::new();
        let lock = std::sync::Arc::new(RwLock::with_max_readers((), 2));
        let (before, line) = (lock.try_read(), line!());
        drop(before);
        let other = std::sync::Arc::clone(&lock);
        let writer = thread::spawn(move || drop(other.try_write()));
        let mut waiting = pin!(lock.read());
        if poll_once(waiting.as_mut()).is_pending() {
            let is_before = taken().is_some_and(|taken| taken.location.unwrap().line() == line);
            assert!(!is_before, "the writer or none");
        }
        writer.join().unwrap();
    }
);

/// Whether a grant is shown that its future has not noticed.
fn shows_grant() -> bool {
    let mut waiters = Vec::new();
    collect(&mut waiters);
    waiters.iter().any(|waiter| matches!(waiter.subject, Subject::Granted(_)))
}

model_and_mistake!(
    loom_records_show_a_grant_until_it_is_noticed,
    loom_records_catch_a_grant_that_stays,
    "a grant that stays",
    "it was noticed",
    || {
        let _pool = ModelPool::<ListRecord>::new();
        let mutex = std::sync::Arc::new(Mutex::new(()));
        let guard = std::sync::Arc::clone(&mutex).try_lock_owned().unwrap();
        let mut waiting = pin!(mutex.lock());
        assert!(poll_once(waiting.as_mut()).is_pending());
        let reader = thread::spawn(shows_grant);
        let owner = thread::spawn(move || drop(guard));
        let is_noticed = poll_once(waiting.as_mut()).is_ready();
        owner.join().unwrap();
        if !is_noticed {
            assert!(shows_grant(), "it was granted");
            assert!(poll_once(waiting).is_ready());
        }
        assert!(!shows_grant(), "it was noticed");
        let _either: bool = reader.join().unwrap();
    }
);

model_and_mistake!(
    loom_records_follow_one_grant_at_a_time,
    loom_records_catch_a_second_grant_that_is_followed,
    "a second grant that is followed",
    "the first one was not noticed",
    || {
        let _pool = ModelPool::<ListRecord>::new();
        let semaphore = std::sync::Arc::new(Semaphore::new(0));
        let (mut first, mut second) = (Box::pin(semaphore.acquire()), pin!(semaphore.acquire()));
        assert!(poll_once(first.as_mut()).is_pending() && poll_once(second.as_mut()).is_pending());
        let other = std::sync::Arc::clone(&semaphore);
        let owner = thread::spawn(move || other.add_permits(2));
        let is_noticed = poll_once(second.as_mut()).is_ready();
        owner.join().unwrap();
        assert!(is_noticed || poll_once(second).is_ready());
        assert!(shows_grant(), "the first one was not noticed");
        drop(first);
        assert!(!shows_grant());
    }
);
