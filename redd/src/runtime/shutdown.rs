//! Phases of a shutdown, in order: nothing new, workers leave and cancel what they find, the blocking pool ends,
//! threads are joined.

use std::time::{Duration, Instant};

use super::Handle;
use super::context::{self, Entered};
use crate::primitives::atomic::Ordering;
use crate::primitives::thread;
use crate::scheduler::{Flavor, Shared, rescue, spares, worker};

/// Shuts the runtime down once; later calls do nothing. `None` waits for as long as it takes.
#[track_caller]
pub(super) fn shutdown(handle: &mut Handle, timeout: Option<Duration>) {
    let shared = &handle.shared;
    if shared.begin_shutdown() {
        return;
    }
    if !shared.is_in_own_process() {
        // The threads to wait for are in the parent.
        return;
    }
    let would_wait = timeout != Some(Duration::ZERO);
    if would_wait && context::entered() != Entered::No {
        // The value is gone after this, so its threads must end all the same.
        shut_down_now(shared, Some(Duration::ZERO));
        if thread::panicking() {
            return;
        }
        // A literal: programs that catch this find a `&'static str`, as with Tokio.
        panic!(
            "Cannot drop a runtime where tasks run: waiting for its workers would stop them. Drop the `Runtime` outside of \
             async code, or use `Runtime::shutdown_background`."
        );
    }
    shut_down_now(shared, timeout);
}

fn shut_down_now(shared: &Shared, timeout: Option<Duration>) {
    let deadline = timeout.and_then(|timeout| crate::time::clock::real_now().checked_add(timeout));
    shared.close();
    rescue::stop(shared);
    match shared.config.flavor {
        Flavor::MultiThread => {
            spares::release_spares(shared);
            shared.wake_sleeper();
        }
        Flavor::CurrentThread | Flavor::Local => {
            // If a thread is inside `block_on`, it has the core and finishes when it comes out.
            let core = shared.core.lock().worker.take();
            match core {
                Some(core) => worker::finish_current_thread(shared, core),
                None => shared.wake_sleeper(),
            }
        }
    }
    shared.blocking.shutdown();
    wait(shared, deadline, timeout.is_none());
}

/// How long a shutdown waits before it says for whom.
const PATIENCE: Duration = Duration::from_secs(1);

fn wait(shared: &Shared, deadline: Option<Instant>, for_ever: bool) {
    let remaining = || deadline.map(|deadline| deadline.saturating_duration_since(crate::time::clock::real_now()));
    let patience = remaining().map_or(PATIENCE, |remaining| remaining.min(PATIENCE));
    // Workers first: they may be the ones who submit the last blocking work.
    if !wait_for_workers(shared, patience) && patience == PATIENCE {
        report_workers(shared);
    }
    let have_ended = wait_for_workers(shared, remaining().unwrap_or(Duration::MAX));
    let patience = remaining().map_or(PATIENCE, |remaining| remaining.min(PATIENCE));
    if !shared.blocking.join_all(Some(patience)) && patience == PATIENCE {
        report_closures(shared);
    }
    shared.blocking.join_all(remaining());
    if for_ever || have_ended {
        // A hook of the program may keep the monitor; it does nothing for the runtime any more.
        rescue::join(shared, remaining().map_or(PATIENCE, |remaining| remaining.min(PATIENCE)));
        join_workers(shared);
    }
}

/// Ends a runtime that could not be started whole.
pub(super) fn abandon(shared: &Shared) {
    shut_down_now(shared, None);
}

/// Waits until the last worker has left its loop, at most for `patience`; true if it has.
fn wait_for_workers(shared: &Shared, patience: Duration) -> bool {
    let since = crate::time::clock::real_now();
    loop {
        // Acquire: pairs with the AcqRel decrement in `worker::leave`.
        if shared.workers.alive.load(Ordering::Acquire) == 0 {
            return true;
        }
        let waited = crate::time::clock::real_now().saturating_duration_since(since);
        let left = patience.saturating_sub(waited);
        if left.is_zero() {
            return false;
        }
        // A day at a time: the system's timeout has an end.
        shared.workers.ended.park_timeout(left.min(Duration::from_secs(86_400)));
    }
}

fn report_workers(shared: &Shared) {
    let running: Vec<String> =
        shared.heap.describe_live().iter().filter(|task| task.is_running).map(ToString::to_string).collect();
    eprintln!(
        "redd: the runtime's shutdown still waits for {} worker threads. {} They do not reach an `.await`: move blocking \
         work to `spawn_blocking`, or shut down with `Runtime::shutdown_timeout`.",
        shared.workers.alive.load(Ordering::Relaxed),
        if running.is_empty() { "No task is running.".to_owned() } else { format!("Running: {}.", running.join("; ")) }
    );
}

fn report_closures(shared: &Shared) {
    eprintln!(
        "redd: the runtime's shutdown still waits for {} threads with closures of `spawn_blocking`, and {} closures wait \
         for a thread. A closure that has started cannot be aborted; shut down with `Runtime::shutdown_timeout` to leave \
         them behind.",
        shared.blocking.threads(),
        shared.blocking.queue_depth()
    );
}

/// Waits until every worker thread has ended.
pub(super) fn join_workers(shared: &Shared) {
    loop {
        let Some(thread) = shared.workers.threads.lock().pop() else {
            return;
        };
        if thread.thread().id() == thread::current_id() {
            // A runtime that is dropped on one of its own threads cannot wait for it.
            continue;
        }
        // A worker catches what tasks do; if it panicked, the message was printed, and waiting goes on.
        drop(thread.join());
    }
}
