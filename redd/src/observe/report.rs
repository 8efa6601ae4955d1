//! The lines that redd itself writes to standard error. No other file of redd writes to it.
//!
//! Called by every room that has something to report: late polls, panics that were not joined, a shutdown that waits, a
//! thread that the system refuses.
//!
//! # Invariants
//! - `never-waits`: a report takes no lock and runs no user code, and a write that would block fails instead. So a report
//!   may be made under a lock, in a drop, on a worker and on the monitor.
//! - `never-panics`: a failed write is counted. The next line that is written contains the count.
//! - `written-on-return`: the kernel has the line when the call returns, so it is not lost if the process ends.
//!
//! # Why not otherwise
//! `eprintln!` panics if standard error is closed, and waits for the reader of a full pipe. If a separate thread wrote the
//! lines, those not yet written would be lost when the process ends.

use std::fmt::{self, Write};
use std::io;
use std::panic::Location;
use std::time::Duration;

use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::{AtomicBool, AtomicU32, AtomicU64};
pub(crate) use crate::primitives::count::{Count, Grouped};
use crate::primitives::thread;
use crate::sys;
use crate::sys::stderr::Attempt;

/// What a report is about. Each kind has its own rate limit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReportKind {
    LatePoll,
    /// A task that can never run again.
    Diagnosis,
    /// A panic that was not joined.
    Panic,
    Shutdown,
    /// What of a task group took longer than it may.
    Overdue,
    /// The system refuses a thread, or a limit on threads is reached.
    Threads,
    /// A user has set something that redd does not understand.
    Options,
    /// A bug in redd that it recovers from.
    Own,
}

const KINDS: usize = ReportKind::Own as usize + 1;

/// How many lines of a kind may be written at once, and how long it takes until one more may. Not measured: a log keeps
/// the first lines of a burst and stays readable.
const BURST: u64 = 5;
const MS_PER_LINE: u64 = 1000;

static REPORTER: Reporter = Reporter::new();

/// Writes the line `redd: …` to standard error, unless the rate limit of its kind is reached or the write would block
/// (`never-waits`, `written-on-return`).
pub(crate) fn report(kind: ReportKind, text: fmt::Arguments<'_>) {
    REPORTER.report(kind, text, sys::monotonic_ms(), sys::stderr::try_write);
}

/// Writes the line without a rate limit, then aborts the process.
pub(crate) fn fatal(text: fmt::Arguments<'_>) -> ! {
    let mut line = String::new();
    let _ = writeln!(line, "redd: {text}");
    sys::stderr::try_write(line.as_bytes());
    std::process::abort()
}

/// Writes a text that a user has asked for: without a rate limit, and in parts if its reader is slow. Waits for that, at most for
/// `patience`, so it is only for a thread that does nothing else.
pub(crate) fn print(text: &str, patience: Duration) {
    let ends_at_ms = sys::monotonic_ms() + patience.as_millis() as u64;
    let mut rest = text.as_bytes();
    loop {
        let attempt = sys::stderr::try_write(rest);
        rest = &rest[attempt.bytes..];
        let is_full = attempt.error.is_some_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        if rest.is_empty() || !is_full || sys::monotonic_ms() >= ends_at_ms {
            return;
        }
        // No thread wakes it: it sleeps for the time that the reader may need.
        sys::futex_wait(&AtomicU32::new(0), 0, Some(Duration::from_millis(1)));
    }
}

/// Aborts the process if a panic drops it. If a panic in redd's own code ended a thread, the work of that thread would
/// never be done, and the runtime would hang.
#[derive(Debug)]
pub(crate) struct AbortOnUnwind(pub(crate) &'static str);

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        if thread::is_unwinding() {
            let (what, name) = (self.0, thread::current_name());
            fatal(format_args!(
                "{what} `{name}` panicked outside of the program's code, so redd cannot continue. This is a bug in redd; \
                 please report it with the message of the panic. Aborting."
            ));
        }
    }
}

/// Limits the rates, and counts the reports that were not written. See the module page.
#[derive(Debug)]
struct Reporter {
    rates: [Rate; KINDS],
    /// Reports that were not written, or only in part, since the last complete one.
    unwritten: AtomicU64,
    /// The last write ended in the middle of a line.
    is_mid_line: AtomicBool,
}

