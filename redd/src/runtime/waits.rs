//! Which threads wait for the end of which runtimes, so that no shutdown waits for itself.
//!
//! Called by `shutdown`.
//!
//! A worker that drops its own runtime inside `block_in_place` would wait for its own end. So would two workers that
//! drop each other's runtimes, a closure of `spawn_blocking`, and the destructor of a thread-local. All of these are
//! cycles: a thread waits for a runtime, and the runtime for the thread.
//!
//! # Protocol
//! 1. A thread that is about to wait registers itself with the runtime (`Registered::new`).
//! 2. Under the same lock it searches for threads of that runtime that wait for it, directly or through other runtimes.
//! 3. It does not wait for these threads ([`Excluded`]). They end after the wait that closed the cycle has returned.
//! 4. After the wait, its entry is removed.
//!
//! # Invariants
//! - `last-edge-closes`: entries are added under one lock, and a runtime that shuts down gets no new threads that wait. So the
//!   last thread of a cycle to register sees all the others.
//!
//! Only waits for runtimes are registered. If a worker joins a thread of the standard library, it waits for whatever
//! that thread waits for, and no cycle is found.

use std::sync::{Arc, OnceLock};

use crate::primitives::Mutex;
use crate::primitives::thread::{self, ThreadId};
use crate::scheduler::leave;
use crate::scheduler::shared::Shared;

static WAITS: OnceLock<Mutex<Waits>> = OnceLock::new();

#[derive(Default)]
struct Waits {
    next: u64,
    entries: Vec<Wait>,
}

struct Wait {
    number: u64,
    thread: ThreadId,
    /// The address of the runtime if the thread is one of its workers that have not left, or else zero.
    worker_of: usize,
    runtime: Arc<Shared>,
    /// The threads of the runtime when the wait began. The runtime's own list shrinks while they are joined.
    threads: Vec<ThreadId>,
}

impl Wait {
    fn is_worker_of(&self, runtime: &Arc<Shared>) -> bool {
        self.worker_of == Arc::as_ptr(runtime).addr()
    }

    /// Whether this wait is for the thread of `other`.
    fn is_for(&self, other: &Self) -> bool {
        other.is_worker_of(&self.runtime)
            || self.threads.contains(&other.thread)
            || self.runtime.has_thread(other.thread)
    }
}

/// Threads that a wait excludes, because they wait for it.
#[derive(Debug, Default)]
pub(super) struct Excluded {
    pub(super) threads: Vec<ThreadId>,
    /// How many of them are workers that have not left.
    pub(super) workers: usize,
}

/// A thread that waits for the end of a runtime.
pub(super) struct Registered {
    number: u64,
    pub(super) excluded: Excluded,
}

impl Registered {
    pub(super) fn new(shared: &Shared) -> Self {
        let threads = shared.threads();
        // `last-edge-closes`: adding the entry and the search for a cycle are under one lock.
        let waits = &mut *WAITS.get_or_init(Mutex::default).lock();
        let number = waits.next;
        waits.next += 1;
        let runtime = shared.arc();
        let (thread, worker_of) = (thread::current_id(), leave::worker_of());
        waits.entries.push(Wait { number, thread, worker_of, runtime, threads });
        Self { number, excluded: excluded(&waits.entries) }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut waits = WAITS.get().expect("this one is registered").lock();
        let at = waits.entries.iter().position(|wait| wait.number == self.number);
        let wait = at.map(|at| waits.entries.swap_remove(at));
        drop(waits);
        drop(wait);
    }
}

/// Step 2, for the last of the entries.
fn excluded(waits: &[Wait]) -> Excluded {
    let mut excluded = Excluded::default();
    let Some(mine) = waits.last() else { return excluded };
    for wait in waits.iter().filter(|wait| mine.is_for(wait)) {
        if !excluded.threads.contains(&wait.thread) && reaches(waits, wait.thread, mine.thread) {
            excluded.threads.push(wait.thread);
            excluded.workers += usize::from(wait.is_worker_of(&mine.runtime));
        }
    }
    excluded
}

/// Whether `from` waits for `to`, directly or through other threads. A thread reaches itself.
fn reaches(waits: &[Wait], from: ThreadId, to: ThreadId) -> bool {
    let mut seen = vec![from];
    let mut next = 0;
    while let Some(&thread) = seen.get(next) {
        next += 1;
        if thread == to {
            return true;
        }
        for wait in waits.iter().filter(|wait| wait.thread == thread) {
            for other in waits.iter().filter(|other| wait.is_for(other)) {
                if !seen.contains(&other.thread) {
                    seen.push(other.thread);
                }
            }
        }
    }
    false
}
