//! Channels, locks and notifications.

use super::{Row, on_worker, workers};
use rt::sync::{Mutex, RwLock, Semaphore, mpsc};
#[cfg(not(feature = "smol"))]
use rt::sync::{Notify, broadcast, oneshot, watch};
use std::future::Future;
use std::sync::Arc;

pub const ROWS: &[Row] = &[
    ("ping_pong", 200_000, |n| on_worker(&workers(1), n, ping_pong)),
    #[cfg(not(feature = "smol"))]
    ("oneshot", 200_000, |n| on_worker(&workers(1), n, one_shot)),
    ("mpsc_bounded", 500_000, |n| on_worker(&workers(1), n, mpsc_bounded)),
    ("mpsc_unbounded", 500_000, |n| on_worker(&workers(1), n, mpsc_unbounded)),
    ("mpsc_8_producers", 400_000, |n| on_worker(&workers(2), n, mpsc_8)),
    ("mpsc_8_producers_unbounded", 400_000, |n| on_worker(&workers(2), n, mpsc_8_unbounded)),
    #[cfg(not(feature = "smol"))]
    ("notify", 300_000, |n| on_worker(&workers(1), n, notify)),
    #[cfg(not(feature = "smol"))]
    ("notify_64_pairs", 300_000, |n| on_worker(&workers(2), n, notify_in_pairs)),
    #[cfg(not(feature = "smol"))]
    ("watch", 200_000, |n| on_worker(&workers(1), n, watching)),
    #[cfg(not(feature = "smol"))]
    ("broadcast", 200_000, |n| on_worker(&workers(1), n, broadcasting)),
    ("mutex_short", 1_000_000, |n| on_worker(&workers(1), n, mutex_short)),
    ("semaphore_short", 1_000_000, |n| on_worker(&workers(1), n, semaphore_short)),
    ("semaphore_2_workers", 300_000, |n| on_worker(&workers(2), n, semaphore_contended)),
    ("mutex_over_yield", 200_000, |n| on_worker(&workers(1), n, mutex_yield)),
    ("semaphore_over_yield", 200_000, |n| on_worker(&workers(1), n, semaphore_yield)),
    ("rwlock_read_short", 1_000_000, |n| on_worker(&workers(1), n, rwlock_read)),
    ("rwlock_write_short", 1_000_000, |n| on_worker(&workers(1), n, rwlock_write)),
    ("rwlock_2_workers", 300_000, |n| on_worker(&workers(2), n, rwlock_contended)),
    ("rwlock_over_yield", 200_000, |n| on_worker(&workers(1), n, rwlock_yield)),
];

async fn ping_pong(n: u64) {
    let (to, mut at_other) = mpsc::channel::<()>(1);
    let (back, mut at_me) = mpsc::channel::<()>(1);
    rt::spawn(async move {
        while at_other.recv().await.is_some() {
            if back.send(()).await.is_err() {
                return;
            }
        }
    });
    for _ in 0..n {
        to.send(()).await.expect("the other side lives");
        at_me.recv().await.expect("the other side lives");
    }
}

#[cfg(not(feature = "smol"))]
async fn one_shot(n: u64) {
    for _ in 0..n {
        let (sender, receiver) = oneshot::channel();
        rt::spawn(async move { sender.send(1) });
        receiver.await.expect("it is sent");
    }
}

async fn mpsc_bounded(n: u64) {
    let (sender, mut receiver) = mpsc::channel(256);
    rt::spawn(async move {
        for number in 0..n {
            sender.send(number).await.expect("the receiver lives");
        }
    });
    while receiver.recv().await.is_some() {}
}

async fn mpsc_unbounded(n: u64) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    rt::spawn(async move {
        for number in 0..n {
            sender.send(number).expect("the receiver lives");
            if number % 256 == 0 {
                rt::task::yield_now().await;
            }
        }
    });
    while receiver.recv().await.is_some() {}
}

async fn mpsc_8(n: u64) {
    let (sender, mut receiver) = mpsc::channel(256);
    for _ in 0..8 {
        let sender = sender.clone();
        rt::spawn(async move {
            for number in 0..n / 8 {
                sender.send(number).await.expect("the receiver lives");
            }
        });
    }
    drop(sender);
    while receiver.recv().await.is_some() {}
}

async fn mpsc_8_unbounded(n: u64) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for _ in 0..8 {
        let sender = sender.clone();
        rt::spawn(async move {
            for number in 0..n / 8 {
                sender.send(number).expect("the receiver lives");
                if number % 256 == 0 {
                    rt::task::yield_now().await;
                }
            }
        });
    }
    drop(sender);
    while receiver.recv().await.is_some() {}
}

