//! `redd trace`: what a process did, from its flight recorder.
//!
//! The reply of the process is a line of JSON and then events; its format is described in `attach::trace` and
//! `observe::recorder::event` of the library. It is not trusted: whatever the bytes are, they become a recording or an error.

#[cfg(test)]
mod live;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use crate::plural::count;
use crate::recording::{Event, Recording, Task, Thread, What};
use crate::{attach, perfetto, process, timeline};

/// Records a process for some time, and writes what it did to a file.
pub(crate) fn run(pid: u32, last: Duration, out: &std::path::Path) -> Result<Vec<u8>, String> {
    let write = writer_for(out)?;
    let ms = last.as_millis();
    let reply = attach::ask_for(pid, &format!("trace {ms}"), last)?;
    let mut recording = parse(&reply)
        .ok_or_else(|| format!("the reply of process {pid} is not understood: it is of another version"))?;
    recording.pid = pid;
    recording.program = process::command(pid);
    std::fs::write(out, write(&recording)).map_err(|error| format!("cannot write {}: {error}", out.display()))?;
    let (events, tasks, threads) = (recording.events.len(), recording.tasks.len(), recording.threads.len());
    let lost = match recording.lost {
        0 => String::new(),
        1 => " 1 older event was overwritten before it could be read.".to_owned(),
        lost => format!(" {lost} older events were overwritten before they could be read."),
    };
    // A poll has its event when it begins, so one that goes on all the time is missing.
    let hint = if tasks == 0 {
        format!(" No poll began meanwhile. `redd stack {pid}` shows those that go on.")
    } else {
        String::new()
    };
    let (events, tasks, threads) = (count(events, "event"), count(tasks, "task"), count(threads, "thread"));
    Ok(format!("{}: {events} of {tasks} and {threads}.{lost}{hint}\n", out.display()).into_bytes())
}

/// What writes a recording to a file with this ending.
fn writer_for(out: &std::path::Path) -> Result<fn(&Recording) -> Vec<u8>, String> {
    match out.extension().and_then(|ending| ending.to_str()) {
        Some("html") => Ok(|recording| timeline::write(recording).into_bytes()),
        Some("pftrace") => Ok(perfetto::write),
        _ => Err(format!("the name {} must end in .html, or in .pftrace for Perfetto", out.display())),
    }
}

/// A time such as `5s` or `200ms`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let number = |digits: &str| digits.parse::<u64>().ok();
    let time = match (text.strip_suffix("ms").and_then(number), text.strip_suffix('s').and_then(number)) {
        (Some(ms), _) => Duration::from_millis(ms),
        (None, Some(seconds)) => Duration::from_secs(seconds),
        (None, None) => return Err("a time is written as `5s` or `200ms`".to_owned()),
    };
    if time > LAST_MAX { Err("the longest time is 60s".to_owned()) } else { Ok(time) }
}

/// Longer recordings do not fit into the memory for them anyway.
const LAST_MAX: Duration = Duration::from_secs(60);

/// The bytes of an event.
const EVENT: usize = 16;
/// The bits of the number of a kind.
const KIND_BITS: u32 = 5;

/// An event before its parts are looked up.
#[derive(Clone, Copy)]
struct Raw {
    /// Ticks since the present of the process: below zero, or about zero.
    ticks: i64,
    thread: u32,
    kind: u8,
    argument: u64,
}

/// The recording in a reply, without the name of the process. `None` if it is malformed.
pub(crate) fn parse(reply: &[u8]) -> Option<Recording> {
    let end = reply.iter().position(|byte| *byte == b'\n')?;
    let head: Value = serde_json::from_slice(&reply[..end]).ok()?;
    if head["format"].as_str() != Some("redd-trace/1") {
        return None;
    }
    let (raw, lost) = events(&head, &reply[end + 1..])?;
    let names = names(&head, &raw)?;
    let ids = full_ids(&head, &raw);
    let rate = head["ticks_per_second"].as_f64().filter(|rate| rate.is_finite() && *rate >= 1.0)?;
    let ns = |ticks: i64| (ticks as f64 * 1e9 / rate) as i64;
    let first = raw.first().map_or(0, |event| event.ticks);
    let threads: Vec<u32> = names.keys().copied().collect();
    let mut events = Vec::with_capacity(raw.len());
    for event in &raw {
        let Some(what) = what(event, &ids) else { continue };
        let at_ns = u64::try_from(ns(event.ticks.saturating_sub(first))).unwrap_or_default();
        events.push(Event { at_ns, thread: threads.binary_search(&event.thread).ok()?, what });
    }
    Some(Recording {
        pid: 0,
        program: String::new(),
        started_unix_ns: head["unix_ns"].as_u64()?.saturating_add_signed(ns(first)),
        threads: names.into_iter().map(|(tid, name)| Thread { name, tid }).collect(),
        tasks: tasks(&head, &raw, &events),
        events,
        lost,
    })
}

