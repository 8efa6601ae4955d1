//! The workloads: one source, compiled once per runtime, where `rt` is that runtime.
//!
//! A binary runs one row: `on-redd ROW OPERATIONS`, and prints one line of JSON with what it cost.

mod channels;
mod memory;
mod tasks;
mod timers;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rt::runtime::{Builder, Runtime};

/// A row: its name, operations for a first guess of its length, and the program.
pub type Row = (&'static str, u64, fn(u64) -> Measure);

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend_from_slice(tasks::ROWS);
    rows.extend_from_slice(channels::ROWS);
    rows.extend_from_slice(timers::ROWS);
    rows.extend_from_slice(memory::ROWS);
    rows
}

/// What a row cost.
#[derive(Default)]
pub struct Measure {
    operations: u64,
    wall: Duration,
    cpu: Duration,
    voluntary: u64,
    involuntary: u64,
    allocations: u64,
    /// For rows that measure memory: bytes per operation.
    bytes: f64,
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
    COUNT_ALLOCATIONS.store(args.next().as_deref() == Some("allocations"), Ordering::Relaxed);
    let measure = run(operations);
    println!(
        "{{\"row\":\"{name}\",\"operations\":{},\"wall_ns\":{},\"cpu_ns\":{},\"voluntary\":{},\"involuntary\":{},\"allocations\":{},\"bytes\":{}}}",
        measure.operations,
        measure.wall.as_nanos(),
        measure.cpu.as_nanos(),
        measure.voluntary,
        measure.involuntary,
        measure.allocations,
        measure.bytes,
    );
}

/// Runs `work` between two looks at the process's clocks.
pub async fn measure(operations: u64, work: impl Future<Output = ()>) -> Measure {
    let (before, allocations, start) = (usage(), ALLOCATIONS.load(Ordering::Relaxed), Instant::now());
    work.await;
    let (wall, after) = (start.elapsed(), usage());
    Measure {
        operations,
        wall,
        cpu: after.0 - before.0,
        voluntary: after.1 - before.1,
        involuntary: after.2 - before.2,
        allocations: ALLOCATIONS.load(Ordering::Relaxed) - allocations,
        bytes: 0.0,
    }
}

fn usage() -> (Duration, u64, u64) {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills the structure; zeroes are a valid value of it.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    (time(usage.ru_utime) + time(usage.ru_stime), usage.ru_nvcsw as u64, usage.ru_nivcsw as u64)
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

static COUNT_ALLOCATIONS: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator; counts only when asked to, for a counter costs more than a small allocation.
struct Counting;

// SAFETY: hands everything on to the system's allocator.
unsafe impl std::alloc::GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
        if COUNT_ALLOCATIONS.load(Ordering::Relaxed) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's duty is the same.
        unsafe { std::alloc::System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: std::alloc::Layout) {
        // SAFETY: the caller's duty is the same.
        unsafe { std::alloc::System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
