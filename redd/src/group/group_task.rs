//! The futures that a group spawns: they set the scope of their task, and end it when it must stop.
//!
//! Called by `task_group` and `clean_ups`.
//!
//! # Invariants
//! - `stop-is-seen`: a group that stops sets the stage of its scope, and then wakes its tasks. A task looks at the stage before
//!   and after it polls its future. So it ends in the poll that follows, or in the one where its last shield ends.
//! - `own-root`: the group spawns these futures as tasks, so the current task of a poll is theirs.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use pin_project_lite::pin_project;

use super::scope::{Context, Scope};
use crate::observe::waiting::{self, WaitKind};
use crate::task::current::abort_current;

pin_project! {
    pub(super) struct GroupTask<F> {
        #[pin]
        future: F,
        // Swapped into the thread-local during a poll.
        context: Option<Context>,
        // The place in the order of spawns, if the group has a limit. 0 if not.
        number: u64,
        // The group was cancelled before it was spawned: it is not polled.
        is_refused: bool,
    }
}

impl<F> GroupTask<F> {
    pub(super) fn new(future: F, scope: &Arc<Scope>, number: u64) -> Self {
        let is_refused = scope.is_cancelled();
        Self { future, context: Some(Context::new(Arc::clone(scope))), number, is_refused }
    }

    /// A task that ends without being polled. It drops `future` then.
    pub(super) fn refused(future: F, scope: &Arc<Scope>) -> Self {
        Self { future, context: Some(Context::new(Arc::clone(scope))), number: 0, is_refused: true }
    }
}

/// The context is in its place outside of a poll.
#[inline]
fn must_stop(context: &Option<Context>) -> bool {
    context.as_ref().is_some_and(Context::must_stop)
}

impl<F: Future> Future for GroupTask<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<F::Output> {
        let this = self.project();
        if *this.is_refused || must_stop(this.context) {
            abort_current(); // `own-root`
            return Poll::Pending;
        }
        // Its place is granted before it is woken. Until then only the group's stop or an abort wakes it.
        if let Some(context) = this.context.as_ref().filter(|context| !context.scope.is_granted(*this.number)) {
            waiting::record(WaitKind::GroupPlace, Some(context.scope.created_at));
            return Poll::Pending;
        }
        let future = this.future;
        let polled = Context::enter(this.context, || future.poll(cx));
        // `stop-is-seen`
        if polled.is_pending() && must_stop(this.context) {
            abort_current();
        }
        polled
    }
}

pin_project! {
    /// A clean-up: no stop of the group ends it.
    pub(super) struct CleanUp<F> {
        #[pin]
        future: F,
        context: Option<Context>,
    }
}

impl<F> CleanUp<F> {
    pub(super) fn new(future: F, scope: &Arc<Scope>) -> Self {
        Self { future, context: Some(Context::of_clean_up(Arc::clone(scope))) }
    }
}

impl<F: Future> Future for CleanUp<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<F::Output> {
        let this = self.project();
        let future = this.future;
        Context::enter(this.context, || future.poll(cx))
    }
}
