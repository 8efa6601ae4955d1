//! The part of a `TaskGroup`'s state that is behind its lock: entries, places, results. No function of this file calls user code.
//! None takes a lock but that of a `DeferSlot`.
//!
//! Called by `group_state`.
//!
//! # Invariants
//! - `place-per-task`: places that are free, that tasks hold, and that ended tasks hold until they are yielded in order, are
//!   together the limit. A place is free only if no task is queued for it.
//! - `ended-in-one-step`: the entry of a task is removed under the same lock under which its result is put into `ended`. So a look
//!   at both sees each result.
//! - `granted-in-order`: tasks get places in the order of their numbers. An ended task is passed over.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::entry_waker::EntryWakers;
use super::result_queue::ResultQueue;
use super::scope::{ClosingInside, InnerKey, Scope};
use super::unread_overdue::UnreadOverdue;
use crate::primitives::Mutex;
use crate::task::ended::Ended;
use crate::task::{AbortHandle, Id, JoinHandle, Runnable};

/// `O` is the state around it.
pub(super) struct GroupInner<T, O> {
    pub(super) entries: Vec<GroupEntry<T>>,
    /// The index of the first free entry; `entries.len()` if there is none.
    pub(super) first_free: usize,
    /// `wakers-go-last`
    pub(super) wakers: EntryWakers<O>,
    /// `counted-until-ended`
    pub(super) unfinished: usize,
    /// In the order in which the tasks ended. With `discards`, at most one failure.
    pub(super) ended: ResultQueue<EndedTask<T>>,
    /// The number of the next task. The first is 1.
    pub(super) next_number: u64,
    /// `place-per-task`
    pub(super) free_places: usize,
    /// The numbers and indices of tasks without a place (`granted-in-order`).
    pub(super) queued: VecDeque<(u64, usize)>,
    /// Closures that have a place, and are about to be started by the call that has set `is_starting`.
    pub(super) granted_closures: VecDeque<QueuedClosure>,
    pub(super) is_starting: bool,
    /// A task that ends keeps its place until its result is yielded in order.
    pub(super) keeps_places: bool,
    /// The number of watchers, which end when the tasks have ended.
    pub(super) watchers: usize,
    pub(super) are_watchers_aborted: bool,
    /// `inner-groups-count`
    pub(super) closing_inside: BTreeMap<InnerKey, ClosingInside>,
    pub(super) deferred: Vec<Arc<DeferSlot>>,
    /// The clean-up that runs, or is about to.
    pub(super) cleaning_up: Option<Arc<DeferSlot>>,
    /// The clean-up that runs, for dumps: its line, and how long it may take.
    pub(super) clean_up: Option<(&'static Location<'static>, Duration)>,
    pub(super) failed_clean_up: Option<(EndedTask<()>, UnreadOverdue)>,
    pub(super) phase: GroupPhase,
    pub(super) is_stopping: bool,
    /// The `TaskGroup` is gone: no result is kept, and no grace is given.
    pub(super) is_abandoned: bool,
    /// What the program waits for: a set of `NEXT`, `READY` and `DONE`.
    pub(super) waits: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupPhase {
    Open,
    Closing,
    Done,
}

pub(super) const NEXT: u8 = 1;
pub(super) const READY: u8 = 2;
pub(super) const DONE: u8 = 4;

pub(super) enum GroupEntry<T> {
    /// The index of the next free entry.
    Free(usize),
    /// A task with a number that is being spawned.
    Reserved {
        number: u64,
        has_place: bool,
    },
    Task {
        handle: JoinHandle<T>,
        number: u64,
        has_place: bool,
        is_blocking: bool,
        /// Of a task without a place.
        queued: Option<Queued>,
    },
    Watcher(JoinHandle<()>),
    /// Its output is false if it took too long.
    CleanUp(JoinHandle<bool>),
}

/// What starts when it gets a place.
pub(super) enum Queued {
    /// It is woken. It also shows dumps that something will wake it.
    Task(AbortHandle),
    /// It is given to the blocking pool.
    Closure(QueuedClosure),
}

pub(super) struct QueuedClosure {
    pub(super) runnable: Runnable,
    /// Set before it runs if there is no thread. Then it panics.
    pub(super) refusal: Arc<OnceLock<io::Error>>,
}

/// A task that has ended, and whose result was not taken.
pub(super) struct EndedTask<T> {
    pub(super) id: Id,
    pub(super) number: u64,
    pub(super) spawned_at: &'static Location<'static>,
    pub(super) has_place: bool,
    pub(super) cancelled_by: CancelledBy,
    pub(super) ended: Ended<T>,
}

/// What cancelled a task, if it was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CancelledBy {
    Scope,
    Abort,
    Shutdown,
    OwnTime,
}

