//! A recording as a trace that Perfetto reads: a track for each thread, arrows from wakes to polls, counters.
//!
//! Called for `redd trace`. The messages and the numbers of their fields are those of Perfetto's public files, of the folder
//! protos/perfetto/trace: its packets, its snapshots of clocks, its interned data, and its track events.
//!
//! Times are those of the recording, in the clock that Perfetto shows by default. A snapshot of the clocks says what time of day it
//! was at the first event.
//!
//! # Invariants
//! - `ends-match`: an end of a slice has no name and closes the last open slice of its track, so the spans of a thread are written
//!   as they are nested.
//! - `flow-pairs`: each arrow has an id of its own, which one event starts and one later event ends.

use std::collections::HashMap;

use crate::recording::{Recording, What};
use crate::schedule::{Schedule, Span, SpanKind};

// The fields of `Trace` and `TracePacket`.
const PACKET: u32 = 1;
const CLOCK_SNAPSHOT: u32 = 6;
const TIMESTAMP: u32 = 8;
const SEQUENCE_ID: u32 = 10;
const TRACK_EVENT: u32 = 11;
const INTERNED_DATA: u32 = 12;
const SEQUENCE_FLAGS: u32 = 13;
const TIMESTAMP_CLOCK: u32 = 58;
const TRACK_DESCRIPTOR: u32 = 60;

// The fields of `ClockSnapshot` and its `Clock`.
const CLOCKS: u32 = 1;
const PRIMARY_CLOCK: u32 = 2;
const CLOCK_ID: u32 = 1;
const CLOCK_TIME: u32 = 2;

// The values of `BuiltinClock`.
const REAL_TIME: u64 = 1;
/// The clock of a trace unless it says otherwise.
const BOOT_TIME: u64 = 6;

// The fields of `TrackDescriptor`, `ProcessDescriptor`, `ThreadDescriptor` and `CounterDescriptor`.
const TRACK_UUID: u32 = 1;
const TRACK_NAME: u32 = 2;
const TRACK_PROCESS: u32 = 3;
const TRACK_THREAD: u32 = 4;
const TRACK_PARENT: u32 = 5;
const TRACK_COUNTER: u32 = 8;
const PROCESS_PID: u32 = 1;
const PROCESS_NAME: u32 = 6;
const THREAD_PID: u32 = 1;
const THREAD_TID: u32 = 2;
const THREAD_NAME: u32 = 5;
const COUNTER_UNIT: u32 = 3;
const UNIT_COUNT: u64 = 2;

// The fields of `TrackEvent`.
const EVENT_ANNOTATION: u32 = 4;
const EVENT_TYPE: u32 = 9;
const EVENT_NAME_ID: u32 = 10;
const EVENT_TRACK: u32 = 11;
const EVENT_CATEGORY: u32 = 22;
const EVENT_NAME: u32 = 23;
const EVENT_COUNTER_VALUE: u32 = 30;
const EVENT_FLOW: u32 = 47;
const EVENT_FLOW_END: u32 = 48;

// The values of its `Type`.
const SLICE_BEGIN: u64 = 1;
const SLICE_END: u64 = 2;
const INSTANT: u64 = 3;
const COUNTER: u64 = 4;

// The fields of `DebugAnnotation`, `InternedData` and `EventName`.
const ANNOTATION_NUMBER: u32 = 3;
const ANNOTATION_TEXT: u32 = 6;
const ANNOTATION_NAME: u32 = 10;
const INTERNED_NAMES: u32 = 2;
const NAME_ID: u32 = 1;
const NAME_TEXT: u32 = 2;

/// All packets are of one sequence.
const SEQUENCE: u64 = 1;
/// The flags of the first packet, which forgets names of before, and of those that use names.
const STATE_CLEARED: u64 = 1;
const NEEDS_STATE: u64 = 2;

