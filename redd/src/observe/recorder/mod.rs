//! The flight recorder: what the threads of this process did in the last moments.
//!
//! Called by `scheduler`, `blocking` and `sync`, which record; by `runtime`, which enables it; and by `attach`, which reads.
//!
//! - *Quiet* events are recorded always. They happen where a system call or a lock costs more anyway, and never in a loop that
//!   is idle.
//! - *Full* events are recorded while a client asks for them, or with `REDD_DEBUG=recorder=full`: each poll, wake and spawn. The scheduler
//!   tests this together with its other measurements, so that they cost nothing otherwise.
//!
//! A thread that runs a worker or closures has rings of its own. All other threads share one, under a lock.
//!
//! # Invariants
//! - `owned-by-thread`: while `RING` of a thread points to rings, no other thread writes to them. Their memory is never freed.
//! - `no-wait`: a thread that records waits for no other thread: if a lock stays taken, it loses the event, or it has no rings of its
//!   own yet. One that ends waits for a moment. So a child process works that was forked while another thread held the lock.
//! - `switched-in-order`: full recording is switched, and a runtime that is new is told of it, under the lock `SWITCH`. So no
//!   runtime is left behind.
//!
//! # Why not otherwise
//! A ring for each worker, in place of its thread, would have to say which thread runs the worker of a current-thread runtime, in
//! each `block_on`. Rings that are freed when their thread ends would take its last events with them.

#![expect(unsafe_code, reason = "a thread-local pointer to rings that are never freed")]

pub(crate) mod event;
mod on_demand;
pub(crate) mod reader;
mod ring;

use std::cell::Cell;
use std::collections::VecDeque;
use std::ptr;
use std::sync::OnceLock;

pub(crate) use event::{EventKind, pair};
use event::{slept, words};
use on_demand::RingOnDemand;
use ring::Ring;

use crate::observe::debug_options::{RecorderLevel as Level, debug_options};
use crate::primitives::atomic::fixed;
use crate::primitives::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::primitives::{Mutex, ShortMutex, thread, thread_local};
use crate::sys::{self, ticks};

/// The events that a worker's ring has: 64 KiB. Not measured.
const QUIET: usize = 4 << 10;
/// Those that the ring of a thread for closures has: 4 KiB. There may be hundreds of such threads.
const QUIET_SMALL: usize = 256;
/// Those that a ring has during full recording: 4 MiB.
const FULL: usize = 256 << 10;
/// So many rings of each size keep the events of threads that have ended. Not measured.
const ENDED_KEPT: usize = 8;
/// So many threads that had a ring are known by name.
const NAMES_KEPT: usize = 8;

/// How long a thread tries to take a lock (`no-wait`). A holder that runs has a few steps to go.
const TURNS: u32 = 64;
/// How long a thread that ends tries to give its rings back, which otherwise stay unused: 20 ms or more, as each turn behind the
/// first 128 sleeps for at least 50 µs. So a preempted holder of the lock costs no memory.
const TURNS_AT_END: u32 = 128 + 400;

/// How much is recorded, a [`Level`]. It is `Off` until [`enable`] is called.
static LEVEL: fixed::AtomicU32 = fixed::AtomicU32::new(Level::Off as u32);

/// `switched-in-order`
static SWITCH: OnceLock<Mutex<()>> = OnceLock::new();

/// The ticks and the monotonic clock, in nanoseconds, when recording began.
static ORIGIN: OnceLock<(u64, u64)> = OnceLock::new();

/// The rings of one thread, or of those that share them.
struct Rings {
    quiet: Ring,
    full: RingOnDemand,
    /// Whether it is for the events of full recording, too.
    takes_full: bool,
    /// When the thread went to sleep; 0 if it is awake, or runs no worker.
    parked_at: AtomicU64,
    /// The thread that writes, or wrote last.
    thread: AtomicU32,
    /// The last threads that had the rings to themselves, with their names.
    names: ShortMutex<VecDeque<(u32, String)>>,
}

/// All rings.
#[derive(Default)]
struct AllRings {
    all: Vec<&'static Rings>,
    /// Those whose thread has ended; the first one ended first.
    ended: VecDeque<&'static Rings>,
    ended_small: VecDeque<&'static Rings>,
}

