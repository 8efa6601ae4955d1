//! The workloads: one source, compiled once per runtime. `rt` is that runtime.
//!
//! A binary runs one row: `on-redd ROW OPERATIONS [counts]`, and prints one line of JSON with what it cost. Rows without an equivalent
//! in smol are left out of its binary with `#[cfg(not(feature = "smol"))]`.

mod channels;
mod costs;
mod files;
#[cfg(not(feature = "smol"))]
mod groups;
mod memory;
mod net;
mod scaling;
mod sections;
mod tasks;
mod timers;

use std::future::Future;

use costs::Costs;
use rt::runtime::{Builder, Runtime};

/// A row: its name, a first estimate of the number of operations, and the program.
pub type Row = (&'static str, u64, fn(u64) -> Measure);

fn rows() -> Vec<Row> {
    [
        tasks::ROWS,
        #[cfg(not(feature = "smol"))]
        groups::ROWS,
        channels::ROWS,
        sections::ROWS,
        timers::ROWS,
        net::ROWS,
        files::ROWS,
        scaling::ROWS,
        memory::ROWS,
    ]
    .concat()
}

/// The costs of a row.
pub struct Measure {
    operations: u64,
    costs: Costs,
    /// For rows that measure memory: bytes per operation.
    bytes: f64,
    /// Other values of a row, by name.
    values: Vec<(&'static str, f64)>,
}

pub fn main() {
    let mut args = std::env::args().skip(1);
    let Some(name) = args.next() else {
        for (name, operations, _) in rows() {
            println!("{name} {operations}");
        }
        return;
    };
    let Some((_, default, run)) = rows().into_iter().find(|(row, _, _)| *row == name) else {
        eprintln!("no row is called `{name}`; without arguments this prints their names");
        std::process::exit(2);
    };
    let operations = args.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    if args.next().as_deref() == Some("counts") {
        costs::count();
    }
    let measure = run(operations);
    let values: Vec<String> = measure.values.iter().map(|(name, value)| format!("\"{name}\":{value:.3}")).collect();
    println!(
        "{{\"operations\":{},{},\"bytes\":{},\"values\":{{{}}}}}",
        measure.operations,
        measure.costs.json(),
        measure.bytes,
        values.join(",")
    );
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
pub fn in_block_on<F>(runtime: &Runtime, operations: u64, program: impl Fn(u64) -> F) -> Measure
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
