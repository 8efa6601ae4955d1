//! What a simulated world does while it runs: steps of its script, invariants, crashes and restarts, random faults, signals.
//!
//! This file has what the others share.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod crashes;
mod faults;
mod network;
mod signals;
mod steps;

use redd::runtime::{Builder, Runtime};
use redd::sim::{Control, FailureKind, Report};
use redd::time::{Duration, sleep};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn multi() -> Runtime {
    Builder::new_multi_thread().enable_all().build().unwrap()
}

fn current() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

const FLAVORS: [fn() -> Runtime; 2] = [multi, current];

/// A host that sleeps.
fn sleeps(time: Duration) -> impl Fn() + Send + Sync + 'static {
    move || current().block_on(async move { sleep(time).await })
}

/// A step: the host `host` crashes, and starts again after this time.
fn crash_and_restart(after: Duration) -> impl Fn(&mut Control) + Send + Sync + 'static {
    move |w| {
        w.crash("host");
        w.restart_after("host", after);
    }
}

fn only_failure(report: &Report) -> (FailureKind, Duration, String) {
    let [failure] = report.failures() else { panic!("one failure, not {report}") };
    (failure.kind(), failure.at(), failure.to_string())
}

#[track_caller]
fn assert_faults(report: &Report, expected: &[&str]) {
    let faults = Vec::from_iter(report.faults().iter().map(ToString::to_string));
    assert_eq!(faults, expected);
}

type Log = Arc<std::sync::Mutex<Vec<String>>>;

fn log(log: &Log, text: impl Into<String>) {
    log.lock().unwrap().push(text.into());
}

fn lines(log: &Log) -> Vec<String> {
    log.lock().unwrap().clone()
}

/// Counts the values of it that are dropped.
struct Dropped(Arc<AtomicU32>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