/// A future that runs when the tasks of the group have ended; `None` once it has been taken.
#[derive(Default)]
pub(super) struct DeferSlot(pub(super) Mutex<Option<Deferral>>);

pub(super) struct Deferral {
    pub(super) within: Duration,
    pub(super) future: Pin<Box<dyn Future<Output = ()> + Send>>,
    pub(super) location: &'static Location<'static>,
}

impl DeferSlot {
    fn is_dismissed(&self) -> bool {
        self.0.lock().is_none()
    }

    /// Removes the future before it has run. Returns false if it runs or has run.
    pub(super) fn dismiss(&self) -> bool {
        let deferral = self.0.lock().take();
        deferral.is_some()
    }
}

impl<T, O> GroupInner<T, O> {
    /// With as many places as `limit`.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: Vec::new(),
            first_free: 0,
            wakers: EntryWakers::new(),
            unfinished: 0,
            ended: ResultQueue::new(),
            next_number: 1,
            free_places: limit,
            queued: VecDeque::new(),
            granted_closures: VecDeque::new(),
            is_starting: false,
            keeps_places: false,
            watchers: 0,
            are_watchers_aborted: false,
            closing_inside: BTreeMap::new(),
            deferred: Vec::new(),
            cleaning_up: None,
            clean_up: None,
            failed_clean_up: None,
            phase: GroupPhase::Open,
            is_stopping: false,
            is_abandoned: false,
            waits: 0,
        }
    }

    pub(super) fn take_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    #[inline]
    pub(super) fn put(&mut self, index: usize, entry: GroupEntry<T>) {
        match self.entries.get_mut(index) {
            Some(slot) => {
                if let GroupEntry::Free(next) = mem::replace(slot, entry) {
                    self.first_free = next;
                }
            }
            None => {
                self.entries.push(entry);
                self.first_free = self.entries.len();
            }
        }
    }

    #[inline]
    pub(super) fn take(&mut self, index: usize) -> GroupEntry<T> {
        let entry = mem::replace(&mut self.entries[index], GroupEntry::Free(self.first_free));
        self.first_free = index;
        entry
    }

    /// Removes a reservation. Returns whether it has a place.
    pub(super) fn take_reserved(&mut self, index: usize) -> bool {
        let has_place = self.reserved_has_place(index);
        self.take(index);
        has_place
    }

    #[inline]
    pub(super) fn reserved_has_place(&self, index: usize) -> bool {
        match &self.entries[index] {
            GroupEntry::Reserved { has_place, .. } => *has_place,
            GroupEntry::Free(_) | GroupEntry::Task { .. } | GroupEntry::Watcher(_) | GroupEntry::CleanUp(_) => {
                unreachable!("a reservation is removed by its owner")
            }
        }
    }

    /// Whether the task with that number, whose entry was at that index, waits for a place.
    pub(super) fn is_queued(&self, queued: u64, index: usize) -> bool {
        match self.entries.get(index) {
            Some(GroupEntry::Task { number, .. } | GroupEntry::Reserved { number, .. }) => *number == queued,
            Some(GroupEntry::Free(_) | GroupEntry::Watcher(_) | GroupEntry::CleanUp(_)) | None => false,
        }
    }

    /// A place is free: gives it to the next task without one (`granted-in-order`). Returns what to start.
    pub(super) fn release_place(&mut self, scope: &Scope) -> Option<Queued> {
        while let Some((queued, index)) = self.queued.pop_front() {
            match self.entries.get_mut(index) {
                Some(GroupEntry::Task { number, has_place, queued: waiting, .. }) if *number == queued => {
                    *has_place = true;
                    scope.grant(queued);
                    return waiting.take();
                }
                Some(GroupEntry::Reserved { number, has_place }) if *number == queued => {
                    *has_place = true;
                    scope.grant(queued);
                    return None;
                }
                // It has ended without a place.
                _ => {}
            }
        }
        self.free_places += 1;
        None
    }

    /// Adds a clean-up. Those that were dismissed go when the room would have to grow.
    pub(super) fn defer(&mut self, slot: Arc<DeferSlot>) {
        if self.deferred.len() == self.deferred.capacity() {
            self.deferred.retain(|slot| !slot.is_dismissed());
            // Room for as many again, so that the next look is as far away.
            self.deferred.reserve(self.deferred.len() + 1);
        }
        self.deferred.push(slot);
    }

    /// Adds a task without a place. Those that have ended go when the room would have to grow.
    pub(super) fn queue(&mut self, number: u64, index: usize) {
        if self.queued.len() == self.queued.capacity() {
            let entries = &self.entries;
            self.queued.retain(|(queued, index)| match entries.get(*index) {
                Some(GroupEntry::Task { number, .. } | GroupEntry::Reserved { number, .. }) => number == queued,
                Some(GroupEntry::Free(_) | GroupEntry::Watcher(_) | GroupEntry::CleanUp(_)) | None => false,
            });
            self.queued.reserve(self.queued.len() + 1);
        }
        self.queued.push_back((number, index));
    }

    /// With `discards`, the first failure is kept. A panic or an error takes the place of a cancelled task. Returns what is not
    /// kept.
    pub(super) fn keep_first_failure(&mut self, task: EndedTask<T>, is_output: bool) -> Option<EndedTask<T>> {
        let Some(kept) = self.ended.pop() else {
            self.ended.push(task);
            return None;
        };
        let is_weak = matches!(kept.ended, Ended::Cancelled);
        let (kept, unused) = if is_weak && (is_output || matches!(task.ended, Ended::Panicked(_))) {
            (task, kept)
        } else {
            (kept, task)
        };
        self.ended.push(kept);
        Some(unused)
    }

    /// Whether one of `notified` is waited for. Then all that wait are to be notified.
    pub(super) fn take_waits(&mut self, notified: u8) -> bool {
        let is_waited_for = self.waits & notified != 0;
        if is_waited_for {
            self.waits = 0;
        }
        is_waited_for
    }
}

