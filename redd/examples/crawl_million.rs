//! A million pages, 64 at a time: in a `TaskGroup` that keeps no results, and in a `JoinSet` that nobody joins.
//!
//! `cargo run --release --example crawl_million [PAGES]` prints the memory of the process meanwhile. Ctrl-C ends it early: the
//! tasks are dropped, the clean-up runs, and no task is left.

use std::sync::Arc;

use redd::group::TaskGroup;
use redd::runtime::Handle;
use redd::signal::ctrl_c;
use redd::sync::Semaphore;
use redd::task::{JoinSet, yield_now};
use redd::time::Duration;

/// How many pages are fetched at a time.
const LIMIT: usize = 64;

/// A fetch that waits twice, as for a connection and an answer. Its future is of one kilobyte.
async fn fetch(page: usize) {
    let buffer = [page; 128];
    yield_now().await;
    yield_now().await;
    assert_eq!(buffer[page % 128], page);
}

/// Spawns all pages, and waits for a free place before each.
async fn crawl_in_group(group: &TaskGroup<()>, pages: usize) {
    let report = Report::begin("TaskGroup::discarding().limit(64)", pages);
    for page in 0..pages {
        group.ready().await;
        group.spawn(fetch(page));
        report.after(page + 1);
    }
}

/// The same with a `JoinSet` and a `Semaphore`. It joins no task, so the set grows.
async fn crawl_in_set(set: &mut JoinSet<()>, pages: usize) {
    let report = Report::begin("JoinSet and Semaphore, not joined", pages);
    let places = Arc::new(Semaphore::new(LIMIT));
    for page in 0..pages {
        let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes it");
        set.spawn(async move {
            fetch(page).await;
            drop(place);
        });
        report.after(page + 1);
    }
}

#[redd::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pages = std::env::args().nth(1).map_or(Ok(1_000_000), |pages| pages.parse())?;
    let group = TaskGroup::discarding().limit(LIMIT).name("pages").start();
    // In a crawler it would write what is still in memory.
    group.defer(Duration::from_secs(5), async {
        yield_now().await;
        println!("clean-up: done");
    });
    let is_interrupted = redd::select! {
        () = crawl_in_group(&group, pages) => false,
        interrupted = ctrl_c() => interrupted.is_ok(),
    };
    if is_interrupted {
        group.cancel("Ctrl-C");
    }
    if let Err(error) = group.close().await {
        println!("the group was closed: {error}");
    }
    println!("{} tasks left", Handle::current().metrics().num_alive_tasks());
    if is_interrupted {
        return Ok(());
    }

    let mut set = JoinSet::new();
    redd::select! {
        () = crawl_in_set(&mut set, pages) => println!("{} finished tasks are in the set", set.len()),
        _ = ctrl_c() => {}
    }
    set.shutdown().await;
    Ok(())
}

/// Prints the memory of the process ten times.
struct Report {
    step: usize,
    before: u64,
}

impl Report {
    fn begin(name: &str, pages: usize) -> Self {
        println!("{name}\n{:>10} {:>16} {:>10}", "pages", "memory in KiB", "grown by");
        Self { step: (pages / 10).max(1), before: resident_kib() }
    }

    fn after(&self, pages: usize) {
        if pages % self.step == 0 {
            let now = resident_kib();
            println!("{pages:>10} {now:>16} {:>10}", now.saturating_sub(self.before));
        }
    }
}

/// The resident memory of this process; 0 where the system does not say it.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
