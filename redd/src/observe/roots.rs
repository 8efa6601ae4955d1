//! The futures of `block_on`, as dumps show them.
//!
//! Called by `runtime::block_on`, which has a record for as long as the call lasts, and by `runtime::collect`.
//!
//! # Invariants
//! - `one-call`: a record belongs to the call that has set its location, until that call clears it. Only that call writes the
//!   other fields. The first record is for the call that runs the tasks of a current-thread runtime, of which there is one
//!   at a time; the others are taken under the lock.
//! - `kept-by-thread`: while a thread has a reference to a record, the record is for the calls of that thread alone. So its
//!   next call takes no lock. The end of the runtime clears `owner`, and then the thread drops the reference.
//!
//! What the future waits on is recorded for calls that only poll it. A call that also runs tasks polls it too often for that:
//! its waits are found among the waiters, as those of no task.
//!
//! All accesses are relaxed: a reader may see the parts of two polls, or of two calls.

#![expect(unsafe_code, reason = "locations in atomic pointers")]

use std::panic::Location;
use std::ptr;
use std::sync::Arc;
use std::task::Poll;

use super::coarse;
use super::waiting::{self, WaitKind};
use crate::primitives::Mutex;
use crate::primitives::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, Ordering};

/// In `RootRecord::kind`: the future is being polled. No `WaitKind` has this number, nor 0.
const POLLED: u8 = 0xff;

/// The records of one runtime.
#[derive(Debug, Default)]
pub(crate) struct Roots {
    first: RootRecord,
    /// Free ones are used again.
    others: Mutex<Vec<Arc<RootRecord>>>,
}

/// One call of `block_on`.
#[derive(Debug)]
pub(crate) struct RootRecord {
    /// The line that calls. Null: the record is free.
    location: AtomicPtr<Location<'static>>,
    started_ms: AtomicU32,
    /// What its last poll waits on, 0 if that is not known; or `POLLED`.
    kind: AtomicU8,
    /// Where it waits, if that is known.
    place: AtomicPtr<Location<'static>>,
    /// The address of the records that this one belongs to; 0 once they are gone.
    owner: AtomicUsize,
}

impl Default for RootRecord {
    fn default() -> Self {
        Self {
            location: AtomicPtr::new(ptr::null_mut()),
            started_ms: AtomicU32::new(0),
            kind: AtomicU8::new(0),
            place: AtomicPtr::new(ptr::null_mut()),
            owner: AtomicUsize::new(0),
        }
    }
}

/// What is known of one call.
#[derive(Debug)]
pub(crate) struct RootInfo {
    pub(crate) location: &'static Location<'static>,
    pub(crate) started_ms: u32,
    pub(crate) is_polled: bool,
    pub(crate) waiting: Option<(WaitKind, Option<&'static Location<'static>>)>,
}

impl Roots {
    /// A record for a call on a current-thread runtime. `has_core`: it begins as the one that runs the tasks.
    #[inline]
    pub(crate) fn begin_on_core(&self, has_core: bool, location: &'static Location<'static>) -> RootOnCore<'_> {
        if !has_core {
            return RootOnCore { first: &self.first, other: Some(self.begin(location)) };
        }
        self.first.begin(location);
        RootOnCore { first: &self.first, other: None }
    }

    /// A record for another call at `location`.
    #[cold]
    pub(crate) fn begin(&self, location: &'static Location<'static>) -> RootGuard {
        let mut others = self.others.lock();
        // `kept-by-thread`: without another reference it belongs to no thread.
        let free = others.iter_mut().position(|record| Arc::get_mut(record).is_some());
        let record = free.map_or_else(Arc::default, |at| Arc::clone(&others[at]));
        record.begin(location);
        if Arc::strong_count(&record) == 1 {
            record.owner.store(ptr::from_ref(self).addr(), Ordering::Relaxed);
            others.push(Arc::clone(&record));
        }
        RootGuard(record)
    }

    /// A record for a call at `location`. `kept` is the record of the thread's last call.
    #[inline]
    pub(crate) fn begin_with(&self, kept: Option<RootGuard>, location: &'static Location<'static>) -> RootGuard {
        match kept {
            // Relaxed: if these are other records at the same address, this thread has seen the end of the former ones.
            Some(kept) if kept.0.owner.load(Ordering::Relaxed) == ptr::from_ref(self).addr() => {
                kept.0.begin(location);
                kept
            }
            other => {
                drop(other);
                self.begin(location)
            }
        }
    }

    /// Describes the calls that have not returned.
    pub(crate) fn describe(&self) -> Vec<RootInfo> {
        let others = self.others.lock();
        std::iter::once(&self.first).chain(others.iter().map(|record| &**record)).filter_map(RootRecord::info).collect()
    }
}

impl Drop for Roots {
    fn drop(&mut self) {
        let others = self.others.lock();
        others.iter().for_each(|record| record.owner.store(0, Ordering::Relaxed)); // `kept-by-thread`
    }
}