/// The tracks that are not of threads.
const PROCESS_TRACK: u64 = 1;
const QUEUED: u64 = 2;
const DRIVER_EVENTS: u64 = 3;
const TIMERS_FIRED: u64 = 4;
const COUNTERS: [(u64, &str); 3] =
    [(QUEUED, "tasks that wait to run"), (DRIVER_EVENTS, "events of the driver"), (TIMERS_FIRED, "timers that fired")];
const FIRST_THREAD_TRACK: u64 = 16;

/// Makes the bytes of the trace.
pub(crate) fn write(recording: &Recording) -> Vec<u8> {
    let schedule = Schedule::of(recording);
    let mut writer = Writer::new(recording, &schedule);
    writer.write_start();
    writer.write_tracks();
    let mut entries = writer.instants();
    entries.extend(writer.slices());
    entries.extend(writer.queued_counts());
    // Stable. At the same nanosecond an instant comes first, so that it starts its arrow before a poll ends it (`flow-pairs`).
    entries.sort_by_key(|entry| entry.at_ns);
    entries.iter().for_each(|entry| writer.write_event(entry));
    writer.out.0
}

/// One event of a track.
struct Entry<'a> {
    at_ns: u64,
    track: u64,
    content: Content<'a>,
}

enum Content<'a> {
    Begin(&'a Span),
    End,
    Instant { name: String, category: &'static str, flow: Option<Flow>, numbers: Vec<(&'static str, u64)> },
    Count(u64),
}

#[derive(Clone, Copy)]
enum Flow {
    Starts(u64),
    Ends(u64),
}

struct Writer<'a> {
    out: Message,
    recording: &'a Recording,
    schedule: &'a Schedule,
    /// The index of each task among those of the schedule.
    tasks: HashMap<u64, usize>,
    /// The names that packets before have introduced.
    names: HashMap<String, u64>,
}

impl<'a> Writer<'a> {
    fn new(recording: &'a Recording, schedule: &'a Schedule) -> Self {
        let tasks = schedule.tasks.iter().enumerate().map(|(index, task)| (task.id, index)).collect();
        Self { out: Message::default(), recording, schedule, tasks, names: HashMap::new() }
    }

    fn packet(&mut self, fill: impl FnOnce(&mut Message)) {
        self.out.message(PACKET, |packet| {
            packet.number(SEQUENCE_ID, SEQUENCE);
            fill(packet);
        });
    }

    fn write_start(&mut self) {
        let started = self.recording.started_unix_ns;
        self.packet(|packet| {
            packet.number(SEQUENCE_FLAGS, STATE_CLEARED);
            packet.message(CLOCK_SNAPSHOT, |snapshot| {
                for (clock, time) in [(BOOT_TIME, 0), (REAL_TIME, started)] {
                    snapshot.message(CLOCKS, |message| {
                        message.number(CLOCK_ID, clock);
                        message.number(CLOCK_TIME, time);
                    });
                }
                snapshot.number(PRIMARY_CLOCK, BOOT_TIME);
            });
        });
    }

    fn write_tracks(&mut self) {
        let Recording { pid, program, threads, .. } = self.recording;
        let pid = u64::from(*pid);
        self.packet(|packet| {
            packet.message(TRACK_DESCRIPTOR, |track| {
                track.number(TRACK_UUID, PROCESS_TRACK);
                track.message(TRACK_PROCESS, |process| {
                    process.number(PROCESS_PID, pid);
                    process.text(PROCESS_NAME, program);
                });
            });
        });
        for (index, thread) in threads.iter().enumerate() {
            self.packet(|packet| {
                packet.message(TRACK_DESCRIPTOR, |track| {
                    track.number(TRACK_UUID, track_of(index));
                    track.number(TRACK_PARENT, PROCESS_TRACK);
                    track.message(TRACK_THREAD, |message| {
                        message.number(THREAD_PID, pid);
                        message.number(THREAD_TID, u64::from(thread.tid));
                        message.text(THREAD_NAME, &thread.name);
                    });
                });
            });
        }
        for (uuid, name) in COUNTERS {
            self.packet(|packet| {
                packet.message(TRACK_DESCRIPTOR, |track| {
                    track.number(TRACK_UUID, uuid);
                    track.text(TRACK_NAME, name);
                    track.number(TRACK_PARENT, PROCESS_TRACK);
                    track.message(TRACK_COUNTER, |counter| counter.number(COUNTER_UNIT, UNIT_COUNT));
                });
            });
        }
    }

