//! The walls: which room may use which, what only `primitives` and `sys` may name, and where unsafe code is.

use std::collections::BTreeSet;

use super::finding::{Finding, has_word};
use super::graph;
use super::source::Source;

/// The files with unsafe code, as a committed list.
pub(super) const UNSAFE_LIST: &str = "xtask/unsafe-files.txt";

/// The crate whose layers these are.
const ROOT: &str = "redd/src/";

/// ARCHITECTURE.md, "The walls": files and folders in order. A file may import from its own layer and from those before it. The
/// longest prefix of a path decides its layer. `lib.rs` may import everything.
const LAYERS: &[&[&str]] = &[
    &["primitives/", "sys/", "format_macros.rs"],
    // What identifies a task takes nothing, and every report of a task has it.
    &["collections/", "task/id.rs"],
    &["observe/"],
    &["attach/"],
    // The disks of simulated worlds: they take nothing but the foundations.
    &["disk/"],
    // The engines: they know no task.
    &["time/clock.rs", "time/wheel.rs", "time/timers.rs"],
    // The sockets of a simulated world. It knows no driver.
    &["network/"],
    &["driver/"],
    &["current.rs"],
    &["task/"],
    // It takes the ids of tasks.
    &["observe/dump/"],
    // Leaves: what a task waits on.
    &["time/"],
    &["sync/"],
    &["io/"],
    &["driver/readiness/source.rs", "driver/readiness/async_fd.rs"],
    // What runs tasks.
    &["blocking/pool.rs", "blocking/task.rs"],
    &["scheduler/"],
    &["blocking/"],
    &["io/background.rs", "io/stdio.rs"],
    &["observe/metrics.rs", "observe/metrics/"],
    &["runtime/"],
    &["sim/"],
    &["group/"],
    &["macros/"],
    // The world outside.
    &["net/"],
    &["fs/"],
    &["signal/"],
    &["process/"],
];

/// Rooms that use less than the order permits, besides themselves and [`FOUNDATIONS`].
const NARROW: &[(&str, &[&str])] = &[
    ("network/", &[]),
    ("task/", &["current.rs"]),
    ("sync/", &["current.rs", "task/mod.rs", "task/budget.rs", "task/current.rs", "task/waker.rs", "time/"]),
    ("io/", &["task/mod.rs", "task/budget.rs", "task/refusal.rs", "blocking/"]),
    ("net/", &["task/mod.rs", "task/budget.rs", "io/", "driver/", "blocking/"]),
    // In a world the names of Unix sockets are in the network.
    ("fs/", &["task/mod.rs", "task/budget.rs", "io/", "blocking/", "sync/", "disk/", "network/"]),
    ("signal/", &["task/mod.rs", "task/budget.rs", "driver/", "sync/", "group/", "sim/control.rs"]),
    ("process/", &["task/mod.rs", "task/budget.rs", "task/refusal.rs", "io/", "driver/", "signal/", "net/", "sync/"]),
];

/// Open to every room above them.
const FOUNDATIONS: &[&str] = &["primitives/", "sys/", "format_macros.rs", "collections/", "observe/"];

/// What only the foundations may name, and where to get it instead.
const DOORS: &[(&str, &str)] = &[
    ("std::sync::atomic", "crate::primitives::atomic"),
    ("core::sync::atomic", "crate::primitives::atomic"),
    ("std::cell::UnsafeCell", "crate::primitives::cell::UnsafeCell"),
    ("core::cell::UnsafeCell", "crate::primitives::cell::UnsafeCell"),
    ("std::sync::Mutex", "crate::primitives::Mutex"),
    ("std::sync::RwLock", "crate::primitives::Mutex"),
    ("std::sync::Condvar", "crate::primitives::parker"),
    ("std::sync::Barrier", "crate::primitives::parker"),
    ("std::sync::mpsc", "a queue under `crate::primitives::Mutex`"),
    ("std::thread", "crate::primitives::thread"),
    ("parking_lot", "crate::primitives::Mutex"),
];

