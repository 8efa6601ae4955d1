//! What a `TaskGroup` shares with its tasks, and what follows from the end of each of them.
//!
//! Called by `task_group` and `in_order`, and by the join wakers of the tasks (`entry_waker`), on the thread where a task ends.
//!
//! ```text
//!   Open ──close, drop──▶ Closing ─────────────────────────────────────────────▶ Done
//!                         (waits for tasks, then watchers, then runs the clean-ups)
//! ```
//! No task drives this: the end of each task calls `advance`. So it goes on when the `TaskGroup` is gone.
//!
//! # Invariants
//! - `counted-until-ended`: `unfinished` counts a task from before `TaskGroup::spawn` returns until its future and, if it is not
//!   kept, its output have been dropped.
//! - `wakers-go-last`: the blocks of the join wakers refer to the state, and the state to them. `advance` breaks the circle when
//!   the group is done.
//! - `clean-ups-are-due`: the runtime counts the group while it is `Closing`. A drain waits for that, because between the end of
//!   the last task and the spawn of a clean-up no task is alive. It counts closures without a place for the same reason.
//! - `inner-groups-count`: a group that was made inside counts while it is `Closing`. It begins that before its owner's task ends,
//!   so no group is done before what its tasks have left behind. One that is open has another owner by then.
//! - `user-code-outside`: the lock is not held while wakers are called, or futures and outputs are dropped.

use std::future::Future;
use std::mem;
use std::panic::Location;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::entry_waker::EntryOwner;
use super::group_inner::{
    CancelledBy, EndedTask, GroupEntry, GroupInner, GroupPhase, NEXT, Queued, QueuedClosure, READY,
};
use super::origin::Origin;
use super::phases_core::InPhase;
use super::phases_report::Left;
use super::scope::{CancelTarget, ClosingInside, Context, InnerKey, Reason, Scope, cancel_all};
use crate::observe::coarse;
use crate::observe::nodes::{DescribeNode, NodeEntry};
use crate::primitives::atomic::{AtomicBool, Ordering};
use crate::primitives::user_code::drop_guarded;
use crate::runtime::Handle;
use crate::sync::wait_list::{Guard, WaitList};
use crate::task::ended::Ended;
use crate::task::inherited;
use crate::task::{AbortHandle, JoinHandle};
use crate::time::sleep::sleep_on;

/// The number of entries that are looked at under one lock. No benchmark chose it.
pub(super) const STEPS_PER_LOCK: usize = 64;

/// How a group was built.
pub(super) struct Options<T> {
    /// `usize::MAX` without a limit.
    pub(super) limit: usize,
    pub(super) deadline: Option<Duration>,
    pub(super) grace: Duration,
    pub(super) cancels_on_panic: bool,
    pub(super) cancels_on_error: bool,
    /// Whether an output is an error. `None` if the type of output has none.
    pub(super) is_error: Option<fn(&T) -> bool>,
    pub(super) discards: bool,
    /// It is the run of a supervisor's child: where the supervisor is, and which child.
    pub(super) child_of: Option<(usize, usize)>,
    pub(super) name: Option<Arc<str>>,
    pub(super) in_phase: Option<InPhase>,
    /// Whether its tasks inherit the span. `None`: as the runtime's builder says.
    pub(super) inherits_span: Option<bool>,
}

pub(super) struct GroupState<T> {
    pub(super) scope: Arc<Scope>,
    pub(super) options: Options<T>,
    pub(super) runtime: Handle,
    /// The program's waits, for what [`GroupInner::waits`] says, and under the same lock what the group has. It is held for a few
    /// steps at a time; see `STEPS_PER_LOCK`.
    pub(super) inner: WaitList<GroupInner<T, GroupState<T>>>,
    /// Whether a result is there, as far as known without the lock. A hint: it saves the lock when there is none.
    pub(super) has_result: AtomicBool,
    /// Whether a place is free, in the same way.
    pub(super) has_place: AtomicBool,
    /// When its deadline is.
    pub(super) deadline_at: Option<Instant>,
    /// What dumps show of its beginning.
    pub(super) origin: Origin,
    entry: NodeEntry,
}

pub(super) type GroupGuard<'a, T> = Guard<'a, GroupInner<T, GroupState<T>>>;

/// The owner of a group: its drop ends the group.
pub(super) struct GroupOwner<T: Send + 'static>(pub(super) Arc<GroupState<T>>);

