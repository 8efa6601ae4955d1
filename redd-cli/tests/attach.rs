//! The program `redd` asks programs that are in all kinds of trouble. Each runs in a process of its own: this test program once
//! more, with the name of what it is to do in a variable.

#![allow(clippy::disallowed_methods, reason = "threads and clocks of programs that are in trouble")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(unsafe_code, reason = "system calls")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use redd::runtime::{Builder, LocalOptions, Rescue};

/// The variable with the name of the program.
const PROGRAM: &str = "REDD_TEST_PROGRAM";

/// How long anything may take. Generous: the machine may be busy with ten other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// Not a test: what the other processes run.
#[test]
fn program() {
    let Ok(name) = std::env::var(PROGRAM) else { return };
    // It ends with the test that has started it.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    run(&name);
}

/// The test waits for this line.
fn ready() {
    let mut out = std::io::stdout();
    out.write_all(b"ready\n").unwrap();
    out.flush().unwrap();
}

fn run(name: &str) {
    let mut workers = Builder::new_multi_thread();
    workers.worker_threads(2).enable_all();
    let mut current = Builder::new_current_thread();
    current.enable_all();
    match name {
        "idle" => {
            let runtime = workers.name("idle").build().unwrap();
            runtime.spawn(std::future::pending::<()>());
            runtime.block_on(redd::task::yield_now());
            ready();
            std::thread::park();
        }
        "all workers sleep" => {
            let runtime = workers.name("sleepy").on_late_poll(|_| {}).build().unwrap();
            for _ in 0..8 {
                runtime.spawn(async { std::thread::sleep(Duration::from_secs(60)) });
            }
            std::thread::sleep(Duration::from_millis(300));
            ready();
            std::thread::park();
        }
        "current-thread" => wait_forever(current.name("alone")),
        "current-thread without rescue" => wait_forever(current.name("alone").rescue(Rescue::off())),
        "current-thread, blocked" => {
            let runtime = current.name("blocked").rescue(Rescue::off()).build().unwrap();
            ready();
            runtime.block_on(async { std::thread::sleep(Duration::from_secs(60)) });
        }
        "paused" => wait_forever(current.name("paused").start_paused(true)),
        "local" => {
            let runtime = current.name("local").build_local(LocalOptions::default()).unwrap();
            ready();
            runtime.block_on(std::future::pending::<()>());
        }
        "one worker" => wait_forever(workers.name("single").worker_threads(1)),
        "workers without rescue" => wait_forever(workers.name("plain").rescue(Rescue::off())),
        "several" => {
            let first = workers.name("first").build().unwrap();
            let second = current.name("second").build().unwrap();
            let hidden = current.name("hidden").observe(false).build().unwrap();
            first.spawn(std::future::pending::<()>());
            second.spawn(std::future::pending::<()>());
            ready();
            hidden.block_on(std::future::pending::<()>());
        }
        "hidden" => wait_forever(workers.name("hidden").observe(false)),
        "handles a signal" => {
            extern "C" fn handle(_: i32) {}
            // SAFETY: the handler does nothing.
            unsafe { libc::signal(libc::SIGUSR1, handle as extern "C" fn(i32) as usize) };
            wait_forever(&mut workers);
        }
        "without signal handlers" => {
            let runtime = workers.name("reset").build().unwrap();
            runtime.block_on(redd::task::yield_now());
            reset_all_signals();
            ready();
            std::thread::park();
        }
        "not dumpable" => {
            let runtime = workers.build().unwrap();
            // SAFETY: no pointers are passed.
            assert_eq!(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) }, 0);
            ready();
            runtime.block_on(std::future::pending::<()>());
        }
        "no redd" => {
            ready();
            std::thread::park();
        }
        _ => panic!("there is no program `{name}`"),
    }
}

fn wait_forever(builder: &mut Builder) {
    let runtime = builder.build().unwrap();
    runtime.spawn(std::future::pending::<()>());
    ready();
    runtime.block_on(std::future::pending::<()>());
}

