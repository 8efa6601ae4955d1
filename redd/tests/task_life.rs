//! The life of one task, in every combination: where user code panics × when the task is aborted × what is done with
//! its handle × when its runtime ends × on which runtime.
//!
//! Each combination is one short program. In each of them the future and the output are dropped once, the joiner gets
//! the right result, and no waker is lost or used after its end. The process does not abort, and the runtime still
//! works.
//!
//! `REDD_LIFE="Poll Waiting Awaited Alive Current" cargo test -p redd --test task_life` runs one combination.
//!
//! This program has its own `main` instead of the test harness, because it counts. The last line has the totals.

#![allow(clippy::print_stdout, reason = "a program without a harness reports by itself")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::wildcard_enum_match_arm, reason = "what the other combinations do not need")]
#![allow(clippy::disallowed_methods, reason = "a watchdog reads the real clock")]

mod support;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use redd::runtime::{Builder, Handle, LocalOptions, LocalRuntime, Runtime};
use redd::task::{self, AbortHandle, JoinError, JoinHandle, LocalSet};

use support::dimension::dimension;
use support::lives::{Counted, Tally, hide_purposes, panic_on_purpose, panic_text};
use support::wakers::WakerLog;

dimension!(
    /// Where user code panics.
    PanicIn {
        Nothing,
        FirstPoll,
        Poll,
        /// In the poll, and again when that drops the future.
        PollAndDrop,
        FutureDrop,
        OutputDrop,
        WakerWake,
        WakerDrop,
        WakerClone,
        HookSpawn,
        HookPoll,
        HookTerminate,
    }
);

dimension!(
    /// When the task is aborted.
    Abort {
        Never,
        /// Before its first poll.
        Before,
        /// By itself, in its first poll, which returns `Pending`.
        InFirstPoll,
        /// Between its two polls.
        Waiting,
        /// By itself, in the poll that completes it.
        InLastPoll,
        /// After it has completed.
        After,
    }
);

dimension!(
    /// What is done with the `JoinHandle`.
    Hold {
        /// Dropped before the first poll of the task.
        DroppedEarly,
        /// Never polled, dropped after the end.
        DroppedLate,
        /// Polled from the beginning, each time with a new waker.
        Awaited,
        /// Polled after the end.
        AwaitedLate,
        /// Polled once, dropped before the end.
        PolledThenDropped,
        /// Polled once, dropped after the end, with the output in it.
        PolledThenDroppedLate,
    }
);

dimension!(
    /// When the runtime ends. *In*: the remaining steps are done while it shuts down, in the drop of another future.
    /// *After*: they are done afterwards. A sentinel is spawned before or after the task, so that the shutdown drops
    /// either of them first.
    End {
        Alive,
        SpawnedInAhead,
        SpawnedInBehind,
        SpawnedAfter,
        WaitingInAhead,
        WaitingInBehind,
        WaitingAfter,
        CompleteInAhead,
        CompleteInBehind,
        CompleteAfter,
        /// The task is spawned by the drop of another future, while the runtime shuts down.
        BornIn,
        /// The task is spawned after the runtime has ended.
        BornAfter,
    }
);

dimension!(
    /// The kind of runtime.
    On { OneWorker, TwoWorkers, Current, Local, LocalSet }
);

/// The stages of a task's life. At each stage, some steps of a combination are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Unborn,
    Spawned,
    Waiting,
    Complete,
}

/// Whether the sentinel is spawned before or after the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sentinel {
    Ahead,
    Behind,
    None,
}

