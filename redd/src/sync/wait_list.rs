//! The wait list: the waiters of every primitive of `sync`.
//!
//! Long because the waiters, the lists, their lock and the record with all of it are one protocol.
//!
//! Called by `permits`, `notify`, `wait_until` and the types that use the latter. A waiter is a node inside the future
//! that waits. So waiting allocates no memory for it, and a dropped future leaves the list in constant time.
//!
//! To *notify* a waiter is to remove it from the list, store the [`Notification`] in it, and wake its task.
//!
//! ```text
//!            push_back                notify_one, notify_all
//!   Idle ───────────────▶ Linked ────────────────────────────────────▶ Notified
//!     ▲                     │ remove                                        │ acknowledge
//!     └─────────────────────┴───────────────────────────────────────────────┘
//! ```
//! (`notify_self` goes from Idle to Notified directly.)
//!
//! The lock and the list are in a record, which is never freed. So [`collect`] can look at the waiters of all lists at any
//! time, also while an object is moved or dropped. A list takes its record when it is locked for the first time, and gives
//! it back when it is dropped. Usually that is a few instructions (`reuse_pool`).
//!
//! # Invariants
//! - `under-lock`: a linked waiter's entry is read and written only by a thread that holds its list's lock.
//! - `notified-is-last`: the store of `Notified` is the notifier's last access to a waiter. From then on the entry
//!   belongs to the waiter's owner, which may free it without taking the lock.
//! - `same-list`: a linked waiter stays where it is in memory, its list outlives the link, and it leaves through the
//!   list that it was pushed to.
//! - `user-code-outside`: wakers are cloned, woken and dropped only while the lock is not held.
//! - `one-record`: a list has no record, or the same one until it is dropped. A record has one list, or is idle and empty.
//! - `all-means-all-linked-before`: `notify_all` notifies exactly the waiters that were linked when it was called.
//! - `grant-until-heard`: `unheard` of a record is 0, or the number of a grant whose waiter has not been polled or dropped
//!   since. Only a grant changes it from 0, under the lock, and only that waiter's owner changes it back. So the owner needs
//!   no lock. While it is not 0, further grants have the number 0, and are not followed.
//!
//! # Why not otherwise
//! A `notify_all` that keeps the lock while it wakes would run wakers under it. One that pops until the list is empty
//! would also notify waiters that came during the walk. Here the whole list changes sides in one step, under a new
//! epoch. A waiter of an older epoch counts as notified from that moment on; the store in it follows batch by batch.
//!
//! A record that pointed back to its object would show more, but it may point to memory that is gone. A waiter that is
//! leaked (`mem::forget` of a boxed future) stays linked, while the borrow of its object ends: the object can be moved.

#![expect(unsafe_code, reason = "the waiters live in the futures that wait")]

use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Waker};

use crate::collections::linked_list::{Linked, LinkedList, Links};
use crate::collections::wake_list::{WakeList, wake_guarded};
use crate::observe::coarse;
use crate::observe::waiter::{Granted, Subject, Taken, WaiterInfo};
use crate::observe::waiting::{self, WaitKind};
use crate::primitives::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering};
use crate::primitives::cell::UnsafeCell;
use crate::primitives::parker_waker::is_of_parker;
use crate::primitives::record_pool::{OwnedRecord, Record};
use crate::primitives::{ShortMutex, ShortMutexGuard, const_fn, reuse_pool};
use crate::sys::images;
use crate::task::coop::is_of_root;
use crate::task::current;
use crate::task::waker::task_of;

#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/sync_records.rs"]
mod models;

/// Where the user code called the method that waits.
pub(crate) type CallSite = Option<&'static Location<'static>>;

/// How a waiter was notified.
///
/// If a waiter is dropped before it acknowledges `First` or `Last`, the notification must go to another waiter. `All`
/// need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Notification {
    /// As the first in the list.
    First = 2,
    /// As the last in the list.
    Last,
    /// Together with all others.
    All,
}

/// The stage of a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitStage {
    /// In no list.
    Idle,
    /// In the list.
    Linked,
    /// Removed from the list by this notification.
    Notified(Notification),
}

const IDLE: u8 = 0;
const LINKED: u8 = 1;
const NOTIFIED_FIRST: u8 = Notification::First as u8;
const NOTIFIED_LAST: u8 = Notification::Last as u8;

/// A waiter: a node inside the future that waits.
pub(crate) struct Waiter {
    /// A [`WaitStage`]. The owner stores `LINKED` and `IDLE`; a notifier stores a notification, under the lock.
    stage: AtomicU8,
    /// What the owner waits on, for dumps.
    kind: WaitKind,
    /// For permits, for dumps: the guard will own the object.
    is_owned: bool,
    /// Where user code called the method that waits, for dumps.
    location: CallSite,
    /// `under-lock` while linked. Otherwise the owner's.
    entry: UnsafeCell<WaitEntry>,
}

