//! The end of a runtime, in every combination: which code ends it × by which call × which code still waits × for what ×
//! since when × on which runtime.
//!
//! Each combination is one short program. In each of them the call returns, all waits end with the documented result, every
//! value is dropped once, and no task, thread or descriptor is left.
//!
//! `REDD_SHUTDOWN="OutsideThread Drop InPlace Timer Before OneWorker" cargo test -p redd --test shutdown` runs one
//! combination.
//!
//! This program has its own `main` instead of the test harness, because it counts. The last line has the totals.

#![allow(clippy::print_stdout, reason = "a program without a harness reports by itself")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "the threads of this program wait for real threads")]

mod support;

use std::cell::RefCell;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use redd::io::AsyncReadExt;
use redd::net::UnixStream;
use redd::process::Command;
use redd::runtime::{Builder, Handle, LocalOptions, LocalRuntime, Runtime, is_rt_shutdown_err};
use redd::signal::unix::{SignalKind, signal};
use redd::sync::{Mutex as AsyncMutex, oneshot};
use redd::task::{self, JoinError};
use redd::time;

use support::dimension::dimension;
use support::lives::{Counted, Tally, panic_text};

dimension!(
    /// Which code ends the runtime.
    By {
        /// The thread that built it.
        OutsideThread,
        /// One of its tasks, inside `block_in_place`.
        OwnWorker,
        /// One of its `spawn_blocking` closures.
        OwnClosure,
        /// The destructor of one of its futures, inside `block_in_place`.
        OwnDestructor,
        /// A task of another runtime, inside `block_in_place`.
        OtherTask,
        /// Two runtimes end each other, each on its worker.
        EachOther,
        /// A thread that one of its tasks joins inside `block_in_place`.
        JoinedThread,
        /// The destructor of a thread-local, on a thread outside.
        ThreadLocal,
        /// The destructor of a thread-local, on a thread of its blocking pool.
        OwnThreadLocal,
        /// The last waker, on a thread outside.
        LastWaker,
        /// The last waker, on one of its workers, where a runtime must not be dropped.
        LastWakerOnWorker,
    }
);

dimension!(How { Drop, Timeout, Background, Drain });

dimension!(
    /// Which code waits when the runtime ends.
    Waiter {
        /// A task, by `.await`.
        Task,
        /// A task, by `Handle::block_on` inside `block_in_place`.
        InPlace,
        /// The same, with another `block_on` inside its future.
        Nested,
        /// A closure of `spawn_blocking`, by `Handle::block_on`.
        Closure,
        /// Another thread, by `Handle::block_on`.
        Thread,
        /// The destructor of a future that is cancelled, by `Handle::block_on` inside `block_in_place`.
        Destructor,
        /// Such a destructor, which joins another thread that waits by `Handle::block_on`.
        DestructorJoins,
    }
);

dimension!(
    /// What it waits for.
    For {
        Timer,
        Socket,
        Child,
        Signal,
        /// A lock that another task holds.
        Lock,
        /// The end of another task.
        Join,
        /// The end of a blocking closure, which waits for a timer.
        JoinClosure,
    }
);

dimension!(
    /// Whether the wait begins before the runtime ends.
    Since { Before, After }
);

dimension!(On { OneWorker, TwoWorkers, Current, Local });

#[derive(Clone, Copy, Debug)]
struct Case {
    by: By,
    how: How,
    waiter: Waiter,
    what: For,
    since: Since,
    on: On,
}