impl End {
    /// The last stage that is reached while the runtime runs, and where the sentinel that does the rest is.
    fn plan(self) -> (Stage, Sentinel) {
        match self {
            Self::Alive | Self::CompleteAfter => (Stage::Complete, Sentinel::None),
            Self::SpawnedInAhead => (Stage::Spawned, Sentinel::Ahead),
            Self::SpawnedInBehind => (Stage::Spawned, Sentinel::Behind),
            Self::SpawnedAfter => (Stage::Spawned, Sentinel::None),
            Self::WaitingInAhead => (Stage::Waiting, Sentinel::Ahead),
            Self::WaitingInBehind => (Stage::Waiting, Sentinel::Behind),
            Self::WaitingAfter => (Stage::Waiting, Sentinel::None),
            Self::CompleteInAhead => (Stage::Complete, Sentinel::Ahead),
            Self::CompleteInBehind => (Stage::Complete, Sentinel::Behind),
            Self::BornIn => (Stage::Unborn, Sentinel::Ahead),
            Self::BornAfter => (Stage::Unborn, Sentinel::None),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Life {
    panic_in: PanicIn,
    abort: Abort,
    hold: Hold,
    end: End,
    on: On,
}

impl Life {
    /// The rule that makes a combination impossible.
    fn impossible(self) -> Option<&'static str> {
        let (lives_until, _) = self.end.plan();
        let needs = match self.abort {
            Abort::InFirstPoll => Stage::Waiting,
            Abort::InLastPoll => Stage::Complete,
            Abort::Never | Abort::Before | Abort::Waiting | Abort::After => Stage::Unborn,
        };
        if needs > lives_until {
            return Some("a task that is not polled cannot abort itself");
        }
        let is_polled = matches!(self.hold, Hold::Awaited | Hold::PolledThenDropped | Hold::PolledThenDroppedLate);
        if matches!(self.panic_in, PanicIn::WakerWake | PanicIn::WakerDrop | PanicIn::WakerClone) && !is_polled {
            return Some("a handle that is not polled has no waker");
        }
        if self.end == End::BornAfter && matches!(self.on, On::Local | On::LocalSet) {
            return Some("spawning onto a local runtime or set that has ended is impossible");
        }
        if self.panic_in == PanicIn::FirstPoll && self.abort == Abort::InLastPoll {
            return Some("a task whose first poll panics has no other");
        }
        None
    }

    fn name(self) -> String {
        format!("{:?} {:?} {:?} {:?} {:?}", self.panic_in, self.abort, self.hold, self.end, self.on)
    }
}

/// What the task did.
#[derive(Debug, Default)]
struct Trace {
    polls: AtomicUsize,
    returned: AtomicBool,
    panicked: AtomicBool,
    gate: AtomicBool,
    waker: Mutex<Option<Waker>>,
    abort: OnceLock<AbortHandle>,
}

impl Trace {
    fn open_gate(&self) {
        self.gate.store(true, Ordering::SeqCst);
        let waker = self.waker.lock().unwrap().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn abort_self(&self) {
        while self.abort.get().is_none() {
            std::thread::yield_now();
        }
        self.abort.get().unwrap().abort();
    }
}

struct Subject {
    life: Life,
    trace: Arc<Trace>,
    outputs: Arc<Tally>,
    _counted: Counted,
}

struct Product {
    panics: bool,
    _counted: Counted,
}

impl Drop for Product {
    fn drop(&mut self) {
        if self.panics {
            panic_on_purpose("output drop");
        }
    }
}

impl Future for Subject {
    type Output = Product;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Product> {
        let (life, trace) = (self.life, &self.trace);
        let is_first = trace.polls.fetch_add(1, Ordering::SeqCst) == 0;
        if is_first {
            if life.abort == Abort::InFirstPoll {
                trace.abort_self();
            }
            if life.panic_in == PanicIn::FirstPoll {
                trace.panicked.store(true, Ordering::SeqCst);
                panic_on_purpose("poll");
            }
        }
        *trace.waker.lock().unwrap() = Some(cx.waker().clone());
        if !trace.gate.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        // The task's own waker does not keep the future alive beyond its end.
        trace.waker.lock().unwrap().take();
        if life.abort == Abort::InLastPoll {
            trace.abort_self();
        }
        if matches!(life.panic_in, PanicIn::Poll | PanicIn::PollAndDrop) {
            trace.panicked.store(true, Ordering::SeqCst);
            panic_on_purpose("poll");
        }
        trace.returned.store(true, Ordering::SeqCst);
        Poll::Ready(Product { panics: life.panic_in == PanicIn::OutputDrop, _counted: self.outputs.make() })
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if matches!(self.life.panic_in, PanicIn::FutureDrop | PanicIn::PollAndDrop) {
            panic_on_purpose("future drop");
        }
    }
}

/// One task, the code that owns its handle, and the observations.
struct Scene {
    life: Life,
    trace: Arc<Trace>,
    futures: Arc<Tally>,
    outputs: Arc<Tally>,
    handle: Option<JoinHandle<Product>>,
    abort: Option<AbortHandle>,
    logs: Vec<WakerLog>,
    result: Option<Result<(), JoinError>>,
    stage: Stage,
    /// The last poll of the handle has stored a waker.
    waits: bool,
}

type Spawn = fn(&Scene) -> JoinHandle<Product>;

impl Scene {
    fn new(life: Life) -> Self {
        Self {
            life,
            trace: Arc::default(),
            futures: Tally::new(),
            outputs: Tally::new(),
            handle: None,
            abort: None,
            logs: Vec::new(),
            result: None,
            stage: Stage::Unborn,
            waits: false,
        }
    }

    fn subject(&self) -> Subject {
        Subject {
            life: self.life,
            trace: Arc::clone(&self.trace),
            outputs: Arc::clone(&self.outputs),
            _counted: self.futures.make(),
        }
    }

    fn spawn(&mut self, spawn: impl FnOnce(&Self) -> JoinHandle<Product>) {
        let handle = spawn(self);
        self.trace.abort.set(handle.abort_handle()).unwrap();
        self.abort = Some(handle.abort_handle());
        self.handle = Some(handle);
    }

    /// Performs the steps that are due at `stage`.
    fn act(&mut self, stage: Stage) {
        assert!(stage > self.stage, "stages come in order");
        self.stage = stage;
        let is_time = match self.life.abort {
            Abort::Before => stage == Stage::Spawned,
            Abort::Waiting => stage == Stage::Waiting,
            Abort::After => stage == Stage::Complete,
            Abort::Never | Abort::InFirstPoll | Abort::InLastPoll => false,
        };
        if is_time {
            self.abort.as_ref().unwrap().abort();
        }
        match (self.life.hold, stage) {
            (Hold::Awaited, _)
            | (Hold::PolledThenDropped | Hold::PolledThenDroppedLate, Stage::Spawned)
            | (Hold::AwaitedLate, Stage::Complete) => self.poll_handle(),
            (Hold::DroppedEarly, Stage::Spawned)
            | (Hold::PolledThenDropped, Stage::Waiting)
            | (Hold::DroppedLate | Hold::PolledThenDroppedLate, Stage::Complete) => self.drop_handle(),
            (
                Hold::DroppedEarly
                | Hold::DroppedLate
                | Hold::AwaitedLate
                | Hold::PolledThenDropped
                | Hold::PolledThenDroppedLate,
                _,
            ) => {}
        }
    }

    fn act_up_to(&mut self, last: Stage) {
        for stage in [Stage::Spawned, Stage::Waiting, Stage::Complete] {
            if stage > self.stage && stage <= last {
                self.act(stage);
            }
        }
    }

    fn poll_handle(&mut self) {
        if self.result.is_some() {
            return;
        }
        let Some(handle) = &mut self.handle else { return };
        let log = WakerLog::new();
        let log = match self.life.panic_in {
            PanicIn::WakerWake => log.panic_in_wake(),
            PanicIn::WakerDrop => log.panic_in_drop(),
            // At the second poll, so that there is a waker to replace.
            PanicIn::WakerClone if !self.logs.is_empty() => log.panic_in_clone(),
            _ => log,
        };
        let waker = log.waker();
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(handle).poll(&mut Context::from_waker(&waker))));
        self.allow(catch_unwind(AssertUnwindSafe(|| drop(waker))), "waker drop");
        self.waits = false;
        match polled {
            Ok(Poll::Ready(Ok(mut product))) => {
                product.panics = false;
                self.result = Some(Ok(()));
            }
            Ok(Poll::Ready(Err(error))) => self.result = Some(Err(error)),
            Ok(Poll::Pending) => self.waits = true,
            Err(payload) => {
                let allowed = ["on purpose: waker clone", "on purpose: waker drop"];
                let text = panic_text(&*payload);
                assert!(allowed.contains(&text.as_str()), "polling the handle panicked: {text}");
            }
        }
        self.logs.push(log);
    }

    fn drop_handle(&mut self) {
        let handle = self.handle.take().unwrap();
        self.allow(catch_unwind(AssertUnwindSafe(|| drop(handle))), "waker drop");
    }

    /// A panic of the caller's own waker may propagate to the caller.
    fn allow(&self, result: std::thread::Result<()>, place: &str) {
        if let Err(payload) = result {
            assert_eq!(panic_text(&*payload), format!("on purpose: {place}"));
        }
    }

    /// The expected result for the joiner, by what the task did.
    fn check_result(&self, result: Result<(), JoinError>) {
        let panics_in_drop = matches!(self.life.panic_in, PanicIn::FutureDrop | PanicIn::PollAndDrop);
        let expected = if self.trace.panicked.load(Ordering::SeqCst) {
            Some("poll")
        } else if panics_in_drop {
            Some("future drop")
        } else {
            None
        };
        let has_returned = self.trace.returned.load(Ordering::SeqCst);
        match (result, expected) {
            (Ok(()), None) => assert!(has_returned, "an output of a task that returned none"),
            (Err(error), None) => {
                assert!(error.is_cancelled() && !error.is_panic(), "{error:?}");
                assert!(!has_returned, "the output is lost");
            }
            (Err(error), Some(place)) => {
                assert!(error.is_panic() && !error.is_cancelled(), "{error:?}");
                assert_eq!(panic_text(&*error.into_panic()), format!("on purpose: {place}"));
            }
            (Ok(()), Some(place)) => panic!("Ok, though it panicked in its {place}"),
        }
    }

    /// At the end: nothing is left, and the joiner was notified.
    fn check(mut self) {
        self.act_up_to(Stage::Complete);
        if matches!(self.life.hold, Hold::Awaited | Hold::AwaitedLate) {
            if self.waits {
                assert!(self.logs.last().unwrap().woken() > 0, "the joiner waits and is not woken");
            }
            for _ in 0..3 {
                self.poll_handle();
            }
            let result = self.result.take().expect("the joiner has a result");
            self.check_result(result);
        }
        if let Some(handle) = self.handle.take() {
            drop(handle);
        }
        self.abort = None;
        let trace = std::mem::take(&mut self.trace);
        // The task's own waker and the handle in the trace keep its memory, but not its future.
        let own_waker = trace.waker.lock().unwrap().take();
        if let Some(waker) = own_waker {
            waker.wake_by_ref();
        }
        self.check_abort_and_polls(&trace);
        drop(trace);
        assert_eq!(self.futures.made(), 1);
        self.futures.assert_even("futures");
        assert!(self.outputs.made() <= 1);
        self.outputs.assert_even("outputs");
        for log in &self.logs {
            log.assert_ended();
            assert!(log.woken() <= 1, "a joiner is woken once");
        }
    }

    fn check_abort_and_polls(&self, trace: &Trace) {
        let (polls, has_returned) = (trace.polls.load(Ordering::SeqCst), trace.returned.load(Ordering::SeqCst));
        let has_panicked = trace.panicked.load(Ordering::SeqCst);
        let (lived_until, _) = self.life.end.plan();
        if self.life.abort == Abort::Before && lived_until > Stage::Unborn && self.life.on != On::TwoWorkers {
            assert_eq!(polls, 0, "aborted before its first poll");
        }
        if self.life.abort == Abort::InFirstPoll {
            assert!(polls == 1 && !has_returned, "aborted in its first poll");
        }
        let ends_by_itself = matches!(self.life.abort, Abort::Never | Abort::InLastPoll | Abort::After);
        if lived_until == Stage::Complete && ends_by_itself {
            assert!(has_returned || has_panicked, "it was not aborted");
        }
        if lived_until == Stage::Unborn {
            assert!(!has_returned && !has_panicked && polls <= 1);
        }
    }
}

/// Performs the remaining steps of a scene when it is dropped, inside the shutdown of its runtime.
struct SentinelDrop {
    shared: Arc<Mutex<Option<Scene>>>,
    spawn: Spawn,
    failure: Arc<Mutex<Option<String>>>,
}

impl Future for SentinelDrop {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Drop for SentinelDrop {
    fn drop(&mut self) {
        let Some(mut scene) = self.shared.lock().unwrap().take() else { return };
        let done = catch_unwind(AssertUnwindSafe(|| {
            if scene.stage == Stage::Unborn {
                scene.spawn(self.spawn);
            }
            scene.act_up_to(Stage::Complete);
        }));
        if let Err(payload) = done {
            *self.failure.lock().unwrap() = Some(panic_text(&*payload));
        }
        *self.shared.lock().unwrap() = Some(scene);
    }
}

/// Waits in the task that drives the scene, while the scheduler runs.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..5_000_000 {
        if holds() {
            return;
        }
        task::yield_now().await;
    }
    panic!("not within the bound: {what}");
}

