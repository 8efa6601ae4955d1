//! A million tasks in a group that discards, and finished tasks that nobody joins: the memory that the system sees. In a process of
//! its own.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use redd::group::TaskGroup;
use redd::runtime::{Builder, Handle};
use redd::task::{JoinSet, yield_now};

const MIB: usize = 1 << 20;
const LIMIT: usize = 64;

/// The resident bytes of this process.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: usize = line.split_whitespace().next().unwrap().parse().unwrap();
    kib * 1024
}

/// A task whose future is of 1 KB.
async fn fetch(page: usize) -> usize {
    let buffer = [page; 128];
    yield_now().await;
    buffer[page % 128]
}

async fn spawn_all(group: &TaskGroup<()>, tasks: usize) {
    for page in 0..tasks {
        group.ready().await;
        group.spawn(async move { assert_eq!(fetch(page).await, page) });
    }
}

/// One test, because both measure the whole process.
#[test]
fn a_million_tasks_leave_the_resident_memory_within_two_mib_and_an_unjoined_one_costs_64_bytes() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let group = TaskGroup::discarding().limit(LIMIT).start();
        spawn_all(&group, 10_000).await;
        let before = resident();
        spawn_all(&group, 1_000_000).await;
        let grown = resident().saturating_sub(before);
        println!("1,000,000 tasks of a group that discards: {grown} bytes more");
        assert!(grown <= 2 * MIB, "{grown} bytes");
        group.close().await.unwrap();
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    });

    const UNJOINED: usize = 200_000;
    runtime.block_on(async {
        let mut set = JoinSet::new();
        let mut run = async |tasks: usize| {
            for page in 0..tasks {
                set.spawn(fetch(page));
                if page % LIMIT == 0 {
                    while Handle::current().metrics().num_alive_tasks() > 0 {
                        yield_now().await;
                    }
                }
            }
        };
        run(10_000).await;
        let before = resident();
        run(UNJOINED).await;
        let each = resident().saturating_sub(before) / UNJOINED;
        println!("a finished task of a `JoinSet` that nobody joins: {each} bytes");
        assert!(each <= size_of::<usize>() + 64, "{each} bytes");
        assert!(set.len() > UNJOINED, "none was joined");
    });
}
