//! The futures of `block_on`, as dumps show them.
//!
//! Called by `runtime::block_on`, which has a record for as long as the call lasts, and by `runtime::collect`.
//!
//! # Invariants
//! - `one-call`: a record belongs to the call that has set its location, until that call clears it. Only that call writes the
//!   other fields. The first record is for the call that runs the tasks of a current-thread runtime, of which there is one
//!   at a time; the others are taken under the lock.
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
use crate::primitives::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering};

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
}

impl Default for RootRecord {
    fn default() -> Self {
        Self {
            location: AtomicPtr::new(ptr::null_mut()),
            started_ms: AtomicU32::new(0),
            kind: AtomicU8::new(0),
            place: AtomicPtr::new(ptr::null_mut()),
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
        let free = others.iter().find(|record| record.location.load(Ordering::Relaxed).is_null());
        let record = free.cloned().unwrap_or_default();
        record.begin(location);
        if Arc::strong_count(&record) == 1 {
            others.push(Arc::clone(&record));
        }
        RootGuard(record)
    }

    /// Describes the calls that have not returned.
    pub(crate) fn describe(&self) -> Vec<RootInfo> {
        let others = self.others.lock();
        std::iter::once(&self.first).chain(others.iter().map(|record| &**record)).filter_map(RootRecord::info).collect()
    }
}

impl RootRecord {
    #[inline]
    /// The caller holds the lock, or is the one that runs the tasks (`one-call`).
    fn begin(&self, location: &'static Location<'static>) {
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
}