impl<T> EndedTask<T> {
    pub(super) fn is_panic(&self) -> bool {
        matches!(self.ended, Ended::Panicked(_))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Inner = GroupInner<u32, ()>;

    fn location() -> &'static Location<'static> {
        Location::caller()
    }

    fn ended(number: u64, ended: Ended<u32>) -> EndedTask<u32> {
        let (id, spawned_at, cancelled_by) = (Id(number), location(), CancelledBy::Abort);
        EndedTask { id, number, spawned_at, has_place: false, cancelled_by, ended }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Spawn,
        /// The task at this position of those that have not ended.
        End(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![Just(Step::Spawn), (0_usize..8).prop_map(Step::End)];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        // As `GroupState` does it, with a reservation for each task.
        #[test]
        fn places_go_to_the_tasks_in_the_order_of_their_numbers(limit in 1_usize..4, steps in steps()) {
            let (scope, mut inner) = (Scope::new(location()), Inner::new(limit));
            // The entries of the tasks that have not ended, by number, and of those the ones that were granted a place.
            let (mut tasks, mut granted) = (BTreeMap::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Spawn => {
                        let (number, index) = (inner.take_number(), inner.first_free);
                        let has_place = inner.free_places > 0;
                        if has_place {
                            inner.free_places -= 1;
                            scope.grant(number);
                            granted.push(number);
                        } else {
                            inner.queue(number, index);
                        }
                        inner.put(index, GroupEntry::Reserved { number, has_place });
                        prop_assert!(!tasks.values().any(|used| *used == index), "an index has one entry");
                        tasks.insert(number, index);
                    }
                    Step::End(position) => {
                        let Some((&number, &index)) = tasks.iter().nth(position) else { continue };
                        prop_assert_eq!(inner.is_queued(number, index), true);
                        prop_assert_eq!(inner.is_queued(number + 1, index), false);
                        prop_assert_eq!(inner.reserved_has_place(index), granted.contains(&number));
                        tasks.remove(&number);
                        if inner.take_reserved(index) {
                            granted.retain(|granted| *granted != number);
                            prop_assert!(inner.release_place(&scope).is_none(), "a reservation is not woken");
                            let next = tasks.keys().find(|number| !granted.contains(number));
                            granted.extend(next);
                        }
                        prop_assert_eq!(inner.is_queued(number, index), false);
                    }
                }
                prop_assert_eq!(inner.free_places, limit - granted.len(), "`place-per-task`");
                for (number, index) in &tasks {
                    prop_assert_eq!(inner.reserved_has_place(*index), granted.contains(number));
                    prop_assert!(scope.is_granted(*number) || !granted.contains(number));
                }
                let waiting = tasks.len() - granted.len();
                prop_assert!(waiting <= inner.queued.len());
                prop_assert!(inner.entries.len() <= 200);
            }
        }
    }

    #[test]
    fn an_index_past_the_end_is_not_queued() {
        assert!(!Inner::new(1).is_queued(1, 0));
    }

    #[test]
    fn in_a_new_group_nothing_is_under_way() {
        let inner = Inner::new(1);
        assert!(inner.cleaning_up.is_none() && !inner.is_stopping && !inner.is_abandoned);
        assert!(!inner.keeps_places && !inner.are_watchers_aborted);
        assert_eq!(inner.phase, GroupPhase::Open);
    }

    #[test]
    fn numbers_begin_with_1() {
        let mut inner = Inner::new(1);
        assert_eq!([inner.take_number(), inner.take_number()], [1, 2]);
    }

    #[test]
    fn a_task_that_gets_a_place_is_started_and_one_that_has_ended_is_passed_over() {
        let runtime = crate::runtime::Builder::new_current_thread().build().expect("nothing is refused");
        runtime.block_on(async {
            let (scope, mut inner) = (Scope::new(location()), Inner::new(0));
            for number in 1..=3 {
                let index = inner.first_free;
                inner.queue(number, index);
                let handle = crate::spawn(async { 5 });
                let queued = Some(Queued::Task(handle.abort_handle()));
                inner.put(index, GroupEntry::Task { handle, number, has_place: false, is_blocking: false, queued });
            }
            assert!(inner.is_queued(1, 0) && inner.is_queued(3, 2) && !inner.is_queued(1, 1));
            inner.take(0);
            inner.put(0, GroupEntry::Reserved { number: 4, has_place: true });
            assert!(matches!(inner.release_place(&scope), Some(Queued::Task(_))));
            assert!(scope.is_granted(2) && !scope.is_granted(3));
            assert!(matches!(&inner.entries[1], GroupEntry::Task { has_place: true, queued: None, .. }));
            assert!(matches!(&inner.entries[2], GroupEntry::Task { has_place: false, queued: Some(_), .. }));
            assert!(matches!(inner.release_place(&scope), Some(Queued::Task(_))));
            assert_eq!(inner.free_places, 0);
            assert!(inner.release_place(&scope).is_none());
            assert_eq!(inner.free_places, 1);
        });
    }

    #[test]
    fn tasks_that_have_ended_do_not_fill_the_queue() {
        let mut inner = Inner::new(0);
        inner.put(0, GroupEntry::Reserved { number: 1, has_place: false });
        inner.queue(1, 0);
        for number in 2..10_000 {
            let index = inner.first_free;
            inner.queue(number, index);
            inner.put(index, GroupEntry::Reserved { number, has_place: false });
            inner.take_reserved(index);
        }
        assert!(inner.queued.capacity() <= 8, "{}", inner.queued.capacity());
        assert_eq!(inner.queued.front(), Some(&(1, 0)), "the one that waits stays");
        assert_eq!(inner.entries.len(), 2);
    }

    #[test]
    fn as_long_as_there_is_room_nothing_is_searched_for() {
        let mut inner = Inner::new(0);
        inner.deferred.reserve(4);
        inner.queued.reserve(4);
        for number in 1..=3 {
            let dismissed = slot();
            assert!(dismissed.dismiss());
            inner.defer(dismissed);
            inner.queue(number, 0);
        }
        assert_eq!((inner.deferred.len(), inner.queued.len()), (3, 3));
    }

    #[test]
    fn many_that_wait_stay_in_their_order() {
        let mut inner = Inner::new(0);
        for number in 1..=1000 {
            let index = inner.first_free;
            inner.queue(number, index);
            inner.put(index, GroupEntry::Reserved { number, has_place: false });
        }
        assert!(inner.queued.iter().map(|(number, _)| *number).eq(1..=1000));
    }

    fn slot() -> Arc<DeferSlot> {
        let deferral = Deferral { within: Duration::ZERO, future: Box::pin(async {}), location: location() };
        Arc::new(DeferSlot(Mutex::new(Some(deferral))))
    }

    #[test]
    fn a_clean_up_is_dismissed_once() {
        let slot = slot();
        assert!(!slot.is_dismissed());
        assert!(slot.dismiss());
        assert!(slot.is_dismissed());
        assert!(!slot.dismiss(), "it is gone");
    }

    #[test]
    fn clean_ups_that_were_dismissed_need_no_memory() {
        let mut inner = Inner::new(0);
        let kept = slot();
        inner.defer(Arc::clone(&kept));
        for _ in 0..10_000 {
            let dismissed = slot();
            inner.defer(Arc::clone(&dismissed));
            assert!(dismissed.dismiss());
        }
        assert!(inner.deferred.capacity() <= 8, "{}", inner.deferred.capacity());
        assert!(Arc::ptr_eq(&inner.deferred[0], &kept), "the one that is due stays");
        let due: Vec<_> = (0..1000).map(|_| slot()).collect();
        due.iter().for_each(|slot| inner.defer(Arc::clone(slot)));
        let last = inner.deferred.len() - due.len();
        assert!(inner.deferred[last..].iter().zip(&due).all(|(left, right)| Arc::ptr_eq(left, right)));
    }

    #[test]
    fn an_error_takes_the_place_of_a_cancelled_task_and_of_no_other() {
        let mut inner = Inner::new(0);
        assert!(inner.keep_first_failure(ended(1, Ended::Cancelled), false).is_none());
        let unused = inner.keep_first_failure(ended(2, Ended::Cancelled), false);
        assert_eq!(unused.expect("one is kept").number, 2);
        let unused = inner.keep_first_failure(ended(3, Ended::Output(0)), true);
        assert_eq!(unused.expect("one is kept").number, 1);
        let unused = inner.keep_first_failure(ended(4, Ended::Output(0)), true);
        assert_eq!(unused.expect("one is kept").number, 4);
        let unused = inner.keep_first_failure(ended(5, Ended::Cancelled), false);
        assert_eq!(unused.expect("one is kept").number, 5);
        assert_eq!(inner.ended.pop().expect("one is kept").number, 3);
        assert!(inner.ended.is_empty());
    }

    #[test]
    fn a_wait_is_notified_of_what_it_waits_for_and_all_with_it() {
        let mut inner = Inner::new(0);
        assert!(!inner.take_waits(NEXT | READY | DONE));
        inner.waits = NEXT | DONE;
        assert!(!inner.take_waits(READY));
        assert!(inner.take_waits(READY | DONE));
        assert!(!inner.take_waits(NEXT | READY | DONE), "all are to be notified");
    }
}
