//! Which task took the permits of a lock last, and where: for the dumps of tasks that wait for them.
//!
//! Called by `permits`. A task that takes permits stores it then, with a few plain stores. A task that begins to wait
//! copies it into the record of the wait list, under the lock of the list.
//!
//! # Invariants
//! - `right-or-none`: while one owner has all permits, a copy is of the acquisition of that owner, or there is none. Such
//!   an owner clears the location before it releases the permits. A location that a shared owner has left behind has no
//!   [`WRITER`] bit. So a waiter accepts a location only if the present owner has stored it.
//! - `last-at-some-time`: a copy of a shared acquisition is of one that was the last at some time. If two tasks store theirs
//!   at the same time, it may have the task of one and the location of the other.
//!
//! # Why not otherwise
//! A dump that reads these fields itself would need the object's address. The object may be gone, see `wait_list`.

#![expect(unsafe_code, reason = "a location is stored as a pointer")]

use std::panic::Location;
use std::ptr;

use super::wait_list::CallSite;
use crate::observe::coarse;
use crate::observe::waiter::Taken;
use crate::primitives::atomic::{AtomicPtr, Ordering, fixed};
use crate::primitives::const_fn;
use crate::task::current;

/// Set in the address of the location, which is a multiple of four: a writer has taken all permits of an object that can
/// be shared.
const WRITER: usize = 1;

/// Set in the address of the location: the guard owns the object, or may own it.
const OWNED: usize = 2;

/// See the module page.
pub(super) struct LastTaken {
    /// The id of the task. Not modelled, as the time: `location` decides whether there is one.
    task: fixed::AtomicU64,
    at_ms: fixed::AtomicU32,
    /// Null if there is none.
    location: AtomicPtr<Location<'static>>,
}

impl LastTaken {
    const_fn! {
        pub(super) const fn none() -> Self {
            Self {
                task: fixed::AtomicU64::new(0),
                at_ms: fixed::AtomicU32::new(0),
                location: AtomicPtr::new(ptr::null_mut()),
            }
        }
    }

    /// Stores that the current task has taken permits at `location`.
    #[inline(always)]
    pub(super) fn store(&self, location: &'static Location<'static>, is_writer: bool, is_owned: bool) {
        self.store_as(current::id_or_zero(), Some(location), is_writer, is_owned);
    }

    /// Stores that `task` has taken permits, or has been granted them.
    #[inline(always)]
    pub(super) fn store_as(&self, task: u64, location: CallSite, is_writer: bool, is_owned: bool) {
        self.task.store(task, Ordering::Relaxed);
        self.at_ms.store(coarse::now_ms(), Ordering::Relaxed);
        let mut location = location.map_or(ptr::null(), ptr::from_ref);
        if !location.is_null() {
            let flags = if is_writer { WRITER } else { 0 } | if is_owned { OWNED } else { 0 };
            location = location.map_addr(|address| address | flags);
        }
        // Release: publishes the task and the time, of the last task that stores its own (`last-at-some-time`). Pairs with
        // Acquire in `LastTaken::load`.
        self.location.store(location.cast_mut(), Ordering::Release);
    }

