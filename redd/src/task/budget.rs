//! How long a task may run before it lets others run: `task::coop`.
//!
//! A poll starts with 128 units; every operation of redd that completes takes one. With none left, operations answer
//! `Pending` and wake the task at once, so that it goes to the back of the queue. Outside of a task there is no limit.
//!
//! Called by `task::poll` (start a poll) and by every leaf in `sync`, `io`, `net`, `time`, `group`.
//!
//! # Invariants
//! - `refill`: a poll that was refused 127 times gets a full budget again. A poll that returns after its refusals never
//!   gets there, unless it has that many futures. Another executor's `block_on` inside the poll polls its future again
//!   instead of returning, and without the refill it would never end.
//! - `own-poll`: outside of a poll there is no budget, whatever is dropped there.
//!
//! # Why not otherwise
//! The wakers do not tell whether the poll will return: `FuturesUnordered` also polls with wakers of its own, and its
//! futures must take part in the budget.

use crate::primitives::atomic::{Ordering, fixed};
use crate::primitives::thread_local;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;

use crate::runtime::{Handle, context};

/// Units a poll starts with; the figure is Tokio's, and programs can observe it.
const UNITS_PER_POLL: u8 = 128;

/// No unit is left and one operation was refused; each further refusal adds one.
const REFUSED_ONCE: u8 = UNITS_PER_POLL + 1;
/// After so many refusals in one poll, the poll gets a full budget again (`refill`).
const REFUSED_MAX: u8 = u8::MAX;

thread_local! {
    /// The units left in the current poll, or [`REFUSED_ONCE`] to [`REFUSED_MAX`]. `None` outside of a task and inside
    /// `unconstrained`.
    static BUDGET: Cell<Option<u8>> = const { Cell::new(None) };
}

/// The address of the table of the wakers of `block_on` on the thread that also runs tasks.
static ROOT_WAKER_TABLE: fixed::AtomicU64 = fixed::AtomicU64::new(0);

/// Puts the budget back as it was, also when a poll panics.
struct Restore(Option<u8>);

impl Drop for Restore {
    fn drop(&mut self) {
        BUDGET.set(self.0);
    }
}

/// Runs one poll of a task with a full budget.
#[inline]
pub(crate) fn with_full<R>(poll: impl FnOnce() -> R) -> R {
    let _restore = Restore(BUDGET.replace(Some(UNITS_PER_POLL)));
    poll()
}

/// For a root future inside a task: as [`with_full`] where no budget is running, and with what is left otherwise.
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

/// Whether the current poll may complete another operation. True outside of a task.
#[inline]
pub fn has_budget_remaining() -> bool {
    !matches!(BUDGET.get(), Some(0 | REFUSED_ONCE..))
}

/// Takes one unit for an operation that is about to be tried.
///
/// - `Pending`: the budget of this poll is used up. The task has been woken, so returning `Pending` is right.
/// - `Ready`: try the operation. Call [`RestoreOnPending::made_progress`] if it completed; if the value is dropped
///   without that call, the unit is given back.
#[inline]
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<RestoreOnPending> {
    match BUDGET.get() {
        Some(units @ 1..=UNITS_PER_POLL) => {
            BUDGET.set(Some(units - 1));
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
            BUDGET.set(Some(UNITS_PER_POLL - 1));
            return Poll::Ready(RestoreOnPending(Cell::new(Some(UNITS_PER_POLL)), PhantomData));
        }
        Some(refusals @ REFUSED_ONCE..) => BUDGET.set(Some(refusals + 1)),
        _ => {
            // Counted once for each budget.
            BUDGET.set(Some(REFUSED_ONCE));
            context::with_current(Handle::count_forced_yield);
        }
    }
    if !super::poll::yield_current(cx.waker()) {
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}

/// As [`poll_proceed`], for waiting that may be over every time, but that programs also poll by hand many times in one
/// poll. With a waker that does not belong to the poll itself it always proceeds.
#[inline]
pub(crate) fn poll_proceed_unless_foreign(cx: &mut Context<'_>) -> Poll<RestoreOnPending> {
    if has_budget_remaining() || is_own(cx.waker()) {
        poll_proceed(cx)
    } else {
        Poll::Ready(RestoreOnPending(Cell::new(None), PhantomData))
    }
}

/// Whether this is the waker of the task, or of the future of `block_on`, that is polled on this thread.
#[cold]
fn is_own(waker: &Waker) -> bool {
    super::poll::is_of_current(waker).unwrap_or_else(|| {
        // Relaxed: an address that is compared.
        std::ptr::from_ref(waker.vtable()).addr() as u64 == ROOT_WAKER_TABLE.load(Ordering::Relaxed)
    })
}

/// Tells how the wakers of `block_on` are recognized; all of them have the same table.
pub(crate) fn set_root_waker(waker: &Waker) {
    ROOT_WAKER_TABLE.store(std::ptr::from_ref(waker.vtable()).addr() as u64, Ordering::Relaxed);
}

/// For an operation that succeeds at once or must not have happened: tries it if the budget allows, and takes a unit if
/// it succeeded. False: it did not, or was not tried. One look at the budget instead of two, and nothing to give back.
#[inline]
pub(crate) fn spend_on(operation: impl FnOnce() -> bool) -> bool {
    let units = BUDGET.get();
    if matches!(units, Some(0 | REFUSED_ONCE..)) || !operation() {
        return false;
    }
    if let Some(units) = units {
        BUDGET.set(Some(units - 1));
    }
    true
}

/// Gives the unit of [`poll_proceed`] back when dropped, unless the operation made progress. It belongs to this thread.
#[derive(Debug)]
#[must_use = "dropping it gives the unit back: call `made_progress` when the operation completed"]
pub struct RestoreOnPending(Cell<Option<u8>>, PhantomData<*mut ()>);

impl RestoreOnPending {
    /// The operation completed: the unit stays spent.
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
    // `own-poll`: the value may have been kept until after its poll.
    if BUDGET.get().is_some() {
        BUDGET.set(Some(units));
    }
}

/// Takes one unit of the budget, and yields to other tasks if none is left.
///
/// For long loops that do not await anything of redd. Outside of a task it does nothing.
///
/// # Cancel safety
/// Nothing is lost when it is dropped.
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
    /// A future that is polled without a budget. Made by [`unconstrained`].
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

/// Lets `inner` run as long as its operations complete, without yielding to other tasks in between.
pub fn unconstrained<F>(inner: F) -> Unconstrained<F> {
    Unconstrained { inner }
}

pin_project! {
    /// A future that takes one unit of the budget for its completion. Made by [`cooperative`].
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

/// Makes a future of another library take part in the budget: its completion costs one unit.
pub fn cooperative<F: Future>(inner: F) -> Coop<F> {
    Coop { inner }
}
