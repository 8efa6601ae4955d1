//! What worlds write to files for `cargo redd`: their events, and their outcomes.
//!
//! Called by `explore`. The reader is the program `cargo-redd`.
//!
//! Both files have one item on each line, with tabs between its parts. In a part `\` stands before `t`, `n` and `\` for what they are in
//! Rust. A reader ignores lines that begin with a word that it does not know.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use super::difference::describe;
use super::report::Report;
use super::shrink::{FailureClass, Shrunk};
use crate::primitives::baton::EventKind;

/// Appends the events of a world: a line `world` with the seed, and a line for each event, with its numbers and its text.
///
/// The text has the thread that ran, and its host.
pub(super) fn append_events(file: &Path, report: &Report) {
    let record = &report.record;
    let mut text = format!("world\t{}\n", report.seed());
    let mut hosts: Vec<usize> = Vec::new();
    let mut running = None;
    for event in &record.events {
        if event.kind == EventKind::ThreadStarted {
            hosts.push(event.arguments[0] as usize);
        } else if event.kind == EventKind::Switch {
            running = Some(event.subject as usize);
        }
        let name = |thread: usize| record.threads.get(thread).map_or("?", String::as_str);
        let place = running.map_or_else(String::new, |thread| {
            // The first thread of a host has the host's name.
            let host =
                hosts.get(thread).and_then(|host| hosts.iter().position(|other| other == host)).unwrap_or(thread);
            match (name(host), name(thread)) {
                (host, thread) if host == thread => format!("host `{host}`, "),
                (host, thread) => format!("host `{host}`, thread `{thread}`, "),
            }
        });
        let [first, second] = event.arguments;
        let numbers = format!("{:x}.{:x}.{:x}.{first:x}.{second:x}", event.at_ns, event.subject, event.kind as u32);
        let _ = writeln!(text, "event\t{numbers}\t{}", escaped(&format!("{place}{}", describe(record, event))));
    }
    append(file, &text);
}

/// Appends the outcome of a world: a line `ran`, and if it has failed a line `failed`, and a line `shrunk` if it was shrunk.
pub(super) fn append_outcome(file: &Path, report: &Report, shrunk: Option<&Shrunk>) {
    let mut text = format!("ran\t{}\t{:016x}\t{}\n", report.seed(), report.event_hash(), report.choices());
    if let Some(failure) = report.failures().first() {
        let FailureClass { kind, text: class } = FailureClass::of(failure);
        let (class, failure) = (escaped(&class), escaped(&failure.to_string()));
        let _ = writeln!(text, "failed\t{}\t{}\t{kind:?}\t{class}\t{failure}", report.seed(), report.explore());
    }
    if let Some(shrunk) = shrunk {
        let _ = writeln!(
            text,
            "shrunk\t{}\t{}\t{}",
            report.seed(),
            escaped(&shrunk.report().tape().to_string()),
            escaped(&shrunk.to_string())
        );
    }
    append(file, &text);
}

/// Several worlds of a process may run at once. Each writes its lines by one call.
fn append(file: &Path, text: &str) {
    let opened = OpenOptions::new().create(true).append(true).open(file);
    if let Err(error) = opened.and_then(|mut file| file.write_all(text.as_bytes())) {
        panic!("a world cannot write to {}: {error}. `cargo redd` has set that file.", file.display());
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::baton::Plan;
    use crate::sim::{World, chance};

    #[test]
    fn the_outcome_of_a_world_has_its_failure_on_one_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("outcomes");
        let world = || {
            World::new(5).host("host", || {
                let fault = chance("fault", 99);
                assert!(!fault, "one\ttab\nand two lines");
            })
        };
        let plan = Plan { seed: 5, ..Plan::default() };
        let (report, shrunk) = (world().run_once(&plan), world().shrink(10));
        append_outcome(&file, &report, shrunk.as_ref());
        let text = std::fs::read_to_string(&file).expect("it was written");
        let lines: Vec<Vec<_>> = text.lines().map(|line| line.split('\t').collect()).collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(lines[0][..2], ["ran", "5"]);
        assert_eq!(lines[1][..4], ["failed", "5", "random", "Host"]);
        assert!(lines[1][5].contains("one\\ttab\\nand two lines"), "{text}");
        assert_eq!(lines[2][..3], ["shrunk", "5", "0:1/2c"]);
        assert!(lines[2][3].contains("chance `fault` is true"), "{text}");
    }

    #[test]
    fn an_event_has_the_host_and_the_thread_on_which_it_happened() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("events");
        let world = World::new(5).host("server", || {
            let runtime = crate::runtime::Builder::new_current_thread().build().expect("a runtime");
            let closure = runtime.spawn_blocking(|| chance("in the pool", 50));
            runtime.block_on(closure).expect("it ends");
        });
        let report = world.run_once(&Plan { seed: 5, keeps_events: true, ..Plan::default() });
        append_events(&file, &report);
        let text = std::fs::read_to_string(&file).expect("it was written");
        assert!(text.starts_with("world\t5\nevent\t0.0.1."), "{text}");
        assert_eq!(text.lines().count() as u64, 1 + report.events());
        let chance = text.lines().find(|line| line.contains("chance")).expect("it was recorded");
        assert!(chance.contains("host `server`, thread `redd-"), "{chance}");
    }
}
