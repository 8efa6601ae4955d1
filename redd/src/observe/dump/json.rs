//! A dump as JSON, by hand: the format has few types, and a runtime should not bring a serialization library along.
//!
//! Called by `snapshot`, whose `to_json` documents the format.

use std::fmt::{self, Display, Write};
use std::panic::Location;
use std::time::Duration;

use super::diagnosis::Diagnosis;
use super::join::Contents;
use super::task::{Root, Task, TaskState};
use super::wait::{Wait, What};
use crate::observe::report::{ShortLocation, is_unprintable};
use crate::observe::unjoined::Unjoined;

/// About as long is the text of a task with one wait.
pub(super) const BYTES_PER_TASK: usize = 320;

/// Writes the whole dump.
pub(super) fn write(out: &mut String, contents: &Contents) -> fmt::Result {
    let Contents { tasks, roots, outside, unjoined, diagnoses, grants: _, left_out } = contents;
    out.push_str("{\"format\":\"redd-dump/1\",\"diagnoses\":");
    write_list(out, diagnoses, write_diagnosis)?;
    out.push_str(",\"tasks\":");
    write_list(out, &tasks.tasks, write_task)?;
    out.push_str(",\"roots\":");
    write_list(out, roots, write_root)?;
    out.push_str(",\"outside\":");
    write_list(out, outside, write_wait)?;
    out.push_str(",\"unjoined\":");
    write_list(out, unjoined, |out, Unjoined { created_at, sets, tasks }| {
        write!(out, "{{\"created_at\":{},\"sets\":{sets},\"tasks\":{tasks}}}", At(created_at))
    })?;
    writeln!(out, ",\"left_out\":{left_out}}}")
}

fn write_diagnosis(out: &mut String, diagnosis: &Diagnosis) -> fmt::Result {
    match diagnosis {
        Diagnosis::Deadlock { tasks } => {
            out.push_str("{\"type\":\"deadlock\",\"tasks\":");
            write_list(out, tasks, |out, task| write!(out, "{}", task.id))?;
        }
        Diagnosis::Futurelock { task, kind, granted_at, ago, released_by, waiting, waits } => {
            write!(out, "{{\"type\":\"futurelock\",\"task\":{},\"kind\":\"{kind:?}\"", Nullable(*task))?;
            write!(out, ",\"granted_at\":{},\"ago_ms\":{}", Nullable(granted_at.map(At)), Ms(*ago))?;
            write!(out, ",\"released_by\":{},\"waiting\":{waiting},\"waits\":", Nullable(*released_by))?;
            write_list(out, waits, write_wait)?;
        }
        Diagnosis::Stranded { task } => write!(out, "{{\"type\":\"stranded\",\"task\":{}", task.id)?,
        Diagnosis::NothingCanHappen { waiting } => {
            write!(out, "{{\"type\":\"nothing_can_happen\",\"waiting\":{waiting}")?;
        }
    }
    out.push('}');
    Ok(())
}

fn write_task(out: &mut String, task: &Task) -> fmt::Result {
    write!(out, "\n{{\"id\":{},\"name\":{}", task.id(), Nullable(task.name().map(Quoted)))?;
    write!(out, ",\"is_blocking\":{},\"parent\":{}", task.is_blocking(), Nullable(task.parent()))?;
    write!(out, ",\"spawned_at\":{},\"age_ms\":{}", At(task.spawned_at()), Ms(task.age()))?;
    write!(out, ",\"polls\":{},\"since_polled_ms\":{}", task.polls(), Nullable(task.since_polled().map(Ms)))?;
    let state = match task.state() {
        TaskState::Running => "running",
        TaskState::Queued => "queued",
        TaskState::Waiting { .. } => "waiting",
    };
    write!(out, ",\"state\":\"{state}\",\"thread\":{},\"waits\":", Nullable(task.thread()))?;
    write_list(out, task.waits(), write_wait)?;
    out.push('}');
    Ok(())
}

fn write_root(out: &mut String, root: &Root) -> fmt::Result {
    write!(out, "{{\"called_at\":{},\"age_ms\":{}", At(root.called_at()), Ms(root.age()))?;
    write!(out, ",\"is_running\":{},\"waits\":", root.is_running())?;
    write_list(out, root.waits(), write_wait)?;
    out.push('}');
    Ok(())
}

fn write_wait(out: &mut String, wait: &Wait) -> fmt::Result {
    write!(out, "{{\"kind\":\"{:?}\",\"at\":{}", wait.kind, Nullable(wait.location.map(At)))?;
    write!(out, ",\"since_ms\":{},\"what\":", Nullable(wait.since.map(Ms)))?;
    match &wait.what {
        What::Unknown => out.push_str("null"),
        What::Lock { object, taken, out: permits, waiting } => {
            write!(out, "{{\"type\":\"lock\",\"object\":{object},\"taken\":")?;
            match taken {
                None => out.push_str("null"),
                Some(taken) => write!(
                    out,
                    "{{\"task\":{},\"at\":{},\"ago_ms\":{},\"is_only\":{},\"is_owned\":{}}}",
                    Nullable(taken.by),
                    Nullable(taken.location.map(At)),
                    Ms(taken.ago),
                    taken.is_only,
                    taken.is_owned
                )?,
            }
            write!(out, ",\"out\":{},\"waiting\":{waiting}}}", Nullable(*permits))?;
        }
        What::Task(id) => write!(out, "{{\"type\":\"task\",\"task\":{id}}}")?,
        What::Deadline(remaining) => write!(out, "{{\"type\":\"deadline\",\"remaining_ms\":{}}}", Ms(*remaining))?,
        What::Descriptor { fd, about } => {
            let about = Nullable(Some(about).filter(|about| !about.is_empty()).map(|about| Quoted(about)));
            write!(out, "{{\"type\":\"descriptor\",\"fd\":{fd},\"about\":{about}}}")?;
        }
        What::Channel { object, senders, receivers, length } => write!(
            out,
            "{{\"type\":\"channel\",\"object\":{object},\"senders\":{senders},\"receivers\":{receivers},\
             \"length\":{length}}}"
        )?,
        What::Process(id) => write!(out, "{{\"type\":\"process\",\"pid\":{id}}}")?,
        What::Signal(number) => write!(out, "{{\"type\":\"signal\",\"number\":{number}}}")?,
    }
    out.push('}');
    Ok(())
}

fn write_list<T>(out: &mut String, items: &[T], write: impl Fn(&mut String, &T) -> fmt::Result) -> fmt::Result {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item)?;
    }
    out.push(']');
    Ok(())
}

/// A value, or `null`.
struct Nullable<T>(Option<T>);

impl<T: Display> Display for Nullable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("null"),
        }
    }
}

/// A time in whole milliseconds.
struct Ms(Duration);

impl Display for Ms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_millis().fmt(f)
    }
}

/// A location as a string.
struct At(&'static Location<'static>);

impl Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        ShortLocation(self.0).write_raw(&mut Escape(f))?;
        f.write_char('"')
    }
}

/// A string in quotes.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        Escape(f).write_str(self.0)?;
        f.write_char('"')
    }
}

/// Escapes what JSON cannot have in a string, and what a terminal or a page of HTML would interpret.
struct Escape<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escape<'_, '_> {
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
