//! The `tracing` spans of resources and of operations on them, with the names that tokio-console reads.
//!
//! Called by `resources`, with the feature `tracing`.
//!
//! A resource is a span, and a change of its state is an event inside of it. A lock or semaphore has a second span for its
//! permits, which passes its state on to the first. An operation has one span for itself and one for its polls. Each poll
//! enters the span of the resource, of the operation and of the polls.
//!
//! # Invariants
//! - `resource-first`: the fields of an operation are dropped in the order of their declaration, so its reference to
//!   the resource is dropped before its own spans.

use std::panic::{Location, RefUnwindSafe};
use std::sync::Arc;
use std::task::Poll;

use tracing::{Span, trace, trace_span};

use super::state::{ResourceKind, ResourceState};
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::AtomicBool;

/// The span of a resource: the target, and the type and the kind that the console shows.
macro_rules! resource_span {
    ($location:expr, $target:literal, $concrete:literal, $kind:literal, is_internal = $is_internal:literal) => {
        trace_span!(
            target: $target,
            parent: None,
            "runtime.resource",
            concrete_type = $concrete,
            kind = $kind,
            is_internal = $is_internal,
            inherits_child_attrs = true,
            loc.file = $location.file(),
            loc.line = $location.line(),
            loc.col = $location.column(),
        )
    };
}

/// The spans of each kind: the target, the type and the kind that the console shows, and the name of its polls.
macro_rules! spans {
    ($($ResourceKind:ident: $target:literal, $concrete:literal, $kind:literal, $poll:literal;)+) => {
        impl ResourceKind {
            fn span(self, location: &Location<'_>) -> Span {
                match self {
                    $(Self::$ResourceKind { .. } => {
                        resource_span!(location, $target, $concrete, $kind, is_internal = false)
                    })+
                }
            }

            fn operation_span(self, parent: Option<&Span>, source: &str) -> Span {
                match (self, parent) {
                    $((Self::$ResourceKind { .. }, None) => trace_span!(
                        target: $target,
                        "runtime.resource.async_op",
                        source,
                        inherits_child_attrs = false,
                    ),
                    (Self::$ResourceKind { .. }, Some(parent)) => trace_span!(
                        target: $target,
                        parent: parent,
                        "runtime.resource.async_op",
                        source,
                        inherits_child_attrs = false,
                    ),)+
                }
            }

            fn poll_span(self, parent: Option<&Span>) -> Span {
                match (self, parent) {
                    $((Self::$ResourceKind { .. }, None) => {
                        trace_span!(target: $target, "runtime.resource.async_op.poll")
                    }
                    (Self::$ResourceKind { .. }, Some(parent)) => {
                        trace_span!(target: $target, parent: parent, "runtime.resource.async_op.poll")
                    })+
                }
            }

            fn poll_name(self) -> &'static str {
                match self {
                    $(Self::$ResourceKind { .. } => $poll,)+
                }
            }
        }
    };
}

spans! {
    Barrier: "tokio::sync::barrier", "Barrier", "Sync", "poll";
    Mutex: "tokio::sync::mutex", "Mutex", "Sync", "poll_acquire";
    Oneshot: "tokio::sync::oneshot", "Sender|Receiver", "Sync", "poll_recv";
    RwLock: "tokio::sync::rwlock", "RwLock", "Sync", "poll_acquire";
    Semaphore: "tokio::sync::semaphore", "Semaphore", "Sync", "poll_acquire";
    Sleep: "tokio::time::sleep", "Sleep", "timer", "poll_elapsed";
}

impl ResourceState {
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

/// The spans of a resource.
pub(super) struct ResourceSpans {
    kind: ResourceKind,
    span: Span,
    /// Of a lock or semaphore.
    permits: Option<Span>,
}

// A panic cannot leave the spans in an inconsistent state. Subscribers are responsible for their own state.
impl RefUnwindSafe for ResourceSpans {}

impl ResourceSpans {
    /// Creates the spans and records the first state. Returns `None` if no subscriber is interested.
    pub(super) fn new(kind: ResourceKind, location: &Location<'_>) -> Option<Self> {
        let span = kind.span(location);
        if span.is_disabled() {
            return None;
        }
        let mut this = Self { kind, span, permits: None };
        match kind {
            ResourceKind::Barrier { size } => this.record_state([ResourceState::Size(size), ResourceState::Arrived(0)]),
            ResourceKind::Mutex => this.add_permits([ResourceState::Locked(false)], 1, location),
            ResourceKind::Oneshot => {
                this.record_state([ResourceState::TxDropped(false)]);
                this.record_state([ResourceState::RxDropped(false)]);
                this.record_state([ResourceState::ValueSent(false)]);
                this.record_state([ResourceState::ValueReceived(false)]);
            }
            ResourceKind::RwLock { max_readers } => {
                this.record_state([
                    ResourceState::MaxReaders(max_readers),
                    ResourceState::WriteLocked(false),
                    ResourceState::Readers(0),
                ]);
                this.add_permits([], max_readers as usize, location);
            }
            ResourceKind::Semaphore { permits } => this.add_permits([], permits, location),
            ResourceKind::Sleep => {}
        }
        Some(this)
    }

