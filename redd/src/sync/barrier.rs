//! Tasks that wait for each other: [`Barrier`].
//!
//! # Invariants
//! - `arrived-below-size`: under the lock, fewer have arrived than the barrier wants; the one that completes the number
//!   begins the next round and calls all.
//! - `arrival-counts`: who has arrived is counted, even if its future is dropped before the others come.

use std::fmt;
use std::future::Future;
use std::panic::Location;

use super::wait_list::WaitList;
use super::wait_until::wait_until;
use crate::observe::resources::{Resource, ResourceKind, Update};
use crate::observe::waiting::WaitKind;
use crate::task::coop::consume_budget;

/// Lets a number of tasks wait until all of them have arrived; then it can be used again.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let only_me = redd::sync::Barrier::new(1);
/// assert!(only_me.wait().await.is_leader());
/// # });
/// ```
pub struct Barrier {
    size: usize,
    waiters: WaitList<Round>,
    resource: Resource,
}

struct Round {
    number: usize,
    arrived: usize,
}

impl Barrier {
    /// A barrier for `n` tasks; 0 is as good as 1.
    #[track_caller]
    pub fn new(n: usize) -> Self {
        let size = n.max(1);
        let resource = Resource::new(ResourceKind::Barrier);
        resource.tell(|| [Update::Size(size), Update::Arrived(0)]);
        Self { size, waiters: WaitList::new(Round { number: 0, arrived: 0 }), resource }
    }

    /// Arrives, and waits until all have. One of them is told that it is the leader.
    ///
    /// # Cancel safety
    /// Not cancel safe: a future that is dropped after its first poll has arrived all the same.
    #[track_caller]
    pub fn wait(&self) -> impl Future<Output = BarrierWaitResult> {
        let location = Some(Location::caller());
        self.resource.instrument("Barrier::wait", "poll", async move {
            // Before the arrival: the leader of a barrier for one task never waits.
            consume_budget().await;
            // `arrival-counts`
            let arrival = self.arrive();
            self.resource.tell(|| [Update::Arrived(self.arrived())]);
            let Some(round) = arrival else { return BarrierWaitResult(true) };
            let is_over = |now: &Round| (now.number != round).then_some(());
            wait_until(&self.waiters, WaitKind::Barrier, location, || None, |now| is_over(now)).await;
            BarrierWaitResult(false)
        })
    }

    fn arrived(&self) -> usize {
        self.waiters.lock().arrived
    }

    /// Counts one more, and says in which round. `None`: all are there, and have been called.
    fn arrive(&self) -> Option<usize> {
        let mut round = self.waiters.lock();
        round.arrived += 1;
        if round.arrived < self.size {
            return Some(round.number);
        }
        // `arrived-below-size`
        *round = Round { number: round.number.wrapping_add(1), arrived: 0 };
        round.notify_all();
        None
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("size", &self.size).field("arrived", &self.arrived()).finish()
    }
}

/// What [`Barrier::wait`] answers.
#[derive(Clone, Debug)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// True for one of the tasks that met, false for the others.
    pub fn is_leader(&self) -> bool {
        self.0
    }
}