impl Case {
    /// The rule that makes a combination impossible.
    fn impossible(self) -> Option<&'static str> {
        let is_multi = matches!(self.on, On::OneWorker | On::TwoWorkers);
        let on_worker = matches!(
            self.by,
            By::OwnWorker | By::OwnDestructor | By::EachOther | By::JoinedThread | By::LastWakerOnWorker
        );
        if !is_multi && on_worker {
            return Some("`block_on` of a current-thread runtime borrows it, so its own tasks cannot end it");
        }
        if self.on == On::Local && !matches!(self.by, By::OutsideThread | By::ThreadLocal) {
            return Some("a local runtime is ended by its own thread");
        }
        if !is_multi && matches!(self.waiter, Waiter::InPlace | Waiter::Nested) {
            return Some("a task of a current-thread runtime cannot block in place");
        }
        if self.waiter == Waiter::Task && self.since == Since::After {
            return Some("a task is not polled after the end");
        }
        if matches!(self.waiter, Waiter::Destructor | Waiter::DestructorJoins) && self.since == Since::Before {
            return Some("a destructor that waits is run by the end");
        }
        if self.by == By::JoinedThread && matches!(self.how, How::Drop | How::Timeout) {
            return Some(
                "no runtime sees that a worker waits for a thread, so a call without a bound waits for the worker",
            );
        }
        None
    }

    fn name(self) -> String {
        format!("{:?} {:?} {:?} {:?} {:?} {:?}", self.by, self.how, self.waiter, self.what, self.since, self.on)
    }
}

/// How a wait has ended.
#[derive(Debug)]
#[allow(dead_code, reason = "a failure prints what is in it")]
enum End {
    Panic(String),
    Shutdown,
    NoSignal,
    Locked,
    Joined(JoinError),
    Other(String),
}

/// Longer than any program of this test waits.
const LONG: Duration = Duration::from_secs(100_000);

fn io_end<T>(result: std::io::Result<T>) -> End {
    match result {
        Ok(_) => End::Other("it ended by itself".to_owned()),
        Err(error) if is_rt_shutdown_err(&error) => End::Shutdown,
        Err(error) => End::Other(error.to_string()),
    }
}

/// Signals when the wait begins: at the first `Pending`.
async fn noting<F: Future>(begun: &AtomicBool, future: F) -> F::Output {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() {
            begun.store(true, Ordering::SeqCst);
        }
        polled
    })
    .await
}

#[derive(Clone)]
struct Scene {
    case: Case,
    handle: Handle,
    begun: Arc<AtomicBool>,
    ends: Arc<Mutex<Vec<End>>>,
    values: Arc<Tally>,
    lock: Arc<AsyncMutex<()>>,
    returned: Arc<AtomicUsize>,
}

impl Scene {
    fn new(case: Case, handle: Handle) -> Self {
        Self {
            case,
            handle,
            begun: Arc::default(),
            ends: Arc::default(),
            values: Tally::new(),
            lock: Arc::default(),
            returned: Arc::default(),
        }
    }

    async fn wait(&self) -> End {
        let begun = &*self.begun;
        match self.case.what {
            For::Timer => {
                noting(begun, time::sleep(LONG)).await;
                End::Other("the time is over".to_owned())
            }
            For::Socket => {
                let Ok((mut near, _far)) = UnixStream::pair() else { return End::Shutdown };
                io_end(noting(begun, near.read_u8()).await)
            }
            For::Child => {
                let spawned = Command::new("sleep").arg("1000").stdin(Stdio::null()).kill_on_drop(true).spawn();
                match spawned {
                    Ok(mut child) => io_end(noting(begun, child.wait()).await),
                    Err(error) => io_end::<()>(Err(error)),
                }
            }
            For::Signal => match signal(SignalKind::window_change()) {
                Ok(mut signals) => match noting(begun, signals.recv()).await {
                    None => End::NoSignal,
                    Some(()) => End::Other("a signal".to_owned()),
                },
                Err(error) => io_end::<()>(Err(error)),
            },
            For::Lock => {
                let _guard = noting(begun, self.lock.lock()).await;
                End::Locked
            }
            For::Join => match noting(begun, redd::spawn(pending::<()>())).await {
                Err(error) => End::Joined(error),
                Ok(()) => End::Other("the other task has ended".to_owned()),
            },
            For::JoinClosure => {
                let handle = self.handle.clone();
                let closure = task::spawn_blocking(move || handle.block_on(async { time::sleep(LONG).await }));
                match noting(begun, closure).await {
                    Err(error) => End::Joined(error),
                    Ok(()) => End::Other("the closure has ended".to_owned()),
                }
            }
        }
    }

