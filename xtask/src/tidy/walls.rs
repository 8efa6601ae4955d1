//! The walls: which room may use which, what only `primitives` and `sys` may name, and where unsafe code is.

use std::collections::BTreeSet;

use super::source::Source;
use super::{Finding, has_word};

/// The files with unsafe code, as a committed list.
pub(super) const UNSAFE_LIST: &str = "xtask/unsafe-files.txt";

/// ARCHITECTURE.md, "The walls": each room, and what it may use besides itself. Foundations (`primitives`,
/// `collections`, `sys`) and the leaves `observe::waiting`, `observe::resources` and `observe::report` are open to all, and so is
/// `current`, which hands out the parts of the current runtime. `lib` may use everything.
const WALLS: &[(&str, &[&str])] = &[
    ("primitives", &[]),
    ("sys", &[]),
    ("collections", &[]),
    ("current", &["time::timers", "driver"]),
    ("task", &["observe"]),
    ("time", &["task::coop", "task::budget"]),
    ("driver", &["task::coop", "task::budget", "io", "time::clock"]),
    ("sync", &["task::coop", "task::budget"]),
    ("io", &["task::coop", "task::budget"]),
    ("blocking", &["scheduler", "task", "time", "driver", "observe"]),
    ("scheduler", &["blocking", "task", "time", "driver", "observe"]),
    ("texts", &[]),
    ("runtime", &["scheduler", "blocking", "task", "time", "driver", "observe"]),
    ("group", &["runtime", "scheduler", "blocking", "task", "time", "driver", "observe", "sync"]),
    ("observe", &["runtime", "scheduler", "blocking", "task", "time", "driver"]),
    ("net", &["io", "driver", "blocking", "task::coop", "task::budget"]),
    ("fs", &["io", "driver", "blocking", "task::coop", "task::budget", "sync"]),
    ("signal", &["io", "driver", "blocking", "task::coop", "task::budget", "sync"]),
    ("process", &["io", "driver", "blocking", "task::coop", "task::budget", "signal", "net", "sync"]),
    ("macros", &["task", "group", "runtime"]),
];

/// Open to every room.
const OPEN: &[&str] = &[
    "primitives",
    "collections",
    "sys",
    "observe::waiting",
    "observe::resources",
    "observe::report",
    "current",
    "macros",
];

/// Holes in the walls: the file, what it uses, and why.
const HOLES: &[(&str, &str, &str)] = &[
    (
        "redd/src/scheduler/mod.rs",
        "runtime",
        "what a runtime's threads share stands here, with the runtime's number and flavor",
    ),
    ("redd/src/task/builder.rs", "runtime", "a public door, as `runtime::spawn` is"),
    ("redd/src/task/builder.rs", "group::local_set", "a public door, as `runtime::spawn` is"),
    ("redd/src/task/builder.rs", "blocking", "a public door, as `runtime::spawn` is"),
    ("redd/src/io/background.rs", "blocking", "files and standard streams ask for a thread at the door"),
    ("redd/src/sync/mpsc/send_timeout.rs", "time", "the one method of `sync` that Tokio gave a clock"),
];

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
    for source in sources.iter().filter(|source| source.path.starts_with("redd/src/")) {
        check_walls(source, &mut findings);
        check_doors(source, &mut findings);
    }
    findings
}

fn check_walls(source: &Source, findings: &mut Vec<Finding>) {
    let room = source.room();
    if room == "lib" {
        return;
    }
    let Some((_, may_use)) = WALLS.iter().find(|(name, _)| *name == room) else {
        findings.push(Finding::new(
            &source.path,
            1,
            format!("the room `{room}` has no row in the table of walls"),
            "add it to `WALLS` in xtask/src/tidy/walls.rs and to ARCHITECTURE.md",
        ));
        return;
    };
    let is_sign_board = source.file_name() == "mod.rs";
    let mut report = |line: usize, path: &str| {
        let Some(target) = path.strip_prefix("crate::") else {
            return;
        };
        if may_pass(source, room, may_use, target) {
            return;
        }
        findings.push(Finding::new(
            &source.path,
            line,
            format!("`{room}` may not use `{target}`"),
            "turn the dependency around (pass a value or a trait in), or make the hole in `HOLES` with its reason",
        ));
    };
    let mut use_lines = BTreeSet::new();
    for (line, is_public, paths) in source.uses() {
        use_lines.insert(line);
        if is_public && is_sign_board {
            continue;
        }
        paths.iter().for_each(|path| report(line, path));
    }
    for (number, line) in source.program().filter(|(number, _)| !use_lines.contains(number)) {
        for (at, _) in line.code.match_indices("crate::") {
            // `$crate::` belongs to the caller of the macro.
            if line.code[..at].ends_with('$') {
                continue;
            }
            let rest = &line.code[at..];
            let end = rest.find(|mark: char| !(mark.is_alphanumeric() || mark == '_' || mark == ':'));
            report(number, &rest[..end.unwrap_or(rest.len())]);
        }
    }
}

fn may_pass(source: &Source, room: &str, may_use: &[&str], target: &str) -> bool {
    let goes_to = |open: &str| target.strip_prefix(open).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    // An item at the crate's root, such as a macro or `crate::spawn`, has no room of its own.
    let names_a_room = WALLS.iter().any(|(name, _)| goes_to(name));
    !names_a_room
        || goes_to(room)
        || OPEN.iter().chain(may_use).any(|open| goes_to(open))
        || HOLES.iter().any(|(path, hole, _)| *path == source.path && goes_to(hole))
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

    #[test]
    fn arrows_go_down_only() {
        for (path, text, what) in [
            ("redd/src/task/cell.rs", "use crate::scheduler::worker;", "`task` may not use `scheduler::worker`"),
            ("redd/src/task/cell.rs", "use crate::{primitives::Arc,\n sync::Notify};", "may not use `sync::Notify`"),
            ("redd/src/sync/mutex.rs", "fn a() { crate::runtime::spawn() }", "may not use `runtime::spawn`"),
            ("redd/src/time/mod.rs", "use crate::task::cell;", "may not use `task::cell`"),
            ("redd/src/attic/mod.rs", "", "has no row"),
        ] {
            let found = findings(path, text);
            assert!(found.len() == 1 && found[0].contains(what), "{text}: {found:?}");
        }
        for (path, text) in [
            ("redd/src/task/cell.rs", "use crate::{primitives::Arc, observe::waiting::note, current};"),
            ("redd/src/io/mod.rs", "pub use crate::fs::stdio;"),
            (
                "redd/src/sync/mutex.rs",
                "use crate::task::coop::poll_proceed;\nfn a() { crate::pin!(x); $crate::fs::a() }",
            ),
            ("redd/src/sync/mutex.rs", "#[cfg(test)]\nmod tests {\n    use crate::runtime::Builder;\n}"),
            ("redd/src/lib.rs", "use crate::runtime::Handle;"),
        ] {
            assert_eq!(findings(path, text), Vec::<String>::new(), "{text}");
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
