//! Programs with blocked workers: one source, compiled once per runtime. `rt` is that runtime, and `rescue_metrics` returns
//! the values that only redd counts.
//!
//! `redd-blockers VARIANT RUNS` prints one line of JSON a run. `bench blockers` runs the variants on both runtimes
//! alternately, and makes the table.

#![allow(clippy::disallowed_methods, reason = "threads of no runtime, whose sleep is what is measured")]

use std::future::Future;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use rt::io::{AsyncReadExt, AsyncWriteExt};
use rt::runtime::{Builder, Runtime};
use rt::sync::oneshot;

use crate::rescue_metrics;

const BLOCK: Duration = Duration::from_millis(300);
const BEAT: Duration = Duration::from_millis(1);

/// Which workers a variant blocks, and how.
type Variant = (&'static str, fn(&Run));

const VARIANTS: &[Variant] = &[
    ("control", control),
    ("outside", outside),
    ("timer", timer),
    ("socket", socket),
    ("both", both),
    ("both_timer", both_timer),
    ("both_next", both_next),
    ("spawned_behind", spawned_behind),
    ("woken_behind", woken_behind),
    ("hundred", hundred),
    ("hundred_beside_eight", hundred_beside_eight),
    ("block_in_place", block_in_place),
    ("cpu_control", cpu_control),
    ("cpu_loop", cpu_loop),
    ("cpu_both", cpu_both),
];

pub fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| args.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let Some(name) = args.first() else {
        VARIANTS.iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    match name.as_str() {
        "echo" => echo_while_blocked(Duration::from_secs(number(1, 5))),
        "deadlock" => deadlock(&args[1], &args[2]),
        "idle" => idle(Duration::from_secs(number(1, 10)), None),
        "light" => idle(Duration::from_secs(number(1, 10)), Some(Duration::from_millis(10))),
        "busy" => busy_echo(Duration::from_secs(number(1, 60))),
        "many" => many_rescues(number(1, 10_000)),
        "beats" => beats(),
        _ => {
            let Some((_, program)) = VARIANTS.iter().find(|(variant, _)| variant == name) else {
                eprintln!("no variant is called `{name}`; without arguments this prints their names");
                std::process::exit(2);
            };
            for _ in 0..number(1, 1) {
                measure(*program);
            }
        }
    }
}

fn two_workers() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all();
    rescue_metrics::quiet(&mut builder);
    builder
}

/// One run of a variant.
struct Run {
    runtime: Runtime,
    /// Blocks that have begun and not ended; and the first start and the last end of all blocks.
    blocks: Arc<Mutex<Blocks>>,
    /// The longest time from the spawn or wake of a task behind a blocker to its poll.
    behind: Arc<Mutex<Option<Duration>>>,
}

#[derive(Default)]
struct Blocks {
    started: usize,
    ended: usize,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Run {
    /// What a blocker calls: blocks its thread with `how`.
    fn blocker(&self, how: impl FnOnce() + Send + 'static) -> impl FnOnce() + Send + 'static {
        let blocks = Arc::clone(&self.blocks);
        move || {
            {
                let mut blocks = blocks.lock().expect("no panic");
                blocks.started += 1;
                blocks.first.get_or_insert_with(Instant::now);
            }
            how();
            let mut blocks = blocks.lock().expect("no panic");
            blocks.ended += 1;
            blocks.last = Some(Instant::now());
        }
    }

    fn sleeper(&self) -> impl FnOnce() + Send + 'static {
        self.blocker(|| thread::sleep(BLOCK))
    }

    /// Called where the task behind a blocker is spawned or woken. The returned closure is called when that task runs.
    fn behind(&self) -> impl FnOnce(Instant) + Send + 'static {
        let behind = Arc::clone(&self.behind);
        move |since: Instant| {
            let waited = since.elapsed();
            let mut longest = behind.lock().expect("no panic");
            *longest = Some(longest.map_or(waited, |longest| longest.max(waited)));
        }
    }
}

