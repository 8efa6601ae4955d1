//! The program `redd` asks programs that are in all kinds of trouble.

#![allow(clippy::disallowed_methods, reason = "threads and clocks of programs that are in trouble")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(unsafe_code, reason = "system calls")]

mod programs;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use programs::{NOBODY, PATIENCE, Program, dump, is_root, printed, redd, refused, skip, tempdir};

#[test]
fn a_process_whose_workers_all_sleep_in_the_system_replies_at_once() {
    let program = Program::start("all workers sleep").open();
    let mut times = Vec::new();
    for _ in 0..5 {
        let since = Instant::now();
        let text = dump(&program);
        times.push(since.elapsed());
        assert!(text.contains("`sleepy`: multi-thread, workers: 2, tasks: 8"), "{text}");
        assert!(text.contains("8 tasks (spawned at ") && text.matches("mod.rs:").count() == 1, "{text}");
    }
    let text = printed(&["dump", "--all", &program.pid().to_string()]);
    assert_eq!(text.matches("mod.rs:").count(), 8, "{text}");
    let _ = writeln!(std::io::stdout(), "a dump, client included: {times:?}");
    assert!(times.iter().all(|time| *time < Duration::from_secs(30)), "the workers sleep for 60 s: {times:?}");
}

#[test]
fn a_tree_has_task_groups_and_supervisors_as_inner_nodes() {
    let program = Program::start("groups").open();
    let pid = program.pid().to_string();
    let text = printed(&["dump", "--tree", &pid]);
    let heads: Vec<_> = text.lines().map(|line| line.split([':', '(']).next().unwrap().trim_end()).collect();
    let at = |head: &str| {
        let is_it = |line: &&str| line.split(" #").next() == Some(head) || **line == *head;
        heads.iter().position(is_it).unwrap_or_else(|| panic!("no `{head}` in {text}"))
    };
    let server = heads.iter().position(|head| head.starts_with("task ") && head.ends_with(" `server`")).expect(&text);
    assert!(heads[server + 1].starts_with("└─ group #") && heads[server + 1].ends_with(" `requests`"), "{text}");
    assert_eq!(heads[server + 2], "   ├─ 3 tasks `requests`", "{text}");
    assert!(heads[server + 3].starts_with("   └─ task ") && heads[server + 3].ends_with(" `requests`"), "{text}");
    let shielded = text.lines().nth(server + 3).unwrap();
    assert!(shielded.contains(", in a shield made at ") && shielded.contains("mod.rs:"), "{text}");
    let supervisor = at("└─ supervisor");
    assert_eq!(heads[supervisor + 1], "   └─ child `ingest`", "{text}");
    assert!(
        heads[supervisor + 2].starts_with("      └─ task ") && heads[supervisor + 2].ends_with(" `ingest`"),
        "{text}"
    );
    let each = printed(&["dump", "--tree", "--all", &pid]);
    assert_eq!(each.matches("─ task ").count(), 5, "{each}");
    for other in ["--json", "--html"] {
        let arguments = ["dump", &pid, "--tree", other, "/no/such/file"];
        let arguments = &arguments[..if other == "--html" { 5 } else { 4 }];
        assert!(refused(arguments).contains("cannot be used with"), "{other}");
    }
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
        assert!(head.contains("off the CPU in clock_nanosleep, polls task ") && head.contains("mod.rs:"), "{text}");
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
fn each_wait_of_a_task_is_shown() {
    let program = Program::start("three waits").open();
    let pid = program.pid().to_string();
    let text = dump(&program);
    let line = text.lines().find(|line| line.starts_with("task ")).expect(&text);
    let text = printed(&["stack", &pid, line.split(' ').nth(1).unwrap()]);
    let waits: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("    waits: ")).collect();
    for (kind, wait) in ["Notify at ", "Semaphore at ", "Timer at "].iter().zip(&waits) {
        assert!(wait.starts_with(kind) && wait.contains("mod.rs:"), "{text}");
    }
    assert_eq!(waits.len(), 3, "{text}");
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
    let program = Program::start("set").open();
    let text = printed(&["top", &program.pid().to_string()]);
    assert!(text.contains("waiting  Timer at "), "tasks of a `LocalSet` are shown: {text}");
}