#[cfg(not(feature = "smol"))]
async fn notify(n: u64) {
    let (ping, pong) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let other = (ping.clone(), pong.clone());
    rt::spawn(async move {
        for _ in 0..n {
            other.0.notified().await;
            other.1.notify_one();
        }
    });
    for _ in 0..n {
        ping.notify_one();
        pong.notified().await;
    }
}

/// 64 pairs of tasks, each with its own two `Notify`.
#[cfg(not(feature = "smol"))]
async fn notify_in_pairs(n: u64) {
    let pairs: Vec<_> = (0..64).map(|_| rt::spawn(notify(n / 64))).collect();
    for pair in pairs {
        pair.await.expect("does not panic");
    }
}

#[cfg(not(feature = "smol"))]
async fn watching(n: u64) {
    let (sender, mut receiver) = watch::channel(0);
    let (back, mut acknowledged) = watch::channel(0);
    rt::spawn(async move {
        while receiver.changed().await.is_ok() {
            let value = *receiver.borrow_and_update();
            if back.send(value).is_err() {
                return;
            }
        }
    });
    for number in 1..=n {
        sender.send(number).expect("the receiver lives");
        acknowledged.changed().await.expect("the other side lives");
    }
}

#[cfg(not(feature = "smol"))]
async fn broadcasting(n: u64) {
    let (sender, mut receiver) = broadcast::channel(16);
    let (back, mut acknowledged) = broadcast::channel(16);
    rt::spawn(async move {
        while let Ok(value) = receiver.recv().await {
            if back.send(value).is_err() {
                return;
            }
        }
    });
    for number in 0..n {
        sender.send(number).expect("the receiver lives");
        acknowledged.recv().await.expect("the other side lives");
    }
}

async fn mutex_short(n: u64) {
    let mutex = Mutex::new(0_u64);
    for _ in 0..n {
        *mutex.lock().await += 1;
    }
}

async fn semaphore_short(n: u64) {
    let semaphore = Semaphore::new(1);
    for _ in 0..n {
        drop(semaphore.acquire().await.expect("it is open"));
    }
}

/// Eight tasks, each of which does one eighth of the operations.
async fn in_8_tasks<F>(n: u64, program: impl Fn(u64) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let tasks: Vec<_> = (0..8).map(|_| rt::spawn(program(n / 8))).collect();
    for task in tasks {
        task.await.expect("does not panic");
    }
}

async fn semaphore_contended(n: u64) {
    let semaphore = Arc::new(Semaphore::new(1));
    in_8_tasks(n, |n| {
        let semaphore = semaphore.clone();
        async move {
            for _ in 0..n {
                drop(semaphore.acquire().await.expect("it is open"));
            }
        }
    })
    .await;
}

async fn semaphore_yield(n: u64) {
    let semaphore = Arc::new(Semaphore::new(1));
    in_8_tasks(n, |n| {
        let semaphore = semaphore.clone();
        async move {
            for _ in 0..n {
                let permit = semaphore.acquire().await.expect("it is open");
                rt::task::yield_now().await;
                drop(permit);
            }
        }
    })
    .await;
}

async fn mutex_yield(n: u64) {
    let mutex = Arc::new(Mutex::new(0_u64));
    in_8_tasks(n, |n| {
        let mutex = mutex.clone();
        async move {
            for _ in 0..n {
                let mut guard = mutex.lock().await;
                *guard += 1;
                rt::task::yield_now().await;
            }
        }
    })
    .await;
}

async fn rwlock_read(n: u64) {
    let lock = RwLock::new(1_u64);
    for _ in 0..n {
        std::hint::black_box(*lock.read().await);
    }
}

async fn rwlock_write(n: u64) {
    let lock = RwLock::new(0_u64);
    for _ in 0..n {
        *lock.write().await += 1;
    }
}

/// One write to 15 reads.
async fn rwlock_contended(n: u64) {
    let lock = Arc::new(RwLock::new(0_u64));
    in_8_tasks(n, |n| {
        let lock = lock.clone();
        async move {
            for number in 0..n {
                if number % 16 == 0 {
                    *lock.write().await += 1;
                } else {
                    std::hint::black_box(*lock.read().await);
                }
            }
        }
    })
    .await;
}

/// The same, and each holds its guard across a yield.
async fn rwlock_yield(n: u64) {
    let lock = Arc::new(RwLock::new(0_u64));
    in_8_tasks(n, |n| {
        let lock = lock.clone();
        async move {
            for number in 0..n {
                if number % 16 == 0 {
                    let mut guard = lock.write().await;
                    *guard += 1;
                    rt::task::yield_now().await;
                } else {
                    let guard = lock.read().await;
                    rt::task::yield_now().await;
                    drop(guard);
                }
            }
        }
    })
    .await;
}
