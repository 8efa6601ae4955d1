//! Locks, permits, channels and timers as `tracing` spans, by the names that tokio-console knows.
//!
//! Called by `sync` and `time` with the feature `tracing`. Without it, `unseen.rs` has the same items without effect.
//!
//! A resource is a span, and its changes are events. An operation on it adds two spans, one for the operation and one for
//! its current poll. Both are entered inside of the resource's span whenever the operation is polled.
//!
//! # Invariants
//! - `subscriber-is-user-code`: no event is emitted under a lock, nor before an acquired permit has an owner that releases it.

use std::fmt;
use std::future::Future;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tracing::{Span, trace, trace_span};

pub(crate) use super::{ResourceKind, Update};

/// The spans of each kind: the target, the type and the kind as the console names them. The last value is whether the
/// resource is a part of another one and passes its states on to it.
macro_rules! spans {
    ($($ResourceKind:ident: $target:literal, $concrete:literal, $kind:literal, $is_internal:literal;)+) => {
        impl ResourceKind {
            fn span(self, place: &Location<'_>) -> Span {
                match self {
                    $(Self::$ResourceKind => trace_span!(
                        target: $target,
                        parent: None,
                        "runtime.resource",
                        concrete_type = $concrete,
                        kind = $kind,
                        is_internal = $is_internal,
                        inherits_child_attrs = true,
                        loc.file = place.file(),
                        loc.line = place.line(),
                        loc.col = place.column(),
                    ),)+
                }
            }

            fn operation(self, parent: Option<&Span>, source: &str) -> Span {
                match (self, parent) {
                    $((Self::$ResourceKind, None) => trace_span!(
                        target: $target,
                        "runtime.resource.async_op",
                        source,
                        inherits_child_attrs = false,
                    ),
                    (Self::$ResourceKind, Some(parent)) => trace_span!(
                        target: $target,
                        parent: parent,
                        "runtime.resource.async_op",
                        source,
                        inherits_child_attrs = false,
                    ),)+
                }
            }

            fn poll(self, parent: Option<&Span>) -> Span {
                match (self, parent) {
                    $((Self::$ResourceKind, None) => trace_span!(target: $target, "runtime.resource.async_op.poll"),
                    (Self::$ResourceKind, Some(parent)) => {
                        trace_span!(target: $target, parent: parent, "runtime.resource.async_op.poll")
                    })+
                }
            }
        }
    };
}

spans! {
    Barrier: "tokio::sync::barrier", "Barrier", "Sync", false;
    Mutex: "tokio::sync::mutex", "Mutex", "Sync", false;
    Oneshot: "tokio::sync::oneshot", "Sender|Receiver", "Sync", false;
    Permits: "tokio::sync::batch_semaphore", "Semaphore", "Sync", true;
    RwLock: "tokio::sync::rwlock", "RwLock", "Sync", false;
    Semaphore: "tokio::sync::semaphore", "Semaphore", "Sync", false;
    Sleep: "tokio::time::sleep", "Sleep", "timer", false;
}

impl Update {
    fn emit(self) {
        macro_rules! update {
            ($($field:ident).+ = $value:expr, $op:literal) => {
                trace!(target: "runtime::resource::state_update", $($field).+ = $value, $($field).+.op = $op)
            };
        }
        match self {
            Self::Arrived(tasks) => update!(arrived = tasks as i64, "override"),
            Self::Duration(millis) => trace!(
                target: "runtime::resource::state_update",
                duration = millis,
                duration.unit = "ms",
                duration.op = "override",
            ),
            Self::Locked(is_locked) => update!(locked = is_locked, "override"),
            Self::MaxReaders(readers) => update!(max_readers = u64::from(readers), "override"),
            Self::Permits(permits) => update!(permits = permits as u64, "override"),
            Self::Readers(readers) if readers < 0 => update!(current_readers = -readers, "sub"),
            Self::Readers(readers) => update!(current_readers = readers, "add"),
            Self::RxDropped(is_dropped) => update!(rx_dropped = is_dropped, "override"),
            Self::Size(tasks) => update!(size = tasks as u64, "override"),
            Self::TxDropped(is_dropped) => update!(tx_dropped = is_dropped, "override"),
            Self::ValueReceived(is_received) => update!(value_received = is_received, "override"),
            Self::ValueSent(is_sent) => update!(value_sent = is_sent, "override"),
            Self::WriteLocked(is_locked) => update!(write_locked = is_locked, "override"),
        }
    }
}

