//! The state word of a task: which transition may come next, and which thread must make it.
//!
//! Called by `poll`, `waker`, `join` and `slab`. No other file touches the word.
//!
//! ```text
//!           spawn                 start_poll
//!   (free) ───────▶ QUEUED ─────────────────────▶ RUNNING ──complete──▶ COMPLETE
//!     ▲               ▲  ▲                          │  │ ▲                  │
//!     │               │  └──finish_poll (woken)─────┘  │ └─ take_over        │
//!     │               │                                │    (shutdown)       │
//!     │             wake, cancel ◀──── idle ◀──────────┘ finish_poll         │
//!     └───────────────────────── drop_refs, the last one ◀───────────────────┘
//! ```
//!
//! | arrow | function | the caller then |
//! |---|---|---|
//! | idle → QUEUED | `wake_by_val`, `wake_by_ref`, `cancel` | enqueues the `Runnable` |
//! | QUEUED → RUNNING | `start_poll` | polls, or drops the future if CANCELLED |
//! | RUNNING → idle / QUEUED | `finish_poll` | nothing / enqueues at the back |
//! | RUNNING → COMPLETE | `complete` | wakes the joiner, releases its references |
//! | not RUNNING → RUNNING | `take_over` | drops the future (shutdown) |
//! | references → 0 | `drop_refs` and all that release one | frees the slot |
//!
//! Each step is a pure function from one snapshot to the next; one loop applies it.
//!
//! # Invariants
//! - `poll-lock`: the thread that set RUNNING owns the future until it clears RUNNING.
//! - `one-runnable`: from QUEUED until the poll ends, one reference belongs to the `Runnable`; there is at most one.
//! - `existence`: until COMPLETE one reference belongs to the runtime, so a detached task without wakers stays.
//! - `join-waker`: with JOIN_WAKER clear, the `JoinHandle` owns the waker cell, which is empty outside of its poll.
//!   With it set, no thread writes the cell. Once COMPLETE is also set, the cell belongs to the completing thread.
//! - `output-owner`: after COMPLETE the output belongs to the `JoinHandle` while JOIN is set. Without JOIN, the completing
//!   thread drops it before COMPLETE.
//!
//! # Why not otherwise
//! One unconditional exclusive-or in `start_poll` would save 4 ns. But a shutdown may take a task over while another
//! thread holds its `Runnable`, and only a compare-exchange detects that.

use crate::primitives::atomic::{AtomicU64, Ordering};

const RUNNING: u64 = 1;
const COMPLETE: u64 = 1 << 1;
const QUEUED: u64 = 1 << 2;
const JOIN: u64 = 1 << 3;
const JOIN_WAKER: u64 = 1 << 4;
const CANCELLED: u64 = 1 << 5;
const REF_SHIFT: u32 = 6;
const REF: u64 = 1 << REF_SHIFT;

/// Three references: existence, the first `Runnable`, the `JoinHandle`.
const AT_SPAWN: u64 = QUEUED | JOIN | (3 * REF);

/// One value of the word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Snapshot(u64);

/// What the caller does after a waker was called or the task was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum AfterWake {
    /// The task is now QUEUED and a reference for its `Runnable` exists: enqueue it.
    Enqueue,
    /// As `Enqueue`, and the waker still has its reference: release it after the scheduler has returned.
    EnqueueThenRelease,
    /// Another thread will poll it, or it has ended.
    Nothing,
    /// That was the last reference: free the slot.
    Free,
}

/// What the caller does instead of, or before, a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum OnStart {
    /// We hold the `poll-lock`: poll.
    Poll,
    /// We hold the `poll-lock`: drop the future, complete as cancelled.
    DropFuture,
    /// A shutdown took the task over first; our reference has been released.
    Discard,
    /// As `Discard`, and it was the last reference.
    Free,
}

/// What the caller does after a poll that returned `Pending`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum OnPending {
    /// Idle; the `Runnable`'s reference has been released.
    Nothing,
    /// The task was woken meanwhile, or it yielded: enqueue the same `Runnable` at the back.
    Requeue,
    /// The task was cancelled meanwhile, and we still hold the `poll-lock`: drop the future, complete as cancelled.
    DropFuture,
}