/// Runs a heartbeat and, in the middle of it, the blockers of a variant. Prints a line of JSON.
fn measure(program: fn(&Run)) {
    let runtime = two_workers().build().expect("the system has room for threads");
    let run = Run { runtime, blocks: Arc::default(), behind: Arc::default() };
    let beats = start_heart(&run.runtime);
    thread::sleep(Duration::from_millis(50));
    let begin = Instant::now();
    program(&run);
    loop {
        thread::sleep(Duration::from_millis(5));
        let blocks = run.blocks.lock().expect("no panic");
        if blocks.started > 0 && blocks.started == blocks.ended {
            break;
        }
    }
    // By now the heartbeat and the tasks behind the blockers have had time to run.
    thread::sleep(Duration::from_millis(30));
    let end = Instant::now();
    let beats = beats.lock().expect("no panic").clone();
    let gap = longest_gap(&beats, begin, end);
    let behind = run.behind.lock().expect("no panic").map(|waited| waited.as_micros().to_string());
    println!("{{\"gap_us\":{},\"behind_us\":{}}}", gap.as_micros(), behind.unwrap_or_else(|| "null".to_owned()));
    run.runtime.shutdown_background();
}

fn start_heart(runtime: &Runtime) -> Arc<Mutex<Vec<Instant>>> {
    let beats = Arc::new(Mutex::new(Vec::with_capacity(4096)));
    let mine = Arc::clone(&beats);
    runtime.spawn(async move {
        // No `interval`: its ticks would coincide with the blocker's timer. Two tasks that become ready at once make a
        // runtime wake a second worker, which must not happen here.
        loop {
            mine.lock().expect("no panic").push(Instant::now());
            rt::time::sleep(BEAT).await;
        }
    });
    beats
}

/// The gap between two beats, or from the last one to `end`.
fn longest_gap(beats: &[Instant], begin: Instant, end: Instant) -> Duration {
    let mut longest = Duration::ZERO;
    let mut before = None;
    for beat in beats.iter().copied().chain([end]) {
        if let Some(before) = before.filter(|_| beat > begin) {
            longest = longest.max(beat.saturating_duration_since(before));
        }
        before = Some(beat);
    }
    longest
}

/// No worker is blocked: the noise of the machine.
fn control(run: &Run) {
    let blocker = run.sleeper();
    thread::spawn(blocker);
}

fn outside(run: &Run) {
    let blocker = run.sleeper();
    run.runtime.spawn(async move { blocker() });
}

fn timer(run: &Run) {
    let blocker = run.sleeper();
    run.runtime.spawn(async move {
        rt::time::sleep(Duration::from_millis(5)).await;
        blocker();
    });
}

/// A client, and the server's side for a runtime.
fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    let server = listener.accept().expect("it was connected").0;
    server.set_nonblocking(true).expect("a socket");
    (client, server)
}

fn socket(run: &Run) {
    let (mut client, server) = connected();
    let blocker = run.sleeper();
    run.runtime.spawn(async move {
        let mut server = rt::net::TcpStream::from_std(server).expect("inside the runtime");
        server.read_u8().await.expect("a byte comes");
        blocker();
    });
    thread::sleep(Duration::from_millis(10));
    client.write_all(b"!").expect("the server reads");
}

fn both(run: &Run) {
    for blocker in [run.sleeper(), run.sleeper()] {
        run.runtime.spawn(async move { blocker() });
    }
}

fn both_timer(run: &Run) {
    for blocker in [run.sleeper(), run.sleeper()] {
        run.runtime.spawn(async move {
            rt::time::sleep(Duration::from_millis(5)).await;
            blocker();
        });
    }
}

fn both_next(run: &Run) {
    for _ in 0..2 {
        spawned_behind(run);
    }
}

