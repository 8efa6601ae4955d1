//! Tasks on every flavor of runtime: spawn, join, abort, panic, detach, shutdown.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "../src/sys/emulation.rs"]
mod emulation;

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use redd::runtime::{Builder, Runtime};
use redd::task;

fn flavors() -> Vec<(&'static str, Runtime)> {
    let multi = |workers| Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap();
    vec![
        ("current_thread", Builder::new_current_thread().enable_all().build().unwrap()),
        ("one worker", multi(1)),
        ("two workers", multi(2)),
        ("eight workers", multi(8)),
    ]
}

fn on_each_flavor(test: impl Fn(&Runtime)) {
    for (name, runtime) in flavors() {
        eprintln!("on {name}");
        test(&runtime);
    }
}

/// A simulated world has to cancel them in one order, whatever the addresses of their allocations are.
#[test]
fn large_tasks_are_cancelled_in_the_order_of_their_spawns() {
    struct OnDrop(Arc<std::sync::Mutex<Vec<usize>>>, usize);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(self.1);
        }
    }
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let runtime = Builder::new_current_thread().build().unwrap();
    let spawn = |number| {
        let guard = OnDrop(order.clone(), number);
        // The output makes the task large. A large future would be boxed.
        runtime.spawn(async move {
            pending::<()>().await;
            drop(guard);
            [0_u8; 4096]
        })
    };
    let mut first = Vec::from_iter((0..40).map(spawn));
    // The allocations of every second one are free for the next ones.
    (1..40).rev().step_by(2).for_each(|index| first.remove(index).abort());
    runtime.block_on(task::yield_now());
    (40..80).for_each(|number| drop(spawn(number)));
    order.lock().unwrap().clear();
    drop((runtime, first));
    let order = order.lock().unwrap().clone();
    assert_eq!(order.len(), 60);
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn a_spawned_task_returns_its_output() {
    on_each_flavor(|runtime| {
        let sum = runtime.block_on(async {
            let tasks: Vec<_> = (0..1000_u64).map(|n| redd::spawn(async move { n })).collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 499_500);
    });
}

#[test]
fn a_task_spawned_from_a_task_from_outside_and_by_a_handle_runs() {
    on_each_flavor(|runtime| {
        let handle = runtime.handle().clone();
        let outer = runtime.spawn(async move {
            let inner = redd::spawn(async { 1 });
            let other = handle.spawn(async { 2 });
            inner.await.unwrap() + other.await.unwrap()
        });
        assert_eq!(runtime.block_on(outer).unwrap(), 3);
    });
}

#[test]
fn a_panic_ends_only_its_task_and_is_returned_by_the_handle() {
    on_each_flavor(|runtime| {
        runtime.block_on(async {
            let error = redd::spawn(async { panic!("on purpose") }).await.unwrap_err();
            assert!(error.is_panic() && !error.is_cancelled());
            assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), "on purpose");
            assert_eq!(redd::spawn(async { 1 }).await.unwrap(), 1, "the worker still works");
        });
    });
}

#[test]
fn an_aborted_task_is_dropped_at_its_await_point() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    on_each_flavor(|runtime| {
        let count = Arc::new(AtomicUsize::new(0));
        runtime.block_on(async {
            let dropped = Dropped(count.clone());
            let task = redd::spawn(async move {
                let _dropped = dropped;
                pending::<()>().await;
            });
            task::yield_now().await;
            task.abort();
            let error = task.await.unwrap_err();
            assert!(error.is_cancelled());
            assert_eq!(count.load(Ordering::Relaxed), 1);
        });
    });
}

#[test]
fn shutdown_drops_every_future_once() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    for (name, runtime) in flavors() {
        eprintln!("on {name}");
        let count = Arc::new(AtomicUsize::new(0));
        runtime.block_on(async {
            for number in 0..500 {
                let dropped = Dropped(count.clone());
                redd::spawn(async move {
                    let _dropped = dropped;
                    if number % 2 == 0 {
                        task::yield_now().await;
                    }
                    pending::<()>().await;
                });
            }
        });
        drop(runtime);
        assert_eq!(count.load(Ordering::Relaxed), 500);
    }
}