    /// Records `state` and creates the span of the permits.
    fn add_permits<const N: usize>(&mut self, state: [ResourceState; N], permits: usize, location: &Location<'_>) {
        self.permits = Some(self.span.in_scope(|| {
            state.into_iter().for_each(ResourceState::emit);
            let span =
                resource_span!(location, "tokio::sync::batch_semaphore", "Semaphore", "Sync", is_internal = true);
            span.in_scope(|| ResourceState::Permits(permits).emit());
            span
        }));
    }

    pub(super) fn record_state<const N: usize>(&self, state: [ResourceState; N]) {
        self.span.in_scope(|| state.into_iter().for_each(ResourceState::emit));
    }

    pub(super) fn record_available(&self, available: usize) {
        if let Some(span) = &self.permits {
            span.in_scope(|| ResourceState::Permits(available).emit());
        }
    }

    pub(super) fn record_held(&self, before: usize, after: usize, available: usize) {
        self.record_available(available);
        match self.kind {
            ResourceKind::Mutex => self.record_state([ResourceState::Locked(available == 0)]),
            ResourceKind::RwLock { .. } => self.record_access(before, after),
            ResourceKind::Barrier { .. }
            | ResourceKind::Oneshot
            | ResourceKind::Semaphore { .. }
            | ResourceKind::Sleep => {}
        }
    }

    /// A guard with one permit reads, a guard with more writes. A lock with one permit has readers only.
    fn record_access(&self, before: usize, after: usize) {
        if before > 1 || after > 1 {
            self.record_state([ResourceState::WriteLocked(after > 1)]);
        }
        let readers = i64::from(after == 1) - i64::from(before == 1);
        if readers != 0 {
            self.record_state([ResourceState::Readers(readers)]);
        }
    }
}

/// The spans of an operation on a resource.
pub(super) struct OperationSpans {
    /// See `resource-first`.
    resource: Arc<ResourceSpans>,
    operation: Span,
    poll: Span,
    /// The operation has recorded the state of its timer.
    has_state: AtomicBool,
}

impl RefUnwindSafe for OperationSpans {}

impl OperationSpans {
    pub(super) fn new(resource: Arc<ResourceSpans>, source: &str) -> Self {
        let kind = resource.kind;
        let (operation, poll) = if matches!(kind, ResourceKind::Sleep) {
            // As in Tokio, which creates timers without entering a span.
            let operation = kind.operation_span(Some(&resource.span), source);
            let poll = kind.poll_span(Some(&operation));
            (operation, poll)
        } else {
            let operation = resource.span.in_scope(|| kind.operation_span(None, source));
            let poll = operation.in_scope(|| kind.poll_span(None));
            (operation, poll)
        };
        Self { resource, operation, poll, has_state: AtomicBool::new(false) }
    }

    pub(super) fn poll<T>(&self, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        self.in_scope(|| {
            let outcome = poll();
            self.record_poll_op(outcome.is_ready());
            outcome
        })
    }

    pub(super) fn poll_timer<T>(
        &self,
        has_budget: impl FnOnce() -> bool,
        state: impl FnOnce() -> ResourceState,
        poll: impl FnOnce() -> Poll<T>,
    ) -> Poll<T> {
        self.in_scope(|| {
            if has_budget() {
                // As in Tokio, where the check of the budget is an operation of its own.
                self.record_poll_op(true);
                // Relaxed: an operation is polled by one task at a time.
                if !self.has_state.swap(true, Ordering::Relaxed) {
                    state().emit();
                }
            }
            let outcome = poll();
            self.record_poll_op(outcome.is_ready());
            outcome
        })
    }

    /// Runs `f` inside of the three spans.
    fn in_scope<R>(&self, f: impl FnOnce() -> R) -> R {
        self.resource.span.in_scope(|| self.operation.in_scope(|| self.poll.in_scope(f)))
    }

    /// Records the end of a poll, or of a part of it.
    fn record_poll_op(&self, is_ready: bool) {
        trace!(target: "runtime::resource::poll_op", op_name = self.resource.kind.poll_name(), is_ready);
    }
}
