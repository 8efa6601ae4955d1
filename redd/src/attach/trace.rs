//! The reply to `trace`: what the flight recorder has.
//!
//! Called by `server`.
//!
//! A line of JSON comes first, and then the events: each has 16 bytes, two numbers of 64 bits with the lowest byte first, as
//! `observe::recorder::event` describes them. The members of the line:
//!
//! | member | meaning |
//! |---|---|
//! | `format` | `redd-trace/1` |
//! | `ticks`, `unix_ns` | the present in ticks, and in nanoseconds since 1970 |
//! | `ticks_per_second` | the rate of the ticks |
//! | `rings` | for each ring, in the order of the events: how many `events` it has, and how many were `lost` because later ones took their place |
//! | `threads` | the system's number of each thread, `id`, and its `name` |
//! | `tasks` | of each task and closure that is alive: `id`, `name` or null, `spawned_at`, `parent` or null |
//! | `locations` | what an event of the kind `SpawnedAt` has the index of |
//!
//! The first event of each ring is of the kind `Thread`. Events are in order within a ring, and not across rings.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::panic::Location;
use std::time::Duration;

use super::json;
use super::registry::runtimes;
use crate::observe::recorder::event::{EventKind, kind_of};
use crate::observe::recorder::reader::{self, Calibration, Recorded};
use crate::observe::recorder::{self};
use crate::observe::report::ShortLocation;
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::AtomicBool;

/// One client at a time: what it switches on, it switches off.
static IS_TRACING: AtomicBool = AtomicBool::new(false);

/// The only trace.
struct Tracing;

impl Tracing {
    fn begin() -> Option<Self> {
        // A closure: a value that is made although there is a trace would end that one when it is dropped.
        (!IS_TRACING.swap(true, Ordering::Relaxed)).then(|| Self)
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        IS_TRACING.store(false, Ordering::Relaxed);
    }
}

/// Full recording, until it is dropped.
struct FullRecording;

impl FullRecording {
    fn begin() -> Self {
        switch(true);
        Self
    }
}

impl Drop for FullRecording {
    fn drop(&mut self) {
        switch(false);
    }
}

fn switch(is_full: bool) {
    let mut switched = Vec::new();
    recorder::set_full(is_full, || {
        switched = runtimes().0;
        switched.iter().for_each(|runtime| runtime.set_recorded(is_full));
    });
    // Outside of the lock: one of them may be the last reference.
    drop(switched);
}

/// Memory for full recording, until it is dropped.
struct FullMemory;

impl Drop for FullMemory {
    fn drop(&mut self) {
        reader::give_back_memory();
    }
}

/// Records everything for a time, and returns that. Without a time, or if everything is recorded anyway, it returns what there is.
/// `pause` waits, and returns false if the client is gone.
pub(super) fn trace(ms: u64, mut pause: impl FnMut(Duration) -> bool) -> Result<(String, Vec<u8>), String> {
    if !recorder::is_on() {
        let (listed, hidden) = runtimes();
        return Err(if listed.is_empty() && hidden > 0 {
            "its runtimes were built with `Builder::observe(false)`".to_owned()
        } else {
            "it records nothing, because it was started with REDD_DEBUG=recorder=off".to_owned()
        });
    }
    let Some(_tracing) = Tracing::begin() else {
        return Err("it is being traced for another client; ask again when that has ended".to_owned());
    };
    if ms == 0 || recorder::is_full() {
        let back = (ms > 0).then(|| (reader::calibrate().ticks_per_second * ms as f64 / 1e3) as u64);
        return Ok(Reply::collect(None, back).write());
    }
    let mark = reader::mark();
    let _memory = FullMemory;
    let recording = FullRecording::begin();
    if !pause(Duration::from_millis(ms)) {
        return Err("the client is gone".to_owned());
    }
    drop(recording);
    Ok(Reply::collect(Some(&mark), None).write())
}

/// The parts of a reply.
#[derive(Default)]
struct Reply {
    data: Vec<u8>,
    /// The events of each ring, and those that it has lost.
    rings: Vec<(usize, u64)>,
    threads: BTreeSet<u32>,
    /// The low halves of the ids of tasks.
    tasks: BTreeSet<u32>,
    locations: BTreeMap<&'static Location<'static>, usize>,
}

impl Reply {
    fn collect(mark: Option<&reader::Mark>, ticks_back: Option<u64>) -> Self {
        let mut reply = Self::default();
        reader::collect(mark, ticks_back, |recorded| reply.add(recorded));
        reply
    }

    fn add(&mut self, Recorded { events, lost }: Recorded) {
        self.rings.push((events.len(), lost));
        self.data.reserve(events.len() * 16);
        for [first, mut argument] in events {
            const THREAD: u64 = EventKind::Thread as u64;
            const SPAWNED_AT: u64 = EventKind::SpawnedAt as u64;
            match kind_of([first, argument]) {
                THREAD => {
                    self.threads.insert(argument as u32);
                }
                SPAWNED_AT => {
                    let next = self.locations.len();
                    let location = reader::location_of([first, argument]);
                    argument = location.map_or(u64::MAX, |at| *self.locations.entry(at).or_insert(next) as u64);
                }
                _ => {
                    // A second number is the id of a task, too, or 0. The first may be a count: then a task too many is described.
                    self.tasks.extend([argument as u32, (argument >> 32) as u32]);
                }
            }
            self.data.extend_from_slice(&first.to_le_bytes());
            self.data.extend_from_slice(&argument.to_le_bytes());
        }
    }

    fn write(self) -> (String, Vec<u8>) {
        let Calibration { ticks_per_second, ticks, unix_ns } = reader::calibrate();
        let mut out = format!(
            "{{\"format\":\"redd-trace/1\",\"ticks\":{ticks},\"ticks_per_second\":{ticks_per_second:.0},\"unix_ns\":{unix_ns},\"rings\":"
        );
        // A write to a string does not fail, here and below.
        json::write_list(&mut out, &self.rings, |out, (events, lost)| {
            let _ = write!(out, "{{\"events\":{events},\"lost\":{lost}}}");
        });
        out.push_str(",\"threads\":");
        json::write_list(&mut out, &self.threads, |out, thread| {
            let _ = write!(out, "{{\"id\":{thread},\"name\":");
            json::write_optional(out, reader::thread_name(*thread).as_deref());
            out.push('}');
        });
        out.push_str(",\"tasks\":");
        let tasks = runtimes().0.into_iter().flat_map(|runtime| runtime.tasks());
        json::write_list(
            &mut out,
            tasks.filter(|task| self.tasks.contains(&(task.id.number() as u32))),
            |out, task| {
                let _ = write!(out, "{{\"id\":{},\"name\":", task.id);
                json::write_optional(out, task.name.as_deref());
                out.push_str(",\"spawned_at\":");
                json::write_string(out, &ShortLocation(task.location).to_string());
                let _ = match task.parent {
                    Some(parent) => write!(out, ",\"parent\":{parent}}}"),
                    None => write!(out, ",\"parent\":null}}"),
                };
            },
        );
        out.push_str(",\"locations\":");
        let mut locations: Vec<_> = self.locations.into_iter().collect();
        locations.sort_by_key(|(_, index)| *index);
        json::write_list(&mut out, locations, |out, (at, _)| json::write_string(out, &ShortLocation(at).to_string()));
        out.push_str("}\n");
        (out, self.data)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_second_trace_is_refused_as_long_as_the_first_one_runs() {
        let first = Tracing::begin().expect("there is none");
        for _ in 0..2 {
            assert!(Tracing::begin().is_none());
        }
        drop(first);
        assert!(Tracing::begin().is_some());
    }
}