    /// Waits on this thread, and stores the result.
    fn wait_blocking(&self, nested: bool) {
        if self.case.since == Since::After && !self.is_in_destructor() {
            self.begun.store(true, Ordering::SeqCst);
            while !self.has_closed() {
                thread::sleep(Duration::from_micros(100));
            }
        }
        let ended = catch_unwind(AssertUnwindSafe(|| {
            self.handle.block_on(async {
                if nested { task::block_in_place(|| self.handle.block_on(self.wait())) } else { self.wait().await }
            })
        }));
        let end = ended.unwrap_or_else(|payload| End::Panic(panic_text(&*payload)));
        self.ends.lock().unwrap().push(end);
    }

    fn is_in_destructor(&self) -> bool {
        matches!(self.case.waiter, Waiter::Destructor | Waiter::DestructorJoins)
    }

    /// A task that is spawned on a closed runtime is cancelled at once.
    fn has_closed(&self) -> bool {
        let task = self.handle.spawn(pending::<()>());
        let is_finished = task.is_finished();
        task.abort();
        is_finished
    }

    /// Starts the waiting code.
    fn start(&self) -> Vec<thread::JoinHandle<()>> {
        let (locks, lock) = (self.values.make(), Arc::clone(&self.lock));
        let (locked, is_locked) = mpsc::channel();
        drop(self.handle.spawn(async move {
            let _guard = lock.lock().await;
            let _locks = locks;
            locked.send(()).unwrap();
            pending::<()>().await;
        }));
        let mut threads = Vec::new();
        let (scene, value) = (self.clone(), self.values.make());
        // The lock is taken first.
        let start = async move {
            let _value = value;
            while is_locked.try_recv().is_err() {
                task::yield_now().await;
            }
            scene.go_on().await;
        };
        match self.case.waiter {
            Waiter::Task | Waiter::InPlace | Waiter::Nested | Waiter::Destructor | Waiter::DestructorJoins => {
                drop(self.handle.spawn(start));
            }
            Waiter::Closure => {
                let scene = self.clone();
                drop(self.handle.spawn(async move {
                    start.await;
                    drop(scene.handle.clone().spawn_blocking(move || scene.wait_blocking(false)));
                }));
            }
            Waiter::Thread => {
                let (go, goes) = mpsc::channel();
                drop(self.handle.spawn(async move {
                    start.await;
                    go.send(()).unwrap();
                }));
                let scene = self.clone();
                threads.push(thread::spawn(move || {
                    goes.recv().unwrap();
                    scene.wait_blocking(false);
                }));
            }
        }
        threads
    }

    async fn go_on(self) {
        match self.case.waiter {
            Waiter::Task => {
                // No code may follow this line: the task is cancelled where it waits.
                self.wait().await;
                self.ends.lock().unwrap().push(End::Other("a task continued".to_owned()));
            }
            Waiter::InPlace => task::block_in_place(|| self.wait_blocking(false)),
            Waiter::Nested => task::block_in_place(|| self.wait_blocking(true)),
            Waiter::Destructor | Waiter::DestructorJoins => {
                let begun = Arc::clone(&self.begun);
                let _waits = WaitsInDrop { _value: self.values.make(), scene: self };
                noting(&begun, pending::<()>()).await;
            }
            Waiter::Closure | Waiter::Thread => {}
        }
    }