/// Every signal gets its default, and then the real-time ones are ignored.
fn reset_all_signals() {
    for signal in (1..32).chain(libc::SIGRTMIN()..=libc::SIGRTMAX()) {
        // SAFETY: no handler is installed. Those that cannot be set are errors.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    for signal in libc::SIGRTMIN()..=libc::SIGRTMAX() - 3 {
        // SAFETY: as above.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// A program under test. It is killed when this is dropped.
struct Program {
    process: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Program {
    fn start(name: &str) -> Self {
        Self::start_as(name, |_| {})
    }

    fn start_as(name: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        prepare(&mut command);
        Self::spawn(name, command)
    }

    /// By `shell`, which runs the program as `"$@"`.
    fn start_by(name: &str, shell: &[&str]) -> Self {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg(std::env::current_exe().unwrap());
        Self::spawn(name, command)
    }

    fn spawn(name: &str, mut command: Command) -> Self {
        command.args(["program", "--exact", "--nocapture"]).env(PROGRAM, name);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the test program starts");
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        // The test harness of the program may have begun the line.
        while !line.trim_end().ends_with("ready") {
            line.clear();
            assert!(out.read_line(&mut line).unwrap() > 0, "`{name}` ended before it was ready");
        }
        Self { process, out }
    }

    fn pid(&self) -> u32 {
        self.process.id()
    }

    fn is_alive(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Ends the program. Returns what it has written to standard error.
    fn end(mut self) -> String {
        self.process.kill().unwrap();
        let mut text = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// Once it can be asked: its thread gets a CPU, and a current-thread runtime becomes old enough.
    fn open(self) -> Self {
        self.wait_until_it_takes_requests();
        self
    }

    fn wait_until_it_takes_requests(&self) {
        let since = Instant::now();
        while !self.threads().iter().any(|name| name.starts_with("redd-attach:")) {
            assert!(since.elapsed() < PATIENCE, "its threads: {:?}", self.threads());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap().flatten();
        tasks
            .filter_map(|task| Some(std::fs::read_to_string(task.path().join("comm")).ok()?.trim().to_owned()))
            .collect()
    }

    fn catches(&self, signal: i32) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap() & 1 << (signal - 1) != 0
    }

    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    fn resident_kib(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn redd(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_redd")).args(arguments).output().expect("the client starts")
}

/// What the client prints about a program that replies.
#[track_caller]
fn printed(arguments: &[&str]) -> String {
    let output = redd(arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && error.is_empty(), "redd {arguments:?}: {} {error}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// What it says about one that does not.
#[track_caller]
fn refused(arguments: &[&str]) -> String {
    let output = redd(arguments);
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn dump(program: &Program) -> String {
    printed(&["dump", &program.pid().to_string()])
}

fn is_root() -> bool {
    // SAFETY: no pointers are passed, and it cannot fail.
    unsafe { libc::geteuid() == 0 }
}

fn skip(why: &str) {
    let _ = writeln!(std::io::stdout(), "SKIPPED: {why}");
}

#[test]
fn a_process_whose_workers_all_sleep_in_the_system_replies_at_once() {
    let program = Program::start("all workers sleep").open();
    let mut times = Vec::new();
    for _ in 0..5 {
        let since = Instant::now();
        let text = dump(&program);
        times.push(since.elapsed());
        assert!(text.contains("`sleepy`: multi-thread, workers: 2, tasks: 8"), "{text}");
        assert!(text.contains("8 tasks (spawned at ") && text.matches("attach.rs:").count() == 1, "{text}");
    }
    let text = printed(&["dump", "--all", &program.pid().to_string()]);
    assert_eq!(text.matches("attach.rs:").count(), 8, "{text}");
    let _ = writeln!(std::io::stdout(), "a dump, client included: {times:?}");
    assert!(times.iter().all(|time| *time < Duration::from_secs(30)), "the workers sleep for 60 s: {times:?}");
}

#[test]
fn the_calls_of_blocked_workers_are_shown_and_a_task_that_waits_has_none() {
    let program = Program::start("all workers sleep").open();
    let pid = program.pid().to_string();
    let text = printed(&["stack", &pid]);
    assert!(text.contains("`sleepy`: multi-thread"), "{text}");
    let heads: Vec<_> = text.lines().filter(|line| line.starts_with("worker ")).collect();
    assert!(heads.len() >= 2, "{text}");
    for head in &heads {
        assert!(head.contains("off the CPU in clock_nanosleep, polls task ") && head.contains("attach.rs:"), "{text}");
    }
    assert!(text.lines().filter(|line| line.starts_with("    ")).count() > heads.len(), "{text}");
    let number = |line: &str| line.split("task ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let one = printed(&["stack", &pid, &number(heads[0])]);
    assert_eq!(one.lines().filter(|line| line.starts_with("worker ")).count(), 1, "{one}");
    assert!(refused(&["stack", &pid, "999999999"]).contains("no task has the number 999999999 now"));
    let program = Program::start("idle").open();
    let pid = program.pid().to_string();
    assert!(printed(&["stack", &pid]).contains("No worker polls a task."));
    let text = dump(&program);
    let waiting = text.lines().find(|line| line.contains("spawned at")).unwrap();
    let text = printed(&["stack", &pid, &number(waiting)]);
    assert!(text.contains("it is not polled now"), "{text}");
}

#[test]
fn metrics_are_families_with_a_type_and_samples_of_each_runtime() {
    let program = Program::start("several").open();
    let text = printed(&["metrics", &program.pid().to_string()]);
    let mut families = std::collections::BTreeSet::new();
    let mut family = "";
    for line in text.lines().filter(|line| !line.starts_with("# HELP")) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            family = rest.split(' ').next().unwrap();
            assert!(families.insert(family), "a family stands in one place: {line}");
            assert_eq!(family.ends_with("_total"), rest.ends_with(" counter"), "{line}");
        } else if line != "# EOF" {
            let (name, rest) = line.split_once('{').unwrap();
            assert_eq!(name, family);
            assert!(rest.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
        }
    }
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    for name in ["first", "second"] {
        let sample =
            |line: &&str| line.starts_with("redd_tasks_alive{") && line.contains(&format!("name=\"{name}\"}} 1"));
        assert_eq!(text.lines().filter(sample).count(), 1, "{text}");
    }
    assert_eq!(text.lines().filter(|line| line.starts_with("redd_worker_polls_total{")).count(), 3, "{text}");
    let tool = Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).spawn();
    match tool {
        Ok(mut tool) => {
            tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
            assert!(tool.wait().unwrap().success());
        }
        Err(_) => skip("`promtool` is not here"),
    }
}

#[test]
fn top_shows_which_tasks_are_polled() {
    let program = Program::start("all workers sleep").open();
    let text = printed(&["top", "--once", &program.pid().to_string()]);
    let heading = text.lines().next().unwrap();
    assert!(heading.contains("`sleepy`: multi-thread, workers: 2, tasks: 8"), "{text}");
    let running: Vec<_> = text.lines().filter(|line| line.contains(" running ")).collect();
    assert_eq!(running.len(), 1, "all are alike: {text}");
    assert!(!running[0].trim_start().starts_with("0.0 %"), "{text}");
    let program = Program::start("idle").open();
    let text = printed(&["top", &program.pid().to_string()]);
    assert!(text.contains("0.0 %") && text.contains("waiting  something outside of redd"), "{text}");
}

#[test]
fn runtimes_of_each_kind_reply_with_rescue_and_without() {
    for (name, heading) in [
        ("current-thread", "`alone`: current-thread, workers: 1, tasks: 1"),
        ("current-thread without rescue", "`alone`: current-thread"),
        ("paused", "`paused`: current-thread"),
        ("local", "`local`: local, workers: 1, tasks: 0"),
        ("one worker", "`single`: multi-thread, workers: 1, tasks: 1"),
        ("workers without rescue", "`plain`: multi-thread, workers: 2, tasks: 1"),
    ] {
        let program = Program::start(name).open();
        let text = dump(&program);
        assert!(text.contains(heading), "{name}: {text}");
    }
}

#[test]
fn a_current_thread_runtime_that_blocks_at_once_replies_if_the_variable_asks_for_it() {
    let mut program = Program::start("current-thread, blocked");
    std::thread::sleep(Duration::from_millis(200));
    assert!(refused(&["dump", &program.pid().to_string()]).contains("REDD_DEBUG=attach=on"));
    assert!(program.is_alive());
    let program = Program::start_as("current-thread, blocked", |command| {
        command.env("REDD_DEBUG", "attach=on");
    })
    .open();
    assert!(dump(&program).contains("`blocked`: current-thread"));
}

#[test]
fn a_process_with_several_runtimes_shows_those_that_may_be_seen() {
    let program = Program::start("several").open();
    let text = dump(&program);
    for words in ["`first`: multi-thread, workers: 2, tasks: 1", "`second`: current-thread, workers: 1, tasks: 1"] {
        assert!(text.contains(words), "{text}");
    }
    assert!(!text.contains("`hidden`"), "{text}");
    assert!(text.contains("1 runtime was built with `Builder::observe(false)`, and not shown."), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&printed(&["dump", "--json", &program.pid().to_string()])).unwrap();
    assert_eq!(json["format"], "redd-attach/1");
    assert_eq!(json["process"], program.pid());
    assert_eq!(json["hidden"], 1);
    let tasks = json["runtimes"][0]["dump"]["tasks"].as_array().unwrap();
    assert_eq!((&json["runtimes"][0]["dump"]["format"], tasks.len()), (&"redd-dump/1".into(), 1));
    let names: Vec<_> = json["runtimes"].as_array().unwrap().iter().map(|runtime| runtime["name"].clone()).collect();
    assert_eq!(names, ["first", "second"]);
    let list = printed(&["ps"]);
    let pid = program.pid().to_string();
    let line = list.lines().find(|line| line.split_whitespace().next() == Some(&pid)).expect(&list);
    assert_eq!(line.split_whitespace().skip(2).take(2).collect::<Vec<_>>(), ["2", "2"], "{list}");
}

#[test]
fn what_may_not_be_asked_says_so_and_lives() {
    let mut hidden = Program::start("hidden");
    assert!(refused(&["dump", &hidden.pid().to_string()]).contains("built with `Builder::observe(false)`"));
    assert_eq!(hidden.threads().iter().filter(|name| name.starts_with("redd-attach")).count(), 0);
    let mut off = Program::start_as("idle", |command| {
        command.env("REDD_DEBUG", "attach=off");
    });
    assert!(refused(&["dump", &off.pid().to_string()]).contains("REDD_DEBUG=attach=off"));
    assert_eq!(off.threads().iter().filter(|name| name.starts_with("redd-attach")).count(), 0);
    let mut other = Program::start("no redd");
    assert!(refused(&["dump", &other.pid().to_string()]).contains("it does not run on redd"));
    assert!(refused(&["dump", "4194304"]).contains("there is no process 4194304"));
    for program in [&mut hidden, &mut off, &mut other] {
        assert!(program.is_alive());
    }
    let list = printed(&["ps"]);
    for pid in [hidden.pid(), off.pid(), other.pid()] {
        assert!(!list.lines().any(|line| line.split_whitespace().next() == Some(&pid.to_string())), "{list}");
    }
}

#[test]
fn a_process_that_has_reset_all_signals_replies_and_lives() {
    let mut program = Program::start("without signal handlers").open();
    for _ in 0..10 {
        assert!(dump(&program).contains("`reset`: multi-thread"));
    }
    assert!(program.is_alive());
}

#[test]
fn a_process_that_is_not_dumpable_refuses() {
    let mut program = Program::start("not dumpable").open();
    let why = refused(&["dump", &program.pid().to_string()]);
    assert!(why.contains("not dumpable"), "{why}");
    assert!(program.is_alive());
}

/// A user who is not root and owns nothing here.
const NOBODY: u32 = 65534;

#[test]
fn another_user_is_refused() {
    if !is_root() {
        return skip("only root can start a client of another user");
    }
    let program = Program::start("idle").open();
    // The folder of the build may be closed to other users.
    let folder = tempdir();
    let client = folder.0.join("redd");
    std::fs::copy(env!("CARGO_BIN_EXE_redd"), &client).unwrap();
    let output =
        Command::new(&client).args(["dump", &program.pid().to_string()]).uid(NOBODY).gid(NOBODY).output().unwrap();
    let why = String::from_utf8(output.stderr).unwrap();
    assert!(why.contains("permission denied") && why.contains("belongs to user root"), "{why}");
    let list = Command::new(&client).arg("ps").uid(NOBODY).gid(NOBODY).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let pid = program.pid().to_string();
    let line = list.lines().find(|line| line.split_whitespace().next() == Some(&pid)).expect(&list);
    assert_eq!(line.split_whitespace().skip(1).take(3).collect::<Vec<_>>(), ["root", "-", "-"], "{list}");
}

#[test]
fn root_may_ask_a_process_of_another_user() {
    if !is_root() {
        return skip("this is not root");
    }
    let folder = tempdir();
    let copy = folder.0.join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let mut command = Command::new(&copy);
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    let program = Program::spawn("idle", command).open();
    assert!(dump(&program).contains("`idle`: multi-thread"));
}

struct Folder(std::path::PathBuf);

/// A folder that every user may enter.
fn tempdir() -> Folder {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("redd-cli-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    Folder(path)
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program in a mount namespace of its own, after some mounts; `None` if the system does not allow that.
fn in_own_mounts(mounts: &str) -> Option<Program> {
    let can = Command::new("unshare").args(["--mount", "true"]).output().is_ok_and(|output| output.status.success());
    if !can {
        skip("`unshare --mount` is not here or not permitted");
        return None;
    }
    let script = format!("{mounts} && exec \"$@\"");
    Some(Program::start_by("idle", &["unshare", "--mount", "sh", "-c", &script, "sh"]).open())
}

#[test]
fn a_process_in_another_mount_namespace_replies() {
    let Some(program) = in_own_mounts("mount -t tmpfs -o mode=1777 tmpfs /dev/shm") else { return };
    assert!(dump(&program).contains("`idle`: multi-thread"));
}

#[test]
fn the_next_folder_is_used_where_one_cannot_be_written() {
    // The test program may be below /tmp, so that one cannot be replaced as a whole.
    for mounts in [
        "mount --bind /tmp /tmp && mount -o remount,bind,ro /tmp",
        "mount --bind /tmp /tmp && mount -o remount,bind,ro /tmp && mount -t tmpfs -o ro tmpfs /dev/shm && mount -t tmpfs tmpfs /mnt && \
         export TMPDIR=/mnt",
    ] {
        let Some(program) = in_own_mounts(mounts) else { return };
        assert!(dump(&program).contains("`idle`: multi-thread"), "{mounts}");
    }
    let mounts = "mount --bind /tmp /tmp && mount -o remount,bind,ro /tmp && mount -t tmpfs -o ro tmpfs /dev/shm";
    let Some(program) = in_own_mounts(mounts) else { return };
    let why = refused(&["dump", &program.pid().to_string()]);
    assert!(why.contains("/dev/shm") && why.contains("must be writable"), "{why}");
}

#[test]
fn many_attaches_leave_descriptors_threads_and_memory_as_they_were() {
    let rounds = std::env::var("REDD_ATTACHES").map_or(200, |count| count.parse().expect("REDD_ATTACHES is a number"));
    let program = Program::start("idle").open();
    let pid = program.pid().to_string();
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
    let left = std::fs::read_dir("/tmp").unwrap().flatten();
    // Other tests may be about to meet their programs, and have their directories for some milliseconds.
    let old = left.filter(|entry| {
        let is_old = |status: std::fs::Metadata| status.modified().unwrap().elapsed().is_ok_and(|age| age > PATIENCE);
        entry.file_name().to_string_lossy().starts_with("redd-attach-") && entry.metadata().is_ok_and(is_old)
    });
    assert_eq!(old.count(), 0);
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
    let folder = tempdir();
    let file = folder.0.join("calls");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-q", "-ttt", "-o"]).arg(&file).args(["-p", &program.pid().to_string()]);
    let mut strace = strace.stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    // SAFETY: no pointers are passed; the process is a child that was not waited for.
    unsafe { libc::kill(strace.id() as i32, libc::SIGINT) };
    strace.wait().unwrap();
    let calls = std::fs::read_to_string(&file).unwrap();
    // A line begins with the thread and the time. strace interrupts each wait when it attaches, which the program notices.
    let time = |line: &str| line.split_whitespace().nth(1).and_then(|time| time.parse::<f64>().ok()).unwrap();
    let first = calls.lines().map(time).next().expect("the waits of the threads");
    let later: Vec<_> = calls.lines().filter(|line| time(line) > first + 1.0 && !line.contains("<detached")).collect();
    assert_eq!(later, [""; 0], "{calls}");
}

#[test]
fn the_signal_of_the_variable_prints_what_the_tasks_do() {
    let mut program = Program::start_as("idle", |command| {
        command.env("REDD_DEBUG", "dump_on=QUIT");
    })
    .open();
    let pid = program.pid() as i32;
    let since = Instant::now();
    while !program.catches(libc::SIGQUIT) {
        assert!(since.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
    // SAFETY: no pointers are passed; the process is a child that was not waited for.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGQUIT) }, 0);
    let mut err = BufReader::new(program.process.stderr.take().unwrap());
    let mut text = String::new();
    while !text.contains("spawned at") {
        assert!(err.read_line(&mut text).unwrap() > 0, "{text}");
    }
    assert!(text.starts_with(&format!("redd: what process {pid} does\nruntime ")), "{text}");
    assert!(text.contains("`idle`: multi-thread, workers: 2, tasks: 1"), "{text}");
    assert!(program.is_alive());
    assert!(dump(&program).contains("`idle`"), "it takes requests, too");
}

#[test]
fn a_signal_that_the_shell_ignores_is_taken_and_one_that_the_program_handles_is_not() {
    let mut ignored = Command::new("sh");
    ignored.args(["-c", "trap '' QUIT; exec \"$@\"", "sh"]).arg(std::env::current_exe().unwrap());
    ignored.env("REDD_DEBUG", "dump_on=QUIT");
    let mut program = Program::spawn("idle", ignored).open();
    let since = Instant::now();
    while !program.catches(libc::SIGQUIT) {
        assert!(since.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(program.is_alive());
    let program = Program::start_as("handles a signal", |command| {
        command.env("REDD_DEBUG", "dump_on=USR1");
    })
    .open();
    dump(&program);
    let text = program.end();
    assert!(text.contains("`dump_on` of the environment variable REDD_DEBUG is ignored"), "{text}");
}

#[test]
fn options_that_do_not_exist_are_one_line_on_standard_error() {
    let program = Program::start_as("idle", |command| {
        command.env("REDD_DEBUG", "colour=on,late_poll=soon,attach=on");
    })
    .open();
    dump(&program);
    let text = program.end();
    assert_eq!(text.lines().count(), 1, "{text}");
    for words in ["REDD_DEBUG", "no option `colour`", "`late_poll=soon`", "`redd help debug`"] {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn the_options_of_the_library_are_listed() {
    let text = printed(&["help", "debug"]);
    for option in redd::observe::DEBUG_OPTIONS {
        assert!(text.contains(&format!("  {}={}\n", option.name, option.values)), "{text}");
    }
    assert!(printed(&["help"]).contains("dump"));
    assert!(printed(&["help", "dump"]).contains("--json"));
    assert!(refused(&["help", "colours"]).contains("no command `colours`"));
}

#[test]
fn a_program_that_has_ended_is_said_to_have_ended() {
    let mut program = Program::start("idle").open();
    let pid = program.pid();
    drop(program.process.stdin.take());
    program.process.wait().unwrap();
    let mut rest = String::new();
    program.out.read_to_string(&mut rest).unwrap();
    assert!(refused(&["dump", &pid.to_string()]).contains(&format!("there is no process {pid}")));
}

/// A file that goes away with this value.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("redd-trace-{}-{name}", std::process::id())))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_process_is_traced_while_others_ask_it_and_a_client_that_dies_ends_its_trace() {
    let mut program = Program::start("several").open();
    let pid = program.pid().to_string();
    let file = Scratch::new("several.json");
    let text = printed(&["trace", &pid, "--last", "50ms", "-o", file.path()]);
    assert!(text.contains(" events of ") && text.contains(file.path()), "{text}");
    assert!(std::fs::metadata(file.path()).unwrap().len() > 0);

    let endless = ["trace", &pid, "--last", "60s", "-o", file.path()];
    let mut client = Command::new(env!("CARGO_BIN_EXE_redd")).args(endless).spawn().unwrap();
    let since = Instant::now();
    let busy = loop {
        let output = redd(&["trace", &pid, "--last", "0s", "-o", file.path()]);
        if !output.status.success() {
            break String::from_utf8(output.stderr).unwrap();
        }
        assert!(since.elapsed() < PATIENCE, "the first trace does not begin");
    };
    assert!(busy.contains("it is being traced for another client"), "{busy}");
    assert!(dump(&program).contains("`first`"), "another request is served meanwhile");
    assert!(client.try_wait().unwrap().is_none(), "the trace goes on");
    client.kill().unwrap();
    client.wait().unwrap();
    let since = Instant::now();
    while !redd(&["trace", &pid, "--last", "0s", "-o", file.path()]).status.success() {
        assert!(since.elapsed() < PATIENCE, "the trace of the client that has died goes on");
    }
    assert!(program.is_alive());
}

#[test]
fn a_process_that_may_not_be_traced_says_why() {
    let file = Scratch::new("refused.json");
    let program = Program::start_as("idle", |command| {
        command.env("REDD_DEBUG", "recorder=off");
    })
    .open();
    let why = refused(&["trace", &program.pid().to_string(), "-o", file.path()]);
    assert!(why.contains("REDD_DEBUG=recorder=off"), "{why}");
    let program = Program::start("idle").open();
    let pid = program.pid().to_string();
    assert!(refused(&["trace", &pid, "-o", "trace.txt"]).contains("must end in"));
    assert!(refused(&["trace", &pid, "--last", "61s", "-o", file.path()]).contains("the longest time is 60s"));
    assert!(!std::path::Path::new("trace.txt").exists() && !file.0.exists());
}

#[test]
fn what_was_recorded_before_is_there_if_the_process_records_everything() {
    let file = Scratch::new("full.json");
    let program = Program::start_as("idle", |command| {
        command.env("REDD_DEBUG", "recorder=full");
    })
    .open();
    printed(&["trace", &program.pid().to_string(), "--last", "60s", "-o", file.path()]);
    let text = std::fs::read_to_string(file.path()).unwrap();
    assert!(text.contains("PollStart") && text.contains("Spawn"), "{text}");
}
