//! The table of the spans of tasks that are alive, with the names that tokio-console reads.
//!
//! Called by `spans`, with the feature `tracing`. Nothing is stored for a task whose span no subscriber wants.
//!
//! # Invariants
//! - `subscriber-is-user-code`: a span is created, entered, left and dropped outside of the table's lock.
//! - `left-where-entered`: a poll leaves the span that it has entered, also if the task has ended in between.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use tracing::Span;

use crate::observe::hooks::{TaskHooks, TaskMeta};
use crate::primitives::atomic::{AtomicUsize, Ordering};
use crate::primitives::{Mutex, thread_local};
use crate::task::Id;

/// The spans of tasks that are alive, by the tasks' ids.
static SPANS: OnceLock<Mutex<HashMap<u64, Arc<Span>>>> = OnceLock::new();
/// The number of spans: a hint that saves the lock in a program without a subscriber.
static COUNT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The spans that the polls on this thread have entered, one entry for each poll.
    static ENTERED: RefCell<Vec<Option<Arc<Span>>>> = const { RefCell::new(Vec::new()) };
}

fn spans() -> &'static Mutex<HashMap<u64, Arc<Span>>> {
    SPANS.get_or_init(Mutex::default)
}

fn find(id: u64) -> Option<Arc<Span>> {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return None;
    }
    spans().lock().get(&id).cloned()
}

/// See [`spans::around`](super::around).
pub(super) fn around(hooks: TaskHooks) -> TaskHooks {
    let TaskHooks { on_spawn, on_terminate, before_poll, after_poll, on_unjoined_panic } = hooks;
    TaskHooks {
        on_spawn: Some(Arc::new(move |task| {
            begin(task);
            on_spawn.iter().for_each(|hook| hook(task));
        })),
        on_terminate: Some(Arc::new(move |task| {
            end(task);
            on_terminate.iter().for_each(|hook| hook(task));
        })),
        before_poll: Some(Arc::new(move |task| {
            enter(task);
            before_poll.iter().for_each(|hook| hook(task));
        })),
        after_poll: Some(Arc::new(move |task| {
            leave();
            after_poll.iter().for_each(|hook| hook(task));
        })),
        on_unjoined_panic,
    }
}

fn begin(task: &TaskMeta<'_>) {
    let (id, location) = (task.id.0, task.spawned_at());
    let span = tracing::trace_span!(
        target: "tokio::task",
        parent: None,
        "runtime.spawn",
        kind = "task",
        task.name = task.name().unwrap_or_default(),
        task.id = id,
        size.bytes = task.future_bytes as u64,
        original_size.bytes = task.original_bytes.map(|bytes| bytes as u64),
        loc.file = location.file(),
        loc.line = location.line(),
        loc.col = location.column(),
    );
    if !span.is_disabled() {
        COUNT.fetch_add(1, Ordering::Relaxed);
        spans().lock().insert(id, Arc::new(span));
    }
}

fn end(task: &TaskMeta<'_>) {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    // `subscriber-is-user-code`
    let Some(span) = spans().lock().remove(&task.id.0) else { return };
    COUNT.fetch_sub(1, Ordering::Relaxed);
    let is_in_poll =
        ENTERED.with_borrow(|entered| matches!(entered.last(), Some(Some(last)) if Arc::ptr_eq(last, &span)));
    // The end is an entry of its own: tokio-console counts polls by entries and subtracts one for it.
    span.with_subscriber(|(id, subscriber)| {
        if is_in_poll {
            subscriber.exit(id);
            subscriber.enter(id);
        } else {
            subscriber.enter(id);
            subscriber.exit(id);
        }
    });
}

fn enter(task: &TaskMeta<'_>) {
    let span = find(task.id.0);
    // `left-where-entered`: first, since a subscriber may panic.
    ENTERED.with_borrow_mut(|entered| entered.push(span.clone()));
    if let Some(span) = span {
        span.with_subscriber(|(id, subscriber)| subscriber.enter(id));
    }
}

fn leave() {
    if let Some(span) = ENTERED.with_borrow_mut(Vec::pop).flatten() {
        span.with_subscriber(|(id, subscriber)| subscriber.exit(id));
    }
}

/// See [`spans::waker`](super::waker).
pub(super) fn waker(op: &'static str, task: Id) {
    if let Some(id) = find(task.0).and_then(|span| span.id()) {
        tracing::trace!(target: "tokio::task::waker", op, task.id = id.into_u64());
    }
}