/// The steps while the runtime runs.
async fn drive(scene: Scene, spawn: Spawn, spawn_sentinel: fn(SentinelDrop), place: Place) {
    let (lives_until, sentinel) = scene.life.end.plan();
    let (shared, failure) = (Arc::clone(&place.scene), Arc::clone(&place.failure));
    let mut scene = scene;
    let make = || SentinelDrop { shared: Arc::clone(&shared), spawn, failure: Arc::clone(&failure) };
    if sentinel == Sentinel::Ahead {
        spawn_sentinel(make());
    }
    if lives_until > Stage::Unborn {
        scene.spawn(spawn);
        scene.act(Stage::Spawned);
    }
    let trace = Arc::clone(&scene.trace);
    let has_ended = |scene: &Scene| scene.abort.as_ref().unwrap().is_finished();
    if lives_until > Stage::Spawned {
        until("the first poll", || trace.waker.lock().unwrap().is_some() || has_ended(&scene)).await;
        scene.act(Stage::Waiting);
    }
    if lives_until > Stage::Waiting {
        trace.open_gate();
        until("the end", || has_ended(&scene)).await;
        scene.act(Stage::Complete);
    }
    if sentinel == Sentinel::Behind {
        spawn_sentinel(make());
    }
    *shared.lock().unwrap() = Some(scene);
}

