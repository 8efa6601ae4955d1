//! Models of whole runtimes: workers, queues, parking, timers, pool, shutdown together, in schedules that shuttle picks.
//!
//! They run the real code of the runtime, the worker loop and the life of a task included; only the monitor of rescue is
//! left out. Threads, locks, futexes and time are shuttle's. A worker that waits in the epoll polls it from time to time.
//! After a lost wake it polls forever, until the bound on steps fails the schedule. After a lost task the root waits
//! likewise.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use super::{Builder, Rescue, RngSeed, Runtime};
use crate::primitives::atomic::fixed::AtomicUsize;
use crate::primitives::checker::thread;
use crate::primitives::{explore, mistake, model};
use crate::sync::{Barrier, Notify, Semaphore, broadcast, mpsc, oneshot, watch};
use crate::task::{JoinHandle, JoinSet, block_in_place, spawn_blocking, yield_now};
use crate::time::{sleep, timeout};
use std::sync::atomic::Ordering;

#[path = "runtime_groups.rs"]
mod groups;

/// The seed of the runtime: its own choices are the same in each schedule.
fn prepare(builder: &mut Builder) -> Runtime {
    builder
        .rng_seed(RngSeed::from_bytes(b"models"))
        .global_queue_interval(5)
        .event_interval(5)
        .rescue(Rescue::off())
        .diagnose(false)
        .observe(false)
        .max_blocking_threads(2)
        .enable_time()
        .build()
        .expect("nothing is refused")
}

fn workers(count: usize) -> Runtime {
    prepare(Builder::new_multi_thread().worker_threads(count))
}

fn current_thread() -> Runtime {
    prepare(&mut Builder::new_current_thread())
}

/// Counts live values, and all that were made. Not modelled: the counts are read when the threads have ended.
#[derive(Clone, Default)]
struct Census(Arc<(AtomicUsize, AtomicUsize)>);

struct Life(Census);

impl Census {
    fn life(&self) -> Life {
        self.0.0.fetch_add(1, Ordering::Relaxed);
        self.0.1.fetch_add(1, Ordering::Relaxed);
        Life(self.clone())
    }

    #[track_caller]
    fn assert_all_ended(&self, count: usize) {
        assert_eq!(self.0.0.load(Ordering::Relaxed), 0, "every future is dropped");
        assert_eq!(self.0.1.load(Ordering::Relaxed), count);
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        assert!(self.0.0.0.fetch_sub(1, Ordering::Relaxed) > 0, "dropped once");
    }
}

async fn join(handle: JoinHandle<usize>) -> usize {
    handle.await.expect("the task does not panic")
}

#[test]
fn shuttle_tasks_that_spawn_tasks_are_all_run_and_joined() {
    for count in 1..4 {
        explore(move || {
            let runtime = workers(count);
            let sum = runtime.block_on(async {
                let parents = Vec::from_iter((0..3).map(|number| {
                    crate::spawn(async move {
                        let child = crate::spawn(async move {
                            yield_now().await;
                            number
                        });
                        yield_now().await;
                        join(child).await + 10
                    })
                }));
                let mut sum = 0;
                for parent in parents {
                    sum += join(parent).await;
                }
                sum
            });
            assert_eq!(sum, 33);
            assert_eq!(runtime.metrics().num_alive_tasks(), 0);
        });
    }
}

model!(shuttle_wakes_from_other_threads_reach_sleeping_workers, || {
    let runtime = workers(2);
    let (first, second) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let waiters = [&first, &second].map(|notify| {
        let notify = Arc::clone(notify);
        runtime.spawn(async move {
            notify.notified().await;
            1
        })
    });
    let outside = [first, second].map(|notify| thread::spawn(move || notify.notify_one()));
    let sum = runtime.block_on(async {
        let [first, second] = waiters;
        join(first).await + join(second).await
    });
    assert_eq!(sum, 2);
    for thread in outside {
        thread.join().expect("it does not panic");
    }
});

