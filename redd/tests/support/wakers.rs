//! A waker that counts its handles, detects a use after its end, and panics on demand.
//!
//! # Invariants
//! - `log-outlives`: a waker holds no reference to its log, so that a use after the last drop is counted and is not
//!   undefined behaviour. The code that creates the log keeps it until the last waker is dropped. If a waker remains,
//!   it leaks the log.

#![allow(unsafe_code, reason = "a waker that is its own evidence needs a table of its own")]

use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::lives::panic_on_purpose;

/// What happened to the wakers of one log.
#[derive(Debug, Default)]
struct Counts {
    alive: AtomicIsize,
    woken: AtomicUsize,
    misused: AtomicUsize,
    wake_panics: AtomicBool,
    drop_panics: AtomicBool,
    clone_panics: AtomicBool,
}

/// Creates wakers and counts the calls on them.
#[derive(Debug)]
pub(crate) struct WakerLog(Option<Box<Counts>>);

impl WakerLog {
    pub(crate) fn new() -> Self {
        Self(Some(Box::default()))
    }

    fn counts(&self) -> &Counts {
        self.0.as_deref().expect("taken by the drop alone")
    }

    /// Each wake panics after it was counted.
    pub(crate) fn panic_in_wake(self) -> Self {
        self.counts().wake_panics.store(true, Ordering::SeqCst);
        self
    }

    /// Each drop of a handle panics after it was counted.
    pub(crate) fn panic_in_drop(self) -> Self {
        self.counts().drop_panics.store(true, Ordering::SeqCst);
        self
    }

    /// Each clone panics; no handle is created.
    pub(crate) fn panic_in_clone(self) -> Self {
        self.counts().clone_panics.store(true, Ordering::SeqCst);
        self
    }

    pub(crate) fn waker(&self) -> Waker {
        self.counts().alive.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the functions of the table may run on any thread. They use counts that outlive the waker
        // (`log-outlives`).
        unsafe { Waker::from_raw(RawWaker::new(std::ptr::from_ref(self.counts()).cast(), &TABLE)) }
    }

    pub(crate) fn woken(&self) -> usize {
        self.counts().woken.load(Ordering::SeqCst)
    }

    /// Asserts that no handle is left, and that none was used after its end.
    #[track_caller]
    pub(crate) fn assert_ended(&self) {
        let counts = self.counts();
        assert_eq!(counts.misused.load(Ordering::SeqCst), 0, "wakers used after their end");
        assert_eq!(counts.alive.load(Ordering::SeqCst), 0, "wakers that were not dropped");
    }
}

impl Drop for WakerLog {
    fn drop(&mut self) {
        let counts = self.0.take().expect("dropped once");
        if counts.alive.load(Ordering::SeqCst) != 0 {
            // `log-outlives`
            Box::leak(counts);
        }
    }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// # Safety
/// `data` belongs to a waker whose log still exists (`log-outlives`).
unsafe fn counts<'a>(data: *const ()) -> &'a Counts {
    // SAFETY: by the safety contract.
    let counts = unsafe { &*data.cast::<Counts>() };
    if counts.alive.load(Ordering::SeqCst) <= 0 {
        counts.misused.fetch_add(1, Ordering::SeqCst);
    }
    counts
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the table is called for wakers of a log.
    let counts = unsafe { counts(data) };
    if counts.clone_panics.load(Ordering::SeqCst) {
        panic_on_purpose("waker clone");
    }
    counts.alive.fetch_add(1, Ordering::SeqCst);
    RawWaker::new(data, &TABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: as above.
    let counts = unsafe { counts(data) };
    counts.woken.fetch_add(1, Ordering::SeqCst);
    counts.alive.fetch_sub(1, Ordering::SeqCst);
    if counts.wake_panics.load(Ordering::SeqCst) {
        panic_on_purpose("waker wake");
    }
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: as above.
    let counts = unsafe { counts(data) };
    counts.woken.fetch_add(1, Ordering::SeqCst);
    if counts.wake_panics.load(Ordering::SeqCst) {
        panic_on_purpose("waker wake");
    }
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: as above.
    let counts = unsafe { counts(data) };
    counts.alive.fetch_sub(1, Ordering::SeqCst);
    if counts.drop_panics.load(Ordering::SeqCst) && !std::thread::panicking() {
        panic_on_purpose("waker drop");
    }
}
