//! Tasks that wait for each other: [`Barrier`].
//!
//! Called by user code.
//!
//! # Invariants
//! - `arrived-below-size`: under the lock, fewer tasks have arrived than the barrier waits for. The task that completes
//!   the number starts the next round and notifies all others.
//! - `arrival-counts`: an arrival counts, even if its future is dropped before the other tasks arrive.

use std::fmt;
use std::future::Future;
use std::panic::Location;

use super::wait_list::WaitList;
use super::wait_until::wait_until;
use crate::observe::resources::{Resource, ResourceKind, ResourceState};
use crate::observe::waiting::WaitKind;
use crate::task::coop::consume_budget;

/// Lets a number of tasks wait until all of them have arrived. Then it starts again.
///
/// # Examples
/// No task starts its second step before all have finished the first:
/// ```
/// use redd::sync::Barrier;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let barrier = Arc::new(Barrier::new(3));
/// let finished = Arc::new(AtomicUsize::new(0));
/// let mut tasks = redd::task::JoinSet::new();
/// for _ in 0..3 {
///     let (barrier, finished) = (barrier.clone(), finished.clone());
///     tasks.spawn(async move {
///         finished.fetch_add(1, Ordering::Relaxed); // the first step
///         let is_leader = barrier.wait().await.is_leader();
///         assert_eq!(finished.load(Ordering::Relaxed), 3);
///         is_leader
///     });
/// }
/// let leaders = tasks.join_all().await;
/// assert_eq!(leaders.iter().filter(|is_leader| **is_leader).count(), 1);
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
    /// Makes a barrier for `n` tasks. 0 means the same as 1: no task waits.
    #[track_caller]
    pub fn new(n: usize) -> Self {
        let size = n.max(1);
        let resource = Resource::new(ResourceKind::Barrier { size });
        Self { size, waiters: WaitList::new(Round { number: 0, arrived: 0 }), resource }
    }

    /// Arrives, and waits until all tasks have arrived. One of them gets a result that marks it as the leader.
    ///
    /// # Cancel safety
    /// Not cancel safe: a future that is dropped after its first poll counts as arrived.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::Barrier;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let barrier = Barrier::new(2);
    /// let (one, two) = redd::join!(barrier.wait(), barrier.wait());
    /// assert_ne!(one.is_leader(), two.is_leader());
    /// # });
    /// ```
    #[track_caller]
    pub fn wait(&self) -> impl Future<Output = BarrierWaitResult> {
        let location = Some(Location::caller());
        self.resource.instrument("Barrier::wait", async move {
            // Before the arrival: the leader of a barrier for one task never waits.
            consume_budget().await;
            // `arrival-counts`
            let arrival = self.arrive();
            self.resource.record_state(|| [ResourceState::Arrived(self.arrived())]);
            let Some(round) = arrival else { return BarrierWaitResult(true) };
            let is_over = |now: &Round| (now.number != round).then_some(());
            wait_until(&self.waiters, WaitKind::Barrier, location, || None, |now| is_over(now)).await;
            BarrierWaitResult(false)
        })
    }

    fn arrived(&self) -> usize {
        self.waiters.lock().arrived
    }

    /// Counts one arrival and returns its round. `None`: it was the last, and the other tasks have been notified.
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

/// The result of [`Barrier::wait`].
///
/// # Examples
/// ```
/// use redd::sync::Barrier;
/// use std::sync::Arc;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let barrier = Arc::new(Barrier::new(2));
/// let other = redd::spawn({
///     let barrier = barrier.clone();
///     async move { barrier.wait().await.is_leader() }
/// });
/// let is_leader = barrier.wait().await.is_leader();
/// assert_ne!(is_leader, other.await.unwrap(), "one of the two leads");
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Returns true for one task of each round, and false for the others.
    pub fn is_leader(&self) -> bool {
        self.0
    }
}
