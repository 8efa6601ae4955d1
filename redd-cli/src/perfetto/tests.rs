//! Traces, read back by a reader that knows the format of protocol buffers and nothing of the writer.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::*;
use crate::schedule::tests::recording;

/// The value of a field.
#[derive(Clone, Debug)]
enum Read {
    Number(u64),
    Bytes(Vec<u8>),
}

/// The fields of a message, in their order.
#[derive(Clone, Debug)]
struct Fields(Vec<(u32, Read)>);

impl Fields {
    fn of(mut bytes: &[u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let value = match key & 7 {
                0 => Read::Number(varint(&mut bytes)),
                1 => {
                    let (value, rest) = bytes.split_first_chunk::<8>().expect("eight bytes");
                    bytes = rest;
                    Read::Number(u64::from_le_bytes(*value))
                }
                2 => {
                    let length = varint(&mut bytes) as usize;
                    let (value, rest) = bytes.split_at(length);
                    bytes = rest;
                    Read::Bytes(value.to_vec())
                }
                kind => panic!("no field is of kind {kind}"),
            };
            fields.push(((key >> 3) as u32, value));
        }
        Self(fields)
    }

    fn all(&self, field: u32) -> impl Iterator<Item = &Read> {
        self.0.iter().filter(move |(number, _)| *number == field).map(|(_, value)| value)
    }

    fn number(&self, field: u32) -> Option<u64> {
        let mut numbers = self.all(field).map(|value| match value {
            Read::Number(number) => *number,
            Read::Bytes(_) => panic!("field {field} is a number"),
        });
        let first = numbers.next();
        assert!(numbers.next().is_none(), "field {field} occurs once");
        first
    }

    fn messages(&self, field: u32) -> Vec<Self> {
        let read = |value: &Read| match value {
            Read::Bytes(bytes) => Self::of(bytes),
            Read::Number(_) => panic!("field {field} is a message"),
        };
        self.all(field).map(read).collect()
    }

    fn message(&self, field: u32) -> Option<Self> {
        self.messages(field).pop()
    }

