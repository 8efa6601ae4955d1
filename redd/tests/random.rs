//! Random programs on whole runtimes. Tasks spawn, await, abort, detach, panic, race, time out, and communicate through
//! everything in `sync`. They run on a current-thread runtime and on 1, 2 and 8 workers.
//!
//! A program is determined by its seed. For each program:
//!
//! - Every future is dropped once. Every output is delivered once or dropped once.
//! - Every joiner gets the right result.
//! - Every message that was sent is received, in order.
//! - At the end no task is alive, and no waker is used after its end.
//! - The program ends. One in four is cut off by the shutdown of its runtime.
//! - A task group that is closed has no task left, each of its results came once, and its clean-ups have run, the last first.
//! - No task is diagnosed as stuck: neither by the runtime, nor in the dumps that another thread takes all the time.
//!
//! `cargo xtask random --seeds N --from S` runs more of them. A failure prints the command that replays its seed. On
//! several workers that is the same program, but not the same schedule, so it may take a few runs.
//!
//! This program has its own `main` instead of the test harness, because it counts. The last line has the totals.

#![allow(clippy::print_stdout, reason = "a program without a harness reports by itself")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "a watchdog reads the real clock")]

#[path = "random/groups.rs"]
mod groups;
mod support;

use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use redd::runtime::dump::Diagnosis;
use redd::runtime::{Builder, Handle, RngSeed, Runtime};
use redd::sync::{Barrier, Notify, OnceCell, RwLock, Semaphore, broadcast, mpsc, oneshot, watch};
use redd::task::{self, JoinError, JoinHandle, JoinSet, LocalSet};
use redd::time::{sleep, timeout};

use support::lives::{Counted, Purpose, Rng, Tally, hide_purposes, panic_on_purpose, panic_text};
use support::wakers::WakerLog;

/// Seeds that once failed. They always run first.
const KEPT: &[u64] = &[];

/// The number of programs without arguments: a run takes seconds, also in a debug build.
const FEW: u64 = 2_000;

/// The number of programs that share a runtime.
const REUSE: u64 = 64;

/// What the tasks of one program share and leave behind.
struct World {
    futures: Arc<Tally>,
    values: Arc<Tally>,
    /// The number of tasks that may still be spawned.
    left: AtomicUsize,
    next_number: AtomicU64,
    bag: Mutex<Vec<Child>>,
    logs: Mutex<Vec<WakerLog>>,
    failures: Mutex<Vec<String>>,
    has_workers: bool,
    is_over: AtomicBool,
    end: watch::Receiver<bool>,
    bounded: mpsc::Sender<Message>,
    unbounded: mpsc::UnboundedSender<Message>,
    sent: [AtomicUsize; 2],
    news: broadcast::Sender<Message>,
    weather: watch::Sender<u64>,
    notify: Notify,
    permits: Semaphore,
    holders: AtomicUsize,
    ledger: RwLock<u64>,
    writers: AtomicUsize,
    once: OnceCell<u64>,
    operations: AtomicUsize,
    groups: AtomicUsize,
}

/// The total of permits in `World::permits`.
const PERMITS: usize = 3;

#[derive(Clone)]
struct Message {
    sender: u64,
    number: u64,
    _counted: Arc<Counted>,
}

/// The output of a task.
struct Value {
    number: u64,
    panics: bool,
    _counted: Counted,
}

impl Drop for Value {
    fn drop(&mut self) {
        if self.panics {
            panic_on_purpose("output drop");
        }
    }
}

/// The handle of a task, and what its result may be.
struct Child {
    handle: JoinHandle<Value>,
    number: u64,
    was_aborted: Arc<AtomicBool>,
}

impl Child {
    fn abort(&self) {
        self.was_aborted.store(true, Ordering::SeqCst);
        self.handle.abort();
    }
}

type Program = Pin<Box<dyn Future<Output = u64> + Send>>;

/// The future of a task. It counts its drop, and may panic there.
struct Tracked {
    program: Program,
    world: Arc<World>,
    number: u64,
    panics: bool,
    output_panics: bool,
    _counted: Counted,
}

impl Future for Tracked {
    type Output = Value;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Value> {
        let number = self.number;
        self.program.as_mut().poll(cx).map(|output| {
            assert_eq!(output, number, "a program gives its own number");
            Value { number, panics: self.output_panics, _counted: self.world.values.make() }
        })
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        if self.panics {
            panic_on_purpose("future drop");
        }
    }
}