impl RootRecord {
    /// The caller holds the lock, or keeps the record, or is the one that runs the tasks (`one-call`).
    #[inline]
    fn begin(&self, location: &'static Location<'static>) {
        debug_assert!(self.location.load(Ordering::Relaxed).is_null(), "`one-call`");
        self.started_ms.store(coarse::now_ms(), Ordering::Relaxed);
        self.kind.store(0, Ordering::Relaxed);
        self.location.store(ptr::from_ref(location).cast_mut(), Ordering::Relaxed);
    }

    /// The call ends.
    #[inline]
    fn end(&self) {
        self.location.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// Polls the future of the call, and records what it waits on.
    #[inline]
    pub(crate) fn poll<R>(&self, poll: impl FnOnce() -> Poll<R>) -> Poll<R> {
        self.kind.store(POLLED, Ordering::Relaxed);
        // Of a task on this thread.
        let _ = waiting::take();
        let polled = poll();
        if polled.is_pending() {
            let waits = waiting::last();
            let place = waits.and_then(|waits| waits.location).map_or(ptr::null(), ptr::from_ref);
            self.place.store(place.cast_mut(), Ordering::Relaxed);
            self.kind.store(waits.map_or(0, |waits| waits.kind as u8), Ordering::Relaxed);
        }
        polled
    }

    fn info(&self) -> Option<RootInfo> {
        // SAFETY: it is null or comes from a `&'static`.
        let location = unsafe { self.location.load(Ordering::Relaxed).as_ref() }?;
        let kind = self.kind.load(Ordering::Relaxed);
        // SAFETY: as above.
        let place = unsafe { self.place.load(Ordering::Relaxed).as_ref() };
        Some(RootInfo {
            location,
            started_ms: self.started_ms.load(Ordering::Relaxed),
            is_polled: kind == POLLED,
            waiting: WaitKind::from_u8(kind).map(|kind| (kind, place)),
        })
    }
}

/// The record of one call, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct RootGuard(pub(crate) Arc<RootRecord>);

impl RootGuard {
    /// Ends the call. A thread may keep the record for its next one (`kept-by-thread`).
    #[inline]
    pub(crate) fn end(&self) {
        self.0.end();
    }
}

impl Drop for RootGuard {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The record of a call on a current-thread runtime.
#[derive(Debug)]
pub(crate) struct RootOnCore<'a> {
    first: &'a RootRecord,
    other: Option<RootGuard>,
}

impl Drop for RootOnCore<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.other.is_none() {
            self.first.end();
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn kinds(roots: &Roots) -> Vec<Option<WaitKind>> {
        roots.describe().into_iter().map(|root| root.waiting.map(|(kind, _)| kind)).collect()
    }

    #[test]
    fn calls_at_the_same_time_have_records_of_their_own_which_are_used_again() {
        let roots = Roots::default();
        let pending = |record: &RootRecord, kind| {
            let polled = record.poll(|| {
                waiting::record(kind, None);
                Poll::<()>::Pending
            });
            assert!(polled.is_pending());
        };
        let first = roots.begin_on_core(true, Location::caller());
        let second = roots.begin(Location::caller());
        let third = roots.begin_on_core(false, Location::caller());
        pending(&second.0, WaitKind::Join);
        assert_eq!(kinds(&roots), [None, Some(WaitKind::Join), None]);
        drop(second);
        assert_eq!(kinds(&roots), [None, None]);
        let again = roots.begin(Location::caller());
        assert_eq!(roots.others.lock().len(), 2);
        drop((first, third));
        pending(&again.0, WaitKind::Notify);
        assert_eq!(kinds(&roots), [Some(WaitKind::Notify)]);
        assert!(again.0.poll(|| Poll::Ready(roots.describe()[0].is_polled)) == Poll::Ready(true));
        drop(again);
        assert_eq!(kinds(&roots), []);
    }

    #[test]
    fn a_thread_keeps_its_record_until_it_drops_it_or_the_runtime_ends() {
        let mut roots = Box::new(Roots::default());
        let count = |roots: &Roots| (roots.describe().len(), roots.others.lock().len());
        let first = roots.begin_with(None, Location::caller());
        let record = Arc::as_ptr(&first.0);
        first.end();
        assert_eq!(count(&roots), (0, 1));
        // Free, but not for another call.
        let second = roots.begin_with(None, Location::caller());
        assert_eq!(count(&roots), (1, 2));
        let first = roots.begin_with(Some(first), Location::caller());
        assert_eq!((count(&roots), Arc::as_ptr(&first.0)), ((2, 2), record));
        second.end();
        drop(second);
        let third = roots.begin(Location::caller());
        assert_eq!(count(&roots), (2, 2), "a record that no thread keeps is used again");
        first.end();
        let former = Arc::clone(&first.0);
        drop(third);

        // Another runtime at the same place in memory.
        *roots = Roots::default();
        let again = roots.begin_with(Some(first), Location::caller());
        assert_eq!(count(&roots), (1, 1));
        assert!(!Arc::ptr_eq(&again.0, &former));
    }
}