    fn text(&self, field: u32) -> Option<String> {
        self.all(field).next().map(|value| match value {
            Read::Bytes(bytes) => String::from_utf8(bytes.clone()).expect("a text"),
            Read::Number(_) => panic!("field {field} is a text"),
        })
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = bytes.split_first().expect("a byte");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// A slice of a track.
#[derive(Debug, PartialEq)]
struct Slice {
    track: u64,
    name: String,
    from_ns: u64,
    to_ns: u64,
    depth: usize,
}

/// What a reader of the trace finds.
#[derive(Debug, Default)]
struct Trace {
    /// Names by tracks.
    threads: BTreeMap<u64, String>,
    slices: Vec<Slice>,
    instants: Vec<(u64, u64, String)>,
    /// Where each arrow starts and ends: track, time.
    flows: BTreeMap<u64, Vec<(bool, u64, u64)>>,
    counts: BTreeMap<u64, Vec<(u64, u64)>>,
    annotations: BTreeSet<String>,
    program: String,
    started: Option<u64>,
}

/// Reads a trace and checks what holds for each.
fn read(bytes: &[u8]) -> Trace {
    let mut trace = Trace::default();
    let mut tracks = BTreeSet::new();
    let mut names = HashMap::new();
    let mut open: HashMap<u64, Vec<Slice>> = HashMap::new();
    let mut last = 0;
    for (index, packet) in Fields::of(bytes).messages(1).iter().enumerate() {
        assert_eq!(packet.number(10), Some(1), "each packet is of the one sequence");
        assert_eq!(packet.number(13).is_some_and(|flags| flags & 1 == 1), index == 0, "state is cleared once");
        if let Some(snapshot) = packet.message(6) {
            let clocks: Vec<_> = snapshot.messages(1).iter().map(|clock| (clock.number(1), clock.number(2))).collect();
            assert_eq!((clocks[0], snapshot.number(2)), ((Some(6), Some(0)), Some(6)));
            assert_eq!(clocks[1].0, Some(1));
            trace.started = clocks[1].1;
        }
        if let Some(track) = packet.message(60) {
            assert!(tracks.insert(track.number(1).expect("an id")), "each track has one description");
            if let Some(process) = track.message(3) {
                trace.program = process.text(6).expect("a name");
                assert_eq!(track.number(1), Some(1));
            } else {
                assert_eq!(track.number(5), Some(1), "it is of the process");
            }
            if let Some(thread) = track.message(4) {
                assert_eq!(thread.number(1), Some(99));
                trace.threads.insert(track.number(1).expect("an id"), thread.text(5).expect("a name"));
            }
        }
        for name in packet.messages(12).iter().flat_map(|data| data.messages(2)) {
            assert!(names.insert(name.number(1).expect("an id"), name.text(2).expect("a name")).is_none());
        }
        let Some(event) = packet.message(11) else { continue };
        let at = packet.number(8).expect("a time");
        assert!(at >= last, "the times never go back, of no track");
        last = at;
        assert_eq!(packet.number(58), Some(6), "the clock that the snapshot names");
        let track = event.number(11).expect("a track");
        assert!(tracks.contains(&track), "a track is described before it is used");
        for (field, is_end) in [(47, false), (48, true)] {
            if let Some(id) = event.number(field) {
                trace.flows.entry(id).or_default().push((is_end, track, at));
            }
        }
        let annotations = event.messages(4).into_iter().filter_map(|annotation| annotation.text(10));
        trace.annotations.extend(annotations);
        let open = open.entry(track).or_default();
        match event.number(9) {
            Some(1) => {
                let name = names.get(&event.number(10).expect("a name")).expect("it was introduced").clone();
                open.push(Slice { track, name, from_ns: at, to_ns: at, depth: open.len() });
            }
            Some(2) => {
                let begun = open.pop().expect("`ends-match`: an end has its begin");
                trace.slices.push(Slice { to_ns: at, ..begun });
            }
            Some(3) => trace.instants.push((track, at, event.text(23).expect("a name"))),
            Some(4) => trace.counts.entry(track).or_default().push((at, event.number(30).expect("a value"))),
            other => panic!("no event is of type {other:?}"),
        }
    }
    assert!(open.values().all(Vec::is_empty), "`ends-match`: each begin has its end");
    for (id, ends) in &trace.flows {
        let sides: Vec<_> = ends.iter().map(|(is_end, ..)| *is_end).collect();
        assert_eq!(sides, [false, true], "`flow-pairs`: {id}");
    }
    trace.slices.sort_by_key(|slice| (slice.track, slice.from_ns, slice.depth));
    trace
}

/// The slices of the trace are the spans of the schedule, and the arrows those from causes and waits for locks.
fn assert_agrees(recording: &Recording) -> Trace {
    let (trace, schedule) = (read(&write(recording)), Schedule::of(recording));
    let label = |id: u64| schedule.tasks.iter().find(|task| task.id == id).expect("a task").label();
    let expected = schedule.spans.iter().map(|span| Slice {
        track: 16 + span.thread as u64,
        name: match span.kind {
            SpanKind::Poll | SpanKind::Closure => label(span.id),
            SpanKind::Park => "parked".to_owned(),
        },
        from_ns: span.from_ns,
        to_ns: span.to_ns,
        depth: span.depth,
    });
    assert_eq!(trace.slices, expected.collect::<Vec<_>>());
    let answered = schedule.causes.iter().filter_map(|cause| Some((cause, &schedule.spans[cause.poll?])));
    let mut flows: Vec<_> = answered
        .map(|(cause, poll)| (16 + cause.thread as u64, cause.at_ns, 16 + poll.thread as u64, poll.from_ns))
        .collect();
    flows.extend(schedule.lock_waits.iter().filter_map(|wait| {
        let (at, thread, _) = wait.grant?;
        Some((16 + wait.thread as u64, wait.from_ns, 16 + thread as u64, at))
    }));
    let mut found: Vec<_> = trace.flows.values().map(|ends| (ends[0].1, ends[0].2, ends[1].1, ends[1].2)).collect();
    flows.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, flows);
    trace
}

#[test]
fn a_trace_has_slices_arrows_instants_and_counters() {
    let trace = assert_agrees(&recording(&[
        (0, 0, What::Spawn { task: 2, by: Some(1) }),
        (5, 1, What::PollStart { task: 2 }),
        (6, 1, What::LockWait { task: 2 }),
        (9, 1, What::PollEnd { task: 2, has_ended: false }),
        (10, 1, What::Park),
        (15, 0, What::LockGrant { task: 2, by: Some(1) }),
        (20, 0, What::Wake { task: 2, by: Some(1) }),
        (25, 2, What::ClosureStart { id: 5 }),
        (30, 1, What::Unpark),
        (30, 1, What::DriverEvents { count: 4 }),
        (31, 1, What::TimersFired { count: 3 }),
        (32, 1, What::PollStart { task: 2 }),
        (33, 0, What::LatePoll { task: 2 }),
        (34, 1, What::Panic { task: 2 }),
        (35, 1, What::PollEnd { task: 2, has_ended: true }),
        (36, 0, What::SpareStarted),
        (37, 0, What::Steal { count: 2 }),
        (38, 0, What::SharedBatch { count: 9 }),
        (39, 0, What::LatePoll { task: 0 }),
    ]));
    assert_eq!(trace.program, "a");
    assert_eq!(trace.threads.values().collect::<Vec<_>>(), ["worker-0", "worker-1", "worker-2"]);
    let instants: Vec<_> = trace.instants.iter().map(|(_, at, name)| (*at, name.as_str())).collect();
    assert_eq!(
        instants,
        [
            (0, "spawn task 2"),
            (6, "task 2 waits for a lock"),
            (15, "task 2 gets the lock"),
            (20, "wake task 2"),
            (33, "late poll of task 2"),
            (34, "panic in task 2"),
            (36, "spare worker starts"),
            (37, "tasks from another worker"),
            (38, "tasks from the shared queue"),
            (39, "late poll of the future of block_on"),
        ]
    );
    assert!(trace.slices.iter().any(|slice| slice.name == "closure 5" && slice.from_ns == 25 && slice.to_ns == 39));
    let counts: Vec<_> = trace.counts.into_iter().collect();
    assert_eq!(counts[0], (2, vec![(0, 1), (5, 0), (20, 1), (32, 0)]), "tasks that wait to run");
    assert_eq!(counts[1..], [(3, vec![(30, 4)]), (4, vec![(31, 3)])]);
    for name in ["task", "by task", "spawned at", "queued ns", "waited ns", "not recorded"] {
        assert!(trace.annotations.contains(name), "{name}: {:?}", trace.annotations);
    }
}

#[test]
fn an_empty_recording_is_a_trace_without_events() {
    let trace = read(&write(&Recording { started_unix_ns: 1_790_000_000_123_456_789, ..Recording::default() }));
    assert_eq!(trace.started, Some(1_790_000_000_123_456_789));
    assert!(trace.slices.is_empty() && trace.instants.is_empty() && trace.flows.is_empty());
}

#[test]
fn lost_events_unfinished_polls_and_ties_are_in_the_trace() {
    let mut recording = recording(&[
        (0, 2, What::Unpark),
        (3, 0, What::PollEnd { task: 1, has_ended: false }),
        (7, 0, What::PollStart { task: 2 }),
        (7, 1, What::Wake { task: 2, by: None }),
        (7, 0, What::PollEnd { task: 2, has_ended: false }),
        (7, 0, What::PollStart { task: 3 }),
    ]);
    recording.lost = 12;
    let trace = assert_agrees(&recording);
    assert_eq!(trace.instants[0].2, "12 events were overwritten before they could be read");
    assert_eq!(trace.flows.len(), 1, "the wake comes first, although its event is the later one");
}

#[test]
fn names_are_texts_of_any_content() {
    let mut recording =
        recording(&[(0, 0, What::PollStart { task: 1 }), (1, 0, What::PollEnd { task: 1, has_ended: true })]);
    let name = crate::page::tests::HOSTILE;
    recording.tasks[0].name = Some(name.to_owned());
    recording.threads[0].name = name.to_owned();
    let trace = assert_agrees(&recording);
    assert_eq!((trace.slices[0].name.as_str(), trace.threads[&16].as_str()), (name, name));
}

#[test]
fn a_played_recording_agrees_with_its_schedule() {
    let mut recording = crate::example::recording(20_000);
    recording.pid = 99;
    let trace = assert_agrees(&recording);
    assert!(trace.flows.len() > 3_000 && trace.counts[&2].len() > 3_000);
    assert!(trace.slices.iter().any(|slice| slice.name == "compaction"));
}

#[test]
fn numbers_are_written_in_groups_of_seven_bits() {
    for (value, bytes) in [(0, &[0][..]), (1, &[1]), (127, &[127]), (128, &[0x80, 1]), (300, &[0xac, 2])] {
        let mut message = Message::default();
        message.varint(value);
        assert_eq!(message.0, bytes);
    }
    let mut message = Message::default();
    message.varint(u64::MAX);
    assert_eq!((message.0.len(), varint(&mut message.0.as_slice())), (10, u64::MAX));
}
