//! Values that are never freed, only reused, so a reference to one stays valid forever.
//!
//! Called by `time::timers` for its wheels, and by `sync` for its records. Records are taken and given back often, so each
//! thread caches some.
//!
//! # Invariants
//! - `reused-not-freed`: a value given back is handed out again before a new one is made, so the memory held is what
//!   was needed at the same time at most. Records in the caches of other threads are not handed out.
//! - `cache-ends-first`: a thread that ends gives its cached records back. From then on its cache stays empty.
//! - `linked-in-cache`: `first` of a cache is null or linked in front of the next cached record.

#![expect(unsafe_code, reason = "the caches of threads link their records")]

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::thread::LocalKey;

use super::Mutex;
use super::record_pool::{Chain, OwnedRecord, Record, RecordPool};

/// The values that are not in use now; a `static`.
#[derive(Debug)]
pub(crate) struct Pool<T: 'static> {
    idle: Mutex<Vec<&'static T>>,
}

impl<T: Send + Sync> Pool<T> {
    pub(crate) const fn new() -> Self {
        Self { idle: Mutex::new(Vec::new()) }
    }

    /// An idle value, or a new one (`reused-not-freed`).
    pub(crate) fn take(&self, make: impl FnOnce() -> T) -> &'static T {
        let idle = self.idle.lock().pop();
        idle.unwrap_or_else(|| Box::leak(Box::new(make())))
    }

    /// Gives a value back.
    pub(crate) fn give_back(&self, value: &'static T) {
        self.idle.lock().push(value);
    }
}

/// A type of values in records. Implemented by [`recorded`].
pub(crate) trait Recorded: Sync + Sized + 'static {
    fn new() -> Self;
    fn pool() -> &'static RecordPool<Self>;
    fn cache() -> &'static LocalKey<Cache<Self>>;
    fn flush() -> &'static LocalKey<Flush<Self>>;
}

/// Implements [`Recorded`] with a pool and a cache for each thread.
macro_rules! recorded {
    ($type:ty, $new:expr) => {
        impl $crate::primitives::reuse_pool::Recorded for $type {
            fn new() -> Self {
                $new
            }

            fn pool() -> &'static $crate::primitives::record_pool::RecordPool<Self> {
                static POOL: $crate::primitives::record_pool::RecordPool<$type> =
                    $crate::primitives::record_pool::RecordPool::new();
                &POOL
            }

            #[inline]
            fn cache() -> &'static std::thread::LocalKey<$crate::primitives::reuse_pool::Cache<Self>> {
                $crate::primitives::thread_local! {
                    /// Without a destructor, so it works until the thread has ended.
                    static CACHE: $crate::primitives::reuse_pool::Cache<$type> =
                        const { $crate::primitives::reuse_pool::Cache::new() };
                }
                &CACHE
            }

            fn flush() -> &'static std::thread::LocalKey<$crate::primitives::reuse_pool::Flush<Self>> {
                $crate::primitives::thread_local! {
                    static FLUSH: $crate::primitives::reuse_pool::Flush<$type> =
                        const { $crate::primitives::reuse_pool::Flush::new() };
                }
                &FLUSH
            }
        }
    };
}
pub(crate) use recorded;

/// The number of idle records that a thread keeps, at most. If it has more, half of them go to the pool.
const CACHED: isize = 32;

/// Takes an idle record, or makes one.
#[inline]
pub(crate) fn take<T: Recorded>() -> OwnedRecord<T> {
    T::cache().with(|cache| cache.take_top(take_below))
}

/// Gives a record back.
#[inline]
pub(crate) fn give_back<T: Recorded>(record: OwnedRecord<T>) {
    T::cache().with(|cache| {
        if cache.top.get().is_null() {
            cache.top.set(record.into_raw());
        } else {
            give_back_below(record);
        }
    });
}

/// Calls `f` with the value of each record of the process, used or idle.
pub(crate) fn for_each<T: Recorded>(f: impl FnMut(&'static T)) {
    T::pool().for_each(f);
}

/// The idle records of one thread.
pub(crate) struct Cache<T: 'static> {
    /// One record, so that a thread that takes and gives back in turn need not count. Null if it is empty, and [`CLOSED`]
    /// before the first use and when the thread has flushed the cache.
    top: Cell<*mut Record<T>>,
    /// The others. Null if there are none (`linked-in-cache`).
    first: Cell<*mut Record<T>>,
    /// How many more of them find room.
    room: Cell<isize>,
}