#[test]
fn a_handle_outlives_its_runtime() {
    for (name, runtime) in flavors() {
        eprintln!("on {name}");
        let task = runtime.spawn(pending::<()>());
        let handle = runtime.handle().clone();
        drop(runtime);
        let late = handle.spawn(async { 1 });
        futures::executor::block_on(async {
            assert!(task.await.unwrap_err().is_cancelled());
            assert!(late.await.unwrap_err().is_cancelled());
        });
    }
}

#[test]
fn a_root_that_its_tasks_keep_waking_does_not_delay_timers() {
    on_each_flavor(|runtime| {
        runtime.block_on(async {
            let timer = redd::spawn(redd::time::sleep(Duration::from_millis(3)));
            let begun = redd::time::Instant::now();
            while !timer.is_finished() {
                redd::spawn(async {}).await.unwrap();
                assert!(begun.elapsed() < Duration::from_secs(20), "the timer never fires");
            }
        });
    });
}

#[test]
fn timers_fire_but_never_early() {
    on_each_flavor(|runtime| {
        runtime.block_on(async {
            let sleeps: Vec<_> = [20, 5, 1]
                .map(|ms| {
                    redd::spawn(async move {
                        let start = redd::time::Instant::now();
                        redd::time::sleep(Duration::from_millis(ms)).await;
                        assert!(start.elapsed() >= Duration::from_millis(ms));
                    })
                })
                .into();
            for sleep in sleeps {
                sleep.await.unwrap();
            }
            redd::time::sleep(Duration::from_millis(2)).await;
        });
    });
}

#[test]
fn blocking_closures_run_beside_tasks() {
    on_each_flavor(|runtime| {
        let sum = runtime.block_on(async {
            let tasks: Vec<_> = (0..64).map(|n| task::spawn_blocking(move || n)).collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 2016);
    });
}

#[test]
fn block_in_place_lets_the_other_tasks_run() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    runtime.block_on(async {
        let waiting = redd::spawn(async move { task::block_in_place(|| receiver.recv().unwrap()) });
        let sending = redd::spawn(async move {
            redd::time::sleep(Duration::from_millis(1)).await;
            sender.send(5).unwrap();
        });
        assert_eq!(waiting.await.unwrap(), 5);
        sending.await.unwrap();
    });
}

#[test]
fn a_million_tasks_are_spawned_woken_and_joined() {
    on_each_flavor(|runtime| {
        let each = emulation::rounds(250_000);
        runtime.block_on(async {
            let mut set = task::JoinSet::new();
            for _ in 0..each {
                set.spawn(task::yield_now());
            }
            let mut count = 0;
            while let Some(joined) = set.join_next().await {
                joined.unwrap();
                count += 1;
            }
            assert_eq!(count, each);
        });
        assert_eq!(runtime.metrics().num_alive_tasks(), 0);
    });
}

#[test]
fn a_worker_that_blocks_again_while_its_spare_retires_gets_a_spare_again() {
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let blocks = runtime.spawn(async {
        for round in 0..emulation::rounds(2000) {
            // Enough work to keep the spare awake, so that it finds the worker back and retires.
            for _ in 0..4 {
                redd::spawn(async {});
            }
            task::yield_now().await;
            let inner = redd::spawn(async move { round });
            let got = task::block_in_place(|| futures::executor::block_on(inner));
            assert_eq!(got.unwrap(), round);
        }
    });
    runtime.block_on(blocks).unwrap();
}

#[test]
fn a_panic_in_any_hook_is_printed_and_the_runtime_still_works() {
    type Prepare = fn(&mut Builder) -> &mut Builder;
    let hooks: [(&str, Prepare); 9] = [
        ("start", |builder| builder.on_thread_start(|| panic!("in a hook, on purpose"))),
        ("stop", |builder| builder.on_thread_stop(|| panic!("in a hook, on purpose"))),
        ("park", |builder| builder.on_thread_park(|| panic!("in a hook, on purpose"))),
        ("unpark", |builder| builder.on_thread_unpark(|| panic!("in a hook, on purpose"))),
        ("name", |builder| builder.thread_name_fn(|| panic!("in a hook, on purpose"))),
        ("spawn", |builder| builder.on_task_spawn(|_| panic!("in a hook, on purpose"))),
        ("terminate", |builder| builder.on_task_terminate(|_| panic!("in a hook, on purpose"))),
        ("before", |builder| builder.on_before_task_poll(|_| panic!("in a hook, on purpose"))),
        ("after", |builder| builder.on_after_task_poll(|_| panic!("in a hook, on purpose"))),
    ];
    for (name, prepare) in hooks {
        for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            eprintln!("the hook is {name}");
            let runtime = prepare(builder.worker_threads(2).enable_all()).build().unwrap();
            runtime.block_on(async {
                let sleeps = redd::spawn(async {
                    redd::time::sleep(Duration::from_millis(1)).await;
                    1
                });
                let blocks = task::spawn_blocking(|| 2);
                assert_eq!(sleeps.await.unwrap() + blocks.await.unwrap(), 3);
                assert_eq!(task::spawn_blocking(|| 4).await.unwrap(), 4);
                let waits = redd::spawn(pending::<()>());
                waits.abort();
                assert!(waits.await.unwrap_err().is_cancelled());
            });
            assert_eq!(runtime.metrics().num_alive_tasks(), 0);
            // The drop waits for all threads, so none has ended uncounted.
            drop(runtime);
        }
    }
}