fn spawned_behind(run: &Run) {
    let (blocker, behind) = (run.sleeper(), run.behind());
    run.runtime.spawn(async move {
        let since = Instant::now();
        rt::spawn(async move { behind(since) });
        blocker();
    });
}

fn woken_behind(run: &Run) {
    let (blocker, behind) = (run.sleeper(), run.behind());
    let (wake, woken) = oneshot::channel();
    run.runtime.spawn(async move {
        if let Ok(since) = woken.await {
            behind(since);
        }
    });
    thread::sleep(Duration::from_millis(5));
    run.runtime.spawn(async move {
        let _ = wake.send(Instant::now());
        blocker();
    });
}

fn hundred(run: &Run) {
    for _ in 0..100 {
        outside(run);
    }
}

/// Eight tasks that sleep for a millisecond repeatedly run in between. Their longest gap is `behind`.
fn hundred_beside_eight(run: &Run) {
    for _ in 0..8 {
        let behind = Arc::clone(&run.behind);
        run.runtime.spawn(async move {
            loop {
                let since = Instant::now();
                rt::time::sleep(BEAT).await;
                let mut longest = behind.lock().expect("no panic");
                *longest = longest.max(Some(since.elapsed()));
            }
        });
    }
    thread::sleep(Duration::from_millis(10));
    hundred(run);
}

fn block_in_place(run: &Run) {
    for blocker in [run.sleeper(), run.sleeper()] {
        run.runtime.spawn(async move { rt::task::block_in_place(blocker) });
    }
}

fn spin() {
    let since = Instant::now();
    while since.elapsed() < BLOCK {
        std::hint::spin_loop();
    }
}

/// No worker computes, but the CPUs are as busy. This shows the effect of the system's scheduler alone.
fn cpu_control(run: &Run) {
    for spinner in [run.blocker(spin), run.blocker(spin)] {
        thread::spawn(spinner);
    }
}

fn cpu_loop(run: &Run) {
    let (blocker, behind) = (run.blocker(spin), run.behind());
    run.runtime.spawn(async move {
        let since = Instant::now();
        rt::spawn(async move { behind(since) });
        blocker();
    });
}

fn cpu_both(run: &Run) {
    cpu_loop(run);
    cpu_loop(run);
}

/// The times of a heartbeat around two tasks that block both workers, in microseconds, for the plot.
fn beats() {
    let runtime = two_workers().build().expect("the system has room for threads");
    let beats = start_heart(&runtime);
    let begin = Instant::now();
    thread::sleep(Duration::from_millis(200));
    let block = move || async move {
        let since = begin.elapsed();
        thread::sleep(BLOCK);
        (since, begin.elapsed())
    };
    let blocked = [runtime.spawn(block()), runtime.spawn(block())];
    thread::sleep(Duration::from_millis(500));
    let times = blocked.into_iter().map(|blocked| runtime.block_on(blocked).expect("it does not panic"));
    // The time in which both are.
    let (from, to) = times.reduce(|one, other| (one.0.max(other.0), one.1.min(other.1))).expect("there are two");
    let beats = beats.lock().expect("no panic").clone();
    let beats: Vec<String> =
        beats.iter().map(|beat| beat.saturating_duration_since(begin).as_micros().to_string()).collect();
    println!("{{\"from_us\":{},\"to_us\":{},\"beats_us\":[{}]}}", from.as_micros(), to.as_micros(), beats.join(","));
    runtime.shutdown_background();
}

async fn serve(listener: rt::net::TcpListener) {
    while let Ok((mut socket, _)) = listener.accept().await {
        rt::spawn(async move {
            let mut buffer = [0; 64];
            while socket.read_exact(&mut buffer).await.is_ok() && socket.write_all(&buffer).await.is_ok() {}
        });
    }
}

fn start_echo(runtime: &Runtime) -> std::net::SocketAddr {
    let listener = runtime.block_on(rt::net::TcpListener::bind("127.0.0.1:0")).expect("the loopback has a free port");
    let address = listener.local_addr().expect("bound");
    runtime.spawn(serve(listener));
    address
}