/// The address of no record.
const CLOSED: usize = 1;

impl<T> Cache<T> {
    pub(crate) const fn new() -> Self {
        let closed = ptr::without_provenance_mut(CLOSED);
        Self { top: Cell::new(closed), first: Cell::new(ptr::null_mut()), room: Cell::new(0) }
    }

    /// Takes the record on top. Calls `otherwise` if there is none.
    #[inline]
    fn take_top<R: From<OwnedRecord<T>>>(&self, otherwise: impl FnOnce() -> R) -> R {
        let top = self.top.get();
        if top.addr() <= CLOSED {
            return otherwise();
        }
        self.top.set(ptr::null_mut());
        // SAFETY: from `into_raw` in `give_back`, and it leaves the cache.
        unsafe { OwnedRecord::from_raw(top) }.into()
    }

    fn push(&self, record: OwnedRecord<T>) {
        self.room.set(self.room.get() - 1);
        record.link(self.first.get());
        self.first.set(record.into_raw());
    }

    fn pop(&self) -> Option<OwnedRecord<T>> {
        let first = self.first.get();
        if first.is_null() {
            return None;
        }
        // SAFETY: `linked-in-cache`, and it leaves the cache.
        let record = unsafe { OwnedRecord::from_raw(first) };
        self.first.set(record.next());
        self.room.set(self.room.get() + 1);
        Some(record)
    }
}

/// Opens the cache, if it is closed, and the thread does not end (`cache-ends-first`). Returns whether it is open.
fn open<T: Recorded>(cache: &Cache<T>) -> bool {
    if cache.top.get().addr() != CLOSED {
        return true;
    }
    let is_open = T::flush().try_with(|_| ()).is_ok();
    if is_open {
        cache.room.set(CACHED);
        cache.top.set(ptr::null_mut());
    }
    is_open
}

/// [`take`], if there is no record on top.
#[inline(never)]
fn take_below<T: Recorded>() -> OwnedRecord<T> {
    T::cache().with(Cache::pop).unwrap_or_else(refill)
}

/// Returns a record, and fills the empty cache from the pool.
#[cold]
fn refill<T: Recorded>() -> OwnedRecord<T> {
    let record = T::cache().with(|cache| {
        let count = if open(cache) { CACHED as usize / 2 } else { 1 };
        let mut taken = T::pool().take_idle(count);
        let record = taken.pop();
        while let Some(other) = taken.pop() {
            cache.push(other);
        }
        record
    });
    record.unwrap_or_else(|| T::pool().make(T::new()))
}

/// [`give_back`], if there is a record on top.
#[inline(never)]
fn give_back_below<T: Recorded>(record: OwnedRecord<T>) {
    T::cache().with(|cache| {
        if open(cache) && cache.room.get() > 0 {
            cache.push(record);
        } else {
            spill(cache, record);
        }
    });
}

/// Gives a record back that finds no room in the cache.
#[cold]
fn spill<T: Recorded>(cache: &Cache<T>, record: OwnedRecord<T>) {
    let mut surplus = Chain::new();
    if !open(cache) {
        surplus.push(record);
        // If the lock is taken, the record stays unused: a thread that ends must not wait forever (`bounded-wait`).
        drop(T::pool().put(surplus));
        return;
    }
    // Half of them go to the pool, so that this is rare.
    while cache.room.get() < CACHED / 2 {
        let Some(record) = cache.pop() else { break };
        surplus.push(record);
    }
    if let Err(mut refused) = T::pool().put(surplus) {
        // Another thread holds the lock. The cache keeps more than it should.
        while let Some(record) = refused.pop() {
            cache.push(record);
        }
    }
    cache.push(record);
}

/// Gives the records in the cache back when the thread ends.
pub(crate) struct Flush<T: Recorded>(PhantomData<fn() -> T>);

