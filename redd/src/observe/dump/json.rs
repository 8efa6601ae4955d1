//! A dump as JSON, by hand: the format has few types, and a runtime should not bring a serialization library along.
//!
//! Called by `snapshot`, whose `to_json` documents the format.
//!
//! # Why not otherwise
//! `write!` costs more than a microsecond for a task, most of it for numbers and for the locations, of which a program has few.
//! So numbers are written here, and the text of each location is made once.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::panic::Location;
use std::ptr;
use std::time::Duration;

use super::diagnosis::Diagnosis;
use super::join::Contents;
use super::node::{Child, ChildStage, Node, NodeKind};
use super::task::{InShield, Membership, Role, Root, Task, TaskState};
use super::wait::{Taken, Wait, What};
use crate::observe::WaitKind;
use crate::observe::report::{ShortLocation, is_unprintable};
use crate::observe::unjoined::Unjoined;
use crate::task::Id;

/// About as long is the text of a task with one wait.
const BYTES_PER_TASK: usize = 360;

/// Writes the whole dump.
pub(super) fn write(out: &mut String, contents: &Contents) {
    let Contents { tasks, nodes, roots, outside, unjoined, diagnoses, grants: _, left_out } = contents;
    out.reserve(tasks.tasks.len() * BYTES_PER_TASK + 256);
    let mut json = Json { out, locations: BTreeMap::new(), kinds: BTreeMap::new() };
    json.raw("{\"format\":\"redd-dump/1\",\"diagnoses\":");
    json.list(diagnoses, Json::diagnosis);
    json.raw(",\"tasks\":");
    json.list(&tasks.tasks, Json::task);
    json.raw(",\"nodes\":");
    json.list(nodes, Json::node);
    json.raw(",\"roots\":");
    json.list(roots, Json::root);
    json.raw(",\"outside\":");
    json.list(outside, Json::wait);
    json.raw(",\"unjoined\":");
    json.list(unjoined, Json::unjoined);
    json.number(",\"left_out\":", *left_out);
    json.raw("}\n");
}

/// The text so far.
struct Json<'a> {
    out: &'a mut String,
    /// The text of each location, in quotes. There are few, so a search takes less time than a hash.
    locations: BTreeMap<*const Location<'static>, Box<str>>,
    /// The name of each kind, in quotes.
    kinds: BTreeMap<u8, Box<str>>,
}