model!(shuttle_tasks_from_outside_run_beside_those_of_a_worker, || {
    let runtime = workers(2);
    let outside = (0..2).map(|_| {
        let handle = runtime.handle().clone();
        thread::spawn(move || (0..2).map(|_| handle.spawn(async { 1 })).collect::<Vec<_>>())
    });
    let outside = Vec::from_iter(outside);
    let inside = runtime.block_on(async {
        let tasks = Vec::from_iter((0..6).map(|_| crate::spawn(async { 1 })));
        let mut sum = 0;
        for task in tasks {
            sum += join(task).await;
        }
        sum
    });
    assert_eq!(inside, 6);
    for thread in outside {
        for task in thread.join().expect("it does not panic") {
            assert_eq!(runtime.block_on(join(task)), 1);
        }
    }
});

model!(shuttle_a_storm_of_aborts_and_wakes_ends_each_task_once, || {
    let census = Census::default();
    let runtime = workers(2);
    let notify = Arc::new(Notify::new());
    let tasks = Vec::from_iter((0..4).map(|_| {
        let (life, notify) = (census.life(), Arc::clone(&notify));
        runtime.spawn(async move {
            let _life = life;
            notify.notified().await;
            yield_now().await;
            1
        })
    }));
    let aborter = {
        let handles = Vec::from_iter(tasks.iter().map(JoinHandle::abort_handle));
        thread::spawn(move || handles.iter().for_each(crate::task::AbortHandle::abort))
    };
    let waker = thread::spawn(move || notify.notify_waiters());
    for task in tasks {
        match runtime.block_on(task) {
            Ok(1) => {}
            Ok(_) => panic!("another output"),
            Err(error) => assert!(error.is_cancelled()),
        }
    }
    aborter.join().expect("it does not panic");
    waker.join().expect("it does not panic");
    drop(runtime);
    census.assert_all_ended(4);
});

/// While the runtime ends, some tasks are being submitted from outside, some wait, and some run.
fn shut_down(runtime: fn() -> Runtime) {
    let census = Census::default();
    let runtime = runtime();
    let waiting = census.life();
    let mut handles = vec![runtime.spawn(async move {
        let _life = waiting;
        pending::<()>().await;
    })];
    let outside = (0..2).map(|_| {
        let (handle, census) = (runtime.handle().clone(), census.clone());
        thread::spawn(move || {
            let life = census.life();
            handle.spawn(async move {
                yield_now().await;
                let child = life.0.life();
                drop(crate::spawn(async move {
                    let _child = child;
                    yield_now().await;
                }));
                drop(life);
            })
        })
    });
    let outside = Vec::from_iter(outside);
    drop(runtime);
    handles.extend(outside.into_iter().map(|thread| thread.join().expect("it does not panic")));
    for handle in handles {
        // It returns, with an output or an error.
        let _ = crate::primitives::checker::future::block_on(handle);
    }
    assert_eq!(census.0.0.load(Ordering::Relaxed), 0, "every future is dropped");
}

model!(shuttle_a_shutdown_drops_every_future_and_answers_every_handle, || shut_down(|| workers(2)));

model!(shuttle_a_shutdown_of_a_current_thread_runtime_drops_every_future, || shut_down(current_thread));

/// Threads that no runtime keeps wake a task by value, abort one, and send to one, each as the last thing that it does. The
/// runtime ends as soon as the tasks have, without waiting for the threads.
fn end_behind_threads_outside(runtime: fn() -> Runtime) {
    let census = Census::default();
    let runtime = runtime();
    let shared = Arc::downgrade(&runtime.handle().shared);
    let (sender, received) = oneshot::channel();
    let notify = Arc::new(Notify::new());
    let (notified, life) = (Arc::clone(&notify), census.life());
    let woken = runtime.spawn(async move {
        let _life = life;
        notified.notified().await;
    });
    let life = census.life();
    let sent_to = runtime.spawn(async move {
        let _life = life;
        assert_eq!(received.await, Ok(1));
    });
    let life = census.life();
    let aborted = runtime.spawn(async move {
        let _life = life;
        pending::<()>().await;
    });
    let abort = aborted.abort_handle();
    let outside = [
        thread::spawn(move || notify.notify_one()),
        thread::spawn(move || sender.send(1).expect("it is received")),
        thread::spawn(move || abort.abort()),
    ];
    runtime.block_on(async {
        woken.await.expect("it is not aborted");
        sent_to.await.expect("it is not aborted");
        assert!(aborted.await.expect_err("it never ends by itself").is_cancelled());
    });
    drop(runtime);
    for thread in outside {
        thread.join().expect("it does not panic");
    }
    census.assert_all_ended(3);
    assert_eq!(shared.strong_count(), 0, "the threads have let go of the runtime");
}