    /// The begins and ends of the spans, of each thread in its order (`ends-match`).
    fn slices(&self) -> Vec<Entry<'a>> {
        let mut entries = Vec::with_capacity(2 * self.schedule.spans.len());
        let mut open: Vec<&Span> = Vec::new();
        let close = |entries: &mut Vec<Entry<'a>>, span: &Span| {
            entries.push(Entry { at_ns: span.to_ns, track: track_of(span.thread), content: Content::End });
        };
        for span in &self.schedule.spans {
            let around = open.last().filter(|last| last.thread == span.thread).map_or(0, |_| span.depth);
            while let Some(last) = (open.len() > around).then(|| open.pop()).flatten() {
                close(&mut entries, last);
            }
            let track = track_of(span.thread);
            entries.push(Entry { at_ns: span.from_ns, track, content: Content::Begin(span) });
            open.push(span);
        }
        while let Some(last) = open.pop() {
            close(&mut entries, last);
        }
        entries
    }

    /// What happened at one moment, with the starts of the arrows, and the counters that the events give.
    fn instants(&self) -> Vec<Entry<'a>> {
        let mut entries = Vec::new();
        let lost = self.recording.lost;
        if lost > 0 {
            let name = match lost {
                1 => "1 event was overwritten before it could be read".to_owned(),
                _ => format!("{lost} events were overwritten before they could be read"),
            };
            entries.push(instant(0, PROCESS_TRACK, name, "recorder", None, vec![("lost", lost)]));
        }
        for (index, cause) in self.schedule.causes.iter().enumerate() {
            let flow = cause.poll.map(|_| Flow::Starts(flow_of_cause(index)));
            let (verb, category) = if cause.is_spawn { ("spawn", "spawn") } else { ("wake", "wake") };
            let mut numbers = vec![("task", cause.task)];
            numbers.extend(cause.by.map(|by| ("by task", by)));
            let name = format!("{verb} {}", self.label(cause.task));
            entries.push(instant(cause.at_ns, track_of(cause.thread), name, category, flow, numbers));
        }
        for (index, wait) in self.schedule.lock_waits.iter().enumerate() {
            let id = flow_of_lock(self.schedule, index);
            let flow = wait.grant.map(|_| Flow::Starts(id));
            let name = format!("{} waits for a lock", self.label(wait.task));
            let numbers = vec![("task", wait.task)];
            entries.push(instant(wait.from_ns, track_of(wait.thread), name, "lock", flow, numbers));
            if let Some((at_ns, thread, by)) = wait.grant {
                let mut numbers = vec![("task", wait.task), ("waited ns", at_ns.saturating_sub(wait.from_ns))];
                numbers.extend(by.map(|by| ("by task", by)));
                let name = format!("{} gets the lock", self.label(wait.task));
                entries.push(instant(at_ns, track_of(thread), name, "lock", Some(Flow::Ends(id)), numbers));
            }
        }
        entries.extend(self.recording.events.iter().filter_map(|event| {
            let (name, category, number) = match event.what {
                What::LatePoll { task } => (format!("late poll of {}", self.label(task)), "late", ("task", task)),
                What::Panic { task } => (format!("panic in {}", self.label(task)), "panic", ("task", task)),
                What::SpareStarted => ("spare worker starts".to_owned(), "scheduler", ("spares", 1)),
                What::SharedBatch { count } => {
                    ("tasks from the shared queue".to_owned(), "scheduler", ("tasks", count))
                }
                What::Steal { count } => ("tasks from another worker".to_owned(), "scheduler", ("tasks", count)),
                What::DriverEvents { count } => return Some(counted(event.at_ns, DRIVER_EVENTS, count)),
                What::TimersFired { count } => return Some(counted(event.at_ns, TIMERS_FIRED, count)),
                What::Spawn { .. }
                | What::PollStart { .. }
                | What::PollEnd { .. }
                | What::Wake { .. }
                | What::Park
                | What::Unpark
                | What::ClosureStart { .. }
                | What::ClosureEnd { .. }
                | What::LockWait { .. }
                | What::LockGrant { .. } => return None,
            };
            Some(instant(event.at_ns, track_of(event.thread), name, category, None, vec![number]))
        }));
        entries
    }

    /// How many tasks were queued, whenever it changes.
    fn queued_counts(&self) -> Vec<Entry<'a>> {
        let answered = self.schedule.causes.iter().filter_map(|cause| Some((cause.at_ns, cause.poll?)));
        let mut changes: Vec<(u64, i64)> =
            answered.flat_map(|(from_ns, poll)| [(from_ns, 1), (self.schedule.spans[poll].from_ns, -1)]).collect();
        changes.sort_unstable_by_key(|(at_ns, _)| *at_ns);
        let mut count = 0_i64;
        changes
            .chunk_by(|(before, _), (after, _)| before == after)
            .map(|chunk| {
                count += chunk.iter().map(|(_, change)| change).sum::<i64>();
                // A task is queued before it is polled, so there is no less than none.
                counted(chunk[0].0, QUEUED, count.unsigned_abs())
            })
            .collect()
    }

    fn write_event(&mut self, entry: &Entry<'_>) {
        let new_name = match &entry.content {
            Content::Begin(span) => {
                let name = self.slice_name(span);
                let next = self.names.len() as u64 + 1;
                let id = *self.names.entry(name.clone()).or_insert(next);
                Some((id, (id == next).then_some(name)))
            }
            Content::End | Content::Instant { .. } | Content::Count(_) => None,
        };
        let annotations = self.annotations(entry);
        self.packet(|packet| {
            packet.number(TIMESTAMP, entry.at_ns);
            packet.number(TIMESTAMP_CLOCK, BOOT_TIME);
            packet.number(SEQUENCE_FLAGS, NEEDS_STATE);
            if let Some((id, Some(name))) = &new_name {
                packet.message(INTERNED_DATA, |data| {
                    data.message(INTERNED_NAMES, |message| {
                        message.number(NAME_ID, *id);
                        message.text(NAME_TEXT, name);
                    });
                });
            }
            packet.message(TRACK_EVENT, |event| {
                event.number(EVENT_TRACK, entry.track);
                match &entry.content {
                    Content::Begin(span) => {
                        event.number(EVENT_TYPE, SLICE_BEGIN);
                        event.text(EVENT_CATEGORY, category(span.kind));
                        event.number(EVENT_NAME_ID, new_name.map_or(0, |(id, _)| id));
                        if let Some(cause) = span.cause {
                            event.fixed(EVENT_FLOW_END, flow_of_cause(cause));
                        }
                    }
                    Content::End => event.number(EVENT_TYPE, SLICE_END),
                    Content::Instant { name, category, flow, .. } => {
                        event.number(EVENT_TYPE, INSTANT);
                        event.text(EVENT_CATEGORY, category);
                        event.text(EVENT_NAME, name);
                        match flow {
                            Some(Flow::Starts(id)) => event.fixed(EVENT_FLOW, *id),
                            Some(Flow::Ends(id)) => event.fixed(EVENT_FLOW_END, *id),
                            None => {}
                        }
                    }
                    Content::Count(value) => {
                        event.number(EVENT_TYPE, COUNTER);
                        event.number(EVENT_COUNTER_VALUE, *value);
                    }
                }
                for (name, value) in annotations {
                    event.message(EVENT_ANNOTATION, |annotation| {
                        annotation.text(ANNOTATION_NAME, name);
                        match value {
                            Value::Number(number) => annotation.number(ANNOTATION_NUMBER, number),
                            Value::Text(text) => annotation.text(ANNOTATION_TEXT, text),
                        }
                    });
                }
            });
        });
    }

    fn annotations(&self, entry: &Entry<'_>) -> Vec<(&'static str, Value<'a>)> {
        let span = match &entry.content {
            Content::Instant { numbers, .. } => {
                return numbers.iter().map(|&(name, number)| (name, Value::Number(number))).collect();
            }
            Content::Begin(span) => span,
            Content::End | Content::Count(_) => return Vec::new(),
        };
        let mut annotations = Vec::new();
        match span.kind {
            SpanKind::Park => {}
            SpanKind::Closure | SpanKind::Poll => {
                annotations.push(("task", Value::Number(span.id)));
                let task = self.tasks.get(&span.id).map(|index| &self.schedule.tasks[*index]);
                if let Some(task) = task.filter(|task| !task.spawned_at.is_empty()) {
                    annotations.push(("spawned at", Value::Text(&task.spawned_at)));
                }
                if let Some(cause) = span.cause {
                    let waited = span.from_ns.saturating_sub(self.schedule.causes[cause].at_ns);
                    annotations.push(("queued ns", Value::Number(waited)));
                }
            }
        }
        for (is_missing, text) in [(!span.has_start, "start"), (!span.has_end, "end")] {
            if is_missing {
                annotations.push(("not recorded", Value::Text(text)));
            }
        }
        annotations
    }

    fn slice_name(&self, span: &Span) -> String {
        match span.kind {
            SpanKind::Closure | SpanKind::Poll => self.label(span.id),
            SpanKind::Park => "parked".to_owned(),
        }
    }

    fn label(&self, task: u64) -> String {
        match self.tasks.get(&task) {
            Some(index) => self.schedule.tasks[*index].label(),
            None if task == 0 => "the future of block_on".to_owned(),
            None => format!("task {task}"),
        }
    }
}