/// Where the scene waits for the thread that continues it.
#[derive(Clone, Default)]
struct Place {
    scene: Arc<Mutex<Option<Scene>>>,
    failure: Arc<Mutex<Option<String>>>,
}

fn builder(life: Life) -> Builder {
    let mut builder = match life.on {
        On::OneWorker | On::TwoWorkers => Builder::new_multi_thread(),
        On::Current | On::Local | On::LocalSet => Builder::new_current_thread(),
    };
    match life.on {
        On::OneWorker => builder.worker_threads(1),
        On::TwoWorkers => builder.worker_threads(2),
        On::Current | On::Local | On::LocalSet => &mut builder,
    };
    match life.panic_in {
        PanicIn::HookSpawn => {
            builder.on_task_spawn(|_| panic_on_purpose("hook"));
        }
        PanicIn::HookPoll => {
            builder.on_before_task_poll(|_| panic_on_purpose("hook"));
            builder.on_after_task_poll(|_| panic_on_purpose("hook"));
        }
        PanicIn::HookTerminate => {
            builder.on_task_terminate(|_| panic_on_purpose("hook"));
        }
        _ => {}
    }
    builder
}

fn spawn_anywhere(scene: &Scene) -> JoinHandle<Product> {
    redd::spawn(scene.subject())
}

