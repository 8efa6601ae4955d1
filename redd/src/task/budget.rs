//! The cooperative budget, which limits how long a task runs before it yields: `task::coop`.
//!
//! A poll starts with 128 units, and each operation of redd that completes takes one. With none left, operations return
//! `Pending` and wake the task at once, so that it goes to the back of the queue. Outside of a task there is no limit.
//!
//! Called by `task::poll` (start a poll) and by every leaf in `sync`, `io`, `net`, `time`, `group`.
//!
//! # Invariants
//! - `refill`: a poll that was refused 127 times gets a full budget again. A poll that returns after its refusals never
//!   gets there, unless it has that many futures. Another executor's `block_on` inside the poll polls its future again
//!   instead of returning, and without the refill it would never end.
//! - `own-poll`: outside of a poll there is no budget, even if a `RestoreOnPending` is dropped there.
//!
//! # Why not otherwise
//! A waker does not show whether the poll will return. A set of futures also polls with wakers of its own, as those of the
//! crate `futures` do. Its futures must use the budget.

use super::current;
use crate::primitives::atomic::{Ordering, fixed};
use crate::primitives::thread_local;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;

use crate::current::with_parts;

/// The units that a poll starts with. The value is Tokio's, and programs can observe it.
const UNITS_PER_POLL: u8 = 128;

/// No unit is left, and one operation was refused. Each further refusal adds one.
const REFUSED_ONCE: u8 = UNITS_PER_POLL + 1;
/// After this many refusals in one poll, the poll gets a full budget again (`refill`).
const REFUSED_MAX: u8 = u8::MAX;

thread_local! {
    /// The units left in the current poll, or [`REFUSED_ONCE`] to [`REFUSED_MAX`]. `None` outside of a task and inside
    /// `unconstrained`.
    static BUDGET: Cell<Option<u8>> = const { Cell::new(None) };
}

/// The address of the table of the wakers of `block_on` on a thread that also runs tasks.
static ROOT_WAKER_TABLE: fixed::AtomicU64 = fixed::AtomicU64::new(0);

/// Restores the budget, also when a poll panics.
struct Restore(Option<u8>);

impl Drop for Restore {
    #[inline]
    fn drop(&mut self) {
        BUDGET.with(|budget| budget.set(self.0));
    }
}

/// Runs one poll of a task with a full budget.
#[inline]
pub(crate) fn with_full<R>(poll: impl FnOnce() -> R) -> R {
    let _restore = Restore(BUDGET.replace(Some(UNITS_PER_POLL)));
    poll()
}

/// For a root future: as [`with_full`] outside of a task. Inside a task it continues with the task's budget.
#[inline]
pub(crate) fn with_full_unless_spent<R>(poll: impl FnOnce() -> R) -> R {
    if BUDGET.get().is_some() { poll() } else { with_full(poll) }
}

/// Runs `poll` without a limit.
#[inline]
pub(crate) fn without_limit<R>(poll: impl FnOnce() -> R) -> R {
    let _restore = Restore(BUDGET.replace(None));
    poll()
}

/// Returns whether the current poll may complete another operation. It is true outside of a task.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use redd::task::coop::{consume_budget, has_budget_remaining};
///
/// let task = redd::spawn(async {
///     let mut steps = 0;
///     while has_budget_remaining() {
///         consume_budget().await;
///         steps += 1;
///     }
///     steps
/// });
/// assert!(task.await.unwrap() > 1);
/// # });
/// ```
#[inline]
pub fn has_budget_remaining() -> bool {
    !matches!(BUDGET.get(), Some(0 | REFUSED_ONCE..))
}

