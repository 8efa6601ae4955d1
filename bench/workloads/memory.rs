//! Bytes per task.

use super::{Measure, Row, current};
use std::future::pending;
use std::time::Duration;

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
];

fn per_task(n: u64, spawn: fn()) -> Measure {
    current().block_on(async move {
        // The first ones pay for pages that the process needs anyway.
        (0..1000).for_each(|_| spawn());
        rt::task::yield_now().await;
        let before = resident();
        let mut measure = super::measure(n, async {
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

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages: u64 = statm.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("the second number");
    pages * 4096
}
