//! Reads what the threads have recorded, while they go on.
//!
//! Called by `attach`. No thread that records waits for it.

#![expect(unsafe_code, reason = "gives the pages of rings back; a location in a word")]

use std::panic::Location;
use std::ptr::{self, NonNull};
use std::time::Duration;

use super::event::{EventKind, kind_of, start_of, ticks_of, words};
use super::ring::{PAGE, Ring, Words};
use super::{ORIGIN, every_ring, lost_in_shared, moment};
use crate::primitives::atomic::{Ordering, fixed};
use crate::sys::{self, ticks};

/// The rate of the ticks is measured over at least this time.
const CALIBRATION: Duration = Duration::from_millis(10);

/// Gives the memory for full recording back until it is needed again. The events in it are lost, and so is one that a thread
/// writes now.
pub(crate) fn give_back_memory() {
    for ring in every_ring().into_iter().filter_map(|rings| rings.full.get()) {
        give_back_pages(ring);
    }
}

/// The numbers of the next events of each ring.
#[derive(Debug)]
pub(crate) struct Mark {
    rings: Vec<(u64, u64)>,
    lost_in_shared: u64,
    ticks: u64,
}

/// Events of one ring. The first one is of the kind `Thread`.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) events: Vec<Words>,
    pub(crate) lost: u64,
}

/// The present, from which on [`collect`] reads.
pub(crate) fn mark() -> Mark {
    let rings = every_ring().into_iter();
    let rings = rings.map(|rings| (rings.quiet.written(), rings.full.get().map_or(0, Ring::written)));
    Mark { rings: rings.collect(), lost_in_shared: lost_in_shared(), ticks: ticks::now() }
}

/// Reads what the rings have, from a mark on or from the beginning. Of that, only what has happened in the last `ticks_back`
/// ticks. Calls `take` for one ring after the other.
pub(crate) fn collect(mark: Option<&Mark>, ticks_back: Option<u64>, mut take: impl FnMut(Recorded)) {
    let mut lost_in_shared = lost_in_shared().saturating_sub(mark.map_or(0, |mark| mark.lost_in_shared));
    for (index, rings) in every_ring().into_iter().enumerate() {
        let (quiet, full) = mark.and_then(|mark| mark.rings.get(index)).copied().unwrap_or_default();
        let thread = rings.thread.load(Ordering::Relaxed);
        for (ring, from) in [(Some(&rings.quiet), quiet), (rings.full.get(), full)] {
            let Some(ring) = ring else { continue };
            let mut events = Vec::new();
            let lost = ring.copy(from, &mut events);
            let now = ticks::now();
            let parked_at =
                Some(rings.parked_at.load(Ordering::Relaxed)).filter(|at| *at != 0 && ptr::eq(ring, &rings.quiet));
            // A page that was given back while a thread wrote to it has zeros.
            events.retain(|words| kind_of(*words) != 0);
            events.extend(parked_at.map(|at| words(at, EventKind::Park, 0)));
            let since = mark.map(|mark| mark.ticks).or(ticks_back.map(|back| now.wrapping_sub(back)));
            if let Some(events) = since_then(events, thread, since, now) {
                let lost = lost + std::mem::take(&mut lost_in_shared);
                take(Recorded { events, lost });
            }
        }
    }
}

/// Removes what ended before `since`, and puts the thread in front of the others. `thread` is the one of the last events.
fn since_then(mut events: Vec<Words>, thread: u32, since: Option<u64>, now: u64) -> Option<Vec<Words>> {
    let is_before = |ticks: u64, since: u64| (ticks.wrapping_sub(since) as i64) < 0;
    let threads = || events.iter().enumerate().filter(|(_, words)| kind_of(**words) == EventKind::Thread as u64);
    let first = match since {
        Some(since) => events.partition_point(|words| {
            is_before(ticks_of(*words, now), since) && kind_of(*words) != EventKind::Park as u64
        }),
        None => 0,
    };
    // The owner of the first event: the last one that was named before, or the one that the next change names as that before.
    let owner = match threads().take_while(|(at, _)| *at < first).last() {
        Some((_, [_, argument])) => *argument as u32,
        None => threads().next().map_or(thread, |(_, [_, argument])| (argument >> 32) as u32),
    };
    events.drain(..first);
    let start = start_of(*events.first()?, now);
    let start = since.filter(|since| is_before(start, *since)).unwrap_or(start);
    if let Some(words) = events.last_mut().filter(|words| kind_of(**words) == EventKind::Park as u64) {
        if is_before(ticks_of(*words, now), start) {
            *words = super::event::words(start, EventKind::Park, 0);
        }
    }
    events.insert(0, words(start, EventKind::Thread, owner.into()));
    Some(events)
}

/// The location in an event of the kind `SpawnedAt`.
pub(crate) fn location_of([_, argument]: Words) -> Option<&'static Location<'static>> {
    // SAFETY: it is 0, or was exposed from a `&'static Location` by `task::recorded`.
    unsafe { ptr::with_exposed_provenance::<Location<'static>>(argument as usize).as_ref() }
}

/// The names of the threads that have had rings of their own, and of those that run.
pub(crate) fn thread_name(thread: u32) -> Option<String> {
    let named = every_ring().into_iter().find_map(|rings| {
        let names = rings.names.lock();
        names.iter().find(|(other, _)| *other == thread).map(|(_, name)| name.clone())
    });
    named.or_else(|| sys::thread::name(thread))
}

/// How the ticks relate to the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calibration {
    pub(crate) ticks_per_second: f64,
    /// The ticks at the time of the next field.
    pub(crate) ticks: u64,
    /// Nanoseconds since 1970.
    pub(crate) unix_ns: u64,
}

/// Compares the ticks with the clocks of the system. Waits for a moment if recording has just begun.
pub(crate) fn calibrate() -> Calibration {
    let (ticks, ns) = *ORIGIN.get_or_init(moment);
    let mut now = moment();
    if let Some(left) = (CALIBRATION.as_nanos() as u64).checked_sub(now.1.saturating_sub(ns)) {
        // No thread wakes it.
        sys::futex_wait(&fixed::AtomicU32::new(0), 0, Some(Duration::from_nanos(left + 1)));
        now = moment();
    }
    let passed_ns = now.1.saturating_sub(ns).max(1);
    let ticks_per_second = now.0.wrapping_sub(ticks) as f64 * 1e9 / passed_ns as f64;
    Calibration { ticks_per_second: ticks_per_second.max(1.0), ticks: now.0, unix_ns: sys::clock::unix_ns() }
}

/// Gives the whole pages of a ring back until they are touched again. What was in them reads as zeros.
fn give_back_pages(ring: &Ring) {
    let memory = ring.memory();
    let (start, end) = (memory.start.addr().next_multiple_of(PAGE), memory.end.addr() / PAGE * PAGE);
    let first = memory.start.cast::<u8>().wrapping_add(start - memory.start.addr());
    if let (Some(first), true) = (NonNull::new(first.cast_mut()), end > start) {
        // SAFETY: the pages are within the slots, which are atomics, and zeros are valid. A reader drops them, and a writer
        // at the same time loses its event.
        unsafe { sys::give_back_pages(first, end - start) };
    }
}
