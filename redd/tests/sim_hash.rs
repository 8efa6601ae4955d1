//! Two runs of one seed have the same events: a program with a bit of everything, from 200 seeds.
//!
//! `REDD_WORLDS=n` runs n seeds, as the lane `worlds` does.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use redd::group::{TaskGroup, shield};
use redd::runtime::{Builder, Handle, LocalOptions, RngSeed};
use redd::sim::{Report, World, chance, seeds, settle};
use redd::sync::{Barrier, Mutex, Notify, RwLock, Semaphore, broadcast, mpsc, oneshot, watch};
use redd::task::{JoinSet, LocalSet, block_in_place, spawn_blocking, spawn_local, yield_now};
use redd::time::{Duration, interval, sleep, timeout};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A hash of what the program sees. It does not go through the world.
#[derive(Clone, Default)]
struct Trace(Arc<AtomicU64>);

impl Trace {
    fn add(&self, number: u64) {
        let hash = self.0.load(Ordering::Relaxed).wrapping_mul(0x0100_0000_01b3) ^ number;
        self.0.store(hash, Ordering::Relaxed);
    }
}

/// Adds a number when a task is cancelled.
struct OnDrop(Trace, u64);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add(self.1);
    }
}

/// Numbers for the shape of the program, from its own seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

struct Shared {
    trace: Trace,
    lock: Mutex<u64>,
    table: RwLock<u64>,
    permits: Semaphore,
    notify: Notify,
    barrier: Barrier,
    numbers: broadcast::Sender<u64>,
    latest: watch::Sender<u64>,
}

fn shared(trace: &Trace) -> Arc<Shared> {
    Arc::new(Shared {
        trace: trace.clone(),
        lock: Mutex::new(0),
        table: RwLock::new(0),
        permits: Semaphore::new(2),
        notify: Notify::new(),
        barrier: Barrier::new(2),
        numbers: broadcast::channel(4).0,
        latest: watch::channel(0).0,
    })
}

async fn step(shared: &Shared, kind: u64, number: u64) {
    shared.trace.add(kind << 32 | number);
    match kind {
        0 => yield_now().await,
        1 => sleep(Duration::from_millis(number % 7)).await,
        2 => *shared.lock.lock().await += number,
        3 => {
            let _permit = shared.permits.acquire().await.unwrap();
            sleep(Duration::from_micros(number * 300)).await;
        }
        4 => drop(timeout(Duration::from_millis(number % 4), shared.notify.notified()).await),
        5 => shared.notify.notify_one(),
        6 => drop(timeout(Duration::from_millis(5), shared.barrier.wait()).await),
        7 => drop(shared.numbers.send(number)),
        8 => {
            let mut receiver = shared.numbers.subscribe();
            let received = timeout(Duration::from_millis(3), receiver.recv()).await;
            shared.trace.add(received.is_ok().into());
        }
        9 => shared.latest.send_modify(|latest| *latest += number),
        10 => {
            let mut latest = shared.latest.subscribe();
            drop(timeout(Duration::from_millis(2), latest.changed()).await);
            shared.trace.add(*latest.borrow());
        }
        11 => shared.trace.add(spawn_blocking(move || number * 3).await.unwrap()),
        12 => {
            let chosen = redd::select! {
                () = yield_now() => 1,
                () = sleep(Duration::from_millis(1)) => 2,
                _ = shared.lock.lock() => 3,
                () = async {} => 4,
            };
            shared.trace.add(chosen);
        }
        13 => *shared.table.write().await += number,
        14 => {
            let (sender, receiver) = oneshot::channel();
            let child = redd::spawn(async move { sender.send(number).unwrap() });
            shared.trace.add(receiver.await.unwrap());
            child.await.unwrap();
        }
        15 => {
            let mut ticks = interval(Duration::from_millis(2));
            ticks.tick().await;
            ticks.tick().await;
        }
        16 => shared.trace.add(chance("a rare event", 10).into()),
        17 => {
            // The output has more than 2 KiB: the task has an allocation of its own.
            let guard = OnDrop(shared.trace.clone(), number);
            drop(redd::spawn(async move {
                pending::<()>().await;
                drop(guard);
                [number; 400]
            }));
        }
        18 => {
            let trace = shared.trace.clone();
            let task = redd::spawn(async move {
                let _guard = OnDrop(trace, number);
                sleep(Duration::from_secs(1)).await;
            });
            yield_now().await;
            task.abort();
            shared.trace.add(task.await.is_err().into());
        }
        19 => end_a_group(&shared.trace, number).await,
        _ => {
            let group = TaskGroup::limit(2).start();
            for child in 0..4 {
                group.spawn(async move {
                    yield_now().await;
                    child
                });
            }
            while let Some(child) = group.next().await {
                shared.trace.add(child.unwrap());
            }
        }
    }
}

