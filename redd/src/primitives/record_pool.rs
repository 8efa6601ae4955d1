//! Records: memory that is never freed, only used again, and that any thread may look at.
//!
//! Called by `reuse_pool`, which adds a cache for each thread. An object that may be moved or freed at any time keeps
//! in a record what another thread reads. The object *uses* the record from [`RecordPool::make`] or
//! [`RecordPool::take_idle`] until [`RecordPool::put`]; in between the record is *idle*.
//!
//! # Invariants
//! - `never-freed`: a record lives until the process ends. So a pointer to one is always valid.
//! - `one-user`: there is one [`OwnedRecord`] of each record: with its user, in the chain of the pool, or in the cache of
//!   one thread. Only the owner reads and writes the link of the chain.
//! - `listed-once`: `make` puts a record into the list of all records, and it stays there. So `older` does not change
//!   after that.
//! - `bounded-wait`: the lock is held for some hundred instructions. A thread that waits longer than its holder is likely to
//!   be preempted gives up: `take_idle` finds nothing, and `put` fails. Until the lock has been free again, no thread waits for it.
//!   So a child process works that was forked while another thread held the lock. And as giving up is that rare, the records
//!   that `make` adds meanwhile are few.
//!
//! # Why not otherwise
//! A list of idle records without a lock must handle a record that is taken and put back while another thread takes it.

#![expect(unsafe_code, reason = "records are linked by pointers")]

use std::ptr;

use super::atomic::{AtomicPtr, Ordering, fixed};
use super::cell::UnsafeCell;
use super::{ShortMutex, ShortMutexGuard, const_fn};

/// How long a thread tries to take the lock of the idle records (`bounded-wait`). Behind the first 128 turns each is a sleep
/// of at least 50 µs, so these are 20 ms or more: a preempted thread runs again within a few.
const TURNS: u32 = 128 + 400;

/// A value and the links of its record. On cache lines of its own, as its neighbours in memory have other users.
#[repr(align(64))]
pub(crate) struct Record<T: 'static> {
    value: T,
    /// The record that was made before this one (`listed-once`).
    older: AtomicPtr<Record<T>>,
    /// The next record of the chain, or null, while this one is idle (`one-user`).
    next_idle: UnsafeCell<*mut Record<T>>,
}

// SAFETY: `one-user`: only the owner of the record uses `next_idle`, and a record may have its owner in any thread, since
// other threads get no more than `&T`.
unsafe impl<T: Sync> Sync for Record<T> {}

/// The right to use a record (`one-user`). If it is dropped, the record stays unused forever.
#[must_use = "a record that is not given back is lost"]
pub(crate) struct OwnedRecord<T: 'static>(&'static Record<T>);

// Its user says what a panic may leave behind.
impl<T> std::panic::UnwindSafe for OwnedRecord<T> {}
impl<T> std::panic::RefUnwindSafe for OwnedRecord<T> {}

impl<T> OwnedRecord<T> {
    /// Makes a record that is in no list.
    pub(super) fn new(value: T) -> Self {
        Self(Box::leak(Box::new(Record {
            value,
            older: AtomicPtr::new(ptr::null_mut()),
            next_idle: UnsafeCell::new(ptr::null_mut()),
        })))
    }

    /// The value, which others may look at, too.
    #[inline]
    pub(crate) fn value(&self) -> &'static T {
        &self.0.value
    }

    /// Stores the next record of a chain, or null.
    #[inline]
    pub(super) fn link(&self, next: *mut Record<T>) {
        // SAFETY: `one-user`: we own the record.
        self.0.next_idle.with_mut(|link| unsafe { *link = next });
    }

    /// Returns what was stored last by [`link`](Self::link).
    #[inline]
    pub(super) fn next(&self) -> *mut Record<T> {
        // SAFETY: `one-user`: we own the record.
        self.0.next_idle.with(|link| unsafe { *link })
    }

    #[inline]
    pub(crate) fn into_raw(self) -> *mut Record<T> {
        ptr::from_ref(self.0).cast_mut()
    }

    /// # Safety
    /// `raw` is from [`into_raw`](Self::into_raw), and this is the only call for it since (`one-user`).
    #[inline]
    pub(crate) unsafe fn from_raw(raw: *mut Record<T>) -> Self {
        // SAFETY: `never-freed`.
        Self(unsafe { &*raw })
    }

    /// The value of an owned record.
    ///
    /// # Safety
    /// `raw` is from [`into_raw`](Self::into_raw).
    #[inline]
    pub(crate) unsafe fn value_of(raw: *mut Record<T>) -> &'static T {
        // SAFETY: `never-freed`.
        unsafe { &(*raw).value }
    }
}

/// Idle records, last in, first out.
#[must_use = "records that are not given back are lost"]
pub(crate) struct Chain<T: 'static> {
    /// Null if it is empty.
    first: *mut Record<T>,
    length: usize,
}

// SAFETY: a chain owns its records, and a record may have its owner in any thread, as above.
unsafe impl<T: Sync> Send for Chain<T> {}