struct WaitEntry {
    links: Links<Waiter>,
    /// `None` before the first poll (`Notified::enable`).
    waker: Option<Waker>,
    /// The list's epoch when the waiter was linked. If the list's epoch is newer, `notify_all` was called since.
    epoch: usize,
    /// For permits: how many are still missing.
    need: usize,
    /// For permits: how many it waits for. `u32::MAX` if there are more.
    count: u32,
    /// The id of the task that polled it last, for dumps. 0 if that was no task.
    task: u64,
    /// When it was linked, on the coarse clock of the process, for dumps. From a grant on, the number of that grant
    /// (`grant-until-heard`).
    since_ms: u32,
}

// SAFETY: the entry is used by one thread at a time: `under-lock` while linked, by the owner otherwise; a `Waker` may
// be used from any thread.
unsafe impl Send for Waiter {}
// SAFETY: as above; through a shared reference everything else is atomic or constant.
unsafe impl Sync for Waiter {}

impl Waiter {
    /// Makes a waiter that is in no list.
    #[inline]
    pub(crate) fn new(kind: WaitKind, location: CallSite) -> Self {
        Self {
            stage: AtomicU8::new(IDLE),
            kind,
            is_owned: false,
            location,
            entry: UnsafeCell::new(WaitEntry {
                links: Links::new(),
                waker: None,
                epoch: 0,
                need: 0,
                count: 0,
                task: 0,
                since_ms: 0,
            }),
        }
    }

    /// The waiter gets a guard that owns the object.
    #[inline]
    pub(crate) fn for_owned(self) -> Self {
        Self { is_owned: true, ..self }
    }

    /// Returns the stage, without the lock. `Linked` may be out of date: [`Guard::stage`] is exact.
    #[inline]
    pub(crate) fn stage(&self) -> WaitStage {
        // Acquire: what the notifier did before is visible, and the entry is the owner's (`notified-is-last`). Pairs
        // with Release in `Waiter::mark_notified`.
        match self.stage.load(Ordering::Acquire) {
            IDLE => WaitStage::Idle,
            LINKED => WaitStage::Linked,
            NOTIFIED_FIRST => WaitStage::Notified(Notification::First),
            NOTIFIED_LAST => WaitStage::Notified(Notification::Last),
            _ => WaitStage::Notified(Notification::All),
        }
    }

    /// Makes a notified waiter idle again: its owner has received the notification. Otherwise does nothing.
    #[inline]
    pub(crate) fn acknowledge(&self) {
        if let WaitStage::Notified(_) = self.stage() {
            self.stage.store(IDLE, Ordering::Relaxed);
        }
    }

    /// Notifies an idle waiter: its owner got at once what it would have waited for, and returns it at its next poll.
    pub(crate) fn notify_self(&self) {
        debug_assert_eq!(self.stage(), WaitStage::Idle, "only the owner touches an idle waiter");
        self.stage.store(NOTIFIED_FIRST, Ordering::Relaxed);
    }

    /// Returns how many permits are still missing. Called by the owner of a waiter that is not linked.
    pub(crate) fn need(&self) -> usize {
        assert_ne!(self.stage(), WaitStage::Linked, "`under-lock`: ask the guard");
        // SAFETY: not linked (Acquire in `stage`), so the entry belongs to the owner, which is the caller.
        self.entry.with(|entry| unsafe { (*entry).need })
    }

    /// Records for dumps that the current task waits from now on. Called by the owner of an idle waiter, before
    /// [`Guard::push_back`]: less is done under the lock then.
    #[inline]
    pub(crate) fn begin(&self) {
        debug_assert_eq!(self.stage(), WaitStage::Idle, "only the owner touches an idle waiter");
        let (task, since_ms) = (current::id_or_zero(), coarse::now_ms());
        // SAFETY: an idle waiter's entry belongs to its owner, which is the caller.
        self.entry.with_mut(|entry| unsafe {
            (*entry).task = task;
            (*entry).since_ms = since_ms;
        });
    }

    /// Records what the task is about to wait on. Called just before the owner returns `Pending`.
    #[inline]
    pub(crate) fn record(&self) {
        waiting::record(self.kind, self.location);
    }

    /// Takes the waker and stores the notification.
    ///
    /// # Safety
    /// The caller holds the lock of the list that `waiter` has just left, and does not use `waiter` afterwards
    /// (`notified-is-last`).
    unsafe fn mark_notified(waiter: NonNull<Self>, notification: Notification) -> Option<Waker> {
        // SAFETY: `same-list`: it was linked until now, so it is alive, and its owner frees it only after the store.
        let waiter = unsafe { waiter.as_ref() };
        // SAFETY: `under-lock`: the stage is still `LINKED`, and the caller holds the lock.
        let waker = waiter.entry.with_mut(|entry| unsafe { (*entry).waker.take() });
        // Release: publishes what happened before, and hands the entry to the owner. Pairs with Acquire in
        // `Waiter::stage`.
        waiter.stage.store(notification as u8, Ordering::Release);
        waker
    }
}