    /// The expected result of the wait.
    fn check_ends(&self) {
        let ends = std::mem::take(&mut *self.ends.lock().unwrap());
        if self.case.waiter == Waiter::Task {
            assert!(ends.is_empty(), "a task that awaits is cancelled: {ends:?}");
            return;
        }
        let [end] = &ends[..] else { panic!("one wait, not {ends:?}") };
        let is_right = match (self.case.what, end) {
            (For::Timer, End::Panic(text)) => text.contains("polled after its runtime was shut down"),
            (For::Socket | For::Child, End::Shutdown) => true,
            (For::Signal, End::NoSignal) => true,
            (For::Signal, End::Shutdown) => self.case.since == Since::After,
            (For::Lock, End::Locked) => true,
            (For::Join, End::Joined(error)) => error.is_cancelled(),
            (For::JoinClosure, End::Joined(error)) => error.is_cancelled() || error.is_panic(),
            _ => false,
        };
        assert!(is_right, "{:?} ended with {end:?}", self.case.what);
    }

    /// Ends the runtime.
    fn end(&self, runtime: Any) {
        let must_not = self.case.by == By::LastWakerOnWorker && self.case.how != How::Background;
        let ended = catch_unwind(AssertUnwindSafe(|| runtime.end(self.case.how)));
        self.returned.fetch_add(1, Ordering::SeqCst);
        match ended {
            Ok(()) => assert!(!must_not, "a runtime was dropped where blocking is forbidden"),
            Err(payload) => {
                let text = panic_text(&*payload);
                assert!(must_not && text.contains("Cannot drop a runtime"), "{text}");
            }
        }
    }
}

struct WaitsInDrop {
    scene: Scene,
    _value: Counted,
}

impl Drop for WaitsInDrop {
    fn drop(&mut self) {
        if self.scene.case.waiter == Waiter::DestructorJoins {
            let scene = self.scene.clone();
            thread::spawn(move || scene.wait_blocking(false)).join().unwrap();
        } else {
            task::block_in_place(|| self.scene.wait_blocking(false));
        }
    }
}

/// A runtime of either kind.
enum Any {
    Usual(Runtime),
    Local(LocalRuntime),
}

impl Any {
    fn new(on: On) -> Self {
        let mut builder = match on {
            On::OneWorker | On::TwoWorkers => Builder::new_multi_thread(),
            On::Current | On::Local => Builder::new_current_thread(),
        };
        builder.enable_all().worker_threads(if on == On::TwoWorkers { 2 } else { 1 });
        // An idle thread of the pool ends, with its thread-locals.
        builder.thread_keep_alive(Duration::from_millis(1));
        if on == On::Local {
            return Self::Local(builder.build_local(LocalOptions::default()).unwrap());
        }
        Self::Usual(builder.build().unwrap())
    }

    fn handle(&self) -> Handle {
        match self {
            Self::Usual(runtime) => runtime.handle().clone(),
            Self::Local(runtime) => runtime.handle().clone(),
        }
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self {
            Self::Usual(runtime) => runtime.block_on(future),
            Self::Local(runtime) => runtime.block_on(future),
        }
    }

    fn usual(self) -> Runtime {
        match self {
            Self::Usual(runtime) => runtime,
            Self::Local(_) => panic!("a local runtime stays on its thread"),
        }
    }

    fn end(self, how: How) {
        // This drain waits for work that does not end, so its timeout is short.
        let within = Duration::from_millis(2);
        match (self, how) {
            (Self::Usual(runtime), How::Drop) => drop(runtime),
            (Self::Usual(runtime), How::Timeout) => runtime.shutdown_timeout(LONG),
            (Self::Usual(runtime), How::Background) => runtime.shutdown_background(),
            (Self::Usual(runtime), How::Drain) => drop(runtime.drain(within)),
            (Self::Local(runtime), How::Drop) => drop(runtime),
            (Self::Local(runtime), How::Timeout) => runtime.shutdown_timeout(LONG),
            (Self::Local(runtime), How::Background) => runtime.shutdown_background(),
            (Self::Local(runtime), How::Drain) => drop(runtime.drain(within)),
        }
    }
}