impl<T: Recorded> Flush<T> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: Recorded> Drop for Flush<T> {
    fn drop(&mut self) {
        T::cache().with(|cache| {
            let mut records = Chain::new();
            if let Some(record) = cache.take_top(|| None) {
                records.push(record);
            }
            // `cache-ends-first`
            cache.top.set(ptr::without_provenance_mut(CLOSED));
            while let Some(record) = cache.pop() {
                records.push(record);
            }
            // If the lock is taken, the records stay unused: a thread that ends must not wait forever (`bounded-wait`).
            drop(T::pool().put(records));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::mpsc;

    struct Number(());
    recorded!(Number, Number(()));

    fn address(record: &OwnedRecord<Number>) -> usize {
        ptr::from_ref(record.value()).addr()
    }

    fn count() -> usize {
        let mut count = 0;
        for_each::<Number>(|_| count += 1);
        count
    }

    #[test]
    fn a_thread_keeps_idle_records_up_to_a_bound_and_then_gives_half_of_them_away() {
        struct Letter(());
        recorded!(Letter, Letter(()));

        /// The number of records in the cache, without the one on top.
        fn kept() -> isize {
            Letter::cache().with(|cache| {
                let mut records: Vec<_> = std::iter::from_fn(|| cache.pop()).collect();
                let count = records.len() as isize;
                assert_eq!(cache.room.get(), CACHED, "an empty cache has room for all");
                while let Some(record) = records.pop() {
                    cache.push(record);
                }
                assert_eq!(cache.room.get(), CACHED - count);
                count
            })
        }

        let mut records: Vec<_> = (0..3 * CACHED).map(|_| take::<Letter>()).collect();
        // The first takes the place on top.
        give_back(records.remove(0));
        let mut expected = 0;
        for record in records {
            give_back(record);
            expected = if expected == CACHED { CACHED / 2 + 1 } else { expected + 1 };
            assert_eq!(kept(), expected);
        }
    }

    /// One test, as the pool is one for the process.
    #[test]
    fn records_come_back_from_full_caches_from_threads_that_end_and_from_their_last_destructors() {
        let many: Vec<_> = (0..5 * CACHED as usize).map(|_| take::<Number>()).collect();
        let addresses: HashSet<_> = many.iter().map(address).collect();
        assert_eq!(addresses.len(), 5 * CACHED as usize, "each has one user");
        many.into_iter().for_each(give_back);
        let made = count();
        assert_eq!(made, 5 * CACHED as usize);

        // The cache of this thread keeps some; another thread gets the others, and returns all of them at its end.
        let spawn = |work: Box<dyn FnOnce() -> HashSet<usize> + Send>| {
            let thread = crate::primitives::thread::spawn_named("uses records".into(), None, work).expect("a thread");
            thread.join().expect("no panic")
        };
        let of_thread = spawn(Box::new(|| {
            let taken: Vec<_> = (0..4 * CACHED as usize).map(|_| take::<Number>()).collect();
            let addresses: HashSet<_> = taken.iter().map(address).collect();
            taken.into_iter().for_each(give_back);
            addresses
        }));
        assert!(of_thread.is_subset(&addresses));
        assert_eq!(count(), made);
        let again: Vec<_> = (0..5 * CACHED as usize).map(|_| take::<Number>()).collect();
        assert_eq!(count(), made, "also those that were in the cache of the thread that has ended");

        /// Uses the pool when the cache of its thread is flushed.
        struct Late(mpsc::Sender<usize>);
        impl Drop for Late {
            fn drop(&mut self) {
                let record = take::<Number>();
                let _ = self.0.send(address(&record));
                give_back(record);
            }
        }
        thread_local! {
            static LATE: std::cell::RefCell<Option<Late>> = const { std::cell::RefCell::new(None) };
        }
        let (sender, receiver) = mpsc::channel();
        spawn(Box::new(move || {
            // Destructors run in the reverse order of the first uses.
            LATE.with_borrow_mut(|late| *late = Some(Late(sender)));
            give_back(take::<Number>());
            HashSet::new()
        }));
        let late = receiver.recv().expect("the destructor has run");
        assert_eq!(count(), made + 1, "all others are in use");
        let record = take::<Number>();
        assert_eq!(address(&record), late, "it came back");
        again.into_iter().for_each(give_back);
        give_back(record);
    }
}
