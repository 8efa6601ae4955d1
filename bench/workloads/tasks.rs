//! Spawning, joining, yielding, blocking.

use super::{Measure, Row, Runtime, current, in_block_on, measure, on_worker, workers};
#[cfg(not(feature = "smol"))]
use rt::task::JoinSet;
use rt::task::{spawn_blocking, yield_now};

pub const ROWS: &[Row] = &[
    ("spawn_await", 300_000, |n| on_worker(&workers(1), n, spawn_await)),
    ("spawn_await_2_workers", 300_000, |n| on_worker(&workers(2), n, spawn_await)),
    ("spawn_await_current", 300_000, |n| in_block_on(&current(), n, spawn_await)),
    ("spawn_1000_join", 300_000, |n| on_worker(&workers(1), n, spawn_batches)),
    ("spawn_1000_join_2_workers", 200_000, |n| on_worker(&workers(2), n, spawn_batches)),
    ("spawn_1000_join_current", 300_000, |n| in_block_on(&current(), n, spawn_batches)),
    ("spawn_1000_join_outside", 200_000, |n| in_block_on(&workers(2), n, spawn_batches)),
    ("fan_out_fan_in", 100_000, |n| on_worker(&workers(2), n, fan_out_fan_in)),
    ("spawn_detached", 300_000, |n| on_worker(&workers(1), n, spawn_detached)),
    #[cfg(not(feature = "smol"))]
    ("spawn_chained", 300_000, |n| on_worker(&workers(1), n, spawn_chained)),
    #[cfg(not(feature = "smol"))]
    ("join_set_1000", 200_000, |n| on_worker(&workers(1), n, join_set)),
    ("yield_1", 500_000, |n| on_worker(&workers(1), n, yield_one)),
    ("yield_200", 1_000_000, |n| on_worker(&workers(1), n, yield_200)),
    ("yield_1000", 1_000_000, |n| on_worker(&workers(1), n, yield_many)),
    ("yield_1_current", 500_000, |n| in_block_on(&current(), n, yield_task)),
    ("spawn_blocking_sequence", 10_000, |n| on_worker(&workers(2), n, blocking_sequence)),
    ("spawn_blocking_64", 20_000, |n| on_worker(&workers(2), n, blocking_64)),
    ("spawn_blocking_many_tasks", 20_000, |n| on_worker(&workers(2), n, blocking_many_tasks)),
    #[cfg(not(feature = "smol"))]
    ("block_in_place", 20_000, |n| on_worker(&workers(2), n, in_place)),
    #[cfg(not(feature = "smol"))]
    ("startup_multi", 300, startup_multi),
    #[cfg(not(feature = "smol"))]
    ("startup_current", 2_000, startup_current),
    ("block_on_empty", 1_000_000, |n| block_on_empty(n, current)),
    ("block_on_empty_multi", 1_000_000, |n| block_on_empty(n, || workers(2))),
];

async fn spawn_await(n: u64) {
    for _ in 0..n {
        rt::spawn(async {}).await.expect("does not panic");
    }
}

async fn spawn_batches(n: u64) {
    let mut handles = Vec::with_capacity(1000);
    for _ in 0..n / 1000 {
        handles.extend((0..1000).map(|_| rt::spawn(async {})));
        for handle in handles.drain(..) {
            handle.await.expect("does not panic");
        }
    }
}

/// One task distributes 100 parts, a task of its own processes each part, and one channel collects the results.
async fn fan_out_fan_in(n: u64) {
    for _ in 0..n / 100 {
        let (sender, mut receiver) = rt::sync::mpsc::channel(100);
        for part in 0..100_u64 {
            let sender = sender.clone();
            rt::spawn(async move {
                let result = (0..50).fold(part, |sum, step| std::hint::black_box(sum * 31 + step));
                sender.send(result).await.expect("the collector lives");
            });
        }
        drop(sender);
        while receiver.recv().await.is_some() {}
    }
}

async fn spawn_detached(n: u64) {
    for _ in 0..n / 100 {
        for _ in 0..100 {
            drop(rt::spawn(async {}));
        }
        yield_now().await;
    }
}

#[cfg(not(feature = "smol"))]
async fn spawn_chained(n: u64) {
    fn chain(left: u64, done: rt::sync::oneshot::Sender<()>) {
        rt::spawn(async move {
            if left == 0 {
                done.send(()).expect("the other side waits");
            } else {
                chain(left - 1, done);
            }
        });
    }
    let (sender, receiver) = rt::sync::oneshot::channel();
    chain(n, sender);
    receiver.await.expect("the chain ends");
}

#[cfg(not(feature = "smol"))]
async fn join_set(n: u64) {
    for _ in 0..n / 1000 {
        let mut set = JoinSet::new();
        for _ in 0..1000 {
            set.spawn(async {});
        }
        while let Some(joined) = set.join_next().await {
            joined.expect("does not panic");
        }
    }
}

async fn yield_one(n: u64) {
    for _ in 0..n {
        yield_now().await;
    }
}

async fn yield_task(n: u64) {
    rt::spawn(yield_one(n)).await.expect("does not panic");
}

async fn yield_200(n: u64) {
    yield_in_tasks(200, n).await;
}

async fn yield_many(n: u64) {
    yield_in_tasks(1000, n).await;
}

pub async fn yield_in_tasks(tasks: u64, n: u64) {
    let tasks: Vec<_> = (0..tasks).map(|_| rt::spawn(yield_one(n / tasks))).collect();
    for task in tasks {
        task.await.expect("does not panic");
    }
}

async fn blocking_sequence(n: u64) {
    for _ in 0..n {
        spawn_blocking(|| ()).await.expect("does not panic");
    }
}

async fn blocking_64(n: u64) {
    let mut handles = Vec::with_capacity(64);
    for _ in 0..n / 64 {
        handles.extend((0..64).map(|_| spawn_blocking(|| ())));
        for handle in handles.drain(..) {
            handle.await.expect("does not panic");
        }
    }
}

async fn blocking_many_tasks(n: u64) {
    let tasks: Vec<_> = (0..64).map(|_| rt::spawn(blocking_sequence(n / 64))).collect();
    for task in tasks {
        task.await.expect("does not panic");
    }
}

#[cfg(not(feature = "smol"))]
async fn in_place(n: u64) {
    for _ in 0..n {
        rt::spawn(async { rt::task::block_in_place(|| ()) }).await.expect("does not panic");
    }
}

#[cfg(not(feature = "smol"))]
fn startup_multi(n: u64) -> Measure {
    in_block_on(&current(), n, |n| async move {
        std::thread::spawn(move || (0..n).for_each(|_| drop(workers(2)))).join().expect("does not panic");
    })
}

#[cfg(not(feature = "smol"))]
fn startup_current(n: u64) -> Measure {
    in_block_on(&current(), n, |n| async move {
        std::thread::spawn(move || (0..n).for_each(|_| drop(current()))).join().expect("does not panic");
    })
}

/// Called from a thread outside of every runtime.
fn block_on_empty(n: u64, runtime: fn() -> Runtime) -> Measure {
    current().block_on(async move {
        let many = async |n| {
            let thread = std::thread::spawn(move || {
                let runtime = runtime();
                (0..n).for_each(|_| runtime.block_on(async {}));
            });
            thread.join().expect("does not panic");
        };
        many(n / 10 + 1).await;
        measure(n, many(n)).await
    })
}