fn spawn_local(scene: &Scene) -> JoinHandle<Product> {
    task::spawn_local(scene.subject())
}

fn sentinel_anywhere(sentinel: SentinelDrop) {
    drop(redd::spawn(sentinel));
}

fn sentinel_local(sentinel: SentinelDrop) {
    drop(task::spawn_local(sentinel));
}

/// Asserts that the runtime still runs tasks, and has no live task left.
async fn is_usable() {
    let answer = redd::spawn(async {
        task::yield_now().await;
        1
    });
    assert_eq!(answer.await.unwrap(), 1);
}

fn run(life: Life) {
    let place = Place::default();
    let scene = Scene::new(life);
    let is_alive = life.end == End::Alive;
    let mut handle: Option<Handle> = None;
    match life.on {
        On::OneWorker | On::TwoWorkers => {
            let runtime: Runtime = builder(life).build().unwrap();
            let driver = runtime.spawn(drive(scene, spawn_anywhere, sentinel_anywhere, place.clone()));
            runtime.block_on(driver).unwrap();
            if is_alive {
                place.scene.lock().unwrap().take().unwrap().check();
                runtime.block_on(is_usable());
                assert_eq!(runtime.metrics().num_alive_tasks(), 0);
            }
            handle = Some(runtime.handle().clone());
            drop(runtime);
        }
        On::Current => {
            let runtime = builder(life).build().unwrap();
            runtime.block_on(drive(scene, spawn_anywhere, sentinel_anywhere, place.clone()));
            if is_alive {
                place.scene.lock().unwrap().take().unwrap().check();
                runtime.block_on(is_usable());
                assert_eq!(runtime.metrics().num_alive_tasks(), 0);
            }
            handle = Some(runtime.handle().clone());
            drop(runtime);
        }
        On::Local => {
            let runtime: LocalRuntime = builder(life).build_local(LocalOptions::default()).unwrap();
            runtime.block_on(drive(scene, spawn_local, sentinel_local, place.clone()));
            if is_alive {
                place.scene.lock().unwrap().take().unwrap().check();
                runtime.block_on(is_usable());
                assert_eq!(runtime.metrics().num_alive_tasks(), 0);
            }
            drop(runtime);
        }
        On::LocalSet => {
            let runtime = builder(life).build().unwrap();
            let set = LocalSet::new();
            set.block_on(&runtime, drive(scene, spawn_local, sentinel_local, place.clone()));
            if is_alive {
                place.scene.lock().unwrap().take().unwrap().check();
                set.block_on(&runtime, async {
                    assert_eq!(task::spawn_local(async { 1 }).await.unwrap(), 1);
                });
            }
            drop(set);
            runtime.block_on(is_usable());
        }
    }
    if let Some(failure) = place.failure.lock().unwrap().take() {
        panic!("in the shutdown: {failure}");
    }
    if !is_alive {
        let mut scene = place.scene.lock().unwrap().take().expect("the sentinel puts it back");
        if life.end == End::BornAfter {
            let handle = handle.unwrap();
            scene.spawn(|scene| handle.spawn(scene.subject()));
        }
        scene.check();
    }
}