/// A runtime that ends when this value is dropped.
struct Owner {
    scene: Scene,
    runtime: Option<Runtime>,
    in_place: bool,
}

impl Owner {
    fn new(scene: &Scene, runtime: Any, in_place: bool) -> Self {
        Self { scene: scene.clone(), runtime: Some(runtime.usual()), in_place }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let runtime = Any::Usual(self.runtime.take().unwrap());
        if self.in_place { task::block_in_place(|| self.scene.end(runtime)) } else { self.scene.end(runtime) }
    }
}

/// A local runtime that ends with its thread.
struct LocalOwner(Scene, Option<Any>);

impl Drop for LocalOwner {
    fn drop(&mut self) {
        self.0.end(self.1.take().unwrap());
    }
}

thread_local! {
    static OWNER: RefCell<Option<LocalOwner>> = const { RefCell::new(None) };
}

/// A waker that is the last owner of a runtime.
struct OwningWaker(#[allow(dead_code, reason = "its drop counts")] Mutex<Owner>);

impl Wake for OwningWaker {
    fn wake(self: Arc<Self>) {}
}

/// Builds the runtime, and waits until its waiting code has begun.
fn prepare(case: Case) -> (Scene, Any, Vec<thread::JoinHandle<()>>) {
    let runtime = Any::new(case.on);
    let scene = Scene::new(case, runtime.handle());
    let threads = scene.start();
    let begun = Arc::clone(&scene.begun);
    runtime.block_on(async {
        while !begun.load(Ordering::SeqCst) {
            time::sleep(Duration::from_micros(100)).await;
        }
    });
    (scene, runtime, threads)
}

/// Passes the runtime to the code that ends it. Returns what to end afterwards.
fn hand_over(scene: &Scene, runtime: Any) -> (Vec<Runtime>, Vec<thread::JoinHandle<()>>) {
    let (handle, mine) = (scene.handle.clone(), scene.clone());
    match scene.case.by {
        By::OutsideThread => scene.end(runtime),
        By::OwnWorker => {
            let owner = Owner::new(scene, runtime, true);
            drop(handle.spawn(async move { drop(owner) }));
        }
        By::OwnClosure => {
            let owner = Owner::new(scene, runtime, false);
            drop(handle.spawn_blocking(move || drop(owner)));
        }
        By::OwnDestructor => {
            let owner = Owner::new(scene, runtime, true);
            let (poll, polled) = mpsc::channel();
            let task = handle.spawn(async move {
                let _owner = owner;
                poll.send(()).unwrap();
                pending::<()>().await;
            });
            polled.recv().unwrap();
            task.abort();
        }
        By::OtherTask => {
            let other = Any::new(On::OneWorker).usual();
            let owner = Owner::new(scene, runtime, true);
            drop(other.spawn(async move { drop(owner) }));
            return (vec![other], Vec::new());
        }
        By::EachOther => {
            let other = Any::new(On::OneWorker).usual();
            let other_handle = other.handle().clone();
            let (owner, both) = (Owner::new(scene, runtime, false), Arc::new(std::sync::Barrier::new(2)));
            let here = Arc::clone(&both);
            drop(handle.spawn(async move {
                task::block_in_place(|| {
                    here.wait();
                    drop(other);
                });
                mine.returned.fetch_add(1, Ordering::SeqCst);
            }));
            drop(other_handle.spawn(async move {
                task::block_in_place(|| {
                    both.wait();
                    drop(owner);
                });
            }));
        }
        By::JoinedThread => {
            let owner = Owner::new(scene, runtime, false);
            drop(handle.spawn(async move {
                task::block_in_place(|| thread::spawn(move || drop(owner)).join().unwrap());
            }));
        }
        By::ThreadLocal => {
            let usual = runtime.usual();
            let thread = thread::spawn(move || {
                OWNER.set(Some(LocalOwner(mine, Some(Any::Usual(usual)))));
            });
            return (Vec::new(), vec![thread]);
        }
        By::OwnThreadLocal => {
            let usual = runtime.usual();
            drop(handle.spawn_blocking(move || {
                OWNER.set(Some(LocalOwner(mine, Some(Any::Usual(usual)))));
            }));
        }
        By::LastWaker | By::LastWakerOnWorker => {
            let owner = Owner::new(scene, runtime, false);
            let waker = Waker::from(Arc::new(OwningWaker(Mutex::new(owner))));
            let (send, receive) = oneshot::channel::<()>();
            let mut receive = Box::pin(receive);
            assert!(receive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            drop(waker);
            if scene.case.by == By::LastWaker {
                thread::spawn(move || drop(send)).join().unwrap();
            } else {
                let (done, is_done) = mpsc::channel();
                drop(handle.spawn(async move {
                    drop(send);
                    done.send(()).unwrap();
                }));
                is_done.recv().unwrap();
            }
            drop(receive);
        }
    }
    (Vec::new(), Vec::new())
}

/// Waits for other threads; the watchdog bounds it.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < BOUND, "not within the bound: {what}\n{}", describe_threads());
        thread::sleep(Duration::from_micros(200));
    }
}