impl<T: Send + 'static> Drop for GroupOwner<T> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// A task that is about to be spawned. If the spawn panics, its drop removes the entry.
pub(super) struct Reservation<'a, T: Send + 'static> {
    state: &'a Arc<GroupState<T>>,
    index: usize,
    pub(super) number: u64,
    had_place: bool,
}

impl<T: Send + 'static> Reservation<'_, T> {
    /// Whether there was a place from the beginning.
    pub(super) fn had_place(&self) -> bool {
        self.had_place
    }
}

impl<T: Send + 'static> GroupState<T> {
    pub(super) fn start(options: Options<T>, runtime: Handle, created_at: &'static Location<'static>) -> Arc<Self> {
        let limit = options.limit;
        let deadline_at =
            options.deadline.and_then(|within| runtime.shared.parts.timers.clock().now().checked_add(within));
        let state = Arc::new_cyclic(|me: &Weak<Self>| Self {
            scope: Scope::new(created_at),
            options,
            inner: WaitList::new(GroupInner::new(limit)),
            has_result: AtomicBool::new(false),
            has_place: AtomicBool::new(true),
            deadline_at,
            origin: Origin::here(),
            entry: runtime.shared.nodes.add(Weak::clone(me) as Weak<dyn DescribeNode>),
            runtime,
        });
        let target: Weak<Self> = Arc::downgrade(&state);
        let reason = state.scope.attach(target);
        if let Some(within) = state.options.deadline {
            state.watch_time(within, created_at, |state| state.cancel(&Reason::Deadline));
        }
        let is_late = state.options.in_phase.as_ref().and_then(|phase| {
            let member: Weak<Self> = Arc::downgrade(&state);
            phase.enter(member)
        });
        if let Some(reason) = reason.or(is_late) {
            state.cancel(&reason);
        }
        state
    }

    /// Panics if a task of the group, or of a group inside of it, awaits the group.
    #[track_caller]
    pub(super) fn forbid_inside(&self, method: &str) {
        assert!(
            !Context::is_inside(&self.scope),
            "`TaskGroup::{method}` was awaited inside of the same group (created at {}): it would wait for the end of the task \
             that awaits it. Await the group in the code that created it, or start another group for the inner tasks.",
            self.scope.created_at
        );
    }

    /// Gives the next task a number, and a place if there is one. `None` for a group without a limit.
    #[inline]
    pub(super) fn reserve(self: &Arc<Self>) -> Option<Reservation<'_, T>> {
        // Most groups have no limit.
        if self.options.limit == usize::MAX { None } else { Some(self.reserve_limited()) }
    }

    fn reserve_limited(self: &Arc<Self>) -> Reservation<'_, T> {
        let mut inner = self.inner.lock();
        let (number, index) = (inner.take_number(), inner.first_free);
        let has_place = inner.free_places > 0;
        if has_place {
            inner.free_places -= 1;
            self.hint_place(&inner);
            self.scope.grant(number); // `granted-in-order`: none is queued.
        } else {
            inner.queue(number, index);
        }
        inner.put(index, GroupEntry::Reserved { number, has_place });
        inner.unfinished += 1;
        Reservation { state: self, index, number, had_place: has_place }
    }

    /// Called under the lock, after a change of the free places.
    #[inline]
    fn hint_place(&self, inner: &GroupGuard<'_, T>) {
        self.has_place.store(inner.free_places > 0, Ordering::Relaxed);
    }

    /// Adds a task that was spawned just now. `closure`: it is a closure that was not given to the pool, because it has no place.
    pub(super) fn insert(
        self: &Arc<Self>,
        handle: JoinHandle<T>,
        reservation: Option<Reservation<'_, T>>,
        is_blocking: bool,
        closure: Option<QueuedClosure>,
    ) -> AbortHandle {
        let abort = handle.abort_handle();
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let is_limited = reservation.is_some();
        let (index, number, has_place, is_granted) = match reservation {
            Some(reservation) => {
                let reservation = mem::ManuallyDrop::new(reservation);
                let has_place = inner.reserved_has_place(reservation.index);
                // A place that was granted meanwhile found no task to wake.
                (reservation.index, reservation.number, has_place, has_place && !reservation.had_place)
            }
            None => {
                inner.unfinished += 1;
                (inner.first_free, inner.take_number(), false, false)
            }
        };
        let is_stopping = inner.is_stopping;
        if handle.give_waker(inner.wakers.waker(self, index)) {
            let mut closure = closure.map(Queued::Closure);
            let queued = if !is_limited || has_place {
                None
            } else if !is_blocking {
                Some(Queued::Task(abort.clone()))
            } else if is_stopping {
                None
            } else {
                // `clean-ups-are-due`, for closures. Relaxed: as in `close`.
                self.runtime.shared.due_in_groups.fetch_add(1, Ordering::Relaxed);
                closure.take()
            };
            let task = GroupEntry::Task { handle, number, has_place, is_blocking, queued };
            if is_limited {
                inner.entries[index] = task;
            } else {
                inner.put(index, task);
            }
            drop(guard);
            match closure {
                Some(Queued::Closure(closure)) if is_stopping => closure.runnable.cancel(),
                Some(closure) => self.start_queued(closure),
                None if is_stopping => end_or_wake(&abort, is_blocking),
                None if is_granted => abort.wake(),
                None => {}
            }
        } else {
            if is_limited {
                inner.take_reserved(index);
            }
            drop(guard);
            self.ended_before_insert(handle, number, has_place);
        }
        abort
    }

    /// The caller may hold the lock, if another reference to the task is left.
    #[inline]
    fn describe_end(&self, handle: JoinHandle<T>, number: u64, has_place: bool) -> EndedTask<T> {
        let (id, spawned_at, ended) = (handle.id(), handle.location(), handle.into_ended());
        let cancelled_by = match &ended {
            Ended::Cancelled => self.cancelled_by(),
            Ended::Output(_) | Ended::Panicked(_) => CancelledBy::Scope,
        };
        EndedTask { id, number, spawned_at, has_place, cancelled_by, ended }
    }

    fn cancelled_by(&self) -> CancelledBy {
        if self.scope.is_cancelled() {
            CancelledBy::Scope
        } else if self.runtime.shared.is_closed() {
            CancelledBy::Shutdown
        } else {
            CancelledBy::Abort
        }
    }

    /// A task had ended before its entry was made.
    #[cold]
    fn ended_before_insert(self: &Arc<Self>, handle: JoinHandle<T>, number: u64, has_place: bool) {
        let task = self.describe_end(handle, number, has_place);
        self.task_is_done(self.inner.lock(), task);
    }

    /// Keeps or drops the result of a task, and does what follows from its end.
    #[inline]
    fn task_is_done<'a>(self: &'a Arc<Self>, mut inner: GroupGuard<'a, T>, mut task: EndedTask<T>) {
        let options = &self.options;
        let (is_output, is_failure) = match &task.ended {
            Ended::Output(output) => (true, options.is_error.is_some_and(|is_error| is_error(output))),
            Ended::Panicked(_) | Ended::Cancelled => (false, true),
        };
        let cancels = match &task.ended {
            Ended::Output(_) => is_failure && options.cancels_on_error,
            Ended::Panicked(_) => options.cancels_on_panic,
            Ended::Cancelled => false,
        };
        let (id, had_place) = (task.id, task.has_place);
        let mut keeps_place = false;
        if inner.is_abandoned {
            // `counted-until-ended`, `user-code-outside`
            drop(inner);
            drop_guarded(task);
            inner = self.inner.lock();
        } else if !options.discards {
            keeps_place = had_place && inner.keeps_places;
            task.has_place = keeps_place;
            inner.ended.push(task);
            self.has_result.store(true, Ordering::Relaxed);
        } else if is_failure {
            task.has_place = false;
            self.has_result.store(true, Ordering::Relaxed);
            if let Some(unused) = inner.keep_first_failure(task, is_output) {
                // `counted-until-ended`, `user-code-outside`
                drop(inner);
                drop_guarded(unused);
                inner = self.inner.lock();
            }
        } else {
            // No code of the user runs: it is a `()` or an `Ok(())` (`NoValue`).
            drop(task);
        }
        let mut granted = None;
        if had_place && !keeps_place {
            granted = inner.release_place(&self.scope);
            self.hint_place(&inner);
        }
        inner.unfinished -= 1;
        let is_empty = inner.unfinished == 0;
        if is_empty {
            self.has_result.store(true, Ordering::Relaxed);
        }
        let is_last = is_empty && inner.phase == GroupPhase::Closing;
        let notified = if inner.free_places > 0 { NEXT | READY } else { NEXT };
        let has_waiters = inner.take_waits(notified);
        if cancels {
            // What waits for the result finds the group cancelled.
            drop(inner);
            self.cancel(&Reason::SiblingFailed(id));
            inner = self.inner.lock();
        }
        notify(inner, has_waiters);
        self.start_granted(granted);
        if is_last {
            self.advance();
        }
        if is_empty {
            if let Some(phase) = &self.options.in_phase {
                phase.emptied();
            }
        }
    }

    /// A result that was held in order has been yielded: its place becomes free.
    pub(super) fn release_place(&self) {
        let mut inner = self.inner.lock();
        let granted = inner.release_place(&self.scope);
        self.hint_place(&inner);
        let has_waiters = inner.free_places > 0 && inner.take_waits(READY);
        notify(inner, has_waiters);
        self.start_granted(granted);
    }

    /// Cancels the group, and the groups inside of it.
    pub(super) fn cancel(self: &Arc<Self>, reason: &Reason) {
        cancel_all(Arc::clone(self) as Arc<dyn CancelTarget>, reason);
    }

    /// Drops the tasks, except where a shield protects them.
    fn stop(self: &Arc<Self>) {
        let mut has_closures = false;
        let count = {
            let mut inner = self.inner.lock();
            if mem::replace(&mut inner.is_stopping, true) {
                return;
            }
            self.scope.stop();
            inner.entries.len()
        };
        self.scope.notify_stopped();
        // The thread that adds a task from now on wakes it, also one that is reserved.
        for first in (0..count).step_by(STEPS_PER_LOCK) {
            let last = count.min(first + STEPS_PER_LOCK);
            let (mut tasks, mut closures) = (Vec::new(), Vec::new());
            for entry in &mut self.inner.lock().entries[first..last] {
                match entry {
                    GroupEntry::Task { queued, .. } if matches!(queued, Some(Queued::Closure(_))) => {
                        closures.extend(queued.take());
                    }
                    GroupEntry::Task { handle, is_blocking, .. } => tasks.push((handle.abort_handle(), *is_blocking)),
                    GroupEntry::Free(_)
                    | GroupEntry::Reserved { .. }
                    | GroupEntry::Watcher(_)
                    | GroupEntry::CleanUp(_) => {}
                }
            }
            for (task, is_blocking) in tasks {
                has_closures |= is_blocking;
                end_or_wake(&task, is_blocking);
            }
            self.cancel_queued(closures);
        }
        if has_closures {
            self.watch_closures();
        }
    }

    /// Calls `then` after a time, unless the group ends first.
    fn watch_time(
        self: &Arc<Self>,
        within: Duration,
        location: &'static Location<'static>,
        then: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) {
        let time = sleep_on(&self.runtime.shared.parts.timers, within);
        inherited::without(|| self.watch(time, location, |state, ()| then(state)));
    }

    /// Calls `then` with the output of `future`, unless the group ends first.
    pub(super) fn watch<F>(
        self: &Arc<Self>,
        future: F,
        location: &'static Location<'static>,
        then: impl FnOnce(&Arc<Self>, F::Output) + Send + 'static,
    ) where
        F: Future + Send + 'static,
    {
        {
            let mut inner = self.inner.lock();
            if inner.are_watchers_aborted || inner.phase == GroupPhase::Done {
                return;
            }
            // From here on the group does not get done without it.
            inner.watchers += 1;
        }
        let state: Weak<Self> = Arc::downgrade(self);
        let watcher = async move {
            let output = future.await;
            if let Some(state) = state.upgrade() {
                then(&state, output);
            }
        };
        let handle = self.runtime.shared.spawn_at(watcher, self.options.name.clone(), location);
        let abort = handle.abort_handle();
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let index = inner.first_free;
        if handle.give_waker(inner.wakers.waker(self, index)) {
            inner.put(index, GroupEntry::Watcher(handle));
            let is_late = inner.are_watchers_aborted;
            drop(guard);
            if is_late {
                abort.abort();
            }
        } else {
            drop(guard);
            self.watcher_is_done(handle);
        }
    }

    fn watcher_is_done(self: &Arc<Self>, handle: JoinHandle<()>) {
        // If the watcher's future panicked, that is reported here.
        drop_guarded(handle.into_ended());
        self.inner.lock().watchers -= 1;
        self.advance();
    }
}