/// The events of all rings in the order of their times, and how many were lost.
fn events(head: &Value, mut data: &[u8]) -> Option<(Vec<Raw>, u64)> {
    let now = head["ticks"].as_u64()?;
    let mut all = Vec::new();
    let mut lost = 0_u64;
    for ring in head["rings"].as_array()? {
        let bytes = usize::try_from(ring["events"].as_u64()?).ok()?.checked_mul(EVENT)?;
        let (of_ring, rest) = data.split_at_checked(bytes)?;
        data = rest;
        lost = lost.saturating_add(ring["lost"].as_u64()?);
        let (mut since, mut thread) = (None, None);
        for event in of_ring.chunks_exact(EVENT) {
            let word = |at: usize| Some(u64::from_le_bytes(event[at..at + 8].try_into().ok()?));
            let (first, argument) = (word(0)?, word(8)?);
            let kind = (first & ((1 << KIND_BITS) - 1)) as u8;
            let mask = !((1_u64 << KIND_BITS) - 1);
            // The word has lost the highest bits of the ticks; the sign of the difference brings them back.
            let ticks = (first & mask).wrapping_sub(now << KIND_BITS) as i64 >> KIND_BITS;
            if kind == THREAD {
                // A sleep that began earlier is shown from the first one on.
                since.get_or_insert(ticks);
                thread = Some(argument as u32);
                continue;
            }
            // Each ring begins with the thread that it belongs to.
            let (since, thread) = (since?, thread?);
            if kind == SLEEP {
                let slept = i64::try_from(argument >> COUNT_BITS).ok()?;
                let parked = ticks.saturating_sub(slept).max(since.min(ticks));
                all.push(Raw { ticks: parked, thread, kind: PARK, argument: 0 });
                all.push(Raw { ticks, thread, kind: UNPARK, argument: 0 });
                let count = argument & ((1 << COUNT_BITS) - 1);
                all.extend((count > 0).then_some(Raw { ticks, thread, kind: DRIVER_EVENTS, argument: count }));
            } else {
                all.push(Raw { ticks, thread, kind, argument });
            }
        }
    }
    // Events with the same time stay in the order of their ring.
    all.sort_by_key(|event| event.ticks);
    data.is_empty().then_some((all, lost))
}

// The numbers of the kinds, as in `observe::recorder::event`.
const THREAD: u8 = 1;
const PARK: u8 = 2;
const SLEEP: u8 = 3;
const DRIVER_EVENTS: u8 = 4;
const TIMERS_FIRED: u8 = 5;
const SHARED_BATCH: u8 = 6;
const STEAL: u8 = 7;
const CLOSURE_START: u8 = 8;
const CLOSURE_END: u8 = 9;
const LOCK_WAIT: u8 = 10;
const LOCK_GRANT: u8 = 11;
const LATE_POLL: u8 = 12;
const SPARE_STARTED: u8 = 13;
const PANIC: u8 = 14;
const SPAWN: u8 = 15;
const POLL_START: u8 = 16;
const POLL_END: u8 = 17;
const TASK_END: u8 = 18;
const WAKE: u8 = 19;
const SPAWNED_AT: u8 = 20;
/// The end of a sleep, which this program makes.
const UNPARK: u8 = 32;

/// The bits of the number of events beside the time that a worker has slept.
const COUNT_BITS: u32 = 16;

/// The threads that have events, with their names.
fn names(head: &Value, raw: &[Raw]) -> Option<BTreeMap<u32, String>> {
    let mut names: BTreeMap<u32, String> =
        raw.iter().map(|event| (event.thread, format!("thread {}", event.thread))).collect();
    for thread in head["threads"].as_array()? {
        let Some(id) = thread["id"].as_u64().and_then(|id| u32::try_from(id).ok()) else { continue };
        if let (Some(name), Some(known)) = (thread["name"].as_str(), names.get_mut(&id)) {
            name.clone_into(known);
        }
    }
    Some(names)
}