/// Far longer than any combination takes.
const BOUND: Duration = Duration::from_secs(30);

fn count(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

/// Threads and descriptors of this process.
fn resources() -> (usize, usize) {
    (count("/proc/self/task"), count("/proc/self/fd"))
}

/// The open descriptors and the state of each thread, for a combination that does not end.
fn describe_threads() -> String {
    let mut text = format!("{:?}\n", resources());
    for descriptor in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let target = std::fs::read_link(descriptor.path()).unwrap_or_default();
        text += &format!("  {}: {}\n", descriptor.path().display(), target.display());
    }
    for thread in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let read = |file| std::fs::read_to_string(thread.path().join(file)).unwrap_or_default();
        text += &format!("  {}: {}, {}\n", read("comm").trim(), read("wchan").trim(), read("syscall").trim());
    }
    text
}

fn run(case: Case) {
    let before = resources();
    let (scene, threads, others) = if case.on == On::Local && case.by == By::ThreadLocal {
        // This value is created on the thread that ends it.
        let thread = thread::spawn(move || {
            let (scene, runtime, threads) = prepare(case);
            OWNER.set(Some(LocalOwner(scene.clone(), Some(runtime))));
            (scene, threads)
        });
        let (scene, threads) = thread.join().unwrap();
        (scene, threads, Vec::new())
    } else {
        let (scene, runtime, mut threads) = prepare(case);
        let (others, more) = hand_over(&scene, runtime);
        threads.extend(more);
        (scene, threads, others)
    };
    let returns = if case.by == By::EachOther { 2 } else { 1 };
    until("the call returns", || scene.returned.load(Ordering::SeqCst) >= returns);
    let waits = usize::from(case.waiter != Waiter::Task);
    until("the wait ends", || scene.ends.lock().unwrap().len() >= waits);
    for thread in threads {
        thread.join().unwrap();
    }
    drop(others);
    until("all tasks end", || scene.handle.metrics().num_alive_tasks() == 0);
    until("all values are dropped", || scene.values.made() == scene.values.dropped());
    assert_eq!(scene.returned.load(Ordering::SeqCst), returns);
    scene.check_ends();
    let values = Arc::clone(&scene.values);
    drop(scene);
    until(&format!("all threads and descriptors are released, {before:?}"), || resources() == before);
    values.assert_even("values");
}

fn every_case() -> Vec<Case> {
    let mut cases = Vec::new();
    for &on in On::ALL {
        for &by in By::ALL {
            for &how in How::ALL {
                for &waiter in Waiter::ALL {
                    for &what in For::ALL {
                        cases.extend(Since::ALL.iter().map(|&since| Case { by, how, waiter, what, since, on }));
                    }
                }
            }
        }
    }
    cases
}