impl Json<'_> {
    fn diagnosis(&mut self, diagnosis: &Diagnosis) {
        match diagnosis {
            Diagnosis::Deadlock { tasks } => {
                self.raw("{\"type\":\"deadlock\",\"tasks\":");
                self.list(tasks, |json, task| json.number("", task.id.number()));
            }
            Diagnosis::Futurelock { task, kind, granted_at, ago, released_by, waiting, waits } => {
                self.optional("{\"type\":\"futurelock\",\"task\":", *task, Self::id);
                self.raw(",\"kind\":");
                self.kind(*kind);
                self.optional(",\"granted_at\":", *granted_at, Self::at);
                self.number(",\"ago_ms\":", ms(*ago));
                self.optional(",\"released_by\":", *released_by, Self::id);
                self.number(",\"waiting\":", *waiting);
                self.raw(",\"waits\":");
                self.list(waits, Self::wait);
            }
            Diagnosis::Stranded { task } => self.number("{\"type\":\"stranded\",\"task\":", task.id.number()),
            Diagnosis::NothingCanHappen { waiting } => {
                self.number("{\"type\":\"nothing_can_happen\",\"waiting\":", *waiting);
            }
        }
        self.raw("}");
    }

    fn id(&mut self, id: Id) {
        self.number("", id.number());
    }

    /// Writes the name of a kind as a string.
    fn kind(&mut self, kind: WaitKind) {
        let name = self.kinds.entry(kind as u8).or_insert_with(|| format!("\"{kind:?}\"").into());
        self.out.push_str(name);
    }

    fn task(&mut self, task: &Task) {
        self.number("\n{\"id\":", task.id().number());
        self.optional(",\"name\":", task.name(), Self::string);
        self.flag(",\"is_blocking\":", task.is_blocking());
        self.optional(",\"parent\":", task.parent(), Self::id);
        self.raw(",\"spawned_at\":");
        self.at(task.spawned_at());
        self.number(",\"age_ms\":", ms(task.age()));
        self.number(",\"polls\":", task.polls());
        self.optional(",\"since_polled_ms\":", task.since_polled(), Self::ms);
        self.raw(match task.state() {
            TaskState::Running => ",\"state\":\"running\"",
            TaskState::Queued => ",\"state\":\"queued\"",
            TaskState::Waiting { .. } => ",\"state\":\"waiting\"",
        });
        self.optional(",\"thread\":", task.thread(), |json, thread| json.number("", thread));
        self.raw(",\"waits\":");
        self.list(task.waits(), Self::wait);
        self.optional(",\"group\":", task.group(), Self::membership);
        self.raw(",\"shields\":");
        self.list(task.shields(), Self::shield);
        self.raw("}");
    }

    fn membership(&mut self, membership: &Membership) {
        self.number("{\"node\":", membership.node);
        let (role, before) = match membership.role {
            Role::Task => ("task", None),
            Role::Queued { before } => ("queued", Some(before)),
            Role::Watcher => ("watcher", None),
            Role::CleanUp => ("clean_up", None),
        };
        self.raw(",\"role\":");
        self.string(role);
        self.optional(",\"before\":", before, |json, before| json.number("", before));
        self.raw("}");
    }

    fn shield(&mut self, shield: &InShield) {
        self.raw("{\"made_at\":");
        self.at(shield.made_at);
        self.optional(",\"remaining_ms\":", shield.remaining, Self::ms);
        self.raw("}");
    }

    fn node(&mut self, node: &Node) {
        self.number("\n{\"node\":", node.number());
        self.optional(",\"name\":", node.name(), Self::string);
        self.raw(",\"created_at\":");
        self.at(node.created_at());
        self.optional(",\"created_by\":", node.created_by(), Self::id);
        self.optional(",\"around\":", node.around(), |json, number| json.number("", number));
        self.number(",\"age_ms\":", ms(node.age()));
        match node.kind() {
            NodeKind::Group { .. } => self.group(node.kind()),
            NodeKind::Supervisor { strategy, children } => {
                self.raw(",\"type\":\"supervisor\",\"strategy\":");
                self.string(strategy);
                self.raw(",\"children\":");
                self.list(children, Self::child);
            }
        }
        self.raw("}");
    }

    fn group(&mut self, kind: &NodeKind) {
        let NodeKind::Group {
            child,
            limit,
            running,
            queued,
            ended,
            deadline_left,
            is_closing,
            is_left,
            cancelled,
            clean_up,
            clean_ups_left,
            in_phase,
        } = kind
        else {
            return;
        };
        self.optional(",\"type\":\"group\",\"child\":", *child, |json, index| json.number("", index));
        self.optional(",\"limit\":", *limit, |json, limit| json.number("", limit));
        self.number(",\"running\":", *running);
        self.number(",\"queued\":", *queued);
        self.number(",\"ended\":", *ended);
        self.optional(",\"deadline_left_ms\":", *deadline_left, Self::ms);
        self.flag(",\"is_closing\":", *is_closing);
        self.flag(",\"is_left\":", *is_left);
        self.optional(",\"cancelled\":", cancelled.as_ref(), |json, cancelled| {
            json.raw("{\"reason\":");
            json.string(&cancelled.reason);
            json.number(",\"ago_ms\":", ms(cancelled.ago));
            json.raw("}");
        });
        self.optional(",\"clean_up\":", clean_up.as_ref(), |json, clean_up| {
            json.optional("{\"task\":", clean_up.task, Self::id);
            json.raw(",\"deferred_at\":");
            json.at(clean_up.deferred_at);
            json.number(",\"within_ms\":", ms(clean_up.within));
            json.raw("}");
        });
        self.number(",\"clean_ups_left\":", *clean_ups_left);
        self.optional(",\"in_phase\":", in_phase.as_ref(), |json, phase| {
            json.raw("{\"name\":");
            json.string(&phase.name);
            json.flag(",\"has_begun\":", phase.has_begun);
            json.flag(",\"is_over\":", phase.is_over);
            json.raw("}");
        });
    }

    fn child(&mut self, child: &Child) {
        self.raw("{\"name\":");
        self.string(&child.name);
        let remaining = match child.stage {
            ChildStage::Running => {
                self.raw(",\"state\":\"running\"");
                None
            }
            ChildStage::Waiting { remaining } => {
                self.raw(",\"state\":\"waiting\"");
                Some(remaining)
            }
            ChildStage::Done => {
                self.raw(",\"state\":\"done\"");
                None
            }
        };
        self.optional(",\"remaining_ms\":", remaining, Self::ms);
        self.number(",\"restarts\":", child.restarts);
        self.optional(",\"last_failure\":", child.last_failure.as_ref(), |json, (failure, ago)| {
            json.raw("{\"text\":");
            json.string(failure);
            json.number(",\"ago_ms\":", ms(*ago));
            json.raw("}");
        });
        self.raw("}");
    }

    fn root(&mut self, root: &Root) {
        self.raw("{\"called_at\":");
        self.at(root.called_at());
        self.number(",\"age_ms\":", ms(root.age()));
        self.flag(",\"is_running\":", root.is_running());
        self.raw(",\"waits\":");
        self.list(root.waits(), Self::wait);
        self.raw("}");
    }

    fn unjoined(&mut self, Unjoined { created_at, sets, tasks }: &Unjoined) {
        self.raw("{\"created_at\":");
        self.at(created_at);
        self.number(",\"sets\":", *sets);
        self.number(",\"tasks\":", *tasks);
        self.raw("}");
    }

    fn wait(&mut self, wait: &Wait) {
        self.raw("{\"kind\":");
        self.kind(wait.kind);
        self.optional(",\"at\":", wait.location, Self::at);
        self.optional(",\"since_ms\":", wait.since, Self::ms);
        self.raw(",\"what\":");
        self.what(&wait.what);
        self.raw("}");
    }

    fn what(&mut self, what: &What) {
        match what {
            What::Unknown => return self.raw("null"),
            What::Lock { object, taken, out, waiting } => {
                self.number("{\"type\":\"lock\",\"object\":", *object);
                self.optional(",\"taken\":", taken.as_ref(), Self::taken);
                self.optional(",\"out\":", *out, |json, out| json.number("", out));
                self.number(",\"waiting\":", *waiting);
            }
            What::Task(id) => self.number("{\"type\":\"task\",\"task\":", id.number()),
            What::Deadline(remaining) => self.number("{\"type\":\"deadline\",\"remaining_ms\":", ms(*remaining)),
            What::Descriptor { fd, about } => {
                self.raw("{\"type\":\"descriptor\",\"fd\":");
                let _ = write!(self.out, "{fd}"); // writing to a string does not fail
                self.optional(",\"about\":", Some(about).filter(|about| !about.is_empty()), |json, about| {
                    json.string(about)
                });
            }
            What::Channel { object, senders, receivers, length } => {
                self.number("{\"type\":\"channel\",\"object\":", *object);
                self.number(",\"senders\":", *senders);
                self.number(",\"receivers\":", *receivers);
                self.number(",\"length\":", *length);
            }
            What::Group { node, before, .. } => {
                self.number("{\"type\":\"group\",\"node\":", *node);
                self.optional(",\"before\":", *before, |json, before| json.number("", before));
            }
            What::Process(id) => self.number("{\"type\":\"process\",\"pid\":", *id),
            What::Signal(number) => {
                let _ = write!(self.out, "{{\"type\":\"signal\",\"number\":{number}");
            }
        }
        self.raw("}");
    }

    fn taken(&mut self, taken: &Taken) {
        self.optional("{\"task\":", taken.by, Self::id);
        self.optional(",\"at\":", taken.location, Self::at);
        self.number(",\"ago_ms\":", ms(taken.ago));
        self.flag(",\"is_only\":", taken.is_only);
        self.flag(",\"is_owned\":", taken.is_owned);
        self.raw("}");
    }

    fn raw(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// `before`, here and below, is what stands before the value.
    fn number(&mut self, before: &str, number: impl TryInto<u64>) {
        self.raw(before);
        // A `usize` fits.
        let mut rest: u64 = number.try_into().unwrap_or(u64::MAX);
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.raw(std::str::from_utf8(&digits[at..]).unwrap_or_default());
    }

    fn ms(&mut self, time: Duration) {
        self.number("", ms(time));
    }

    fn flag(&mut self, before: &str, is_so: bool) {
        self.raw(before);
        self.raw(if is_so { "true" } else { "false" });
    }

    /// Writes a value, or `null`.
    fn optional<T>(&mut self, before: &str, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.raw(before);
        match value {
            Some(value) => write(self, value),
            None => self.raw("null"),
        }
    }

    fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.raw("[");
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.raw(",");
            }
            write(self, item);
        }
        self.raw("]");
    }

    /// Writes a string in quotes.
    fn string(&mut self, text: &str) {
        self.raw("\"");
        // Writing to a string does not fail.
        let _ = Escape(self.out).write_str(text);
        self.raw("\"");
    }

    /// Writes a location as a string.
    fn at(&mut self, location: &'static Location<'static>) {
        let text = self.locations.entry(ptr::from_ref(location)).or_insert_with(|| {
            let mut text = "\"".to_owned();
            let _ = ShortLocation(location).write_raw(&mut Escape(&mut text));
            text.push('"');
            text.into()
        });
        self.out.push_str(text);
    }
}

/// A time in whole milliseconds.
fn ms(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1000) + u64::from(time.subsec_millis())
}

/// Escapes what JSON cannot have in a string, and what a terminal or a page of HTML would interpret.
struct Escape<'a>(&'a mut String);

impl Write for Escape<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !needs_escape(char::from(byte));
        if text.bytes().all(is_plain) {
            return self.0.write_str(text);
        }
        let mut rest = text;
        while let Some(at) = rest.find(needs_escape) {
            let (plain, tail) = rest.split_at(at);
            self.0.write_str(plain)?;
            let special = tail.chars().next().unwrap_or_default();
            match special {
                '"' | '\\' => write!(self.0, "\\{special}")?,
                '\n' => self.0.write_str("\\n")?,
                _ => special.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(self.0, "\\u{unit:04x}"))?,
            }
            rest = &tail[special.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

fn needs_escape(c: char) -> bool {
    matches!(c, '"' | '\\' | '<' | '>' | '&') || is_unprintable(c)
}