impl World {
    fn fail(&self, what: impl Into<String>) {
        self.failures.lock().unwrap().push(what.into());
    }

    fn expect(&self, holds: bool, what: &str) {
        if !holds {
            self.fail(what);
        }
    }

    /// Whether the program may spawn another task.
    fn may_spawn(&self) -> bool {
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    fn tracked(self: &Arc<Self>, rng: &mut Rng, depth: usize) -> Tracked {
        let number = self.next_number.fetch_add(1, Ordering::SeqCst);
        let child = Rng::new(rng.next());
        Tracked {
            program: Box::pin(program(Arc::clone(self), child, number, depth)),
            world: Arc::clone(self),
            number,
            panics: rng.one_in(40),
            output_panics: rng.one_in(40),
            _counted: self.futures.make(),
        }
    }

    fn spawn(self: &Arc<Self>, rng: &mut Rng, depth: usize) -> Child {
        let tracked = self.tracked(rng, depth);
        let number = tracked.number;
        let handle = match rng.below(8) {
            // A size class of its own, and a size that is too large for any class.
            0 => redd::spawn(Beside(tracked, [1_u8; 700])),
            1 if rng.one_in(4) => redd::spawn(Beside(tracked, [1_u8; 20_000])),
            _ => redd::spawn(tracked),
        };
        Child { handle, number, was_aborted: Arc::default() }
    }

    fn blocking(self: &Arc<Self>, rng: &mut Rng) -> Child {
        let number = self.next_number.fetch_add(1, Ordering::SeqCst);
        let (counted, world, panics) = (self.futures.make(), Arc::clone(self), rng.one_in(10));
        let handle = task::spawn_blocking(move || {
            let _counted = counted;
            if panics {
                panic_on_purpose("closure");
            }
            Value { number, panics: false, _counted: world.values.make() }
        });
        Child { handle, number, was_aborted: Arc::default() }
    }

    /// Checks whether `answer` is a possible result of `child`.
    fn check(&self, number: u64, was_aborted: &AtomicBool, answer: Result<Value, JoinError>) {
        match answer {
            Ok(mut value) => {
                value.panics = false;
                self.expect(value.number == number, "the output of another task");
            }
            Err(error) if error.is_cancelled() => {
                let may_be = was_aborted.load(Ordering::SeqCst) || self.is_over.load(Ordering::SeqCst);
                self.expect(may_be, "cancelled, though it was not aborted");
            }
            Err(error) => {
                let payload = error.into_panic();
                if !payload.is::<Purpose>() {
                    self.fail(format!("a task panicked: {}", panic_text(&*payload)));
                }
            }
        }
    }

    async fn join(&self, child: Child) {
        let Child { handle, number, was_aborted } = child;
        let answer = handle.await;
        self.check(number, &was_aborted, answer);
    }

    fn take_child(&self, rng: &mut Rng) -> Option<Child> {
        let mut bag = self.bag.lock().unwrap();
        if bag.is_empty() {
            return None;
        }
        let index = rng.below(bag.len());
        Some(bag.swap_remove(index))
    }

    async fn until_end(&self) {
        let mut end = self.end.clone();
        let _ = end.wait_for(|is_over| *is_over).await;
    }
}

/// A task with a future beside its own. This is no async block: if a drop panics there, the output is lost
/// (<https://github.com/rust-lang/rust/issues/47949>).
struct Beside<T>(Tracked, T);

impl<T: Unpin> Future for Beside<T> {
    type Output = Value;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Value> {
        Pin::new(&mut self.0).poll(cx)
    }
}

async fn yield_some(rng: &mut Rng) {
    for _ in 0..rng.below(3) {
        task::yield_now().await;
    }
}

/// One task: a few operations, each of which ends by itself or at the end of the program.
async fn program(world: Arc<World>, mut rng: Rng, number: u64, depth: usize) -> u64 {
    let mut sent = 0;
    for _ in 0..1 + rng.below(5) {
        world.operations.fetch_add(1, Ordering::Relaxed);
        match rng.below(29) {
            0..=2 => yield_some(&mut rng).await,
            3..=6 => family(&world, &mut rng, depth).await,
            7 => {
                if world.may_spawn() {
                    let child = world.blocking(&mut rng);
                    treat(&world, &mut rng, child).await;
                }
            }
            8 | 9 => {
                sent += 1;
                send_bounded(&world, &mut rng, message(&world, number, sent)).await;
            }
            10 => {
                sent += 1;
                if world.unbounded.send(message(&world, number, sent)).is_ok() {
                    world.sent[1].fetch_add(1, Ordering::SeqCst);
                }
            }
            11 => {
                let _ = world.news.send(message(&world, number, sent));
            }
            12 => listen(&world, &mut rng).await,
            13 => world.weather.send_modify(|value| *value += 1),
            14 => {
                let mut weather = world.weather.subscribe();
                redd::select! {
                    changed = weather.changed() => world.expect(changed.is_ok(), "the watch channel has a sender"),
                    () = world.until_end() => {}
                }
            }
            15 => world.notify.notify_one(),
            16 => world.notify.notify_waiters(),
            17 => {
                redd::select! {
                    () = world.notify.notified() => {}
                    () = world.until_end() => {}
                    () = yield_some(&mut rng) => {}
                }
            }
            18 => hold_permits(&world, &mut rng).await,
            19 => hold_ledger(&world, &mut rng).await,
            20 => join_set(&world, &mut rng, depth).await,
            21 => {
                let value = *world.once.get_or_init(|| async { 5 }).await;
                world.expect(value == 5, "another value in the cell");
            }
            22 => time(&world, &mut rng).await,
            23 => closed(&world, &mut rng).await,
            26..=28 => groups::run(&world, &mut rng, depth).await,
            24 if rng.one_in(3) => panic_on_purpose("poll"),
            24 => {
                if let Some(child) = world.take_child(&mut rng) {
                    // The child may be this task itself, or a task that waits for it.
                    redd::select! {
                        () = treat(&world, &mut rng, child) => {}
                        () = world.until_end() => {}
                    }
                }
            }
            _ => {
                if redd::runtime::worker_index().is_some() && world.has_workers && rng.one_in(20) {
                    task::block_in_place(|| ());
                }
                task::consume_budget().await;
            }
        }
    }
    number
}

fn message(world: &World, sender: u64, number: u64) -> Message {
    Message { sender, number, _counted: Arc::new(world.values.make()) }
}

/// Spawns a task and uses its handle in one of the possible ways.
async fn family(world: &Arc<World>, rng: &mut Rng, depth: usize) {
    if depth < 4 && world.may_spawn() {
        let child = world.spawn(rng, depth + 1);
        treat(world, rng, child).await;
    }
}

async fn treat(world: &Arc<World>, rng: &mut Rng, mut child: Child) {
    match rng.below(9) {
        0 | 1 => world.join(child).await,
        2 => drop(child),
        3 => {
            child.abort();
            world.join(child).await;
        }
        4 => {
            yield_some(rng).await;
            child.abort();
        }
        5 => world.bag.lock().unwrap().push(child),
        6 => {
            // Polls by hand, with an instrumented waker.
            let log = WakerLog::new();
            let waker = log.waker();
            let polled = Pin::new(&mut child.handle).poll(&mut Context::from_waker(&waker));
            drop(waker);
            world.logs.lock().unwrap().push(log);
            match polled {
                Poll::Ready(answer) => world.check(child.number, &child.was_aborted, answer),
                Poll::Pending if rng.one_in(2) => drop(child),
                Poll::Pending => world.bag.lock().unwrap().push(child),
            }
        }
        7 => {
            let mut handle = child.handle;
            redd::select! {
                answer = &mut handle => world.check(child.number, &child.was_aborted, answer),
                () = yield_some(rng) => drop(handle),
            }
        }
        _ => {
            let other = child.handle.abort_handle();
            let (flag, twice) = (Arc::clone(&child.was_aborted), rng.one_in(2));
            flag.store(true, Ordering::SeqCst);
            let aborter = redd::spawn(async move {
                other.abort();
                if twice {
                    other.abort();
                }
            });
            world.join(child).await;
            let _ = aborter.await;
        }
    }
}

async fn send_bounded(world: &World, rng: &mut Rng, message: Message) {
    let was_sent = match rng.below(5) {
        0 => world.bounded.try_send(message).is_ok(),
        1 => match world.bounded.reserve().await {
            Ok(permit) => {
                yield_some(rng).await;
                permit.send(message);
                true
            }
            Err(_) => false,
        },
        2 => {
            // The wait may be cancelled half way.
            let mut reserving = pin!(world.bounded.reserve());
            let is_ready = poll_fn(|cx| Poll::Ready(reserving.as_mut().poll(cx).is_ready())).await;
            world.expect(
                is_ready || world.bounded.capacity() == 0 || world.has_workers,
                "no permit, though there is room",
            );
            false
        }
        _ => world.bounded.send(message).await.is_ok(),
    };
    if was_sent {
        world.sent[0].fetch_add(1, Ordering::SeqCst);
    }
}

async fn listen(world: &World, rng: &mut Rng) {
    let mut news = world.news.subscribe();
    for _ in 0..1 + rng.below(3) {
        redd::select! {
            received = news.recv() => match received {
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => world.fail("the news have a sender"),
            },
            () = world.until_end() => return,
        }
    }
}

async fn hold_permits(world: &World, rng: &mut Rng) {
    let count = 1 + rng.below(PERMITS);
    let permit = world.permits.acquire_many(count as u32).await.expect("it is never closed");
    let before = world.holders.fetch_add(count, Ordering::SeqCst);
    // The permits are returned also if the task is dropped here.
    let holding = Holding(&world.holders, count);
    world.expect(before + count <= PERMITS, "more permits than there are");
    yield_some(rng).await;
    drop(holding);
    drop(permit);
}

struct Holding<'a>(&'a AtomicUsize, usize);

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::SeqCst);
    }
}

