//! The age of a task in dumps and reports. In a process of its own: the workers of other runtimes would keep the coarse clock
//! of the process up to date.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "the age is compared with the system's clock")]

use std::future::pending;
use std::thread;
use std::time::{Duration, Instant};

use redd::runtime::{Builder, Rescue};

#[test]
fn a_task_that_is_spawned_from_outside_is_not_as_old_as_the_sleep_of_the_workers() {
    let runtime = Builder::new_multi_thread().worker_threads(1).rescue(Rescue::off()).build().unwrap();
    runtime.block_on(runtime.spawn(async {})).unwrap();
    thread::sleep(Duration::from_millis(500));
    let before = Instant::now();
    drop(runtime.spawn(pending::<()>()));
    let left = runtime.drain(Duration::ZERO);
    let most = before.elapsed() + Duration::from_millis(1);
    assert_eq!(left.len(), 1);
    assert!(left[0].age() <= most, "{:?} old, spawned {most:?} ago", left[0].age());
}
