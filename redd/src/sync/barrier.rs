//! Tasks that wait for each other: [`Barrier`].
//!
//! # Invariants
//! - `arrived-below-size`: under the lock, fewer have arrived than the barrier wants; the one that completes the number
//!   sets it back to 0 and calls all.
//! - `arrival-counts`: who has arrived is counted, even if its future is dropped before the others come.

#![expect(unsafe_code, reason = "links the waiter that the future pins")]

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::wait_list::{Place, Stage, WaitList, Waiter};
use crate::observe::waiting::WaitKind;
use crate::task::coop;

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
    /// Guards how many have arrived.
    waiters: WaitList<usize>,
}

impl Barrier {
    /// A barrier for `n` tasks; 0 is as good as 1.
    pub fn new(n: usize) -> Self {
        Self { size: n.max(1), waiters: WaitList::new(0) }
    }

    /// Arrives, and waits until all have. One of them is told that it is the leader.
    ///
    /// # Cancel safety
    /// Not cancel safe: a future that is dropped after its first poll has arrived all the same.
    #[track_caller]
    pub fn wait(&self) -> impl Future<Output = BarrierWaitResult> {
        self.wait_from(Some(Location::caller()))
    }

    async fn wait_from(&self, place: Place) -> BarrierWaitResult {
        let arrival = Arrival { barrier: self, waiter: Waiter::new(WaitKind::Barrier, place) };
        BarrierWaitResult(arrival.await)
    }

    /// Counts one more. True: all are there, and have been called.
    ///
    /// # Safety
    /// The duty of `wait_list::Guard::push_back` for `waiter`.
    unsafe fn arrive(&self, waiter: Pin<&Waiter>, cx: &Context<'_>) -> bool {
        let waker = cx.waker().clone();
        let mut guard = self.waiters.lock();
        *guard += 1;
        if *guard == self.size {
            // `arrived-below-size`
            *guard = 0;
            guard.call_all();
            return true;
        }
        // SAFETY: by this function's duty.
        unsafe { guard.push_back(waiter, Some(waker), 0) };
        false
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("size", &self.size).field("arrived", &*self.waiters.lock()).finish()
    }
}

pin_project! {
    /// One task's arrival; ready with whether it is the leader. Not polled again after that.
    struct Arrival<'a> {
        barrier: &'a Barrier,
        #[pin]
        waiter: Waiter,
    }

    impl PinnedDrop for Arrival<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.waiter.stage() != Stage::Idle {
                // `arrival-counts`: it only leaves the list.
                this.barrier.waiters.leave(this.waiter.as_ref());
            }
        }
    }
}

impl Future for Arrival<'_> {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let this = self.project();
        let waiter = this.waiter.as_ref();
        if waiter.stage() == Stage::Idle {
            // SAFETY: the waiter is pinned, the barrier outlives this future, and the drop above removes it.
            if unsafe { this.barrier.arrive(waiter, cx) } {
                return Poll::Ready(true);
            }
            waiter.note();
            return Poll::Pending;
        }
        let unit = ready!(coop::poll_proceed(cx));
        if this.barrier.waiters.renew(waiter, cx) == Stage::Linked {
            waiter.note();
            return Poll::Pending;
        }
        unit.made_progress();
        Poll::Ready(false)
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
