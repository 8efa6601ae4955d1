//! Short critical sections on two workers: acquire, release, and next to nothing between.
//!
//! In how many tasks an operation is done, how many permits there are and whether a task lets others run between two
//! sections decides how many of them wait. `channels` has the same sections on one worker.

use super::{Row, on_worker, workers};
use rt::sync::{Mutex, RwLock, Semaphore};
use rt::task::yield_now;
use std::future::Future;
use std::sync::Arc;

pub const ROWS: &[Row] = &[
    ("semaphore_2_tasks_2_workers", 300_000, |n| on_worker(&workers(2), n, |n| acquire(2, 1, n))),
    ("semaphore_64_tasks_2_workers", 300_000, |n| on_worker(&workers(2), n, |n| acquire(64, 1, n))),
    ("semaphore_half_free_2_workers", 300_000, |n| on_worker(&workers(2), n, |n| acquire(8, 4, n))),
    ("semaphore_free_2_workers", 1_000_000, |n| on_worker(&workers(2), n, |n| acquire(8, 1000, n))),
    ("semaphore_free_2_tasks_2_workers", 1_000_000, |n| on_worker(&workers(2), n, |n| acquire(2, 1000, n))),
    ("semaphore_yield_2_workers", 300_000, |n| on_worker(&workers(2), n, acquire_and_yield)),
    #[cfg(not(feature = "smol"))]
    ("semaphore_owned_2_workers", 300_000, |n| on_worker(&workers(2), n, acquire_owned)),
    #[cfg(not(feature = "smol"))]
    ("semaphore_many_2_workers", 300_000, |n| on_worker(&workers(2), n, acquire_many)),
    #[cfg(not(feature = "smol"))]
    ("semaphore_try_2_workers", 1_000_000, |n| on_worker(&workers(2), n, try_acquire)),
    ("mutex_2_workers", 300_000, |n| on_worker(&workers(2), n, |n| lock(8, n))),
    ("mutex_2_tasks_2_workers", 300_000, |n| on_worker(&workers(2), n, |n| lock(2, n))),
    ("rwlock_read_2_workers", 1_000_000, |n| on_worker(&workers(2), n, read)),
];

/// That many tasks, which share the operations.
async fn in_tasks<F>(tasks: u64, n: u64, program: impl Fn(u64) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let tasks: Vec<_> = (0..tasks).map(|_| rt::spawn(program(n / tasks))).collect();
    for task in tasks {
        task.await.expect("does not panic");
    }
}

async fn acquire(tasks: u64, permits: usize, n: u64) {
    let semaphore = Arc::new(Semaphore::new(permits));
    in_tasks(tasks, n, |n| {
        let semaphore = semaphore.clone();
        async move {
            for _ in 0..n {
                drop(semaphore.acquire().await.expect("it is open"));
            }
        }
    })
    .await;
}

async fn acquire_and_yield(n: u64) {
    let semaphore = Arc::new(Semaphore::new(1));
    in_tasks(8, n, |n| {
        let semaphore = semaphore.clone();
        async move {
            for _ in 0..n {
                drop(semaphore.acquire().await.expect("it is open"));
                yield_now().await;
            }
        }
    })
    .await;
}

#[cfg(not(feature = "smol"))]
async fn acquire_owned(n: u64) {
    let semaphore = Arc::new(Semaphore::new(1));
    in_tasks(8, n, |n| {
        let semaphore = semaphore.clone();
        async move {
            for _ in 0..n {
                drop(semaphore.clone().acquire_owned().await.expect("it is open"));
            }
        }
    })
    .await;
}

/// Three of four permits.
#[cfg(not(feature = "smol"))]
async fn acquire_many(n: u64) {
    let semaphore = Arc::new(Semaphore::new(4));
    in_tasks(8, n, |n| {
        let semaphore = semaphore.clone();
        async move {
            for _ in 0..n {
                drop(semaphore.acquire_many(3).await.expect("it is open"));
            }
        }
    })
    .await;
}

/// Takes the permit if it is free; a task that finds none continues.
#[cfg(not(feature = "smol"))]
async fn try_acquire(n: u64) {
    let semaphore = Arc::new(Semaphore::new(1));
    in_tasks(8, n, |n| {
        let semaphore = semaphore.clone();
        async move {
            for number in 0..n {
                drop(std::hint::black_box(semaphore.try_acquire()));
                if number % 128 == 0 {
                    yield_now().await;
                }
            }
        }
    })
    .await;
}

async fn lock(tasks: u64, n: u64) {
    let mutex = Arc::new(Mutex::new(0_u64));
    in_tasks(tasks, n, |n| {
        let mutex = mutex.clone();
        async move {
            for _ in 0..n {
                *mutex.lock().await += 1;
            }
        }
    })
    .await;
}

async fn read(n: u64) {
    let lock = Arc::new(RwLock::new(1_u64));
    in_tasks(8, n, |n| {
        let lock = lock.clone();
        async move {
            for _ in 0..n {
                std::hint::black_box(*lock.read().await);
            }
        }
    })
    .await;
}
