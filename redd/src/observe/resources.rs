//! Locks, semaphores, channels and timers as resources that tokio-console shows. With the feature `tracing` they have spans,
//! without it every type of this file is empty and every call compiles to nothing.
//!
//! Called by `sync` and `time`.
//!
//! A primitive contains a [`Resource`] and records its changes of state there. An operation that may wait is wrapped once,
//! where the user awaits it: by [`Resource::instrument`], or by [`Operation::poll`] in a `poll` function.
//!
//! # Invariants
//! - `subscriber-is-user-code`: nothing is recorded under a lock, nor before an acquired permit has an owner that releases
//!   it.

#![cfg_attr(not(feature = "tracing"), allow(unused_variables, dead_code, reason = "only a subscriber reads them"))]

#[cfg(feature = "tracing")]
mod spans;
mod state;

use std::future::Future;
#[cfg(feature = "tracing")]
use std::panic::Location;
use std::pin::Pin;
#[cfg(feature = "tracing")]
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
#[cfg(feature = "tracing")]
use spans::{OperationSpans, ResourceSpans};
pub(crate) use state::{ResourceKind, ResourceState};

/// Something that tasks wait on. It has spans if a subscriber is interested when it is created.
#[derive(Clone)]
pub(crate) struct Resource {
    #[cfg(feature = "tracing")]
    spans: Option<Arc<ResourceSpans>>,
}

impl Resource {
    /// A resource that no subscriber sees: created in a `const`, or for the runtime's own use.
    pub(crate) const NONE: Self = Self {
        #[cfg(feature = "tracing")]
        spans: None,
    };

    /// Creates a resource and records its first state. Its location is that of the caller.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn new(kind: ResourceKind) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            spans: ResourceSpans::new(kind, Location::caller()).map(Arc::new),
        }
    }

    /// Records new values of the state. Without a span it records nothing, because a subscriber would attribute the values to
    /// the resource that is being polled.
    #[inline(always)]
    pub(crate) fn record_state<const N: usize>(&self, state: impl FnOnce() -> [ResourceState; N]) {
        #[cfg(feature = "tracing")]
        if let Some(spans) = &self.spans {
            // `subscriber-is-user-code`: a lock that `state` takes is released before the first value is recorded.
            spans.record_state(state());
        }
    }

    /// Records how many permits of a lock or semaphore are free.
    #[inline(always)]
    pub(crate) fn record_available(&self, available: impl FnOnce() -> usize) {
        #[cfg(feature = "tracing")]
        if let Some(spans) = &self.spans {
            spans.record_available(available());
        }
    }

    /// Records that a guard of a lock or semaphore held `before` permits and now holds `after`.
    #[inline(always)]
    pub(crate) fn record_held(&self, before: usize, after: usize, available: impl FnOnce() -> usize) {
        #[cfg(feature = "tracing")]
        if let Some(spans) = &self.spans {
            spans.record_held(before, after, available());
        }
    }

    /// Starts an operation on the resource. `source` is the function that the user called.
    #[inline(always)]
    pub(crate) fn operation(&self, source: &str) -> Operation {
        Operation {
            #[cfg(feature = "tracing")]
            spans: self.spans.as_ref().map(|resource| Arc::new(OperationSpans::new(Arc::clone(resource), source))),
        }
    }

    /// Wraps `future` as an operation on the resource. `source` is the function that the user called.
    #[inline(always)]
    pub(crate) fn instrument<F: Future>(&self, source: &str, future: F) -> Instrumented<F> {
        Instrumented { operation: self.operation(source), future }
    }
}

/// Something that a task does with a resource, and may wait for.
#[derive(Clone)]
pub(crate) struct Operation {
    #[cfg(feature = "tracing")]
    spans: Option<Arc<OperationSpans>>,
}

impl Operation {
    /// Runs one poll of the operation, and records how it ends.
    #[inline(always)]
    pub(crate) fn poll<T>(&self, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        #[cfg(feature = "tracing")]
        if let Some(spans) = &self.spans {
            return spans.poll(poll);
        }
        poll()
    }

    /// Runs one poll of a timer, as [`poll`](Self::poll). The first poll for which `has_budget` is true also records `state`.
    #[inline(always)]
    pub(crate) fn poll_timer<T>(
        &self,
        has_budget: impl FnOnce() -> bool,
        state: impl FnOnce() -> ResourceState,
        poll: impl FnOnce() -> Poll<T>,
    ) -> Poll<T> {
        #[cfg(feature = "tracing")]
        if let Some(spans) = &self.spans {
            return spans.poll_timer(has_budget, state, poll);
        }
        poll()
    }
}

pin_project! {
    /// A future that is an operation on a resource; returned by [`Resource::instrument`].
    pub(crate) struct Instrumented<F> {
        operation: Operation,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Instrumented<F> {
    type Output = F::Output;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.operation.poll(|| this.future.poll(cx))
    }
}