async fn hold_ledger(world: &World, rng: &mut Rng) {
    if rng.one_in(2) {
        let mut ledger = world.ledger.write().await;
        world.expect(world.writers.fetch_add(1, Ordering::SeqCst) == 0, "two writers");
        let holding = Holding(&world.writers, 1);
        *ledger += 1;
        yield_some(rng).await;
        drop(holding);
    } else {
        let ledger = world.ledger.read().await;
        let before = *ledger;
        yield_some(rng).await;
        world.expect(before == *ledger && world.writers.load(Ordering::SeqCst) == 0, "written while read");
    }
}

async fn join_set(world: &Arc<World>, rng: &mut Rng, depth: usize) {
    let mut set = JoinSet::new();
    for _ in 0..rng.below(4) {
        if depth < 4 && world.may_spawn() {
            set.spawn(world.tracked(rng, depth + 1));
        }
    }
    let any = AtomicBool::new(true);
    match rng.below(5) {
        0 => drop(set),
        1 => {
            set.abort_all();
            while let Some(answer) = set.join_next().await {
                check_member(world, &any, answer);
            }
        }
        2 => {
            yield_some(rng).await;
            while let Some(answer) = set.try_join_next() {
                check_member(world, &any, answer);
            }
            set.detach_all();
        }
        3 => set.shutdown().await,
        _ => {
            let expected = set.len();
            let mut count = 0;
            any.store(false, Ordering::SeqCst);
            while let Some(answer) = set.join_next().await {
                count += 1;
                check_member(world, &any, answer);
            }
            world.expect(count == expected, "each member is joined once");
        }
    }
}