/// The ids that are known in full, by their low half. Pairs of tasks have only that.
fn full_ids(head: &Value, raw: &[Raw]) -> BTreeMap<u32, u64> {
    let described = head["tasks"].as_array().into_iter().flatten().filter_map(|task| task["id"].as_u64());
    let of_events = raw.iter().filter_map(|event| match event.kind {
        CLOSURE_START | CLOSURE_END | LOCK_WAIT | LATE_POLL | PANIC | POLL_START | POLL_END | TASK_END => {
            Some(event.argument)
        }
        _ => None,
    });
    described.chain(of_events).map(|id| (id as u32, id)).collect()
}

/// An event of this program's own type. `None` if its kind is of a later version, or says nothing here.
fn what(event: &Raw, ids: &BTreeMap<u32, u64>) -> Option<What> {
    let full = |low: u32| ids.get(&low).copied().unwrap_or(low.into());
    let argument = event.argument;
    let (first, second) = (full(argument as u32), full((argument >> 32) as u32));
    let by = Some(second).filter(|by| *by != 0);
    let of_task = |what: What| (argument != 0).then_some(what);
    Some(match event.kind {
        PARK => What::Park,
        UNPARK => What::Unpark,
        DRIVER_EVENTS => What::DriverEvents { count: argument },
        TIMERS_FIRED => What::TimersFired { count: argument },
        SHARED_BATCH => What::SharedBatch { count: argument },
        STEAL => What::Steal { count: argument },
        CLOSURE_START => What::ClosureStart { id: argument },
        CLOSURE_END => What::ClosureEnd { id: argument },
        LOCK_WAIT => return of_task(What::LockWait { task: argument }),
        LOCK_GRANT => return (first != 0).then_some(What::LockGrant { task: first, by }),
        LATE_POLL => What::LatePoll { task: argument },
        SPARE_STARTED => What::SpareStarted,
        PANIC => return of_task(What::Panic { task: argument }),
        SPAWN => What::Spawn { task: first, by },
        POLL_START => What::PollStart { task: argument },
        POLL_END => What::PollEnd { task: argument, has_ended: false },
        TASK_END => What::PollEnd { task: argument, has_ended: true },
        WAKE => What::Wake { task: first, by },
        _ => return None,
    })
}

