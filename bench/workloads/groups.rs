//! Task groups on redd, against what does the same on Tokio: a `JoinSet`, with a `Semaphore` where there is a limit.

use super::{Row, on_worker, workers};
use rt::task::yield_now;

/// How many tasks may run at a time.
const LIMIT: usize = 64;

pub const ROWS: &[Row] = &[
    ("group_spawn_next", 200_000, |n| on_worker(&workers(1), n, side::spawn_next)),
    ("group_spawn_next_2_workers", 200_000, |n| on_worker(&workers(2), n, side::spawn_next)),
    ("group_limit", 100_000, |n| on_worker(&workers(1), n, side::limit)),
    ("group_limit_2_workers", 100_000, |n| on_worker(&workers(2), n, side::limit)),
    ("group_limit_queued", 100_000, |n| on_worker(&workers(1), n, side::limit_queued)),
];

/// What each task of the rows with a limit does: it is polled three times.
async fn yield_twice() {
    yield_now().await;
    yield_now().await;
}

#[cfg(feature = "groups")]
mod side {
    use super::{LIMIT, yield_twice};
    use rt::group::TaskGroup;

    pub async fn spawn_next(n: u64) {
        for _ in 0..n / 1000 {
            let group = TaskGroup::new();
            for _ in 0..1000 {
                group.spawn(async {});
            }
            while let Some(ended) = group.next().await {
                ended.expect("does not panic");
            }
        }
    }

    /// The loop that spawns waits for a free place.
    pub async fn limit(n: u64) {
        for _ in 0..n / 1000 {
            let group = TaskGroup::limit(LIMIT).start();
            for _ in 0..1000 {
                group.ready().await;
                group.spawn(yield_twice());
            }
            while let Some(ended) = group.next().await {
                ended.expect("does not panic");
            }
        }
    }

    /// All tasks are spawned at once, and wait for places.
    pub async fn limit_queued(n: u64) {
        for _ in 0..n / 1000 {
            let group = TaskGroup::limit(LIMIT).start();
            for _ in 0..1000 {
                group.spawn(yield_twice());
            }
            while let Some(ended) = group.next().await {
                ended.expect("does not panic");
            }
        }
    }
}

#[cfg(not(feature = "groups"))]
mod side {
    use super::{LIMIT, yield_twice};
    use rt::sync::Semaphore;
    use rt::task::JoinSet;
    use std::sync::Arc;

    pub async fn spawn_next(n: u64) {
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

    /// The loop that spawns waits for a permit, which the task owns.
    pub async fn limit(n: u64) {
        for _ in 0..n / 1000 {
            let (mut set, places) = (JoinSet::new(), Arc::new(Semaphore::new(LIMIT)));
            for _ in 0..1000 {
                let place = places.clone().acquire_owned().await.expect("is open");
                set.spawn(async move {
                    yield_twice().await;
                    drop(place);
                });
            }
            while let Some(joined) = set.join_next().await {
                joined.expect("does not panic");
            }
        }
    }

    /// All tasks are spawned at once, and each waits for a permit.
    pub async fn limit_queued(n: u64) {
        for _ in 0..n / 1000 {
            let (mut set, places) = (JoinSet::new(), Arc::new(Semaphore::new(LIMIT)));
            for _ in 0..1000 {
                let places = places.clone();
                set.spawn(async move {
                    let _place = places.acquire().await.expect("is open");
                    yield_twice().await;
                });
            }
            while let Some(joined) = set.join_next().await {
                joined.expect("does not panic");
            }
        }
    }
}
