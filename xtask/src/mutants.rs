//! Mutation tests: one small change at a time in the files that matter most, and whether their unit tests notice.
//!
//! Called by the lanes `mutants` and `test`. The files and what they need are copied into a crate of their own in the target folder,
//! so that a change costs a second to compile and not a minute. A change that does not compile says nothing and is left
//! out; a run that does not end is a change that was noticed. What survives is compared with a committed list, each entry
//! of which has its reason in `docs/internals/testing.md`. The lane `test` checks that the crate still compiles.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::plural::count;

/// The files that are changed, and the filter of the tests that look at them.
const TARGETS: &[(&str, &str)] = &[
    ("task/state.rs", "task::state::"),
    ("task/header.rs", "task::header::"),
    ("time/wheel.rs", "time::wheel::"),
    ("scheduler/run_queue.rs", "scheduler::run_queue::"),
    ("scheduler/injector.rs", "scheduler::injector::"),
    ("scheduler/idle.rs", "scheduler::idle::"),
    ("sync/permits.rs", "sync::"),
    ("sync/last_taken.rs", "sync::last_taken::"),
    ("sync/wait_cell.rs", "sync::wait_cell::"),
    ("sync/wait_list.rs", "sync::"),
    ("primitives/record_pool.rs", "primitives::"),
    ("primitives/reuse_pool.rs", "primitives::"),
    ("group/entry_waker.rs", "group::entry_waker::"),
    ("group/result_queue.rs", "group::result_queue::"),
    ("group/shield.rs", "group::shield::"),
];

/// What else these files need, as it is.
const BESIDE: &[&str] = &[
    "format_macros.rs",
    "primitives",
    "collections",
    "observe/coarse.rs",
    "observe/counters.rs",
    "observe/waiter.rs",
    "observe/waiting.rs",
    "observe/resources.rs",
    "observe/resources",
    "task/budget.rs",
    "task/id.rs",
    "task/queue_link.rs",
    "scheduler/run_queue",
    "sync",
    "sys/outside.rs",
    "group/group_inner.rs",
    "group/scope.rs",
];

/// How long the tests of one change may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Survivors that were looked at: `file: line after the change`, trimmed.
const KNOWN: &str = "xtask/surviving-mutants.txt";

/// What `X` may be taken for in each pair: text before, text after.
const CHANGES: &[(&str, &str)] = &[
    (" == ", " != "),
    (" != ", " == "),
    (" < ", " <= "),
    (" <= ", " < "),
    (" > ", " >= "),
    (" >= ", " > "),
    (" && ", " || "),
    (" || ", " && "),
    (" + ", " - "),
    (" - ", " + "),
    (" += ", " -= "),
    (" -= ", " += "),
    (" | ", " & "),
    (" & ", " | "),
    (" << ", " >> "),
    (" >> ", " << "),
    ("true", "false"),
    ("false", "true"),
    ("!self.", "self."),
    ("if !", "if "),
    (".with(", ".without("),
    (".without(", ".with("),
    (".minus(1)", ".minus(2)"),
    (".minus(2)", ".minus(1)"),
    (".plus_one()", ""),
    (".min(", ".max("),
    (".max(", ".min("),
    ("wrapping_add(1)", "wrapping_add(2)"),
    (".is_some()", ".is_none()"),
    (".is_none()", ".is_some()"),
    (".take()", ".as_ref().map(|_| unreachable!())"),
    ("break;", "continue;"),
];

/// Totals of a run.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) tried: usize,
    pub(crate) noticed: usize,
    pub(crate) survivors: Vec<String>,
    /// Of the survivors, those that are not on the list.
    pub(crate) unknown: Vec<String>,
}

/// Tries every change; `Err` if the crate does not build without one. The files are shared out to two crates, one a core.
pub(crate) fn run(root: &Path, folder: &Path, only: Option<&str>) -> io::Result<Totals> {
    let known = fs::read_to_string(root.join(KNOWN)).unwrap_or_default();
    let known: BTreeSet<&str> = known.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
    let targets: Vec<_> = TARGETS.iter().filter(|(file, _)| only.is_none_or(|only| *file == only)).collect();
    let next = AtomicUsize::new(0);
    let cores = targets.len().min(2);
    let results: Vec<io::Result<Totals>> = std::thread::scope(|scope| {
        let workers = (0..cores).map(|core| {
            let (targets, known, next) = (&targets, &known, &next);
            scope.spawn(move || {
                let folder = folder.join(core.to_string());
                prepare(root, &folder)?;
                match test(&folder, "")? {
                    Verdict::Survived => {}
                    Verdict::Noticed => return Err(io::Error::other("the files fail their tests as they are")),
                    Verdict::DoesNotCompile => {
                        return Err(io::Error::other(format!(
                            "the files do not compile on their own; `cargo test` in {} says why",
                            folder.display()
                        )));
                    }
                }
                let mut totals = Totals::default();
                while let Some((file, filter)) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    try_file(&folder, file, filter, known, &mut totals)?;
                }
                Ok(totals)
            })
        });
        let workers: Vec<_> = workers.collect();
        let ended = workers.into_iter().map(|worker| worker.join());
        ended.map(|result| result.unwrap_or_else(|_| Err(io::Error::other("it panicked")))).collect()
    });
    let mut sum = Totals::default();
    for totals in results {
        let totals = totals?;
        sum.tried += totals.tried;
        sum.noticed += totals.noticed;
        sum.survivors.extend(totals.survivors);
        sum.unknown.extend(totals.unknown);
    }
    Ok(sum)
}