fn check_member(world: &World, was_aborted: &AtomicBool, answer: Result<Value, JoinError>) {
    let number = answer.as_ref().map_or(0, |value| value.number);
    world.check(number, was_aborted, answer);
}

async fn time(world: &World, rng: &mut Rng) {
    const LONG: Duration = Duration::from_secs(1000);
    match rng.below(5) {
        0 => world.expect(timeout(LONG, task::yield_now()).await.is_ok(), "early by a thousand seconds"),
        1 => world.expect(timeout(Duration::ZERO, pending::<()>()).await.is_err(), "a timeout of zero expires"),
        2 => {
            redd::select! {
                () = sleep(LONG) => world.fail("early by a thousand seconds"),
                () = yield_some(rng) => {}
            }
        }
        3 if rng.one_in(8) => sleep(Duration::from_millis(1)).await,
        3 => {
            let mut sleeping = pin!(sleep(LONG));
            let _ = poll_fn(|cx| Poll::Ready(sleeping.as_mut().poll(cx))).await;
        }
        _ => {
            let _ = timeout(LONG, world.notify.notified()).await.is_ok() || {
                world.fail("early by a thousand seconds");
                true
            };
        }
    }
}

/// Small programs that end by themselves, so that a lost wake is a hang. Each part says whether it saw what it should.
/// That is checked only if the whole program ends, because an abort or a shutdown cancels one part before another.
async fn closed(world: &Arc<World>, rng: &mut Rng) {
    let rounds = 1 + rng.below(4);
    let mut set: JoinSet<bool> = JoinSet::new();
    match rng.below(6) {
        0 => {
            let (left, right) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            for (mine, other, begins) in [(Arc::clone(&left), Arc::clone(&right), true), (right, left, false)] {
                set.spawn(async move {
                    // One after the other: if the first notification is still stored, a second one would be lost.
                    for _ in 0..rounds {
                        if begins {
                            other.notify_one();
                        }
                        mine.notified().await;
                        if !begins {
                            other.notify_one();
                        }
                    }
                    true
                });
            }
        }
        1 => {
            let barrier = Arc::new(Barrier::new(3));
            for _ in 0..3 {
                let barrier = Arc::clone(&barrier);
                set.spawn(async move {
                    for _ in 0..rounds {
                        barrier.wait().await;
                    }
                    true
                });
            }
        }
        2 => {
            // A chain of oneshots.
            let (first, mut receiver) = oneshot::channel();
            for _ in 0..rounds {
                let (sender, next) = oneshot::channel();
                let before = std::mem::replace(&mut receiver, next);
                set.spawn(async move {
                    match before.await {
                        Ok(number) => sender.send(number + 1_u64).is_ok(),
                        Err(_) => false,
                    }
                });
            }
            set.spawn(async move { receiver.await == Ok(rounds as u64) });
            let _ = first.send(0);
        }
        3 => {
            let (sender, mut receiver) = watch::channel(0);
            set.spawn(async move { receiver.wait_for(|seen| *seen == rounds).await.is_ok_and(|seen| *seen == rounds) });
            for round in 1..=rounds {
                let _ = sender.send(round);
                yield_some(rng).await;
            }
        }
        4 => {
            let (sender, receiver) = broadcast::channel(16);
            for mut receiver in [receiver, sender.subscribe()] {
                set.spawn(async move {
                    let mut is_right = true;
                    for round in 0..rounds {
                        is_right &= receiver.recv().await == Ok(round);
                    }
                    is_right && receiver.recv().await == Err(broadcast::error::RecvError::Closed)
                });
            }
            for round in 0..rounds {
                let _ = sender.send(round);
                yield_some(rng).await;
            }
        }
        _ => {
            let (sender, mut receiver) = mpsc::channel(1);
            set.spawn(async move {
                let mut is_right = true;
                for round in 0..rounds {
                    is_right &= sender.send(round).await.is_ok();
                }
                is_right
            });
            set.spawn(async move {
                let mut is_right = true;
                for round in 0..rounds {
                    is_right &= receiver.recv().await == Some(round);
                }
                is_right && receiver.recv().await.is_none()
            });
        }
    }
    while let Some(answer) = set.join_next().await {
        let is_right = answer.is_ok_and(|is_right| is_right) || world.is_over.load(Ordering::SeqCst);
        world.expect(is_right, "a closed program went wrong");
    }
}