/// Doors that one file may pass by, and why.
const DOOR_HOLES: &[(&str, &str, &str)] =
    &[("redd/src/task/join_error.rs", "std::sync::Mutex", "it only makes a public error `Sync`; nobody waits for it")];

/// What writes to standard output or error past the door, `redd::observe::report`. The macros panic where the stream is
/// gone, and all of them wait for the reader of a full pipe.
const WRITERS: &[&str] = &["eprintln!", "eprint!", "println!", "print!", "dbg!", "stderr()", "stdout()"];

/// Library code whose text reaches the program that uses it.
const LIBRARIES: &[&str] = &["redd/src/", "redd-macros/src/", "tokio/src/"];

/// Files that may name a stream, and why.
const WRITER_HOLES: &[(&str, &str)] =
    &[("redd/src/io/stdio.rs", "the program's own streams, for the program to write to")];

/// Parts of `std` behind a door above that hold no state and start nothing.
const HARMLESS: &[&str] = &[
    "std::thread::LocalKey",
    "std::thread::AccessError",
    "std::thread::ThreadId",
    "std::thread::available_parallelism",
    "std::thread_local",
];

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_library = |source: &&Source| LIBRARIES.iter().any(|folder| source.path.starts_with(folder));
    sources.iter().filter(is_library).for_each(|source| check_writers(source, &mut findings));
    check_walls(sources, &mut findings);
    for source in sources.iter().filter(|source| source.path.starts_with(ROOT)) {
        check_doors(source, &mut findings);
    }
    findings
}

fn check_walls(sources: &[Source], findings: &mut Vec<Finding>) {
    let inside = |path: &str| path.strip_prefix(ROOT).map(str::to_owned);
    for source in sources {
        let Some(path) = inside(&source.path) else { continue };
        if path != "lib.rs" && layer(&path).is_none() {
            findings.push(Finding::new(
                &source.path,
                1,
                "the file has no layer",
                "add its room to `LAYERS` in xtask/src/tidy/walls.rs and to ARCHITECTURE.md",
            ));
        }
    }
    for arrow in graph::arrows(ROOT, sources) {
        let (Some(from), Some(to)) = (inside(arrow.from), inside(arrow.to)) else { continue };
        // An item at the crate's root, such as a macro or `crate::spawn`, has no room.
        if from == "lib.rs" || to == "lib.rs" {
            continue;
        }
        let is_upwards = matches!((layer(&from), layer(&to)), (Some(from), Some(to)) if to > from);
        if is_upwards || !is_open(&from, &to) {
            let why = if is_upwards { "is in a higher layer" } else { "is closed to this room" };
            findings.push(Finding::new(
                arrow.from,
                arrow.line,
                format!("takes `{}` from {to}, which {why}", arrow.name),
                "turn the dependency around (pass a value or a trait object in), or move the name to the file that owns it",
            ));
        }
    }
}

/// The place of a file's layer in the order.
fn layer(path: &str) -> Option<usize> {
    let prefixes =
        LAYERS.iter().enumerate().flat_map(|(layer, prefixes)| prefixes.iter().map(move |prefix| (prefix, layer)));
    prefixes
        .filter(|(prefix, _)| path.starts_with(**prefix))
        .max_by_key(|(prefix, _)| prefix.len())
        .map(|(_, layer)| layer)
}

fn is_open(from: &str, to: &str) -> bool {
    let Some((room, open)) = NARROW.iter().find(|(room, _)| from.starts_with(room)) else { return true };
    to.starts_with(room) || open.iter().chain(FOUNDATIONS).any(|prefix| to.starts_with(prefix))
}