/// Returns whether the small crate compiles with its tests, as it is. `ci` checks it: otherwise only the next run of all
/// changes would show that a file has moved and is missing in [`BESIDE`].
pub(crate) fn compiles(root: &Path, folder: &Path) -> io::Result<bool> {
    prepare(root, folder)?;
    let mut command = cargo(folder);
    Ok(command.args(["check", "--quiet", "--lib", "--tests"]).status()?.success())
}

/// Cargo in the small crate. It is silent about warnings.
fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder).env("CARGO_TARGET_DIR", folder.join("target")).env("RUSTFLAGS", "-Awarnings");
    command.arg("--offline");
    command
}

/// Tries every change of one file.
fn try_file(folder: &Path, file: &str, filter: &str, known: &BTreeSet<&str>, totals: &mut Totals) -> io::Result<()> {
    let path = folder.join("src").join(file);
    let source = fs::read_to_string(&path)?;
    let (mut tried, mut noticed) = (0, 0);
    for (number, changed) in mutants(&source) {
        fs::write(&path, &changed)?;
        let verdict = test(folder, filter)?;
        tried += usize::from(verdict != Verdict::DoesNotCompile);
        noticed += usize::from(verdict == Verdict::Noticed);
        if verdict == Verdict::Survived {
            let line = changed.lines().nth(number).unwrap_or_default().trim();
            let entry = format!("{file}: {line}");
            if !known.contains(entry.as_str()) {
                println!("  survives: redd/src/{file}:{}: {line}", number + 1);
                totals.unknown.push(entry.clone());
            }
            totals.survivors.push(entry);
        }
    }
    fs::write(&path, &source)?;
    println!("  {file}: {}, {noticed} noticed", count(tried, "change"));
    totals.tried += tried;
    totals.noticed += noticed;
    Ok(())
}

/// Each change of each line of code before the tests, with the number of its line.
fn mutants(source: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = source.lines().collect();
    // A file may begin with its models, which are in a file of their own.
    let starts_tests =
        |line: &str| line.starts_with("#[cfg(") && line.contains("test") && !line.contains("(test, any(");
    let end = lines.iter().position(|line| starts_tests(line)).unwrap_or(lines.len());
    let mut mutants = Vec::new();
    for (number, line) in lines[..end].iter().enumerate() {
        let code = line.split(" //").next().unwrap_or(line);
        let trimmed = code.trim_start();
        let is_code = !trimmed.starts_with("//")
            && !trimmed.starts_with('#')
            && !trimmed.starts_with("use ")
            && !trimmed.starts_with("impl")
            && !trimmed.starts_with("pub(crate) trait")
            && !trimmed.starts_with("unsafe impl")
            && !trimmed.contains("assert");
        if !is_code {
            continue;
        }
        for (before, after) in CHANGES {
            for (at, _) in code.match_indices(before) {
                let changed = format!("{}{after}{}", &line[..at], &line[at + before.len()..]);
                let mut all: Vec<&str> = lines.clone();
                all[number] = &changed;
                mutants.push((number, all.join("\n") + "\n"));
            }
        }
    }
    mutants
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    DoesNotCompile,
    Noticed,
    Survived,
}

#[expect(clippy::disallowed_methods, reason = "a child is waited for by the real clock")]
fn test(folder: &Path, filter: &str) -> io::Result<Verdict> {
    let mut build = cargo(folder);
    build.args(["test", "--lib", "--no-run", "--message-format=json"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let output = build.output()?;
    if !output.status.success() {
        return Ok(Verdict::DoesNotCompile);
    }
    // The program itself, and not through cargo: a cargo that waits for another one's lock would count as a test that
    // does not end.
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut programs = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(str::to_owned)
    });
    let program = programs.next_back().ok_or_else(|| io::Error::other("cargo names no test program"))?;
    let mut command = Command::new(program);
    // Few cases: a change that matters shows soon, and there are hundreds.
    command.current_dir(folder).arg(filter).env("PROPTEST_CASES", "64").stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.process_group_of_its_own().spawn()?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(if status.success() { Verdict::Survived } else { Verdict::Noticed });
        }
        if start.elapsed() > PATIENCE {
            // The group: the test and what it started.
            let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).status();
            child.wait()?;
            return Ok(Verdict::Noticed);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// So that a test that does not end can be ended with all that it started.