#[test]
fn top_counts_task_groups_and_its_details_show_the_group_of_a_task() {
    let program = Program::start("groups").open();
    let pid = program.pid().to_string();
    let text = printed(&["top", "--once", &pid]);
    assert!(text.lines().next().unwrap().ends_with(", task groups: 2 (3 queued tasks), restarts: 0"), "{text}");
    assert!(text.contains("waiting  GroupPlace "), "{text}");
    // What the view shows of one task.
    let tree = printed(&["dump", "--tree", "--all", &pid]);
    let details = |is_it: fn(&&str) -> bool| {
        let line = tree.lines().find(is_it).unwrap();
        printed(&["stack", &pid, line.split("task ").nth(1).unwrap().split(' ').next().unwrap()])
    };
    let shielded = details(|line| line.contains(", in a shield made at "));
    assert!(shielded.contains(" `requests` (spawned at ") && shielded.contains(" in group #"), "{shielded}");
    assert!(shielded.contains(", in a shield made at "), "{shielded}");
    let last = details(|line| line.contains(", 2 before it"));
    assert!(last.contains("waits: GroupPlace") && last.contains("`requests`, 2 before it"), "{last}");
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

#[test]
fn another_user_is_refused() {
    if !is_root() {
        return skip("only root can start a client of another user");
    }
    let program = Program::start("idle").open();
    // The folder of the build may be closed to other users.
    let folder = tempdir();
    let client = folder.0.join("redd");
    // By another process: a child of another test may inherit the descriptor that is written to, and then the file is busy.
    assert!(
        Command::new("cp").args([env!("CARGO_BIN_EXE_redd").as_ref(), client.as_os_str()]).status().unwrap().success()
    );
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

/// As in a container: the process has its own numbers of processes, its own `/proc` and its own `/tmp`, and is asked from the host.
#[test]
fn a_process_in_a_container_replies_to_the_host() {
    let container = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let can = Command::new(container[0]).args(&container[1..]).arg("true").output();
    if !can.is_ok_and(|output| output.status.success()) {
        return skip("`unshare --mount --pid --mount-proc` is not here or not permitted");
    }
    let shell =
        [&container[..], &["sh", "-c", "mount -t tmpfs -o mode=1777 tmpfs /dev/shm && exec \"$@\"", "sh"]].concat();
    let program = Program::start_by("idle", &shell);
    let outer = program.pid();
    let children = std::fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
    let inner = children.trim();
    let status = std::fs::read_to_string(format!("/proc/{inner}/status")).unwrap();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    assert_eq!(numbers.split_whitespace().collect::<Vec<_>>(), [inner, "1"], "it is the first one in its container");
    let since = Instant::now();
    let text = loop {
        let output = redd(&["dump", inner]);
        if output.status.success() {
            break String::from_utf8(output.stdout).unwrap();
        }
        assert!(since.elapsed() < PATIENCE, "{output:?}");
    };
    assert!(text.contains("`idle`: multi-thread"), "{text}");
    let list = printed(&["ps"]);
    assert!(list.lines().any(|line| line.split_whitespace().next() == Some(inner)), "{list}");
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

/// The directory in which a client has met the process.
fn directory_of(client: u32) -> String {
    let fds = std::fs::read_dir(format!("/proc/{client}/fd")).unwrap();
    let sockets: Vec<_> = fds
        .filter_map(|fd| {
            std::fs::read_link(fd.unwrap().path()).ok()?.to_str()?.strip_prefix("socket:[").map(str::to_owned)
        })
        .map(|socket| format!(" {} ", socket.trim_end_matches(']')))
        .collect();
    let all = std::fs::read_to_string("/proc/net/unix").unwrap();
    let mut lines = all.lines().filter(|line| sockets.iter().any(|socket| line.contains(socket.as_str())));
    let name = lines.find_map(|line| line.split('/').find(|part| part.starts_with("redd-attach-")));
    format!("/tmp/{}", name.expect("it has a connection"))
}

#[test]
fn a_process_is_traced_while_others_ask_it_and_a_client_that_dies_ends_its_trace() {
    let mut program = Program::start("several").open();
    let pid = program.pid().to_string();
    let file = Scratch::new("several.html");
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
    // The connection has the name of the socket in the directory, which is gone as soon as the process has connected.
    let directory = directory_of(client.id());
    assert!(!std::fs::exists(&directory).unwrap(), "{directory} would stay");
    client.kill().unwrap();
    client.wait().unwrap();
    let since = Instant::now();
    while !redd(&["trace", &pid, "--last", "0s", "-o", file.path()]).status.success() {
        assert!(since.elapsed() < PATIENCE, "the trace of the client that has died goes on");
    }
    assert!(program.is_alive());
}

#[test]
fn the_file_of_a_page_keeps_what_it_has_until_there_is_a_reply() {
    let file = Scratch::new("kept.html");
    let before = "before".repeat(1 << 20);
    std::fs::write(file.path(), &before).unwrap();
    assert!(refused(&["dump", "4294967295", "--html", file.path()]).contains("there is no process"));
    assert!(std::fs::read_to_string(file.path()).unwrap() == before);
    let program = Program::start("several").open();
    printed(&["dump", &program.pid().to_string(), "--html", file.path()]);
    let page = std::fs::read_to_string(file.path()).unwrap();
    assert!(page.contains("first"), "{page}");
    assert!(!page.contains("before".repeat(2).as_str()));
}

#[test]
fn a_process_that_may_not_be_traced_says_why() {
    let file = Scratch::new("refused.html");
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
fn a_trace_without_a_poll_says_where_to_look_instead() {
    let file = Scratch::new("no-poll.html");
    let program = Program::start("all workers sleep").open();
    let pid = program.pid().to_string();
    let since = Instant::now();
    // On a busy machine a spare worker may begin the poll of another sleeper meanwhile.
    while !printed(&["trace", &pid, "--last", "50ms", "-o", file.path()]).contains(&format!("`redd stack {pid}`")) {
        assert!(since.elapsed() < PATIENCE, "each trace has a poll");
    }
}

#[test]
fn what_was_recorded_before_is_there_if_the_process_records_everything() {
    let file = Scratch::new("full.html");
    let program = Program::start_as("idle", |command| {
        command.env("REDD_DEBUG", "recorder=full");
    })
    .open();
    printed(&["trace", &program.pid().to_string(), "--last", "60s", "-o", file.path()]);
    let text = std::fs::read_to_string(file.path()).unwrap();
    assert!(text.contains("programs/mod.rs:"), "the page names where the task was spawned: {text}");
    let perfetto = Scratch::new("full.pftrace");
    printed(&["trace", &program.pid().to_string(), "--last", "60s", "-o", perfetto.path()]);
    assert!(std::fs::metadata(&perfetto.0).unwrap().len() > 0);
}

#[test]
fn a_trace_gives_its_memory_back() {
    let file = Scratch::new("memory.html");
    let program = Program::start("all workers sleep").open();
    let pid = program.pid().to_string();
    let trace = || printed(&["trace", &pid, "--last", "10ms", "-o", file.path()]);
    trace();
    let (before, descriptors, threads) = (program.resident_kib(), program.descriptors(), program.threads().len());
    (0..20).for_each(|_| drop(trace()));
    let after = program.resident_kib();
    // Each of its rings has 4 MiB while it is needed.
    assert!(after < before + 2048, "{before} KiB, then {after} KiB");
    // The program may still be about to close the last connection.
    let limit = Instant::now() + Duration::from_secs(10);
    while (program.descriptors(), program.threads().len()) != (descriptors, threads) && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!((program.descriptors(), program.threads().len()), (descriptors, threads));
}