fn check_writers(source: &Source, findings: &mut Vec<Finding>) {
    if WRITER_HOLES.iter().any(|(path, _)| *path == source.path) {
        return;
    }
    for (number, line) in source.program() {
        let is_whole = |at: usize| !line.code[..at].ends_with(|mark: char| mark.is_alphanumeric() || mark == '_');
        let names = |writer: &&&str| line.code.match_indices(**writer).any(|(at, _)| is_whole(at));
        if let Some(writer) = WRITERS.iter().find(names) {
            findings.push(Finding::new(
                &source.path,
                number,
                format!("`{writer}` in library code"),
                "use `crate::observe::report`, which does not panic, does not wait, and is limited in rate",
            ));
        }
    }
}

fn check_doors(source: &Source, findings: &mut Vec<Finding>) {
    let is_foundation = matches!(source.room(), "primitives" | "sys");
    for (number, line) in source.program() {
        if has_word(&line.code, "SeqCst") && !line.code.contains("fence(") {
            findings.push(Finding::new(
                &source.path,
                number,
                "a SeqCst access",
                "use the ordering that is needed, and a named fence where a store must precede a load (STYLE 5)",
            ));
        }
        if !is_foundation && calls_libc(&line.code) {
            findings.push(Finding::new(
                &source.path,
                number,
                "a system call outside of `sys`",
                "wrap it in a function of `crate::sys` that returns `io::Result`",
            ));
        }
    }
    if is_foundation {
        return;
    }
    for (line, path) in std_paths(source) {
        if HARMLESS.iter().any(|harmless| path.starts_with(harmless)) {
            continue;
        }
        let door = DOORS.iter().find(|(name, _)| {
            path.strip_prefix(name)
                .is_some_and(|rest| !rest.starts_with(|mark: char| mark.is_alphanumeric() || mark == '_'))
        });
        if let Some((name, instead)) = door {
            if DOOR_HOLES.iter().any(|(path, hole, _)| *path == source.path && hole == name) {
                continue;
            }
            findings.push(Finding::new(
                &source.path,
                line,
                format!("`{name}` outside of `primitives`"),
                format!("use {instead}, which models can see"),
            ));
        }
    }
}

/// Paths in `use` items, and whole paths in code.
fn std_paths(source: &Source) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    let mut use_lines = BTreeSet::new();
    for (line, _, of_use) in source.uses() {
        use_lines.insert(line);
        paths.extend(of_use.into_iter().map(|path| (line, path)));
    }
    for (number, line) in source.program().filter(|(number, _)| !use_lines.contains(number)) {
        for start in ["std::", "core::", "parking_lot"] {
            for (at, _) in line.code.match_indices(start) {
                if line.code[..at].ends_with(|mark: char| mark.is_alphanumeric() || mark == '_') {
                    continue;
                }
                let rest = &line.code[at..];
                let end = rest.find(|mark: char| !(mark.is_alphanumeric() || mark == '_' || mark == ':'));
                paths.push((number, rest[..end.unwrap_or(rest.len())].to_owned()));
            }
        }
    }
    paths
}

/// `libc::name(`; types and constants are no calls.
fn calls_libc(code: &str) -> bool {
    code.match_indices("libc::").any(|(at, start)| {
        let rest = &code[at + start.len()..];
        let name = rest.find(|mark: char| !(mark.is_ascii_lowercase() || mark.is_ascii_digit() || mark == '_'));
        name.is_some_and(|end| end > 0 && rest[end..].starts_with('('))
    })
}

/// The files with unsafe code.
pub(super) fn unsafe_files(sources: &[Source]) -> Vec<String> {
    let mut files: Vec<String> = sources
        .iter()
        .filter(|source| source.lines.iter().any(|line| is_unsafe(&line.code)))
        .map(|source| source.path.clone())
        .collect();
    files.sort();
    files
}