enum Value<'a> {
    Number(u64),
    Text(&'a str),
}

fn track_of(thread: usize) -> u64 {
    FIRST_THREAD_TRACK + thread as u64
}

/// `flow-pairs`: those of locks come behind those of causes.
fn flow_of_cause(index: usize) -> u64 {
    1 + index as u64
}

fn flow_of_lock(schedule: &Schedule, index: usize) -> u64 {
    flow_of_cause(schedule.causes.len() + index)
}

fn instant<'a>(
    at_ns: u64,
    track: u64,
    name: String,
    category: &'static str,
    flow: Option<Flow>,
    numbers: Vec<(&'static str, u64)>,
) -> Entry<'a> {
    Entry { at_ns, track, content: Content::Instant { name, category, flow, numbers } }
}

fn counted<'a>(at_ns: u64, track: u64, value: u64) -> Entry<'a> {
    Entry { at_ns, track, content: Content::Count(value) }
}

fn category(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Poll => "poll",
        SpanKind::Park => "park",
        SpanKind::Closure => "closure",
    }
}

/// A message in the binary format of protocol buffers.
#[derive(Default)]
struct Message(Vec<u8>);

// The kinds of fields.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH: u64 = 2;

impl Message {
    /// Seven bits in each byte, the lowest first; the highest bit says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u32, kind: u64) {
        self.varint(u64::from(field) << 3 | kind);
    }

    fn number(&mut self, field: u32, value: u64) {
        self.key(field, VARINT);
        self.varint(value);
    }

    fn fixed(&mut self, field: u32, value: u64) {
        self.key(field, FIXED_64);
        self.0.extend(value.to_le_bytes());
    }

    fn text(&mut self, field: u32, text: &str) {
        self.key(field, LENGTH);
        self.varint(text.len() as u64);
        self.0.extend(text.as_bytes());
    }

    fn message(&mut self, field: u32, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.key(field, LENGTH);
        self.varint(inner.0.len() as u64);
        self.0.extend(inner.0);
    }
}

#[cfg(test)]
#[path = "perfetto/tests.rs"]
mod tests;