/// Something that tasks wait on. It has a span if a subscriber is interested.
#[derive(Clone)]
pub(crate) struct Resource(Option<(ResourceKind, Span)>);

// A panic cannot leave a resource in an inconsistent state. Subscribers are responsible for their own state.
impl UnwindSafe for Resource {}
impl RefUnwindSafe for Resource {}

impl Resource {
    /// A resource without a span: made in a `const`, or for the runtime's own use.
    pub(crate) const UNSEEN: Self = Self(None);

    #[track_caller]
    pub(crate) fn new(kind: ResourceKind) -> Self {
        let span = kind.span(Location::caller());
        Self((!span.is_disabled()).then_some((kind, span)))
    }

    /// Runs `f` inside of the resource's span. Updates are then about this resource, and new resources become its parts.
    pub(crate) fn scope<R>(&self, f: impl FnOnce() -> R) -> R {
        match &self.0 {
            Some((_, span)) => span.in_scope(f),
            None => f(),
        }
    }

    /// Emits updates of this resource. Without a span it emits nothing: a subscriber would attribute the updates to the
    /// resource that is being polled.
    pub(crate) fn tell<const N: usize>(&self, updates: impl FnOnce() -> [Update; N]) {
        if let Some((_, span)) = &self.0 {
            span.in_scope(|| tell_here(updates));
        }
    }

    /// Creates an operation on the resource. `source` is the name of the function that starts it.
    pub(crate) fn operation(&self, source: &str) -> Operation {
        Operation(self.0.as_ref().map(|(kind, resource)| {
            if matches!(kind, ResourceKind::Sleep) {
                // As in Tokio, which creates timers without entering a span.
                let operation = kind.operation(Some(resource), source);
                let poll = kind.poll(Some(&operation));
                return (operation, poll);
            }
            let operation = resource.in_scope(|| kind.operation(None, source));
            let poll = operation.in_scope(|| kind.poll(None));
            (operation, poll)
        }))
    }

    /// Wraps `future` as an operation. `name` is the name of its polls.
    pub(crate) fn instrument<F>(&self, source: &str, name: &'static str, future: F) -> Instrumented<F> {
        Instrumented { operation: self.operation(source), resource: self.clone(), name, future }
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The spans of an operation, and of its polls.
#[derive(Clone)]
pub(crate) struct Operation(Option<(Span, Span)>);

impl UnwindSafe for Operation {}
impl RefUnwindSafe for Operation {}

impl Operation {
    /// Runs one poll of the operation.
    pub(crate) fn poll<T>(&self, resource: &Resource, name: &str, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        let Some((operation, span)) = &self.0 else { return poll() };
        resource.scope(|| {
            operation.in_scope(|| {
                span.in_scope(|| {
                    let outcome = poll();
                    tell_poll(name, outcome.is_ready());
                    outcome
                })
            })
        })
    }
}

/// Emits updates of the resource whose scope this is.
pub(crate) fn tell_here<const N: usize>(updates: impl FnOnce() -> [Update; N]) {
    // `subscriber-is-user-code`: a lock that `updates` takes is released before the first event is emitted.
    updates().into_iter().for_each(Update::emit);
}

/// Emits the end of a part of a poll: the check of the budget, or the whole poll.
pub(crate) fn tell_poll(op_name: &str, is_ready: bool) {
    trace!(target: "runtime::resource::poll_op", op_name, is_ready);
}

pin_project! {
    /// A future inside of its operation's spans; returned by [`Resource::instrument`].
    pub(crate) struct Instrumented<F> {
        operation: Operation,
        resource: Resource,
        name: &'static str,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Instrumented<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.operation.poll(this.resource, this.name, || this.future.poll(cx))
    }
}