trait OwnGroup {
    fn process_group_of_its_own(&mut self) -> &mut Self;
}

impl OwnGroup for Command {
    fn process_group_of_its_own(&mut self) -> &mut Self {
        use std::os::unix::process::CommandExt as _;
        self.process_group(0)
    }
}

/// The small crate.
fn prepare(root: &Path, folder: &Path) -> io::Result<()> {
    let (from, to) = (root.join("redd/src"), folder.join("src"));
    let _ = fs::remove_dir_all(&to);
    for name in BESIDE.iter().copied().chain(TARGETS.iter().map(|(file, _)| *file)) {
        copy(&from.join(name), &to.join(name))?;
    }
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    fs::write(folder.join("Cargo.toml"), MANIFEST)?;
    fs::write(to.join("lib.rs"), LIB)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_dir() {
        let entries: Vec<PathBuf> =
            fs::read_dir(from)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        return entries.iter().try_for_each(|entry| copy(entry, &to.join(entry.file_name().unwrap_or_default())));
    }
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    fs::copy(from, to).map(|_| ())
}

const MANIFEST: &str = r#"[package]
name = "mutants"
version = "0.0.0"
edition = "2024"

[workspace]

[dependencies]
pin-project-lite = "0.2"

[dev-dependencies]
proptest = { version = "1", default-features = false, features = ["std"] }

# Nobody looks at a backtrace.
[profile.dev]
debug = false
"#;