/// 4 clients send a request every 5 ms while both workers are blocked. Latency counts from when the request was due.
fn echo_while_blocked(block: Duration) {
    let runtime = two_workers().build().expect("the system has room for threads");
    let address = start_echo(&runtime);
    let begin = Instant::now() + Duration::from_millis(100);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(move || {
                let mut socket = TcpStream::connect(address).expect("it listens");
                socket.set_nodelay(true).expect("a socket");
                let mut buffer = [7; 64];
                let mut latencies = Vec::new();
                for question in 0..(block.as_millis() as u32 / 5) {
                    let due = begin + Duration::from_millis(5) * question;
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    socket.write_all(&buffer).expect("the server reads");
                    socket.read_exact(&mut buffer).expect("the server answers");
                    latencies.push(due.elapsed());
                }
                latencies
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(90));
    for _ in 0..2 {
        runtime.spawn(async move { thread::sleep(block) });
    }
    let mut latencies: Vec<_> =
        clients.into_iter().flat_map(|client| client.join().expect("a client does not panic")).collect();
    latencies.sort();
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize].as_micros();
    println!("{{\"p50_us\":{},\"p99_us\":{},\"max_us\":{}}}", at(0.5), at(0.99), at(1.0));
    runtime.shutdown_background();
}

/// A task that blocks its worker until another task has run. Prints nothing: the program ends or hangs.
fn deadlock(kind: &str, workers: &str) {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all();
    rescue_metrics::quiet(&mut builder);
    let count = if workers == "1cpu" {
        use_one_cpu();
        1
    } else {
        builder.worker_threads(2);
        2
    };
    let runtime = builder.build().expect("the system has room for threads");
    let kind = match kind {
        "nested_block_on" => wait_nested,
        "std_mpsc" => wait_mpsc,
        _ => panic!("no deadlock is called `{kind}`"),
    };
    let tasks: Vec<_> = (0..count).map(|_| runtime.spawn(async move { kind() })).collect();
    for task in tasks {
        runtime.block_on(task).expect("it does not panic");
    }
    runtime.shutdown_background();
}

fn wait_nested() {
    // As in `futures::executor::block_on`: the thread parks until the future's waker is called.
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut handle = pin!(rt::spawn(async { rt::time::sleep(BEAT).await }));
    while handle.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        thread::park();
    }
}

fn wait_mpsc() {
    let (send, receive) = mpsc::channel();
    rt::spawn(async move { send.send(()) });
    receive.recv().expect("the other task sends");
}

fn use_one_cpu() {
    // SAFETY: `set` is a plain bit set. It is filled before the call, which only reads it.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(0, &mut set);
        assert_eq!(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set), 0, "CPU 0 exists");
    }
}

/// Context switches of all threads but this one.
fn switches() -> u64 {
    let me = std::fs::read_link("/proc/thread-self").expect("Linux");
    let me = me.file_name().expect("a thread's folder").to_owned();
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux").flatten();
    let others = tasks.filter(|task| task.file_name() != me);
    let count = |status: String| {
        let lines = status.lines().filter_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        lines.filter_map(|count| count.trim().parse::<u64>().ok()).sum::<u64>()
    };
    others.filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok()).map(count).sum()
}