static ALL: OnceLock<ShortMutex<AllRings>> = OnceLock::new();

/// What threads without rings share.
struct SharedRings {
    rings: &'static Rings,
    /// Held by the thread that writes.
    writer: ShortMutex<()>,
    /// How many events found the lock taken.
    lost: AtomicU64,
}

static SHARED: OnceLock<SharedRings> = OnceLock::new();

/// In `RING`: the thread belongs to a runtime that is not to be seen.
const HIDDEN: usize = 1;

thread_local! {
    /// The rings of this thread (`owned-by-thread`). Null if it has none; or [`HIDDEN`].
    static RING: Cell<*const Rings> = const { Cell::new(ptr::null()) };
    /// The system's number of this thread, once it is known.
    static THREAD: Cell<u32> = const { Cell::new(0) };
    /// Gives the rings back when the thread ends.
    static OWNER: Owner = const { Owner };
}

struct Owner;

impl Drop for Owner {
    fn drop(&mut self) {
        let rings = RING.replace(ptr::null());
        if rings.addr() > HIDDEN {
            // SAFETY: rings are never freed.
            let rings = unsafe { &*rings };
            // `no-wait`
            if let Some(mut all) = all_rings().lock_within(TURNS_AT_END) {
                let ended = if rings.takes_full { &mut all.ended } else { &mut all.ended_small };
                ended.push_back(rings);
            }
        }
    }
}

fn all_rings() -> &'static ShortMutex<AllRings> {
    ALL.get_or_init(|| ShortMutex::new(AllRings::default()))
}

/// Begins to record, unless `REDD_DEBUG` says otherwise. Called when a runtime is built that may be seen.
pub(crate) fn enable() {
    let level = debug_options().recorder;
    if level == Level::Off {
        return;
    }
    ORIGIN.get_or_init(moment);
    SHARED.get_or_init(|| {
        let rings: &'static Rings = Box::leak(Box::new(Rings::new(true)));
        all_rings().lock().all.push(rings);
        SharedRings { rings, writer: ShortMutex::new(()), lost: AtomicU64::new(0) }
    });
    // A later call must not end a full recording.
    let _ = LEVEL.compare_exchange(Level::Off as u32, level as u32, Ordering::Relaxed, Ordering::Relaxed);
}

#[inline]
fn level() -> u32 {
    LEVEL.load(Ordering::Relaxed)
}

/// Whether anything is recorded.
pub(crate) fn is_on() -> bool {
    level() != Level::Off as u32
}

/// Whether each poll, wake and spawn is recorded.
#[inline]
pub(crate) fn is_full() -> bool {
    level() == Level::Full as u32
}

/// From now on nothing is recorded on this thread: its runtime is not to be seen.
pub(crate) fn hide_thread() {
    if RING.get().is_null() {
        RING.set(ptr::without_provenance(HIDDEN));
    }
}

/// Records a quiet event of this thread, which runs a worker.
#[inline]
pub(crate) fn on_worker(kind: EventKind, argument: u64) {
    let rings = RING.get();
    if rings.addr() > HIDDEN {
        // SAFETY: `owned-by-thread`.
        unsafe { &*rings }.of_worker(is_full()).push(words(ticks::now(), kind, argument));
    } else {
        on_new_thread(kind, argument, true);
    }
}

/// The time of the recorder.
#[inline]
pub(crate) fn now() -> u64 {
    ticks::now()
}

/// This thread, which runs a worker, goes to sleep. False if nothing is recorded.
#[inline]
pub(crate) fn begin_sleep() -> bool {
    let rings = RING.get();
    if rings.addr() <= HIDDEN {
        return begin_first_sleep();
    }
    // SAFETY: `owned-by-thread`.
    unsafe { &*rings }.parked_at.store(ticks::now(), Ordering::Relaxed);
    true
}

#[cold]
fn begin_first_sleep() -> bool {
    if !is_on() || RING.get().addr() == HIDDEN {
        return false;
    }
    take_rings(true);
    RING.get().addr() > HIDDEN && begin_sleep()
}