/// The tasks that the events name: as the process describes them; or where they were spawned, for those that have ended.
fn tasks(head: &Value, raw: &[Raw], events: &[Event]) -> Vec<Task> {
    let mut tasks: BTreeMap<u64, Task> = BTreeMap::new();
    let mut named = BTreeSet::new();
    let mut parents = BTreeMap::new();
    for event in events {
        match event.what {
            What::Spawn { task, by } => {
                named.extend([Some(task), by].into_iter().flatten());
                parents.extend(by.map(|by| (task, by)));
            }
            What::Wake { task, by } | What::LockGrant { task, by } => {
                named.extend([Some(task), by].into_iter().flatten());
            }
            What::ClosureStart { id: task }
            | What::ClosureEnd { id: task }
            | What::PollStart { task }
            | What::PollEnd { task, .. }
            | What::LockWait { task }
            | What::LatePoll { task }
            | What::Panic { task } => drop(named.insert(task)),
            What::Park
            | What::Unpark
            | What::DriverEvents { .. }
            | What::TimersFired { .. }
            | What::SharedBatch { .. }
            | What::Steal { .. }
            | What::SpareStarted => {}
        }
    }
    named.remove(&0);
    for id in named {
        tasks.insert(id, Task { id, parent: parents.get(&id).copied(), ..Task::default() });
    }
    let mut ended = BTreeMap::new();
    for event in raw {
        match event.kind {
            TASK_END => drop(ended.insert(event.thread, event.argument)),
            SPAWNED_AT => {
                let location = usize::try_from(event.argument).ok().and_then(|index| head["locations"].get(index));
                let task = ended.remove(&event.thread).and_then(|id| tasks.get_mut(&id));
                if let (Some(location), Some(task)) = (location.and_then(Value::as_str), task) {
                    location.clone_into(&mut task.spawned_at);
                }
            }
            _ => {}
        }
    }
    for described in head["tasks"].as_array().into_iter().flatten() {
        let Some(task) = described["id"].as_u64().and_then(|id| tasks.get_mut(&id)) else { continue };
        task.name = described["name"].as_str().map(str::to_owned);
        task.parent = described["parent"].as_u64().or(task.parent);
        if let Some(location) = described["spawned_at"].as_str() {
            location.clone_into(&mut task.spawned_at);
        }
    }
    tasks.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 5_000_000;

    fn event(ticks: u64, kind: u8, argument: u64) -> Vec<u8> {
        [ticks << KIND_BITS | u64::from(kind), argument].into_iter().flat_map(u64::to_le_bytes).collect()
    }

    fn pair(first: u64, second: u64) -> u64 {
        u64::from(first as u32) | second << 32
    }

    /// Two threads, one with two rings, and three tasks: one has ended.
    fn reply() -> Vec<u8> {
        const ID: u64 = 7 << 32 | 1;
        let head = format!(
            r#"{{"format":"redd-trace/1","ticks":{NOW},"ticks_per_second":1000000000,"unix_ns":1000000000,"rings":[{{"events":2,"lost":0}},{{"events":6,"lost":4}},{{"events":4,"lost":0}}],"threads":[{{"id":10,"name":"worker"}},{{"id":11,"name":null}}],"tasks":[{{"id":{ID},"name":"a","spawned_at":"src/a.rs:1:2","parent":null}},{{"id":3,"name":null,"spawned_at":"src/b.rs:3:4","parent":{ID}}}],"locations":["src/c.rs:5:6"]}}"#
        );
        let events = [
            event(NOW - 1000, THREAD, 10),
            event(NOW - 600, SLEEP, 300 << COUNT_BITS | 3),
            event(NOW - 600, THREAD, 10),
            event(NOW - 500, POLL_START, ID),
            event(NOW - 400, WAKE, pair(3, ID)),
            event(NOW - 300, SPAWN, pair(4, ID)),
            event(NOW - 200, TASK_END, 4),
            event(NOW - 200, SPAWNED_AT, 0),
            event(NOW - 800, THREAD, 11),
            event(NOW - 700, DRIVER_EVENTS, 2),
            event(NOW + 5, LOCK_GRANT, pair(3, 0)),
            event(NOW + 6, 31, 9),
        ];
        [format!("{head}\n").into_bytes(), events.concat()].concat()
    }

    #[test]
    fn events_of_all_rings_come_in_order_with_their_threads_and_tasks() {
        const ID: u64 = 7 << 32 | 1;
        let recording = parse(&reply()).expect("it is well formed");
        let event = |at_ns, thread, what| Event { at_ns, thread, what };
        assert_eq!(
            recording.events,
            [
                event(0, 0, What::Park),
                event(200, 1, What::DriverEvents { count: 2 }),
                event(300, 0, What::Unpark),
                event(300, 0, What::DriverEvents { count: 3 }),
                event(400, 0, What::PollStart { task: ID }),
                event(500, 0, What::Wake { task: 3, by: Some(ID) }),
                event(600, 0, What::Spawn { task: 4, by: Some(ID) }),
                event(700, 0, What::PollEnd { task: 4, has_ended: true }),
                event(905, 1, What::LockGrant { task: 3, by: None }),
            ]
        );
        assert_eq!(recording.started_unix_ns, 1_000_000_000 - 900);
        assert_eq!(recording.lost, 4);
        let threads: Vec<_> = recording.threads.iter().map(|thread| (&*thread.name, thread.tid)).collect();
        assert_eq!(threads, [("worker", 10), ("thread 11", 11)]);
        let task = |id, name: Option<&str>, at: &str, parent| Task {
            id,
            name: name.map(str::to_owned),
            spawned_at: at.to_owned(),
            parent,
        };
        assert_eq!(
            recording.tasks,
            [
                task(3, None, "src/b.rs:3:4", Some(ID)),
                task(4, None, "src/c.rs:5:6", Some(ID)),
                task(ID, Some("a"), "src/a.rs:1:2", None),
            ]
        );
    }

    #[test]
    fn a_reply_that_is_cut_off_or_too_long_is_an_error() {
        let whole = reply();
        for len in 0..whole.len() {
            assert_eq!(parse(&whole[..len]), None, "{len}");
        }
        assert_eq!(parse(&[&whole[..], b"x"].concat()), None);
    }

    #[test]
    fn no_bytes_make_the_parser_panic() {
        let whole = reply();
        let mut state = 88172645463325252_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let mut understood = 0;
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..=random(4) {
                if bytes.is_empty() {
                    break;
                }
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] = random(256) as u8,
                    1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, b"0123456789-e.,{}[]\"null\n"[random(24)]),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            understood += usize::from(parse(&bytes).is_some());
        }
        assert!(understood > 0, "some changes leave it well formed");
    }

    #[test]
    fn times_have_a_unit_and_an_end() {
        assert_eq!(time("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(time("0s"), Ok(Duration::ZERO));
        assert_eq!(time("200ms"), Ok(Duration::from_millis(200)));
        for text in ["", "5", "s", "-1s", "1.5s", "61s", "99999999999999999999s"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
