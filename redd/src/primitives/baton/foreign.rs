//! The threads of the process that do not belong to a world, and were started since it began. The program may have started these.
//!
//! Called by `member`, for the threads that do belong to a world, and by `world` when nothing can happen.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use super::guard::lock;
use crate::sys::outside::outside;
use crate::sys::thread::{self, RunState};

/// How many looks in a row find no such thread running before it counts as waiting.
const LOOKS: u32 = 3;
/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(1);
/// After so many looks such a thread counts as one that has nothing to do with the world.
const LOOKS_MAX: u32 = 200;
/// After so many looks a wake that has begun is not waited for any more.
const TURNS_MAX: u32 = 5000;
/// More names do not help.
const NAMES_MAX: usize = 8;

/// The system's numbers of the threads that belong to worlds.
static MEMBERS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn members<R>(f: impl FnOnce(&mut BTreeSet<u32>) -> R) -> R {
    f(&mut lock(&MEMBERS))
}

/// The calling thread belongs to a world from here on.
pub(super) fn enter() {
    members(|members| members.insert(thread::current_id()));
}

/// The calling thread belongs to no world any more.
pub(super) fn leave() {
    members(|members| members.remove(&thread::current_id()));
}

/// What the process had when a world began.
#[derive(Debug)]
pub(super) struct Foreign {
    before: Vec<u32>,
}

impl Foreign {
    pub(super) fn new() -> Self {
        Self { before: thread::all() }
    }

    fn threads(&self) -> Vec<u32> {
        let mut threads = thread::all();
        threads.retain(|thread| !self.before.contains(thread));
        members(|members| threads.retain(|thread| !members.contains(thread)));
        threads
    }

    /// The names of these threads, for people. Empty if there are none, or if the system does not report it.
    pub(super) fn names(&self) -> Vec<String> {
        self.threads().into_iter().filter_map(thread::name).take(NAMES_MAX).collect()
    }

    /// Waits in real time while one of these threads runs: it may be about to wake a task. `look` returns whether a thread of the world was
    /// woken, and the number of failures.
    #[expect(clippy::disallowed_methods, reason = "it looks at threads outside of the world, which have real time")]
    pub(super) fn wait(&self, mut look: impl FnMut() -> (bool, usize)) {
        let (mut idle, (_, before)) = (0, look());
        for turn in 0..TURNS_MAX {
            let (is_woken, failures) = look();
            // A thread outside of the world has made a task ready, and now wakes the thread that polls it.
            let is_waking = failures > before;
            let threads = self.threads();
            let runs = || threads.iter().any(|id| thread::run_state(*id) == Some(RunState::Runnable));
            idle = if is_waking || runs() { 0 } else { idle + 1 };
            if is_woken || threads.is_empty() || idle == LOOKS || (turn >= LOOKS_MAX && !is_waking) {
                return;
            }
            outside(|| std::thread::sleep(PAUSE));
        }
    }
}