debug_struct!([] Waiter as "Waiter", self => { stage: self.stage(), kind: self.kind, location: self.location });

// SAFETY: always the links of the entry, reached by raw projection. A reference is made only to the cell, which may be
// shared.
unsafe impl Linked for Waiter {
    unsafe fn links(element: NonNull<Self>) -> NonNull<Links<Self>> {
        // SAFETY: alive, by the safety contract; `under-lock`: the caller holds the list's lock.
        unsafe { (*element.as_ptr()).entry.with_mut(|entry| NonNull::new_unchecked(&raw mut (*entry).links)) }
    }
}

/// The lists of waiters, and their lock.
pub(crate) struct ListRecord {
    lists: ShortMutex<Lists>,
    /// `grant-until-heard`
    unheard: AtomicU32,
}

struct Lists {
    /// The waiters in order, all of the current epoch.
    waiting: LinkedList<Waiter>,
    /// The number of them.
    length: usize,
    /// The waiters that a `notify_all` has yet to reach, all of older epochs.
    leaving: LinkedList<Waiter>,
    epoch: usize,
    /// What the waiters wait for, if these are permits.
    permits: Option<PermitsState>,
    /// The number of the last grant that is followed.
    grants: u32,
    /// That grant.
    grant: Option<Granted>,
}

/// The permits that the waiters of a list wait for, as dumps show them.
#[derive(Clone, Copy)]
pub(crate) struct PermitsState {
    /// The last acquisition.
    pub(crate) taken: Option<Taken>,
    /// The number of permits that are out, if the object has a fixed number.
    pub(crate) out: Option<usize>,
    /// Where the object is. Only compared.
    pub(crate) address: usize,
}

impl ListRecord {
    const_fn! {
        const fn new() -> Self {
            Self {
                lists: ShortMutex::new(Lists {
                    waiting: LinkedList::new(),
                    length: 0,
                    leaving: LinkedList::new(),
                    epoch: 0,
                    permits: None,
                    grants: 0,
                    grant: None,
                }),
                unheard: AtomicU32::new(0),
            }
        }
    }
}

reuse_pool::recorded!(ListRecord, Self::new());

/// The waiters in the order in which they came, and the data `D` that the same lock protects.
pub(crate) struct WaitList<D = ()> {
    /// Null until the lock is taken for the first time (`one-record`).
    record: AtomicPtr<Record<ListRecord>>,
    /// `under-lock`
    data: UnsafeCell<D>,
}

// SAFETY: `under-lock`: one thread at a time has the data. The record may be used by any thread.
unsafe impl<D: Send> Sync for WaitList<D> {}

impl<D> std::panic::UnwindSafe for WaitList<D> {}
impl<D> std::panic::RefUnwindSafe for WaitList<D> {}

impl<D> WaitList<D> {
    const_fn! {
        /// Makes an empty list.
        pub(crate) const fn new(data: D) -> Self {
            Self { record: AtomicPtr::new(ptr::null_mut()), data: UnsafeCell::new(data) }
        }
    }

    /// Takes the lock. No user code may run until the guard is dropped (`user-code-outside`).
    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_, D> {
        // Acquire: sees the record. Pairs with Release in `WaitList::take_record`.
        let mut record = self.record.load(Ordering::Acquire);
        if record.is_null() {
            record = self.take_record();
        }
        // SAFETY: it is from `into_raw`, in `take_record`.
        let record = unsafe { OwnedRecord::value_of(record) };
        Guard { list: self, lists: record.lists.lock() }
    }

    /// The number that tells this list from others in dumps. 0 if nothing has used it.
    pub(crate) fn object(&self) -> usize {
        // Relaxed: only its address is used.
        let record = self.record.load(Ordering::Relaxed);
        if record.is_null() {
            return 0;
        }
        // SAFETY: it is from `into_raw`, in `take_record`.
        ptr::from_ref(unsafe { OwnedRecord::value_of(record) }).addr()
    }

    /// Gets a record for the list, unless another thread is first.
    #[cold]
    fn take_record(&self) -> *mut Record<ListRecord> {
        let record = reuse_pool::take().into_raw();
        let none = ptr::null_mut();
        // Release: publishes the record, which this thread may have made. Acquire: sees the other thread's. Pair with each
        // other, and with Acquire in `WaitList::lock`.
        match self.record.compare_exchange(none, record, Ordering::Release, Ordering::Acquire) {
            Ok(_) => record,
            Err(first) => {
                // SAFETY: from `into_raw` above, and not stored.
                reuse_pool::give_back(unsafe { OwnedRecord::from_raw(record) });
                first
            }
        }
    }

