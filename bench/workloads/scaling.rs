//! The same work with more tasks, and with more workers. More workers than processors cause contention on purpose.

use super::{Row, on_worker, tasks, workers};
use rt::sync::mpsc;

pub const ROWS: &[Row] = &[
    ("scaling_tasks_100", 1_000_000, |n| on_worker(&workers(2), n, |n| tasks::yield_in_tasks(100, n))),
    ("scaling_tasks_1000", 1_000_000, |n| on_worker(&workers(2), n, |n| tasks::yield_in_tasks(1_000, n))),
    ("scaling_tasks_10000", 1_000_000, |n| on_worker(&workers(2), n, |n| tasks::yield_in_tasks(10_000, n))),
    ("scaling_tasks_100000", 1_000_000, |n| on_worker(&workers(2), n, |n| tasks::yield_in_tasks(100_000, n))),
    ("scaling_tasks_1000000", 1_000_000, |n| on_worker(&workers(2), n, |n| tasks::yield_in_tasks(1_000_000, n))),
    ("scaling_spawn_1_workers", 200_000, |n| on_worker(&workers(1), n, spawn)),
    ("scaling_spawn_2_workers", 200_000, |n| on_worker(&workers(2), n, spawn)),
    ("scaling_spawn_4_workers", 200_000, |n| on_worker(&workers(4), n, spawn)),
    ("scaling_spawn_8_workers", 200_000, |n| on_worker(&workers(8), n, spawn)),
    ("scaling_messages_1_workers", 200_000, |n| on_worker(&workers(1), n, messages)),
    ("scaling_messages_2_workers", 200_000, |n| on_worker(&workers(2), n, messages)),
    ("scaling_messages_4_workers", 200_000, |n| on_worker(&workers(4), n, messages)),
    ("scaling_messages_8_workers", 200_000, |n| on_worker(&workers(8), n, messages)),
];

/// 64 tasks; each spawns one and awaits it, again and again.
async fn spawn(n: u64) {
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            rt::spawn(async move {
                for _ in 0..n / 64 {
                    rt::spawn(async {}).await.expect("does not panic");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("does not panic");
    }
}

/// 32 pairs of tasks, each pair passing a message back and forth.
async fn messages(n: u64) {
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let (to, mut at_other) = mpsc::channel::<()>(1);
            let (back, mut at_me) = mpsc::channel::<()>(1);
            drop(rt::spawn(async move {
                while at_other.recv().await.is_some() {
                    if back.send(()).await.is_err() {
                        return;
                    }
                }
            }));
            rt::spawn(async move {
                for _ in 0..n / 32 {
                    to.send(()).await.expect("the other side lives");
                    at_me.recv().await.expect("the other side lives");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("does not panic");
    }
}
