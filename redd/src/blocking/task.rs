//! A closure as a task that runs once, on a thread of the blocking pool.
//!
//! Called by `scheduler::closures` (submit) and by the pool's threads.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::pool::{Pool, Work};
use crate::observe::coarse;
use crate::observe::recorder::{self, EventKind};
use crate::primitives::baton;
use crate::task::poll::Ran;
use crate::task::{Runnable, coop};

/// The pool of one runtime.
pub(crate) type BlockingPool = Pool<BlockingTask>;

/// A closure that waits for a thread.
#[derive(Debug)]
pub(crate) struct BlockingTask {
    runnable: Runnable,
    urgency: Urgency,
    /// Released when the closure has ended.
    _clock: Option<HoldClock>,
}

/// What shutdown does with a closure for which no thread was started or woken yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// It is cancelled.
    Usual,
    /// It runs: a write that was accepted reaches its file.
    Mandatory,
}

/// A closure holds this until it has ended or is dropped. A paused clock does not advance meanwhile, because a task may wait for
/// the closure.
struct HoldClock(Arc<dyn ClosureHost>);

/// A runtime whose clock may be paused.
pub(crate) trait ClosureHost: Send + Sync {
    /// A closure has been accepted.
    fn closure_begins(&self);
    /// It has ended, or was dropped.
    fn closure_ends(&self);
}

impl HoldClock {
    fn new(host: Arc<dyn ClosureHost>) -> Self {
        host.closure_begins();
        Self(host)
    }
}

impl Drop for HoldClock {
    fn drop(&mut self) {
        self.0.closure_ends();
    }
}

debug_struct!([] HoldClock as "HoldClock", self => { .. });

impl BlockingTask {
    /// `host`: the runtime, if its clock may be paused.
    pub(crate) fn new(runnable: Runnable, urgency: Urgency, host: Option<Arc<dyn ClosureHost>>) -> Self {
        Self { runnable, urgency, _clock: host.map(HoldClock::new) }
    }

    /// Of work that was refused.
    pub(crate) fn into_runnable(self) -> Runnable {
        self.runnable
    }
}

impl Work for BlockingTask {
    fn run(self) {
        if baton::is_any() && baton::is_dead() {
            return self.cancel(); // Its simulated host has crashed.
        }
        // For dumps: workers may have slept for long while it waited for a thread.
        coarse::refresh();
        let id = self.runnable.header().id().number();
        recorder::on_closure_thread(EventKind::ClosureStart, id);
        match self.runnable.run() {
            Ran::Done => {}
            Ran::Requeue(_) | Ran::Yielded(_) => unreachable!("a closure is polled once and ends"),
        }
        recorder::on_closure_thread(EventKind::ClosureEnd, id);
    }

    fn cancel(self) {
        self.runnable.cancel();
    }

    fn is_mandatory(&self) -> bool {
        self.urgency == Urgency::Mandatory
    }
}

/// The closure as a future that is ready at once.
pub(crate) struct Closure<F>(pub(crate) Option<F>);

impl<F> Unpin for Closure<F> {}

impl<F: FnOnce() -> R, R> Future for Closure<F> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<R> {
        let f = self.0.take().expect("a closure is polled once");
        // It has no budget: no task waits for its thread.
        Poll::Ready(coop::without_limit(f))
    }
}