    /// Gives the record back, empty (`one-record`).
    #[inline(never)]
    fn return_record(&mut self, record: *mut Record<ListRecord>) {
        // SAFETY: from `into_raw`, in `take_record`. Only `drop` calls this, once, and nothing uses the list afterwards.
        let record = unsafe { OwnedRecord::from_raw(record) };
        {
            let mut lists = record.value().lists.lock();
            // A waiter that was leaked is still linked. Nothing uses it any more.
            lists.waiting.take();
            lists.leaving.take();
            lists.length = 0;
            lists.permits = None;
            lists.grant = None;
            // Relaxed: no owner of a waiter uses this list any more.
            record.value().unheard.store(0, Ordering::Relaxed);
        }
        reuse_pool::give_back(record);
    }

    /// Stores the waker of `cx` in a waiter that was polled again, if it is still linked. Returns the waiter's stage.
    pub(crate) fn update_waker(&self, waiter: Pin<&Waiter>, cx: &Context<'_>) -> WaitStage {
        {
            let mut guard = self.lock();
            let stage = guard.stage(waiter);
            if stage != WaitStage::Linked || guard.waker(waiter).as_ref().is_some_and(|old| old.will_wake(cx.waker())) {
                return stage;
            }
        }
        // `user-code-outside`: the new waker is cloned and the old one dropped without the lock.
        let waker = cx.waker().clone();
        let mut guard = self.lock();
        let stage = guard.stage(waiter);
        let unused = match stage {
            WaitStage::Linked => {
                guard.set_task(waiter);
                guard.waker(waiter).replace(waker)
            }
            WaitStage::Idle | WaitStage::Notified(_) => Some(waker),
        };
        drop(guard);
        drop(unused);
        stage
    }

    /// The owner of `waiter`, which was granted permits, has been polled or is dropped (`grant-until-heard`).
    pub(crate) fn hear(&self, waiter: &Waiter) {
        let WaitStage::Notified(Notification::First) = waiter.stage() else { return };
        // SAFETY: notified (Acquire in `stage`), so the entry belongs to the owner, which is the caller.
        let number = waiter.entry.with(|entry| unsafe { (*entry).since_ms });
        // Relaxed: the waiter was linked, so this thread has seen the record.
        let record = self.record.load(Ordering::Relaxed);
        if number == 0 || record.is_null() {
            return; // It was never linked (`Waiter::notify_self`), or is not followed.
        }
        // SAFETY: it is from `into_raw`, in `take_record`.
        let unheard = unsafe { &OwnedRecord::value_of(record).unheard };
        // Relaxed, here and below: a number, and no more. No other thread changes it meanwhile.
        if unheard.load(Ordering::Relaxed) == number {
            unheard.store(0, Ordering::Relaxed);
        }
    }

    /// Removes the waiter from the list, if it is linked.
    pub(crate) fn unlink(&self, waiter: Pin<&Waiter>) {
        let mut guard = self.lock();
        let (_, unused) = guard.remove(waiter);
        drop(guard);
        drop(unused);
    }
}

impl<D> Drop for WaitList<D> {
    #[inline]
    fn drop(&mut self) {
        // Relaxed: no other thread has a reference to the list.
        let record = self.record.load(Ordering::Relaxed);
        if !record.is_null() {
            self.return_record(record);
        }
    }
}

debug_struct!([D] WaitList<D> as "WaitList", self => { .. });

/// Holds the lock of a [`WaitList`].
pub(crate) struct Guard<'a, D = ()> {
    list: &'a WaitList<D>,
    lists: ShortMutexGuard<'static, Lists>,
}

impl<D> Deref for Guard<'_, D> {
    type Target = D;

    fn deref(&self) -> &D {
        // SAFETY: `under-lock`, and the result borrows the guard.
        self.list.data.with(|data| unsafe { &*data })
    }
}

impl<D> DerefMut for Guard<'_, D> {
    fn deref_mut(&mut self) -> &mut D {
        // SAFETY: `under-lock`, and the result borrows the guard alone.
        self.list.data.with_mut(|data| unsafe { &mut *data })
    }
}