#[test]
fn a_panic_that_shuts_the_runtime_down_reaches_each_root_and_the_tasks_are_dropped() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let mut builder = Builder::new_current_thread();
    let runtime = builder.unhandled_panic(redd::runtime::UnhandledPanic::ShutdownRuntime).build().unwrap();
    let (count, roots) = (Arc::new(AtomicUsize::new(0)), std::sync::Barrier::new(2));
    let dropped = Dropped(Arc::clone(&count));
    std::thread::scope(|scope| {
        // This root does not have the core: the other root has it until it panics.
        let other = scope.spawn(|| {
            roots.wait();
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(pending::<()>())))
        });
        let first = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async {
                redd::spawn(async move {
                    let _dropped = dropped;
                    pending::<()>().await;
                });
                roots.wait();
                redd::spawn(async { panic!("on purpose") });
                pending::<()>().await;
            });
        }));
        assert!(first.is_err() && other.join().unwrap().is_err(), "each root gets the panic");
    });
    drop(runtime);
    assert_eq!(count.load(Ordering::Relaxed), 1, "the waiting task is dropped with its runtime");
}

#[test]
fn consuming_budget_costs_a_unit_also_after_it_has_yielded() {
    on_each_flavor(|runtime| {
        // A poll has 128 units, so calls 129 and 257 find none left.
        let polls_of = |calls| {
            let polls = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&polls);
            let task = runtime.spawn(async move {
                let mut consuming = pin!(async {
                    for _ in 0..calls {
                        task::consume_budget().await;
                    }
                });
                poll_fn(|cx| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    consuming.as_mut().poll(cx)
                })
                .await;
            });
            runtime.block_on(task).unwrap();
            polls.load(Ordering::Relaxed)
        };
        assert_eq!([128, 129, 256, 257].map(polls_of), [1, 2, 2, 3]);
    });
}

#[test]
fn a_poll_has_128_units_and_a_unit_that_made_no_progress_comes_back() {
    use redd::task::coop::{has_budget_remaining, poll_proceed, unconstrained};
    on_each_flavor(|runtime| {
        let poll = runtime.spawn(poll_fn(|cx| {
            for _ in 0..1000 {
                drop(poll_proceed(cx));
            }
            let mut spent = 0;
            while let Poll::Ready(unit) = poll_proceed(cx) {
                unit.made_progress();
                spent += 1;
            }
            assert_eq!(spent, 128);
            assert!(!has_budget_remaining());
            let unlimited = pin!(unconstrained(async { assert!(has_budget_remaining()) }));
            assert!(unlimited.poll(cx).is_ready());
            assert!(!has_budget_remaining());
            Poll::Ready(())
        }));
        runtime.block_on(poll).unwrap();
        assert!(has_budget_remaining());
    });
}

#[cfg(feature = "tracing")]
mod spans {
    use tracing::span::{Attributes, Id, Record};
    use tracing::subscriber::Interest;
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// Records of spans, by their names, and the first field of events.
    #[derive(Debug, Default, Clone)]
    struct Log(Arc<std::sync::Mutex<Vec<&'static str>>>);

    impl Log {
        fn of(program: impl FnOnce()) -> Vec<&'static str> {
            let log = Self::default();
            tracing::subscriber::with_default(log.clone(), program);
            let said = log.0.lock().unwrap();
            said.clone()
        }
    }

