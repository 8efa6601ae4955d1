//! What it costs a process that it can be asked, and that it is asked.

#![allow(clippy::disallowed_methods, reason = "threads and clocks of programs that are in trouble")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(unsafe_code, reason = "system calls")]

mod programs;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use programs::{PATIENCE, Program, printed, skip, tasks, tempdir};

/// With `REDD_TASKS=100000` and a release build it shows what a dump costs.
#[test]
fn a_process_with_many_tasks_replies_with_all_of_them_while_it_works() {
    let mut program = Program::start("many").open();
    let pid = program.pid().to_string();
    program.longest_gaps();
    std::thread::sleep(Duration::from_secs(1));
    let mut lines = format!("{} tasks. Without a dump, longest: {}\n", tasks(), program.longest_gaps());
    for arguments in [&["dump", &*pid][..], &["dump", "--all", &pid], &["dump", "--json", "--all", &pid]] {
        for _ in 0..5 {
            let since = Instant::now();
            let text = printed(arguments);
            let (time, gap) = (since.elapsed(), program.longest_gaps());
            lines += &format!("{arguments:?}: {time:?}, {} bytes, longest: {gap}\n", text.len());
            let shown = match arguments.len() {
                2 => text.lines().filter(|line| line.contains(" tasks (spawned at ")).map(first_number).sum(),
                _ if arguments[1] == "--all" => text.lines().filter(|line| line.starts_with("task ")).count(),
                _ => text.matches("\n{\"id\":").count(),
            };
            assert!(shown >= tasks(), "{shown} of {}", tasks());
        }
    }
    let _ = writeln!(std::io::stdout(), "{lines}");
}

#[test]
fn many_attaches_leave_descriptors_threads_and_memory_as_they_were() {
    let rounds = std::env::var("REDD_ATTACHES").map_or(200, |count| count.parse().expect("REDD_ATTACHES is a number"));
    let program = Program::start("idle").open();
    let pid = program.pid().to_string();
    let known = directories();
    for _ in 0..20 {
        printed(&["dump", &pid]);
    }
    let before = (program.threads().len(), program.descriptors(), program.resident_kib());
    for round in 0..rounds {
        let arguments: &[&str] = if round % 2 == 0 { &["dump", &pid] } else { &["dump", "--json", "--all", &pid] };
        printed(arguments);
    }
    let after = (program.threads().len(), program.descriptors(), program.resident_kib());
    let _ = writeln!(std::io::stdout(), "threads, descriptors, KiB before and after {rounds}: {before:?} {after:?}");
    assert_eq!((after.0, after.1), (before.0, before.1));
    assert!(after.2 <= before.2 + 1024, "{before:?} {after:?}");
    // Other tests may be about to meet their programs, and have their directories for some milliseconds.
    let since = Instant::now();
    while directories().iter().any(|directory| !known.contains(directory)) {
        assert!(since.elapsed() < PATIENCE, "directories are left over: {:?}", directories());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The directories of clients that are there, or were left by clients that were killed.
fn directories() -> BTreeSet<OsString> {
    let entries = std::fs::read_dir("/tmp").unwrap().flatten().map(|entry| entry.file_name());
    entries.filter(|name| name.to_string_lossy().starts_with("redd-attach-")).collect()
}

/// How long the process is watched.
fn idle_seconds() -> u64 {
    std::env::var("REDD_IDLE_SECONDS").map_or(2, |count| count.parse().expect("REDD_IDLE_SECONDS is a number"))
}

#[test]
fn an_idle_process_that_nobody_asks_makes_no_system_call() {
    let can =
        Command::new("strace").args(["-o", "/dev/null", "true"]).output().is_ok_and(|output| output.status.success());
    if !can {
        return skip("`strace` is not here or not permitted");
    }
    let program = Program::start("idle").open();
    // The monitor's last look at the workers.
    std::thread::sleep(Duration::from_millis(500));
    // Another user of the machine may list its processes meanwhile, and so ask this one.
    let calls = (0..10).map(|_| calls_of(program.pid())).find(|calls| !calls.contains("si_code=SI_QUEUE"));
    let calls = calls.expect("it is not asked all the time");
    // A line begins with the thread and the time. strace interrupts each wait when it attaches, which the program notices.
    let time = |line: &str| line.split_whitespace().nth(1).and_then(|time| time.parse::<f64>().ok()).unwrap();
    let first = calls.lines().map(time).next().expect("the waits of the threads");
    let later: Vec<_> = calls.lines().filter(|line| time(line) > first + 1.0 && !line.contains("<detached")).collect();
    assert_eq!(later, [""; 0], "{calls}");
    let _ = writeln!(std::io::stdout(), "no system call in {} s", idle_seconds());
}

/// The system calls of a process, a line for each, in a second more than it is watched.
fn calls_of(process: u32) -> String {
    let folder = tempdir();
    let file = folder.0.join("calls");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-q", "-ttt", "-o"]).arg(&file).args(["-p", &process.to_string()]);
    let mut strace = strace.stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(idle_seconds() + 1));
    // SAFETY: no pointers are passed; the process is a child that was not waited for.
    unsafe { libc::kill(strace.id() as i32, libc::SIGINT) };
    strace.wait().unwrap();
    std::fs::read_to_string(&file).unwrap()
}

fn first_number(line: &str) -> usize {
    line.split(' ').next().unwrap().replace(',', "").parse().unwrap()
}