model!(shuttle_a_runtime_ends_behind_threads_that_wake_its_tasks, || end_behind_threads_outside(|| workers(2)));

model!(shuttle_a_current_thread_runtime_ends_behind_threads_that_wake_its_tasks, || end_behind_threads_outside(
    current_thread
));

/// An attach request describes the runtime while it ends: the handle of the thread that replies may be the last one.
fn end_while_it_is_described(runtime: fn() -> Runtime) {
    let census = Census::default();
    let runtime = runtime();
    let shared = Arc::downgrade(&runtime.handle().shared);
    for kind in 0..3 {
        let life = census.life();
        runtime.spawn(async move {
            let _life = life;
            match kind {
                0 => sleep(Duration::from_secs(3600)).await,
                1 => drop(crate::spawn(pending::<()>()).await),
                _ => yield_now().await,
            }
        });
    }
    let handle = runtime.handle().clone();
    let reader = thread::spawn(move || {
        for _ in 0..2 {
            let dump = handle.snapshot();
            assert!(dump.tasks().iter().count() <= 4, "{dump}");
            assert!(handle.metrics().open_metrics().ends_with("# EOF\n"));
        }
    });
    runtime.block_on(yield_now());
    drop(runtime);
    reader.join().expect("it does not panic");
    census.assert_all_ended(3);
    assert_eq!(shared.strong_count(), 0, "the reader has let go of the runtime");
}

model!(shuttle_a_runtime_ends_while_it_is_described, || end_while_it_is_described(|| workers(2)));

model!(shuttle_a_current_thread_runtime_ends_while_it_is_described, || end_while_it_is_described(current_thread));

fn channels_and_permits() {
    let runtime = workers(2);
    let sum = runtime.block_on(async {
        let (sender, mut receiver) = mpsc::channel(1);
        let permits = Arc::new(Semaphore::new(1));
        for number in 1..4_usize {
            let (sender, permits) = (sender.clone(), Arc::clone(&permits));
            drop(crate::spawn(async move {
                for _ in 0..2 {
                    let _permit = permits.acquire().await.expect("it stays open");
                    sender.send(number).await.expect("it is received");
                }
            }));
        }
        drop(sender);
        let mut sum = 0;
        while let Some(number) = receiver.recv().await {
            sum += number;
        }
        sum
    });
    assert_eq!(sum, 12);
}

model!(shuttle_channels_and_permits_between_four_tasks, channels_and_permits);

// Seeded mistakes: a lost wake or task leaves a thread polling or waiting forever.

mistake!(
    shuttle_notices_a_release_that_does_not_look_again,
    "exceeded max_steps",
    patch "a release that does not look again",
    channels_and_permits
);

mistake!(
    shuttle_notices_a_system_that_loses_wakes,
    "exceeded max_steps",
    "a system that loses wakes",
    channels_and_permits
);

model!(shuttle_watch_broadcast_barrier_and_oneshot_between_tasks, || {
    let runtime = workers(2);
    runtime.block_on(async {
        let (watch_sender, watched) = watch::channel(0);
        let (broadcast_sender, _) = broadcast::channel(2);
        let barrier = Arc::new(Barrier::new(3));
        let mut set = JoinSet::new();
        for _ in 0..2 {
            let (mut watched, mut received) = (watched.clone(), broadcast_sender.subscribe());
            let barrier = Arc::clone(&barrier);
            set.spawn(async move {
                barrier.wait().await;
                watched.wait_for(|value| *value == 2).await.expect("the sender is there");
                assert_eq!(received.recv().await, Ok(7), "no more than it holds was sent");
            });
        }
        barrier.wait().await;
        let (answer, asked) = oneshot::channel();
        set.spawn(async move {
            watch_sender.send_replace(1);
            broadcast_sender.send(7).expect("two receive");
            watch_sender.send_replace(2);
            answer.send(()).expect("it is awaited");
        });
        asked.await.expect("it is answered");
        while let Some(result) = set.join_next().await {
            result.expect("no task panics");
        }
    });
});