/// Unsafe code of the program itself. Models inherit their parent's announcement; the body of a `macro_rules!` needs it
/// where it is used.
fn has_unsafe_program(source: &Source) -> bool {
    let mut depth = 0_i32;
    for (_, line) in source.program() {
        if depth == 0 && !line.code.trim_start().starts_with("macro_rules!") {
            if is_unsafe(&line.code) {
                return true;
            }
            continue;
        }
        for mark in line.code.chars() {
            match mark {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    false
}

fn is_unsafe(code: &str) -> bool {
    has_word(code, "unsafe")
        && ["unsafe {", "unsafe fn", "unsafe impl", "unsafe trait", "unsafe extern"]
            .iter()
            .any(|form| code.contains(form))
}

/// STYLE §4: unsafe code is announced in its file and listed for everybody.
pub(super) fn check_unsafe_list(sources: &[Source], list: &[String]) -> Vec<Finding> {
    let files = unsafe_files(sources);
    let mut findings = Vec::new();
    for file in &files {
        let announces = sources.iter().filter(|source| source.path == *file).all(|source| {
            let code: String = source.lines.iter().map(|line| line.code.trim()).collect();
            code.contains("#![expect(unsafe_code") || !has_unsafe_program(source)
        });
        if !announces {
            findings.push(Finding::new(
                file,
                1,
                "unsafe code that the file does not announce",
                "open the file with `#![expect(unsafe_code, reason = \"…\")]`",
            ));
        }
        if !list.contains(file) {
            findings.push(Finding::new(
                file,
                1,
                format!("unsafe code in a file that is not in {UNSAFE_LIST}"),
                "do without, or run `cargo xtask tidy --write` and have the new entry reviewed",
            ));
        }
    }
    for (index, listed) in list.iter().enumerate().filter(|(_, listed)| !files.contains(listed)) {
        findings.push(Finding::new(
            UNSAFE_LIST,
            index + 1,
            format!("`{listed}` has no unsafe code any more"),
            "run `cargo xtask tidy --write`",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        check(&[Source::new(path, text)]).iter().map(ToString::to_string).collect()
    }

    /// The findings of these files beside those that they import from.
    fn walls(files: &[(&str, &str)]) -> Vec<String> {
        const TARGETS: &[(&str, &str)] = &[
            ("lib.rs", "pub use runtime::spawn;"),
            ("current.rs", "pub fn parts() {}"),
            ("observe/waiting.rs", "pub fn record() {}"),
            ("time/timers.rs", "pub struct Timers;"),
            ("time/sleep.rs", "pub fn sleep() {}"),
            ("sync/notify.rs", "pub struct Notify;"),
            ("scheduler/worker.rs", "pub struct Worker;"),
            ("runtime/handle.rs", "pub struct Handle;"),
            ("runtime/spawn.rs", "pub fn spawn() {}"),
        ];
        let source = |(path, text): &(&str, &str)| Source::new(&format!("{ROOT}{path}"), text);
        let sources: Vec<Source> = TARGETS.iter().chain(files).map(source).collect();
        let mut findings = Vec::new();
        check_walls(&sources, &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn arrows_go_down_only() {
        for (path, text, what) in [
            ("task/cell.rs", "use crate::scheduler::worker::Worker;", "takes `Worker` from scheduler/worker.rs"),
            (
                "time/wheel.rs",
                "use crate::current::parts;",
                "takes `parts` from current.rs, which is in a higher layer",
            ),
            ("time/interval.rs", "use crate::runtime::handle::Handle;", "takes `Handle` from runtime/handle.rs"),
            ("scheduler/park.rs", "fn a() { crate::runtime::spawn::spawn() }", "takes `spawn` from runtime/spawn.rs"),
            ("task/poll.rs", "use crate::time::timers::Timers;", "takes `Timers` from time/timers.rs, which is closed"),
            (
                "net/udp.rs",
                "use crate::{observe::waiting::record,\n sync::notify::Notify};",
                "sync/notify.rs, which is closed",
            ),
            ("attic/mod.rs", "", "has no layer"),
        ] {
            let found = walls(&[(path, text)]);
            assert!(found.len() == 1 && found[0].contains(what), "{text}: {found:?}");
        }
        for (path, text) in [
            ("task/cell.rs", "use crate::{observe::waiting::record, current::parts};"),
            ("io/mod.rs", "pub use crate::runtime::handle::Handle;"),
            ("sync/mpsc/send_timeout.rs", "use crate::time::sleep::sleep;\nfn a() { crate::pin!(x); $crate::fs::a() }"),
            ("sync/mutex.rs", "#[cfg(test)]\nmod tests {\n    use crate::runtime::handle::Handle;\n}"),
            ("group/join_set.rs", "use crate::runtime::handle::Handle;"),
        ] {
            assert_eq!(walls(&[(path, text)]), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn atomics_threads_and_calls_come_through_their_doors() {
        for (text, what) in [
            ("use std::sync::{Arc, atomic::AtomicU8};", "`std::sync::atomic` outside"),
            ("use std::sync::Mutex;", "`std::sync::Mutex` outside"),
            ("fn a() { std::thread::park() }", "`std::thread` outside"),
            ("fn a() { x.load(Ordering::SeqCst) }", "a SeqCst access"),
            ("fn a() { libc::close(1) }", "a system call outside"),
        ] {
            let found = findings("redd/src/sync/mutex.rs", text);
            assert!(found.len() == 1 && found[0].contains(what), "{text}: {found:?}");
        }
        let good = "use std::sync::{Arc, MutexGuardLike};\nuse std::cell::Cell;\nfn a(x: libc::c_int) { fence(SeqCst); libc::EINTR }\n\
                    // std::thread\nuse std::thread::LocalKey;";
        assert_eq!(findings("redd/src/sync/mutex.rs", good), Vec::<String>::new());
        assert_eq!(
            findings("redd/src/sys/mod.rs", "fn a() { libc::close(1); std::thread::park() }"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn lines_for_the_user_go_through_one_door() {
        for path in
            ["redd/src/sync/mutex.rs", "redd/src/observe/report.rs", "tokio/src/lib.rs", "redd-macros/src/lib.rs"]
        {
            for (text, writer) in [
                ("fn a() { eprintln!(\"x\") }", "`eprintln!`"),
                ("fn a() { std::eprint!(\"x\") }", "`eprint!`"),
                ("fn a() { println!() }", "`println!`"),
                ("fn a() { print!(\"x\") }", "`print!`"),
                ("fn a() { dbg!(1) }", "`dbg!`"),
                ("fn a() { writeln!(io::stderr(), \"x\") }", "`stderr()`"),
                ("fn a() { stdout().lock() }", "`stdout()`"),
            ] {
                let found = findings(path, text);
                assert!(found.len() == 1 && found[0].contains(writer), "{path}: {text}: {found:?}");
            }
        }
        for (path, text) in [
            ("redd/src/sync/mutex.rs", "/// println!(\"x\");\nfn a() { debug_print!(\"eprintln!\") }"),
            ("redd/src/sync/mutex.rs", "#[cfg(test)]\nmod tests {\n    fn a() { println!() }\n}"),
            ("redd/src/io/stdio.rs", "fn a() { std::io::stderr() }"),
            ("crawler/src/main.rs", "fn a() { println!() }"),
        ] {
            assert_eq!(findings(path, text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn unsafe_files_are_announced_and_listed() {
        let announced = "//! A.\n#![expect(unsafe_code, reason = \"x\")]\nunsafe { a() }\n";
        let sources = [
            Source::new("redd/src/a.rs", announced),
            Source::new("redd/src/b.rs", "//! B.\nunsafe fn b() {}\n"),
            Source::new("redd/src/c.rs", "//! C.\n// unsafe { no }\n"),
            Source::new("redd/src/d.rs", "//! D.\nmacro_rules! d {\n    () => {\n        unsafe { a() }\n    };\n}\n"),
        ];
        let list = ["a", "d", "gone"].map(|name| format!("redd/src/{name}.rs"));
        let found: Vec<String> = check_unsafe_list(&sources, &list).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("does not announce") && found[1].contains("not in") && found[2].contains("gone.rs"));
    }
}