/// Receives until the last sender is dropped, and checks the order.
async fn consume(
    world_failures: Arc<Mutex<Vec<String>>>,
    mut receive: impl FnMut(&mut Context<'_>) -> Poll<Option<Message>>,
    received: Arc<AtomicUsize>,
    mut rng: Rng,
) {
    let mut last = std::collections::HashMap::new();
    while let Some(message) = poll_fn(&mut receive).await {
        received.fetch_add(1, Ordering::SeqCst);
        let before = last.insert(message.sender, message.number);
        if before.is_some_and(|before| before >= message.number) {
            world_failures.lock().unwrap().push("two messages of one sender changed places".to_owned());
        }
        if rng.one_in(4) {
            task::yield_now().await;
        }
    }
}

/// The kind of runtime for a seed, and whether the runtime is shut down half way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    workers: usize,
    is_cut: bool,
}

const WORKERS: [usize; 4] = [0, 1, 2, 8];

impl Kind {
    fn of(seed: u64) -> Self {
        Self { workers: WORKERS[(seed % 4) as usize], is_cut: (seed / 4) % 4 == 0 }
    }

    /// A current-thread runtime with the same seed makes the same choices each time.
    fn runtime(self, seed: u64) -> Runtime {
        let mut builder = match self.workers {
            0 => Builder::new_current_thread(),
            count => {
                let mut builder = Builder::new_multi_thread();
                builder.worker_threads(count);
                builder
            }
        };
        builder.enable_all().max_blocking_threads(4).rng_seed(RngSeed::from_bytes(&seed.to_le_bytes()));
        builder.on_diagnosis(|diagnosis| DIAGNOSES.lock().unwrap().push(diagnosis.to_string())).build().unwrap()
    }
}