impl<T> Chain<T> {
    pub(crate) const fn new() -> Self {
        Self { first: ptr::null_mut(), length: 0 }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub(crate) fn push(&mut self, record: OwnedRecord<T>) {
        record.link(self.first);
        self.first = record.into_raw();
        self.length += 1;
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<OwnedRecord<T>> {
        if self.first.is_null() {
            return None;
        }
        // SAFETY: from `into_raw` in `push`, and it leaves the chain.
        let record = unsafe { OwnedRecord::from_raw(self.first) };
        self.first = record.next();
        self.length -= 1;
        Some(record)
    }

    /// Moves up to `count` records of `other` into this chain.
    pub(crate) fn take_from(&mut self, other: &mut Self, count: usize) {
        for _ in 0..count {
            let Some(record) = other.pop() else { return };
            self.push(record);
        }
    }
}

impl<T> Default for Chain<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// All records of one type.
pub(crate) struct RecordPool<T: 'static> {
    /// The record that was made last.
    newest: AtomicPtr<Record<T>>,
    idle: ShortMutex<Chain<T>>,
    /// A thread has given up waiting for the lock, and it was not free since.
    is_abandoned: fixed::AtomicBool,
}

impl<T: Sync> RecordPool<T> {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self {
                newest: AtomicPtr::new(ptr::null_mut()),
                idle: ShortMutex::new(Chain::new()),
                is_abandoned: fixed::AtomicBool::new(false),
            }
        }
    }

    /// Makes a record.
    pub(crate) fn make(&self, value: T) -> OwnedRecord<T> {
        let record = OwnedRecord::new(value);
        let mut newest = self.newest.load(Ordering::Relaxed);
        loop {
            record.0.older.store(newest, Ordering::Relaxed);
            let pointer = ptr::from_ref(record.0).cast_mut();
            // Release: publishes the record and `older`. Pairs with Acquire in `RecordPool::for_each`.
            match self.newest.compare_exchange_weak(newest, pointer, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return record,
                Err(now) => newest = now,
            }
        }
    }

    /// Takes up to `count` idle records.
    pub(crate) fn take_idle(&self, count: usize) -> Chain<T> {
        let mut taken = Chain::new();
        if let Some(mut idle) = self.lock_idle() {
            taken.take_from(&mut idle, count);
        }
        taken
    }

    /// Gives records back. Fails if the lock is taken.
    pub(crate) fn put(&self, mut records: Chain<T>) -> Result<(), Chain<T>> {
        let Some(mut idle) = self.lock_idle() else { return Err(records) };
        let count = records.len();
        idle.take_from(&mut records, count);
        Ok(())
    }

    /// `bounded-wait`
    fn lock_idle(&self) -> Option<ShortMutexGuard<'_, Chain<T>>> {
        let was_abandoned = self.is_abandoned.load(Ordering::Relaxed);
        let idle = self.idle.lock_within(if was_abandoned { 0 } else { TURNS });
        if was_abandoned != idle.is_none() {
            self.is_abandoned.store(idle.is_none(), Ordering::Relaxed);
        }
        idle
    }

    /// Calls `f` with the value of each record, used or idle.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&'static T)) {
        // Acquire: sees the record, and through it all older ones. Pairs with Release in `RecordPool::make`.
        let mut pointer = self.newest.load(Ordering::Acquire);
        // SAFETY: `never-freed`.
        while let Some(record) = unsafe { pointer.as_ref() } {
            f(&record.value);
            pointer = record.older.load(Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::time::Duration;

    use super::super::clock;
    use super::super::thread::{spawn_named, yield_now};
    use super::*;

    // The pools are statics, because their records are never freed.

    fn values(pool: &RecordPool<u32>) -> Vec<u32> {
        let mut values = Vec::new();
        pool.for_each(|value| values.push(*value));
        values
    }

    #[test]
    fn records_are_listed_once_and_taken_in_the_reverse_order() {
        static POOL: RecordPool<u32> = RecordPool::new();
        assert!(POOL.take_idle(1).pop().is_none());
        let mut chain = Chain::new();
        for value in 0..5 {
            chain.push(POOL.make(value));
        }
        assert!(POOL.put(chain).is_ok());
        let mut taken = POOL.take_idle(2);
        assert_eq!(taken.len(), 2);
        let order: Vec<u32> = std::iter::from_fn(|| taken.pop()).map(|record| *record.value()).collect();
        assert_eq!((order, taken.len()), (vec![1, 0], 0), "`put` reverses the chain, and so does `take_idle`");
        assert_eq!(POOL.take_idle(9).len(), 3);
        assert_eq!(values(&POOL), [4, 3, 2, 1, 0]);
    }

    #[test]
    fn a_lock_that_is_never_released_is_given_up() {
        static POOL: RecordPool<u32> = RecordPool::new();
        let mut chain = Chain::new();
        chain.push(POOL.make(1));
        let held = POOL.idle.lock();
        let refused = POOL.put(chain).expect_err("the lock is taken");
        assert_eq!(refused.len(), 1);
        assert!(POOL.is_abandoned.load(Ordering::Relaxed));
        assert_eq!(POOL.take_idle(1).len(), 0);
        drop(held);
        assert!(POOL.put(refused).is_ok());
        assert!(!POOL.is_abandoned.load(Ordering::Relaxed));
        assert_eq!(POOL.take_idle(2).len(), 1);
    }

    #[test]
    fn a_preempted_holder_of_the_lock_makes_no_thread_make_records() {
        static POOL: RecordPool<u32> = RecordPool::new();
        let mut chain = Chain::new();
        chain.push(POOL.make(1));
        assert!(POOL.put(chain).is_ok());
        loop {
            let held = POOL.idle.lock();
            let since = clock::now();
            let taker = spawn_named("taker".into(), None, || POOL.take_idle(1)).expect("a thread");
            // The taker needs its first turns for less.
            while since.elapsed() < Duration::from_millis(2) {
                yield_now();
            }
            drop(held);
            let held_for = since.elapsed();
            let mut taken = taker.join().expect("no panic");
            // On a busy machine this thread may itself be held up for longer than the taker waits.
            if held_for < Duration::from_millis(15) {
                return assert!(taken.pop().is_some());
            }
            assert!(POOL.put(taken).is_ok());
        }
    }
}
