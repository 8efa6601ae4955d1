//! The test suites of other projects inside of a world: each thread that builds a runtime belongs to a world from then on, until it ends.
//!
//! Called by `builder`, in builds with `cfg(redd_suite_in_world)`. The lane `suites-in-world` makes them.
//!
//! | environment variable | |
//! |---|---|
//! | `REDD_SUITE_SEED` | the seed of the worlds; without it, there is none |
//! | `REDD_SUITE_RESULT` | a file for the result of each world: a line of its hash and the number of its events, then one line for each failure |
//! | `REDD_SUITE_EVENTS` | if it is set, the file has all events too |
//!
//! # Why not otherwise
//! With `Builder::simulated` a world ends with its runtime. A test may have several runtimes, and look at the time between them.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use super::simulated::LIMIT;
use crate::current;
use crate::primitives::baton::{self, Baton, Joined, new_world};
use crate::primitives::seed::random_seed;

/// The world that a thread has got from [`join`].
struct ThreadWorld {
    baton: Arc<Baton>,
    _joined: Joined,
}

thread_local! {
    static WORLD: RefCell<Option<ThreadWorld>> = const { RefCell::new(None) };
}

/// The calling thread belongs to a world from here on.
pub(super) fn join() {
    let Ok(seed) = std::env::var("REDD_SUITE_SEED") else { return };
    if baton::is_member() {
        return;
    }
    let seed = seed.parse().expect("REDD_SUITE_SEED is a number");
    let baton = new_world(seed, LIMIT, std::env::var_os("REDD_SUITE_EVENTS").is_some());
    let joined = baton.join();
    // The generator is left as it is: at the end of the thread it may be gone before the guard.
    let _ = ManuallyDrop::new(current::seed_thread(random_seed()));
    WORLD.with(|world| *world.borrow_mut() = Some(ThreadWorld { baton, _joined: joined }));
}

impl Drop for ThreadWorld {
    /// The thread ends. It has the baton until the next field is dropped.
    fn drop(&mut self) {
        let Some(path) = std::env::var_os("REDD_SUITE_RESULT") else { return };
        let (hash, events) = self.baton.hash();
        let mut text = format!("world {hash:016x} {events}\n");
        for failure in self.baton.failures() {
            let first = failure.text.lines().next().unwrap_or_default();
            let _ = writeln!(text, "failure {:?} after {:?}: {first}", failure.kind, failure.at);
        }
        let record = self.baton.take_record();
        for event in &record.events {
            let _ = writeln!(text, "event {event:?}");
        }
        for (number, task) in (1..).zip(&record.tasks) {
            let _ = writeln!(text, "task {number}: {task}");
        }
        for (number, thread) in record.threads.iter().enumerate() {
            let _ = writeln!(text, "thread {number}: {thread}");
        }
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.expect("the file of REDD_SUITE_RESULT can be written");
    }
}
