//! Runtimes in a simulated world: joining a world, what ends a `block_on`, and what a failed world shows of a runtime.
//!
//! Called by `builder`, `lifecycle` and `watched`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::attach::{Format, Observed};
use crate::current::{self, SeedGuard};
use crate::primitives::baton::{Baton, Joined, WorldEnded, new_world};
use crate::primitives::seed::random_seed;
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

/// Adds the runtime to the dump of its world.
pub(super) fn begin(shared: &Arc<Shared>) {
    let Some(baton) = &shared.config.baton else { return };
    let shared = Arc::downgrade(shared);
    baton.add_describe(move |out| {
        if let Some(shared) = shared.upgrade() {
            shared.write_heading(out);
            shared.write_dump(out, Format::Text, false);
        }
    });
}

/// Panics if the world of the runtime cannot continue, so that the runtime shuts down. The thread is in `block_on`.
pub(super) struct WorldWatch<'a>(&'a Baton);

impl Drop for WorldWatch<'_> {
    fn drop(&mut self) {
        self.0.set_root(None);
    }
}

impl<'a> WorldWatch<'a> {
    /// `None` if the runtime belongs to no world.
    pub(super) fn begin(shared: &'a Shared) -> Option<Self> {
        shared.expect_own_world("`Runtime::block_on`");
        Some(Self(shared.config.baton.as_ref()?))
    }

    pub(super) fn before_poll(&self, waker: &Waker) {
        Baton::maybe_pass(); // As before the poll of a task.
        if let Some(reason) = self.0.end_reason() {
            if self.0.has_caller() {
                fail(self.0, &reason);
            }
            WorldEnded::unwind();
        }
        self.0.set_root(Some(waker));
    }

    pub(super) fn end(self) {
        if self.0.has_caller() {
            if let Some(failure) = self.0.failures().first() {
                fail(self.0, &failure.text);
            }
        }
    }
}

fn fail(baton: &Baton, text: &str) -> ! {
    let mut message = format!("the simulated world of seed {} has failed: ", baton.seed());
    let _ = write!(message, "{text}");
    panic!("{message}")
}
