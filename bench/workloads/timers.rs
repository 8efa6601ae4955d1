//! Time.

use super::{Measure, Row, measure, on_worker, quantile, workers};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

pub const ROWS: &[Row] = &[
    ("sleep_create_poll_drop", 500_000, |n| on_worker(&workers(1), n, sleep)),
    ("timeout_ready", 1_000_000, |n| on_worker(&workers(1), n, timeout_ready)),
    ("timeout_that_never_fires", 300_000, |n| on_worker(&workers(1), n, timeout_pending)),
    ("sleeps_10k", 10_000, sleeps),
    ("interval_1", 300, |n| intervals(1, n)),
    ("interval_100", 20_000, |n| intervals(100, n)),
    ("idle", 1, |_| idle()),
];

async fn sleep(n: u64) {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..n {
        let sleep = pin!(rt::time::sleep(Duration::from_secs(60)));
        assert!(rt::task::unconstrained(sleep).poll_once(&mut cx));
    }
}

trait PollOnce: Future + Unpin {
    /// Whether the first poll is pending.
    fn poll_once(mut self, cx: &mut Context<'_>) -> bool
    where
        Self: Sized,
    {
        std::pin::Pin::new(&mut self).poll(cx).is_pending()
    }
}

impl<F: Future + Unpin> PollOnce for F {}

async fn timeout_ready(n: u64) {
    for _ in 0..n {
        rt::time::timeout(Duration::from_secs(60), async {}).await.expect("it is ready");
    }
}

async fn timeout_pending(n: u64) {
    for _ in 0..n {
        rt::time::timeout(Duration::from_secs(60), rt::task::yield_now()).await.expect("it is in time");
    }
}

/// This many sleeps, each in a task of its own, ending evenly over half a second. Also measures how late each was.
fn sleeps(n: u64) -> Measure {
    let runtime = workers(2);
    let task = runtime.spawn(async move {
        let mut lateness = Vec::new();
        let mut measure = measure(n, async {
            let start = Instant::now() + Duration::from_millis(20);
            let tasks: Vec<_> = (0..n)
                .map(|number| {
                    rt::spawn(async move {
                        let deadline = start + Duration::from_micros(number * 500_000 / n);
                        rt::time::sleep(deadline.saturating_duration_since(Instant::now())).await;
                        Instant::now().saturating_duration_since(deadline).as_nanos() as f64 / 1000.0
                    })
                })
                .collect();
            for task in tasks {
                lateness.push(task.await.expect("does not panic"));
            }
        })
        .await;
        lateness.sort_by(f64::total_cmp);
        measure.values.push(("lateness_median_us", quantile(&lateness, 0.5)));
        measure.values.push(("lateness_p99_us", quantile(&lateness, 0.99)));
        measure
    });
    runtime.block_on(task).expect("does not panic")
}

/// Ticks of a millisecond: `n` in all. Nearly idle: a tick costs one wake of a sleeping worker.
fn intervals(tasks: u64, n: u64) -> Measure {
    let runtime = workers(2);
    let task = runtime.spawn(measure(n, async move {
        let tasks: Vec<_> = (0..tasks)
            .map(|_| {
                rt::spawn(async move {
                    let mut interval = rt::time::interval(Duration::from_millis(1));
                    for _ in 0..n / tasks {
                        interval.tick().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("does not panic");
        }
    }));
    runtime.block_on(task).expect("does not panic")
}

/// Half a second in which no timer is due, after a second of rest; two workers and 1000 tasks that sleep for an hour.
/// An operation is a second, so the values are per second.
fn idle() -> Measure {
    let runtime = workers(2);
    for _ in 0..1000 {
        drop(runtime.spawn(async { rt::time::sleep(Duration::from_secs(3600)).await }));
    }
    // Measured from a thread outside, because a task that reads the clock would itself be work.
    std::thread::sleep(Duration::from_millis(1200));
    let before = super::Costs::of_others();
    std::thread::sleep(Duration::from_millis(500));
    let mut costs = super::Costs::of_others().since(&before);
    // These are the costs of the measuring thread itself.
    (costs.system_calls, costs.wakes) = (None, None);
    Measure { operations: 1, costs, bytes: 0.0, values: Vec::new() }
}