/// Totals of what was run.
#[derive(Default)]
struct Sums {
    tasks: usize,
    operations: usize,
    groups: usize,
    messages: usize,
    wakers: usize,
}

/// Runs the program of `seed`. If the runtime can be used again, it stays in `runtime`.
fn run(seed: u64, runtime: &mut Option<Runtime>, sums: &mut Sums) -> Result<(), String> {
    let kind = Kind::of(seed);
    let mut rng = Rng::new(seed);
    let (end_sender, end) = watch::channel(false);
    let (bounded, mut bounded_receiver) = mpsc::channel(1 + rng.below(3));
    let (unbounded, mut unbounded_receiver) = mpsc::unbounded_channel();
    let world = Arc::new(World {
        futures: Tally::new(),
        values: Tally::new(),
        left: AtomicUsize::new(rng.below(40)),
        next_number: AtomicU64::new(0),
        bag: Mutex::default(),
        logs: Mutex::default(),
        failures: Mutex::default(),
        has_workers: kind.workers > 0,
        is_over: AtomicBool::new(false),
        end,
        bounded,
        unbounded,
        sent: Default::default(),
        news: broadcast::Sender::new(2),
        weather: watch::Sender::new(0),
        notify: Notify::new(),
        permits: Semaphore::new(PERMITS),
        holders: AtomicUsize::new(0),
        ledger: RwLock::new(0),
        writers: AtomicUsize::new(0),
        once: OnceCell::new(),
        operations: AtomicUsize::new(0),
        groups: AtomicUsize::new(0),
    });
    let (futures, values) = (Arc::clone(&world.futures), Arc::clone(&world.values));
    let received: [Arc<AtomicUsize>; 2] = Default::default();
    let order = Arc::new(Mutex::new(Vec::new()));
    let (logs, root_failed) = {
        let runtime_now = runtime.get_or_insert_with(|| kind.runtime(seed));
        *RUNS_ON.lock().unwrap() = Some(runtime_now.handle().clone());
        let consumers = [
            runtime_now.spawn(consume(
                Arc::clone(&order),
                move |cx| bounded_receiver.poll_recv(cx),
                Arc::clone(&received[0]),
                Rng::new(rng.next()),
            )),
            runtime_now.spawn(consume(
                Arc::clone(&order),
                move |cx| unbounded_receiver.poll_recv(cx),
                Arc::clone(&received[1]),
                Rng::new(rng.next()),
            )),
        ];
        let root = catch_unwind(AssertUnwindSafe(|| runtime_now.block_on(root(&world, &mut rng, kind))));
        let root_failed = root.err().map(|payload| panic_text(&*payload));
        if kind.is_cut {
            world.is_over.store(true, Ordering::SeqCst);
            *runtime = None;
            for mut child in std::mem::take(&mut *world.bag.lock().unwrap()) {
                // The runtime has ended, so the result is available.
                match Pin::new(&mut child.handle).poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(answer) => world.check(child.number, &child.was_aborted, answer),
                    Poll::Pending => world.fail("a joiner has no result after the end of the runtime"),
                }
            }
        } else {
            runtime_now.block_on(async {
                let _ = end_sender.send(true);
                let mut bag = Vec::new();
                loop {
                    bag.append(&mut world.bag.lock().unwrap());
                    let Some(child) = bag.pop() else { break };
                    if rng.one_in(3) {
                        child.abort();
                    }
                    // Some tasks wait for a notification and do not check for the end.
                    notify_until(&world, world.join(child)).await;
                }
                // Detached tasks must end too: each holds a reference to the world.
                notify_until(&world, async {
                    while Arc::strong_count(&world) > 1 {
                        task::yield_now().await;
                    }
                })
                .await;
            });
        }
        let mut failures = std::mem::take(&mut *world.failures.lock().unwrap());
        failures.extend(root_failed);
        sums.operations += world.operations.load(Ordering::SeqCst);
        sums.groups += world.groups.load(Ordering::SeqCst);
        let sent = [0, 1].map(|index| world.sent[index].load(Ordering::SeqCst));
        let logs = std::mem::take(&mut *world.logs.lock().unwrap());
        if let Some(runtime) = runtime.as_ref() {
            // The senders are dropped with the world, so the consumers end.
            drop(world);
            for consumer in consumers {
                if let Err(error) = runtime.block_on(consumer) {
                    failures.push(format!("a consumer failed: {error}"));
                }
            }
            for (index, sent) in sent.into_iter().enumerate() {
                let received = received[index].load(Ordering::SeqCst);
                if sent != received {
                    failures.push(format!("{sent} messages were sent and {received} received"));
                }
            }
            let alive = || runtime.metrics().num_alive_tasks();
            let none_is_alive = || {
                // When a closure ends that was the last of a dropped group, the group's watchers are polled once more.
                runtime.block_on(task::yield_now());
                alive() == 0
            };
            if !comes_true(none_is_alive) {
                let alive = alive();
                failures.push(format!("{alive} tasks are alive at the end"));
            }
        } else {
            drop(world);
        }
        sums.messages += received.iter().map(|count| count.load(Ordering::SeqCst)).sum::<usize>();
        failures.append(&mut order.lock().unwrap());
        (logs, failures)
    };
    sums.tasks += futures.made();
    sums.wakers += logs.len();
    let mut failures = root_failed;
    // A worker may be about to drop the output of a task that was not joined, or of one whose handle was just dropped.
    comes_true(|| [&futures, &values].iter().all(|tally| tally.made() == tally.dropped()));
    for (tally, what) in [(&futures, "futures"), (&values, "values")] {
        if tally.made() != tally.dropped() {
            failures.push(format!("{} {what} were made and {} dropped", tally.made(), tally.dropped()));
        }
    }
    for log in &logs {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| log.assert_ended())) {
            failures.push(panic_text(&*payload));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
}