/// Whether the output is still in the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Present,
    Dropped,
}

/// What the completing thread does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum OnComplete {
    /// Complete; the `Runnable`'s and the existence reference are released.
    Nothing,
    /// Complete, and those were the last references: free the slot.
    Free,
    /// Complete; take the join waker, wake it, then release both references.
    WakeJoiner,
    /// Not complete yet, and the output has no reader. Drop it, then call `complete` again.
    DropOutput,
}

/// What the drop of a `JoinHandle` does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum OnHandleDrop {
    /// Detached; JOIN and JOIN_WAKER are clear, so drop the waker if there is one, then the reference.
    DropWaker,
    /// The task is complete and the output is ours: drop it, then the reference.
    DropOutput,
}

/// The result when a `JoinHandle` sets its waker, or takes it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum OnJoinWaker {
    Done,
    /// The task completed: read the output instead.
    Complete,
}

impl Snapshot {
    pub(super) fn is_complete(self) -> bool {
        self.0 & COMPLETE != 0
    }
    pub(super) fn is_running(self) -> bool {
        self.0 & RUNNING != 0
    }
    pub(super) fn is_queued(self) -> bool {
        self.0 & QUEUED != 0
    }
    pub(super) fn is_cancelled(self) -> bool {
        self.0 & CANCELLED != 0
    }
    pub(super) fn has_join(self) -> bool {
        self.0 & JOIN != 0
    }
    pub(super) fn has_join_waker(self) -> bool {
        self.0 & JOIN_WAKER != 0
    }
    pub(super) fn refs(self) -> u64 {
        self.0 >> REF_SHIFT
    }
    /// The references of a task that waits, besides the one of its existence, that of its `JoinHandle`, and that of the caller:
    /// those of wakers and `AbortHandle`s. `None` if it does not wait.
    pub(super) fn wakers(self) -> Option<u64> {
        let others = 2 + u64::from(self.has_join());
        let is_waiting = self.0 & (RUNNING | QUEUED | COMPLETE | CANCELLED) == 0;
        if is_waiting { self.refs().checked_sub(others) } else { None }
    }

    const fn with(self, bits: u64) -> Self {
        Self(self.0 | bits)
    }
    const fn without(self, bits: u64) -> Self {
        Self(self.0 & !bits)
    }
    fn minus(self, refs: u64) -> Self {
        debug_assert!(self.refs() >= refs, "more references released than taken: {self:?}");
        Self(self.0 - refs * REF)
    }
    fn plus_one(self) -> Self {
        Self(self.0 + REF)
    }

    fn woken_by_val(self) -> (Self, AfterWake) {
        if self.is_complete() || self.is_queued() || self.is_running() {
            // A running task is only marked; its poller enqueues it (`one-runnable`).
            let next = if self.is_complete() { self } else { self.with(QUEUED) }.minus(1);
            let outcome = if next.refs() == 0 { AfterWake::Free } else { AfterWake::Nothing };
            (next, outcome)
        } else {
            // The waker's reference becomes the `Runnable`'s.
            (self.with(QUEUED), AfterWake::Enqueue)
        }
    }

    /// As `woken_by_val`, if only the waker's reference keeps the scheduler for this thread.
    fn woken_by_val_elsewhere(self) -> (Self, AfterWake) {
        match self.woken_by_val() {
            // The `Runnable` gets a reference of its own.
            (next, AfterWake::Enqueue) => (next.plus_one(), AfterWake::EnqueueThenRelease),
            other => other,
        }
    }

    fn woken_by_ref(self) -> (Self, AfterWake) {
        if self.is_complete() || self.is_queued() {
            // The same value is still written: the next poller must see what this thread did before the wake.
            (self, AfterWake::Nothing)
        } else if self.is_running() {
            (self.with(QUEUED), AfterWake::Nothing)
        } else {
            (self.with(QUEUED).plus_one(), AfterWake::Enqueue)
        }
    }