model!(shuttle_blocking_calls_and_a_worker_that_blocks_in_place, || {
    let census = Census::default();
    let runtime = workers(1);
    let sum = runtime.block_on(async {
        let other = crate::spawn(async {
            yield_now().await;
            1
        });
        let in_place = crate::spawn(async { block_in_place(|| 2) });
        let life = census.life();
        let pooled = spawn_blocking(move || {
            let _life = life;
            4
        });
        join(other).await + join(in_place).await + join(pooled).await
    });
    assert_eq!(sum, 7);
    let life = census.life();
    let late = runtime.spawn_blocking(move || drop(life));
    drop(runtime);
    census.assert_all_ended(2);
    let _ = crate::primitives::checker::future::block_on(late);
});

// A task blocks its worker until another task has run. The spare worker runs that one.
model!(shuttle_a_spare_runs_what_the_blocked_worker_waits_for, || {
    let runtime = workers(1);
    let received = runtime.block_on(async {
        let waiter = crate::spawn(async {
            let (sender, receiver) = oneshot::channel();
            drop(crate::spawn(async move { sender.send(1).expect("it is received") }));
            block_in_place(|| receiver.blocking_recv().expect("it is sent"))
        });
        join(waiter).await
    });
    assert_eq!(received, 1);
    drop(runtime);
});

model!(shuttle_timers_of_several_workers_all_fire, || {
    let runtime = workers(2);
    runtime.block_on(async {
        let tasks = Vec::from_iter((1..4).map(|ms| {
            crate::spawn(async move {
                sleep(Duration::from_millis(ms)).await;
                let late = timeout(Duration::from_millis(1), pending::<()>()).await;
                assert!(late.is_err(), "its time is up");
                1
            })
        }));
        let early = timeout(Duration::from_secs(100), yield_now()).await;
        assert!(early.is_ok(), "no thread sleeps that long");
        for task in tasks {
            join(task).await;
        }
    });
});

model!(shuttle_two_roots_of_a_current_thread_runtime_and_wakes_from_outside, || {
    let runtime = Arc::new(current_thread());
    let notify = Arc::new(Notify::new());
    let roots = Vec::from_iter((0..2).map(|_| {
        let (runtime, notify) = (Arc::clone(&runtime), Arc::clone(&notify));
        thread::spawn(move || {
            runtime.block_on(async {
                let task = crate::spawn(async { 1 });
                notify.notified().await;
                notify.notify_one();
                join(task).await
            })
        })
    }));
    let outside = {
        let notify = Arc::clone(&notify);
        thread::spawn(move || notify.notify_waiters())
    };
    outside.join().expect("it does not panic");
    // For roots that begin later: each root that ends leaves a permit to the next.
    notify.notify_one();
    for root in roots {
        assert_eq!(root.join().expect("it does not panic"), 1);
    }
});

#[cfg(feature = "net")]
#[test]
fn shuttle_a_socket_pair_plays_ping_pong_between_workers() {
    use crate::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use crate::net::UnixStream;

    explore(|| {
        let runtime = prepare(Builder::new_multi_thread().worker_threads(2).enable_io());
        runtime.block_on(async {
            let (mut left, mut right) = UnixStream::pair().expect("there are descriptors");
            let echo = crate::spawn(async move {
                for _ in 0..3 {
                    let byte = right.read_u8().await.expect("it is written");
                    right.write_u8(byte + 1).await.expect("it is read");
                }
                1
            });
            for number in 0..3 {
                left.write_u8(number).await.expect("it is read");
                assert_eq!(left.read_u8().await.expect("it is answered"), number + 1);
            }
            join(echo).await;
        });
    });
}