/// Whether the condition becomes true within ten seconds, through another thread.
fn comes_true(mut holds: impl FnMut() -> bool) -> bool {
    for turn in 0..10_000 {
        if holds() {
            return true;
        }
        if turn > 10 {
            std::thread::sleep(Duration::from_millis(1));
        } else {
            std::thread::yield_now();
        }
    }
    false
}

/// Notifies the tasks repeatedly until `inner` ends.
async fn notify_until(world: &World, inner: impl Future<Output = ()>) {
    let mut inner = pin!(inner);
    loop {
        let is_done = {
            let mut turns = 0;
            poll_fn(|cx| {
                if inner.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(true);
                }
                turns += 1;
                if turns > 1 {
                    return Poll::Ready(false);
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await
        };
        if is_done {
            return;
        }
        world.notify.notify_waiters();
    }
}

/// The root: tasks for the bag, some operations of its own, and perhaps a set of local tasks.
async fn root(world: &Arc<World>, rng: &mut Rng, kind: Kind) {
    for _ in 0..1 + rng.below(6) {
        if world.may_spawn() {
            let child = world.spawn(rng, 0);
            world.bag.lock().unwrap().push(child);
        }
        match rng.below(6) {
            0 => task::yield_now().await,
            1 => {
                if let Some(child) = world.take_child(rng) {
                    child.abort();
                    world.bag.lock().unwrap().push(child);
                }
            }
            2 => {
                if let Some(child) = world.take_child(rng) {
                    drop(child);
                }
            }
            3 => local_tasks(world, rng).await,
            _ => {}
        }
    }
    if kind.is_cut && rng.one_in(2) {
        yield_some(rng).await;
    }
}

/// Tasks that stay on this thread. The set is run to the end, dropped, or dropped half way.
async fn local_tasks(world: &Arc<World>, rng: &mut Rng) {
    let set = LocalSet::new();
    let mut children = Vec::new();
    for _ in 0..1 + rng.below(3) {
        if world.may_spawn() {
            let tracked = world.tracked(rng, 3);
            let number = tracked.number;
            let handle = set.spawn_local(Beside(tracked, std::rc::Rc::new(number)));
            children.push(Child { handle, number, was_aborted: Arc::default() });
        }
    }
    match rng.below(3) {
        0 => {
            // The set is polled here alone; nothing else wakes it.
            let driven = set.run_until(async {
                for child in children.drain(..) {
                    child.abort();
                    world.join(child).await;
                }
            });
            driven.await;
        }
        1 => {
            set.run_until(task::yield_now()).await;
            children.iter().for_each(|child| child.was_aborted.store(true, Ordering::SeqCst));
        }
        _ => children.iter().for_each(|child| child.was_aborted.store(true, Ordering::SeqCst)),
    }
    drop(set);
    for child in children {
        world.join(child).await;
    }
}

/// What was diagnosed, which is wrong: each program ends.
static DIAGNOSES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The dumps that [`take_dumps`] has taken.
static DUMPS: AtomicU64 = AtomicU64::new(0);

/// Takes dumps of the programs that run, and keeps what they diagnose.
fn take_dumps() {
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_micros(100));
            let handle = RUNS_ON.lock().unwrap().clone();
            let Some(dump) = handle.map(|handle| handle.snapshot()) else { continue };
            DUMPS.fetch_add(1, Ordering::Relaxed);
            // The threads of a program may act where its tasks cannot.
            let is_wrong = |diagnosis: &&Diagnosis| !matches!(diagnosis, Diagnosis::NothingCanHappen { .. });
            let wrong: Vec<_> =
                dump.diagnoses().iter().filter(is_wrong).map(|one| format!("{one}\n{dump:#}")).collect();
            DIAGNOSES.lock().unwrap().extend(wrong);
        }
    });
}

