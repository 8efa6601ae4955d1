//! Phases of a shutdown, in order: nothing new, workers leave and cancel what they find, the blocking pool ends,
//! threads are joined.

use std::time::{Duration, Instant};

use super::Handle;
use super::context::{self, Entered};
use crate::primitives::atomic::Ordering;
use crate::primitives::thread;
use crate::scheduler::{Flavor, Shared, worker};

/// Shuts the runtime down once; later calls do nothing. `None` waits for as long as it takes.
#[track_caller]
pub(super) fn shutdown(handle: &mut Handle, timeout: Option<Duration>) {
    let shared = &handle.shared;
    if shared.begin_shutdown() {
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
    match shared.config.flavor {
        Flavor::MultiThread => {
            worker::release_spares(shared);
            shared.driver.wake();
        }
        Flavor::CurrentThread | Flavor::Local => {
            // If a thread is inside `block_on`, it has the core and finishes when it comes out.
            let core = shared.core.lock().take();
            match core {
                Some(core) => worker::finish_current_thread(shared, core),
                None => shared.driver.wake(),
            }
        }
    }
    shared.blocking.shutdown();
    wait(shared, deadline, timeout.is_none());
}

fn wait(shared: &Shared, deadline: Option<Instant>, for_ever: bool) {
    let remaining = || {
        deadline.map(|deadline| deadline.saturating_duration_since(crate::time::clock::real_now()))
    };
    if for_ever {
        join_workers(shared);
        shared.blocking.join_all(None);
        return;
    }
    // Workers first: they may be the ones who submit the last blocking work.
    wait_for_workers(shared, remaining);
    shared.blocking.join_all(remaining());
}

fn wait_for_workers(shared: &Shared, remaining: impl Fn() -> Option<Duration>) {
    // Acquire: pairs with the AcqRel decrement in `worker::leave`.
    while shared.workers.alive.load(Ordering::Acquire) > 0 {
        match remaining() {
            Some(Duration::ZERO) => return,
            Some(left) => drop(shared.workers.ended.park_timeout(left)),
            None => shared.workers.ended.park(),
        }
    }
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