impl<D> Guard<'_, D> {
    /// Returns whether no task waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.lists.waiting.is_empty()
    }

    /// Links `waiter`, which is in no list, at the back. Its owner has called [`Waiter::begin`]. `need` is for permits, and 0
    /// elsewhere.
    ///
    /// # Safety
    /// `same-list`: until the waiter is notified or removed, this list lives, and the waiter is neither moved nor freed.
    /// A pinned waiter fulfils this if its owner borrows the list (or owns a reference to it) and calls
    /// [`remove`](Self::remove) in its drop.
    pub(crate) unsafe fn push_back(&mut self, waiter: Pin<&Waiter>, waker: Option<Waker>, need: usize) {
        debug_assert_eq!(waiter.stage(), WaitStage::Idle, "a waiter is in one list at most");
        let epoch = self.lists.epoch;
        waiter.entry.with_mut(|entry| {
            // SAFETY: an idle waiter's entry belongs to its owner, which is the caller.
            let entry = unsafe { &mut *entry };
            entry.epoch = epoch;
            entry.need = need;
            debug_assert!(entry.waker.is_none(), "a waker is taken by the notification or by `remove`");
            // SAFETY: it is valid for writes. There is no waker that would have to be dropped.
            unsafe { ptr::write(&raw mut entry.waker, waker) };
        });
        // Relaxed: the lock orders it for notifiers, and for the owner it is its own store.
        waiter.stage.store(LINKED, Ordering::Relaxed);
        // SAFETY: by the safety contract.
        unsafe { self.lists.waiting.push_back(NonNull::from(waiter.get_ref())) };
        self.lists.length += 1;
    }

    /// Returns the exact stage of a waiter of this list. A waiter that a `notify_all` has yet to reach counts as
    /// notified.
    pub(crate) fn stage(&self, waiter: Pin<&Waiter>) -> WaitStage {
        match waiter.stage() {
            // `all-means-all-linked-before`: the epoch has moved on since it was linked.
            WaitStage::Linked if self.is_leaving(waiter) => WaitStage::Notified(Notification::All),
            stage @ (WaitStage::Idle | WaitStage::Linked | WaitStage::Notified(_)) => stage,
        }
    }

    fn is_leaving(&self, waiter: Pin<&Waiter>) -> bool {
        // SAFETY: `under-lock`.
        let epoch = waiter.entry.with(|entry| unsafe { (*entry).epoch });
        epoch != self.lists.epoch
    }

    /// Returns how many permits the first waiter still needs, to be lowered. `None` if no task waits.
    pub(crate) fn front_need(&mut self) -> Option<&mut usize> {
        let front = self.lists.waiting.front()?;
        // SAFETY: `under-lock`, alive by `same-list`; the result borrows the guard.
        unsafe { front.as_ref().entry.with_mut(|entry| Some(&mut (*entry).need)) }
    }

    /// Records that the current task waits, for a linked waiter of this list.
    fn set_task(&mut self, waiter: Pin<&Waiter>) {
        // SAFETY: `under-lock`.
        waiter.entry.with_mut(|entry| unsafe { (*entry).task = current::id_or_zero() });
    }

    /// Records how many permits `waiter` waits for, which has just been linked.
    pub(crate) fn set_count(&mut self, waiter: Pin<&Waiter>, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        // SAFETY: `under-lock`.
        waiter.entry.with_mut(|entry| unsafe { (*entry).count = count });
    }

    /// Returns the first waiter as one that takes permits, and how many of them it has collected and waits for.
    pub(crate) fn front_taker(&self) -> Option<Taker> {
        let front = self.lists.waiting.front()?;
        // SAFETY: alive by `same-list`.
        let waiter = unsafe { front.as_ref() };
        // SAFETY: `under-lock`.
        let (task, count, need) = waiter.entry.with(|entry| unsafe { ((*entry).task, (*entry).count, (*entry).need) });
        let count = count as usize;
        let (location, is_owned) = (waiter.location, waiter.is_owned);
        Some(Taker { task, location, is_owned, count, collected: count.saturating_sub(need) })
    }

    /// Records that the first waiter is about to be notified that it has its permits (`grant-until-heard`).
    pub(crate) fn follow_grant(&mut self) {
        let Some(front) = self.lists.waiting.front() else { return };
        // SAFETY: alive by `same-list`.
        let waiter = unsafe { front.as_ref() };
        // SAFETY: it is from `into_raw`, in `WaitList::take_record`. A list that is locked has one.
        let unheard = unsafe { &OwnedRecord::value_of(self.list.record.load(Ordering::Relaxed)).unheard };
        // Relaxed, here and below: see `WaitList::hear`. An older value than the last only leaves this grant out.
        let number = if unheard.load(Ordering::Relaxed) == 0 { (self.lists.grants % u32::MAX) + 1 } else { 0 };
        let (task, is_woken_directly) = waiter.entry.with_mut(|entry| {
            // SAFETY: `under-lock`.
            let entry = unsafe { &mut *entry };
            entry.since_ms = number;
            (entry.task, number != 0 && entry.waker.as_ref().is_some_and(|waker| is_own_waker(waker, entry.task)))
        });
        if number != 0 {
            self.lists.grants = number;
            self.lists.grant = Some(Granted {
                object: 0,
                task,
                kind: waiter.kind,
                location: waiter.location,
                at_ms: coarse::now_ms(),
                by: current::id_or_zero(),
                is_woken_directly,
                waiting: 0,
            });
            unheard.store(number, Ordering::Relaxed);
        }
    }

    /// Sets what dumps show of the permits that the waiters wait for.
    pub(crate) fn set_permits(&mut self, permits: PermitsState) {
        self.lists.permits = Some(permits);
    }

    /// Returns the waker of a linked waiter of this list. The caller drops a replaced waker without the lock.
    fn waker(&mut self, waiter: Pin<&Waiter>) -> &mut Option<Waker> {
        // SAFETY: `under-lock`; the result borrows the guard.
        waiter.entry.with_mut(|entry| unsafe { &mut (*entry).waker })
    }

    /// Notifies the first waiter, or the last. Returns `None` if no task waits.
    ///
    /// The caller wakes the waker, if there is one, without the lock.
    pub(crate) fn notify_one(&mut self, notification: Notification) -> Option<Option<Waker>> {
        let waiter = match notification {
            Notification::First | Notification::All => self.lists.waiting.pop_front(),
            Notification::Last => self.lists.waiting.pop_back(),
        };
        let waiter = waiter?;
        self.lists.length -= 1;
        // SAFETY: it has just left this list, and is not used afterwards.
        Some(unsafe { Waiter::mark_notified(waiter, notification) })
    }

    /// Removes `waiter` from the list, if it is linked. Returns its stage before, and its waker.
    ///
    /// The caller drops the waker without the lock. Afterwards the waiter is idle or notified.
    #[must_use = "the waker must be dropped after the lock is released"]
    pub(crate) fn remove(&mut self, waiter: Pin<&Waiter>) -> (WaitStage, Option<Waker>) {
        if waiter.stage() != WaitStage::Linked {
            return (waiter.stage(), None);
        }
        let element = NonNull::from(waiter.get_ref());
        let stage = if self.is_leaving(waiter) {
            // SAFETY: `same-list`, and it is linked: waiters of older epochs are in `leaving`.
            unsafe { self.lists.leaving.remove(element) };
            WaitStage::Notified(Notification::All)
        } else {
            // SAFETY: `same-list`, and it is linked: waiters of this epoch are in `waiting`.
            unsafe { self.lists.waiting.remove(element) };
            self.lists.length -= 1;
            WaitStage::Linked
        };
        let waker = self.waker(waiter).take();
        waiter.stage.store(IDLE, Ordering::Relaxed);
        (stage, waker)
    }

    /// Notifies all present waiters, releases the lock, and wakes them in batches.
    pub(crate) fn notify_all(mut self) {
        let Some(first) = self.lists.waiting.pop_front() else {
            return;
        };
        self.lists.length = 0;
        // SAFETY: it has just left this list, and is not used afterwards.
        let first = unsafe { Waiter::mark_notified(first, Notification::All) };
        if self.is_empty() {
            // The usual case. It avoids the batch, which is half a kilobyte to initialize.
            drop(self);
            wake_guarded(first);
            return;
        }
        // `all-means-all-linked-before`: later waiters are of the new epoch and in a new list.
        self.lists.epoch = self.lists.epoch.wrapping_add(1);
        let notified = self.lists.waiting.take();
        self.lists.leaving.append(notified);

        let list = self.list;
        let mut wakes = WakeList::new();
        wakes.push(first);
        loop {
            let is_done = loop {
                if !wakes.has_room() {
                    break false;
                }
                let Some(waiter) = self.lists.leaving.pop_front() else {
                    break true;
                };
                // SAFETY: it has just left this list, and is not used afterwards.
                wakes.push(unsafe { Waiter::mark_notified(waiter, Notification::All) });
            };
            drop(self);
            // `user-code-outside`
            wakes.wake_all();
            if is_done {
                return;
            }
            self = list.lock();
        }
    }
}

