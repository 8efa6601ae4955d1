//! What a finished task costs until it is joined: its output, and a few bytes.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redd::group::TaskGroup;
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

/// As [`bytes_per_finished_task`], in a `JoinSet` and in a `TaskGroup`.
fn costs<T: Clone + Send + Sync + 'static>(output: T) -> [usize; 2] {
    current_thread().block_on(async {
        let mut set = JoinSet::new();
        let in_set = bytes_per_finished_task(|number| drop(set.spawn(large(number, output.clone())))).await;
        let mut joined = 0;
        while let Some(output) = set.join_next().await {
            output.unwrap();
            joined += 1;
        }
        let group = TaskGroup::new();
        let in_group = bytes_per_finished_task(|number| drop(group.spawn(large(number, output.clone())))).await;
        assert_eq!(group.close().await.unwrap().len(), joined);
        [in_set, in_group]
    })
}

#[test]
fn a_finished_task_costs_its_output_and_at_most_64_bytes() {
    let _alone = ALONE.lock();
    let costs = [
        ("()", costs(()), 0),
        ("u64", costs(1_u64), 8),
        ("String", costs(String::new()), 24),
        ("[u8; 1000]", costs([1_u8; 1000]), 1000),
        ("[u8; 6000]", costs([1_u8; 6000]), 6000),
    ];
    for (output, [set, group], size) in costs {
        println!("{output}: {set} bytes for each finished task of a `JoinSet`, {group} of a `TaskGroup`");
        assert!(set <= size + 64 && group <= size + 64, "{output}: {set} and {group} bytes for an output of {size}");
    }
}

#[test]
fn a_group_that_discards_stays_as_large_as_it_is() {
    let _alone = ALONE.lock();
    current_thread().block_on(async {
        let group = TaskGroup::discarding().limit(64).start();
        let run = async |tasks: usize| {
            for number in 0..tasks {
                group.ready().await;
                group.spawn(large(number, ()));
            }
            IN_USE.load(Ordering::Relaxed)
        };
        let (before, after) = (run(10_000).await, run(100_000).await);
        let grown = after.saturating_sub(before);
        println!("100,000 tasks of a group that discards: {grown} bytes more");
        assert!(grown < 64 << 10, "{grown} bytes");
        group.close().await.unwrap();
    });
}

#[test]
fn clean_ups_that_are_dismissed_and_queued_tasks_that_are_aborted_cost_nothing() {
    let _alone = ALONE.lock();
    current_thread().block_on(async {
        let group = TaskGroup::discarding().limit(1).start();
        let stays = group.defer(Duration::from_secs(1), async {});
        group.spawn(std::future::pending());
        let run = async |rounds: usize| {
            for _ in 0..rounds {
                let clean_up = group.defer(Duration::from_secs(1), async {});
                group.spawn(async {}).abort();
                while group.len() > 1 {
                    yield_now().await;
                }
                assert!(clean_up.dismiss());
            }
            IN_USE.load(Ordering::Relaxed)
        };
        let (before, after) = (run(1_000).await, run(20_000).await);
        let grown = after.saturating_sub(before);
        println!("20,000 clean-ups and queued tasks: {grown} bytes more");
        assert!(grown < 4 << 10, "{grown} bytes");
        assert!(stays.dismiss(), "it was kept");
        group.cancel("the test is over");
        assert!(group.close().await.is_err());
    });
}