/// Wake-ups of a runtime that is idle, or runs only an interval.
fn idle(duration: Duration, each: Option<Duration>) {
    let runtime = two_workers().build().expect("the system has room for threads");
    // The runtime has run a task before.
    for _ in 0..100 {
        runtime.block_on(runtime.spawn(async { rt::time::sleep(BEAT).await })).expect("it does not panic");
    }
    let ticks = Arc::new(AtomicUsize::new(0));
    if let Some(period) = each {
        let ticks = Arc::clone(&ticks);
        runtime.spawn(async move {
            let mut tick_each = interval(period);
            loop {
                tick_each.tick().await;
                ticks.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    thread::sleep(Duration::from_secs(3));
    let (before, ticks_before) = (switches(), ticks.load(Ordering::Relaxed));
    thread::sleep(duration);
    let (after, ticks_after) = (switches(), ticks.load(Ordering::Relaxed));
    println!("{{\"switches\":{},\"ticks\":{}}}", after - before, ticks_after - ticks_before);
    runtime.shutdown_background();
}

/// A busy echo service whose workers never block, for false alarms: 16 connections in a closed loop.
fn busy_echo(duration: Duration) {
    let runtime = two_workers().build().expect("the system has room for threads");
    let address = start_echo(&runtime);
    let is_over = Arc::new(AtomicBool::new(false));
    let requests = Arc::new(AtomicUsize::new(0));
    let threads_before = threads();
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let (is_over, requests) = (Arc::clone(&is_over), Arc::clone(&requests));
            thread::spawn(move || {
                let mut socket = TcpStream::connect(address).expect("it listens");
                let mut buffer = [7; 64];
                while !is_over.load(Ordering::Relaxed) {
                    socket.write_all(&buffer).expect("the server reads");
                    socket.read_exact(&mut buffer).expect("the server answers");
                    requests.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let begin = Instant::now();
    let mut threads_most = 0;
    while begin.elapsed() < duration {
        thread::sleep(Duration::from_millis(20));
        threads_most = threads_most.max(threads());
    }
    is_over.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().expect("a client does not panic"));
    let (late, rescues) = rescue_metrics::late_polls_and_rescues(&runtime);
    println!(
        "{{\"requests\":{},\"late_polls\":{late},\"rescues\":{rescues},\"threads_more\":{}}}",
        requests.load(Ordering::Relaxed),
        threads_most.saturating_sub(threads_before + 16 + usize::from(rescue_metrics::HAS_MONITOR)),
    );
    runtime.shutdown_background();
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("Linux").count()
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux has it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux").count()
}

/// Causes rescues until there were `count`. Prints threads, memory and descriptors before and after the spares'
/// keep-alive.
fn many_rescues(count: u64) {
    let runtime = two_workers().build().expect("the system has room for threads");
    let _beats = start_heart_without_memory(&runtime);
    let round = |runtime: &Runtime| {
        let tasks: Vec<_> =
            (0..40).map(|_| runtime.spawn(async { thread::sleep(Duration::from_millis(60)) })).collect();
        tasks.into_iter().for_each(|task| runtime.block_on(task).expect("it does not panic"));
    };
    // The first round creates what the runtime keeps.
    round(&runtime);
    thread::sleep(Duration::from_secs(13));
    let before = (threads(), resident_kib(), descriptors());
    let (mut most, mut rounds) = (0, 0);
    loop {
        let rescues = rescue_metrics::late_polls_and_rescues(&runtime).1;
        if rescues >= count || (rescues == 0 && rounds > 3) {
            break;
        }
        round(&runtime);
        rounds += 1;
        most = most.max(threads());
    }
    let rescues = rescue_metrics::late_polls_and_rescues(&runtime).1;
    thread::sleep(Duration::from_secs(13));
    let after = (threads(), resident_kib(), descriptors());
    println!(
        "{{\"rescues\":{rescues},\"threads\":[{},{most},{}],\"resident_kib\":[{},{}],\"descriptors\":[{},{}]}}",
        before.0, after.0, before.1, after.1, before.2, after.2
    );
    runtime.shutdown_background();
}

fn start_heart_without_memory(runtime: &Runtime) -> impl Sized + use<> {
    runtime.spawn(async {
        let mut ticks = interval(BEAT);
        loop {
            ticks.tick().await;
        }
    })
}

/// Missed ticks are skipped.
fn interval(period: Duration) -> rt::time::Interval {
    let mut interval = rt::time::interval(period);
    interval.set_missed_tick_behavior(rt::time::MissedTickBehavior::Skip);
    interval
}
