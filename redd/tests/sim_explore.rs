//! Strategies, tapes and shrinking: planted mistakes are found, and shrunk to a few deviations from the plain order. Their correct twins
//! stay silent.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use redd::runtime::Builder;
use redd::sim::{Explore, FailureKind, Report, Tape, World, chance};
use redd::sync::{Mutex, Notify, oneshot};
use redd::task::{JoinSet, LocalSet, yield_now};
use redd::time::{Duration, sleep};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A world with one host on a runtime of the multi-thread flavor.
fn world<F: Future<Output = ()>>(seed: u64, program: impl Fn() -> F + Send + Sync + 'static) -> World {
    World::new(seed).host("host", move || Builder::new_multi_thread().enable_all().build().unwrap().block_on(program()))
}

/// Several yields, as for messages to another machine.
async fn yields(count: u32) {
    for _ in 0..count {
        yield_now().await;
    }
}

/// Runs some named tasks to their ends.
macro_rules! run_tasks {
    ($($name:literal => $task:expr),+ $(,)?) => {{
        let mut tasks = JoinSet::new();
        $(tasks.build_task().name($name).spawn($task).unwrap();)+
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
    }};
}

/// A counter and its version. Each fail-over begins a new epoch.
///
/// It is the planted mistake of the guide, written again: the example `guide_replay` is one readable file, whose items are private.
#[derive(Clone, Copy, Default)]
struct Counter {
    epoch: u32,
    version: u32,
    value: u32,
}

#[derive(Default)]
struct Store {
    primary: Mutex<Counter>,
    backup: Mutex<Counter>,
    write: Mutex<()>,
}

impl Store {
    async fn add(&self, amount: u32, compares_epoch: bool) {
        loop {
            let old = *self.primary.lock().await;
            yield_now().await;
            let _write = self.write.lock().await;
            let now = *self.primary.lock().await;
            if now.version != old.version || (compares_epoch && now.epoch != old.epoch) {
                continue;
            }
            let new = Counter { epoch: now.epoch, version: old.version + 1, value: old.value + amount };
            *self.primary.lock().await = new;
            yield_now().await;
            let mut backup = self.backup.lock().await;
            if backup.epoch == new.epoch {
                *backup = new;
                return;
            }
        }
    }

    async fn fail_over(&self) {
        yield_now().await;
        let mut backup = self.backup.lock().await;
        backup.epoch += 1;
        *self.primary.lock().await = *backup;
    }
}

/// An update is lost in some orders of a fail-over.
async fn lost_update(is_correct: bool) {
    let store = Arc::new(Store::default());
    let add = |amount| {
        let store = store.clone();
        async move { store.add(amount, is_correct).await }
    };
    let failing = store.clone();
    run_tasks!(
        "one" => add(1),
        "ten" => add(10),
        "hundred" => add(100),
        "fail-over" => async move { failing.fail_over().await },
    );
    assert_eq!(store.primary.lock().await.value, 111, "an update is lost");
}

/// The waiter looks at a flag and then begins to wait. A wake between the two is lost.
async fn lost_wakeup(is_correct: bool) {
    let shared = Arc::new((AtomicBool::new(false), Notify::new()));
    let (waiter, setter) = (shared.clone(), shared);
    run_tasks!(
        "waiter" => async move {
            let (flag, notify) = &*waiter;
            if is_correct {
                let mut notified = std::pin::pin!(notify.notified());
                notified.as_mut().enable();
                if !flag.load(Ordering::Relaxed) {
                    yield_now().await;
                    notified.await;
                }
            } else if !flag.load(Ordering::Relaxed) {
                yield_now().await;
                notify.notified().await;
            }
        },
        "setter" => async move {
            yields(2).await;
            setter.0.store(true, Ordering::Relaxed);
            setter.1.notify_waiters();
        },
    );
}

/// A task uses what another one has usually made by then.
async fn order_violation(is_correct: bool) {
    let (sender, receiver) = oneshot::channel();
    let made = Arc::new(AtomicU32::new(0));
    let (maker, user) = (made.clone(), made);
    run_tasks!(
        "maker" => async move {
            yields(2).await;
            maker.store(5, Ordering::Relaxed);
            let _ = sender.send(());
        },
        "user" => async move {
            if is_correct {
                receiver.await.unwrap();
            } else {
                yields(3).await;
            }
            assert_eq!(user.load(Ordering::Relaxed), 5, "it was not made yet");
        },
    );
}

/// A balance is checked, and changed after an `.await`.
async fn atomicity_violation(is_correct: bool) {
    let account = Arc::new((Mutex::new(()), AtomicU32::new(100)));
    let withdraw = |pause: u32| {
        let account = account.clone();
        async move {
            yields(pause).await;
            let guard = if is_correct { Some(account.0.lock().await) } else { None };
            let balance = account.1.load(Ordering::Relaxed);
            if balance >= 80 {
                yield_now().await; // The payment.
                let now = account.1.load(Ordering::Relaxed);
                assert!(now >= 80, "more is paid than there was");
                account.1.store(now - 80, Ordering::Relaxed);
            }
            drop(guard);
        }
    };
    run_tasks!("rent" => withdraw(0), "food" => withdraw(2));
}

