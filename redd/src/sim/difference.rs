//! Events as text: the last ones of a run, and the first one in which two runs of one seed differ.
//!
//! Called by `Report` and `told`.

use std::fmt::Write as _;
use std::time::Duration;

use crate::disk::Operation;
use crate::primitives::baton::{Event, EventKind, Record};
use crate::primitives::count::{PlainCount, bytes};

/// How many events before the difference are shown.
const BEFORE: usize = 5;
/// How many events a failed run shows.
const LAST: usize = 20;

/// Describes the first difference, if there is one.
pub(super) fn difference(one: &Record, other: &Record) -> Option<String> {
    let equal = one.events.iter().zip(&other.events).take_while(|(one, other)| one == other).count();
    if equal == one.events.len() && equal == other.events.len() {
        return None;
    }
    let mut text = format!("the runs differ from event {equal} on.\nBefore it:\n");
    for event in &one.events[equal.saturating_sub(BEFORE)..equal] {
        let _ = writeln!(text, "  {}", describe(one, event));
    }
    for (name, record) in [("one", one), ("other", other)] {
        let event =
            record.events.get(equal).map_or("nothing: it has ended".to_owned(), |event| describe(record, event));
        let _ = writeln!(text, "In the {name} run:\n  {event}");
    }
    Some(text)
}

/// The last events, one on each line. Empty if none are kept.
pub(super) fn last_events(record: &Record) -> String {
    let from = record.events.len().saturating_sub(LAST);
    record.events[from..].iter().map(|event| format!("  {}\n", describe(record, event))).collect()
}

/// The name of a packet's kind.
fn packet(kind: u32) -> &'static str {
    const NAMES: [&str; 12] = [
        "a SYN",
        "a SYN-ACK",
        "an ACK of a SYN-ACK",
        "data",
        "a FIN",
        "an ACK",
        "a probe",
        "a reset",
        "a timer",
        "a datagram",
        "a report of an unreachable port",
        "bytes",
    ];
    kind.checked_sub(1).and_then(|kind| NAMES.get(kind as usize)).unwrap_or(&"a packet")
}

/// What the network has done to a packet or a socket.
fn fault(number: u32, kind: u32) -> String {
    let packet = packet(kind);
    match number {
        1 => format!("{packet} lost by the link"),
        2 => format!("{packet} refused"),
        3 => format!("{packet} lost, because the host is down"),
        4 => format!("{packet} late, because it was lost and sent again"),
        5 => "a SYN dropped, because the backlog is full".to_owned(),
        6 => "timed out".to_owned(),
        7 => "a datagram dropped, because the buffer is full".to_owned(),
        8 => "a datagram late, so that others overtake it".to_owned(),
        9 => "a datagram doubled".to_owned(),
        10 => "its connection reset".to_owned(),
        11 => "a SYN dropped, because an old connection has its addresses".to_owned(),
        _ => format!("fault {number} of the network"),
    }
}

pub(super) fn describe(record: &Record, event: &Event) -> String {
    let thread = |number: u32| record.threads.get(number as usize).map_or("?", String::as_str);
    let task = |number: u32| match number {
        0 => "no task".to_owned(),
        _ => record
            .tasks
            .get(number as usize - 1)
            .map_or_else(|| format!("task {number}"), |task| format!("[{number}] {task}")),
    };
    let (subject, [first, second]) = (event.subject, event.arguments);
    let what = match event.kind {
        EventKind::ThreadStarted => format!("thread `{}` starts", thread(subject)),
        EventKind::ThreadEnded => format!("thread `{}` ends", thread(subject)),
        EventKind::Switch => format!("thread `{}` runs, one of {first}", thread(subject)),
        EventKind::Clock => "the clock moves".to_owned(),
        EventKind::Settled => format!("`settle` of {} ends", PlainCount(first.into(), "task", "tasks")),
        EventKind::Spawned => format!("{} is spawned by {}", task(subject), task(first)),
        EventKind::Woken => format!("{} is woken by {}", task(subject), task(first)),
        EventKind::Polled => {
            let result =
                ["does not run again", "was woken meanwhile", "has yielded"].get(first as usize).unwrap_or(&"?");
            format!("{} was polled, and {result}", task(subject))
        }
        EventKind::Choice => format!("choice {second} of {first}"),
        EventKind::Chance => format!("chance {first:08x}: {}", second == 1),
        EventKind::Seeded => format!("a generator is seeded with {first:08x}{second:08x}"),
        EventKind::Failed => "a failure".to_owned(),
        EventKind::Entropy => {
            let bytes = PlainCount(first.into(), "random byte", "random bytes");
            let calls = PlainCount(second.into(), "call", "calls");
            format!("thread `{}` has drawn {bytes} in {calls}", thread(subject))
        }
        EventKind::Crashed => format!("host {subject} crashes: crash number {first}"),
        EventKind::Restarted => {
            format!("host {subject} starts again after {}", PlainCount(first.into(), "crash", "crashes"))
        }
        EventKind::Scripted => format!("the script of the world acts: {first:08x}"),
        EventKind::NetSent => format!("socket {subject} sends {}, {}", packet(second), bytes(first as usize)),
        EventKind::NetDelivered => format!("socket {subject} receives {}, {}", packet(second), bytes(first as usize)),
        EventKind::NetFault => format!("socket {subject} has {}", fault(first, second)),
        EventKind::Disk => format!("the disk: {} [{first}, {second}]", Operation::name_of(subject)),
    };
    format!("{:?}: {what}", Duration::from_nanos(event.at_ns))
}
