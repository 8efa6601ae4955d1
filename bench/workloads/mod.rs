//! The workloads: one source, compiled once per runtime. `rt` is that runtime.
//!
//! Rows without an equivalent in smol are left out of its binary with `#[cfg(not(feature = "smol"))]`.

mod channels;
#[cfg(not(feature = "smol"))]
mod cold;
mod costs;
#[cfg(not(feature = "smol"))]
mod file_streams;
mod files;
#[cfg(not(feature = "smol"))]
mod groups;
mod memory;
mod net;
mod row;
mod scaling;
mod scratch;
mod tasks;
mod timers;

use std::future::Future;

use costs::Costs;
pub use row::{Measure, Row};
use rt::runtime::{Builder, Runtime};

fn rows() -> Vec<Row> {
    [
        tasks::ROWS,
        #[cfg(not(feature = "smol"))]
        groups::ROWS,
        channels::ROWS,
        timers::ROWS,
        net::ROWS,
        files::ROWS,
        #[cfg(not(feature = "smol"))]
        file_streams::ROWS,
        #[cfg(not(feature = "smol"))]
        cold::ROWS,
        scaling::ROWS,
        memory::ROWS,
    ]
    .concat()
}

pub fn main() {
    row::main(rows());
}

/// Runs `work` between two readings of the process's clocks.
pub async fn measure(operations: u64, work: impl Future<Output = ()>) -> Measure {
    let before = Costs::now();
    work.await;
    let costs = Costs::now().since(&before);
    Measure { operations, costs, bytes: 0.0, values: Vec::new() }
}

pub fn workers(count: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(count).enable_all().build().expect("the system has room for threads")
}

pub fn current() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("the system has room for descriptors")
}

/// Runs on a worker, not on the thread in `block_on`; a tenth first, to warm up.
pub fn on_worker<F>(runtime: &Runtime, operations: u64, program: fn(u64) -> F) -> Measure
where
    F: Future<Output = ()> + Send + 'static,
{
    let task = runtime.spawn(async move {
        program(operations / 10 + 1).await;
        measure(operations, program(operations)).await
    });
    runtime.block_on(task).expect("a workload does not panic")
}

/// Runs as the future of `block_on`.
pub fn in_block_on<F>(runtime: &Runtime, operations: u64, program: fn(u64) -> F) -> Measure
where
    F: Future<Output = ()>,
{
    runtime.block_on(async move {
        program(operations / 10 + 1).await;
        measure(operations, program(operations)).await
    })
}

/// The value that the given fraction of the sorted values do not exceed.
pub fn quantile(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part) as usize]
}