/// Takes one unit for an operation that is about to be tried, in a hand-written `poll` function.
///
/// - `Pending`: the budget of this poll is used up. The task has been woken, so return `Pending`.
/// - `Ready`: try the operation. Call [`RestoreOnPending::made_progress`] if it completed. If the value is dropped
///   without that call, the unit is given back.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use redd::task::coop::poll_proceed;
/// use std::collections::VecDeque;
/// use std::future::poll_fn;
/// use std::task::{Context, Poll, ready};
///
/// /// A queue that is always ready would starve other tasks without a budget.
/// fn poll_pop(queue: &mut VecDeque<u32>, cx: &mut Context<'_>) -> Poll<Option<u32>> {
///     let unit = ready!(poll_proceed(cx));
///     let front = queue.pop_front();
///     unit.made_progress();
///     Poll::Ready(front)
/// }
///
/// let mut queue = VecDeque::from_iter(0..1000);
/// let mut count = 0;
/// while poll_fn(|cx| poll_pop(&mut queue, cx)).await.is_some() {
///     count += 1;
/// }
/// assert_eq!(count, 1000);
/// # });
/// ```
#[inline]
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<RestoreOnPending> {
    match BUDGET.get() {
        Some(units @ 1..=UNITS_PER_POLL) => {
            BUDGET.with(|budget| budget.set(Some(units - 1)));
            Poll::Ready(RestoreOnPending(Cell::new(Some(units)), PhantomData))
        }
        None => Poll::Ready(RestoreOnPending(Cell::new(None), PhantomData)),
        Some(_) => refuse(cx),
    }
}

#[cold]
fn refuse(cx: &mut Context<'_>) -> Poll<RestoreOnPending> {
    match BUDGET.get() {
        Some(REFUSED_MAX) => {
            // `refill`
            BUDGET.with(|budget| budget.set(Some(UNITS_PER_POLL - 1)));
            return Poll::Ready(RestoreOnPending(Cell::new(Some(UNITS_PER_POLL)), PhantomData));
        }
        Some(refusals @ REFUSED_ONCE..) => BUDGET.with(|budget| budget.set(Some(refusals + 1))),
        _ => {
            // A forced yield is counted once for each budget.
            BUDGET.with(|budget| budget.set(Some(REFUSED_ONCE)));
            // Relaxed: only counted.
            with_parts(|parts| parts.forced_yields.fetch_add(1, Ordering::Relaxed));
        }
    }
    if !current::yield_current(cx.waker()) {
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}

/// As [`poll_proceed`], but it always proceeds with a waker that is not the current task's own.
///
/// For waits that may be over at each poll, but that programs also poll by hand many times in one poll of the task.
#[inline]
pub(crate) fn poll_proceed_unless_foreign(cx: &mut Context<'_>) -> Poll<RestoreOnPending> {
    if has_budget_remaining() || is_own(cx.waker()) {
        poll_proceed(cx)
    } else {
        Poll::Ready(RestoreOnPending(Cell::new(None), PhantomData))
    }
}

/// Whether this is the waker of the task or `block_on` future that this thread is polling.
#[cold]
fn is_own(waker: &Waker) -> bool {
    current::is_of_current(waker).unwrap_or_else(|| is_of_root(waker))
}

/// Whether this is the waker of a `block_on` on a thread that also runs tasks.
pub(crate) fn is_of_root(waker: &Waker) -> bool {
    // Relaxed: the address is only compared.
    std::ptr::from_ref(waker.vtable()).addr() as u64 == ROOT_WAKER_TABLE.load(Ordering::Relaxed)
}

/// Records the table of the wakers of `block_on`, which identifies them: all of them have the same one.
pub(crate) fn set_root_waker(waker: &Waker) {
    ROOT_WAKER_TABLE.store(std::ptr::from_ref(waker.vtable()).addr() as u64, Ordering::Relaxed);
}

/// Tries an operation if the budget allows it, and takes a unit if it succeeded. Returns whether it did.
///
/// For operations that either succeed at once or have no effect. It reads the budget once instead of twice, and has no
/// unit to give back.
#[inline]
pub(crate) fn spend_on(operation: impl FnOnce() -> bool) -> bool {
    let units = BUDGET.get();
    if matches!(units, Some(0 | REFUSED_ONCE..)) || !operation() {
        return false;
    }
    if let Some(units) = units {
        BUDGET.with(|budget| budget.set(Some(units - 1)));
    }
    true
}

/// Takes further units for an operation that has completed and did more than usual. If fewer are left, it takes those.
pub(crate) fn spend(units: usize) {
    if let Some(left @ 1..=UNITS_PER_POLL) = BUDGET.get() {
        let units = u8::try_from(units).unwrap_or(UNITS_PER_POLL);
        BUDGET.with(|budget| budget.set(Some(left.saturating_sub(units))));
    }
}

/// A unit taken by [`poll_proceed`]. Dropping it gives the unit back, unless the operation made progress.
///
/// It is not `Send`: the budget belongs to the poll on this thread.
///
/// # Examples
/// ```
/// use redd::task::coop::poll_proceed;
/// use std::future::poll_fn;
/// use std::task::{Poll, ready};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let next = poll_fn(|cx| {
///     let unit = ready!(poll_proceed(cx));
///     // A real operation calls `made_progress` only if it did not have to wait.
///     unit.made_progress();
///     Poll::Ready("item")
/// });
/// assert_eq!(next.await, "item");
/// # });
/// ```
#[derive(Debug)]
#[must_use = "dropping it gives the unit back: call `made_progress` when the operation completed"]
pub struct RestoreOnPending(Cell<Option<u8>>, PhantomData<*mut ()>);

impl RestoreOnPending {
    /// Records that the operation completed: the unit stays spent.
    #[inline]
    pub fn made_progress(&self) {
        self.0.set(None);
    }
}

impl Drop for RestoreOnPending {
    #[inline]
    fn drop(&mut self) {
        if let Some(units) = self.0.get() {
            give_back(units);
        }
    }
}

#[inline]
fn give_back(units: u8) {
    // `own-poll`: the value may have outlived its poll.
    if BUDGET.get().is_some() {
        BUDGET.with(|budget| budget.set(Some(units)));
    }
}

/// Takes one unit of the budget, and yields to other tasks if none is left.
///
/// For long loops that await nothing else of redd. Outside of a task it does nothing.
///
/// # Cancel safety
/// Nothing is lost if the future is dropped.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut sum = 0_u64;
/// for number in 0..10_000_u64 {
///     sum += number;
///     redd::task::consume_budget().await;
/// }
/// assert_eq!(sum, 49_995_000);
/// # });
/// ```
pub async fn consume_budget() {
    poll_fn(|cx| poll_proceed(cx).map(|unit| unit.made_progress())).await;
}

pin_project! {
    /// A future that is polled without a budget. Created by [`unconstrained`].
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is awaited"]
    pub struct Unconstrained<F> {
        #[pin]
        inner: F,
    }
}

impl<F: Future> Future for Unconstrained<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let inner = self.project().inner;
        without_limit(|| inner.poll(cx))
    }
}