/// A group with a limit, a shield, a closure and a clean-up. It is cancelled by its program, by its deadline, or not at all.
async fn end_a_group(trace: &Trace, number: u64) {
    let millis = Duration::from_millis;
    let deadline = if number == 9 { Duration::from_secs(10) } else { millis(1 + number % 4) };
    let group = TaskGroup::limit(3).deadline(deadline).start();
    let guard = OnDrop(trace.clone(), number);
    group.defer(millis(2), async move {
        yield_now().await;
        drop(guard);
    });
    for child in 0..4 {
        let trace = trace.clone();
        group.spawn(async move {
            shield(millis(3), sleep(millis(child % 3))).await;
            trace.add(10 + child);
            sleep(millis(child)).await;
            trace.add(child);
        });
    }
    let closure = trace.clone();
    group.spawn_blocking(move || closure.add(number));
    if number % 3 == 0 {
        sleep(millis(1)).await;
        group.cancel("enough");
    }
    trace.add(group.close().await.is_ok().into());
}

async fn program(trace: Trace, seed: u64, may_block: bool) {
    let (shared, mut numbers) = (shared(&trace), Numbers(seed));
    let mut tasks = JoinSet::new();
    for task in 0..2 + numbers.below(5) {
        let steps = Vec::from_iter((0..2 + numbers.below(8)).map(|_| (numbers.below(22), numbers.below(10))));
        let shared = shared.clone();
        tasks.spawn(async move {
            for (kind, number) in steps {
                match kind {
                    21 if may_block => block_in_place(|| {
                        Handle::current().block_on(async { sleep(Duration::from_millis(number)).await });
                    }),
                    _ => step(&shared, kind, number).await,
                }
            }
            task
        });
    }
    while let Some(task) = tasks.join_next().await {
        trace.add(task.unwrap());
    }
    settle().await;
    trace.add(*shared.lock.lock().await + *shared.table.read().await);
}

fn run(seed: u64) -> (Report, u64) {
    let trace = Trace::default();
    let (first, second, third) = (trace.clone(), trace.clone(), trace.clone());
    let report = World::new(seed)
        .record(true)
        .host("multi", move || {
            // Dropped with tasks that wait forever: the order of their drops is part of the trace.
            let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(program(first.clone(), seed, true));
        })
        .host("current", move || {
            let runtime =
                Builder::new_current_thread().enable_all().rng_seed(RngSeed::from_bytes(b"own")).build().unwrap();
            runtime.block_on(program(second.clone(), seed ^ 1, false));
        })
        .host("local", move || {
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
            let (trace, (sender, mut receiver)) = (third.clone(), mpsc::channel(1));
            runtime.block_on(async move {
                let set = LocalSet::new();
                for number in 0..3 {
                    let sender = sender.clone();
                    set.spawn_local(async move { sender.send(number).await.unwrap() });
                }
                drop(sender);
                let reader = spawn_local(async move {
                    while let Some(number) = receiver.recv().await {
                        trace.add(number);
                    }
                });
                set.await;
                reader.await.unwrap();
            });
        })
        .run();
    report.expect_ok();
    (report, trace.0.load(Ordering::Relaxed))
}

/// As many seeds run by default.
const WORLDS: u64 = 200;

/// Runs each seed twice. `part` is one of four, which run at once.
fn compare(part: u64) {
    let worlds = std::env::var("REDD_WORLDS").map_or(WORLDS, |text| text.parse().expect("`REDD_WORLDS` is a number"));
    let mut all = 0_u64;
    for seed in seeds(worlds).filter(|seed| seed % 4 == part) {
        let ((first, seen), (second, seen_again)) = (run(seed), run(seed));
        if let Some(difference) = first.first_difference(&second) {
            panic!("seed {seed}: {difference}");
        }
        assert_eq!(first.event_hash(), second.event_hash());
        assert_eq!(seen, seen_again, "seed {seed}: the events are equal, and the program has seen a difference");
        all = all.rotate_left(7) ^ first.event_hash();
    }
    // Shown by `--nocapture`: equal in debug and release, and on each machine.
    println!("hash of part {part}: {all:016x}");
}

#[test]
fn two_runs_of_a_seed_have_the_same_events_part_0() {
    compare(0);
}

#[test]
fn two_runs_of_a_seed_have_the_same_events_part_1() {
    compare(1);
}

#[test]
fn two_runs_of_a_seed_have_the_same_events_part_2() {
    compare(2);
}

#[test]
fn two_runs_of_a_seed_have_the_same_events_part_3() {
    compare(3);
}