/// It was woken at that time, and the driver has returned so many events of descriptors. Called after [`begin_sleep`] has returned
/// true.
///
/// One event for all of that, because it happens often.
#[inline(never)]
pub(crate) fn end_sleep(woken_at: u64, count: u64) {
    let rings = RING.get();
    if rings.addr() > HIDDEN {
        // SAFETY: `owned-by-thread`.
        let rings = unsafe { &*rings };
        let ticks = woken_at.wrapping_sub(rings.parked_at.load(Ordering::Relaxed));
        rings.of_worker(is_full()).push(words(woken_at, EventKind::Sleep, slept(ticks, count)));
        rings.parked_at.store(0, Ordering::Relaxed);
    }
}

/// Records a quiet event of this thread, which runs closures.
pub(crate) fn on_closure_thread(kind: EventKind, id: u64) {
    let rings = RING.get();
    if rings.addr() > HIDDEN {
        // SAFETY: `owned-by-thread`.
        unsafe { &*rings }.quiet.push(words(ticks::now(), kind, id));
    } else {
        on_new_thread(kind, id, false);
    }
}

/// Records a quiet event of this thread, whatever it is. Not inlined, so that its callers stay small.
#[inline(never)]
pub(crate) fn here(kind: EventKind, argument: u64) {
    let rings = RING.get();
    if rings.addr() > HIDDEN {
        // SAFETY: `owned-by-thread`.
        unsafe { &*rings }.quiet.push(words(ticks::now(), kind, argument));
    } else {
        in_shared(kind, argument, false);
    }
}

/// Records an event of full recording, which is on.
pub(crate) fn full(kind: EventKind, argument: u64) {
    let rings = RING.get();
    // SAFETY: rings are never freed.
    if rings.addr() > HIDDEN && unsafe { &*rings }.takes_full {
        // SAFETY: `owned-by-thread`.
        unsafe { &*rings }.full.get_or_make().push(words(ticks::now(), kind, argument));
    } else {
        in_shared(kind, argument, true);
    }
}

/// As [`full`], on a thread that runs a worker.
pub(crate) fn full_on_worker(kind: EventKind, argument: u64) {
    if RING.get().is_null() && is_on() {
        take_rings(true);
    }
    full(kind, argument);
}

/// The first event of a thread.
#[cold]
fn on_new_thread(kind: EventKind, argument: u64, takes_full: bool) {
    if !is_on() || RING.get().addr() == HIDDEN {
        return;
    }
    take_rings(takes_full);
    here(kind, argument);
}

/// Gives this thread rings, unless it is about to end.
fn take_rings(takes_full: bool) {
    if OWNER.try_with(|_| ()).is_err() {
        return;
    }
    // `no-wait`
    let Some(mut all) = all_rings().lock_within(TURNS) else { return };
    let ended = if takes_full { &mut all.ended } else { &mut all.ended_small };
    let oldest = if ended.len() > ENDED_KEPT { ended.pop_front() } else { None };
    let rings = match oldest {
        Some(rings) => rings,
        None => {
            let rings: &'static Rings = Box::leak(Box::new(Rings::new(takes_full)));
            all.all.push(rings);
            rings
        }
    };
    drop(all);
    if rings.set_thread() {
        rings.keep_name();
    }
    RING.set(rings);
}

/// An event of a thread without rings.
#[cold]
fn in_shared(kind: EventKind, argument: u64, is_full: bool) {
    if !is_on() || RING.get().addr() == HIDDEN {
        return;
    }
    let Some(shared) = SHARED.get() else { return };
    // `no-wait`
    let Some(_writer) = shared.writer.lock_within(TURNS) else {
        shared.lost.fetch_add(1, Ordering::Relaxed);
        return;
    };
    shared.rings.set_thread();
    let ring = if is_full { shared.rings.full.get_or_make() } else { &shared.rings.quiet };
    ring.push(words(ticks::now(), kind, argument));
}

/// The system's number of this thread.
fn current_thread() -> u32 {
    let mut thread = THREAD.get();
    if thread == 0 {
        thread = sys::thread::current_id();
        THREAD.set(thread);
    }
    thread
}

