//! Runtimes in a simulated world: joining a world, what ends a `block_on`, and what a failed world shows of a runtime.
//!
//! Called by `builder`, `lifecycle` and `watched`.

use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use crate::attach::{Format, Observed};
use crate::current::{self, SeedGuard};
use crate::primitives::baton::{self, Baton, Joined, WorldEnded, WorldRuntime, new_world};
use crate::primitives::seed::random_seed;
use crate::primitives::thread;
use crate::scheduler::shared::Shared;

/// The limit of virtual time of a world that a test has not given one.
pub(crate) const LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// The world of `Builder::simulated`: the thread that builds the runtime belongs to it until it drops the runtime.
#[derive(Debug)]
pub(crate) struct OwnWorld {
    _joined: Joined,
    _seed: SeedGuard,
}

impl OwnWorld {
    pub(super) fn new(seed: u64) -> Self {
        let joined = new_world(seed, LIMIT, false).join();
        Self { _joined: joined, _seed: current::seed_thread(random_seed()) }
    }
}

/// A runtime, for the dump of its world.
struct Described(Weak<Shared>);

impl WorldRuntime for Described {
    fn describe(&self, out: &mut String) {
        if let Some(shared) = self.0.upgrade() {
            if !shared.config.has_crashed() {
                shared.write_heading(out);
                shared.write_dump(out, Format::Text, false);
            }
        }
    }
}

/// Adds the runtime to the dump of its world.
pub(super) fn begin(shared: &Arc<Shared>) {
    if let Some(baton) = &shared.config.baton {
        baton.add_runtime(Box::new(Described(Arc::downgrade(shared))));
    }
}

/// Ends the future of a `block_on` if the world of the runtime cannot continue, so that the runtime shuts down.
pub(super) struct WorldWatch<'a> {
    baton: &'a Baton,
    shared: &'a Shared,
}

impl Drop for WorldWatch<'_> {
    fn drop(&mut self) {
        self.baton.set_root(None);
    }
}

impl<'a> WorldWatch<'a> {
    /// `None` if the runtime belongs to no world.
    pub(super) fn begin(shared: &'a Shared) -> Option<Self> {
        shared.expect_own_world("`Runtime::block_on`");
        Some(Self { baton: shared.config.baton.as_ref()?, shared })
    }

    /// Returns why the future is not to be polled any more.
    pub(super) fn before_poll(&self, waker: &Waker) -> Option<EndedEarly> {
        Baton::maybe_pass(); // As before the poll of a task.
        let is_dead = baton::is_dead();
        if is_dead {
            self.shared.end_after_crash();
        }
        if is_dead && !thread::is_unwinding() {
            return Some(EndedEarly::Silently);
        }
        if let Some(reason) = self.baton.end_reason() {
            if self.baton.has_caller() {
                return Some(EndedEarly::WithMessage(message_of(self.baton, &reason)));
            }
            if !thread::is_unwinding() {
                return Some(EndedEarly::Silently);
            }
        }
        self.baton.set_root(Some(waker));
        None
    }

    pub(super) fn end(self) {
        if self.baton.has_caller() {
            if let Some(failure) = self.baton.failures().first() {
                panic!("{}", message_of(self.baton, &failure.text));
            }
        }
    }
}

/// Why the future of a `block_on` ends before its time.
pub(super) enum EndedEarly {
    /// The world reports it, or its host has crashed. The panic hook does not see the panic.
    Silently,
    WithMessage(String),
}

impl EndedEarly {
    pub(super) fn unwind(self) {
        match self {
            Self::Silently => WorldEnded::unwind_unless_panicking(),
            Self::WithMessage(message) => panic!("{message}"),
        }
    }
}

fn message_of(baton: &Baton, text: &str) -> String {
    format!("the simulated world of seed {} has failed: {text}", baton.seed())
}