/// The first of a thousand seeds whose run fails.
fn first_failing(explore: Explore, world: impl Fn(u64) -> World) -> Option<(u64, Report)> {
    (0..1000).find_map(|seed| {
        let report = world(seed).explore(explore).run();
        (!report.failures().is_empty()).then_some((seed, report))
    })
}

const PCT: Explore = Explore::Pct { depth: 3 };
const DELAY: Explore = Explore::Delay { budget: 2 };

/// Each strategy finds the mistake, each failing run shrinks to few deviations, and the correct twin stays silent.
fn find<F: Future<Output = ()> + 'static>(
    program: fn(bool) -> F,
    depth: u32,
    kind: FailureKind,
    deviations_max: usize,
) {
    let pct = Explore::Pct { depth };
    assert!(
        world(0, move || program(false)).explore(Explore::Plain).run().failures().is_empty(),
        "the usual order works"
    );
    for explore in [Explore::Random, pct, DELAY] {
        let failing = first_failing(explore, |seed| world(seed, move || program(false)));
        let (seed, report) = failing.unwrap_or_else(|| panic!("{explore} does not find it"));
        assert_eq!(report.failures()[0].kind(), kind, "{report}");
        let shrunk = world(seed, move || program(false)).explore(explore).shrink(1000).unwrap();
        let text = shrunk.to_string();
        println!("{explore}, seed {seed}: {text}");
        let tape = shrunk.report().tape();
        assert!((1..=deviations_max).contains(&tape.len()), "{explore}, seed {seed}: {text}");
        assert!(shrunk.words().iter().all(|words| words.contains(" runs before ")), "{text}");
        assert!(text.contains(&format!("REDD_SEED={seed} REDD_TAPE={tape}")), "{text}");
        let again = world(seed, move || program(false)).replay(tape.to_string().parse().unwrap()).run();
        assert_eq!(again.event_hash(), shrunk.report().event_hash(), "the tape repeats the run");
    }
    for explore in [Explore::Random, pct, DELAY] {
        assert!(first_failing(explore, |seed| world(seed, move || program(true))).is_none(), "{explore}");
    }
}

#[test]
fn a_lost_update_is_found_and_shrunk_to_at_most_three_deviations() {
    find(lost_update, 8, FailureKind::Host, 3);
}

#[test]
fn a_lost_wakeup_is_found_and_shrunk() {
    find(lost_wakeup, 3, FailureKind::NothingCanHappen, 2);
}

#[test]
fn an_order_violation_is_found_and_shrunk() {
    find(order_violation, 3, FailureKind::Host, 2);
}

#[test]
fn an_atomicity_violation_is_found_and_shrunk() {
    find(atomicity_violation, 3, FailureKind::Host, 2);
}