    /// The owner of all permits is about to release them (`right-or-none`).
    #[inline(always)]
    pub(super) fn clear(&self) {
        // Relaxed: the release of the permits publishes it to the next owner, and to a task that waits for that one.
        self.location.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// The writer becomes a reader. Called before the other permits are released.
    pub(super) fn set_shared(&self) {
        let location = self.location.load(Ordering::Relaxed).map_addr(|address| address & !WRITER);
        // Release: as in `store_as`.
        self.location.store(location, Ordering::Release);
    }

    /// Returns the last acquisition. With `of_writer`, only if it was one of a writer.
    pub(super) fn load(&self, of_writer: bool) -> Option<Taken> {
        // Acquire: sees the task and the time. Pairs with Release in `LastTaken::store_as`.
        let stored = self.location.load(Ordering::Acquire);
        let (location, flags) = (stored.map_addr(|address| address & !(WRITER | OWNED)), stored.addr());
        if of_writer && flags & WRITER == 0 {
            return None;
        }
        let is_owned = flags & OWNED != 0;
        // SAFETY: null or from a reference that lives forever.
        let location = unsafe { location.as_ref() }?;
        let (task, at_ms) = (self.task.load(Ordering::Relaxed), self.at_ms.load(Ordering::Relaxed));
        Some(Taken { task, location: Some(location), at_ms, is_owned })
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::Poll;

    use super::super::testing::poll_once;
    use super::super::wait_list::collect;
    use super::super::{Mutex, OnceCell, RwLock, Semaphore, mpsc};
    use super::*;
    use crate::observe::waiter::{Subject, WaiterInfo};

    /// What dumps show of the permits that the waiter at `line` waits for: the acquisition's task and line, `out`,
    /// `waiting`. Other tests of this process have waiters, too.
    fn shown(line: u32) -> (Option<(u64, u32)>, Option<usize>, usize) {
        let (taken, out, waiting) = permits(line);
        (taken.map(|taken| (taken.task, taken.location.expect("all tests know it").line())), out, waiting)
    }

    fn permits(line: u32) -> (Option<Taken>, Option<usize>, usize) {
        let mut waiters = Vec::new();
        collect(&mut waiters);
        let is_here = |location: &Location<'_>| location.file() == file!() && location.line() == line;
        waiters.retain(|waiter| waiter.location.is_some_and(is_here));
        let [WaiterInfo { subject: Subject::Permits { taken, out, waiting, .. }, .. }] = &waiters[..] else {
            panic!("one waiter for permits, not {waiters:?}");
        };
        (*taken, *out, *waiting)
    }

    fn pending<F: Future>(future: F) -> Pin<Box<F>> {
        let mut future = Box::pin(future);
        assert!(poll_once(future.as_mut()).is_pending());
        future
    }

    #[test]
    fn a_reader_that_is_left_over_is_not_taken_for_the_writer() {
        let last = LastTaken::none();
        assert!(last.load(false).is_none() && last.load(true).is_none());
        let (location, line) = (Location::caller(), line!());
        last.store(location, false, false);
        assert!(last.load(true).is_none());
        last.store_as(7, Some(location), true, false);
        for of_writer in [false, true] {
            let taken = last.load(of_writer).expect("stored by a writer");
            assert_eq!((taken.task, taken.location.map(Location::line)), (7, Some(line)));
        }
        last.set_shared();
        assert!(last.load(true).is_none() && last.load(false).is_some());
        last.clear();
        assert!(last.load(false).is_none());
    }

    #[test]
    fn a_waiter_for_a_mutex_shows_the_owner_and_then_the_next_one() {
        let mutex = Mutex::new(());
        let (guard, first) = (mutex.try_lock().expect("free"), line!());
        let (mut second, second_line) = (pending(mutex.lock()), line!());
        let (mut third, third_line) = (pending(mutex.lock()), line!());
        assert_eq!(shown(second_line), (Some((0, first)), Some(1), 2));
        assert_eq!(shown(third_line), (Some((0, first)), Some(1), 2));
        drop(guard);
        // Granted, and not polled since.
        assert_eq!(shown(third_line), (Some((0, second_line)), Some(1), 1));
        assert!(poll_once(second.as_mut()).is_ready(), "and the guard is dropped");
        assert!(poll_once(third.as_mut()).is_ready());
    }

    #[test]
    fn a_grant_that_is_dropped_goes_to_the_next_owner() {
        let mutex = Mutex::new(());
        let guard = mutex.try_lock().expect("free");
        let second = pending(mutex.lock());
        let (third, third_line) = (pending(mutex.lock()), line!());
        let (fourth, fourth_line) = (pending(mutex.lock()), line!());
        drop(guard);
        drop(second);
        assert_eq!(shown(fourth_line), (Some((0, third_line)), Some(1), 1));
        drop(third);
        drop(fourth);
        assert!(mutex.try_lock().is_ok());
    }

    #[test]
    fn a_waiter_that_leaves_is_no_longer_counted() {
        let mutex = Mutex::new(());
        let (guard, first) = (mutex.try_lock().expect("free"), line!());
        let second = pending(mutex.lock());
        let (_third, line) = (pending(mutex.lock()), line!());
        assert_eq!(shown(line), (Some((0, first)), Some(1), 2));
        drop(second);
        assert_eq!(shown(line), (Some((0, first)), Some(1), 1));
        drop(guard);
    }

    #[test]
    fn an_acquisition_says_whether_its_guard_owns_the_lock() {
        let mutex = std::sync::Arc::new(Mutex::new(()));
        let is_owned = |line| permits(line).0.expect("it is taken").is_owned;
        let first = std::sync::Arc::clone(&mutex).try_lock_owned().expect("free");
        let borrowing = pending(mutex.lock());
        let owning = pending(std::sync::Arc::clone(&mutex).lock_owned());
        let (_last, line) = (pending(mutex.lock()), line!());
        assert!(is_owned(line));
        drop(first);
        assert!(!is_owned(line), "it is granted to `borrowing`");
        drop(borrowing);
        assert!(is_owned(line), "it is granted to `owning`");
        drop(owning);
        let guard = mutex.try_lock();
        assert!(guard.is_err(), "it is granted to the last");
    }

    #[test]
    fn a_mutex_shows_the_task_that_took_it() {
        let runtime = crate::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mutex = std::sync::Arc::new(Mutex::new(()));
        runtime.block_on(async {
            let other = std::sync::Arc::clone(&mutex);
            let owner = crate::spawn(async move { (other.clone().lock_owned().await, line!()) });
            let id = owner.id().to_string();
            let (guard, owner_line) = owner.await.expect("no panic");
            let (_waiting, line) = (pending(mutex.lock()), line!());
            let (taken, ..) = shown(line);
            let (task, taken_line) = taken.expect("it has an owner");
            assert_eq!((task.to_string(), taken_line), (id, owner_line));
            drop(guard);
        });
    }

    #[test]
    fn a_waiter_for_an_rwlock_shows_the_writer_or_the_last_reader() {
        let lock = RwLock::with_max_readers((), 9);
        let first = lock.try_read().expect("free");
        let (second, reader) = (lock.try_read().expect("free"), line!());
        let (mut writing, writer) = (pending(lock.write()), line!());
        assert_eq!(shown(writer), (Some((0, reader)), Some(2), 1), "seven permits are collected");
        drop(second);
        assert_eq!(shown(writer), (Some((0, reader)), Some(1), 1), "the last acquisition, which has ended");
        drop(first);
        let Poll::Ready(guard) = poll_once(writing.as_mut()) else { panic!("it is granted") };
        let (reading, waiter) = (pending(lock.read()), line!());
        assert_eq!(shown(waiter), (Some((0, writer)), Some(9), 1));
        let reader_guard = guard.downgrade();
        drop(reading);
        let (_again, last) = (pending(lock.write()), line!());
        assert_eq!(shown(last), (Some((0, waiter)), Some(1), 1), "it was granted, and then dropped");
        drop(reader_guard);
    }

    #[test]
    fn readers_that_were_granted_all_permits_are_not_taken_for_a_writer() {
        let lock = RwLock::with_max_readers((), 2);
        let guard = lock.try_write().expect("free");
        let readers = (pending(lock.read()), pending(lock.read()));
        drop(guard);
        // Both are granted, and not polled since.
        let (_writing, line) = (pending(lock.write()), line!());
        assert_eq!(shown(line), (None, Some(2), 1), "whether a writer has left its line is not known");
        drop(readers);
    }

    #[test]
    fn waiters_for_other_permits_show_what_is_known() {
        let semaphore = Semaphore::new(2);
        let (_permit, taker) = (semaphore.try_acquire().expect("free"), line!());
        let (_waiting, line) = (pending(semaphore.acquire_many(2)), line!());
        assert_eq!(shown(line), (Some((0, taker)), None, 1));

        let cell = OnceCell::new();
        let (_first, initializer) = (pending(cell.get_or_init(std::future::pending::<u32>)), line!());
        let (_second, line) = (pending(cell.get_or_init(std::future::pending::<u32>)), line!());
        assert_eq!(shown(line), (Some((0, initializer)), Some(1), 1));

        let (sender, _receiver) = mpsc::channel(2);
        sender.try_send(1).expect("room for two");
        sender.try_send(2).expect("room for two");
        let (_waiting, line) = (pending(sender.send(3)), line!());
        assert_eq!(shown(line), (None, Some(2), 1), "the permits belong to messages");
    }
}