    fn cancelled(self) -> (Self, AfterWake) {
        if self.is_complete() || self.is_cancelled() {
            (self, AfterWake::Nothing)
        } else if self.is_running() || self.is_queued() {
            (self.with(CANCELLED), AfterWake::Nothing)
        } else {
            (self.with(CANCELLED | QUEUED).plus_one(), AfterWake::Enqueue)
        }
    }

    fn poll_started(self) -> (Self, OnStart) {
        debug_assert!(self.is_queued() || self.is_complete() || self.is_running(), "{self:?}");
        if self.is_complete() || self.is_running() {
            // `one-runnable`: ours is stale, because a shutdown took the task over.
            let next = self.minus(1);
            let outcome = if next.refs() == 0 { OnStart::Free } else { OnStart::Discard };
            (next, outcome)
        } else {
            let outcome = if self.is_cancelled() { OnStart::DropFuture } else { OnStart::Poll };
            (self.with(RUNNING).without(QUEUED), outcome)
        }
    }

    fn poll_pended(self, yielded: bool) -> (Self, OnPending) {
        debug_assert!(self.is_running() && !self.is_complete(), "`poll-lock` is ours: {self:?}");
        if self.is_cancelled() {
            (self, OnPending::DropFuture)
        } else if self.is_queued() || yielded {
            (self.without(RUNNING).with(QUEUED), OnPending::Requeue)
        } else {
            let next = self.without(RUNNING).minus(1);
            debug_assert!(next.refs() > 0, "`existence` holds a reference");
            (next, OnPending::Nothing)
        }
    }

    fn completed(self, output: Output) -> (Self, OnComplete) {
        debug_assert!(self.is_running() && !self.is_complete(), "`poll-lock` is ours: {self:?}");
        let next = self.with(COMPLETE).without(RUNNING | QUEUED);
        if self.has_join_waker() {
            return (next, OnComplete::WakeJoiner);
        }
        if !self.has_join() && output == Output::Present {
            return (self, OnComplete::DropOutput); // `output-owner`
        }
        let next = next.minus(2);
        let outcome = if next.refs() == 0 { OnComplete::Free } else { OnComplete::Nothing };
        (next, outcome)
    }

    /// The `bool` is true if we hold the `poll-lock` now.
    fn taken_over(self) -> (Self, bool) {
        if self.is_complete() {
            (self, false)
        } else if self.is_running() {
            (self.with(CANCELLED), false)
        } else {
            (self.with(RUNNING | CANCELLED), true)
        }
    }

    fn handle_dropped(self) -> (Self, OnHandleDrop) {
        debug_assert!(self.has_join(), "one `JoinHandle`, dropped once: {self:?}");
        if self.is_complete() {
            (self.without(JOIN), OnHandleDrop::DropOutput)
        } else {
            (self.without(JOIN | JOIN_WAKER), OnHandleDrop::DropWaker)
        }
    }

    fn join_waker_set(self) -> (Self, OnJoinWaker) {
        debug_assert!(self.has_join() && !self.has_join_waker(), "{self:?}");
        if self.is_complete() { (self, OnJoinWaker::Complete) } else { (self.with(JOIN_WAKER), OnJoinWaker::Done) }
    }

    fn join_waker_taken_back(self) -> (Self, OnJoinWaker) {
        debug_assert!(self.has_join() && self.has_join_waker(), "{self:?}");
        if self.is_complete() { (self, OnJoinWaker::Complete) } else { (self.without(JOIN_WAKER), OnJoinWaker::Done) }
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = [
            (RUNNING, "RUNNING"),
            (COMPLETE, "COMPLETE"),
            (QUEUED, "QUEUED"),
            (JOIN, "JOIN"),
            (JOIN_WAKER, "JOIN_WAKER"),
            (CANCELLED, "CANCELLED"),
        ];
        for (bit, name) in names {
            if self.0 & bit != 0 {
                write!(f, "{name} ")?;
            }
        }
        write!(f, "refs {}", self.refs())
    }
}

/// The word itself. Zero references: the slot is free.
#[derive(Debug)]
pub(super) struct State(AtomicU64);

