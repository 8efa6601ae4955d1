//! What a finished task costs until it is joined: its output, and a few bytes.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use redd::runtime::{Builder, Runtime};
use redd::task::{JoinSet, yield_now};

/// The bytes that are in use.
static IN_USE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: it passes each call on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: by the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: by the caller's contract.
        unsafe { System.dealloc(memory, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Tests that count must not run at the same time.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn until_none_is_alive() {
    while redd::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
        yield_now().await;
    }
}

/// A task whose future is of 1 KB.
async fn large<T>(number: usize, output: T) -> T {
    let large = [number; 128];
    yield_now().await;
    assert_eq!(large[0], number);
    output
}

/// The bytes for each of many finished tasks that nobody joins. `spawn` adds one.
async fn bytes_per_finished_task(mut spawn: impl FnMut(usize)) -> usize {
    const TASKS: usize = 40_000;
    // The memory of the tasks themselves is reused: it is not counted.
    (0..1000).for_each(&mut spawn);
    until_none_is_alive().await;
    let before = IN_USE.load(Ordering::Relaxed);
    for number in 0..TASKS {
        spawn(number);
        if number % 100 == 99 {
            until_none_is_alive().await;
        }
    }
    (IN_USE.load(Ordering::Relaxed) - before) / TASKS
}

/// As [`bytes_per_finished_task`], in a `JoinSet`.
fn cost<T: Clone + Send + Sync + 'static>(output: T) -> usize {
    current_thread().block_on(async {
        let mut set = JoinSet::new();
        let bytes = bytes_per_finished_task(|number| drop(set.spawn(large(number, output.clone())))).await;
        let len = set.len();
        let mut joined = 0;
        while let Some(output) = set.join_next().await {
            output.unwrap();
            joined += 1;
        }
        assert_eq!(joined, len);
        bytes
    })
}

#[test]
fn a_finished_task_costs_its_output_and_at_most_64_bytes() {
    let _alone = ALONE.lock();
    let costs = [
        ("()", cost(()), 0),
        ("u64", cost(1_u64), 8),
        ("String", cost(String::new()), 24),
        ("[u8; 1000]", cost([1_u8; 1000]), 1000),
        ("[u8; 6000]", cost([1_u8; 6000]), 6000),
    ];
    for (output, cost, size) in costs {
        println!("{output}: {cost} bytes for each finished task of a `JoinSet`");
        assert!(cost <= size + 64, "{output}: {cost} bytes for an output of {size}");
    }
}
