//! The task that takes a shutdown from phase to phase.
//!
//! Called by `phases`: the start of the shutdown spawns it.
//!
//! 1. A phase begins. What waits for it wakes.
//! 2. The task waits until the phase has no hold and no busy group, or the time of the phase is over.
//! 3. The phase is over: its groups are cancelled. The next one begins.
//! 4. After the last phase, what was cancelled gets a moment to be dropped. Shields and clean-ups get what the phases left of their
//!    time.
//! 5. The report is made.
//!
//! # Invariants
//! - `within-the-sum`: it ends within the sum of the phases' times and `GRACE`.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::phases_core::{DriverStart, PhasesCore};
use crate::scheduler::shared::Shared;
use crate::time::sleep::sleep_on;

/// How long the end waits for cancelled futures to be dropped. No benchmark chose it.
const GRACE: Duration = Duration::from_millis(100);

/// The name of the task.
const NAME: &str = "phases";

/// Spawns the driver if the shutdown has started, has none, and there is a runtime for it.
pub(super) fn ensure_driven(core: &Arc<PhasesCore>) {
    let Some(DriverStart { runtime, location }) = core.driver() else { return };
    let shared = Arc::clone(&runtime.shared);
    let driver = Driver { core: Arc::clone(core), shared };
    // Its drop is the end of the phases, also if it is never polled.
    let handle = runtime.shared.spawn_at(async move { driver.run().await }, Some(Arc::from(NAME)), location);
    drop(handle);
}

struct Driver {
    core: Arc<PhasesCore>,
    shared: Arc<Shared>,
}

impl Driver {
    async fn run(self) {
        let core = &self.core;
        let begun = self.now();
        let phases = core.phases();
        for index in 0..phases {
            let within = core.begin(index, self.now());
            let is_done = || !core.has_holds(index..index + 1) && !core.has_busy_group(index..index + 1);
            self.wait(within, true, is_done).await;
            core.end(index, self.now());
        }
        core.settle();
        let is_done = || !core.has_holds(0..phases) && !core.has_busy_group(0..phases);
        self.wait(GRACE, false, is_done).await;
        // `within-the-sum`
        let left = core.total().saturating_sub(self.now().saturating_duration_since(begun));
        self.wait(left, true, || !core.has_busy_group(0..phases)).await;
        core.finish(self.now(), None);
    }

    fn now(&self) -> std::time::Instant {
        self.shared.parts.timers.clock().now()
    }

    /// Waits until `is_done`, at most for this time. With `may_end_early`, the end of all times ends the wait.
    async fn wait(&self, within: Duration, may_end_early: bool, is_done: impl Fn() -> bool) {
        if within.is_zero() {
            return;
        }
        let mut done = pin!(self.core.until(|| (may_end_early && self.core.is_ended_early()) || is_done()));
        let mut time = pin!(sleep_on(&self.shared.parts.timers, within));
        let either = poll_fn(|cx| {
            if done.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            time.as_mut().poll(cx)
        });
        either.await;
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Does nothing if the report is made.
        self.core.finish(self.now(), Some("its runtime was shut down"));
    }
}