/// Ends the process if a combination does not end. Prints which one, and the state of its threads.
fn watch(current: Arc<Mutex<(usize, String)>>) {
    thread::spawn(move || {
        let mut before = usize::MAX;
        loop {
            thread::sleep(2 * BOUND);
            let (number, name) = current.lock().unwrap().clone();
            if number == before {
                println!("hangs: REDD_SHUTDOWN=\"{name}\" cargo test -p redd --test shutdown");
                print!("{}", describe_threads());
                println!("0 cases passed, 1 failed");
                std::process::exit(1);
            }
            before = number;
        }
    });
}

/// Runs the program again as a child process. If that one crashes, reports the combination that was running. The
/// runtime's reports of thousands of panics are omitted.
fn run_child() -> i32 {
    let at = tempfile::NamedTempFile::new().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let status = child.env(AT, at.path()).stderr(Stdio::null()).status().unwrap();
    status.code().unwrap_or_else(|| {
        let name = std::fs::read_to_string(at.path()).unwrap();
        println!("the process died ({status}): REDD_SHUTDOWN=\"{name}\" cargo test -p redd --test shutdown");
        println!("0 cases passed, 1 failed");
        1
    })
}

/// The file in which a child records the current combination.
const AT: &str = "REDD_SHUTDOWN_AT";

/// Under an emulator, which is slow and cannot start this program as a child, one in this many combinations runs. The
/// number is prime and divides the size of no dimension, so every variant occurs.
const EMULATED_STEP: usize = 11;

fn main() {
    let (only, at) = (std::env::var("REDD_SHUTDOWN").ok(), std::env::var_os(AT));
    let is_emulated = support::emulation::is_emulated();
    if only.is_none() && at.is_none() && !is_emulated {
        std::process::exit(run_child());
    }
    let step = if is_emulated && only.is_none() { EMULATED_STEP } else { 1 };
    if step > 1 {
        println!(
            "SKIPPED under an emulator: all but one in {step} combinations, and the child process that they run in"
        );
    }
    let current = Arc::new(Mutex::new((0, String::new())));
    watch(Arc::clone(&current));
    // What the process keeps: the monitor's thread and the pipe of the signals.
    let first = Case {
        by: By::OutsideThread,
        how: How::Drop,
        waiter: Waiter::Task,
        what: For::Signal,
        since: Since::Before,
        on: On::TwoWorkers,
    };
    drop(catch_unwind(|| {
        let (_, runtime, _) = prepare(first);
        drop(runtime);
    }));
    thread::sleep(Duration::from_millis(20));
    let (mut passed, mut failed) = (0, 0);
    let mut impossible: Vec<(&'static str, usize)> = Vec::new();
    for (number, case) in every_case().into_iter().enumerate().step_by(step) {
        if only.as_ref().is_some_and(|only| *only != case.name()) {
            continue;
        }
        if let Some(rule) = case.impossible() {
            match impossible.iter_mut().find(|(known, _)| *known == rule) {
                Some((_, count)) => *count += 1,
                None => impossible.push((rule, 1)),
            }
            continue;
        }
        *current.lock().unwrap() = (number, case.name());
        if let Some(at) = &at {
            std::fs::write(at, case.name()).unwrap();
        }
        match catch_unwind(AssertUnwindSafe(|| run(case))) {
            Ok(()) => passed += 1,
            Err(payload) => {
                failed += 1;
                println!("FAILED: {}", panic_text(&*payload));
                println!("  REDD_SHUTDOWN=\"{}\" cargo test -p redd --test shutdown", case.name());
                if failed == 10 {
                    break;
                }
            }
        }
    }
    for (rule, count) in impossible {
        println!("{count} combinations are impossible: {rule}");
    }
    println!("combinations of which code ends it, how, which code waits, for what, since when, and runtime:");
    println!("{passed} cases passed, {failed} failed");
    std::process::exit(i32::from(failed > 0));
}