/// Returns a future that polls `inner` without a budget: it does not yield while its operations complete at once.
///
/// **It can starve other tasks on the same worker.** Use it for short bursts that must not be interrupted.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use redd::sync::mpsc;
/// use redd::task::unconstrained;
///
/// let task = redd::spawn(unconstrained(async {
///     let (sender, mut receiver) = mpsc::channel(1000);
///     for number in 0..1000 {
///         sender.send(number).await.unwrap();
///     }
///     drop(sender);
///     let mut polls_left = 1000;
///     while receiver.recv().await.is_some() {
///         polls_left -= 1;
///     }
///     polls_left
/// }));
/// redd::task::yield_now().await;
/// assert!(task.is_finished(), "2000 operations in one poll");
/// assert_eq!(task.await.unwrap(), 0);
/// # });
/// ```
pub fn unconstrained<F>(inner: F) -> Unconstrained<F> {
    Unconstrained { inner }
}

pin_project! {
    /// A future that takes one unit of the budget when it completes. Created by [`cooperative`].
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is awaited"]
    pub struct Coop<F> {
        #[pin]
        inner: F,
    }
}

impl<F: Future> Future for Coop<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let unit = ready!(poll_proceed(cx));
        let output = ready!(self.project().inner.poll(cx));
        unit.made_progress();
        Poll::Ready(output)
    }
}

/// Makes a future of another library use the budget: its completion costs one unit.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use redd::task::coop::cooperative;
/// use redd::task::yield_now;
///
/// // Without `cooperative` this task would never yield, and `main` would wait for its end.
/// let endless = redd::spawn(async {
///     loop {
///         cooperative(std::future::ready(())).await;
///     }
/// });
/// yield_now().await;
/// endless.abort();
/// assert!(endless.await.unwrap_err().is_cancelled());
/// # });
/// ```
pub fn cooperative<F: Future>(inner: F) -> Coop<F> {
    Coop { inner }
}