    impl Subscriber for Log {
        fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
            Interest::sometimes()
        }

        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            ["tokio::task", "tokio::sync", "runtime::resource"].iter().any(|room| metadata.target().starts_with(room))
        }

        fn new_span(&self, span: &Attributes<'_>) -> Id {
            self.0.lock().unwrap().push(span.metadata().name());
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let field = event.metadata().fields().iter().next().expect("a field");
            self.0.lock().unwrap().push(field.name());
        }

        fn enter(&self, _: &Id) {
            self.0.lock().unwrap().push("enter");
        }

        fn exit(&self, _: &Id) {
            self.0.lock().unwrap().push("exit");
        }

        fn try_close(&self, _: Id) -> bool {
            self.0.lock().unwrap().push("close");
            true
        }
    }

    #[test]
    fn a_span_is_made_entered_at_each_poll_and_closed_at_the_end() {
        let said = Log::of(|| {
            let runtime = Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let task = redd::spawn(async {
                    redd::task::yield_now().await;
                    let waker = std::future::poll_fn(|cx| std::task::Poll::Ready(cx.waker().clone())).await;
                    waker.wake();
                });
                task.await.expect("no panic");
            });
        });
        let expected = ["runtime.spawn", "enter", "exit", "enter", "op", "op", "exit", "enter", "exit", "close"];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_lock_is_a_resource_that_records_its_states_and_operations() {
        let mut said = Log::of(|| {
            let runtime = Builder::new_current_thread().build().unwrap();
            let lock = redd::sync::Mutex::new(());
            drop(runtime.block_on(lock.lock()));
        });
        let enters = said.iter().filter(|word| **word == "enter").count();
        assert_eq!(enters, said.iter().filter(|word| **word == "exit").count());
        said.retain(|word| !["enter", "exit", "close"].contains(word));
        let made = ["runtime.resource", "locked", "runtime.resource", "permits"];
        let locked = ["runtime.resource.async_op", "runtime.resource.async_op.poll", "permits", "locked", "op_name"];
        let let_go = ["permits", "locked"];
        assert_eq!(said, [&made[..], &locked[..], &let_go[..]].concat());
    }

    /// The number of events whose first field is `field`.
    fn count(field: &str, program: impl FnOnce()) -> usize {
        Log::of(program).iter().filter(|word| **word == field).count()
    }

    #[test]
    fn a_permit_that_is_returned_is_recorded() {
        let permits = count("permits", || {
            let semaphore = Arc::new(redd::sync::Semaphore::new(1));
            drop(semaphore.try_acquire().expect("it is free"));
            drop(semaphore.try_acquire_owned().expect("it was returned"));
        });
        assert_eq!(permits, 5, "at the start, and twice when the permit is taken and when it is returned");
    }

    #[test]
    fn a_downgraded_guard_is_one_reader() {
        for (max_readers, write_locked) in [(1, 1), (2, 3)] {
            let downgrade = || {
                let lock = redd::sync::RwLock::with_max_readers((), max_readers);
                let guard = lock.try_write().expect("it is free");
                drop(guard.downgrade());
            };
            assert_eq!(count("current_readers", downgrade), 3, "at the start, one that comes, and one that goes");
            assert_eq!(count("write_locked", downgrade), write_locked, "a lock with one permit has readers only");
        }
    }

    #[test]
    fn a_lock_made_in_a_const_is_not_a_resource() {
        static LOCK: redd::sync::Mutex<()> = redd::sync::Mutex::const_new(());
        let said = Log::of(|| {
            let runtime = Builder::new_current_thread().build().unwrap();
            drop(runtime.block_on(LOCK.lock()));
        });
        assert!(!said.contains(&"runtime.resource"), "{said:?}");
    }

    #[test]
    fn a_task_that_is_aborted_or_dropped_at_shutdown_leaves_no_span() {
        let said = Log::of(|| {
            let runtime = Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let task = redd::spawn(std::future::pending::<()>());
                redd::task::yield_now().await;
                task.abort();
                task.await.expect_err("it is aborted");
                redd::spawn(std::future::pending::<()>());
                redd::task::yield_now().await;
            });
        });
        let count = |what| said.iter().filter(|word| **word == what).count();
        assert_eq!((count("runtime.spawn"), count("close")), (2, 2), "{said:?}");
    }
}