/// What the files find around them. Nothing sleeps here: a futex that returns at once is one that woke for no reason. A task
/// is polled by its handle.
const LIB: &str = r#"
#[macro_use]
mod format_macros;
pub(crate) mod primitives;
pub(crate) mod collections;
mod task {
    pub(crate) mod header;
    mod state;
    pub(crate) mod budget;
    pub(crate) use budget as coop;
    pub(crate) mod id;
    pub(crate) mod queue_link;
    pub(crate) use crate::JoinHandle;
    pub(crate) use id::Id;
    pub(crate) struct AbortHandle;
    pub(crate) struct Runnable;
    pub(crate) fn try_id() -> Option<Id> { None }
    pub(crate) mod ended {
        pub(crate) enum Ended<T> { Output(T), Cancelled, Panicked(()) }
    }
    pub(crate) mod current {
        pub(super) fn yield_current(_: &std::task::Waker) -> bool { false }
        pub(super) fn is_of_current(_: &std::task::Waker) -> Option<bool> { None }
        thread_local! { pub(crate) static CURRENT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) }; }
        pub(crate) fn id_or_zero() -> u64 { CURRENT.get() }
    }
    pub(crate) mod waker {
        pub(crate) fn task_of(_: &std::task::Waker) -> Option<super::id::Id> { None }
    }
}
mod observe {
    pub(crate) mod coarse;
    pub(crate) mod counters;
    pub(crate) mod resources;
    pub(crate) mod waiter;
    pub(crate) mod waiting;
    pub(crate) mod shields { pub(crate) fn begin_time_at(_: &std::panic::Location<'_>) {} }
    pub(crate) mod overdue {
        pub(crate) enum OverdueKind {
            Shield {
                task: Option<crate::task::Id>,
                made_at: &'static std::panic::Location<'static>,
                within: std::time::Duration,
            },
        }
        pub(crate) struct Overdue {
            pub(crate) kind: OverdueKind,
            pub(crate) group: Option<std::sync::Arc<str>>,
            pub(crate) group_created_at: &'static std::panic::Location<'static>,
        }
        impl Overdue { pub(crate) fn deliver(self, _: Option<&()>, _: Option<&str>) {} }
    }
    mod report { pub(super) fn is_in_redd(_: &str) -> bool { false } }
    pub(crate) mod looks { pub(crate) fn on_wait() {} }
    pub(crate) mod recorder {
        pub(crate) enum EventKind { LockWait, LockGrant }
        pub(crate) fn pair(_: u64, _: u64) -> u64 { 0 }
        pub(crate) fn here(_: EventKind, _: u64) {}
    }
}
mod sync;
mod group {
    mod entry_waker;
    mod group_inner;
    mod result_queue;
    mod scope;
    mod shield;
    mod phases_report { pub(super) struct Left; }
    mod unread_overdue { pub(super) struct UnreadOverdue; }
}
mod time {
    mod wheel;
    pub(crate) mod sleep {
        pub(crate) fn sleep_at(_: std::time::Duration, _: &std::panic::Location<'_>) -> std::future::Pending<()> {
            std::future::pending()
        }
    }
    pub(crate) async fn timeout<F: Future>(_: std::time::Duration, future: F) -> Result<F::Output, ()> {
        Ok(future.await)
    }
}
mod runtime {
    pub(crate) struct Config { pub(crate) on_overdue: Option<()>, pub(crate) name: Option<String> }
    pub(crate) struct Shared { pub(crate) config: Config }
    pub(crate) struct Handle { pub(crate) shared: Shared }
    impl Handle {
        pub(crate) fn try_current() -> Result<Self, ()> { Err(()) }
    }
    pub(crate) struct Builder;
    impl Builder {
        pub(crate) fn new_current_thread() -> Self { Self }
        pub(crate) fn build(self) -> std::io::Result<Self> { Ok(self) }
        pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
            let mut future = std::pin::pin!(future);
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            loop {
                if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut cx) { return output; }
            }
        }
    }
}
pub(crate) struct JoinHandle<T> { id: u64, future: std::pin::Pin<Box<dyn Future<Output = T>>> }
impl<T> JoinHandle<T> {
    pub(crate) fn id(&self) -> task::id::Id { task::id::Id(self.id) }
    pub(crate) fn abort_handle(&self) -> task::AbortHandle { task::AbortHandle }
}
impl<T> Future for JoinHandle<T> {
    type Output = std::io::Result<T>;
    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<T>> {
        let before = task::current::CURRENT.replace(self.id);
        let result = self.future.as_mut().poll(cx);
        task::current::CURRENT.set(before);
        result.map(Ok)
    }
}
fn spawn<F: Future + 'static>(future: F) -> JoinHandle<F::Output> {
    static LAST: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let id = 1 + LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    JoinHandle { id, future: Box::pin(future) }
}
mod scheduler {
    pub(crate) mod idle;
    pub(crate) mod injector;
    pub(crate) mod run_queue;
}
mod current {
    pub(crate) struct Parts { pub(crate) forced_yields: crate::primitives::atomic::AtomicU64 }
    pub(crate) fn with_parts<R>(_: impl FnOnce(&Parts) -> R) {}
    pub(crate) fn forbid_blocking(_: &str) {}
}
mod sys {
    use crate::primitives::atomic::AtomicU32;
    pub(crate) fn futex_wait(_: &AtomicU32, _: u32, _: Option<std::time::Duration>) -> bool {
        std::thread::yield_now();
        false
    }
    pub(crate) fn futex_wake_one(_: &AtomicU32) -> bool { false }
    pub(crate) mod outside;
    pub(crate) mod affinity {
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct CpuSet;
        impl CpuSet {
            pub(crate) fn of_this_thread() -> Option<Self> { None }
            pub(crate) fn one(&self, _: usize) -> Option<Self> { None }
            pub(crate) fn apply(&self) {}
        }
    }
    pub(crate) mod thread {
        #[derive(PartialEq, Eq)]
        pub(crate) enum RunState { Runnable }
        pub(crate) fn current_id() -> u32 { 1 }
        pub(crate) fn all() -> Vec<u32> { Vec::new() }
        pub(crate) fn name(_: u32) -> Option<String> { None }
        pub(crate) fn run_state(_: u32) -> Option<RunState> { None }
    }
    pub(crate) mod clock {
        pub(crate) fn monotonic() -> Option<std::time::Duration> { None }
        pub(crate) fn monotonic_coarse() -> Option<std::time::Duration> { None }
    }
    pub(crate) mod epoll {
        pub(crate) struct Epoll;
        pub(crate) struct EventBuffer;
        impl Epoll {
            pub(crate) fn wait(&self, _: &mut EventBuffer, _: Option<std::time::Duration>) -> std::io::Result<()> { Ok(()) }
        }
    }
    pub(crate) mod images {
        pub(crate) struct Images;
        impl Images { pub(crate) fn contain(&self, _: usize) -> bool { false } }
        pub(crate) fn loaded() -> Images { Images }
    }
    pub(crate) mod emulation { pub(crate) fn rounds<T>(count: T) -> T { count } }
    pub(crate) mod faults {
        pub(crate) enum Call { ThreadStart }
        pub(crate) fn check(_: Call) -> std::io::Result<()> { Ok(()) }
    }
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_changed_and_comments_and_tests_are_not() {
        const MODELS: &str = "#[cfg(all(test, any(loom, shuttle)))]\nmod models;\n";
        const SOURCE: &str =
            "fn a() -> bool {\n    b == c // d == e\n}\n// f == g\n#[cfg(test)]\nmod tests { h == i }\n";
        for (models, line) in [("", 1), (MODELS, 3)] {
            let mutants = mutants(&format!("{models}{SOURCE}"));
            assert_eq!(mutants.len(), 1);
            assert_eq!(mutants[0].0, line);
            assert!(mutants[0].1.contains("    b != c // d == e\n"));
        }
    }
}