impl<T> Drop for GroupState<T> {
    fn drop(&mut self) {
        self.runtime.shared.nodes.remove(self.entry);
    }
}

impl<T: Send + 'static> EntryOwner for GroupState<T> {
    fn task_ended(self: &Arc<Self>, index: usize) {
        let mut inner = self.inner.lock();
        match inner.take(index) {
            GroupEntry::Task { handle, number, has_place, queued, .. } => {
                // The caller has a reference to the task, so nothing is freed under the lock.
                drop(queued);
                let task = self.describe_end(handle, number, has_place);
                self.task_is_done(inner, task);
            }
            GroupEntry::Watcher(handle) => {
                drop(inner);
                self.watcher_is_done(handle);
            }
            GroupEntry::CleanUp(handle) => {
                drop(inner);
                self.clean_up_is_done(handle);
                self.advance();
            }
            GroupEntry::Free(_) | GroupEntry::Reserved { .. } => {
                unreachable!("an entry has a waker when it has a task, and leaves when that ends")
            }
        }
    }
}

impl<T: Send + 'static> CancelTarget for GroupState<T> {
    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn name(&self) -> Option<Arc<str>> {
        self.options.name.clone()
    }

    fn requested(self: Arc<Self>, is_first: bool) {
        let (has_waiters, is_abandoned) = {
            let mut inner = self.inner.lock();
            (inner.take_waits(READY), inner.is_abandoned)
        };
        if self.options.grace.is_zero() || is_abandoned {
            self.stop();
        } else if is_first {
            self.watch_time(self.options.grace, self.scope.created_at, |state| state.stop());
        }
        if has_waiters {
            self.inner.lock().notify_all();
        }
    }

    fn inner_closes(&self, key: InnerKey, inner: ClosingInside) {
        self.inner.lock().closing_inside.insert(key, inner);
    }

    fn inner_is_done(self: Arc<Self>, key: InnerKey) -> Option<(Arc<dyn CancelTarget>, InnerKey)> {
        let removed = self.inner.lock().closing_inside.remove(&key);
        drop(removed);
        let next = self.advance_alone();
        if let Some(phase) = &self.options.in_phase {
            phase.emptied();
        }
        next
    }

    fn left_here(&self) -> (Vec<Left>, Vec<Arc<dyn CancelTarget>>) {
        let (handles, deferred, inside) = {
            let inner = self.inner.lock();
            let cleaning_up = inner.cleaning_up.as_ref().map(|slot| Arc::as_ptr(slot).addr());
            let handles = inner.entries.iter().filter_map(|entry| match entry {
                GroupEntry::Task { handle, .. } => Some((handle.abort_handle(), None)),
                GroupEntry::CleanUp(handle) => Some((handle.abort_handle(), cleaning_up)),
                GroupEntry::Free(_) | GroupEntry::Reserved { .. } | GroupEntry::Watcher(_) => None,
            });
            let inside = inner.closing_inside.values().filter(|inner| !inner.is_in_phase);
            let inside = inside.filter_map(|inner| inner.group.upgrade()).collect();
            (handles.collect::<Vec<_>>(), inner.deferred.clone(), inside)
        };
        if !handles.is_empty() {
            coarse::refresh();
        }
        let unfinished = handles.into_iter().filter(|(handle, _)| !handle.is_finished());
        let mut left: Vec<_> = unfinished.map(|(handle, clean_up)| Left::of_task(handle.info(), clean_up)).collect();
        left.extend(deferred.iter().filter_map(|slot| {
            let location = slot.0.lock().as_ref()?.location;
            Some(Left::of_deferred(Arc::as_ptr(slot).addr(), self.options.name.clone(), location))
        }));
        (left, inside)
    }
}

/// A closure is aborted, which only helps if it has not started. A task looks at its scope.
fn end_or_wake(task: &AbortHandle, is_blocking: bool) {
    if is_blocking {
        task.abort();
    } else {
        task.wake();
    }
}

/// Releases the lock, and notifies all waits if there are any.
#[inline]
fn notify<T>(inner: GroupGuard<'_, T>, has_waiters: bool) {
    if has_waiters {
        inner.notify_all();
    }
}

impl<T: Send + 'static> Drop for Reservation<'_, T> {
    fn drop(&mut self) {
        // The spawn has panicked.
        let mut inner = self.state.inner.lock();
        let granted = if inner.take_reserved(self.index) { inner.release_place(&self.state.scope) } else { None };
        self.state.hint_place(&inner);
        inner.unfinished -= 1;
        let is_empty = inner.unfinished == 0;
        let has_waiters = inner.take_waits(NEXT | READY);
        notify(inner, has_waiters);
        self.state.start_granted(granted);
        if let Some(phase) = self.state.options.in_phase.as_ref().filter(|_| is_empty) {
            phase.emptied();
        }
    }
}