/// The rate limit of one kind.
#[derive(Debug)]
struct Rate {
    /// The time at which a whole burst is allowed again, in milliseconds.
    earned_at: AtomicU64,
    /// Reports that were left out since the last one that was written.
    left_out: AtomicU64,
}

impl Reporter {
    const fn new() -> Self {
        let rates = [const { Rate { earned_at: AtomicU64::new(0), left_out: AtomicU64::new(0) } }; KINDS];
        Self { rates, unwritten: AtomicU64::new(0), is_mid_line: AtomicBool::new(false) }
    }

    fn report(&self, kind: ReportKind, text: fmt::Arguments<'_>, now_ms: u64, write: impl FnOnce(&[u8]) -> Attempt) {
        let rate = &self.rates[kind as usize];
        if !rate.admit(now_ms) {
            return;
        }
        // Relaxed, here and below: these are only counted.
        let left_out = rate.left_out.swap(0, Ordering::Relaxed);
        let unwritten = self.unwritten.swap(0, Ordering::Relaxed);
        let mut line = String::new();
        if self.is_mid_line.swap(false, Ordering::Relaxed) {
            line.push('\n');
        }
        // `never-panics`: if a `Display` returns an error, the text ends there.
        let _ = write!(line, "redd: {text}");
        if left_out > 0 {
            let _ = write!(line, " ({} left out before this.)", Count(left_out, "report was", "reports were"));
        }
        if unwritten > 0 {
            let _ = write!(line, " ({} could not be written.)", Count(unwritten, "report", "reports"));
        }
        line.push('\n');
        let attempt = write(line.as_bytes());
        if attempt.bytes < line.len() {
            rate.left_out.fetch_add(left_out, Ordering::Relaxed);
            self.unwritten.fetch_add(unwritten + 1, Ordering::Relaxed);
            let written = &line.as_bytes()[..attempt.bytes];
            let is_mid_line =
                written.last().is_some_and(|byte| *byte != b'\n') || written.is_empty() && line.starts_with('\n');
            self.is_mid_line.fetch_or(is_mid_line, Ordering::Relaxed);
        }
    }
}

impl Rate {
    fn admit(&self, now_ms: u64) -> bool {
        let admit = |earned_at: u64| {
            let earned_at = earned_at.max(now_ms);
            (earned_at - now_ms <= (BURST - 1) * MS_PER_LINE).then_some(earned_at + MS_PER_LINE)
        };
        let is_admitted = self.earned_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit).is_ok();
        if !is_admitted {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        is_admitted
    }
}

/// A location in the program as reports show it: path, line and column. For the file of a dependency, the path begins with the
/// name and version of its crate instead of Cargo's folder. Other paths are shown as the compiler recorded them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShortLocation(pub(crate) &'static Location<'static>);

impl ShortLocation {
    /// Writes the location with the characters of its path as they are.
    pub(crate) fn write_raw(self, out: &mut impl Write) -> fmt::Result {
        let Self(location) = self;
        if let Some((name, file)) = in_dependency(location.file()) {
            write!(out, "{name}/{file}")?;
        } else {
            out.write_str(location.file())?;
        }
        write!(out, ":{}:{}", location.line(), location.column())
    }
}

impl fmt::Display for ShortLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_raw(&mut Escape(f))
    }
}

/// Whether this is a file of redd's sources.
pub(crate) fn is_in_redd(file: &str) -> bool {
    file!().strip_suffix("observe/report.rs").is_some_and(|sources| file.starts_with(sources))
}

/// A string of the program as reports show it: on one line, and without effect on a terminal. A character that
/// [`is_unprintable`] is written as in a Rust literal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printable<'a>(pub(crate) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escape(f).write_str(self.0)
    }
}

