//! A recording as a page of HTML: which thread ran which task when, what woke what, and what had to wait.
//!
//! Called for `redd trace`.
//!
//! The page gets texts as JSON, and spans, causes and waits for locks as numbers, in groups of seven bits each and those in base64:
//! eight to ten bytes for each. Times are differences from the one before.
//!
//! | numbers | of each |
//! |---|---|
//! | spans, thread by thread | start; length; task, or 0 of a park; flags and, above them, depth |
//! | causes | time; thread and, below it, whether it is a spawn; by which task, or 0; task; poll, or 0 |
//! | waits for locks | start; task; thread; length until the grant, or 0; by which task; on which thread |
//! | marks | time; thread and, below it, whether it is a panic; task, or 0 |
//!
//! A task is its index among those of the schedule. Where there may be none, it is one more, and so is a poll or a length.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::page;
use crate::recording::{Recording, What};
use crate::schedule::{Schedule, Span, SpanKind};

const TEMPLATE: &str = include_str!("timeline.html");

/// Makes the page.
pub(crate) fn write(recording: &Recording) -> String {
    let schedule = Schedule::of(recording);
    let indexes: HashMap<u64, u64> = schedule.tasks.iter().map(|task| task.id).zip(0..).collect();
    let columns = Columns { recording, schedule: &schedule, indexes };
    let mut places = Places::default();
    let tasks: Vec<Value> = schedule
        .tasks
        .iter()
        .map(|task| {
            let flags = u8::from(task.has_ended) | u8::from(task.has_panicked) << 1 | u8::from(task.is_closure) << 2;
            json!([
                task.id,
                task.name,
                places.index(&task.spawned_at),
                task.parent,
                task.polls,
                task.running_ns,
                task.longest_poll_ns,
                task.queued_ns,
                task.longest_queued_ns,
                task.locked_out_ns,
                flags
            ])
        })
        .collect();
    let mut counts = vec![0_usize; recording.threads.len()];
    schedule.spans.iter().for_each(|span| counts[span.thread] += 1);
    let threads = recording.threads.iter().zip(counts);
    let threads: Vec<Value> =
        threads.map(|(thread, spans)| json!({ "name": thread.name, "tid": thread.tid, "spans": spans })).collect();
    let data = json!({
        "program": recording.program,
        "pid": recording.pid,
        "started_unix_ms": recording.started_unix_ns / 1_000_000,
        "end_ns": schedule.end_ns,
        "events": recording.events.len(),
        "lost": recording.lost,
        "threads": threads,
        "places": places.texts,
        "tasks": tasks,
        "spans": columns.spans(),
        "causes": columns.causes(),
        "locks": columns.locks(),
        "marks": columns.marks(),
    });
    page::fill(TEMPLATE, &page::quoted(&data))
}

/// The places where tasks were spawned: few, for many tasks.
#[derive(Default)]
struct Places {
    texts: Vec<String>,
    indexes: HashMap<String, usize>,
}

impl Places {
    fn index(&mut self, text: &str) -> usize {
        if let Some(index) = self.indexes.get(text) {
            return *index;
        }
        self.indexes.insert(text.to_owned(), self.texts.len());
        self.texts.push(text.to_owned());
        self.texts.len() - 1
    }
}

struct Columns<'a> {
    recording: &'a Recording,
    schedule: &'a Schedule,
    /// The index of each task among those of the schedule.
    indexes: HashMap<u64, u64>,
}