/// Whether this is the waker of the task itself, or of the future of `block_on` if that is no task.
fn is_own_waker(waker: &Waker, task: u64) -> bool {
    match task_of(waker) {
        Some(id) => id.number() == task,
        None => task == 0 && (is_of_root(waker) || is_of_parker(waker)),
    }
}

/// The first waiter for permits.
pub(crate) struct Taker {
    pub(crate) task: u64,
    pub(crate) location: CallSite,
    pub(crate) is_owned: bool,
    /// How many it waits for.
    pub(crate) count: usize,
    /// How many of them it has.
    pub(crate) collected: usize,
}

/// The number of waiters of one list that [`collect`] reads. It bounds how long it holds the lock: about 0.1 ms, if no waiter
/// is in the cache.
const COLLECTED: usize = 512;

/// For how long [`collect`] tries to take a lock. That is about 2 ms: most of these waits are sleeps.
const TURNS: u32 = 160;

/// Adds the waiters of all lists of the process to `waiters`. Returns how many were left out, because a list has too many or
/// its lock is taken for too long.
///
/// A waiter that a `notify_all` has yet to reach waits no longer, and is not reported.
pub(super) fn collect(waiters: &mut Vec<WaiterInfo>) -> usize {
    let mut left_out = 0;
    let images = images::loaded();
    reuse_pool::for_each::<ListRecord>(|record| {
        // No allocation under the lock.
        waiters.reserve(COLLECTED + 1);
        let Some(lists) = record.lists.lock_within(TURNS) else {
            left_out += 1;
            return;
        };
        let mut next = lists.waiting.front();
        let length = lists.length;
        let object = ptr::from_ref(record).addr();
        let permits = lists.permits.map(|PermitsState { mut taken, out, address }| {
            if let Some(taken) = &mut taken {
                // A guard of a `static` may be in any task, too.
                taken.is_owned |= images.contain(address);
            }
            Subject::Permits { object, taken, out, waiting: length }
        });
        // Relaxed: as in `WaitList::hear`.
        if let (Some(grant), true) = (lists.grant, record.unheard.load(Ordering::Relaxed) == lists.grants) {
            let Granted { task, kind, location, at_ms: since_ms, is_woken_directly, .. } = grant;
            let subject = Subject::Granted(Granted { object, waiting: length, ..grant });
            waiters.push(WaiterInfo { task, kind, location, since_ms, is_direct: is_woken_directly, subject });
        }
        for _ in 0..COLLECTED {
            let Some(waiter) = next else { return };
            // SAFETY: `same-list`: it is linked, so it is alive.
            let linked = unsafe { waiter.as_ref() };
            // SAFETY: `under-lock`.
            let (task, since_ms, is_direct) = linked.entry.with(|entry| unsafe {
                let has_id = |waker: &Waker| task_of(waker).is_some_and(|id| id.number() == (*entry).task);
                ((*entry).task, (*entry).since_ms, (*entry).waker.as_ref().is_some_and(has_id))
            });
            let (kind, location) = (linked.kind, linked.location);
            let mut subject = permits.clone().unwrap_or(Subject::Unknown);
            if let (WaitKind::MpscSend, Subject::Permits { taken, .. }) = (kind, &mut subject) {
                // The permits belong to messages.
                *taken = None;
            }
            waiters.push(WaiterInfo { task, kind, location, since_ms, is_direct, subject });
            // SAFETY: alive, and `under-lock`.
            next = unsafe { lists.waiting.after(waiter) };
        }
        left_out += length - COLLECTED;
        drop(lists);
    });
    left_out
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;

    use super::super::Notify;
    use super::super::testing::{Wakes, poll_once};
    use super::*;
    use crate::primitives::atomic::AtomicUsize;

    /// The waiters of the list of `notify`. Other tests of this process have waiters, too.
    fn waiters_at(line: u32) -> (Vec<WaiterInfo>, usize) {
        let mut waiters = Vec::new();
        let left_out = super::super::waits::collect(&mut waiters);
        let is_here = |location: &Location<'_>| location.file() == file!() && location.line() == line;
        waiters.retain(|waiter| waiter.location.is_some_and(is_here));
        (waiters, left_out)
    }

    #[test]
    fn a_waiter_is_collected_from_its_first_poll_until_it_is_notified_or_dropped() {
        let notify = Notify::new();
        let (mut first, mut second, line) = (Box::pin(notify.notified()), Box::pin(notify.notified()), line!());
        assert!(waiters_at(line).0.is_empty());
        let first_poll = std::thread::scope(|scope| {
            let polled = scope.spawn(|| poll_once(first.as_mut()).is_pending());
            polled.join().expect("no panic")
        });
        assert!(first_poll && poll_once(second.as_mut()).is_pending());
        let (waiters, _) = waiters_at(line);
        assert_eq!(waiters.len(), 2);
        assert!(waiters.iter().all(|waiter| waiter.kind == WaitKind::Notify && waiter.task == 0));
        notify.notify_one();
        assert_eq!(waiters_at(line).0.len(), 1);
        drop(second);
        assert!(waiters_at(line).0.is_empty());
    }

    #[test]
    fn a_waiter_has_the_task_and_the_time_of_its_first_poll_and_the_task_of_the_last() {
        let runtime = crate::runtime::Builder::new_current_thread().build().expect("a runtime");
        let notify = Arc::new(Notify::new());
        let mut waiting = Box::pin(Arc::clone(&notify).notified_owned());
        let line = line!() - 1;
        runtime.block_on(async {
            coarse::refresh();
            let first_ms = coarse::now_ms();
            for _ in 0..2 {
                let task = crate::spawn(async move {
                    let is_waiting =
                        std::future::poll_fn(|cx| std::task::Poll::Ready(waiting.as_mut().poll(cx).is_pending()));
                    assert!(is_waiting.await);
                    (waiting,)
                });
                let id = task.id();
                (waiting,) = task.await.expect("no panic");
                let (waiters, _) = waiters_at(line);
                assert_eq!(waiters.len(), 1);
                assert_eq!(waiters[0].task.to_string(), id.to_string());
                assert!(waiters[0].since_ms.wrapping_sub(first_ms) < 60_000);
            }
        });
    }

    #[test]
    #[expect(clippy::mem_forget, reason = "forgetting is safe, so it must do no harm")]
    fn a_forgotten_waiter_does_not_get_into_the_list_of_another_object() {
        let first = Notify::new();
        let (mut leaked, line) = (Box::pin(first.notified()), line!());
        assert!(poll_once(leaked.as_mut()).is_pending());
        std::mem::forget(leaked);
        // Its borrow has ended, so the object may move. The waiter is still in its list.
        let moved = Box::new(first);
        assert_eq!(waiters_at(line).0.len(), 1);
        drop(moved);
        assert!(waiters_at(line).0.is_empty());
        // On this thread the next list gets the same record.
        let second = Notify::new();
        let mut waiting = pin!(second.notified());
        assert!(poll_once(waiting.as_mut()).is_pending());
        second.notify_one();
        assert!(poll_once(waiting).is_ready());
    }

    #[test]
    fn of_a_long_list_the_first_are_collected_and_the_others_counted() {
        let notify = Notify::new();
        let wait = || Box::pin(notify.notified());
        let line = line!() - 1;
        let mut all: Vec<_> = (0..COLLECTED + 10).map(|_| wait()).collect();
        for one in &mut all {
            assert!(poll_once(one.as_mut()).is_pending());
        }
        let (waiters, left_out) = waiters_at(line);
        assert_eq!(waiters.len(), COLLECTED);
        assert!((10..COLLECTED).contains(&left_out), "{left_out}, with lists that other tests lock");
        drop(all.drain(..20));
        assert_eq!(waiters_at(line).0.len(), COLLECTED - 10);
        notify.notify_waiters();
        assert!(waiters_at(line).0.is_empty());
    }

    #[test]
    fn more_waiters_than_are_woken_at_once_are_all_woken() {
        let notify = Notify::new();
        let (wakes, waker) = Wakes::new();
        let mut waiters: Vec<_> = (0..200).map(|_| Box::pin(notify.notified())).collect();
        for waiter in &mut waiters {
            assert!(waiter.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        notify.notify_waiters();
        assert_eq!(wakes.count(), waiters.len());
        assert!(waiters.iter_mut().all(|waiter| poll_once(waiter.as_mut()).is_ready()));
    }

    #[test]
    fn a_list_that_is_locked_is_left_out_after_a_while() {
        let list = WaitList::new(());
        let held = list.lock();
        assert!(collect(&mut Vec::new()) >= 1);
        drop(held);
    }

    #[test]
    fn lists_are_read_while_their_objects_come_and_go() {
        let rounds = crate::sys::emulation::rounds(2_000);
        let running = AtomicUsize::new(3);
        std::thread::scope(|scope| {
            for number in 0..3 {
                let running = &running;
                scope.spawn(move || {
                    for round in 0..rounds {
                        let notify = Box::new(Notify::new());
                        let mut waiters: Vec<_> = (0..1 + round % 3).map(|_| Box::pin(notify.notified())).collect();
                        for waiter in &mut waiters {
                            assert!(poll_once(waiter.as_mut()).is_pending());
                        }
                        match (round + number) % 3 {
                            0 => drop(waiters.remove(0)),
                            1 => notify.notify_one(),
                            _ => notify.notify_waiters(),
                        }
                    }
                    running.fetch_sub(1, Ordering::Relaxed);
                });
            }
            let mut waiters = Vec::new();
            while running.load(Ordering::Relaxed) > 0 {
                waiters.clear();
                collect(&mut waiters);
                waiters.retain(|waiter| waiter.location.is_some_and(|location| location.file() == file!()));
                assert!(waiters.iter().all(|waiter| waiter.kind == WaitKind::Notify));
            }
        });
    }

    #[test]
    fn no_object_that_has_a_list_is_larger_than_it_was_with_the_list_inside() {
        let pointer = size_of::<usize>();
        assert_eq!(size_of::<WaitList>(), pointer);
        assert_eq!(size_of::<Notify>(), 2 * pointer);
        #[cfg(all(target_pointer_width = "64", not(feature = "tracing")))]
        {
            assert!(size_of::<super::super::Semaphore>() <= 56);
            assert!(size_of::<super::super::Mutex<()>>() <= 56);
        }
    }
}