struct Escape<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escape<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, special)) = rest.char_indices().find(|(_, c)| is_unprintable(*c)) {
            write!(self.0, "{}{}", &rest[..at], special.escape_default())?;
            rest = &rest[at + special.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

/// Whether a character is a control character, ends a line, or changes the direction or joining of its neighbours.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Where the sources of the standard library are, if the compiler has them.
const RUST_SRC: &str = "/lib/rustlib/src/rust/library/";

/// Splits a path in Cargo's registry, in a git checkout or in the standard library into the crate and the file inside of it.
fn in_dependency(path: &str) -> Option<(String, &str)> {
    if let Some((_, rest)) = path.split_once("/registry/src/") {
        let (_index, rest) = rest.split_once('/')?;
        let (name, file) = rest.split_once('/')?;
        return Some((name.to_owned(), file));
    }
    if let Some((_, rest)) = path.split_once("/git/checkouts/") {
        let (repository, rest) = rest.split_once('/')?;
        let (revision, file) = rest.split_once('/')?;
        let (name, _hash) = repository.rsplit_once('-')?;
        return Some((format!("{name}-{revision}"), file));
    }
    // Debian's packages of crates have no index.
    let in_debian = || path.strip_prefix("/usr/share/cargo/registry/");
    let in_rustc = || path.strip_prefix("/rustc/")?.split_once('/')?.1.strip_prefix("library/");
    let in_toolchain = || path.split_once(RUST_SRC).map(|(_, rest)| rest);
    let (name, file) = in_debian().or_else(in_rustc).or_else(in_toolchain)?.split_once('/')?;
    Some((name.to_owned(), file))
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// A reporter whose lines are collected in a list. An attempt writes at most `room` bytes.
    struct Writer {
        reporter: Reporter,
        lines: RefCell<Vec<String>>,
    }

    impl Writer {
        fn new() -> Self {
            Self { reporter: Reporter::new(), lines: RefCell::default() }
        }

        fn report(&self, kind: ReportKind, text: &str, now_ms: u64, room: usize) {
            self.reporter.report(kind, format_args!("{text}"), now_ms, |line| {
                let bytes = line.len().min(room);
                self.lines.borrow_mut().push(String::from_utf8(line[..bytes].to_vec()).expect("text"));
                Attempt { bytes, error: (bytes < line.len()).then(|| io::ErrorKind::WouldBlock.into()) }
            });
        }

        fn lines(&self) -> Vec<String> {
            self.lines.take()
        }
    }

    #[test]
    fn a_burst_of_five_lines_of_a_kind_is_written_then_one_a_second_with_the_count_of_those_left_out() {
        let writer = Writer::new();
        let report = |kind, now_ms| writer.report(kind, "x", now_ms, usize::MAX);
        for _ in 0..6 {
            report(ReportKind::LatePoll, 7);
        }
        assert_eq!(writer.lines(), ["redd: x\n"; 5]);
        report(ReportKind::Panic, 7);
        assert_eq!(writer.lines(), ["redd: x\n"], "each kind has its own rate");
        report(ReportKind::LatePoll, 1006);
        assert_eq!(writer.lines(), [""; 0], "not yet");
        report(ReportKind::LatePoll, 1007);
        assert_eq!(writer.lines(), ["redd: x (2 reports were left out before this.)\n"]);
        report(ReportKind::LatePoll, 1008);
        report(ReportKind::LatePoll, 2007);
        assert_eq!(writer.lines(), ["redd: x (1 report was left out before this.)\n"]);
        for _ in 0..6 {
            report(ReportKind::LatePoll, 60_000);
        }
        assert_eq!(writer.lines(), ["redd: x\n"; 5], "no more is saved than the burst");
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted_in_the_next_one_that_can() {
        let writer = Writer::new();
        writer.report(ReportKind::Panic, "one", 0, 0);
        writer.report(ReportKind::LatePoll, "two", 0, usize::MAX);
        writer.report(ReportKind::LatePoll, "three", 0, 0);
        writer.report(ReportKind::LatePoll, "four", 0, 0);
        writer.lines();
        writer.report(ReportKind::Panic, "five", 0, usize::MAX);
        writer.report(ReportKind::Panic, "six", 0, usize::MAX);
        assert_eq!(writer.lines(), ["redd: five (2 reports could not be written.)\n", "redd: six\n"]);
        writer.report(ReportKind::Panic, "seven", 0, 0);
        writer.report(ReportKind::Panic, "seven and a half", 0, 0);
        writer.lines();
        writer.report(ReportKind::Panic, "left out", 0, 0);
        writer.report(ReportKind::Panic, "eight", 60_000, 0);
        writer.report(ReportKind::Panic, "nine", 60_000, usize::MAX);
        assert_eq!(
            writer.lines()[1],
            "redd: nine (1 report was left out before this.) (3 reports could not be written.)\n",
            "a line that fails keeps the counts"
        );
    }

    #[test]
    fn a_line_behind_one_that_was_cut_off_begins_on_a_line_of_its_own() {
        let writer = Writer::new();
        for (text, room) in [("first", 7), ("second", 0), ("third", usize::MAX), ("fourth", usize::MAX)] {
            writer.report(ReportKind::Panic, text, 0, room);
        }
        assert_eq!(
            writer.lines(),
            ["redd: f", "", "\nredd: third (2 reports could not be written.)\n", "redd: fourth\n"]
        );
    }

    #[test]
    fn a_display_that_fails_does_not_panic() {
        struct Failing;
        impl fmt::Display for Failing {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                Err(fmt::Error)
            }
        }
        let mut written = Vec::new();
        Reporter::new().report(ReportKind::Own, format_args!("a {Failing}"), 0, |line| {
            written = line.to_vec();
            Attempt { bytes: line.len(), error: None }
        });
        assert_eq!(String::from_utf8_lossy(&written), "redd: a \n");
    }

    #[test]
    fn threads_that_report_at_once_get_no_more_lines_than_there_are() {
        let rate = Rate { earned_at: AtomicU64::new(0), left_out: AtomicU64::new(0) };
        let admitted = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        admitted.fetch_add(rate.admit(5).into(), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!((admitted.into_inner(), rate.left_out.into_inner()), (BURST, 400 - BURST));
    }

    #[test]
    fn files_of_dependencies_begin_with_their_crate_and_the_program_s_own_stay() {
        let cargo = "/home/a/.cargo";
        for (path, shown) in [
            (
                format!("{cargo}/registry/src/index-1949cf8c6b5b557f/axum-0.8.4/src/serve/mod.rs"),
                "axum-0.8.4/src/serve/mod.rs",
            ),
            (
                format!("{cargo}/git/checkouts/h2-mirror-0123456789abcdef/1a2b3c4/src/a.rs"),
                "h2-mirror-1a2b3c4/src/a.rs",
            ),
            ("/rustc/0123456789abcdef/library/core/src/ops/function.rs".to_owned(), "core/src/ops/function.rs"),
            ("/opt/rust/lib/rustlib/src/rust/library/core/src/ops/function.rs".to_owned(), "core/src/ops/function.rs"),
            ("/usr/share/cargo/registry/axum-0.8.4/src/serve/mod.rs".to_owned(), "axum-0.8.4/src/serve/mod.rs"),
        ] {
            let (name, file) = in_dependency(&path).expect("it is one");
            assert_eq!(format!("{name}/{file}"), shown);
        }
        for path in [
            "src/main.rs",
            "crates/a/src/lib.rs",
            "/home/a/git/server/src/main.rs",
            "/registry/src/main.rs",
            "/rustc/x",
        ] {
            assert_eq!(in_dependency(path), None, "{path}");
        }
        let here = Location::caller();
        assert_eq!(ShortLocation(here).to_string(), here.to_string());
    }

    #[test]
    fn files_of_redd_are_told_from_those_of_programs() {
        assert!(is_in_redd(file!()));
        assert!(!is_in_redd("src/main.rs") && !is_in_redd("/home/me/program/src/observe/report.rs"));
    }

    #[test]
    fn strings_of_the_program_stay_on_their_line() {
        for (text, shown) in [
            ("plain, with \"quotes\", a \\ and ünïcödé 🦀", "plain, with \"quotes\", a \\ and ünïcödé 🦀"),
            ("a\nredd: b\r\t", "a\\nredd: b\\r\\t"),
            ("\u{1b}[31mred\u{7f}\u{9b}", "\\u{1b}[31mred\\u{7f}\\u{9b}"),
            ("\u{202e}txt\u{2028}\u{feff}", "\\u{202e}txt\\u{2028}\\u{feff}"),
        ] {
            assert_eq!(Printable(text).to_string(), shown);
        }
    }
}
