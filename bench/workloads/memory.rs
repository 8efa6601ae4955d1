//! Bytes per task.

use super::{Measure, Row, current, measure, workers};
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const ROWS: &[Row] = &[
    ("bytes_per_pending_task", 200_000, |n| {
        per_task(n, || {
            drop(rt::spawn(pending::<()>()));
        })
    }),
    ("bytes_per_sleeping_task", 200_000, |n| {
        per_task(n, || {
            drop(rt::spawn(rt::time::sleep(Duration::from_secs(3600))));
        })
    }),
    #[cfg(not(feature = "smol"))]
    ("bytes_per_unjoined_task", 200_000, per_unjoined),
    ("spike", 1_000_000, spike),
];

fn per_task(n: u64, spawn: fn()) -> Measure {
    current().block_on(async move {
        // The first tasks use pages that the process needs anyway.
        (0..1000).for_each(|_| spawn());
        rt::task::yield_now().await;
        let before = resident();
        let mut measure = measure(n, async {
            for _ in 0..n / 1000 {
                (0..1000).for_each(|_| spawn());
                // Each task is polled once.
                for _ in 0..40 {
                    rt::task::yield_now().await;
                }
            }
        })
        .await;
        measure.bytes = (resident() - before) as f64 / n as f64;
        measure
    })
}

/// Finished tasks without an output, in a `JoinSet` that nobody joins.
#[cfg(not(feature = "smol"))]
fn per_unjoined(n: u64) -> Measure {
    current().block_on(async move {
        let mut set = rt::task::JoinSet::new();
        // A hundred at a time, so that the tasks themselves use the same memory, where the runtime reuses it.
        let mut run = async |tasks: u64| {
            for _ in 0..tasks / 100 {
                (0..100).for_each(|_| drop(set.spawn(async {})));
                while rt::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
                    rt::task::yield_now().await;
                }
            }
        };
        run(1000).await;
        let before = resident();
        let mut measure = measure(n, run(n)).await;
        measure.bytes = (resident() - before) as f64 / n as f64;
        measure
    })
}

/// Creates this many waiting tasks, then drops them. Measures how long it takes until the memory of the process is at
/// most twice that of the start.
fn spike(n: u64) -> Measure {
    let runtime = workers(2);
    let start = resident();
    let gate = Arc::new(rt::sync::Semaphore::new(0));
    let task = runtime.spawn(async move {
        let mut peak = 0;
        let mut measure = measure(n, async {
            let (sender, mut receiver) = rt::sync::mpsc::channel::<()>(1);
            for number in 0..n {
                let (gate, sender) = (gate.clone(), sender.clone());
                drop(rt::spawn(async move {
                    drop(gate.acquire().await);
                    drop(sender);
                }));
                if number % 1000 == 0 {
                    rt::task::yield_now().await;
                }
            }
            peak = resident();
            gate.add_permits(1);
            drop(sender);
            assert!(receiver.recv().await.is_none(), "the last task hangs up");
        })
        .await;
        let (end, mut back) = (Instant::now(), 30.0);
        while end.elapsed() < Duration::from_secs(30) {
            if resident() <= 2 * start {
                back = end.elapsed().as_secs_f64();
                break;
            }
            rt::time::sleep(Duration::from_millis(50)).await;
        }
        let mebibytes = |bytes: u64| bytes as f64 / 1048576.0;
        measure.values.push(("start_mib", mebibytes(start)));
        measure.values.push(("peak_mib", mebibytes(peak)));
        measure.values.push(("end_mib", mebibytes(resident())));
        measure.values.push(("seconds_to_twice_start", back));
        measure
    });
    runtime.block_on(task).expect("does not panic")
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages: u64 = statm.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("the second number");
    pages * 4096
}
