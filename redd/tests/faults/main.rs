//! Faults: what redd does when the system, a peer or user code fails. Each case runs in its own process, under a
//! watchdog. Its output includes what Tokio 1.54 was observed to do with the same fault.
//!
//! `cargo test -p redd --test faults` runs all cases. With `-- WORD` it runs those with the word in their name. With
//! `-- --case NAME` it runs one of them in this process, for a debugger.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::print_stdout, reason = "a program without a harness reports by itself")]
#![allow(clippy::disallowed_methods, reason = "threads and clocks of the outside world, which the cases disturb")]
#![allow(unsafe_code, reason = "system calls, and the C library's functions in our place")]
#![allow(clippy::missing_safety_doc, clippy::multiple_unsafe_ops_per_block, reason = "a test")]

mod attach;
#[path = "../support/attach_client.rs"]
mod attach_client;
#[path = "../../src/sys/emulation.rs"]
mod emulation;
mod inject;
mod lifetimes;
mod stderr;
mod system;
mod user_code;
mod world;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One fault.
pub(crate) struct Case {
    name: &'static str,
    /// What Tokio 1.54.1 does.
    tokio: &'static str,
    /// Panics if redd does not do what it should.
    run: fn(),
    ends: Ends,
}

/// How the case's process must end.
#[derive(Clone, Copy)]
enum Ends {
    Well,
    /// By a signal, after writing these words.
    Killed(i32, &'static str),
}

pub(crate) const fn case(name: &'static str, tokio: &'static str, run: fn()) -> Case {
    Case { name, tokio, run, ends: Ends::Well }
}

pub(crate) const fn fatal(name: &'static str, tokio: &'static str, words: &'static str, run: fn()) -> Case {
    Case { name, tokio, run, ends: Ends::Killed(libc::SIGABRT, words) }
}

/// A case that takes longer counts as a hang. The limit is generous because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let cases = || {
        system::CASES
            .iter()
            .chain(world::CASES)
            .chain(user_code::CASES)
            .chain(lifetimes::CASES)
            .chain(stderr::CASES)
            .chain(attach::CASES)
    };
    if let [flag, name] = &arguments[..] {
        if flag == "--case" {
            let case = cases().find(|case| case.name == name).expect("a case of this name");
            (case.run)();
            return;
        }
    }
    if std::env::var_os("ASAN_OPTIONS").is_some() {
        println!("SKIPPED: AddressSanitizer replaces the same functions");
        return;
    }
    if emulation::skips("faults", "the program cannot start itself") {
        return;
    }
    let word = arguments.iter().find(|argument| !argument.starts_with('-'));
    let (mut passed, mut failed) = (0, 0);
    for case in cases().filter(|case| word.is_none_or(|word| case.name.contains(word.as_str()))) {
        let since = Instant::now();
        match run_apart(case) {
            Ok(()) => {
                passed += 1;
                println!("ok      {:<68} Tokio: {} [{} ms]", case.name, case.tokio, since.elapsed().as_millis());
            }
            Err(why) => {
                failed += 1;
                println!("FAILED  {}: {why}", case.name);
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    std::process::exit(i32::from(failed > 0));
}

/// Runs the case in its own process. `Err` says what went wrong, with the output of the case.
fn run_apart(case: &Case) -> Result<(), String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--case", case.name])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("its process does not start: {error}"))?;
    let since = Instant::now();
    let reader = |mut pipe: Box<dyn std::io::Read + Send>| {
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = pipe.read_to_string(&mut text);
            text
        })
    };
    let out = reader(Box::new(child.stdout.take().unwrap()));
    let err = reader(Box::new(child.stderr.take().unwrap()));
    let mut hung = String::new();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if since.elapsed() > PATIENCE && hung.is_empty() {
            hung = format!("hangs. Its threads:\n{}", threads_of(child.id()));
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let written = format!("{}{}", out.join().unwrap(), err.join().unwrap());
    let as_expected = match case.ends {
        Ends::Well => status.success(),
        Ends::Killed(signal, words) => status.signal() == Some(signal) && written.contains(words),
    };
    if as_expected && hung.is_empty() { Ok(()) } else { Err(format!("{status} {hung}\n{written}")) }
}

/// What each thread of the process waits for.
fn threads_of(process: u32) -> String {
    let mut lines = String::new();
    for entry in std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
        let read = |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        lines += &format!("  {} in {} ({})\n", read("comm").trim(), read("wchan"), read("syscall").trim());
    }
    lines
}

/// A runtime with `n` workers.
pub(crate) fn workers(n: usize) -> redd::runtime::Runtime {
    redd::runtime::Builder::new_multi_thread().worker_threads(n).enable_all().build().unwrap()
}

pub(crate) fn current_thread() -> redd::runtime::Runtime {
    redd::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Threads of this process but for those that serve all runtimes and stay, descriptors, and resident bytes.
pub(crate) fn resources() -> (usize, usize, usize) {
    let count = |path: &str| std::fs::read_dir(path).unwrap().count();
    let stays = |task: &std::path::Path| {
        std::fs::read_to_string(task.join("comm"))
            .is_ok_and(|name| name.trim() == "redd-monitor" || name.starts_with("redd-attach"))
    };
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let threads = tasks.filter(|task| !stays(&task.path())).count();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    (threads, count("/proc/self/fd"), kib * 1024)
}

/// Checks repeatedly until the condition holds. If it never holds, the watchdog ends the process.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        std::thread::sleep(Duration::from_millis(1));
    }
}
