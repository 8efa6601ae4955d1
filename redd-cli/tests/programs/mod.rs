//! Programs that are in all kinds of trouble, for the program `redd` to ask. Each runs in a process of its own: the test program
//! once more, with the name of what it is to do in a variable.

#![allow(dead_code, reason = "each test program uses a part")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redd::runtime::{Builder, LocalOptions, Rescue};

/// The variable with the name of the program.
const PROGRAM: &str = "REDD_TEST_PROGRAM";

/// How long anything may take. Generous: the machine may be busy with ten other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Not a test: what the other processes run.
#[test]
fn program() {
    let Ok(name) = std::env::var(PROGRAM) else { return };
    // It ends with the test that has started it.
    std::thread::spawn(|| {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if line == "gap" {
                let longest: Vec<_> = LONGEST_NS.iter().map(|ns| ns.swap(0, Ordering::Relaxed).to_string()).collect();
                say(&format!("gap {}", longest.join(" ")));
            }
        }
        std::process::exit(0);
    });
    run(&name);
}

/// The test waits for this line.
fn ready() {
    say("ready");
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// What a dump reads: the slab, timers, descriptors, and a wait list, with many waiters and with none.
const PARTS: [&str; 5] = ["spawn", "timer", "socket", "long list", "short list"];

/// The longest time that [`tick`] needed for each of [`PARTS`] since the test asked for it.
static LONGEST_NS: [AtomicU64; PARTS.len()] = [const { AtomicU64::new(0) }; PARTS.len()];

/// Uses all that a dump reads, again and again. So a dump that keeps a lock makes a use longer.
async fn tick(shared: Arc<(redd::sync::Notify, redd::sync::Mutex<()>)>) {
    let notify = redd::sync::Notify::new();
    let (ours, _theirs) = redd::net::UnixStream::pair().unwrap();
    // Other processes take no time from it, as far as the system allows that.
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: the kernel reads a value that is ours.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
    loop {
        std::thread::sleep(Duration::from_micros(100));
        let mut since = Instant::now();
        let mut done = |part: usize| {
            LONGEST_NS[part].fetch_max(since.elapsed().as_nanos() as u64, Ordering::Relaxed);
            since = Instant::now();
        };
        redd::spawn(async {}).await.unwrap();
        done(0);
        poll_once(redd::time::sleep(Duration::from_secs(3600))).await;
        done(1);
        poll_once(ours.readable()).await;
        done(2);
        poll_once(shared.0.notified()).await;
        done(3);
        poll_once(notify.notified()).await;
        done(4);
    }
}

async fn poll_once(future: impl Future) {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        let _ = future.as_mut().poll(cx);
        std::task::Poll::Ready(())
    })
    .await;
}