impl State {
    /// The word of a slot that holds no task.
    pub(super) fn free() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Makes a free slot a task, QUEUED, with three references.
    #[inline]
    pub(super) fn publish(&self) {
        debug_assert_eq!(self.load().refs(), 0, "a slot is published once a life");
        // Release: publishes the task's fields to a walker. Pairs with Acquire in `State::try_ref`.
        self.0.store(AT_SPAWN, Ordering::Release);
    }

    /// Marks the slot free again. Called only after a transition returned `Free`.
    #[inline]
    pub(super) fn mark_free(&self) {
        debug_assert_eq!(self.load().refs(), 0, "the last reference is gone");
        self.0.store(0, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn load(&self) -> Snapshot {
        // Acquire: a thread that sees COMPLETE sees the output. Pairs with the AcqRel of `State::apply` in `complete`.
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// The only loop that changes the word step by step.
    #[inline]
    fn apply<A>(&self, step: impl Fn(Snapshot) -> (Snapshot, A)) -> A {
        let mut current = self.0.load(Ordering::Relaxed);
        loop {
            let (next, outcome) = step(Snapshot(current));
            // AcqRel: each step publishes what its thread did to the task, and sees what earlier steps published:
            // the future to the next poller, the output to the joiner, the waker cell to the completer. Pairs with itself.
            match self.0.compare_exchange_weak(current, next.0, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return outcome,
                Err(changed) => current = changed,
            }
        }
    }

    #[inline]
    pub(super) fn wake_by_val(&self) -> AfterWake {
        self.apply(Snapshot::woken_by_val)
    }
    /// As `wake_by_val`, for a thread that does not keep the task's scheduler.
    #[inline]
    pub(super) fn wake_by_val_elsewhere(&self) -> AfterWake {
        self.apply(Snapshot::woken_by_val_elsewhere)
    }
    #[inline]
    pub(super) fn wake_by_ref(&self) -> AfterWake {
        self.apply(Snapshot::woken_by_ref)
    }
    pub(super) fn cancel(&self) -> AfterWake {
        self.apply(Snapshot::cancelled)
    }
    #[inline]
    pub(super) fn start_poll(&self) -> OnStart {
        self.apply(Snapshot::poll_started)
    }
    #[inline]
    pub(super) fn finish_poll(&self, yielded: bool) -> OnPending {
        self.apply(|now| now.poll_pended(yielded))
    }
    #[inline]
    pub(super) fn complete(&self, output: Output) -> OnComplete {
        self.apply(|now| now.completed(output))
    }
    /// Takes the `poll-lock` of a task that no thread polls. False: it has ended, or its poller will see CANCELLED.
    pub(super) fn take_over(&self) -> bool {
        self.apply(Snapshot::taken_over)
    }
    #[inline]
    pub(super) fn drop_handle(&self) -> OnHandleDrop {
        self.apply(Snapshot::handle_dropped)
    }
    #[inline]
    pub(super) fn set_join_waker(&self) -> OnJoinWaker {
        self.apply(Snapshot::join_waker_set)
    }
    pub(super) fn take_back_join_waker(&self) -> OnJoinWaker {
        self.apply(Snapshot::join_waker_taken_back)
    }

    /// Whether this is a finished task whose handle is the only reference left. Then the handle may free it without a
    /// read-modify-write, because no other thread can get a reference.
    #[inline]
    pub(super) fn is_finished_and_ours(&self) -> bool {
        // Acquire: as in `load`.
        let now = Snapshot(self.0.load(Ordering::Acquire));
        now.is_complete() && now.refs() == 1
    }

    /// Releases the reference of the handle of such a task.
    #[inline]
    pub(super) fn release_unshared(&self) {
        debug_assert!(self.is_finished_and_ours());
        self.0.store(0, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn add_ref(&self) {
        // Relaxed: a thread that adds a reference holds one already.
        let before = Snapshot(self.0.fetch_add(REF, Ordering::Relaxed));
        debug_assert!(before.refs() > 0, "a reference is made from a reference: {before:?}");
        // Counts near overflow mean that wakers are leaked in a loop; wrapping would free a live task.
        if before.refs() > 1 << 48 {
            std::process::abort();
        }
    }

    /// Releases `count` references. Returns true if none is left and the caller must free the slot.
    #[inline]
    #[must_use]
    pub(super) fn drop_refs(&self, count: u64) -> bool {
        // AcqRel: the freeing thread sees all that the other owners did. Pairs with itself.
        let before = Snapshot(self.0.fetch_sub(count * REF, Ordering::AcqRel));
        debug_assert!(before.refs() >= count, "more references released than taken: {before:?}");
        before.refs() == count
    }

    /// Gives up the handle of a complete task whose output it has taken, with its reference. Returns true if no reference is
    /// left and the caller must free the slot.
    #[inline]
    #[must_use]
    pub(super) fn drop_consumed_handle(&self) -> bool {
        // AcqRel: as in `drop_refs`. JOIN is set, so the subtraction clears it.
        let before = Snapshot(self.0.fetch_sub(REF + JOIN, Ordering::AcqRel));
        debug_assert!(before.is_complete() && before.has_join(), "{before:?}");
        before.refs() == 1
    }

    /// Takes a reference if the slot holds a task that has not ended. For walkers, which hold none.
    ///
    /// The slot may hold another task than a moment before, which is fine for a walker.
    pub(super) fn try_ref(&self) -> bool {
        let mut current = self.0.load(Ordering::Relaxed);
        loop {
            let now = Snapshot(current);
            if now.refs() == 0 || now.is_complete() {
                return false;
            }
            // Acquire: the fields of the task are visible. Pairs with Release in `State::publish`, through the
            // chain of read-modify-writes since.
            match self.0.compare_exchange_weak(current, now.plus_one().0, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(changed) => current = changed,
            }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// Every bit pattern that the invariants allow, with 1 to 4 references.
    fn legal() -> impl Iterator<Item = Snapshot> {
        (0..64_u64).flat_map(|bits| (1..=4).map(move |refs| Snapshot(bits | (refs * REF)))).filter(|s| {
            let holders = u64::from(!s.is_complete())                       // `existence`
                + u64::from(!s.is_complete() && (s.is_queued() || s.is_running())) // `one-runnable`
                + u64::from(s.has_join());
            s.refs() >= holders
                && !(s.is_complete() && (s.is_running() || s.is_queued()))
                && (s.has_join() || s.is_complete() || !s.has_join_waker())
        })
    }

    fn is_legal(snapshot: Snapshot) -> bool {
        snapshot.refs() == 0 || legal().any(|other| other == snapshot) || snapshot.refs() > 4
    }

    #[test]
    fn a_consumed_handle_gives_up_its_mark_and_one_reference() {
        for now in legal().filter(|now| now.is_complete() && now.has_join()) {
            let state = State(AtomicU64::new(now.0));
            assert_eq!(state.drop_consumed_handle(), now.refs() == 1);
            let next = state.load();
            assert_eq!((next, next.refs()), (now.without(JOIN).minus(1), now.refs() - 1));
        }
    }

    #[test]
    fn a_wake_enqueues_exactly_when_no_other_thread_will() {
        for now in legal() {
            let idle = !now.is_complete() && !now.is_queued() && !now.is_running();
            let (next, outcome) = now.woken_by_ref();
            assert_eq!(outcome == AfterWake::Enqueue, idle, "{now:?}");
            assert_eq!(next.refs(), now.refs() + u64::from(idle), "{now:?}");
            assert!(now.is_complete() || next.is_queued(), "no wake is lost: {now:?}");
            assert!(is_legal(next), "{now:?} -> {next:?}");
        }
    }

    #[test]
    fn a_wake_by_value_spends_its_reference() {
        // The waker itself holds one reference beside the others.
        for now in legal().map(Snapshot::plus_one) {
            let idle = !now.is_complete() && !now.is_queued() && !now.is_running();
            let (next, outcome) = now.woken_by_val();
            assert_eq!(outcome == AfterWake::Enqueue, idle, "{now:?}");
            assert_eq!(next.refs(), now.refs() - u64::from(!idle), "{now:?}");
            assert_eq!(outcome == AfterWake::Free, next.refs() == 0, "{now:?}");
            assert!(now.is_complete() || next.is_queued(), "no wake is lost: {now:?}");
            assert!(is_legal(next), "{now:?} -> {next:?}");
        }
    }

    #[test]
    fn a_wake_by_value_elsewhere_keeps_its_reference_exactly_if_it_enqueues() {
        for now in legal().map(Snapshot::plus_one) {
            let (here, outcome_here) = now.woken_by_val();
            let (next, outcome) = now.woken_by_val_elsewhere();
            if outcome_here == AfterWake::Enqueue {
                assert_eq!(outcome, AfterWake::EnqueueThenRelease, "{now:?}");
                assert_eq!(next, here.plus_one(), "{now:?}");
                assert!(is_legal(next), "{now:?} -> {next:?}");
            } else {
                assert_eq!((next, outcome), (here, outcome_here), "{now:?}");
            }
        }
    }

    #[test]
    fn cancelling_reaches_the_next_poller() {
        for now in legal() {
            let (next, outcome) = now.cancelled();
            assert!(now.is_complete() || next.is_cancelled(), "{now:?}");
            let idle = !now.is_complete() && !now.is_queued() && !now.is_running();
            assert_eq!(outcome == AfterWake::Enqueue, idle && !now.is_cancelled(), "{now:?}");
            if outcome == AfterWake::Enqueue {
                assert_eq!(next.refs(), now.refs() + 1);
            }
            // An idle task that is cancelled cannot exist, because `cancel` queued it. Legal patterns include it, so it
            // stays unchanged.
            assert!(is_legal(next), "{now:?} -> {next:?}");
        }
    }

    #[test]
    fn a_poll_starts_only_with_the_poll_lock_free() {
        for now in legal().filter(|s| s.is_queued() || s.is_complete() || s.is_running()) {
            let now = if now.is_queued() && !now.is_running() { now } else { now.plus_one() };
            let (next, outcome) = now.poll_started();
            match outcome {
                OnStart::Poll | OnStart::DropFuture => {
                    assert!(!now.is_running() && !now.is_complete() && next.is_running());
                    assert!(!next.is_queued(), "a wake during the poll must be seen");
                    assert_eq!(outcome == OnStart::DropFuture, now.is_cancelled());
                    assert_eq!(next.refs(), now.refs());
                }
                OnStart::Discard => assert_eq!(next.refs(), now.refs() - 1),
                OnStart::Free => assert_eq!(next.refs(), 0),
            }
            assert!(is_legal(next), "{now:?} -> {next:?}");
        }
    }

    #[test]
    fn a_pending_poll_ends_idle_queued_or_cancelled() {
        for now in legal().filter(|s| s.is_running()) {
            for yielded in [false, true] {
                let (next, outcome) = now.poll_pended(yielded);
                match outcome {
                    OnPending::DropFuture => assert!(now.is_cancelled() && next == now),
                    OnPending::Requeue => {
                        assert!(now.is_queued() || yielded);
                        assert!(next.is_queued() && !next.is_running() && next.refs() == now.refs());
                    }
                    OnPending::Nothing => {
                        assert!(!next.is_queued() && !next.is_running());
                        assert_eq!(next.refs(), now.refs() - 1);
                    }
                }
                assert!(is_legal(next), "{now:?} -> {next:?}");
            }
        }
    }

    #[test]
    fn completion_releases_two_references_or_leaves_them_to_the_waking() {
        for now in legal().filter(|s| s.is_running()) {
            for output in [Output::Present, Output::Dropped] {
                let (next, outcome) = now.completed(output);
                match outcome {
                    OnComplete::DropOutput => {
                        assert!(next == now && !now.has_join() && output == Output::Present);
                    }
                    OnComplete::WakeJoiner => {
                        assert!(now.has_join_waker() && next.is_complete());
                        assert_eq!(next.refs(), now.refs());
                    }
                    OnComplete::Nothing | OnComplete::Free => {
                        assert!(next.is_complete() && !next.is_running() && !next.is_queued());
                        assert_eq!(next.refs(), now.refs() - 2);
                        assert_eq!(outcome == OnComplete::Free, next.refs() == 0);
                    }
                }
                assert!(is_legal(next), "{now:?} -> {next:?}");
            }
        }
    }

    #[test]
    fn taking_over_gets_the_poll_lock_or_marks_the_task_for_its_holder() {
        for now in legal() {
            let (next, ours) = now.taken_over();
            assert_eq!(ours, !now.is_running() && !now.is_complete());
            assert!(now.is_complete() || next.is_cancelled());
            assert_eq!(next.refs(), now.refs());
        }
    }

    #[test]
    fn a_dropped_handle_drops_the_output_exactly_if_complete() {
        for now in legal().filter(|s| s.has_join()) {
            let (next, outcome) = now.handle_dropped();
            assert_eq!(outcome == OnHandleDrop::DropOutput, now.is_complete());
            assert!(!next.has_join());
            assert!(now.is_complete() || !next.has_join_waker(), "`join-waker` is ours to drop");
            assert_eq!(next.refs(), now.refs());
        }
    }

    #[test]
    fn a_join_waker_is_set_and_taken_back_only_before_completion() {
        for now in legal().filter(|s| s.has_join()) {
            if now.has_join_waker() {
                let (next, outcome) = now.join_waker_taken_back();
                assert_eq!(outcome == OnJoinWaker::Complete, now.is_complete());
                assert_eq!(next.has_join_waker(), now.is_complete());
            } else {
                let (next, outcome) = now.join_waker_set();
                assert_eq!(outcome == OnJoinWaker::Complete, now.is_complete());
                assert_eq!(next.has_join_waker(), !now.is_complete());
            }
        }
    }

    #[test]
    fn the_wakers_of_a_task_that_waits_are_all_references_but_three() {
        for before in legal() {
            let bits = before.0 & (REF - 1);
            let is_waiting = bits & !(JOIN | JOIN_WAKER) == 0;
            // Existence, the reader and the handle.
            let others = 2 + u64::from(bits & JOIN != 0);
            let wakers = before.refs().checked_sub(others).filter(|_| is_waiting);
            assert_eq!(before.wakers(), wakers, "{before:?}");
        }
    }

    #[test]
    fn each_bit_has_its_position_and_its_name() {
        let bits = [RUNNING, COMPLETE, QUEUED, JOIN, JOIN_WAKER, CANCELLED];
        assert_eq!(bits.iter().sum::<u64>(), REF - 1, "six bits below the references, each once");
        let is = |s: Snapshot| {
            [s.is_running(), s.is_complete(), s.is_queued(), s.has_join(), s.has_join_waker(), s.is_cancelled()]
        };
        for (index, bit) in bits.into_iter().enumerate() {
            assert_eq!(is(Snapshot(bit)), std::array::from_fn(|other| other == index));
            assert_eq!(is(Snapshot(REF - 1 - bit)), std::array::from_fn(|other| other != index));
        }
        assert_eq!(format!("{:?}", Snapshot(QUEUED | CANCELLED | (2 * REF))), "QUEUED CANCELLED refs 2");
    }

    #[test]
    fn a_fresh_task_is_queued_has_a_handle_and_three_owners() {
        let state = State::free();
        assert!(!state.try_ref(), "a free slot gives no reference");
        state.publish();
        assert_eq!(state.load(), Snapshot(QUEUED | JOIN | (3 * REF)));
        assert!(state.try_ref());
        state.add_ref();
        assert_eq!(state.load().refs(), 5);
        assert!(!state.drop_refs(4));
        assert!(state.drop_refs(1), "the last one frees");
    }

    #[test]
    fn an_ended_task_gives_no_reference_and_belongs_to_its_handle_when_the_others_are_gone() {
        for refs in 1..4 {
            for bits in [JOIN, JOIN | COMPLETE] {
                let state = State::free();
                state.0.store(bits | (refs * REF), Ordering::Relaxed);
                let is_complete = bits & COMPLETE != 0;
                assert_eq!(state.is_finished_and_ours(), is_complete && refs == 1);
                assert_eq!(state.try_ref(), !is_complete);
                assert_eq!(state.load().refs(), refs + u64::from(!is_complete));
            }
        }
    }
}