impl Columns<'_> {
    fn index(&self, task: u64) -> u64 {
        self.indexes.get(&task).copied().unwrap_or(0)
    }

    fn index_or_none(&self, task: Option<u64>) -> u64 {
        task.and_then(|task| self.indexes.get(&task)).map_or(0, |index| index + 1)
    }

    fn spans(&self) -> Value {
        let mut numbers = Numbers::default();
        let mut before: Option<&Span> = None;
        for span in &self.schedule.spans {
            let start = before.filter(|before| before.thread == span.thread).map_or(0, |before| before.from_ns);
            let (kind, owner) = match span.kind {
                SpanKind::Poll => (0, self.index(span.id)),
                SpanKind::Park => (1, 0),
                SpanKind::Closure => (2, self.index(span.id)),
            };
            let flags = [span.has_start, span.has_end, span.is_last, span.is_late];
            let flags = flags.iter().zip(2..).fold(kind, |all, (flag, bit)| all | u64::from(*flag) << bit);
            numbers.add_all(&[span.from_ns - start, span.ns(), owner, flags | (span.depth as u64) << 6]);
            before = Some(span);
        }
        numbers.value(self.schedule.spans.len())
    }

    fn causes(&self) -> Value {
        let mut numbers = Numbers::default();
        let mut before = 0;
        for cause in &self.schedule.causes {
            numbers.add_all(&[
                cause.at_ns - before,
                (cause.thread as u64) << 1 | u64::from(cause.is_spawn),
                self.index_or_none(cause.by),
                self.index(cause.task),
                cause.poll.map_or(0, |poll| poll as u64 + 1),
            ]);
            before = cause.at_ns;
        }
        numbers.value(self.schedule.causes.len())
    }

    fn locks(&self) -> Value {
        let mut numbers = Numbers::default();
        let mut before = 0;
        for wait in &self.schedule.lock_waits {
            numbers.add_all(&[wait.from_ns - before, self.index(wait.task), wait.thread as u64]);
            match wait.grant {
                Some((at_ns, thread, by)) => {
                    numbers.add_all(&[at_ns - wait.from_ns + 1, self.index_or_none(by), thread as u64]);
                }
                None => numbers.add_all(&[0, 0, 0]),
            }
            before = wait.from_ns;
        }
        numbers.value(self.schedule.lock_waits.len())
    }

    /// Panics, and reports of late polls.
    fn marks(&self) -> Value {
        let mut numbers = Numbers::default();
        let (mut before, mut count) = (0, 0);
        for event in &self.recording.events {
            let (task, is_panic) = match event.what {
                What::Panic { task } => (task, true),
                What::LatePoll { task } => (task, false),
                What::Spawn { .. }
                | What::PollStart { .. }
                | What::PollEnd { .. }
                | What::Wake { .. }
                | What::Park
                | What::Unpark
                | What::DriverEvents { .. }
                | What::TimersFired { .. }
                | What::SharedBatch { .. }
                | What::Steal { .. }
                | What::ClosureStart { .. }
                | What::ClosureEnd { .. }
                | What::LockWait { .. }
                | What::LockGrant { .. }
                | What::SpareStarted => continue,
            };
            let thread = (event.thread as u64) << 1 | u64::from(is_panic);
            numbers.add_all(&[event.at_ns - before, thread, self.index_or_none(Some(task))]);
            (before, count) = (event.at_ns, count + 1);
        }
        numbers.value(count)
    }
}

/// Numbers in groups of seven bits, the lowest first; the highest bit of a byte says that more follow.
#[derive(Default)]
struct Numbers(Vec<u8>);

impl Numbers {
    fn add_all(&mut self, numbers: &[u64]) {
        for number in numbers {
            let mut rest = *number;
            while rest >= 0x80 {
                self.0.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            self.0.push(rest as u8);
        }
    }

    fn value(&self, count: usize) -> Value {
        json!({ "count": count, "bytes": base64(&self.0) })
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().chain(&[0; 2]).take(3).fold(0_u32, |group, byte| group << 8 | u32::from(*byte));
        for digit in 0..4 {
            let is_padding = digit > chunk.len();
            let value = (group >> (18 - 6 * digit) & 63) as usize;
            out.push(if is_padding { '=' } else { char::from(DIGITS[value]) });
        }
    }
    out
}

#[cfg(test)]
#[path = "timeline/tests.rs"]
mod tests;