/// A program with threads, timers, chances and several runtimes, whose trace is what it returns.
fn busy(seed: u64) -> World {
    let program = || async {
        let mut tasks = JoinSet::new();
        for number in 0..6 {
            tasks.spawn(async move {
                for step in 0..5 {
                    match (number + step) % 4 {
                        0 => yield_now().await,
                        1 => sleep(Duration::from_millis(step)).await,
                        2 if chance("retry", 30) => yield_now().await,
                        _ => drop(redd::task::spawn_blocking(move || number).await.unwrap()),
                    }
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
    };
    let current = move || Builder::new_current_thread().enable_all().build().unwrap().block_on(program());
    world(seed, program).host("other", current).record(true)
}

#[test]
fn each_strategy_repeats_itself_and_its_tape_repeats_it() {
    for explore in [Explore::Plain, Explore::Random, PCT, DELAY] {
        for seed in 0..25 {
            let run = || busy(seed).explore(explore).run();
            let (one, other) = (run(), run());
            assert_eq!(one.expect_ok().first_difference(&other), None, "{explore} {seed}");
            let replayed = busy(seed).replay(one.tape().clone()).run();
            assert_eq!(one.first_difference(replayed.expect_ok()), None, "{explore} {seed}");
            assert_eq!((one.tape(), one.choices()), (replayed.tape(), replayed.choices()));
            assert_eq!(one.explore(), explore);
            let is_plain = one.tape().is_empty();
            assert!(is_plain || explore != Explore::Plain, "{}", one.tape());
        }
    }
}

#[test]
fn the_plain_order_does_not_depend_on_the_seed() {
    let trace = |seed| {
        let report = busy(seed).explore(Explore::Plain).run();
        (report.expect_ok().events(), report.choices(), report.elapsed())
    };
    (1..20).for_each(|seed| assert_eq!(trace(seed), trace(0), "{seed}"));
}

#[test]
fn a_task_that_yields_until_another_has_run_does_not_stop_any_strategy() {
    for explore in [Explore::Plain, Explore::Random, PCT, Explore::Pct { depth: 10 }, DELAY] {
        for seed in 0..50 {
            let program = || async {
                let flag = Arc::new(AtomicBool::new(false));
                let (first, second) = (flag.clone(), flag.clone());
                run_tasks!(
                    "spins" => async move {
                        while !first.load(Ordering::Relaxed) {
                            yield_now().await;
                        }
                    },
                    "sets" => async move {
                        yields(20).await;
                        second.store(true, Ordering::Relaxed);
                    },
                );
            };
            world(seed, program).explore(explore).run().expect_ok();
        }
    }
}

#[test]
fn tasks_of_a_local_set_run_in_the_plain_order_and_none_of_them_starves() {
    for explore in [Explore::Plain, Explore::Random, PCT, DELAY] {
        for seed in 0..20 {
            let order = Arc::new(std::sync::Mutex::new(Vec::new()));
            let inside = order.clone();
            let main = move || {
                let set = LocalSet::new();
                for number in 0..3 {
                    let order = inside.clone();
                    set.spawn_local(async move {
                        for _ in 0..300 {
                            order.lock().unwrap().push(number);
                            yield_now().await;
                        }
                    });
                }
                set.block_on(&Builder::new_current_thread().build().unwrap(), async {
                    yields(10).await;
                });
                drop(set);
            };
            World::new(seed).explore(explore).host("host", main).run().expect_ok();
            let order = std::mem::take(&mut *order.lock().unwrap());
            if explore == Explore::Plain {
                assert_eq!(order[..7], [0, 1, 2, 0, 1, 2, 0]);
            }
            let first = |number: u32| order.iter().position(|ran| *ran == number);
            assert!((0..3).all(|number| first(number).is_some_and(|at| at < 200)), "{explore}, seed {seed}: {order:?}");
        }
    }
}

#[test]
fn a_host_that_yields_until_another_has_run_does_not_stop_any_strategy() {
    for explore in [Explore::Plain, Explore::Random, PCT, DELAY] {
        for seed in 0..20 {
            let flag = Arc::new(AtomicBool::new(false));
            let set = flag.clone();
            let spins = move || {
                let flag = flag.clone();
                async move {
                    while !flag.swap(false, Ordering::Relaxed) {
                        yield_now().await;
                    }
                }
            };
            let sets = move || {
                let runtime = Builder::new_current_thread().build().unwrap();
                runtime.block_on(yields(20));
                set.store(true, Ordering::Relaxed);
            };
            world(seed, spins).host("sets", sets).explore(explore).run().expect_ok();
        }
    }
}

#[test]
fn a_tape_of_another_program_fails_with_a_message_that_says_where() {
    let program = |tasks: u32| {
        move || async move {
            let mut set = JoinSet::new();
            (0..tasks).for_each(|_| drop(set.spawn(yields(2))));
            while set.join_next().await.is_some() {}
        }
    };
    let run = |tasks, tape: Tape| world(1, program(tasks)).record(true).replay(tape).run();
    let tape = world(1, program(5)).record(true).run().tape().clone();
    run(5, tape.clone()).expect_ok();
    let report = run(4, tape.clone());
    assert_eq!(report.failures()[0].kind(), FailureKind::Tape, "{report}");
    let text = report.failures()[0].to_string();
    assert!(text.contains(" of the tape is for a choice ") && text.contains("without the tape"), "{text}");
    let late = "1000000:1".parse().unwrap();
    assert!(run(5, late).failures()[0].to_string().contains("after the end"));
    // With its letters off, what fits is replayed.
    let bare: Vec<_> = tape.to_string().split(',').map(|item| item.split('/').next().unwrap().to_owned()).collect();
    run(5, bare.join(",").parse().unwrap()).expect_ok();
}

#[test]
fn a_shrunk_run_says_which_tasks_and_where_they_were_spawned() {
    let (seed, _) = first_failing(DELAY, |seed| world(seed, || order_violation(false))).unwrap();
    let shrunk = world(seed, || order_violation(false)).explore(DELAY).shrink(500).unwrap();
    let text = shrunk.to_string();
    assert!(text.starts_with("fails with ") && text.contains("  at step "), "{text}");
    let words = &shrunk.words()[0];
    let (user, maker) = words.split_once(" runs before ").unwrap();
    for (part, name) in [(user, "task `user` (spawned at "), (maker, "task `maker` (spawned at ")] {
        assert!(part.contains(name) && part.contains("sim_explore.rs:"), "{text}");
    }
    assert!(text.contains("it was not made yet"), "{text}");
}

#[test]
fn a_strategy_with_more_deviations_than_steps_needs_no_more_memory() {
    for explore in [Explore::Pct { depth: u32::MAX }, Explore::Delay { budget: u32::MAX }] {
        world(1, || yields(2)).explore(explore).run().expect_ok();
    }
}