/// A task that waits, one of several kinds.
fn spawn_waiting(
    runtime: &redd::runtime::Runtime,
    kind: usize,
    shared: &Arc<(redd::sync::Notify, redd::sync::Mutex<()>)>,
) {
    use std::future::pending;
    let shared = Arc::clone(shared);
    match kind {
        0 => drop(runtime.spawn(async { redd::time::sleep(Duration::from_secs(3600)).await })),
        1 => drop(runtime.spawn(async move { shared.0.notified().await })),
        2 => drop(runtime.spawn(async move { drop(shared.1.lock().await) })),
        3 => drop(runtime.spawn(async {
            let (_sender, mut receiver) = redd::sync::mpsc::channel::<()>(1);
            receiver.recv().await
        })),
        _ => drop(runtime.spawn(async { redd::time::timeout(Duration::from_secs(3600), pending::<()>()).await })),
    }
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
            let (begin, begun) = std::sync::mpsc::channel();
            for _ in 0..8 {
                let begin = begin.clone();
                runtime.spawn(async move {
                    begin.send(()).unwrap();
                    std::thread::sleep(Duration::from_secs(60));
                });
            }
            // The rescue starts a worker for each.
            (0..8).for_each(|_| begun.recv().unwrap());
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
        "three waits" => {
            let runtime = workers.name("select").build().unwrap();
            runtime.spawn(async {
                let (notify, semaphore) = (redd::sync::Notify::new(), redd::sync::Semaphore::new(0));
                redd::select! {
                    () = notify.notified() => {}
                    _ = semaphore.acquire() => {}
                    () = redd::time::sleep(Duration::from_secs(3600)) => {}
                }
            });
            ready();
            runtime.block_on(std::future::pending::<()>());
        }
        "set" => {
            let runtime = current.name("set").build().unwrap();
            let set = redd::task::LocalSet::new();
            set.spawn_local(async { redd::time::sleep(Duration::from_secs(3600)).await });
            ready();
            set.block_on(&runtime, std::future::pending::<()>());
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
        "many" => {
            let runtime = workers.name("many").build().unwrap();
            let shared = Arc::new((redd::sync::Notify::new(), redd::sync::Mutex::new(())));
            let _held = runtime.block_on(shared.1.lock());
            (0..tasks()).for_each(|number| spawn_waiting(&runtime, number % 5, &shared));
            while runtime.metrics().num_alive_tasks() < tasks() || runtime.metrics().global_queue_depth() > 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            runtime.spawn(tick(Arc::clone(&shared)));
            std::thread::sleep(Duration::from_millis(500));
            ready();
            std::thread::park();
        }
        "groups" => {
            let runtime = workers.name("groups").build().unwrap();
            let server = async {
                let requests = redd::group::TaskGroup::limit(1).name("requests").start();
                requests.spawn(redd::group::shield(Duration::from_secs(60), std::future::pending::<()>()));
                (0..3).for_each(|_| drop(requests.spawn(std::future::pending())));
                std::future::pending::<()>().await;
            };
            let server = redd::task::Builder::new().name("server").spawn_on(server, runtime.handle()).unwrap();
            let jobs = redd::group::Supervisor::one_for_one().child("ingest", std::future::pending::<()>);
            let _supervises = runtime.spawn(jobs.run());
            // All waits are there.
            while runtime.metrics().num_task_groups() < 2 || runtime.metrics().task_group_queue_depth() < 3 {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(!server.is_finished());
            ready();
            std::thread::park();
        }
        "no redd" => {
            ready();
            std::thread::park();
        }
        _ => panic!("there is no program `{name}`"),
    }
}

/// How many tasks the program with many has.
pub(crate) fn tasks() -> usize {
    std::env::var("REDD_TASKS").map_or(10_000, |count| count.parse().expect("REDD_TASKS is a number"))
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
pub(crate) struct Program {
    pub(crate) process: Child,
    pub(crate) out: BufReader<std::process::ChildStdout>,
}

impl Program {
    pub(crate) fn start(name: &str) -> Self {
        Self::start_as(name, |_| {})
    }

    pub(crate) fn start_as(name: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        prepare(&mut command);
        Self::spawn(name, command)
    }

    /// By `shell`, which runs the program as `"$@"`.
    pub(crate) fn start_by(name: &str, shell: &[&str]) -> Self {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg(std::env::current_exe().unwrap());
        Self::spawn(name, command)
    }

    pub(crate) fn spawn(name: &str, mut command: Command) -> Self {
        command.args(["programs::program", "--exact", "--nocapture"]).env(PROGRAM, name);
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

    /// How long the uses of each part took at most since they were last asked for.
    pub(crate) fn longest_gaps(&mut self) -> String {
        self.process.stdin.as_ref().unwrap().write_all(b"gap\n").unwrap();
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        let longest =
            line.trim_end().strip_prefix("gap ").unwrap().split(' ').map(|ns| ns.parse::<u64>().unwrap() / 1000);
        let longest: Vec<_> = PARTS.iter().zip(longest).map(|(part, us)| format!("{part} {us} us")).collect();
        longest.join(", ")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Ends the program. Returns what it has written to standard error.
    pub(crate) fn end(mut self) -> String {
        self.process.kill().unwrap();
        let mut text = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// Once it can be asked: its thread gets a CPU, and a current-thread runtime becomes old enough.
    pub(crate) fn open(self) -> Self {
        self.wait_until_it_takes_requests();
        self
    }

    pub(crate) fn wait_until_it_takes_requests(&self) {
        let since = Instant::now();
        while !self.threads().iter().any(|name| name.starts_with("redd-attach:")) {
            assert!(since.elapsed() < PATIENCE, "its threads: {:?}", self.threads());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap().flatten();
        tasks
            .filter_map(|task| Some(std::fs::read_to_string(task.path().join("comm")).ok()?.trim().to_owned()))
            .collect()
    }

    pub(crate) fn catches(&self, signal: i32) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap() & 1 << (signal - 1) != 0
    }

    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    pub(crate) fn resident_kib(&self) -> usize {
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

pub(crate) fn redd(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_redd")).args(arguments).output().expect("the client starts")
}

/// What the client prints about a program that replies.
#[track_caller]
pub(crate) fn printed(arguments: &[&str]) -> String {
    let output = redd(arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && error.is_empty(), "redd {arguments:?}: {} {error}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// What it says about one that does not.
#[track_caller]
pub(crate) fn refused(arguments: &[&str]) -> String {
    let output = redd(arguments);
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

pub(crate) fn dump(program: &Program) -> String {
    printed(&["dump", &program.pid().to_string()])
}

pub(crate) fn is_root() -> bool {
    // SAFETY: no pointers are passed, and it cannot fail.
    unsafe { libc::geteuid() == 0 }
}

pub(crate) fn skip(why: &str) {
    let _ = writeln!(std::io::stdout(), "SKIPPED: {why}");
}

/// A user who is not root and owns nothing here.
pub(crate) const NOBODY: u32 = 65534;

pub(crate) struct Folder(pub(crate) std::path::PathBuf);

/// A folder that every user may enter.
pub(crate) fn tempdir() -> Folder {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::AtomicU32;
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