fn every_life() -> Vec<Life> {
    let mut lives = Vec::new();
    for &on in On::ALL {
        for &panic_in in PanicIn::ALL {
            for &abort in Abort::ALL {
                for &hold in Hold::ALL {
                    lives.extend(End::ALL.iter().map(|&end| Life { panic_in, abort, hold, end, on }));
                }
            }
        }
    }
    lives
}

/// Ends the process if a combination does not end, and prints which one.
fn watch(current: Arc<Mutex<(usize, String)>>) {
    std::thread::spawn(move || {
        let mut before = usize::MAX;
        loop {
            std::thread::sleep(Duration::from_secs(60));
            let (count, name) = current.lock().unwrap().clone();
            if count == before {
                println!("hangs: REDD_LIFE=\"{name}\" cargo test -p redd --test task_life");
                println!("0 cases passed, 1 failed");
                std::process::exit(1);
            }
            before = count;
        }
    });
}

/// Runs the program again as a child process. If that one crashes, reports the combination that was running. The
/// runtime's reports of thousands of panics are omitted.
fn run_child() -> i32 {
    let at = tempfile::NamedTempFile::new().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    let status = child.env(AT, at.path()).stderr(Stdio::null()).status().unwrap();
    status.code().unwrap_or_else(|| {
        let name = std::fs::read_to_string(at.path()).unwrap();
        println!("the process died ({status}): REDD_LIFE=\"{name}\" cargo test -p redd --test task_life");
        println!("0 cases passed, 1 failed");
        1
    })
}

/// The file in which a child records the current combination.
const AT: &str = "REDD_LIFE_AT";

fn main() {
    let (only, at) = (std::env::var("REDD_LIFE").ok(), std::env::var_os(AT));
    if only.is_none() && at.is_none() && support::emulation::skips("task_life", "the program cannot start itself") {
        return;
    }
    if only.is_none() && at.is_none() {
        std::process::exit(run_child());
    }
    hide_purposes();
    let current = Arc::new(Mutex::new((0, String::new())));
    watch(Arc::clone(&current));
    let (mut passed, mut failed) = (0, 0);
    let mut impossible: Vec<(&'static str, usize)> = Vec::new();
    for (number, life) in every_life().into_iter().enumerate() {
        if only.as_ref().is_some_and(|only| *only != life.name()) {
            continue;
        }
        if let Some(rule) = life.impossible() {
            match impossible.iter_mut().find(|(known, _)| *known == rule) {
                Some((_, count)) => *count += 1,
                None => impossible.push((rule, 1)),
            }
            continue;
        }
        *current.lock().unwrap() = (number, life.name());
        if let Some(at) = &at {
            std::fs::write(at, life.name()).unwrap();
        }
        match catch_unwind(AssertUnwindSafe(|| run(life))) {
            Ok(()) => passed += 1,
            Err(payload) => {
                failed += 1;
                if failed <= 20 {
                    println!("FAILED: {}", panic_text(&*payload));
                    println!("  REDD_LIFE=\"{}\" cargo test -p redd --test task_life", life.name());
                }
            }
        }
    }
    for (rule, count) in impossible {
        println!("{count} combinations are impossible: {rule}");
    }
    println!("combinations of panic, abort, handle, end and runtime:");
    println!("{passed} cases passed, {failed} failed");
    std::process::exit(i32::from(failed > 0));
}