impl Rings {
    fn new(takes_full: bool) -> Self {
        Self {
            quiet: Ring::new(if takes_full { QUIET } else { QUIET_SMALL }),
            full: RingOnDemand::new(FULL),
            takes_full,
            parked_at: AtomicU64::new(0),
            thread: AtomicU32::new(0),
            names: ShortMutex::new(VecDeque::new()),
        }
    }

    /// The ring for the quiet events of a worker. During full recording that is the large one, so that a worker which sleeps
    /// thousands of times a second has them for as long as its polls.
    #[inline]
    fn of_worker(&self, is_full: bool) -> &Ring {
        if is_full { self.full_of_worker() } else { &self.quiet }
    }

    #[cold]
    fn full_of_worker(&self) -> &'static Ring {
        self.full.get_or_make()
    }

    /// The events from now on are those of this thread. Called by the writer. False if it was this thread before.
    fn set_thread(&self) -> bool {
        let (thread, before) = (current_thread(), self.thread.load(Ordering::Relaxed));
        if thread == before {
            return false;
        }
        let words = words(ticks::now(), EventKind::Thread, pair(thread.into(), before.into()));
        self.quiet.push(words);
        if let Some(full) = self.full.get() {
            full.push(words);
        }
        self.thread.store(thread, Ordering::Relaxed);
        true
    }

    /// Keeps the name of this thread for when it has ended. The system would know only its first fifteen bytes.
    fn keep_name(&self) {
        // `no-wait`
        let Some(mut names) = self.names.lock_within(TURNS) else { return };
        if names.len() >= NAMES_KEPT {
            names.pop_front();
        }
        names.push_back((current_thread(), thread::current_name()));
    }
}

/// Switches full recording on or off, and calls `tell` for the runtimes (`switched-in-order`). Nothing happens if nothing is
/// recorded.
pub(crate) fn set_full(is_full: bool, tell: impl FnOnce()) {
    if !is_on() {
        return;
    }
    if is_full {
        every_ring().into_iter().filter(|rings| rings.takes_full).for_each(|rings| rings.full.prepare());
    }
    let _switch = SWITCH.get_or_init(Mutex::default).lock();
    LEVEL.store(if is_full { Level::Full } else { Level::Quiet } as u32, Ordering::Relaxed);
    tell();
}

/// Calls `tell` with whether full recording is on, for a runtime that those who switch it find from now on
/// (`switched-in-order`).
pub(crate) fn tell_new_runtime(tell: impl FnOnce(bool)) {
    let _switch = SWITCH.get_or_init(Mutex::default).lock();
    tell(is_full());
}

/// How many events of threads without rings found the lock taken.
fn lost_in_shared() -> u64 {
    SHARED.get().map_or(0, |shared| shared.lost.load(Ordering::Relaxed))
}

/// All rings, also those of threads that have ended.
fn every_ring() -> Vec<&'static Rings> {
    all_rings().lock().all.clone()
}

/// The ticks and the monotonic clock at the same time, as far as a thread can read both.
fn moment() -> (u64, u64) {
    let pairs = (0..4).map(|_| {
        let before = ticks::now();
        let ns = sys::clock::monotonic().map_or(0, |time| time.as_nanos() as u64);
        let after = ticks::now();
        (after.wrapping_sub(before), (before.wrapping_add(after.wrapping_sub(before) / 2), ns))
    });
    pairs.min_by_key(|(gap, _)| *gap).map_or((0, 0), |(_, pair)| pair)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_sleeps_often_during_full_recording_keeps_its_first_sleeps() {
        // A ring is never freed, so what has it must stay reachable.
        static RINGS: OnceLock<Rings> = OnceLock::new();
        let rings = RINGS.get_or_init(|| Rings::new(true));
        rings.of_worker(false).push([1, 1]);
        for number in 0..2 * QUIET as u64 {
            rings.of_worker(true).push([number, 0]);
        }
        let mut events = Vec::new();
        assert_eq!(rings.full.get_or_make().copy(0, &mut events), 0);
        assert_eq!((events.len(), events[0]), (2 * QUIET, [0, 0]));
        events.clear();
        assert_eq!((rings.quiet.copy(0, &mut events), events), (0, vec![[1, 1]]), "those before are kept, too");
    }
}
