//! The futures of `block_on`, as dumps show them.
//!
//! Called by `runtime::block_on`, which has a record for as long as the call lasts, and by `runtime::collect`.
//!
//! # Invariants
//! - `one-call`: a record belongs to the call that has set its location, until that call clears it. Only that call writes the
//!   other fields.
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

/// The records of one runtime.
#[derive(Debug, Default)]
pub(crate) struct Roots {
    /// The usual program has one `block_on`.
    first: RootRecord,
    /// For the calls at the same time. Free ones are used again.
    others: Mutex<Vec<Arc<RootRecord>>>,
}

/// One call of `block_on`.
#[derive(Debug)]
struct RootRecord {
    /// The line that calls. Null: the record is free.
    location: AtomicPtr<Location<'static>>,
    started_ms: AtomicU32,
    /// When the last poll began.
    polled_ms: AtomicU32,
    /// The polls that have begun plus those that have ended.
    polls: AtomicU32,
    /// What its last poll waits on: the kind, 0 if it is not known, and the line.
    kind: AtomicU8,
    place: AtomicPtr<Location<'static>>,
}

impl Default for RootRecord {
    fn default() -> Self {
        Self {
            location: AtomicPtr::new(ptr::null_mut()),
            started_ms: AtomicU32::new(0),
            polled_ms: AtomicU32::new(0),
            polls: AtomicU32::new(0),
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
    pub(crate) polled_ms: u32,
    pub(crate) polls: u32,
    pub(crate) is_polled: bool,
    pub(crate) waiting: Option<(WaitKind, Option<&'static Location<'static>>)>,
}

impl Roots {
    /// A record for a call at `location`, until it is dropped.
    pub(crate) fn begin(&self, location: &'static Location<'static>) -> RootGuard<'_> {
        let other = if self.first.claim(location) { None } else { Some(self.other(location)) };
        RootGuard { roots: self, other }
    }

    #[cold]
    fn other(&self, location: &'static Location<'static>) -> Arc<RootRecord> {
        let mut others = self.others.lock();
        if let Some(free) = others.iter().find(|record| record.claim(location)) {
            return Arc::clone(free);
        }
        let record = Arc::new(RootRecord::default());
        record.claim(location);
        others.push(Arc::clone(&record));
        record
    }

    /// Describes the calls that have not returned.
    pub(crate) fn describe(&self) -> Vec<RootInfo> {
        let others = self.others.lock();
        std::iter::once(&self.first).chain(others.iter().map(|record| &**record)).filter_map(RootRecord::info).collect()
    }
}

impl RootRecord {
    /// Takes the record if it is free (`one-call`).
    fn claim(&self, location: &'static Location<'static>) -> bool {
        let ours = ptr::from_ref(location).cast_mut();
        let claimed = self.location.compare_exchange(ptr::null_mut(), ours, Ordering::Relaxed, Ordering::Relaxed);
        if claimed.is_ok() {
            self.started_ms.store(coarse::now_ms(), Ordering::Relaxed);
            self.polls.store(0, Ordering::Relaxed);
            self.kind.store(0, Ordering::Relaxed);
        }
        claimed.is_ok()
    }

    fn info(&self) -> Option<RootInfo> {
        // SAFETY: it is null or comes from a `&'static`.
        let location = unsafe { self.location.load(Ordering::Relaxed).as_ref() }?;
        let polls = self.polls.load(Ordering::Relaxed);
        let kind = WaitKind::from_u8(self.kind.load(Ordering::Relaxed));
        // SAFETY: as above.
        let place = unsafe { self.place.load(Ordering::Relaxed).as_ref() };
        Some(RootInfo {
            location,
            started_ms: self.started_ms.load(Ordering::Relaxed),
            polled_ms: self.polled_ms.load(Ordering::Relaxed),
            polls: polls.div_ceil(2),
            is_polled: polls % 2 == 1,
            waiting: kind.map(|kind| (kind, place)),
        })
    }
}

/// The record of one call.
#[derive(Debug)]
pub(crate) struct RootGuard<'a> {
    roots: &'a Roots,
    other: Option<Arc<RootRecord>>,
}

impl RootGuard<'_> {
    #[inline]
    fn record(&self) -> &RootRecord {
        self.other.as_deref().unwrap_or(&self.roots.first)
    }

    /// Polls the future of the call, and records what it waits on.
    #[inline]
    pub(crate) fn poll<R>(&self, poll: impl FnOnce() -> Poll<R>) -> Poll<R> {
        let record = self.record();
        let polls = record.polls.load(Ordering::Relaxed);
        record.polls.store(polls.wrapping_add(1), Ordering::Relaxed);
        record.polled_ms.store(coarse::now_ms(), Ordering::Relaxed);
        let _ = waiting::take();
        let polled = poll();
        if polled.is_pending() {
            let waits = waiting::take();
            record.kind.store(waits.map_or(0, |waits| waits.kind as u8), Ordering::Relaxed);
            let place = waits.and_then(|waits| waits.place).map_or(ptr::null(), ptr::from_ref);
            record.place.store(place.cast_mut(), Ordering::Relaxed);
        }
        record.polls.store(polls.wrapping_add(2), Ordering::Relaxed);
        polled
    }
}

impl Drop for RootGuard<'_> {
    fn drop(&mut self) {
        self.record().location.store(ptr::null_mut(), Ordering::Relaxed);
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
        let pending = |guard: &RootGuard<'_>, kind| {
            let polled = guard.poll(|| {
                waiting::note(kind, None);
                Poll::<()>::Pending
            });
            assert!(polled.is_pending());
        };
        let first = roots.begin(Location::caller());
        let second = roots.begin(Location::caller());
        let third = roots.begin(Location::caller());
        pending(&first, WaitKind::Timer);
        pending(&second, WaitKind::Join);
        assert_eq!(kinds(&roots), [Some(WaitKind::Timer), Some(WaitKind::Join), None]);
        drop(second);
        assert_eq!(kinds(&roots), [Some(WaitKind::Timer), None]);
        let again = roots.begin(Location::caller());
        assert_eq!(roots.others.lock().len(), 2);
        drop((first, third));
        assert!(again.poll(|| Poll::Ready(roots.describe()[0].is_polled)) == Poll::Ready(true));
        assert_eq!(roots.describe()[0].polls, 1);
        assert!(!roots.describe()[0].is_polled);
        drop(again);
        assert_eq!(kinds(&roots), []);
    }
}