/// The runtime of the current program, for the watchdog.
static RUNS_ON: Mutex<Option<Handle>> = Mutex::new(None);

/// What each task waits for.
fn say_what_waits() {
    let Some(handle) = RUNS_ON.lock().unwrap().clone() else { return };
    Builder::new_current_thread().build().unwrap().block_on(async {
        println!("{}", handle.dump().await);
    });
}

/// Ends the process if a program does not end, and prints its seed.
fn watch_over(current: Arc<AtomicU64>) {
    std::thread::spawn(move || {
        let mut before = u64::MAX;
        loop {
            std::thread::sleep(Duration::from_secs(60));
            let now = current.load(Ordering::SeqCst);
            if now == before {
                say_what_waits();
                println!("hangs: {}", replay(now));
                println!("0 cases passed, 1 failed");
                std::process::exit(1);
            }
            before = now;
        }
    });
}

fn replay(seed: u64) -> String {
    format!("cargo xtask random --seeds 1 --from {seed}   ({:?})", Kind::of(seed))
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

fn main() {
    hide_purposes();
    let seeds = number_from("REDD_SEEDS").unwrap_or(FEW);
    let from = number_from("REDD_FROM").unwrap_or(0);
    let current = Arc::new(AtomicU64::new(0));
    watch_over(Arc::clone(&current));
    take_dumps();
    let mut runtimes: [Option<Runtime>; 4] = Default::default();
    let mut uses = [0; 4];
    let (mut passed, mut failed) = (0, 0);
    let mut sums = Sums::default();
    let kept = if seeds > 1 { KEPT } else { &[] };
    for seed in kept.iter().copied().chain(from..from + seeds) {
        current.store(seed, Ordering::SeqCst);
        let kind = (seed % 4) as usize;
        uses[kind] += 1;
        if kind == 0 || uses[kind] % REUSE == 0 {
            runtimes[kind] = None;
        }
        let outcome = run(seed, &mut runtimes[kind], &mut sums);
        let diagnosed = std::mem::take(&mut *DIAGNOSES.lock().unwrap());
        match outcome.and_then(|()| diagnosed.into_iter().next().map_or(Ok(()), Err)) {
            Ok(()) => passed += 1,
            Err(why) => {
                failed += 1;
                runtimes[kind] = None;
                if failed <= 20 {
                    println!("FAILED: {why}\n  {}", replay(seed));
                }
            }
        }
    }
    println!(
        "random programs from seed {from}: {} tasks, {} operations, {} groups, {} messages, {} watched wakers, {} dumps",
        sums.tasks,
        sums.operations,
        sums.groups,
        sums.messages,
        sums.wakers,
        DUMPS.load(Ordering::Relaxed)
    );
    println!("{passed} cases passed, {failed} failed");
    std::process::exit(i32::from(failed > 0));
}
